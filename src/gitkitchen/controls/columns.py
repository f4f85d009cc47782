"""Column types as tests see them: families, values written as SQL, and what least and greatest prove."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from gitkitchen.controls.dialect import DUCKDB, Dialect
from gitkitchen.data.sql import literal, quote_identifier
from gitkitchen.frozen import dataclass
from gitkitchen.model import ColumnStats

Family = Literal["integer", "decimal", "float", "text", "date", "timestamp", "time", "boolean", "other"]
NUMBERS = frozenset({"integer", "decimal", "float"})
MOMENTS = frozenset({"date", "timestamp", "time"})

_INTEGERS = frozenset(
    prefix + size for prefix in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
)
_WIDEST = 2**127 - 1
_ALIASES = {
    "INT1": "TINYINT", "INT2": "SMALLINT", "SHORT": "SMALLINT", "INT": "INTEGER", "INT4": "INTEGER",
    "SIGNED": "INTEGER", "INT8": "BIGINT", "LONG": "BIGINT", "INT64": "BIGINT", "INT32": "INTEGER",
    "INT16": "SMALLINT", "STRING": "VARCHAR", "TEXT": "VARCHAR", "CHAR": "VARCHAR", "BPCHAR": "VARCHAR",
    "BOOL": "BOOLEAN", "LOGICAL": "BOOLEAN", "FLOAT4": "FLOAT", "REAL": "FLOAT", "FLOAT8": "DOUBLE",
    "NUMERIC": "DECIMAL", "DATETIME": "TIMESTAMP", "TIMESTAMP_US": "TIMESTAMP", "BYTEA": "BLOB",
    "BINARY": "BLOB", "VARBINARY": "BLOB",
}  # fmt: skip


def family(type_name: str) -> Family:
    """The family of a type as the engine names it: ``DECIMAL(10,2)`` is a decimal."""
    name = type_name.upper()
    if name.endswith("]") or name == "TIME WITH TIME ZONE":
        return "other"
    head = re.split(r"[ (]", name, maxsplit=1)[0]
    head = _ALIASES.get(head, head)
    if head in _INTEGERS:
        return "integer"
    if head in ("VARCHAR", "ENUM", "JSON", "UUID"):
        return "text"
    if head.startswith("TIMESTAMP"):
        return "timestamp"
    plain: dict[str, Family] = {
        "DECIMAL": "decimal", "FLOAT": "float", "DOUBLE": "float", "DATE": "date", "TIME": "time",
        "BOOLEAN": "boolean",
    }  # fmt: skip
    return plain.get(head, "other")


def same_type(declared: str, actual: str) -> bool:
    """True where two names mean one type: ``text`` is ``VARCHAR``, ``numeric(9, 2)`` ``DECIMAL(9,2)``."""
    return _canonical(declared) == _canonical(actual)


def _canonical(type_name: str) -> str:
    words = re.sub(r"\s+", " ", type_name.strip().upper())
    words = re.sub(r"\s*([(),\[\]])\s*", r"\1", words)
    words = re.sub(r"[A-Z_][A-Z_0-9]*", lambda word: _ALIASES.get(word[0], word[0]), words)
    words = re.sub(r"^VARCHAR\(\d+\)$", "VARCHAR", words)
    words = words.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")
    words = re.sub(r"^DECIMAL\((\d+)\)$", r"DECIMAL(\1,0)", words)
    return "DECIMAL(18,3)" if words == "DECIMAL" else words


def value_sql(type_name: str, value: object, dialect: Dialect = DUCKDB) -> str:
    """``value`` as SQL that compares exactly with a column of this type.

    Raises ``ValueError`` with what is wrong where no value of the type can equal it.
    """
    kind = family(type_name)
    if kind == "text" and isinstance(value, str):
        return literal(value)
    if kind == "boolean" and isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if kind in NUMBERS and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number_sql(type_name, value, dialect)
    if kind in MOMENTS and isinstance(value, str | date | time):
        return _moment_sql(type_name, value)
    raise ValueError(f"{shown(value)} is {_sort(value)}, and the column is {type_name}")


def _sort(value: object) -> str:
    names = {bool: "true or false", str: "text", int: "a number", float: "a number", Decimal: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")


def shown(value: object) -> str:
    """A value as people wrote it in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, str) else str(value)


def _number_sql(type_name: str, number: float | Decimal, dialect: Dialect) -> str:
    double = dialect.float_type("DOUBLE")
    if isinstance(number, float) and not math.isfinite(number):
        if family(type_name) != "float":
            raise ValueError(f"{shown(number)} is no value that a column of type {type_name} can hold")
        return f"CAST({literal(str(number))} AS {double})"
    plain = format(Decimal(repr(number)) if isinstance(number, float) else Decimal(number), "f")
    if family(type_name) == "integer" and (number != int(number) or not -_WIDEST <= number <= _WIDEST):
        raise ValueError(f"{shown(number)} is no value that a column of type {type_name} can hold")
    if family(type_name) == "float":
        # A FLOAT holds 0.1 as 0.100000001…: the limit is rounded as the column's values were.
        named = dialect.float_type("FLOAT") if type_name.upper() == "FLOAT" else double
        return f"CAST({literal(plain)} AS {named})"
    return plain if len(plain.strip("-")) <= 38 else f"CAST({literal(plain)} AS {double})"


