"""How the gates of a promotion stand, for people and for machines: state, why, who or what, when, command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gitkitchen.promote.shapes import GateResult, Standing
from gitkitchen.report.markdown import escape
from gitkitchen.report.text import clip, for_runners, one_line

WORDS = {
    Standing.PASSED: "passed",
    Standing.PENDING: "pending",
    Standing.FAILED: "failed",
    Standing.UNKNOWN: "unknown",
}
_MARKS = {Standing.PASSED: "✓", Standing.PENDING: "…", Standing.FAILED: "✗", Standing.UNKNOWN: "?"}
_ICONS = {Standing.PASSED: "✅", Standing.PENDING: "⏳", Standing.FAILED: "❌", Standing.UNKNOWN: "⚠️"}
LONGEST = 600
"""Characters of one sentence."""
_TICKS = re.compile(r"`+")


def as_text(results: Sequence[GateResult]) -> str:
    """For a terminal or a log: a line for each gate that has passed, and what to do below each other."""
    return for_runners("\n".join(line for result in results for line in lines(result)))


def lines(result: GateResult) -> Iterator[str]:
    """One gate: how it stands and why; below that who or what changes it, when, and what to type."""
    reason = clip(one_line(result.reason), LONGEST)
    yield f"{_MARKS[result.standing]} {one_line(result.gate)} {WORDS[result.standing]}: {reason}"
    if result.change:
        yield f"    who or what: {clip(one_line(result.change), LONGEST)}"
    if result.when is not None:
        yield f"    not before {_minute(result.when)}"
    if result.command:
        yield f"    $ {clip(one_line(result.command), LONGEST)}"


def _minute(when: datetime) -> str:
    """The first whole minute that is not before ``when``."""
    whole = when.astimezone(UTC).replace(second=0, microsecond=0)
    whole += timedelta(minutes=1) if whole < when else timedelta()
    return f"{whole:%Y-%m-%d %H:%M} UTC"


def plain(results: Sequence[GateResult]) -> list[dict[str, Any]]:
    """For machines: ``{gate, standing, reason, change, command, when}``, nothing escaped."""
    return [
        {
            "gate": result.gate,
            "standing": result.standing.value,
            "reason": result.reason,
            "change": result.change,
            "command": result.command,
            "when": result.when.isoformat() if result.when is not None else None,
        }
        for result in results
    ]


def as_markdown(results: Sequence[GateResult]) -> str:
    """For a pull request or a job's page: what waits first, a point for each gate, all text escaped."""
    ordered = sorted(results, key=lambda result: result.standing is Standing.PASSED)
    return "\n".join(_point(result) for result in ordered)


def _point(result: GateResult) -> str:
    word = WORDS[result.standing]
    text = f"- {_ICONS[result.standing]} **{escape(result.gate)}** {word}: {escape(result.reason, LONGEST)}"
    if result.change:
        text += f". Who or what changes it: {escape(result.change, LONGEST)}"
    if result.when is not None:
        text += f". Not before {escape(_minute(result.when))}"
    if result.command:
        text += f". {code(result.command)}"
    return text


def code(value: str) -> str:
    """Any text as a code span that means itself: https://spec.commonmark.org/0.31.2/#code-spans"""
    text = clip(one_line(value), LONGEST).replace("##[", "##\u200b[")
    fence = "`" * (max((len(run) for run in _TICKS.findall(text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"
