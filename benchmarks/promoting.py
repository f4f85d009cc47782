"""(i) The whole commands `promote` and `rollback` of 500 datasets, with DuckDB and in PostgreSQL."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import count as counting
from pathlib import Path

from benchmarks import generators as make
from benchmarks import projects
from benchmarks.context import Context, Promise, Section, paragraphs, raw, table
from benchmarks.harness import Contestant, Failed, Series, Stage, compete, environment, measure
from benchmarks.server import Server, serving
from benchmarks.stats import median

PROMOTE, ROLLBACK = "promote", "rollback"
FILES, TABLES = "GitKitchen", "GitKitchen on PostgreSQL"
BOUND = 3.0
KITCHEN_YML = f"""\
version: 1
project: {{name: bench, id: {make.PROJECT_ID}}}
environments:
  dev: {{branch: develop}}
  prod: {{branch: main}}
sandboxes: {{base: prod}}
"""
CONNECTION = 'connections:\n  warehouse: {type: postgres, dsn: "${{ secrets.WAREHOUSE_DSN }}"}\n'
NOTES = paragraphs("""\
{count} datasets, one in its own SQL file each; their data was built in the environment before and is not
timed. Each round promotes another version of all of them, so that every one moves, and rolls back to what
stood there before. The figures are of whole commands: start, candidate run of the whole tree, evidence,
gates, lease, landing, records and what consumers read; a rollback has no candidate run and few gates. Git,
ledger and store are on this machine.

Bytes of data copied: none. After each command the bench verifies that no file of the store's data, and no
table of the store in PostgreSQL, was added, written or removed, and that the branch has the tree.

