"""SQL text made from names and values: the only place where either becomes SQL.

Pure text, without a database: quoting, literals, parameters put in place for views.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

LONGEST_INTEGER = 2**127

# What a parameter's dollar sign may stand inside of: those spans are copied as they are.
_SPANS = re.compile(
    r"""
      (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'   # a string with escapes
    | '(?:[^']|'')*'                       # a string
    | "(?:[^"]|"")*"                       # a quoted name
    | --[^\n]*                             # a comment to the end of the line
    | (?P<comment>/\*)                     # a block comment begins; it may hold others
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$   # a dollar-quoted string
    | (?<![\w$])\$(?P<name>[^\W\d]\w*)   # a parameter
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_WILD = re.compile(r"[*?\[]")


def quote_identifier(name: str) -> str:
    """A name as SQL, whatever it is made of. Raises ValueError for the empty name and NUL."""
    if not name or "\0" in name:
        raise ValueError(f"not a name for SQL: {name!r}")
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value as a SQL literal that reads back as the same value.

    Takes None, booleans, numbers, text, paths, bytes, dates, times, durations, lists and mappings.
    Raises ValueError for anything else.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() if -LONGEST_INTEGER < value < LONGEST_INTEGER:
            return str(value)
        case float():
            return repr(value) + "::DOUBLE" if math.isfinite(value) else f"'{value}'::DOUBLE"
        case Decimal() if value.is_finite():
            return format(value, "f")
        case str():
            return _text(value)
        case Path():
            return _text(str(value))
        case bytes():
            return "'" + "".join(f"\\x{b:02X}" for b in value) + "'::BLOB"
        case _:
            return _composed(value)


def _composed(value: Any) -> str:
    match value:
        case datetime():
            kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
            return f"'{value.isoformat(sep=' ')}'::{kind}"
        case date():
            return f"'{value.isoformat()}'::DATE"
        case time() if value.tzinfo is None:
            return f"'{value.isoformat()}'::TIME"
        case timedelta():
            return f"to_microseconds({value // timedelta(microseconds=1)})"
        case list() | tuple():
            return "[" + ", ".join(literal(v) for v in value) + "]"
        case Mapping() if value and all(isinstance(k, str) for k in value):
            return "{" + ", ".join(f"{_text(k)}: {literal(v)}" for k, v in value.items()) + "}"
    raise ValueError(f"a {type(value).__name__} cannot be written as SQL: {value!r}")


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("text with a NUL character cannot be written as SQL")
    return "'" + value.replace("'", "''") + "'"


def inline_parameters(sql: str, values: Mapping[str, Any], written: Callable[[Any], str] = literal) -> str:
    """The text with each ``$name`` of ``values`` replaced by its literal, outside strings and comments.

    ``written`` makes a literal of a value (DuckDB's by default). Names that ``values`` lacks stay, so that
    the engine names them in its own error.
    """
    pieces: list[str] = []
    position = 0
    while found := _SPANS.search(sql, position):
        pieces.append(sql[position : found.start()])
        name = found["name"]
        if found["comment"]:
            position = _comment_end(sql, found.start())
        else:
            position = found.end()
        known = name is not None and name in values
        pieces.append(f"({written(values[name])})" if known else sql[found.start() : position])
    pieces.append(sql[position:])
    return "".join(pieces)


def _comment_end(sql: str, start: int) -> int:
    """Where a block comment ends; they nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth <= 0:
            return edge.end()
    return len(sql)


def file_literal(path: Path) -> str:
    """A file's path for DuckDB's readers, which take ``*``, ``?`` and ``[`` for patterns otherwise."""
    return _text(_WILD.sub(lambda found: f"[{found.group()}]", str(path)))


def read_parquet(paths: Iterable[Path]) -> str:
    """The table function over files; folder names like ``k=v`` above the store make no columns."""
    files = [file_literal(p) for p in paths]
    # One name alone is opened faster than a list of one.
    listed = files[0] if len(files) == 1 else f"[{', '.join(files)}]"
    return f"read_parquet({listed}, hive_partitioning = false)"
