"""What somebody changed by hand in a kitchen's schema: its views, and who may read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_grants import keep
from gitkitchen.data.engines.postgres_sql import quoted
from gitkitchen.data.engines.postgres_store import SCHEMA, WarehouseStore
from gitkitchen.data.engines.postgres_versions import relation
from gitkitchen.data.engines.postgres_views import current, relations, schema_of
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Catalog, Kitchen

if TYPE_CHECKING:
    from psycopg import Connection

Grants = Mapping[str, list[str]]
"""View -> its grants in words, sorted: ``anna SELECT``, ``PUBLIC SELECT (name)``, ``owner kitchen``."""


class _Undo(Exception):
    """What was made to compare is taken back."""

    @classmethod
    def now(cls) -> None:
        raise cls


def drift(kitchen: Kitchen, catalog: Catalog, store: WarehouseStore) -> dict[str, str]:
    """Views that are not what was made for this very catalog: name -> what became of it. Nothing where the
    schema shows another publication: then it is brought up to date anyway."""
    shown = current(kitchen, catalog, store)
    if shown is None:
        return {}
    schema = schema_of(kitchen)
    found: dict[str, str] = {}
    try:
        with store.relations.warehouse.writing() as own:
            there = relations(own, schema)
            for name in sorted(shown):
                kind, oid = there.get(name, ("", 0))
                if kind != "v":
                    found[name] = "is gone" if not kind else "is no view any more"
                elif _text_of(own, oid) != _expected(own, store, catalog, schema, name):
                    found[name] = "was changed"
            _Undo.now()
    except _Undo:
        pass
    return found


def _text_of(own: Connection[Any], oid: int) -> str:
    row = own.execute("SELECT pg_catalog.pg_get_viewdef(%s::oid)", [oid]).fetchone()
    return str(row[0]) if row else ""


def _expected(own: Connection[Any], store: WarehouseStore, catalog: Catalog, schema: str, name: str) -> str:
    """The text of the view as it would be made now: it is made beside, in this transaction alone."""
    build = store.find(catalog.entries[name].fingerprint)
    version = build.versions.get(name) if build else None
    if version is None:
        return ""
    aside = "gitkitchen_drift"
    own.execute(f"CREATE VIEW {quoted(schema, aside)} AS {relation(version)}".encode())
    row = own.execute(
        "SELECT c.oid::bigint FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        [schema, aside],
    ).fetchone()
    assert row is not None
    text = _text_of(own, int(row[0]))
    own.execute(f"DROP VIEW {quoted(schema, aside)}".encode())
    return text


def make_again(kitchen: Kitchen, store: WarehouseStore, names: Mapping[str, str]) -> None:
    """Let the next refresh make these views anew: the stamp no longer vouches for them."""
    schema = schema_of(kitchen)
    with store.relations.warehouse.writing() as own:
        row = own.execute(f"SELECT shown FROM {SCHEMA}.kitchens WHERE schema = %s", [schema]).fetchone()
        if row is None:
            return
        shown = {n: "" if n in names else key for n, key in json.loads(row[0]).items()}
        own.execute(f"UPDATE {SCHEMA}.kitchens SET shown = %s WHERE schema = %s", [json.dumps(shown), schema])


def grants(kitchen: Kitchen, store: WarehouseStore) -> dict[str, list[str]]:
    """Who may do what with the views of a kitchen's schema, and with the schema itself (under "")."""
    schema = schema_of(kitchen)
    found: dict[str, list[str]] = {}
    with store.relations.warehouse.session() as own:
        for name, (kind, oid) in sorted(relations(own, schema).items()):
            if kind != "v":
                continue
            kept = keep(own, oid)
            said = [_words(*grant) for grant in kept.grants]
            said += [f"{_words(*grant)} ({quote_identifier(column)})" for column, grant in kept.columns]
            found[name] = sorted([*said, f"owner {kept.owner}"])
        rows = own.execute(
            "SELECT CASE WHEN x.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(x.grantee) END, "
            "x.privilege_type, x.is_grantable FROM pg_catalog.pg_namespace n, "
            "LATERAL pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) x "
            "WHERE n.nspname = %s AND x.grantee <> n.nspowner",
            [schema],
        ).fetchall()
    found[""] = sorted(_words(str(who), str(what), bool(more)) for who, what, more in rows)
    return found


def _words(who: str, what: str, more: bool) -> str:
    return f"{who or 'PUBLIC'} {what}" + (" with grant option" if more else "")