dbt: `dbt clone --state --full-refresh` of the same models into the schema of production (dbt-duckdb makes
views). It does not look whether what it shows was tested, moves no branch and has no way back. SQLMesh:
`sqlmesh plan --auto-apply` of production after the same change of all models was planned, and so built, in
an environment beside it: it only points production's views at what is there. Both in DuckDB alone.
""")


def run(context: Context) -> Section:
    """Measure section (i)."""
    count = context.size(500, 40)
    title = f"Promotion and rollback of {count} datasets"
    context.say(f"  {count} datasets")
    root = context.work / "promoting"
    files = make.production(count, context.size(20_000, 1_000))
    contestants = [_kitchen(context, FILES, files, root / "kitchen", {}, lambda: _files(root / "kitchen"))]
    contestants += _peers(context, files, root)
    skipped: dict[str, str] = {}
    series = compete(contestants, context.rounds, context.logs, context.say)
    try:
        with serving() as server:
            models = make.production_in_postgres(count, context.size(5_000, 100))
            env = {"WAREHOUSE_DSN": server.address}
            one = _kitchen(context, TABLES, models, root / "warehouse", env, lambda: _tables(server))
            found = compete([one], context.rounds, context.logs, context.say)
        series.samples |= found.samples
        skipped = found.skipped
    except Failed as error:
        skipped = {TABLES: str(error)}
    lines = [(f"{who}, {stage}", who, stage) for who in (FILES, TABLES) for stage in (PROMOTE, ROLLBACK)]
    lines += [("dbt clone", "dbt-duckdb", PROMOTE), ("SQLMesh plan", "SQLMesh", PROMOTE)]
    notes = tuple(n.format(count=count) for n in NOTES)
    skipped |= series.skipped | context.missing("dbt", "sqlmesh")
    shown = (table(title, "", series, lines),)
    return Section("i", title, shown, notes, _promises(series, count), skipped, raw(series))


def _kitchen(
    context: Context,
    who: str,
    models: list[make.Model],
    root: Path,
    env: dict[str, str],
    data: Callable[[], object],
) -> Contestant:
    """A project with both versions built in ``dev``, and production on the one or the other."""
    words, log = [context.gitkitchen], context.logs / f"promoting-{root.name}.log"

    def run(*more: str) -> None:
        measure([*words, *more], cwd=root, env=env, log=log)

    def write(version: int) -> None:
        for model in models:
            make.write_model(root, make.changed(model, version) if version else model)
        make.commit(root, f"version {version}")

    make.write_recipe(root, make.sql_nodes(models, files=True), models)
    (root / "kitchen.yml").write_text(KITCHEN_YML + (CONNECTION if env else ""), "utf-8")
    make.commit(root, "version 0")
    make.git(root, "switch", "--quiet", "--create", "develop")
    for version in (0, 1):
        write(version)
        run("run", make.RECIPE, "--quiet")
    run("promote", "prod", "--quiet")  # so that there is something to go back to
    kept, before, rounds = data(), _tree(root, "main"), counting()

    def other() -> None:
        if next(rounds):
            run("hold", "prod", "--release")
        write(0)
        run("run", make.RECIPE, "--quiet")

    def shows(tree: Callable[[], str]) -> Callable[[], None]:
        def check() -> None:
            if data() != kept:
                raise Failed("data was copied, changed or removed")
            if _tree(root, "main") != tree():
                raise Failed("the branch of production has another tree")

        return check

    back = (*words, "rollback", "prod", "--quiet", "--reason", "measured")
    stages = (
        Stage(PROMOTE, (*words, "promote", "prod", "--quiet"), other, shows(lambda: _tree(root, "develop"))),
        Stage(ROLLBACK, back, after=shows(lambda: before)),
    )
    return Contestant(who, root, stages, env)


def _tree(root: Path, branch: str) -> str:
    words = ["git", "rev-parse", f"{branch}^{{tree}}"]
    return subprocess.run(words, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def _files(root: Path) -> dict[str, tuple[int, int]]:
    """Every file of data in the store with its inode and time."""
    found = {}
    for path in (root / ".gitkitchen" / "store").rglob("*.parquet"):
        status = path.stat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns)
    return found


def _tables(server: Server) -> dict[str, tuple[int, int]]:
    """Every table of the store with its file and size."""
    found = server.ask(
        "SELECT relname::text, relfilenode::bigint, pg_relation_size(oid) FROM pg_class "
        "WHERE relnamespace = 'gitkitchen_store'::regnamespace AND relname ~ '^v_'"
    )
    return {str(name): (int(file), int(size)) for name, file, size in found}


# --- peers ---------------------------------------------------------------------------------


def _peers(context: Context, models: list[make.Model], root: Path) -> list[Contestant]:
    found = []
    if (dbt := context.peer("dbt")) is not None:
        found.append(_dbt(context, dbt.executable("dbt"), models, root / "dbt"))
    if (sqlmesh := context.peer("sqlmesh")) is not None:
        found.append(_sqlmesh(context, sqlmesh.executable("sqlmesh"), models, root / "sqlmesh"))
    return found


def _dbt(context: Context, dbt: str, models: list[make.Model], root: Path) -> Contestant:
    env = {"DBT_PROFILES_DIR": str(root), "BENCH_SCHEMA": "production"}

    def prepare() -> None:
        if not root.exists():
            projects.write_dbt(root, models, context.cores)
            text = projects.dbt_two_targets("bench.duckdb", context.cores)
            (root / "profiles.yml").write_text(text, "utf-8")
            _once((dbt, "build"), root, env)
            projects.keep_dbt_state(root)

    argv = (dbt, "clone", "--target", "sandbox", "--state", "state", "--full-refresh")
    root.parent.mkdir(parents=True, exist_ok=True)
    return Contestant("dbt-duckdb", root, (Stage(PROMOTE, argv, prepare),), env, 3)


def _sqlmesh(context: Context, sqlmesh: str, models: list[make.Model], root: Path) -> Contestant:
    plan = (sqlmesh, "plan", "--auto-apply", "--no-prompts")
    rounds = counting(1)

    def other() -> None:
        if not root.exists():
            projects.write_sqlmesh(root, models, context.cores)
            _once(plan, root, {})
        version = next(rounds)
        for model in models:
            audited = model is models[-1]
            projects.write_sqlmesh_model(root, make.changed(model, version), audited=audited)
        _once((*plan[:2], "staging", *plan[2:]), root, {})

    return Contestant("SQLMesh", root, (Stage(PROMOTE, plan, other),), rounds=2)


def _once(argv: tuple[str, ...], root: Path, env: dict[str, str]) -> None:
    done = subprocess.run(argv, cwd=root, env=environment(env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"its data could not be made: {done.stdout[-300:]}")


def _promises(series: Series, count: int) -> tuple[Promise, ...]:
    return tuple(
        Promise(
            f"{where}{stage} of {count} datasets, the whole command",
            BOUND,
            "s",
            median(walls) if (walls := series.walls(who, stage)) else None,
        )
        for where, who in (("", FILES), ("PostgreSQL: ", TABLES))
        for stage in (PROMOTE, ROLLBACK)
    )
