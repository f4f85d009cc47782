"""What users may ask of the engine, and what its refusals mean to them.

The locked instance is the wall: it opens no file outside the store, no network, no settings. This
module is the gate before it: one SELECT, that writes nothing and hides no other statement in text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import duckdb

from gitkitchen.data.engines.errors import Interrupted, SqlError
from gitkitchen.data.engines.small import kept_cursor
from gitkitchen.data.stores import Store
from gitkitchen.errors import Infrastructure, Problem

_LINE = re.compile(r"^LINE (\d+):.*", re.M)
_POINTER = re.compile(r"\n\s*\^+\s*$", re.M)

# Functions that run text as SQL, open files, take addresses in memory, or change the engine's state.
_REFUSED = (
    r"query|query_table|json_execute_serialized_sql|read_\w+|parquet_\w+|glob|sniff_csv|arrow_scan\w*"
    r"|pandas_scan|python_\w+|\w*external_resource\w*|(?:enable|disable|truncate)_\w+"
    r"|(?:force_)?checkpoint|seq_scan|write_log"
)
_FUNCTION = re.compile(rf"(?:{_REFUSED})", re.I)
_SUSPECT = re.compile(rf"\b(?:{_REFUSED}|insert|update|delete|merge)\b", re.I)
_WRITES = ("INSERT_", "UPDATE_", "DELETE_", "MERGE_")

_CANDIDATES = 4
"""How many functions of a name are shown where none fits."""

_DISK = {
    "No space left": "free some space on that disk, then run the same command again",
    "File too large": "raise the limit on the size of files (ulimit -f), then run the same command again",
    "Disk quota": "raise the quota or free some space, then run the same command again",
    "Read-only file system": "set `store:` in kitchen.yml to a folder that can be written",
    "Permission denied": "make the folder writable for this user, then run the same command again",
    "Input/output error": "run the same command again when the disk works",
}


def one_select(sql: str) -> str:
    """The text of one query without its semicolon; SqlError for everything else.

    The engine's own parser decides, so that no comment, quote or bracket can hide a second statement.
    """
    if "\0" in sql:
        raise SqlError("SQL cannot hold a NUL character")
    if not sql.isascii() and any("\ud800" <= c <= "\udfff" for c in sql):
        raise SqlError("SQL must be text that UTF-8 can hold")
    try:
        # Of the module's own function every process would pay a database more, which nobody else needs.
        statements = kept_cursor().extract_statements(sql)
    except duckdb.Error as error:
        raise sql_error(error, before=0) from None
    if len(statements) != 1:
        what = "is empty" if not statements else f"holds {len(statements)} statements"
        raise SqlError(f"one SELECT is needed, and this {what}")
    kind = statements[0].type
    if kind == duckdb.StatementType.MULTI:
        raise SqlError("PIVOT needs its values: PIVOT … ON column IN (value, …)")
    if kind != duckdb.StatementType.SELECT:
        raise SqlError(f"one SELECT is needed, and this is {kind.name}")
    if _SUSPECT.search(sql) or _names_a_path(sql):
        _refuse_hidden(sql)
    return without_semicolon(sql)


def without_semicolon(sql: str) -> str:
    """One statement's text up to its closing semicolon, found by the engine's own tokens."""
    if ";" not in sql:
        return sql
    raw = sql.encode()
    end = len(raw)
    for offset, kind in reversed(duckdb.tokenize(sql)):
        if kind == duckdb.token_type.comment:
            continue
        if raw[offset : offset + 1] != b";":
            break
        end = offset
    return raw[:end].decode()


def _names_a_path(sql: str) -> bool:
    """Whether a string or a quoted name holds a slash: in a table's place it would be a file of the store."""
    if "/" not in sql and "\\" not in sql:
        return False
    raw, tokens = sql.encode(), duckdb.tokenize(sql)
    ends = [offset for offset, _ in tokens[1:]] + [len(raw)]
    return any(
        raw[start : start + 1] in b"'\"$eEuU" and (b"/" in raw[start:end] or b"\\" in raw[start:end])
        for (start, kind), end in zip(tokens, ends, strict=True)
        if kind in (duckdb.token_type.string_const, duckdb.token_type.identifier)
    )


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    """An empty database of its own that only parses: a cursor of it costs less than a database."""
    return duckdb.connect(":memory:")


