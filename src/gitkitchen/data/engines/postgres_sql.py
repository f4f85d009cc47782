"""SQL for PostgreSQL: values and types as text, and the gate before what users write.

Two walls stand behind the gate. A user's text is sent as one statement of the extended protocol, as a
derived table of our own SELECT: PostgreSQL itself refuses a second statement, and writing in a WITH
clause. And it runs with an empty search_path, so that unqualified names are datasets or nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.sql import inline_parameters, quote_identifier

LONGEST_NAME = 63
"""Bytes: PostgreSQL cuts longer names without a word, and two could become one."""

# What answers differently each time, and does nothing else: recipes may call it.
HARMLESS = frozenset(
    {"random", "setseed", "clock_timestamp", "timeofday", "gen_random_uuid", "pg_sleep", "random_normal"}
    | {"array_sample", "array_shuffle", "uuidv4", "uuidv7"}
    | {"timezone"}  # volatile in PostgreSQL 14 alone, where it would bar columns of that name as well
)
# These read what they are told to by name or by text, and are not marked as volatile.
READERS = frozenset(
    {
        f"{what}_to_xml{more}"
        for what in ("table", "schema", "database")
        for more in ("", "schema", "_and_xmlschema")
    }
    | {
        "query_to_xml",
        "query_to_xmlschema",
        "query_to_xml_and_xmlschema",
        "cursor_to_xml",
        "cursor_to_xmlschema",
    }
    | {"current_setting", "pg_get_userbyid", "pg_show_all_settings"}
)
INFORMATIVE = frozenset({"pg_sleep", "pg_typeof", "pg_column_size", "pg_size_pretty", "pg_input_is_valid"})
"""All other functions of this prefix tell of the server, or change it."""
HINT = "read files with a `source` node, and tables by their names"


# --- values ------------------------------------------------------------------------------------------


def literal(value: Any) -> str:
    """A value as a literal of PostgreSQL that reads back as the same value.

    Takes what ``data.sql.literal`` takes. Raises ValueError for anything else.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case float():
            return (
                f"'{value!r}'::double precision" if math.isfinite(value) else f"'{value}'::double precision"
            )
        case Decimal() if value.is_finite():
            return format(value, "f")
        case str() | Path():
            return _text(str(value))
        case bytes():
            return f"'\\x{value.hex()}'::bytea"
        case datetime():
            kind = "timestamp" if value.tzinfo is None else "timestamptz"
            return f"'{value.isoformat(sep=' ')}'::{kind}"
        case date():
            return f"'{value.isoformat()}'::date"
        case time() if value.tzinfo is None:
            return f"'{value.isoformat()}'::time"
        case timedelta():
            return f"'{value // timedelta(microseconds=1)} microseconds'::interval"
        case list() | tuple() if value:
            return f"ARRAY[{', '.join(literal(v) for v in value)}]"
    raise ValueError(f"a {type(value).__name__} cannot be written as SQL of PostgreSQL: {value!r}")


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("text with a NUL character cannot be written as SQL")
    return "'" + value.replace("'", "''") + "'"


def inlined(sql: str, params: Mapping[str, Any] | None) -> str:
    """A SELECT with its ``$name`` parameters as literals."""
    if not params:
        return sql
    try:
        return inline_parameters(sql, params, literal)
    except ValueError as error:
        raise SqlError(str(error)) from None


# --- types -------------------------------------------------------------------------------------------

_TOLD = {
    "integer": "INTEGER", "bigint": "BIGINT", "smallint": "SMALLINT", "text": "VARCHAR", "real": "FLOAT",
    "double precision": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE", "bytea": "BLOB", "uuid": "UUID",
    "numeric": "NUMERIC", "interval": "INTERVAL", "json": "JSON", "jsonb": "JSON",
    "timestamp without time zone": "TIMESTAMP", "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "time without time zone": "TIME", "time with time zone": "TIME WITH TIME ZONE",
    "character varying": "VARCHAR",
}  # fmt: skip


def told(kind: str) -> str:
    """A type of ``format_type()`` in the words that manifests use for every engine."""
    if kind.endswith("[]"):
        return f"{told(kind[:-2])}[]"
    if found := re.fullmatch(r"numeric\((\d+),(-?\d+)\)", kind):
        return f"DECIMAL({found[1]},{found[2]})"
    if found := re.fullmatch(r"character varying\((\d+)\)", kind):
        return f"VARCHAR({found[1]})"
    if found := re.fullmatch(r"(timestamp|time)\((\d)\) (with(?:out)? time zone)", kind):
        return told(f"{found[1]} {found[3]}")
    return _TOLD.get(kind, kind)


_LOADED = {
    "TINYINT": "smallint", "SMALLINT": "smallint", "INTEGER": "integer", "BIGINT": "bigint",
    "UTINYINT": "smallint", "USMALLINT": "integer", "UINTEGER": "bigint", "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(39,0)", "UHUGEINT": "numeric(39,0)", "FLOAT": "real", "DOUBLE": "double precision",
    "VARCHAR": "text", "BOOLEAN": "boolean", "DATE": "date", "TIME": "time", "BLOB": "bytea", "UUID": "uuid",
    "INTERVAL": "interval", "JSON": "jsonb", "TIMESTAMP": "timestamp", "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp", "TIMESTAMP_NS": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "TIME WITH TIME ZONE": "timetz", '"NULL"': "text",
}  # fmt: skip


