"""Logging, which only the command line configures: for people on a terminal, JSON otherwise.

Everything goes to stderr. Records of the standard library's `logging` (of dependencies, of
handlers) take the same road as structlog's.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from engine.operations.text import visible

#: Their debug records hold bodies and headers, or tell of every small step.
_TALKATIVE = ("aio_pika", "aiormq", "pamqp", "alembic")

#: Their errors are raised and told in our own words as well.
_REPETITIVE = ("aio_pika", "aiormq")


def configure_logging(level: str = "info", style: str = "auto") -> None:
    """Log from `level` on; `style` is auto, console or json."""
    number = logging.getLevelNamesMapping()[level.upper()]
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if as_json
        else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(as_json)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    if number > logging.DEBUG:
        for name in _REPETITIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(True)


def _renderers(as_json: bool) -> list[structlog.typing.Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if as_json:
        return [remove_meta, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=True)]
    plain = structlog.dev.ConsoleRenderer(
        colors=_colours(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0, pad_level=True
    )
    return [remove_meta, _printable, plain]


def _colours() -> bool:
    import os

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def _printable(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Ids and messages of strangers reach the terminal printable."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = visible(value)
    return event
