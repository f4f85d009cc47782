"""What the rooms share of schedules: an interval, that a run is due for it, and how it stands.

All times are timezone-aware UTC; all durations are seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, Self

from gitkitchen.frozen import dataclass

State = Literal[
    "due",
    "run",
    "failed",
    "superseded",
    "missed",
    "waiting",
    "late_start",
    "late_end",
    "incomplete",
    "out_of_order",
    "input_not_ready",
    "too_long",
]
"""How an interval stands.

``due``: nothing ran for it yet, and something will. ``run``: a run for it passed. ``failed``: one ended
otherwise. ``superseded``: another interval's run covers it. ``missed``: nothing ran for it in time; it may
still be caught up. ``waiting``: for its inputs, within its deadline. ``input_not_ready``: they did not come
by then.

Beside its end, what was promised of it and not kept: ``late_start``, no run began in time; ``late_end``, none
ended in time; ``too_long``, one ran longer than allowed; ``incomplete``, one passed and left out what it
should have built; ``out_of_order``, one passed before an older interval that was to come first.
"""

ENDED = frozenset({"run", "failed", "superseded", "missed", "input_not_ready"})
"""The states in which nothing more will be begun for an interval without somebody's word."""


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The half-open span of time [start, end) that a run's data is of. The run is due at ``end``."""

    start: datetime
    end: datetime

    @property
    def pair(self) -> tuple[datetime, datetime]:
        """What a ``Request`` and a ``Plan`` take."""
        return (self.start, self.end)

    @property
    def name(self) -> str:
        """``2013-01-01T05:00Z--2013-01-02T05:00Z``: one spelling, in inputs of workflows and in texts."""
        return f"{_short(self.start)}--{_short(self.end)}"

    def iso(self) -> list[str]:
        """As run records hold it: ``[start, end]``."""
        return [self.start.isoformat(), self.end.isoformat()]

    @classmethod
    def of(cls, start: datetime, end: datetime) -> Self:
        """The interval in UTC. ValueError where a time has no zone, or where it ends before it begins."""
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("a time without a zone")
        if end <= start:
            raise ValueError("it ends before it begins")
        return cls(start.astimezone(UTC), end.astimezone(UTC))

    @classmethod
    def read(cls, value: Sequence[str] | str) -> Self:
        """One from ``iso()`` or ``name``. ValueError where it is neither."""
        parts = value.split("--") if isinstance(value, str) else list(value)
        if len(parts) != 2:
            raise ValueError("an interval is two times")
        return cls.of(*(datetime.fromisoformat(part) for part in parts))


@dataclass(frozen=True, slots=True)
class Due:
    """That a variation is to run in an environment for an interval, at ``scheduled_for`` (its end)."""

    recipe: str
    variation: str
    environment: str
    interval: Interval
    scheduled_for: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How an interval stands. ``run``: the run that says so, or "". ``late``: seconds after the time that was
    promised (0: in time). ``said``: the state in words, with what to do where somebody should."""

    due: Due
    state: State
    run: str = ""
    late: float = 0.0
    said: str = ""


def _short(moment: datetime) -> str:
    """UTC without what is zero: to the minute, for that is what cron counts in."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    return f"{text}:{moment:%S}Z" if moment.second else f"{text}Z"
