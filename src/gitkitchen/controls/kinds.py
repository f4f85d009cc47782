"""Every kind of test, and how it is made ready. A new kind is one function and one line here."""

from __future__ import annotations

from gitkitchen.controls.asks import Misfit
from gitkitchen.controls.check import Check, Context, Kind
from gitkitchen.controls.keys import relationships, unique
from gitkitchen.controls.rowwise import accepted_values, length, not_null, pattern, value_range
from gitkitchen.controls.shape import freshness, rows, schema
from gitkitchen.controls.values import close, equal, no_rows, value
from gitkitchen.model import TestSpec

KINDS: dict[str, Kind] = {
    "not_null": not_null,
    "unique": unique,
    "accepted_values": accepted_values,
    "range": value_range,
    "pattern": pattern,
    "length": length,
    "rows": rows,
    "relationships": relationships,
    "freshness": freshness,
    "schema": schema,
    "equal": equal,
    "close": close,
    "no_rows": no_rows,
    "value": value,
}


def prepare(spec: TestSpec, context: Context) -> Check:
    """The test made ready; ``Misfit`` with the reason where it cannot be evaluated on this data."""
    kind = KINDS.get(spec.kind)
    if kind is None:
        raise Misfit(f"there is no test of kind {spec.kind!r}; there are {', '.join(KINDS)}")
    return kind(spec, context)
