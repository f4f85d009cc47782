"""Types as a diff sees them: when a change keeps what readers rely on, and how two types are compared.

A value becomes one or several *parts*, SQL expressions; two values are equal where all their parts are
(NULL being equal to NULL). So -0.0 differs from 0.0, a month from 30 days, and 2**53 + 1 from the float
next to it, as in the content digest.
"""

from __future__ import annotations

import re
from typing import Literal

from gitkitchen.data.diff_dialect import Dialect
from gitkitchen.frozen import dataclass

Kind = Literal["integer", "decimal", "float", "boolean", "text", "date", "timestamp", "nested", "other"]

_SIZES = {
    "TINYINT": (True, 8),
    "SMALLINT": (True, 16),
    "INTEGER": (True, 32),
    "BIGINT": (True, 64),
    "HUGEINT": (True, 128),
    "UTINYINT": (False, 8),
    "USMALLINT": (False, 16),
    "UINTEGER": (False, 32),
    "UBIGINT": (False, 64),
    "UHUGEINT": (False, 128),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
NUMBERS = frozenset({"integer", "decimal", "float", "boolean"})
MOMENTS = frozenset({"date", "timestamp"})
_WIDEST = 38
_BOUNDLESS = (131_072, 16_383)
"""Digits before and after the point of PostgreSQL's NUMERIC without a precision."""
_TEXT = re.compile(r"VARCHAR\((\d+)\)")


def kind_of(type_name: str) -> Kind:
    """The kind of a type as the engine names it."""
    name = type_name.upper()
    if name.endswith("]") or name.startswith(("STRUCT(", "MAP(", "UNION(", "VARIANT")):
        return "nested"
    head = re.split(r"[ (]", name, maxsplit=1)[0]
    if head in _SIZES:
        return "integer"
    plain: dict[str, Kind] = {
        "DECIMAL": "decimal",
        "NUMERIC": "decimal",
        "FLOAT": "float",
        "DOUBLE": "float",
        "BOOLEAN": "boolean",
        "VARCHAR": "text",
        "DATE": "date",
    }
    return "timestamp" if head.startswith("TIMESTAMP") else plain.get(head, "other")


def group_of(type_name: str) -> str:
    """Types of one group are compared as what they are, those of two groups as text."""
    kind = kind_of(type_name)
    return "number" if kind in NUMBERS else "moment" if kind in MOMENTS else kind


# --- what readers rely on --------------------------------------------------------------------------


def widened(was: str, now: str) -> bool:
    """Whether every value of type ``was`` is the same value in type ``now``: readers need not change."""
    old, new = kind_of(was), kind_of(now)
    if old == new == "integer":
        (signed, bits), (now_signed, now_bits) = _SIZES[was.upper()], _SIZES[now.upper()]
        return (
            now_bits >= bits and signed == now_signed
            if signed == now_signed
            else now_signed > signed and (now_bits > bits)
        )
    if new == "decimal" and old in ("integer", "decimal"):
        whole, scale = _digits(was)
        now_whole, now_scale = _digits(now)
        return now_whole >= whole and now_scale >= scale
    if new == "float":
        if old == "float":
            return (was.upper(), now.upper()) == ("FLOAT", "DOUBLE")
        return old == "integer" and _SIZES[was.upper()][1] < (53 if now.upper() == "DOUBLE" else 24)
    if old == new == "text":
        (before,), (after,) = ((_TEXT.findall(t.upper()) or [None]) for t in (was, now))
        return after is None or (before is not None and int(before) <= int(after))
    return False


def _digits(type_name: str) -> tuple[int, int]:
    """Digits before and after the point that a number type can hold."""
    if type_name.upper() == "NUMERIC":
        return _BOUNDLESS
    found = _DECIMAL.fullmatch(type_name.upper())
    if found:
        return int(found[1]) - int(found[2]), int(found[2])
    signed, bits = _SIZES.get(type_name.upper(), (True, 64))
    return len(str(2 ** (bits - signed))), 0


# --- how two types are compared --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pairing:
    """How the values of two types are compared. ``word`` names it for people; ``exact``: nothing is rounded.

    ``measure``: how the size of a change is told, where it has one.
    """

    word: str
    measure: Literal["", "whole", "large", "decimal", "float", "date", "timestamp"] = ""
    exact: bool = True
    scale: int = 0
    """Of the ``decimal`` measure: digits after the point."""


def pairing(a: str, b: str) -> Pairing:
    """How values of type ``a`` are compared with values of type ``b``."""
    one, two = kind_of(a), kind_of(b)
    if a == b:
        return Pairing("value", _measure(a, b, one, two), scale=_scale(a, b))
    if one in NUMBERS and two in NUMBERS:
        return Pairing("number", _measure(a, b, one, two), scale=_scale(a, b))
    if one in MOMENTS and two in MOMENTS:
        nanoseconds = "TIMESTAMP_NS" in (a.upper(), b.upper())
        return Pairing("time", _measure(a, b, one, two), exact=not nanoseconds)
    return Pairing("text")


def _measure(
    a: str, b: str, one: Kind, two: Kind
) -> Literal["", "whole", "large", "decimal", "float", "date", "timestamp"]:
    kinds = {one, two}
    if kinds == {"boolean"}:
        return ""
    if kinds <= {"integer", "boolean"}:
        bits = max(_SIZES.get(t.upper(), (True, 8))[1] for t in (a, b))
        return "whole" if bits <= 32 else "large" if bits <= 64 else "float"
    if kinds <= {"integer", "decimal", "boolean"}:
        # Without a precision only PostgreSQL has it, whose sums of it are exact.
        boundless = "NUMERIC" in (a.upper(), b.upper())
        return "decimal" if boundless or sum(_common_decimal(a, b)) <= 18 else "float"
    if kinds <= NUMBERS:
        return "float"
    if kinds == {"date"}:
        return "date"
    return "timestamp" if kinds <= MOMENTS else ""


def _scale(a: str, b: str) -> int:
    return _common_decimal(a, b)[1] if "decimal" in (kind_of(a), kind_of(b)) else 0


def is_wide(type_name: str) -> bool:
    """Whether a sum over many rows may leave every exact type: it is then taken as a float."""
    kind = kind_of(type_name)
    if kind == "decimal":
        return sum(_digits(type_name)) > 28
    return kind == "integer" and _SIZES[type_name.upper()][1] > 64


def _common_decimal(a: str, b: str) -> tuple[int, int]:
    (w, s), (w2, s2) = (_digits(t) if kind_of(t) != "boolean" else (1, 0) for t in (a, b))
    return max(w, w2), max(s, s2)


def parts(expression: str, own: str, other: str, sql: Dialect) -> list[str]:
    """The parts of a value of type ``own`` that is compared with one of type ``other``."""
    mine, theirs = kind_of(own), kind_of(other)
    if own == other:
        return _plain_parts(expression, mine, own, sql)
    if mine in NUMBERS and theirs in NUMBERS:
        return _number_parts(expression, own, other, sql)
    if mine in MOMENTS and theirs in MOMENTS:
        return sql.tried(expression, own, "TIMESTAMP")
    return [sql.text(expression)]


def _plain_parts(expression: str, kind: Kind, own: str, sql: Dialect) -> list[str]:
    if kind == "float":
        return [expression, sql.negative_zero(expression)]
    return [sql.plain(expression, own, kind)]


def _number_parts(expression: str, own: str, other: str, sql: Dialect) -> list[str]:
    mine, theirs = kind_of(own), kind_of(other)
    if mine == "boolean":
        expression, own, mine = sql.cast(expression, "TINYINT"), "TINYINT", "integer"
    if theirs == "boolean":
        other, theirs = "TINYINT", "integer"
    if mine == theirs == "float":
        wide = sql.cast(expression, "DOUBLE")
        return [wide, sql.negative_zero(wide)]
    if "float" in (mine, theirs):
        # As floats, and once more as whole numbers or decimals: a float holds 53 bits only. A negative
        # zero has no other side to differ from.
        exact = other if mine == "float" else own
        held = exact if kind_of(exact) == "decimal" else "HUGEINT"
        return [sql.cast(expression, "DOUBLE"), sql.exactly(expression, mine == "float", held)]
    if mine == theirs == "integer":
        return [sql.cast(expression, "HUGEINT")]
    whole, scale = _common_decimal(own, other)
    if whole + scale > _WIDEST:
        return sql.tried(expression, own, f"DECIMAL({_WIDEST}, {scale})")
    return [sql.cast(expression, f"DECIMAL({whole + scale}, {scale})")]
