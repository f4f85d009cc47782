"""Runs that fail, are interrupted or die: SURVIVE S7, S8, S9 and S23, through the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lengths import some
from shop import Shop

# --- S7 ---

COPY = 'cp "$GITKITCHEN_INPUT_RAW" "$GITKITCHEN_OUTPUT_MADE"'
KINDS = {
    "source": "made: {source: {file: data.csv}",
    "sql": "made: {sql: 'select n from raw'",
    "view": "made: {sql: 'select n from raw', materialize: view",
    "partitions": "made: {sql: 'select n from raw', materialize: {partitions: {by: n}}",
    "python": "made: {python: 'made.py:made'",
    "run": f"made: {{run: '{COPY}', needs: [raw], outputs: {{made: made.parquet}}",
}
RECIPE = """\
version: 1
recipe: r
nodes:
  raw: {source: {file: data.csv}}
  NODE, tests: [{not_null: [n]}, {accepted_values: {column: n, values: [1, 2]}}]}
  below: {sql: "select sum(n)::int as total from made", tests: [{rows: {min: 1}}]}
"""
PYTHON = "def made(raw):\n    return raw\n"


@pytest.mark.parametrize("kind", some(list(KINDS), "sql", "run"))
def test_s7_no_kind_of_node_leaves_bad_rows(shop: Shop, kind: str) -> None:
    """S7 (`run` and `build` of others leave the bad rows in production): whatever made them, readers have the
    rows of before, of what is below as well; the candidate is kept for who looks; mended, all is
    published."""
    files = {"recipes/r/recipe.yml": RECIPE.replace("NODE", KINDS[kind]), "recipes/r/made.py": PYTHON}
    shop.commit(files | {"recipes/r/data.csv": "n\n1\n"})
    assert shop.cli("run", "--quiet").code == 0
    shop.commit({"recipes/r/data.csv": "n\n1\n9\n"})
    said = shop.cli("run", "--quiet")
    assert said.code == 1, said.out + said.err
    assert shop.outcome()["publication"]["state"] == "withheld"
    assert shop.states()["below"] == "blocked"
    for _ in range(2):
        assert shop.rows("select n from made") == [{"n": 1}]
        assert shop.rows("select total from below") == [{"total": 1}]
        assert shop.cli("run", "--quiet").code == 1  # not the second time either
    kept = shop.rows("select n from made order by n", "--candidate", "last")
    assert kept == [{"n": 1}, {"n": 9}]
    shop.commit({"recipes/r/data.csv": "n\n1\n2\n"})
    assert shop.cli("run", "--quiet").code == 0
    assert shop.rows("select total from below") == [{"total": 3}]


# --- S8 ---

STEP = """\
  n{k}:
    needs: [{needs}]
    run: |
      echo {k} >> LOG
      if [ {k} = 5 ] && [ -e STOP ]; then touch MARK; sleep 60; fi
      echo n > "$GITKITCHEN_OUTPUT_D{k}"
    outputs: {{d{k}: out.csv}}
"""


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "it did not happen within a minute"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "resume", [pytest.param(("--resume",), marks=pytest.mark.long), ()], ids=["resume", "again"]
)
def test_s8_what_was_done_before_a_kill_is_not_done_again(
    shop: Shop, tmp_path: Path, resume: tuple[str, ...]
) -> None:
    """S8 (dbt #7302: killed, and all progress lost): kill -9 of everything while the sixth of eight nodes
    runs; the same command does the sixth again and the rest, and not one that had ended."""
    log, mark, stop = tmp_path / "log", tmp_path / "mark", tmp_path / "stop"
    text = "version: 1\nrecipe: r\nnodes:\n"
    text += "".join(STEP.format(k=k, needs=f"n{k - 1}" if k else "") for k in range(8))
    for word, path in (("LOG", log), ("MARK", mark), ("STOP", stop)):
        text = text.replace(word, str(path))
    shop.commit({"recipes/r/recipe.yml": text + "  last: {sql: select 1 as x, tests: [{rows: {min: 1}}]}\n"})
    stop.touch()
    process = shop.spawn("run", "--quiet")
    until(mark.exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    stop.unlink()
    assert log.read_text().split() == list("012345")
    said = shop.cli("run", "--quiet", *resume)
    assert said.code == 0, said.out + said.err
    assert Counter(log.read_text().split()) == Counter("0123456") + Counter("57")
    states = shop.states()
    assert [states[f"n{k}"] for k in range(8)] == ["reused"] * 5 + ["passed"] * 3


# --- S9 ---

SLOW = """\
version: 1
recipe: slow
nodes:
  first: {FIRST, tests: [{rows: {min: 1}}]}
  wait: {needs: [first], run: WAIT, outputs: {note: note.txt}}
"""
EARLY = "'touch MARK; test -e GO || sleep 60'"
HANG = "'touch MARK; test -e GO || sleep 60; echo done > \"$GITKITCHEN_OUTPUT_NOTE\"'"
MOMENTS = {
    "first": SLOW.replace("FIRST", "sql: select 1 as x, needs: [before]") + "  before: {run: EARLY}\n",
    "later": SLOW.replace("FIRST", "sql: select 1 as x"),
}


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


@pytest.mark.parametrize("moment", some(list(MOMENTS), "first"))
@pytest.mark.parametrize("number", some(list(CODES), signal.SIGINT))
def test_s9_what_was_interrupted_is_never_green(
    shop: Shop, tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    """S9 (dbt-starrocks #98: interrupted, PASS=0, green): interrupted before its first node ended, or later,
    a run has an exit code of its own, a verdict that is not `passed` for whoever looks, and publishes
    nothing."""
    mark, go = tmp_path / "mark", tmp_path / "go"
    text = (
        MOMENTS[moment]
        .replace("WAIT", HANG)
        .replace("EARLY", EARLY)
        .replace("MARK", str(mark))
        .replace("GO", str(go))
    )
    shop.commit({"recipes/slow/recipe.yml": text})
    process = shop.spawn("run", "--quiet")
    until(mark.exists)
    if number == signal.SIGKILL:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == CODES[number], out + err
    assert shop.cli("query", "from first").code != 0
    log = shop.cli("log", "--json")
    assert log.code == 0
    wanted = "interrupted" if number == signal.SIGKILL else "cancelled"
    assert [run["verdict"] for run in json.loads(log.out)["runs"]] == [wanted]
    if number != signal.SIGKILL:
        assert shop.outcome()["verdict"] == "cancelled"
        assert shop.outcome()["publication"]["state"] == "withheld"
    go.touch()
    assert shop.cli("run", "--quiet").code == 0
    assert shop.rows("from first") == [{"x": 1}]


# --- S23 ---

BESIDE = """\
version: 1
recipe: r
nodes:
  hung:
    sql: select count(*) as n from range(200000) a, range(2000000) b where (a.range * b.range) % 7 = 9
    timeout-minutes: 0.01
  steady:
    sql: select count(*) as n from range(20000) a, range(15000) b where (a.range * b.range) % 7 = 3
    tests: [{rows: {min: 1}}]
"""


@pytest.mark.long
def test_s23_a_node_that_is_ended_ends_no_other(shop: Shop) -> None:
    """S23 (redshift #705: a cancel killed another run's query): the query that takes too long is ended, and
    the one that runs beside it on the same database goes on to its end."""
    shop.commit({"recipes/r/recipe.yml": BESIDE})
    said = shop.cli("run", "--quiet", "--jobs", "2")
    assert said.code == 1, said.out + said.err
    assert shop.states() == {"hung": "timed_out", "steady": "passed"}
