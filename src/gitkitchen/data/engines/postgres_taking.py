"""Tables that somebody else may have written: copied only where they are plain, compared, or replaced."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_sql import literal, quoted, told
from gitkitchen.data.engines.postgres_store import SCHEMA, Relations
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
            AND (t.typtype <> 'b' OR t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace
                 OR a.attgenerated <> ''))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s
"""
"""Whether a relation is a table alone; whether reading it can run nobody's code at all: PostgreSQL's own
types, and no expression beside it: also none of a generated column, which reading computes."""


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


def replace_damaged(
    connection: Connection[Any], own: str, name: str, dataset: str, relations: Relations
) -> None:
    """Put the table ``own`` in the place of one that was written to.

    Where the views of kitchens stand on that one, it steps aside under the name of what it holds now, and the
    next refresh of each kitchen makes its view anew. Infrastructure where somebody else's view stands on it,
    or it is another role's: then people must know.
    """
    from psycopg import errors

    refused = errors.DependentObjectsStillExist, errors.InsufficientPrivilege, errors.WrongObjectType
    try:
        try:
            with connection.transaction():
                connection.execute(f"DROP TABLE {quoted(SCHEMA, name)}".encode())
        except errors.DependentObjectsStillExist:
            views = _kitchens_views(connection, name) if is_plain(connection, name) else None
            if views is None:
                raise
            _step_aside(connection, name, dataset, relations, views)
        with connection.transaction():
            connection.execute(f"ALTER TABLE {own} RENAME TO {quote_identifier(name)}".encode())
    except refused as error:
        message = f"dataset '{dataset}': the warehouse's table {name} holds other rows than were written"
        hint = f"find out who wrote to it, drop {SCHEMA}.{name} with its views, and run the recipe again"
        raise Infrastructure(Problem(message, hint=hint, code="damaged-table")) from error


def _kitchens_views(connection: Connection[Any], name: str) -> dict[str, set[str]] | None:
    """The views that stand on a table, by schema; None where one of them is no kitchen's."""
    rows = connection.execute(
        "SELECT k.schema, v.relname, k.shown FROM pg_catalog.pg_depend d "
        "LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
        "AND r.oid = d.objid LEFT JOIN pg_catalog.pg_class v ON v.oid = r.ev_class "
        "LEFT JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace "
        f"LEFT JOIN {SCHEMA}.kitchens k ON k.schema = n.nspname "
        "WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
        "AND d.refobjid = %s::pg_catalog.regclass AND d.deptype = 'n'",
        [quoted(SCHEMA, name)],
    ).fetchall()
    found: dict[str, set[str]] = {}
    for schema, view, shown in rows:
        if schema is None or view is None or view not in json.loads(shown):
            return None
        found.setdefault(str(schema), set()).add(str(view))
    return found


def _step_aside(
    connection: Connection[Any],
    name: str,
    dataset: str,
    relations: Relations,
    views: Mapping[str, Collection[str]],
) -> None:
    """Give a table the name of what it holds now, by which it is cleared up once nothing shows it, and let
    the kitchens that show it make those views anew."""
    found = quoted(SCHEMA, name)
    content = measured(connection, found)[2]
    aside = relations.name(dataset, content)
    stamp = {"zone": relations.zone, "dataset": dataset, "content": content}
    stamp["made"] = datetime.now(UTC).isoformat(timespec="seconds")
    with connection.transaction():
        connection.execute(f"COMMENT ON TABLE {found} IS {literal(json.dumps(stamp))}".encode())
        connection.execute(f"ALTER TABLE {found} RENAME TO {quote_identifier(aside)}".encode())
        for schema, names in sorted(views.items()):
            row = connection.execute(
                f"SELECT shown FROM {SCHEMA}.kitchens WHERE schema = %s FOR UPDATE", [schema]
            ).fetchone()
            shown = json.loads(row[0]) if row else {}
            shown |= dict.fromkeys(shown.keys() & set(names), "")
            connection.execute(
                f"UPDATE {SCHEMA}.kitchens SET shown = %s WHERE schema = %s", [json.dumps(shown), schema]
            )
