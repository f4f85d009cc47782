"""(f) A new sandbox on a production of 500 datasets: its first answers, and one changed leaf."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from itertools import count as counting
from pathlib import Path

from benchmarks import generators as make
from benchmarks import projects
from benchmarks.context import Context, Promise, Section, expect_states, paragraphs, raw, table
from benchmarks.harness import Contestant, Failed, Series, Stage, compete, environment, measure
from benchmarks.stats import median

ANSWERS = str(Path(__file__).parent / "bare" / "answers.py")
FIRST, LEAF = "first answers", "one leaf"
MOST_BYTES = 1_000_000
NOTES = paragraphs("""\
Production holds {count} datasets of {rows:,} rows ({megabytes:,} MB in GitKitchen's store), made
before and not timed.

`first answers`: a new environment is opened with the tool's own command, then one row of each of
the {count} datasets is read through it, in DuckDB; both are timed together. GitKitchen:
`gitkitchen open --path` on a new branch; the bench verifies that no file of the store is added or
changed, and that the sandbox takes at most 1 MB. dbt: `dbt clone --state` into a new schema
(dbt-duckdb makes views). SQLMesh: `sqlmesh plan NAME --include-unmodified --auto-apply` (views).

`one leaf`: the SQL of a dataset that nothing reads is changed on the branch and committed,
`gitkitchen run` builds it and nothing else, which is verified.
""")


def run(context: Context) -> Section:
    """Measure section (f)."""
    count, rows = context.size(500, 40), context.size(250_000, 1_000)
    models = make.production(count, rows)
    root = context.work / "sandboxes"
    context.say(f"  {count} datasets of {rows:,} rows")
    contestants = [_kitchen(context, models, root / "kitchen"), *_peers(context, models, root)]
    series = compete(contestants, context.rounds, context.logs, context.say)
    store = root / "kitchen" / ".gitkitchen" / "store"
    megabytes = round(sum(p.stat().st_size for p in store.rglob("*.parquet")) / 1e6)
    lines = [
        ("GitKitchen, first answers", "GitKitchen", FIRST),
        ("dbt clone", "dbt-duckdb", FIRST),
        ("SQLMesh environment", "SQLMesh", FIRST),
        ("GitKitchen, one leaf", "GitKitchen", LEAF),
    ]
    title = f"A new sandbox on {count} datasets"
    notes = tuple(n.format(count=count, rows=rows, megabytes=megabytes) for n in NOTES)
    skipped = series.skipped | context.missing("dbt", "sqlmesh")
    return Section(
        "f", title, (table(title, "", series, lines),), notes, _promises(series, count), skipped, raw(series)
    )


def _kitchen(context: Context, models: list[make.Model], root: Path) -> Contestant:
    make.write_recipe(root, make.sql_nodes(models, files=True), models)
    make.commit(root, "the recipe")
    log = context.logs / "sandboxes-production.log"
    measure([context.gitkitchen, "run", make.RECIPE, "--quiet"], cwd=root, log=log)
    branches, kept = counting(1), _files(root)

    def switch() -> None:
        make.git(root, "switch", "--quiet", "--create", f"feature/{next(branches)}", "main")

    def unchanged() -> None:
        if _files(root) != kept:
            raise Failed("opening a sandbox changed the store")
        views = root / ".gitkitchen" / "views"
        newest = max(views.glob("k_*.duckdb"), key=lambda p: p.stat().st_mtime_ns)
        if newest.stat().st_size > MOST_BYTES:
            raise Failed(f"the sandbox takes {newest.stat().st_size:,} bytes")

    def edit() -> None:
        make.write_model(root, make.changed(models[-1], next(branches)))
        make.commit(root, "one leaf")

    def built() -> None:
        expect_states(root, passed=1, reused=len(models) - 1)()
        make.git(root, "switch", "--quiet", "main")
        for name in (root / ".gitkitchen" / "store" / "sandbox").iterdir():
            shutil.rmtree(name)

    opened = (context.python, ANSWERS, "-", "main", str(len(models)), context.gitkitchen, "open", "--path")
    stages = (
        Stage(FIRST, opened, before=switch, after=unchanged),
        Stage(LEAF, (context.gitkitchen, "run", make.RECIPE, "--quiet"), before=edit, after=built),
    )
    return Contestant("GitKitchen", root, stages)


def _files(root: Path) -> dict[str, tuple[int, int]]:
    """Every file of the store with its size and time."""
    found = {}
    for path in (root / ".gitkitchen" / "store").rglob("*"):
        if path.is_file() and path.parent.name != "locks":
            status = path.stat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def _peers(context: Context, models: list[make.Model], root: Path) -> list[Contestant]:
    found = []
    if (dbt := context.peer("dbt")) is not None:
        found.append(_dbt(context, dbt.executable("dbt"), models, root / "dbt"))
    if (sqlmesh := context.peer("sqlmesh")) is not None:
        found.append(_sqlmesh(context, sqlmesh.executable("sqlmesh"), models, root / "sqlmesh"))
    return found


def _dbt(context: Context, dbt: str, models: list[make.Model], root: Path) -> Contestant:
    env = {"DBT_PROFILES_DIR": str(root), "BENCH_SCHEMA": "unused"}

    def prepare() -> None:
        projects.write_dbt(root, models, context.cores)
        (root / "profiles.yml").write_text(projects.dbt_two_targets("bench.duckdb", context.cores), "utf-8")
        _once((dbt, "build"), root, env)
        projects.keep_dbt_state(root)

    python = str(Path(dbt).parent / "python")
    words = (python, ANSWERS, "bench.duckdb", "{name}", str(len(models)), dbt, "clone")
    argv = (*words, "--target", "sandbox", "--state", "state")
    return Contestant("dbt-duckdb", root, (Stage(FIRST, argv, before=_first_time(root, prepare)),), env, 3)


def _sqlmesh(context: Context, sqlmesh: str, models: list[make.Model], root: Path) -> Contestant:
    plan = (sqlmesh, "plan", "--auto-apply", "--no-prompts")

    def prepare() -> None:
        projects.write_sqlmesh(root, models, context.cores)
        _once(plan, root, {})

    python = str(Path(sqlmesh).parent / "python")
    words = (python, ANSWERS, "bench.duckdb", "bench__{name}", str(len(models)), sqlmesh, "plan", "{name}")
    argv = (*words, "--auto-apply", "--no-prompts", "--include-unmodified")
    return Contestant("SQLMesh", root, (Stage(FIRST, argv, before=_first_time(root, prepare)),), rounds=3)


def _first_time(root: Path, prepare: Callable[[], None]) -> Callable[[], None]:
    """Make production before the first round, and only then."""
    root.mkdir(parents=True, exist_ok=True)
    made: list[bool] = []

    def once() -> None:
        if not made:
            prepare()
            made.append(True)

    return once


def _once(argv: tuple[str, ...], root: Path, env: dict[str, str]) -> None:
    done = subprocess.run(argv, cwd=root, env=environment(env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"production could not be made: {done.stdout[-300:]}")


def _promises(series: Series, count: int) -> tuple[Promise, ...]:
    walls = {stage: series.walls("GitKitchen", stage) for stage in (FIRST, LEAF)}
    return tuple(
        Promise(f"{text} ({count} datasets)", bound, "s", median(walls[stage]) if walls[stage] else None)
        for stage, text, bound in ((FIRST, "a new sandbox answers for all", 2.0), (LEAF, "its one leaf", 1.0))
    )
