"""Tables that somebody else may have written: copied only where they are plain, compared, or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_sql import quoted, told
from gitkitchen.data.engines.postgres_store import SCHEMA
from gitkitchen.data.engines.postgres_versions import measured, shape_of
from gitkitchen.data.sql import quote_identifier
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.model import Column

if TYPE_CHECKING:
    from psycopg import Connection

_PLAIN = """
SELECT c.relkind = 'r' AND c.relpersistence = 'p'
       AND NOT (c.relhasrules OR c.relrowsecurity OR c.relhassubclass OR c.relispartition),
       NOT c.relhasindex AND c.relchecks = 0 AND NOT EXISTS (
         SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND (t.typtype <> 'b' OR t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s
"""
"""Whether a relation is a table alone; whether reading it can run nobody's code at all: PostgreSQL's own
types, and no expression beside it."""


def is_plain(connection: Connection[Any], name: str, *, strictly: bool = False) -> bool:
    """Whether a relation of the store schema is a table and nothing more; ``strictly``: of built-in types. It
    stays so as long as the caller's transaction has a lock on it."""
    row = connection.execute(_PLAIN, [SCHEMA, name]).fetchone()
    return bool(row and row[0] and (row[1] or not strictly))


def copy_plain(connection: Connection[Any], name: str, columns: Sequence[Column], target: str) -> None:
    """Copy a table of the store schema to ``target`` (quoted), within the caller's transaction.

    ValueError where it is no plain table of these columns; SqlError where there is none.
    """
    source = quoted(SCHEMA, name)
    # From here on nobody can make something else of it, or give it other columns.
    connection.execute(f"LOCK TABLE ONLY {source} IN ACCESS SHARE MODE".encode())
    if not is_plain(connection, name, strictly=True):
        raise ValueError("it is no plain table")
    if tuple(Column(n, told(kind)) for n, kind in shape_of(connection, source)) != tuple(columns):
        raise ValueError("its columns are not those of its manifest")
    connection.execute(f"CREATE TABLE {target} AS SELECT * FROM ONLY {source}".encode())


def holds(connection: Connection[Any], name: str, content: str) -> bool:
    """Whether the relation that has a version's name is that version's table. Our role owns a plain table,
    and its rows have the digest: what anybody put there beforehand is not taken for ours."""
    own = connection.execute(
        "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        [SCHEMA, name],
    ).fetchone()
    if not (own and own[0]) or not is_plain(connection, name):
        return False
    return measured(connection, quoted(SCHEMA, name))[2] == content


def replace_damaged(connection: Connection[Any], own: str, name: str, dataset: str) -> None:
    """Put the table ``own`` in the place of one that was written to. Infrastructure where views stand on it,
    or it is another role's: then people must know."""
    from psycopg import errors

    try:
        with connection.transaction():
            connection.execute(f"DROP TABLE {quoted(SCHEMA, name)}".encode())
            connection.execute(f"ALTER TABLE {own} RENAME TO {quote_identifier(name)}".encode())
    except (errors.DependentObjectsStillExist, errors.InsufficientPrivilege, errors.WrongObjectType) as error:
        message = f"dataset '{dataset}': the warehouse's table {name} holds other rows than were written"
        hint = f"find out who wrote to it, drop {SCHEMA}.{name} with its views, and run the recipe again"
        raise Infrastructure(Problem(message, hint=hint, code="damaged-table")) from error
