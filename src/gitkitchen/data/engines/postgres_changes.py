"""The views of one schema that are made, replaced and dropped in one transaction, and what stands on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.postgres_grants import keep, options_of, restore
from gitkitchen.data.engines.postgres_sql import quoted
from gitkitchen.data.engines.postgres_versions import relation
from gitkitchen.errors import Mistake, Problem
from gitkitchen.model import Version

if TYPE_CHECKING:
    from psycopg import Connection


class Changes:
    """What one transaction does to the views of a schema. ``there``: what is in it, by kind and oid."""

    def __init__(self, own: Connection[Any], schema: str, there: Mapping[str, tuple[str, int]]) -> None:
        self.own, self.schema, self.there = own, schema, there
        self.refused: list[str] = []

    def make(self, tables: Mapping[str, Version]) -> None:
        fresh = {n: v for n, v in tables.items() if n not in self.there and v.relation is not None}
        # Names alone, which the manifest's reader has checked: all in one message.
        batch = "; ".join(f"CREATE VIEW {quoted(self.schema, n)} AS {relation(v)}" for n, v in fresh.items())
        if batch:
            self.own.execute(batch.encode())
        for name in sorted(tables.keys() - fresh.keys() - self.there.keys()):
            view, body = quoted(self.schema, name), relation(tables[name])
            self.own.execute(f"CREATE VIEW {view} AS {body}".encode(), prepare=True)
        standing = sorted((tables.keys() - fresh.keys()) & self.there.keys())
        options = options_of(self.own, [self.there[name][1] for name in standing])
        statements = {
            name: f"CREATE OR REPLACE VIEW {quoted(self.schema, name)}{options[self.there[name][1]]} "
            f"AS {relation(tables[name])}"
            for name in standing
        }
        self._replace(standing, statements, tables)

    def _replace(
        self, names: list[str], statements: Mapping[str, str], tables: Mapping[str, Version]
    ) -> None:
        """Replace views that stand there: all in one message. Where the columns of one no longer fit, the
        server does not say of which, so that the halves are tried, down to that one."""
        from psycopg import errors

        if not names:
            return
        try:
            with self.own.transaction():
                self.own.execute("; ".join(statements[n] for n in names).encode())
        except errors.InvalidTableDefinition:
            middle = len(names) // 2
            if middle == 0:
                self._anew(names[0], relation(tables[names[0]]))
            else:
                self._replace(names[:middle], statements, tables)
                self._replace(names[middle:], statements, tables)

    def _anew(self, name: str, body: str) -> None:
        """A view whose columns no longer fit: dropped and made, with all that stood beside it."""
        if self._stands(name):
            return
        view, kept = quoted(self.schema, name), keep(self.own, self.there[name][1])
        self.own.execute(f"DROP VIEW {view}".encode())
        self.own.execute(f"CREATE VIEW {view}{kept.options} AS {body}".encode(), prepare=True)
        restore(self.own, view, kept)

    def drop(self, names: list[str]) -> None:
        for name in names:
            if not self._stands(name):
                self.own.execute(f"DROP VIEW {quoted(self.schema, name)}".encode())

    def _stands(self, name: str) -> bool:
        found = dependants(self.own, self.there[name][1])
        self.refused += [f"{what} (on {self.schema}.{name})" for what in found]
        return bool(found)

    def finish(self) -> None:
        """Refuse all that stands on what would be dropped, by name."""
        if self.refused:
            names = ", ".join(self.refused[:10]) + (", …" if len(self.refused) > 10 else "")
            message = f"columns of '{self.schema}' change, and others stand on them: {names}"
            hint = "drop them and make them again afterwards, or keep the columns and add new ones last"
            raise Mistake(Problem(message, hint=hint, code="dependants"))


def dependants(own: Connection[Any], oid: int) -> list[str]:
    """What stands on a view, or on its row type, by kind and full name."""
    rows = own.execute(
        """
        SELECT DISTINCT coalesce(
          (SELECT CASE c.relkind WHEN 'm' THEN 'materialized view ' WHEN 'v' THEN 'view ' ELSE 'rule on ' END
                  || c.oid::pg_catalog.regclass
             FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
            WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = d.objid),
          pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)) AS what
        FROM pg_catalog.pg_depend d
        WHERE d.deptype = 'n'
          AND ((d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = %(oid)s)
            OR (d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (
                 SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typrelid = %(oid)s
                 UNION SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.typrelid = %(oid)s)))
          AND NOT (d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid IN (
                 SELECT w.oid FROM pg_catalog.pg_rewrite w WHERE w.ev_class = %(oid)s))
        ORDER BY 1
        """,
        {"oid": oid},
    ).fetchall()
    return [str(row[0]) for row in rows]
