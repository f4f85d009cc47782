"""What somebody changed by hand in a kitchen's schema: its views, and who may read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_grants import kept
from gitkitchen.data.engines.postgres_sql import quoted
from gitkitchen.data.engines.postgres_store import SCHEMA, WarehouseStore
from gitkitchen.data.engines.postgres_versions import relation
from gitkitchen.data.engines.postgres_views import current, relations, schema_of
from gitkitchen.data.sql import quote_identifier
from gitkitchen.model import Catalog, Kitchen, Version

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
            views: dict[str, int] = {}
            for name in sorted(shown):
                kind, oid = there.get(name, ("", 0))
                if kind == "v":
                    views[name] = oid
                else:
                    found[name] = "is gone" if not kind else "is no view any more"
            texts = _texts(own, views.values())
            expected = _expected(own, store, catalog, schema, sorted(views))
            found |= {n: "was changed" for n, oid in views.items() if texts.get(oid) != expected.get(n)}
            _Undo.now()
    except _Undo:
        pass
    return dict(sorted(found.items()))


def _texts(own: Connection[Any], oids: Iterable[int]) -> dict[int, str]:
    """What PostgreSQL says that these views select."""
    rows = own.execute(
        "SELECT oid::bigint, pg_catalog.pg_get_viewdef(oid) FROM pg_catalog.pg_class "
        "WHERE oid = ANY(%s::oid[])",
        [list(oids)],
    )
    return {int(oid): str(text) for oid, text in rows}


def _expected(
    own: Connection[Any], store: WarehouseStore, catalog: Catalog, schema: str, names: Sequence[str]
) -> dict[str, str]:
    """The texts of the views as they would be made now: they are made beside, in this transaction alone, all
    at once. What the store does not have has none."""
    versions: dict[str, Version] = {}
    for name in names:
        # As its manifest says, also where somebody wrote to its table: that is another finding.
        build = store.manifest(catalog.entries[name].fingerprint)
        version = build.versions.get(name) if build is not None else None
        if version is not None and store.stands(version):
            versions[name] = version
    if not versions:
        return {}
    beside = {f"gitkitchen drift {number}": name for number, name in enumerate(versions)}
    made = (f"CREATE VIEW {quoted(schema, b)} AS {relation(versions[n])}" for b, n in beside.items())
    own.execute("; ".join(made).encode())
    there = relations(own, schema)
    texts = _texts(own, [there[b][1] for b in beside])
    return {name: texts[there[b][1]] for b, name in beside.items()}


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
        views = {n: oid for n, (kind, oid) in sorted(relations(own, schema).items()) if kind == "v"}
        beside = kept(own, list(views.values()))
        for name, oid in views.items():
            if (one := beside.get(oid)) is None:
                continue  # it was dropped between two questions
            said = [_words(*grant) for grant in one.grants]
            said += [f"{_words(*grant)} ({quote_identifier(column)})" for column, grant in one.columns]
            found[name] = sorted([*said, f"owner {one.owner}"])
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
