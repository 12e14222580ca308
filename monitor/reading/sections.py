"""What any message has to read: its body and its headers, as sections under their titles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.operations.text import visible
from monitor.bodies.body import Kind, shown
from monitor.bodies.json_text import spans
from monitor.drawing.figures import counted
from monitor.reading.lines import EMPTY, Line, Part, columns, line

if TYPE_CHECKING:
    from engine.operations.events import Message


class Section(NamedTuple):
    """A part of what is read, under its title."""

    title: str
    note: str
    lines: Sequence[Line]


def joined(sections: Sequence[Section]) -> list[Line]:
    """Sections one after the other, each under its title."""
    lines: list[Line] = []
    for section in sections:
        note = f"  {section.note}" if section.note else ""
        lines += [EMPTY, line(Part(f"─ {section.title} ", "title"), Part(note, "muted")), *section.lines]
    return lines


def body_part(body: bytes, *, title: str = "Body", whole: str = "") -> Section:
    """A body, laid out and cut; `whole` says where all of it can be had."""
    found = shown(body)
    note = f"{found.kind}, {counted(found.size, 'byte')}" + (
        (f", cut: {whole}" if whole else ", cut") if found.cut else ""
    )
    lines = found.text.split("\n")
    coloured = [json_line(each) for each in lines] if found.kind is Kind.JSON else [line(each) for each in lines]
    return Section(title, note, coloured)


def json_line(text: str) -> Line:
    """A line of JSON with its parts told apart."""
    if len(text) > 2000:
        return line(text)
    parts: list[Part] = []
    at = 0
    for span in spans(text):
        parts += [Part(text[at : span.start]), Part(text[span.start : span.end], span.kind)]
        at = span.end
    parts.append(Part(text[at:]))
    return tuple(part for part in parts if part.text)


def headers_part(message: Message) -> Section:
    """The headers and properties of a message."""
    from engine.operations.failures import plain_headers

    properties = (
        ("content-type", message.content_type),
        ("type", message.type),
        ("message-id", message.message_id),
        ("app-id", message.app_id),
    )
    rows = [(name, visible(value or "")) for name, value in properties]
    rows += [(visible(name), _header(value)) for name, value in plain_headers(message.headers).items()]
    return Section("Headers", "", columns(rows))


def _header(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return visible(text if len(text) <= 1000 else f"{text[:1000]}… ({len(text):,} characters)")