def loaded(kind: str) -> str:
    """The type of PostgreSQL for one of DuckDB's: lists, structs and maps become jsonb, enums text."""
    if kind in _LOADED:
        return _LOADED[kind]
    if found := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        return f"numeric({found[1]},{found[2]})"
    nested = kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION("))
    return "jsonb" if nested else "text"


def refuse_names(names: Collection[str]) -> None:
    """Columns that PostgreSQL would cut, or take for its own. Raises SqlError."""
    for name in names:
        if len(name.encode()) > LONGEST_NAME:
            raise SqlError(f"the column '{name[:80]}' is longer than {LONGEST_NAME} bytes: rename it")


# --- the gate ----------------------------------------------------------------------------------------


class Read(NamedTuple):
    """What the gate read of one SELECT: the text without its semicolon, its parameters, and the words
    that could name functions (``called``: those before a parenthesis)."""

    text: str
    parameters: frozenset[str]
    words: frozenset[str]
    called: frozenset[str]
    tables: frozenset[str]


@lru_cache(maxsize=512)
def one_select(sql: str) -> Read:
    """One query that writes and locks nothing and names no schema; SqlError for everything else."""
    if "\0" in sql:
        raise SqlError("SQL cannot hold a NUL character")
    if any("\ud800" <= c <= "\udfff" for c in sql):
        raise SqlError("SQL must be text that UTF-8 can hold")
    if re.search(r"[uU]&['\"]", sql):
        raise SqlError("names and strings with U& cannot be checked: write the characters themselves")
    tokens, tree = _parsed(sql)
    end = len(sql)
    while tokens and tokens[-1].text == ";" and tokens[-1].token_type.name == "SEMICOLON":
        end = tokens.pop().start
    _refuse(tree)
    called = set()
    for token, after in pairwise(tokens):
        if after.token_type.name == "L_PAREN":
            called.add(token.text.lower())
    words = {w.lower() for w in re.findall(r"[^\W\d]\w*", sql)}
    return Read(sql[:end], frozenset(_parameters(tree)), frozenset(words), frozenset(called), _tables(tree))


def _parsed(sql: str) -> tuple[list[Any], Any]:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.errors import SqlglotError

    try:
        dialect = Dialect.get_or_raise("postgres")
        tokens = list(dialect.tokenize(sql))
        trees = [t for t in dialect.parser().parse(tokens, sql) if t is not None and not _is_empty(t)]
    except (SqlglotError, RecursionError, ValueError) as error:
        line = _line(error)
        raise SqlError("this SQL cannot be read as one SELECT of PostgreSQL", line) from None
    if len(trees) != 1:
        what = "is empty" if not trees else f"holds {len(trees)} statements"
        raise SqlError(f"one SELECT is needed, and this {what}")
    tree = trees[0]
    if not isinstance(tree, (exp.Query, exp.Values)):
        raise SqlError(f"one SELECT is needed, and this is {type(tree).__name__.upper()}")
    return tokens, tree


def _is_empty(tree: Any) -> bool:
    return type(tree).__name__ == "Semicolon"


def _line(error: Exception) -> int:
    details = getattr(error, "errors", None)
    return int(details[0].get("line") or 1) if details else 1


def _refuse(tree: Any) -> None:
    from sqlglot import exp

    for node in tree.walk():
        if isinstance(node, (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Merge)) and not isinstance(
            node, exp.Query
        ):
            raise SqlError("one SELECT is needed, and this writes")
        if isinstance(node, exp.Lock):
            raise SqlError("a SELECT of a recipe locks nothing: leave FOR UPDATE and FOR SHARE out")
        if isinstance(node, exp.Table) and (node.args.get("db") or node.args.get("catalog")):
            name = ".".join(p.name for p in node.parts if hasattr(p, "name"))
            raise SqlError(f"`{name}` names a schema, and only datasets can be read: {HINT}")


def _tables(tree: Any) -> frozenset[str]:
    from sqlglot import exp

    return frozenset(t.name for t in tree.find_all(exp.Table) if isinstance(t.this, exp.Identifier))


def _parameters(tree: Any) -> Iterator[str]:
    from sqlglot import exp

    for node in tree.find_all(exp.Placeholder, exp.Parameter):
        name = node.this if isinstance(node.this, str) else getattr(node.this, "name", "")
        if name and not str(name).isdigit():
            yield str(name)


def refuse_functions(read: Read, volatile: Mapping[str, bool]) -> None:
    """Refuse functions with effects. ``volatile``: the words that name a volatile function of this
    database, and whether it is one of PostgreSQL's own.

    A word of PostgreSQL's own is refused wherever it stands, so that no way of writing hides a call.
    """
    server = {n for n in read.called if n.startswith("pg_") and n not in INFORMATIVE}
    for name in sorted(read.words & READERS | server):
        raise SqlError(f"the function {name}() is not for recipes: {HINT}")
    for name, own in sorted(volatile.items()):
        if name not in HARMLESS and (own or name in read.called):
            raise SqlError(
                f"the function {name}() may have effects (it is volatile), and is not for recipes: {HINT}"
            )


def quoted(schema: str, name: str) -> str:
    """A relation by its full name."""
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"
