"""(b) 500 layered models: a full run, nothing changed, one leaf changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import count as counting
from itertools import product
from pathlib import Path

from benchmarks import generators as make
from benchmarks import projects
from benchmarks.context import (
    HEAD,
    Context,
    Promise,
    Section,
    Table,
    cells,
    expect_states,
    forget,
    paragraphs,
    raw,
)
from benchmarks.engine import bare, find_compression
from benchmarks.harness import Contestant, Series, Stage, compete
from benchmarks.stats import median, paired_ratio

FULL, SAME, LEAF = "full", "no change", "one leaf"
NOTES = paragraphs("""\
Every model makes {rows:,} rows by 4 columns out of one or two models of the layer before ({width} a
layer): joins, filters, aggregates over integers. All contestants execute the same SELECTs and test
the last model's id for NULL and repetition.

GitKitchen: the whole command `gitkitchen run delays` (see (a)); the model files are committed
before, which is not timed. `full`: nothing is known. `no change`: the same tree again; the bench
verifies that no node executed. `one leaf`: one model's SQL changed and committed; verified that one
node executed.

Bare DuckDB: as in (a); it writes the same Parquet with the same compression, one statement after
the other, and can only do the full run.

dbt: `dbt build`, tables in one DuckDB file, which is its usual way (no Parquet is written); `no
change` and `one leaf`: `--select state:modified+ --state` with the manifest of the run before,
partial parsing on. Without state selection dbt builds everything again.

SQLMesh: `sqlmesh plan --auto-apply`, FULL models in one DuckDB file, state beside them.

dbt and SQLMesh may use as many threads as there are cores; each has the DuckDB that its own pins
allow (versions above).
""")


def run(context: Context) -> Section:
    """Measure section (b)."""
    count, rows, width = context.size(500, 40), context.size(20_000, 1_000), context.size(50, 10)
    models = make.warehouse(count, rows, width)
    context.say(f"  {count} models of {rows} rows")
    root = context.work / "models"
    contestants = [
        _kitchen(context, models, root / "kitchen"),
        bare(context, models, root / "bare", find_compression(context)),
        *_peers(context, models, root),
    ]
    series = compete(contestants, context.rounds, context.logs, context.say)
    notes = tuple(note.format(rows=rows, width=width) for note in NOTES)
    skipped = series.skipped | context.missing("dbt", "sqlmesh")
    title = f"{count} layered models"
    return Section(
        "b", title, (_table(series, title),), notes, _promises(series, count), skipped, raw(series)
    )


def _kitchen(context: Context, models: list[make.Model], root: Path) -> Contestant:
    make.write_recipe(root, make.sql_nodes(models, files=True), models)
    make.commit(root, "the recipe")
    argv = (context.gitkitchen, "run", make.RECIPE, "--quiet")
    last, number, edits = make.leaf(models), len(models), counting(1)

    def anew() -> None:
        make.write_model(root, last)
        make.commit(root, "the recipe")
        forget(root)

    def edit() -> None:
        make.write_model(root, make.changed(last, next(edits)))
        make.commit(root, "one leaf")

    stages = (
        Stage(FULL, argv, before=anew, after=expect_states(root, passed=number)),
        Stage(SAME, argv, after=expect_states(root, reused=number), repeat=3),
        Stage(LEAF, argv, before=edit, after=expect_states(root, passed=1, reused=number - 1), repeat=3),
    )
    return Contestant("GitKitchen", root, stages)


def _peers(context: Context, models: list[make.Model], root: Path) -> list[Contestant]:
    found = []
    if (dbt := context.peer("dbt")) is not None:
        found.append(_dbt(dbt.executable("dbt"), models, root / "dbt", context.cores))
    if (sqlmesh := context.peer("sqlmesh")) is not None:
        found.append(_sqlmesh(sqlmesh.executable("sqlmesh"), models, root / "sqlmesh", context.cores))
    return found


def _dbt(dbt: str, models: list[make.Model], root: Path, threads: int) -> Contestant:
    select = ("--select", "state:modified+", "--state", "state")

    def edit() -> None:
        projects.keep_dbt_state(root)
        projects.write_dbt_model(root, make.changed(models[-1]))

    stages = (
        Stage(FULL, (dbt, "build"), before=_anew(root, lambda: projects.write_dbt(root, models, threads))),
        Stage(SAME, (dbt, "build", *select), before=lambda: projects.keep_dbt_state(root)),
        Stage(LEAF, (dbt, "build", *select), before=edit),
    )
    return Contestant("dbt-duckdb", root, stages, env={"DBT_PROFILES_DIR": str(root)}, rounds=3)


def _sqlmesh(sqlmesh: str, models: list[make.Model], root: Path, threads: int) -> Contestant:
    argv = (sqlmesh, "plan", "--auto-apply", "--no-prompts")

    def edit() -> None:
        projects.write_sqlmesh_model(root, make.changed(models[-1]), audited=True)

    stages = (
        Stage(FULL, argv, before=_anew(root, lambda: projects.write_sqlmesh(root, models, threads))),
        Stage(SAME, argv),
        Stage(LEAF, argv, before=edit),
    )
    return Contestant("SQLMesh", root, stages, rounds=3)


def _anew(root: Path, write: Callable[[], None]) -> Callable[[], None]:
    def prepare() -> None:
        shutil.rmtree(root, ignore_errors=True)
        write()

    root.mkdir(parents=True, exist_ok=True)  # the measured command's working folder
    return prepare


def _table(series: Series, title: str) -> Table:
    tools = product(("GitKitchen", "dbt-duckdb", "SQLMesh"), (FULL, SAME, LEAF))
    lines = [("bare DuckDB", "bare DuckDB", "first", FULL), *((f"{w}, {s}", w, s, s) for w, s in tools)]
    rows = []
    for label, who, stage, beside in lines:
        if not (walls := series.walls(who, stage)):
            continue
        bares, ours = series.walls("bare DuckDB", "first"), series.walls("GitKitchen", beside)
        of_bare = f"{paired_ratio(walls, bares):.2f}" if bares and beside == FULL else "–"
        # stages of GitKitchen that are repeated within a round have no partner of one to one
        of_ours = f"{median(walls) / median(ours):.1f}" if ours else "–"
        rows.append((label, *cells(series, who, stage), of_bare, of_ours))
    return Table(title, ("", *HEAD, "of bare", "of GitKitchen"), tuple(rows))


def _promises(series: Series, count: int) -> tuple[Promise, ...]:
    def wall(stage: str) -> float | None:
        walls = series.walls("GitKitchen", stage)
        return median(walls) if walls else None

    ours, bares = series.walls("GitKitchen", FULL), series.walls("bare DuckDB", "first")
    ratio = paired_ratio(ours, bares) if ours and bares else None
    return (
        Promise(f"{count} models, full run, of bare DuckDB", 1.5, "times", ratio),
        Promise(f"{count} models, no change", 0.5, "s", wall(SAME)),
        Promise(f"{count} models, one leaf", 1.0, "s", wall(LEAF)),
    )
