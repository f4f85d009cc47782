"""Limits of a change as people write them: ``0.5%``, ``+5%``, ``-3%``, ``10``, ``[-1%, 5%]``, ``any``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gitkitchen.frozen import dataclass

_TEXT = re.compile(r"\s*([+-]?)(\d+(?:\.\d+)?)\s*(%?)\s*\Z")


@dataclass(frozen=True, slots=True)
class Limit:
    """How far something may move: from ``low`` to ``high``, as a share of what it was (``share``) or not.

    None: without end on that side. ``text`` is how it was written.
    """

    low: Decimal | None
    high: Decimal | None
    share: bool
    text: str

    def allows(self, before: Any, after: Any, *, slack: float = 0.0) -> bool:
        """Whether the move is within; ``slack`` is a share of the greater for what floats round."""
        step = _decimal(after) - _decimal(before)
        unit = abs(_decimal(before)) if self.share else Decimal(1)
        room = _decimal(slack) * max(abs(_decimal(before)), abs(_decimal(after)))
        low = None if self.low is None else self.low * unit - room
        high = None if self.high is None else self.high * unit + room
        return (low is None or step >= low) and (high is None or step <= high)

    def allows_part(self, part: int, whole: int) -> bool:
        """Whether so many rows out of ``whole`` may be: a part is never negative, its least is not asked."""
        if self.high is None:
            return True
        return part <= self.high * (whole if self.share else 1)

    def plain(self) -> dict[str, Any]:
        """As the arguments of a test hold it."""
        ends = [None if e is None else str(e) for e in (self.low, self.high)]
        return {"low": ends[0], "high": ends[1], "share": self.share, "text": self.text}


def _decimal(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value) if isinstance(value, float) else value)


def from_plain(value: Mapping[str, Any]) -> Limit:
    """What ``Limit.plain`` wrote."""
    low, high = (None if value[k] is None else Decimal(value[k]) for k in ("low", "high"))
    return Limit(low, high, value["share"], value["text"])


NOTHING = Limit(Decimal(0), Decimal(0), False, "0")
ANY = Limit(None, None, False, "any")


def limit(value: Any) -> Limit:
    """A limit from what was written. Raises ValueError with what is wrong."""
    if value == "any":
        return ANY
    if isinstance(value, list):
        return _between(value)
    sign, number, share = _read(value)
    low = Decimal(0) if sign == "+" else -number
    high = Decimal(0) if sign == "-" else number
    return Limit(low, high, share, str(value).strip())


def _between(value: list[Any]) -> Limit:
    ends = [_read(v) for v in value]
    if len(ends) != 2 or len({share for *_, share in ends}) != 1:
        raise ValueError("two ends of one kind are needed, such as [-1%, 5%] or [0, 100]")
    low, high = (-number if sign == "-" else number for sign, number, _ in ends)
    if low > high:
        raise ValueError(f"the least, {value[0]}, is above the most, {value[1]}")
    return Limit(low, high, ends[0][2], f"[{value[0]}, {value[1]}]")


def _read(value: Any) -> tuple[str, Decimal, bool]:
    found = _TEXT.match(str(value)) if not isinstance(value, bool) else None
    if found is None:
        raise ValueError(f"'{str(value)[:40]}' is no limit such as 0%, 0.5%, +5%, -3% or 10")
    sign, digits, percent = found.groups()
    number = Decimal(digits)
    return sign, number / 100 if percent else number, bool(percent)
