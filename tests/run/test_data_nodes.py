"""SQL and Python nodes: what they make, what they are given, how their errors point to the user's lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import duckdb
import pytest
from tests.run.desk import Desk, python, shell, sql

from gitkitchen.errors import Place
from gitkitchen.model import Materialize, NodeResult, NodeSpec, State, Version
from gitkitchen.process import Cancel

SLOW = "select count(*) as n from range(100000000) a, range(100000) b where a.range + b.range < 0"


def rows(desk: Desk, version: Version) -> list[tuple[object, ...]]:
    files = [str(desk.store.path(f)) for f in version.files]
    return duckdb.read_parquet(files).order("all").fetchall()


def made(results: dict[str, NodeResult], node: str, dataset: str | None = None) -> Version:
    result = results[node]
    assert result.build is not None, result.failure
    return result.build.versions[dataset or node]


def test_sql_reads_what_other_nodes_made(desk: Desk) -> None:
    """A chain of queries: each name stands for the version that its node made; values come as parameters."""
    nodes = [
        sql("one", "select 1 as x, 'a' as label"),
        sql("two", "select x + $add as y from one", params={"add": 10, "unused": 1}),
        sql("shown", "select y from two", materialize=Materialize("view")),
        sql("last", "select y + 1 as z from shown"),
    ]
    reads = {"two": ["one"], "shown": ["two"], "last": ["shown"]}
    results = desk.run(nodes, reads)
    assert {r.state for r in results.values()} == {State.PASSED}
    assert rows(desk, made(results, "last")) == [(12,)]
    assert made(results, "shown").format == "view"
    assert made(results, "two").fingerprint == results["two"].build.fingerprint  # type: ignore[union-attr]


def test_a_sql_error_points_to_its_line(desk: Desk) -> None:
    """The engine's message stands at the line of the user's file."""
    result = desk.run([sql("bad", "select 1 as x,\n  nothing\nfrom range(3)")])["bad"]
    assert result.state is State.ERROR
    assert result.failure is not None
    assert "nothing" in result.failure.message
    assert result.failure.place == Place("recipes/r/recipe.yml", 13)


def test_partitions_are_files_of_one_version(desk: Desk) -> None:
    """`materialize: partitions` gives a file for each value, and processes get a folder of them."""
    nodes = [
        sql(
            "parts",
            "select range % 3 as k, range as v from range(9)",
            materialize=Materialize("partitions", "k"),
        ),
        shell("count", "ls $GITKITCHEN_INPUT_PARTS | wc -l"),
    ]
    results = desk.run(nodes, {"count": ["parts"]})
    assert len(made(results, "parts").files) == 3
    assert results["count"].log_tail == ("3",)


def test_a_view_is_written_out_for_a_process(desk: Desk) -> None:
    """A process reads Parquet, also where its input is a view."""
    nodes = [
        sql("shown", "select 42 as answer", materialize=Materialize("view")),
        python("copy", "f"),
    ]
    desk.write({"step.py": "def f(shown):\n    return shown\n"})
    assert rows(desk, made(desk.run(nodes, {"copy": ["shown"]}), "copy")) == [(42,)]


def test_sql_stops_at_its_time_limit(desk: Desk) -> None:
    """A query that takes too long is interrupted; the nodes beside it are not."""
    nodes = [sql("slow", SLOW, timeout=0.3), sql("quick", "select 1 as x")]
    results = desk.run(nodes)
    assert results["slow"].state is State.TIMED_OUT
    assert results["slow"].failure is not None
    assert results["slow"].failure.message == "it was still running after 0.3 s, its time limit"
    assert results["quick"].state is State.PASSED


def test_a_cancel_interrupts_sql(desk: Desk) -> None:
    """A running query ends when the run is cancelled."""
    cancel = Cancel()
    threading.Timer(0.3, cancel.set).start()
    begun = time.monotonic()
    result = desk.run([sql("slow", SLOW)], cancel=cancel)["slow"]
    assert result.state is State.CANCELLED
    assert time.monotonic() - begun < 7.5


STEP = """\
from __future__ import annotations
from typing import TYPE_CHECKING
import datetime
from helper import double
if TYPE_CHECKING:
    import duckdb, pyarrow as pa, pandas as pd, polars as pl

def plain(numbers): return numbers.filter("x > 1")
def relation(numbers: duckdb.DuckDBPyRelation, factor): return numbers.project(f"x * {factor} as x")
def arrow(numbers: pa.Table):
    assert type(numbers).__module__.startswith("pyarrow")
    return numbers.slice(0, 1)
def pandas(numbers: pd.DataFrame):
    assert type(numbers).__module__.startswith("pandas")
    return numbers.assign(y=numbers.x.map(double))