def moment(value: object, kind: Family) -> datetime | time:
    """ISO text, a date or a time as one comparable value in UTC; ``ValueError`` where it is none."""
    if isinstance(value, str):
        text = value.strip()
        read: Callable[[str], datetime | time] = (
            time.fromisoformat if kind == "time" else datetime.fromisoformat
        )
        try:
            value = read(text)
        except ValueError:
            raise ValueError(f"{value!r} is not a {'time' if kind == 'time' else 'date or time'}") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime) and kind != "time":
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, time) and kind == "time":
        return value.replace(tzinfo=None)
    raise ValueError(f"{shown(value)} is not a {'time' if kind == 'time' else 'date or time'}")


def _moment_sql(type_name: str, value: object) -> str:
    kind = family(type_name)
    at = moment(value, kind)
    if isinstance(at, time):
        return f"CAST({literal(at.isoformat())} AS TIME)"
    if "WITH TIME ZONE" in type_name.upper():
        return f"CAST({literal(at.isoformat(' ') + '+00')} AS TIMESTAMP WITH TIME ZONE)"
    if at.time() == time():
        return f"CAST({literal(at.date().isoformat())} AS {'DATE' if kind == 'date' else 'TIMESTAMP'})"
    return f"CAST({literal(at.isoformat(' '))} AS TIMESTAMP)"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a column's values, as comparable Python values; ``strict`` excludes the bounds."""

    type_name: str
    low: Any = None
    high: Any = None
    strict: bool = False
    dialect: Dialect = DUCKDB

    def outside(self, least: str, greatest: str) -> str:
        """SQL that is true where ``least`` lies too low, ``greatest`` too high, or either is not a number.

        Given one column twice it judges a row; given min() and max() it judges a whole table, as
        NaN is the greatest of all floats.
        """
        under, over = ("<=", ">=") if self.strict else ("<", ">")
        parts = []
        if self.low is not None:
            parts.append(f"{least} {under} {value_sql(self.type_name, self.low, self.dialect)}")
        if self.high is not None:
            parts.append(f"{greatest} {over} {value_sql(self.type_name, self.high, self.dialect)}")
        if family(self.type_name) == "float":
            parts.append(self.dialect.is_nan(greatest))
        return "(" + " OR ".join(parts) + ")"

    def proved_by(self, stats: ColumnStats) -> bool:
        """True where a manifest's least and greatest value prove that every value lies inside.

        Floats are never proved: a footer's figures leave NaN out.
        """
        read = reader(self.type_name)
        if read is None or stats.minimum is None or stats.maximum is None:
            return False
        try:
            least, greatest = read(stats.minimum), read(stats.maximum)
        except (ValueError, InvalidOperation):
            return False
        if self.strict:
            return (self.low is None or self.low < least) and (self.high is None or greatest < self.high)
        return (self.low is None or self.low <= least) and (self.high is None or greatest <= self.high)


def reader(type_name: str) -> Callable[[str], Any] | None:
    """How a manifest's figure of this type is read back as a comparable value; None: not to be relied on."""
    kind = family(type_name)
    if kind == "integer":
        return int
    if kind == "decimal":
        return Decimal
    if kind in MOMENTS and type_name.upper() != "TIMESTAMP_NS":  # finer than Python's times
        return lambda text: moment(text, kind)
    return None


def limits(type_name: str, low: object, high: object, strict: bool, dialect: Dialect = DUCKDB) -> Limits:
    """Bounds that fit the type; ``ValueError`` with what is wrong where they do not."""
    kind = family(type_name)
    if kind not in NUMBERS and kind not in MOMENTS:
        raise ValueError(f"a range needs numbers, dates or times, and the column is {type_name}")
    ends = [
        _end(type_name, value, lower=lower, strict=strict) for value, lower in ((low, True), (high, False))
    ]
    if ends == [None, None]:
        raise ValueError("a range needs `min` or `max`")
    return Limits(type_name, ends[0], ends[1], strict, dialect)


def _end(type_name: str, value: object, *, lower: bool, strict: bool) -> Any:
    if value is None:
        return None
    kind = family(type_name)
    if kind in MOMENTS:
        if isinstance(value, str | date | time):
            return moment(value, kind)
        raise ValueError(f"{shown(value)} is a number, and the column is {type_name}")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        # Callers tell misfits by ValueError alone, whatever is wrong with a value.
        raise ValueError(f"{shown(value)} is {_sort(value)}, and the column is {type_name}")  # noqa: TRY004
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("NaN is no limit")
    if kind == "float":
        return value
    if isinstance(value, float) and math.isinf(value):
        return None if (float(value) < 0) == lower else (_WIDEST if value > 0 else -_WIDEST)
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value))
    if kind == "decimal":
        return exact
    # Whole numbers: the nearest whole limit says the same and never overflows.
    whole = math.ceil(exact) if lower != strict else math.floor(exact)
    return max(-_WIDEST, min(_WIDEST, whole))


def quoted(columns: tuple[str, ...]) -> list[str]:
    """Each name as a quoted identifier."""
    return [quote_identifier(c) for c in columns]
