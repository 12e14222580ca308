"""What to know of the broker's version: RabbitMQ from 3.10 to 4.3 differs in ways that bite."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.model.handler import HandlerSpec
from engine.operations.doctor.finding import Finding, fail, ok, warn

#: The oldest that has what Warren needs: at-least-once dead-lettering of quorum queues.
#: https://www.rabbitmq.com/docs/quorum-queues#dead-lettering
OLDEST = (3, 10)
#: The newest that Warren was tried on; its change log was read as far.
NEWEST = (4, 3)
#: The largest message that RabbitMQ takes by default, in bytes, since 4.0.
LARGEST_SINCE_4 = 16 * 1024 * 1024


def parse(text: str) -> tuple[int, int] | None:
    """Major and minor number; None for what is no version."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def check_version(text: str | None, *, max_body: int, specs: Sequence[HandlerSpec] = ()) -> list[Finding]:
    """Which broker answers, and what of this version matters here."""
    if text is None:
        return [ok("broker", "it answers")]
    version = parse(text)
    if version is None:
        return [ok("broker", f"{text} answers")]
    if version < OLDEST:
        hint = "Upgrade to 3.10 or later: before, a dead letter could be lost on its way."
        return [fail("broker", f"RabbitMQ {text} is too old", hint)]
    findings = [ok("broker", f"RabbitMQ {text} answers")]
    if version > NEWEST:
        hint = f"Warren was tried up to {NEWEST[0]}.{NEWEST[1]}. Read its release notes on quorum queues first."
        findings.append(warn("broker", f"RabbitMQ {text} is newer than what Warren knows", hint))
    if version < (4, 0):
        hint = (
            "Versions 3.x get no more fixes from the community. Upgrade by 3.13 to 4.x; enable all feature flags first."
        )
        findings.append(warn("broker", f"RabbitMQ {text} is past its support", hint))
    if version < (3, 12):
        hint = (
            "`rabbitmqctl enable_feature_flag stream_queue` (or all): without it dead letters can be lost on their way."
        )
        findings.append(warn("broker", f"RabbitMQ {text} needs the feature flag stream_queue", hint))
    if version >= (4, 0) and max_body > LARGEST_SINCE_4:
        hint = (
            "Set max_message_size in rabbitmq.conf, or lower max_body: a larger message closes the publisher's channel."
        )
        findings.append(
            warn("broker", f"max_body is {max_body:,} bytes; RabbitMQ {text} takes 16 MiB by default", hint)
        )
    if version >= (4, 3) and any(spec.timeout >= 1800 for spec in specs):
        hint = "From 4.3 on the broker cancels the consumer (before, it closed the channel). Warren consumes again."
        findings.append(warn("broker", f"RabbitMQ {text} cancels whoever holds a message over 30 minutes", hint))
    return findings