def polars(numbers: pl.DataFrame):
    assert type(numbers).__module__.startswith("polars")
    return numbers.head(2)
def lazy(numbers: pl.LazyFrame): return numbers.tail(1)
def dicts(): return [{"a": 1, "d": datetime.date(2026, 1, 2)}, {"a": 2, "b": "x"}]
def several(): return {"left": [{"a": 1}], "right": [{"b": 2}]}
def wrong(): return 3
def nothing(): pass
def empty(): return []
def unknown(numbrs): return numbrs
def raises(numbers):
    value = 1
    return double(None)
def leaves():
    import os
    os._exit(0)
def exits(): raise SystemExit(0)
"""
HELPER = "def double(x):\n    return x * 2\n"


@pytest.fixture
def steps(desk: Desk) -> Desk:
    desk.write({"step.py": STEP, "helper.py": HELPER})
    return desk


def call(desk: Desk, *nodes: NodeSpec) -> dict[str, NodeResult]:
    """Run Python nodes that read ``numbers`` (x: 1, 2, 3)."""
    numbers = sql("numbers", "select unnest([1, 2, 3])::INTEGER as x")
    return desk.run([numbers, *nodes], {n.name: ["numbers"] for n in nodes})


def node(name: str, **more: object) -> NodeSpec:
    return python(name, name, files=("recipes/r/step.py", "recipes/r/helper.py"), **more)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("plain", [(2,), (3,)]),
        ("relation", [(5,), (10,), (15,)]),
        pytest.param("arrow", [(1,)], marks=pytest.mark.long),
        ("pandas", [(1, 2), (2, 4), (3, 6)]),
        pytest.param("polars", [(1,), (2,)], marks=pytest.mark.long),
        pytest.param("lazy", [(3,)], marks=pytest.mark.long),
    ],
)
def test_annotations_choose_the_form_of_inputs(
    steps: Desk, function: str, expected: Sequence[tuple[object, ...]]
) -> None:
    """A function gets a relation, or what its annotation asks for, and may return any of these."""
    results = call(steps, node(function, params={"factor": 5}))
    assert rows(steps, made(results, function)) == list(expected)


def test_a_list_of_dicts_is_a_table(steps: Desk) -> None:
    """Dicts become rows; what one lacks is NULL; types are kept."""
    version = made(call(steps, node("dicts")), "dicts")
    assert [(c.name, c.type) for c in version.columns] == [("a", "INTEGER"), ("d", "DATE"), ("b", "VARCHAR")]
    assert version.rows == 2


def test_a_function_makes_several_tables(steps: Desk) -> None:
    """With several outputs a function returns a dict of them."""
    results = call(steps, node("several", datasets={"left": None, "right": None}))
    assert rows(steps, made(results, "several", "left")) == [(1,)]
    assert rows(steps, made(results, "several", "right")) == [(2,)]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "wrong",
            "what wrong returned is of type int; return a relation, an Arrow table, a data frame",
        ),
        (
            "nothing",
            "what nothing returned is None; return a relation, an Arrow table, a data frame or a list",
        ),
        (
            "empty",
            "what empty returned is an empty list, which has no columns; return a relation or a data frame",
        ),
        ("unknown", "its parameter 'numbrs' is no input and has no value in `with:` (known: numbers)"),
        ("absent", "there is no function 'absent' in recipes/r/step.py"),
        ("leaves", "its process ended with exit code 0 and without its output (leaves)"),
        ("exits", "it called exit(0) and did not return"),
    ],
)
def test_what_a_function_must_not_do_is_said(steps: Desk, function: str, message: str) -> None:
    """Each way not to make the output ends as an error that names it."""
    result = call(steps, node(function))[function]
    assert result.state is State.ERROR
    assert result.failure is not None
    assert result.failure.message.startswith(message)


def test_an_exception_is_shown_by_the_users_own_lines(steps: Desk) -> None:
    """The place is the user's deepest line; the log has their lines and none of ours."""
    result = call(steps, node("raises"))["raises"]
    assert result.failure is not None
    assert result.failure.message.startswith("TypeError: unsupported operand")
    assert result.failure.place == Place("recipes/r/helper.py", 2)
    log = steps.log("raises")
    assert 'File "recipes/r/step.py", line 28, in raises' in log
    assert 'File "recipes/r/helper.py", line 2, in double' in log
    assert "child.py" not in log


def test_a_syntax_error_has_its_line(desk: Desk) -> None:
    """A file that does not compile is an error at its line."""
    desk.write({"step.py": "x = 1\ndef f(:\n    pass\n"})
    result = desk.run([python("bad", "f")])["bad"]
    assert result.failure is not None
    assert result.failure.message == "SyntaxError: invalid syntax"
    assert result.failure.place == Place("recipes/r/step.py", 2)
