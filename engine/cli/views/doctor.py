"""What `warren doctor` prints."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cli.call import Call
from engine.operations.doctor import Finding, Level, diagnose

GLYPHS = {Level.OK: "✓ ok  ", Level.WARN: "! warn", Level.FAIL: "✗ fail"}


async def examine(call: Call, plugins: Sequence[str]) -> int:
    """Run the checks and print what they found; the exit code."""
    settings = call.settings
    findings = await diagnose(settings, lambda: call.specs(plugins))
    _print(call, findings)
    return 1 if any(finding.level is Level.FAIL for finding in findings) else 0


def _print(call: Call, findings: Sequence[Finding]) -> None:
    out = call.output
    counts = {level.value: sum(finding.level is level for finding in findings) for level in Level}
    out.result({"items": [finding._asdict() for finding in findings], **counts})
    width = max(len(finding.topic) for finding in findings)
    for finding in findings:
        out.line(f"{GLYPHS[finding.level]}  {finding.topic:<{width}}  {finding.what}")
        if finding.hint:
            out.line(f"{'':{width + 10}}{finding.hint}")
    out.line()
    out.line(", ".join(f"{count} {level}" for level, count in counts.items()))
