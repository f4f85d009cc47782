"""Figures and values as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

from gitkitchen.model import Tolerance

MINUTE, HOUR, DAY = 60, 3600, 86400
_SINGULAR = {"are": "is", "have": "has", "do": "does", "match": "matches"}


def number(value: float | Decimal) -> str:
    """``2512`` as ``2,512``; floats with at most six significant decimals."""
    if isinstance(value, float):
        return f"{value:,.6g}" if value != value or abs(value) < 1e6 else f"{value:,.2f}"
    return f"{value:,}"


def plain(value: object) -> str:
    """A value of a query as text: NULL for None, figures grouped."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return number(value)
    if isinstance(value, datetime | date):
        return str(value)
    text = str(value)
    return text if len(text) <= 120 else text[:119] + "…"


def count(n: int, noun: str = "row") -> str:
    """``1 row``, ``2,512 rows``, ``no row``."""
    return f"no {noun}" if n == 0 else f"{n:,} {noun}{'' if n == 1 else 's'}"


def failing_rows(failing: int, tested: int, predicate: str, none: str) -> str:
    """``2,512 rows are NULL (0.746% of 336,776)``, or ``none`` where no row fails."""
    if failing == 0:
        return none
    first, _, rest = predicate.partition(" ")
    verb = f"{_SINGULAR.get(first, first)} {rest}".rstrip() if failing == 1 else predicate
    share = f" ({percent(failing / tested)} of {tested:,})" if tested else ""
    return f"{count(failing)} {verb}{share}"


def percent(share: float) -> str:
    """``0.75%``: three significant digits, never rounded to 0% or 100% where it is not."""
    if 0 < share < 0.00001:
        return "less than 0.001%"
    if share >= 10:
        return f"{share * 100:,.0f}%"
    text = f"{share * 100:.3g}"
    return "more than 99.9%" if text == "100" and share < 1 else f"{text}%"


def allowance(tolerate: Tolerance) -> str:
    """What a tolerance adds to an expectation: `` in at most 20% of the rows``, or nothing."""
    if tolerate.rows is not None:
        return f", except for at most {count(tolerate.rows)}" if tolerate.rows else ""
    if tolerate.share is not None:
        return f", except for at most {percent(tolerate.share)} of the rows"
    return ""


def listing(values: Iterable[str], most: int = 8) -> str:
    """``a, b, c`` or ``a, b, … (40 in all)``."""
    items = list(values)
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])}, … ({len(items)} in all)"


def between(low: object, high: object, strict: bool = False, noun: str = "") -> str:
    """``from 1 to 12``, ``at least 1``, ``less than 5``; with a noun ``exactly 1 row``."""
    if noun:
        last = high if high is not None else low
        return f"{between(low, high, strict)} {noun}{'' if last == 1 else 's'}"
    if low is not None and low == high and not strict:
        return f"exactly {plain(low)}"
    if low is not None and high is not None:
        if strict:
            return f"strictly between {plain(low)} and {plain(high)}"
        return f"from {plain(low)} to {plain(high)}"
    if low is not None:
        return f"{'more than' if strict else 'at least'} {plain(low)}"
    return f"{'less than' if strict else 'at most'} {plain(high)}"


def duration(seconds: float) -> str:
    """``36 hours``, ``3 days``, ``90 seconds``: the largest unit that reads well."""
    size = abs(seconds)
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if size >= 2 * unit or (size >= unit and size % unit == 0):
            amount = f"{size / unit:,.1f}".removesuffix(".0")
            return f"{amount} {name}{'' if amount == '1' else 's'}"
    amount = f"{size:.0f}"
    return f"{amount} second{'' if amount == '1' else 's'}"
