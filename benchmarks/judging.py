"""(c) Sixty tests on 10 million rows by 12 columns, beside dbt, Soda and Great Expectations."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import generators as make
from benchmarks import rivals, sixty
from benchmarks.context import HEAD, Context, Section, Table, cells, outcome, paragraphs, raw
from benchmarks.engine import BARE
from benchmarks.harness import Contestant, Failed, Series, Stage, compete, measure
from benchmarks.planned import planned
from benchmarks.stats import median, paired_ratio

JUDGE, AGAIN = "tests", "again"
LABELS = ("GitKitchen", "dbt", "Soda", "Great Expectations")
NOTES = paragraphs("""\
The same sixty tests for everybody, of all kinds: NULLs, accepted and refused values, ranges, patterns,
lengths, one- and two-column keys, relationships, tests of a part of the rows, totals, freshness, schema.
All of them pass; each contestant says so by its exit code, GitKitchen by its outcome document.

The data is one zstd Parquet file of orders with three small files beside it, written by the bench (not
timed).

GitKitchen, `tests`: the whole `gitkitchen run` with the data in its store and no verdict known: plan,
judging, publication, reports. Loading a source is not in it, as it is not in the peers' figures; but the
store keeps each column's NULL count, least and greatest value from when the data was loaded, and tests
that those answer read no row. `again`: the same once more; every verdict is reused but those of the
freshness tests, which are judged in every run.

dbt: `dbt test` on a source that is the Parquet file itself (`external_location`), with as many threads
as cores. Ranges, patterns and lengths are generic tests in the project, written as dbt's own are.

Soda: `soda scan` on a DuckDB file with views onto the Parquet files.

Great Expectations: one suite in an ephemeral context through duckdb-engine, views as for Soda, only the
verdicts asked for. It is made to keep its connection open: without that it reads no result from DuckDB.

What a peer has no test of its own for is given to it as a query that must find no row, as its
documentation says: two-column keys, totals and schema for dbt; dates, truth values, relations of counts
and schema for Soda; patterns, relationships, tests of a part of the rows, totals and schema for Great
Expectations.

