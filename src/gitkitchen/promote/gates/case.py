"""What every gate is given, and how it answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gitkitchen.frozen import dataclass
from gitkitchen.model import Gate
from gitkitchen.promote.gates.facts import Facts, Unread
from gitkitchen.promote.shapes import GateResult, Intent, Standing

AGAIN = "another try; `gitkitchen doctor` looks for what is missing"
LISTED = 5
"""How many of a kind are named in a sentence; the rest is counted."""

OWN_RUN = "the promotion's own run of the candidate"
"""What changes a gate that waits for nobody else."""


@dataclass(frozen=True, slots=True)
class Case:
    """``gate`` is the list that this intent passes (of a hotfix the shorter one)."""

    gate: Gate
    facts: Facts
    at: datetime
    intent: Intent

    def promote(self, *more: str) -> str:
        """The command that asks for this move again."""
        verb = "rollback" if self.intent is Intent.ROLLBACK else "promote"
        hotfix = ["--hotfix"] if self.intent is Intent.HOTFIX else []
        return " ".join(["gitkitchen", verb, self.facts.environment, *hotfix, *more])


def passed(gate: str, reason: str) -> GateResult:
    return GateResult(gate, Standing.PASSED, reason)


def pending(
    gate: str, reason: str, change: str, command: str = "", when: datetime | None = None
) -> GateResult:
    return GateResult(gate, Standing.PENDING, reason, change, command, when)


def failed(
    gate: str, reason: str, change: str, command: str = "", when: datetime | None = None
) -> GateResult:
    return GateResult(gate, Standing.FAILED, reason, change, command, when)


def unknown(gate: str, unread: Unread, again: str) -> GateResult:
    """A gate whose facts could not be read. ``again``: the command to type once they can be."""
    change = f"whoever can give it: {unread.permission}" if unread.permission else AGAIN
    return GateResult(gate, Standing.UNKNOWN, f"not known: {unread.reason}", change, unread.command or again)


def listed(words: list[str] | tuple[str, ...]) -> str:
    """``a, b, c and 3 more``."""
    if len(words) <= LISTED:
        return ", ".join(words)
    return f"{', '.join(words[:LISTED])} and {len(words) - LISTED} more"


def short(name: str) -> str:
    """A commit or tree as people read it."""
    return name[:12] or "none"


def moment(at: datetime) -> str:
    """``2026-12-18 16:00 UTC``: results carry UTC, whose reader may live anywhere."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def later(when: datetime) -> tuple[str, str]:
    """The arguments that ask how things stand at ``when``, or less than a minute after."""
    whole = when.astimezone(UTC).replace(second=0, microsecond=0)
    whole += timedelta(minutes=1) if whole < when else timedelta()
    return "--at", f"{whole:%Y-%m-%dT%H:%MZ}"


def length(seconds: float) -> str:
    """``23 h 40 min``, never a rounded-up one: what is missing is not shown as done."""
    minutes = int(seconds // 60)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"
