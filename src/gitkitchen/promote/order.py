"""When one test is at least as strict as another: a documented order, provable for every table.

``implies(b, a)`` says that whatever passes ``b`` passes ``a`` (of tests that could be evaluated). It is
reflexive and transitive, so that "weaker" (``a`` implies ``b``, and not the other way) is a strict order.
Where that cannot be proved it is not claimed: the two are then "other", and a person has to look.
docs/policy.md has the order in words; ``tests/promote/test_order_of_tests.py`` looks for a table that
disproves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any

from gitkitchen.controls.columns import same_type
from gitkitchen.kitchen.policy import RANK
from gitkitchen.model import TestSpec, Tolerance

Args = Mapping[str, Any]


class Order(Enum):
    """How a test compares with the one that it replaces."""

    SAME = "same"
    STRICTER = "stricter"
    WEAKER = "weaker"
    OTHER = "other"


def compare(was: TestSpec, now: TestSpec) -> Order:
    """Where ``now`` stands beside ``was``."""
    kept, given = implies(now, was), implies(was, now)
    if kept:
        return Order.SAME if given else Order.STRICTER
    return Order.WEAKER if given else Order.OTHER


def implies(b: TestSpec, a: TestSpec) -> bool:
    """Whether whatever passes ``b`` certainly passes ``a``, and ``b`` is no less severe."""
    if (b.kind, b.dataset, b.phase) != (a.kind, a.dataset, a.phase) or RANK[b.severity] < RANK[a.severity]:
        return False
    if not _tolerates(b.tolerate, a.tolerate) or not _where(b, a):
        return False
    return repr(dict(b.args)) == repr(dict(a.args)) or _ARGUMENTS.get(a.kind, _never)(b.args, a.args)


# --- tolerance ---------------------------------------------------------------------------------------


def _tolerates(b: Tolerance, a: Tolerance) -> bool:
    """Whether ``b`` lets no failing row pass that ``a`` would not.

    So many rows and a share of them cannot be compared without the data, but for none and all of them.
    """
    if a.share is not None and a.rows is None and a.share >= 1:
        return True
    if _rows(b) == 0:
        return True
    if _rows(b) is not None:
        return _rows(a) is not None and _least(b) <= _least(a)
    return a.rows is None and (b.share or 0.0) <= (a.share or 0.0)


def _rows(tolerate: Tolerance) -> int | None:
    """The rows that are tolerated, where that does not depend on how many are tested."""
    if tolerate.rows is not None:
        return tolerate.rows
    return None if tolerate.share else 0


def _least(tolerate: Tolerance) -> int:
    return _rows(tolerate) or 0


# --- where -------------------------------------------------------------------------------------------

_BY_ROW = frozenset({"not_null", "unique", "accepted_values", "range", "pattern", "length", "relationships"})


def _where(b: TestSpec, a: TestSpec) -> bool:
    """Whether the rows that ``b`` looks at suffice for ``a``. Two different conditions cannot be compared.

    Rows that fail among some fail among all. The newest of some is no newer than that of all. The number of
    some is no more than that of all. What an aggregate of all rows says of some of them, nobody knows.
    """
    if _plain(b.where) == _plain(a.where):
        return True
    if a.kind == "rows" and _end(a.args, "min") is None and a.args.get("max") is None:
        return True  # it says nothing of any rows
    if b.where is not None and a.where is not None:
        return False
    if a.kind in _BY_ROW:
        of_all = a.tolerate.share is not None and a.tolerate.share >= 1
        return b.where is None and (_rows(b.tolerate) is not None or of_all)
    if a.kind == "freshness":
        return a.where is None
    if a.kind == "rows":
        least, most = _end(a.args, "min"), a.args.get("max")
        return least is None if b.where is None else most is None
    return False


def _plain(where: str | None) -> str | None:
    return where.strip() if where is not None else None


# --- arguments ---------------------------------------------------------------------------------------


def _same(*names: str) -> Callable[[Args, Args], bool]:
    return lambda b, a: all(b.get(name) == a.get(name) for name in names)


def _never(_b: Args, _a: Args) -> bool:
    """Only equal arguments are comparable: a query, a regular expression."""
    return False


def _unique(b: Args, a: Args) -> bool:
    """Rows that share a key share each part of it: fewer columns are stricter."""
    return set(b["columns"]) <= set(a["columns"])


def _accepted(b: Args, a: Args) -> bool:
    """Fewer accepted values are stricter, and more rejected ones."""
    if b["column"] != a["column"] or bool(b.get("reject")) != bool(a.get("reject")):
        return False
    own, other = _values(b), _values(a)
    return own >= other if a.get("reject") else own <= other


def _values(args: Args) -> set[tuple[str, Any]]:
    return {(type(v).__name__ if not isinstance(v, float) else "int", v) for v in args["values"]}


def _range(b: Args, a: Args) -> bool:
    return b["column"] == a["column"] and _within(
        b, a, b_open=bool(b.get("strict")), a_open=bool(a.get("strict"))
    )


def _length(b: Args, a: Args) -> bool:
    return b["column"] == a["column"] and _counted(b, a)


def _row_count(b: Args, a: Args) -> bool:
    return b.get("relative_to") == a.get("relative_to") and _counted(b, a)


def _counted(b: Args, a: Args) -> bool:
    """Ends of what is never negative: a least of 0 says nothing."""
    return _within({"min": _end(b, "min"), "max": b.get("max")}, {"min": _end(a, "min"), "max": a.get("max")})


def _end(args: Args, name: str) -> Any:
    value = args.get(name)
    return None if name == "min" and value is not None and value <= 0 else value


def _within(b: Args, a: Args, *, b_open: bool = False, a_open: bool = False) -> bool:
    """Whether what lies between ``b``'s ends lies between ``a``'s. ``open``: the ends do not belong to it."""
    low = _beyond(b.get("min"), a.get("min"), 1, b_open=b_open, a_open=a_open)
    return low and _beyond(b.get("max"), a.get("max"), -1, b_open=b_open, a_open=a_open)


def _beyond(b: Any, a: Any, sign: int, *, b_open: bool, a_open: bool) -> bool:
    if a is None:
        return True
    if b is None:
        return False
    pair = _comparable(b, a)
    if pair is None:
        return bool(b == a) and (b_open or not a_open)
    mine, other = pair
    if mine == other:
        return b_open or not a_open
    return bool(mine > other) if sign > 0 else bool(mine < other)


def _comparable(b: Any, a: Any) -> tuple[Any, Any] | None:
    """Two ends of one type as values with an order; None where there is none between them."""
    if isinstance(b, str) and isinstance(a, str):
        for kind in (date, time, datetime):
            try:
                first, second = kind.fromisoformat(b), kind.fromisoformat(a)
            except ValueError:
                continue
            zones = {getattr(v, "tzinfo", None) is None for v in (first, second)}
            return (first, second) if len(zones) == 1 else None
        return None
    numbers = not any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in (a, b))
    return (b, a) if numbers and b == b and a == a else None


def _relationships(b: Args, a: Args) -> bool:
    def pairs(args: Args) -> set[tuple[str, str]]:
        return set(zip(args["columns"], args["to_columns"], strict=True))

    # A row with NULL in any column is not looked at: one more column looks at fewer rows.
    return b["to_dataset"] == a["to_dataset"] and pairs(b) == pairs(a)


def _freshness(b: Args, a: Args) -> bool:
    return bool(b["column"] == a["column"] and b["max_age"] <= a["max_age"])


def _schema(b: Args, a: Args) -> bool:
    """More columns and types, the order, and no others beside them are stricter."""
    mine = {str(name).lower(): kind for name, kind in b["columns"]}
    other = {str(name).lower(): kind for name, kind in a["columns"]}
    if not other.keys() <= mine.keys() or (
        not a.get("extra") and (b.get("extra") or mine.keys() != other.keys())
    ):
        return False
    for name, kind in other.items():
        if kind and not (mine[name] and same_type(kind, mine[name])):
            return False
    in_order = [name for name in mine if name in other]
    return not a.get("ordered") or (bool(b.get("ordered")) and in_order == list(other))


def _close(b: Args, a: Args) -> bool:
    if not _same("value", "to")(b, a):
        return False
    ends = ((b.get(name), a.get(name)) for name in ("absolute", "share"))
    return all(theirs is None or (mine is not None and mine <= theirs) for mine, theirs in ends)


def _value(b: Args, a: Args) -> bool:
    return b["sql"] == a["sql"] and _within(b, a)


def _expect(b: Args, a: Args) -> bool:
    """Smaller moves are stricter; of declared changes of columns only the limits can be compared."""
    if b["of"] != a["of"]:
        return False
    if a["of"] == "columns":
        mine, other = b["columns"], a["columns"]
        return mine.keys() == other.keys() and all(_move(mine[name], other[name]) for name in other)
    return _same("what", "value")(b, a) and _move(b["limit"], a["limit"])


def _move(b: Any, a: Any) -> bool:
    if isinstance(b, str) or isinstance(a, str):
        return bool(b == a)
    ends = {name: (_decimal(b[name]), _decimal(a[name])) for name in ("low", "high")}
    if all(theirs is None for _, theirs in ends.values()):
        return True
    low, high = ends["low"], ends["high"]
    if b["share"] != a["share"]:  # only no move at all is the same in rows and in shares
        still = low[0] == high[0] == 0
        return still and (low[1] is None or low[1] <= 0) and (high[1] is None or high[1] >= 0)
    return (low[1] is None or (low[0] is not None and low[0] >= low[1])) and (
        high[1] is None or (high[0] is not None and high[0] <= high[1])
    )


def _decimal(text: str | None) -> Any:
    from decimal import Decimal

    return None if text is None else Decimal(text)


_ARGUMENTS: dict[str, Callable[[Args, Args], bool]] = {
    "not_null": _same("column"),
    "unique": _unique,
    "accepted_values": _accepted,
    "range": _range,
    "pattern": _never,
    "length": _length,
    "rows": _row_count,
    "relationships": _relationships,
    "freshness": _freshness,
    "schema": _schema,
    "equal": _never,
    "close": _close,
    "no_rows": _never,
    "value": _value,
    "expect": _expect,
}
"""Kind -> whether these arguments are at least as strict as those."""