Each peer has the DuckDB that its own pins allow (versions above).
""")


def run(context: Context) -> Section:
    """Measure section (c): the plan itself, then whole commands, then growth."""
    full = context.size(10_000_000, 100_000)
    sizes = [(full, 60), (full // 10, 60), (full, 15)]
    tables: list[Table] = []
    samples: dict[str, object] = {}
    skipped: dict[str, str] = {}
    plan = planned(context)
    tables += list(plan.tables)
    samples["planned"] = plan.raw
    skipped |= plan.skipped
    grown: dict[tuple[int, int], Series] = {}
    for number, (rows, tests) in enumerate(sizes):
        context.say(f"  {tests} tests on {rows:,} rows")
        folder = context.work / "judging" / f"{rows}-{tests}"
        wanted = sixty.load(context.python, rows)
        data = _data(context, wanted)
        contestants = _contestants(context, folder, data, replace(wanted, checks=wanted.checks[:tests]))
        rounds = min(context.rounds, 3) if number == 0 else 1
        series = grown[rows, tests] = compete(contestants, rounds, context.logs, context.say)
        samples[f"{rows} rows, {tests} tests"] = raw(series)
        skipped |= {f"{who} ({rows:,} rows, {tests} tests)": why for who, why in series.skipped.items()}
    tables.append(_table(grown[sizes[0]], *sizes[0]))
    tables.append(_growth(grown))
    skipped |= context.missing("dbt", "soda", "gx")
    title = f"Sixty tests on {full:,} rows by 12 columns"
    return Section("c", title, tuple(tables), (*NOTES, *plan.notes), plan.promises, skipped, samples)


def _data(context: Context, wanted: sixty.Sixty) -> Path:
    """The folder of the Parquet files of this many rows, made at the first call."""
    folder = context.work / "data" / str(wanted.rows)
    if not folder.exists():
        folder.mkdir(parents=True)
        tables = folder.parent / f"{wanted.rows}.json"
        tables.write_text(json.dumps(dict(wanted.tables)), "utf-8")
        log = context.logs / "data.log"
        measure([context.python, str(BARE / "tables.py"), str(tables), str(folder)], cwd=folder, log=log)
    return folder


def _sizes(context: Context, data: Path) -> dict[str, int]:
    """How many rows each table has, read from the files."""
    log = context.logs / "sizes.json"
    measure([context.python, str(BARE / "sizes.py"), str(data)], cwd=data, log=log)
    found: dict[str, int] = json.loads(log.read_text("utf-8"))
    return found


def _contestants(context: Context, folder: Path, data: Path, wanted: sixty.Sixty) -> list[Contestant]:
    rows = _sizes(context, data)
    found = [_kitchen(context, folder / "kitchen", data, wanted.checks)]
    if (dbt := context.peer("dbt")) is not None:
        root = folder / "dbt"
        rivals.write_dbt(root, wanted, rows, data, context.cores)
        stage = Stage(JUDGE, (dbt.executable("dbt"), "test"))
        found.append(Contestant("dbt", root, (stage,), env={"DBT_PROFILES_DIR": str(root)}))
    if (soda := context.peer("soda")) is not None:
        root = folder / "soda"
        rivals.write_soda(root, wanted, rows)
        argv = (soda.executable("soda"), "scan", "-d", "bench", "-c", "configuration.yml", "checks.yml")
        views = _views(context, soda.executable("python"), root, data)
        found.append(Contestant("Soda", root, (Stage(JUDGE, argv, before=views),), env={"HOME": str(root)}))
    if (gx := context.peer("gx")) is not None:
        root = folder / "gx"
        root.mkdir(parents=True)
        (root / "suite.json").write_text(json.dumps(rivals.gx_expectations(wanted, rows)), "utf-8")
        python = gx.executable("python")
        suite = (python, str(BARE / "expectations.py"), "bench.duckdb", sixty.TABLE, "suite.json")
        stage = Stage(JUDGE, suite, before=_views(context, python, root, data))
        found.append(Contestant("Great Expectations", root, (stage,), env={"HOME": str(root)}))
    return found


def _views(context: Context, python: str, root: Path, data: Path) -> Callable[[], None]:
    def make_views() -> None:
        if not (root / "bench.duckdb").exists():
            argv = [python, str(BARE / "views.py"), "bench.duckdb", str(data)]
            measure(argv, cwd=root, log=context.logs / "views.log")

    return make_views


def _kitchen(context: Context, root: Path, data: Path, checks: Sequence[sixty.Check]) -> Contestant:
    """GitKitchen with the data loaded under one test and then all of ``checks`` asked for."""
    argv = (context.gitkitchen, "run", make.RECIPE, "--quiet")
    tests = [sixty.yaml_test(check) for check in checks]

    def load() -> None:
        if root.exists():
            shutil.rmtree(root / ".gitkitchen" / "store" / "trusted" / "verdicts", ignore_errors=True)
            return
        make.write_recipe(root, _nodes(data, [{"rows": {"min": 1}}]))
        for file in data.glob("*.parquet"):
            _link(file, root / "recipes" / make.RECIPE / "data" / file.name)
        (root / ".gitignore").write_text(".gitkitchen/\ndata/\n", "utf-8")
        make.commit(root, "one test")
        measure(argv, cwd=root, log=context.logs / "load.log")
        make.write_recipe(root, _nodes(data, tests))
        (root / ".gitignore").write_text(".gitkitchen/\ndata/\n", "utf-8")
        make.commit(root, "all tests")

    stages = (
        Stage(JUDGE, argv, before=load, after=_expect_tests(root, len(tests), reused=0)),
        Stage(AGAIN, argv, after=_expect_tests(root, len(tests), reused=_lasting(checks))),
    )
    return Contestant("GitKitchen", root, stages)


def _nodes(data: Path, tests: list[dict[str, object]]) -> dict[str, dict[str, object]]:
    names = sorted(file.stem for file in data.glob("*.parquet"))
    nodes: dict[str, dict[str, object]] = {n: {"source": {"file": f"data/{n}.parquet"}} for n in names}
    nodes[sixty.TABLE]["tests"] = tests
    return nodes


def _link(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(file, target)


def _lasting(checks: Sequence[sixty.Check]) -> int:
    """How many verdicts hold as long as the data does: all but those that time alone can change."""
    return sum(1 for check in checks if check.kind != "freshness")


def _expect_tests(root: Path, count: int, *, reused: int) -> Callable[[], None]:
    """A check for ``Stage.after``: so many tests passed, so many of them by a verdict known before."""

    def check() -> None:
        tests = [t for node in outcome(root)["nodes"] for t in node.get("tests", ())]
        passed = sum(1 for t in tests if t["state"] == "passed")
        old = sum(1 for t in tests if t.get("reused"))
        if passed != count or old != reused:
            wanted = f"wanted {count} and {reused}"
            raise Failed(f"{passed} of {len(tests)} tests passed, {old} of them reused; {wanted}")

    return check


def _table(series: Series, rows: int, tests: int) -> Table:
    lines = [(who, who, JUDGE) for who in LABELS] + [("GitKitchen, again", "GitKitchen", AGAIN)]
    ours = series.walls("GitKitchen", JUDGE)
    made = []
    for label, who, stage in lines:
        if walls := series.walls(who, stage):
            ratio = f"{paired_ratio(walls, ours):.2f}" if ours else "–"
            made.append((label, *cells(series, who, stage), ratio))
    return Table(f"{tests} tests, {rows:,} rows, whole commands", ("", *HEAD, "of GitKitchen"), tuple(made))


def _growth(grown: dict[tuple[int, int], Series]) -> Table:
    head = ("wall s", *(f"{rows:,} rows, {tests} tests" for rows, tests in grown))
    made = []
    for who in LABELS:
        figures = [series.walls(who, JUDGE) for series in grown.values()]
        if any(figures):
            made.append((who, *(f"{median(walls):.2f}" if walls else "–" for walls in figures)))
    return Table("Growth in rows and in tests", head, tuple(made))