def _refuse_hidden(sql: str) -> None:
    """Look at the parsed statement where a word in it could be more than a column's name."""
    with _parser().cursor() as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree.get("error"):
        words = ", ".join(sorted({m.group().lower() for m in _SUSPECT.finditer(sql)}) or ["paths in quotes"])
        raise SqlError(f"this SELECT cannot be checked; write it without: {words}")
    hint = "read files with a `source` node; tables by their names"
    for node in _walk(tree):
        name = str(node.get("function_name", ""))
        if name and _FUNCTION.fullmatch(name):
            raise SqlError(f"the function {name}() is not for recipes: {hint}")
        if node.get("type") == "BASE_TABLE":
            table = ".".join(str(node.get(f"{part}_name") or "") for part in ("catalog", "schema", "table"))
            if "/" in table or "\\" in table:
                raise SqlError(f"the file '{table.lstrip('.')}' is not for recipes: {hint}")
        if str(node.get("type", "")).startswith(_WRITES):
            raise SqlError("one SELECT is needed, and this writes")


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of a parsed statement, however deep, without recursion."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


def refuse_folded(names: Sequence[str]) -> None:
    """DuckDB takes column names that differ in case alone for one: such a table could not be queried."""
    seen: dict[str, str] = {}
    for name in names:
        # The engine folds ASCII letters only.
        folded = "".join(c.lower() if c.isascii() else c for c in name)
        if folded in seen:
            other = seen[folded]
            what = "differ in case alone" if other != name else "have one name"
            raise SqlError(f"columns '{other}' and '{name}' {what}: SQL takes them for the same; rename one")
        seen[folded] = name


@contextmanager
def explained(store: Store | None = None, *, before: int = 1, sources: bool = False) -> Iterator[None]:
    """Errors of the engine as ours: interrupted, out of disk or memory, or a mistake in the SQL.

    ``before`` lines of ours stand before the user's. ``sources``: a file that cannot be read is the
    source's, not the store's.
    """
    try:
        yield
    except duckdb.InterruptException as error:
        raise Interrupted from error
    except (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.InternalException) as error:
        hint = "free memory or disk space, then run again"
        raise Infrastructure(Problem(f"DuckDB gave up: {_first(error)}", hint=hint, code="engine")) from error
    except duckdb.IOException as error:
        hint = next((h for word, h in _DISK.items() if word in str(error)), "")
        if store is None or not hint or (sources and str(store.root) not in str(error)):
            raise sql_error(error, before=before) from error
        message = f"the store {store.root} cannot be written: {_first(error)}"
        raise Infrastructure(Problem(message, hint=hint, code="store")) from error
    except duckdb.Error as error:
        raise sql_error(error, before=before) from error


def sql_error(error: duckdb.Error, *, before: int = 1) -> SqlError:
    """DuckDB's message without its drawing of the line, and the line within the user's SQL."""
    text = str(error)
    found = _LINE.search(text)
    line = max(int(found.group(1)) - before, 1) if found else 1
    message = _POINTER.sub("", _LINE.sub("", text)).strip()
    return SqlError(_on_one_line(message), line)


def _on_one_line(message: str) -> str:
    """All that a message says, but of a long list of candidates the first few."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    end = next((n + 1 for n, line in enumerate(lines) if line == "Candidate functions:"), len(lines))
    said, candidates = " ".join(lines[:end]), lines[end:]
    if len(candidates) > _CANDIDATES:
        candidates = [*candidates[:_CANDIDATES], f"and {len(candidates) - _CANDIDATES} more"]
    return f"{said} {'; '.join(candidates)}".strip()


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
