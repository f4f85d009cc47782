"""Each kind of test: its arguments as written become normalised ones.

A normaliser takes the mapping under the kind's key (expressions rendered; ``of``, ``where`` and
``tolerate`` taken out) and yields the arguments of one test or several. It raises ValueError for what the
JSON Schema cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

from gitkitchen.kitchen.settings import duration

Arguments = Mapping[str, Any]
Normaliser = Callable[[Arguments], Iterator[dict[str, Any]]]


def _not_null(given: Arguments) -> Iterator[dict[str, Any]]:
    for column in given["columns"]:
        yield {"column": column}


def _unique(given: Arguments) -> Iterator[dict[str, Any]]:
    yield {"columns": list(given["columns"])}


def _accepted_values(given: Arguments) -> Iterator[dict[str, Any]]:
    values = given["values"]
    if (
        not isinstance(values, list)
        or not values
        or not all(isinstance(v, (str, int, float)) for v in values)
    ):
        raise ValueError(f"values must be a list of texts, numbers or booleans, not {values!r:.60}")
    yield {"column": given["column"], "values": values, "reject": bool(given.get("reject", False))}


def _range(given: Arguments) -> Iterator[dict[str, Any]]:
    low, high = given.get("min"), given.get("max")
    if low is None and high is None:
        raise ValueError("it needs min or max")
    for name, bound in (("min", low), ("max", high)):
        if isinstance(bound, str):
            _moment(name, bound)
        elif bound is not None and not _is_number(bound):
            raise ValueError(f"{name} must be a number, a date or a time, not {bound!r:.60}")
    if isinstance(low, str) != isinstance(high, str) and None not in (low, high):
        raise ValueError("min and max must be of one type")
    if low is not None and high is not None and not isinstance(low, str) and low > high:
        raise ValueError(f"min {low} is above max {high}")
    yield {"column": given["column"], "min": low, "max": high, "strict": bool(given.get("strict", False))}


def _pattern(given: Arguments) -> Iterator[dict[str, Any]]:
    yield {
        "column": given["column"],
        "matches": given["matches"],
        "negate": bool(given.get("negate", False)),
    }


def _length(given: Arguments) -> Iterator[dict[str, Any]]:
    low, high = _bounds(given, whole=True)
    yield {"column": given["column"], "min": low, "max": high}


def _rows(given: Arguments) -> Iterator[dict[str, Any]]:
    same, relative = given.get("same_as"), given.get("relative_to")
    if same is not None:
        others = sorted(given.keys() - {"same_as"})
        if others:
            raise ValueError(f"same_as stands alone, without {', '.join(others)}")
        yield {"min": 1, "max": 1, "relative_to": same}
        return
    low, high = _bounds(given, whole=relative is None)
    yield {"min": low, "max": high, "relative_to": relative}


def _relationships(given: Arguments) -> Iterator[dict[str, Any]]:
    column, columns, to = given.get("column"), given.get("columns"), given["to"]
    if (column is None) == (columns is None):
        raise ValueError("it needs either column or columns")
    if columns is None:
        dataset, dot, target = to.partition(".")
        if given.get("to_columns") is not None:
            raise ValueError("to_columns goes with columns; write `to: dataset.column`")
        if not dataset or (dot and not target):
            raise ValueError(f"to: '{to[:80]}' must be dataset.column")
        yield {"columns": [column], "to_dataset": dataset, "to_columns": [target or column]}
        return
    targets = given.get("to_columns", columns)
    if "." in to:
        raise ValueError("with columns, `to` is a dataset; its columns stand in to_columns")
    if len(targets) != len(columns):
        raise ValueError(f"columns has {len(columns)} names and to_columns {len(targets)}")
    yield {"columns": list(columns), "to_dataset": to, "to_columns": list(targets)}


def _freshness(given: Arguments) -> Iterator[dict[str, Any]]:
    yield {"column": given["column"], "max_age": duration(given["max_age"])}


def _schema(given: Arguments) -> Iterator[dict[str, Any]]:
    columns = given["columns"]
    pairs = (
        [[n, t or None] for n, t in columns.items()]
        if isinstance(columns, dict)
        else [[n, None] for n in columns]
    )
    seen: set[str] = set()
    for name, _ in pairs:
        if name.lower() in seen:
            raise ValueError(f"column '{name}' stands there twice")
        seen.add(name.lower())
    yield {
        "columns": pairs,
        "ordered": bool(given.get("ordered", False)),
        "extra": bool(given.get("extra", False)),
    }


def _equal(given: Arguments) -> Iterator[dict[str, Any]]:
    yield {"value": given["value"], "to": given["to"]}


def _close(given: Arguments) -> Iterator[dict[str, Any]]:
    within = given["within"]
    absolute = share = None
    if isinstance(within, dict):
        absolute, share = within.get("absolute"), within.get("share")
    elif isinstance(within, str):
        if not within.strip().endswith("%"):
            raise ValueError(f"within: '{within[:40]}' must be a number or a share such as 1%")
        share = percent(within)
    else:
        absolute = within
    if (absolute or share or 0) < 0:
        raise ValueError("within must not be negative")
    yield {"value": given["value"], "to": given["to"], "absolute": absolute, "share": share}


def _no_rows(given: Arguments) -> Iterator[dict[str, Any]]:
    yield {"sql": given["sql"]}


def _value(given: Arguments) -> Iterator[dict[str, Any]]:
    low, high = _bounds(given, whole=False, negative=True)
    yield {"sql": given["sql"], "min": low, "max": high}


TEST_KINDS: dict[str, Normaliser] = {
    "not_null": _not_null,
    "unique": _unique,
    "accepted_values": _accepted_values,
    "range": _range,
    "pattern": _pattern,
    "length": _length,
    "rows": _rows,
    "relationships": _relationships,
    "freshness": _freshness,
    "schema": _schema,
    "equal": _equal,
    "close": _close,
    "no_rows": _no_rows,
    "value": _value,
}
"""Kind -> normaliser of its arguments."""

SHORT = {"not_null": "columns", "unique": "columns", "no_rows": "sql"}
"""Kinds that may be written without a mapping, and the argument that then stands there."""

SQL_ARGUMENTS = frozenset({"sql", "value"})
"""Arguments that are SQL text: no expression may stand in them."""

TOLERANT = frozenset(
    {"not_null", "unique", "accepted_values", "range", "pattern", "length", "relationships", "no_rows"}
)
"""Kinds that count failing rows; the others have no rows to tolerate."""


def percent(text: str) -> float:
    """``20%`` as 0.2. Raises ValueError."""
    try:
        share = float(text.strip().removesuffix("%").strip()) / 100
    except ValueError:
        raise ValueError(f"'{text[:40]}' is not a share such as 1%") from None
    if not 0 <= share <= 1:
        raise ValueError(f"'{text[:40]}' is not between 0% and 100%")
    return share


def _bounds(given: Arguments, *, whole: bool, negative: bool = False) -> tuple[Any, Any]:
    """min and max of ``min``/``max``, ``between`` or ``equals``."""
    ways = [w for w in ("equals", "between") if w in given]
    if ways and (len(ways) > 1 or given.keys() & {"min", "max"}):
        raise ValueError("min and max, between, equals: only one of these")
    low, high = given.get("min"), given.get("max")
    if "between" in given:
        low, high = given["between"]
    if "equals" in given:
        low = high = given["equals"]
    if low is None and high is None:
        raise ValueError(
            "it needs min, max, between or equals" if "column" not in given else "it needs min or max"
        )
    for bound in (low, high):
        if bound is None:
            continue
        if not _is_number(bound):
            raise ValueError(f"a bound must be a number, not {bound!r:.60}")
        if whole and bound != int(bound):
            raise ValueError(f"a bound must be a whole number, not {bound}")
        if bound < 0 and not negative:
            raise ValueError(f"a bound must not be negative, as {bound} is")
    if low is not None and high is not None and low > high:
        raise ValueError(f"the least, {low}, is above the most, {high}")
    return low, high


def _moment(name: str, text: str) -> None:
    for kind in (datetime, date, time):
        try:
            kind.fromisoformat(text)
        except ValueError:
            continue
        return
    raise ValueError(f"{name}: '{text[:40]}' is neither a number nor a date or time such as 2013-01-31")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
