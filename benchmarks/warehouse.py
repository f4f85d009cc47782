"""(g) The same on PostgreSQL: a new sandbox on a production of 500 datasets, and one changed leaf."""

from __future__ import annotations

from itertools import count as counting
from pathlib import Path

from benchmarks import generators as make
from benchmarks.context import Context, Promise, Section, expect_states, paragraphs, raw, table
from benchmarks.harness import Contestant, Failed, Series, Stage, compete, measure
from benchmarks.server import Server, serving
from benchmarks.stats import median

ANSWERS = str(Path(__file__).parent / "bare" / "answers_postgres.py")
FIRST, LEAF = "first answers", "one leaf"
WHO = "GitKitchen on PostgreSQL"
CONNECTION = 'connections:\n  warehouse: {type: postgres, dsn: "${{ secrets.WAREHOUSE_DSN }}"}\n'
CATALOGS = (
    "pg_class pg_attribute pg_type pg_depend pg_rewrite pg_shdepend pg_description pg_namespace pg_init_privs"
)
NOTES = paragraphs("""\
PostgreSQL {version} runs on this machine with its default settings but for 256 MB of shared buffers.
Production holds {count} datasets of {rows:,} rows ({megabytes:,} MB of tables), made before and not
timed.

`first answers`: `gitkitchen open --path` on a new branch, then one row of each of the {count} datasets is
read through the sandbox's schema by a client of its own; both are timed together. The bench verifies
that no table is added and none grows. What the sandbox takes of the server's catalog is how far the
catalog's tables and indexes have grown, at most over all rounds.

`one leaf`: the SQL of a dataset that nothing reads is changed on the branch and committed,
`gitkitchen run` builds it and nothing else, which is verified. The sandbox is then dropped.
""")


def run(context: Context) -> Section:
    """Measure section (g)."""
    count, rows = context.size(500, 40), context.size(25_000, 1_000)
    title = f"A new sandbox on {count} datasets in PostgreSQL"
    try:
        with serving() as server:
            return _measured(context, server, title, count, rows)
    except Failed as error:
        context.say(f"  {error}")
        return Section("g", title, (), (), _promises(Series(), count, []), {WHO: str(error)}, {})


def _measured(context: Context, server: Server, title: str, count: int, rows: int) -> Section:
    models = make.production_in_postgres(count, rows)
    context.say(f"  {count} datasets of {rows:,} rows, PostgreSQL {server.version}")
    grown: list[float] = []
    contestant = _kitchen(context, server, models, context.work / "warehouse", grown)
    size = server.ask(
        "SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relnamespace = 'gitkitchen_store'::regnamespace "
        "AND relkind = 'r'"
    )
    series = compete([contestant], context.rounds, context.logs, context.say)
    lines = [(f"{WHO}, {stage}", WHO, stage) for stage in (FIRST, LEAF)]
    facts = {
        "count": count,
        "rows": rows,
        "version": server.version,
        "megabytes": round(int(size[0][0]) / 1e6),
    }
    notes = tuple(n.format(**facts) for n in NOTES)
    shown = (table(title, "", series, lines),)
    return Section(
        "g", title, shown, notes, _promises(series, count, grown), dict(series.skipped), raw(series)
    )


def _kitchen(
    context: Context, server: Server, models: list[make.Model], root: Path, grown: list[float]
) -> Contestant:
    """The project, built once. Each round adds to ``grown`` how many kB of catalog a dataset took."""
    env = {"WAREHOUSE_DSN": server.address}
    make.write_recipe(root, make.sql_nodes(models, files=True), models)
    with (root / "kitchen.yml").open("a", encoding="utf-8") as file:
        file.write(CONNECTION)
    make.commit(root, "the recipe")
    log = context.logs / "warehouse-production.log"
    built = measure([context.gitkitchen, "run", make.RECIPE, "--quiet"], cwd=root, env=env, log=log)
    context.say(f"    production built in {built.wall:.1f} s")
    branches, kept, before = counting(1), _tables(server), [0]

    def switch() -> None:
        make.git(root, "switch", "--quiet", "--create", f"feature/{next(branches)}", "main")
        before[0] = _catalog(server)

    def unchanged() -> None:
        if _tables(server) != kept:
            raise Failed("opening a sandbox changed the tables of the store")
        grown.append((_catalog(server) - before[0]) / len(models) / 1000)

    def edit() -> None:
        make.write_model(root, make.changed(models[-1], next(branches)))
        make.commit(root, "one leaf")

    def alone() -> None:
        expect_states(root, passed=1, reused=len(models) - 1)()
        branch = make.branch(root)
        make.git(root, "switch", "--quiet", "main")
        drop = [context.gitkitchen, "drop", branch]
        measure(drop, cwd=root, env=env, log=context.logs / "warehouse-drop.log")
        if _tables(server) != kept:
            raise Failed("a dropped sandbox left a table in the store")

    opened = (context.python, ANSWERS, str(len(models)), context.gitkitchen, "open", "--path")
    stages = (
        Stage(FIRST, opened, before=switch, after=unchanged),
        Stage(LEAF, (context.gitkitchen, "run", make.RECIPE, "--quiet"), before=edit, after=alone),
    )
    return Contestant(WHO, root, stages, env)


def _tables(server: Server) -> dict[str, int]:
    """Every table of the store with its size."""
    found = server.ask(
        "SELECT relname::text, pg_relation_size(oid) FROM pg_class "
        "WHERE relnamespace = 'gitkitchen_store'::regnamespace AND relname ~ '^v_'"
    )
    return {str(name): int(size) for name, size in found}


def _catalog(server: Server) -> int:
    """Bytes of the server's catalog, indexes too."""
    sizes = " + ".join(f"pg_total_relation_size('pg_catalog.{c}')" for c in CATALOGS.split())
    return int(server.ask(f"SELECT {sizes}")[0][0])


def _promises(series: Series, count: int, grown: list[float]) -> tuple[Promise, ...]:
    walls = {stage: series.walls(WHO, stage) for stage in (FIRST, LEAF)}
    timed = tuple(
        Promise(
            f"PostgreSQL: {text} ({count} datasets)",
            bound,
            "s",
            median(walls[stage]) if walls[stage] else None,
        )
        for stage, text, bound in ((FIRST, "a new sandbox answers for all", 2.0), (LEAF, "its one leaf", 1.0))
    )
    catalog = Promise(
        "PostgreSQL: catalog that a sandbox takes, a dataset", 8.0, "kB", max(grown, default=None)
    )
    return (*timed, catalog)
