"""Versions on PostgreSQL: which table or query each is, what is measured of it, and tables in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.errors import SqlError
from gitkitchen.data.engines.postgres_sql import one_select, quoted, told
from gitkitchen.data.engines.postgres_store import SCHEMA
from gitkitchen.data.sql import quote_identifier
from gitkitchen.errors import Mistake, Problem
from gitkitchen.files import digest
from gitkitchen.model import Column, ColumnStats, Version

if TYPE_CHECKING:
    from psycopg import Connection

    from gitkitchen.data.engines.postgres_server import Warehouse

SCHEME = "postgres rows 2"
"""The name of the content digest's scheme: it stands in the digest, so that no other engine's is equal."""
ROW = '"the whole row, under a name that no column has"'
TOGETHER = 1 << 20
"""So many rows' hashes, 32 bytes each, are put into one value; of more, those that begin alike."""


def relation(version: Version) -> str:
    """A version as a SELECT over its physical table: for a view, its SQL with its inputs around it."""
    if version.relation is not None:
        return f"SELECT * FROM {quoted(SCHEMA, version.relation)}"
    if version.format == "view":
        one_select(str(version.sql))  # a manifest is read from a store: its text passes the gate again
        return f"{bindings(version.inputs)} SELECT * FROM (\n{version.sql}\n) AS {ROW}".lstrip()
    if version.format == "file":
        raise Mistake(Problem(f"dataset '{version.dataset}' is a file, not a table"))
    hint = "run the recipe again: what another engine built is built anew"
    raise Mistake(Problem(f"dataset '{version.dataset}' is not in this warehouse", hint=hint))


def standing(version: Version) -> str:
    """A version as it stands after FROM. The names that a view's SQL uses are bound within it."""
    if version.relation is not None:
        return quoted(SCHEMA, version.relation)
    return f"({relation(version)}) AS {ROW}"


def bindings(inputs: Mapping[str, Version]) -> str:
    """A WITH clause that binds names to versions, "" for none."""
    bound = [
        f"{quote_identifier(n)} AS NOT MATERIALIZED ({relation(v)})"
        for n, v in inputs.items()
        if v.format != "file"
    ]
    return f"WITH {', '.join(bound)}" if bound else ""


def in_place(config: Mapping[str, Any]) -> str:
    """The quoted name of a source's table: ``schema.table``."""
    schema, _, table = str(config["table"]).partition(".")
    return quoted(schema, table)


def measured(
    connection: Connection[Any], table: str
) -> tuple[tuple[Column, ...], int, str, dict[str, ColumnStats]]:
    """Columns, rows, content digest and how many NULLs, all in the server.

    The digest is over the columns' names and types, the number of rows, and the sha256 of the sorted sha256
    of each row's text: a multiset, whatever the rows' order, and nobody can make other rows of the same
    digest. The text of a row is that of ``ROW(…)::text``, which tells NULL from the empty text, under
    settings that SESSION fixes.
    """
    shape = shape_of(connection, table)
    names = [name for name, _ in shape]
    counts = "".join(f", count({ROW}.{quote_identifier(n)})" for n in names)
    row = connection.execute(f"SELECT count(*){counts} FROM {table} AS {ROW}".encode()).fetchone()
    assert row is not None
    rows = int(row[0])
    stats = {n: ColumnStats(rows - int(there)) for n, there in zip(names, row[1:], strict=True)}
    found = connection.execute(digesting(table, rows).encode()).fetchone()
    content = digest([SCHEME, shape, str(rows), found[0].hex() if found and found[0] else ""])
    return tuple(Column(n, told(kind)) for n, kind in shape), rows, content, stats


def digesting(table: str, rows: int) -> str:
    """The SELECT of one digest over all rows. No value in it grows beyond some tens of megabytes: of many
    rows, the hashes are digested by their first bytes, and then those digests."""
    hashes = f"SELECT sha256(convert_to(ROW({ROW}.*)::text, 'UTF8')) AS h FROM {table} AS {ROW}"
    together = "sha256(string_agg(h, ''::bytea ORDER BY h))"
    if rows <= TOGETHER:
        return f"SELECT {together} FROM ({hashes}) AS q"
    first = 1 if rows <= TOGETHER << 8 else 2
    parts = f"SELECT substr(h, 1, {first}) AS b, {together} AS d FROM ({hashes}) AS q GROUP BY 1"
    return f"SELECT sha256(string_agg(d, ''::bytea ORDER BY b)) FROM ({parts}) AS p"


def renamed(connection: Connection[Any], table: str, name: str) -> bool:
    """Give a table its name in the store schema; False where another has it, also one that a transaction
    beside ours is just giving it to: then this waits for its end."""
    from psycopg import errors

    try:
        with connection.transaction():
            connection.execute(f"ALTER TABLE {table} RENAME TO {quote_identifier(name)}".encode())
    except (errors.DuplicateTable, errors.UniqueViolation):
        return False
    return True


def shape_of(connection: Connection[Any], table: str) -> list[list[str]]:
    """The columns of a relation with PostgreSQL's own names of their types."""
    rows = connection.execute(
        "SELECT attname, pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute "
        "WHERE attrelid = %s::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [table],
    ).fetchall()
    return [[str(name), str(kind)] for name, kind in rows]


def probe(warehouse: Warehouse, name: str, config: Mapping[str, Any]) -> str | None:
    """The identity of a table in place: its columns, its rows, the maximum of ``watch:``; None without it.

    Mistake where there is no such table, or no such column.
    """
    watch = config.get("watch")
    if watch is None:
        return None
    table = in_place(config)
    try:
        with warehouse.session() as own:
            shape = shape_of(own, table)
            column = quote_identifier(str(watch))
            row = own.execute(f"SELECT count(*), max({column})::text FROM {table}".encode()).fetchone()
    except SqlError as error:
        message = f"source '{name}': the table {config['table']} cannot be watched: {error.message}"
        raise Mistake(Problem(message, hint="mend `table:` or `watch:`", code="source")) from None
    assert row is not None
    return digest(["table", shape, int(row[0]), row[1]])


def names_of(versions: Iterable[Version]) -> set[str]:
    """The physical tables that versions stand on."""
    found: set[str] = set()
    for version in versions:
        if version.relation is not None:
            found.add(version.relation)
        found |= names_of(version.inputs.values())
    return found
