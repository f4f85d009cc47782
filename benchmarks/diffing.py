"""(e) The data diff of two tables by key, beside the bare full outer join that answers the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from benchmarks import generators as make
from benchmarks.context import HEAD, Context, Promise, Section, Table, cells, paragraphs, raw
from benchmarks.engine import BARE
from benchmarks.harness import Contestant, Failed, Stage, compete, measure
from benchmarks.stats import paired_ratio

OURS, THEIRS, STAGE = "GitKitchen", "bare full outer join", "diff"
COLUMNS = {
    "order_id": "i",
    "customer": "(i * 7919) % 100000",
    "day": "DATE '2013-01-01' + (i % 365)::INTEGER",
    "at": "TIMESTAMP '2013-01-01' + to_seconds(i % 86400)",
    "status": "['open', 'paid', 'sent'][1 + i % 3]",
    "country": "'DE'",
    "amount": "((hash(i) % 100000) / 100.0 MORE)::DOUBLE",
    "quantity": "(i % 10)::INTEGER",
    "price": "((i % 5000) / 100.0)::DECIMAL(9,2)",
    "paid": "i % 2 = 0",
    "score": "if(i % 50 = 0, NULL, (hash(i + 1) % 1000)::BIGINT)",
    "note": "'c' || (i % 1000)",
}
NOTES = paragraphs("""\
Two tables of 12 columns (integers, decimals, floats, dates, times, text, booleans, NULLs), in no order.
One row in a thousand has another amount, 100 rows came and 100 went.

GitKitchen: the whole command `gitkitchen diff prod after --data --dataset orders --json`, from the
published version of one kitchen to that of another. Bare DuckDB: a script of its own for these two
Parquet files, with one full outer join, which answers the same: whether the key is a key, rows, each
column's changes and sizes, example rows, and how the columns that changed are distributed. Both answers
are compared after each round.
""")


def run(context: Context) -> Section:
    """All of this section."""
    rows = context.size(10_000_000, 200_000)
    folder = context.work / "diffing"
    files = _data(context, folder / "data", rows)
    kitchen = _kitchen(context, folder / "kitchen", files)
    answers = folder / "bare.json"
    argv = (context.python, str(BARE / "full_join.py"), *map(str, files), "order_id", str(answers))
    bare = Contestant(THEIRS, folder, (Stage(STAGE, argv),))
    log = context.logs / "gitkitchen-diff.log"
    command = (context.gitkitchen, "diff", "prod", "after", "--data", "--dataset", "orders", "--json")
    ours = Contestant(OURS, kitchen, (Stage(STAGE, command, after=_same(log, answers)),))
    # The bare script is first in the first round, so that there is an answer to compare with.
    series = compete([bare, ours], context.rounds, context.logs, context.say)
    walls = series.walls(OURS, STAGE), series.walls(THEIRS, STAGE)
    ratio = paired_ratio(*walls) if all(walls) else None
    lines = [
        (who, *cells(series, who, STAGE), f"{ratio:.2f}" if who == OURS and ratio is not None else "1.00")
        for who in (OURS, THEIRS)
        if series.walls(who, STAGE)
    ]
    promise = Promise(
        f"diff of two tables of {rows:,} rows by key, of the bare full outer join", 2.0, "times", ratio
    )
    table = Table(f"{rows:,} rows on each side, whole commands", ("", *HEAD, "of bare"), tuple(lines))
    title = f"Data diff of two tables of {rows:,} rows"
    return Section("e", title, (table,), NOTES, (promise,), dict(series.skipped), raw(series))


def _data(context: Context, folder: Path, rows: int) -> list[Path]:
    """The two tables as Parquet files."""
    made = {}
    for name, shift in (("before", 0), ("after", 100)):
        more = "+ if(i % 1000 = 0, 1.5, 0.0)" if shift else ""
        columns = ", ".join(f"{sql} AS {column}" for column, sql in COLUMNS.items()).replace("MORE", more)
        made[name] = f"SELECT {columns} FROM range({shift}, {rows + shift}) t(i) ORDER BY hash(i)"
    tables = folder.parent / "tables.json"
    folder.mkdir(parents=True)
    tables.write_text(json.dumps(made), "utf-8")
    measure(
        [context.python, str(BARE / "tables.py"), str(tables), str(folder)],
        cwd=folder,
        log=context.logs / "e.log",
    )
    return [folder / "before.parquet", folder / "after.parquet"]


def _kitchen(context: Context, root: Path, files: list[Path]) -> Path:
    """A project whose environment has published the one table and a branch the other."""
    argv = (context.gitkitchen, "run", make.RECIPE, "--quiet")

    def write(source: str) -> None:
        nodes: dict[str, dict[str, object]] = {
            f.stem: {"source": {"file": f"data/{f.name}"}, "tests": [{"rows": {"min": 1}}]} for f in files
        }
        nodes["orders"] = {"sql": f"select * from {source}", "key": ["order_id"], "public": ["*"]}
        make.write_recipe(root, nodes)
        (root / ".gitignore").write_text(".gitkitchen/\ndata/\n", "utf-8")

    write("before")
    for file in files:
        target = root / "recipes" / make.RECIPE / "data" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)
    make.commit(root, "before")
    measure(argv, cwd=root, log=context.logs / "e-before.log")
    measure(("git", "checkout", "--quiet", "-b", "after"), cwd=root, log=context.logs / "e-git.log")
    write("after")
    make.commit(root, "after")
    measure(argv, cwd=root, log=context.logs / "e-after.log")
    return root


def _same(log: Path, answers: Path) -> Callable[[], None]:
    """A check for ``Stage.after``: the two found the same."""

    def check() -> None:
        bare = json.loads(answers.read_text("utf-8"))
        (found,) = json.loads(log.read_text("utf-8"))["datasets"]
        data = found["data"]
        ours = {name: data["rows"][name] for name in ("added", "removed", "changed")}
        theirs = {name: bare[name] for name in ours}
        columns = {c["column"]: c["changed"] for c in data["columns"]}
        if ours != theirs or columns != bare["columns"]:
            raise Failed(f"the answers differ: {ours} {columns} and {theirs} {bare['columns']}")

    return check
