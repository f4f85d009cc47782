"""What stands beside a view and must survive its being made anew: grants, owner, comments, options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_sql import literal
from gitkitchen.data.sql import quote_identifier
from gitkitchen.frozen import dataclass

if TYPE_CHECKING:
    from psycopg import Connection

Grant = tuple[str, str, bool]
"""Grantee ("" for PUBLIC), privilege, with grant option."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A view's surroundings. ``options`` is its WITH clause, ready for CREATE VIEW."""

    owner: str
    own: bool
    grants: frozenset[Grant]
    columns: frozenset[tuple[str, Grant]]
    comments: tuple[tuple[str, str], ...]
    """(column, or "" for the view itself; text)"""
    options: str


def keep(own: Connection[Any], oid: int) -> Kept:
    """All that stands beside a view."""
    return kept(own, [oid])[oid]


def kept(own: Connection[Any], oids: Sequence[int]) -> dict[int, Kept]:
    """All that stands beside each of these views, in five questions however many they are."""
    listed = list(oids)
    owners = own.execute(
        "SELECT oid::bigint, pg_catalog.pg_get_userbyid(relowner), "
        "relowner = current_user::pg_catalog.regrole FROM pg_catalog.pg_class WHERE oid = ANY(%s::oid[])",
        [listed],
    ).fetchall()
    comments: dict[int, list[tuple[str, str]]] = {}
    for oid, column, text in own.execute(
        "SELECT d.objoid::bigint, coalesce(a.attname, ''), d.description FROM pg_catalog.pg_description d "
        "LEFT JOIN pg_catalog.pg_attribute a "
        "ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0 "
        "WHERE d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objoid = ANY(%s::oid[]) "
        "ORDER BY 1, 2",
        [listed],
    ):
        comments.setdefault(int(oid), []).append((str(column), str(text)))
    grants, columns, options = _grants(own, listed), _column_grants(own, listed), options_of(own, listed)
    return {
        int(oid): Kept(
            str(owner),
            bool(ours),
            frozenset(grants.get(int(oid), ())),
            frozenset(columns.get(int(oid), ())),
            tuple(comments.get(int(oid), ())),
            options[int(oid)],
        )
        for oid, owner, ours in owners
    }


def options_of(own: Connection[Any], oids: Sequence[int]) -> dict[int, str]:
    """The WITH clauses of views, ready for CREATE VIEW; "" where there is none. One question."""
    rows = own.execute(
        "SELECT oid::bigint, reloptions FROM pg_catalog.pg_class WHERE oid = ANY(%s::oid[])", [list(oids)]
    ).fetchall()
    found = dict.fromkeys(oids, "")
    for oid, stated in rows:
        listed = [str(o).partition("=") for o in stated or ()]
        if listed:
            found[int(oid)] = f" WITH ({', '.join(f'{name} = {literal(v)}' for name, _, v in listed)})"
    return found


def _grants(own: Connection[Any], oids: Sequence[int]) -> dict[int, set[Grant]]:
    rows = own.execute(
        "SELECT c.oid::bigint, CASE WHEN x.grantee = 0 THEN '' "
        "ELSE pg_catalog.pg_get_userbyid(x.grantee) END, "
        "x.privilege_type, x.is_grantable FROM pg_catalog.pg_class c, "
        "LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) x "
        "WHERE c.oid = ANY(%s::oid[]) AND x.grantee <> c.relowner",
        [list(oids)],
    )
    found: dict[int, set[Grant]] = {}
    for oid, who, what, more in rows:
        found.setdefault(int(oid), set()).add((str(who), str(what), bool(more)))
    return found


def _column_grants(own: Connection[Any], oids: Sequence[int]) -> dict[int, set[tuple[str, Grant]]]:
    rows = own.execute(
        "SELECT a.attrelid::bigint, a.attname, CASE WHEN x.grantee = 0 THEN '' "
        "ELSE pg_catalog.pg_get_userbyid(x.grantee) END, "
        "x.privilege_type, x.is_grantable FROM pg_catalog.pg_attribute a, "
        "LATERAL pg_catalog.aclexplode(a.attacl) x "
        "WHERE a.attrelid = ANY(%s::oid[]) AND a.attacl IS NOT NULL AND NOT a.attisdropped",
        [list(oids)],
    )
    found: dict[int, set[tuple[str, Grant]]] = {}
    for oid, name, who, what, more in rows:
        found.setdefault(int(oid), set()).add((str(name), (str(who), str(what), bool(more))))
    return found


def restore(own: Connection[Any], view: str, kept: Kept) -> None:
    """Give a view that was just made exactly the grants that it had: what default privileges added is
    taken away, and what they lack is given. Columns that are gone lose theirs."""
    row = own.execute("SELECT %s::pg_catalog.regclass::oid::bigint", [view]).fetchone()
    assert row is not None
    oid = int(row[0])
    now = _grants(own, [oid]).get(oid, set())
    for who, what, _ in sorted(now - kept.grants):
        own.execute(f"REVOKE {what} ON {view} FROM {_role(who)}".encode())
    for grant in sorted(kept.grants - now):
        own.execute(_grant(grant, view, "").encode())
    names = {
        str(r[0])
        for r in own.execute(
            "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = %s AND attnum > 0", [oid]
        ).fetchall()
    }
    for column, grant in sorted(kept.columns):
        if column in names:
            own.execute(_grant(grant, view, f" ({quote_identifier(column)})").encode())
    for column, text in kept.comments:
        if not column:
            own.execute(f"COMMENT ON VIEW {view} IS {literal(text)}".encode())
        elif column in names:
            own.execute(f"COMMENT ON COLUMN {view}.{quote_identifier(column)} IS {literal(text)}".encode())
    if not kept.own:
        own.execute(f"ALTER VIEW {view} OWNER TO {quote_identifier(kept.owner)}".encode())


def _grant(grant: Grant, view: str, columns: str) -> str:
    who, what, more = grant
    return f"GRANT {what}{columns} ON {view} TO {_role(who)}{' WITH GRANT OPTION' if more else ''}"


def _role(name: str) -> str:
    return quote_identifier(name) if name else "PUBLIC"
