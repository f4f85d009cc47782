"""Queries that are begun ahead: they change when something happens, and nothing of what happens."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.run.desk import Desk, rows_test, sql
from tests.run.test_data_nodes import SLOW, made, rows

from gitkitchen.data.engines.contract import Draft
from gitkitchen.data.engines.duckdb import Engine
from gitkitchen.model import FileEntry, NodeResult, NodeSpec, Plan, State, Version
from gitkitchen.process import Cancel
from gitkitchen.run import ahead

PATIENCE = 20.0
"""Seconds after which something hangs."""
CHAIN = [
    sql("a", "select 1 as x"),
    sql("b", "select x + 1 as x from a"),
    sql("c", "select x * 10 as x from b"),
]
READS = {"b": ["a"], "c": ["b"]}


@dataclass
class Watched:
    """An engine that waits, once files are there, until a query was begun ahead, and tells of it."""

    desk: Desk
    waits: bool = True
    drafted: list[str] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> Engine:
        watched = self

        class Waiting(Engine):
            def draft(self, sql: str, **more: Any) -> Draft:
                watched.drafted.append(sql)
                watched.begun.set()
                return super().draft(sql, **more)

            def write_table(self, dataset: str, sql: str, **more: Any) -> Any:
                kept = more.pop("kept", None)

                def told(files: Sequence[FileEntry]) -> None:
                    watched.begun.clear()
                    kept(files)
                    if watched.waits:
                        watched.begun.wait(1.0)

                return super().write_table(dataset, sql, kept=kept and told, **more)

        return Waiting(self.desk.store)

    def run(
        self, nodes: Sequence[NodeSpec] | Plan, reads: Mapping[str, Sequence[str]], **more: Any
    ) -> dict[str, NodeResult]:
        context = self.desk.context(more.pop("jobs", 2), engine_factory=self)
        return self.desk.run(nodes, reads, context=context, **more)

    def left_over(self) -> list[Path]:
        """What is in the store's folder for what is being written."""
        return list((self.desk.store.root / "tmp").glob("*.parquet"))


@pytest.fixture
def watched(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(ahead, "LATE", PATIENCE)  # however busy the machine of the tests is
    return Watched(desk)


def test_the_next_query_of_a_chain_is_begun_once_its_files_are_there(watched: Watched) -> None:
    """Each but the first is; the rows are what they are without, and the journal is in order."""
    results = watched.run(CHAIN, READS)
    assert watched.drafted == ["select x + 1 as x from a", "select x * 10 as x from b"]
    assert [rows(watched.desk, made(results, name)) for name in "abc"] == [[(1,)], [(2,)], [(20,)]]
    assert [entry["node"] for entry in watched.desk.journal()] == ["a", "b", "c"]
    assert not watched.left_over()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"tests": (rows_test("a", 1),)}, {}),
        ({}, {"tests": (rows_test("a", 1, phase="inputs"),)}),
        ({}, {"volatile": True}),
        ({}, {"condition": "success()"}),
        ({}, {"pool": "one"}),
    ],
    ids=["tested", "tests-its-input", "volatile", "condition", "pool"],
)
def test_what_may_not_begin_or_must_wait_is_not_begun(
    watched: Watched, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """A node that a test, a condition or a pool can keep from running begins in its own turn."""
    watched.waits = False
    nodes = [sql("a", "select 1 as x", **first), sql("b", "select x + 1 as x from a", **second)]
    results = watched.run(nodes, {"b": ["a"]})
    assert results["b"].state is State.PASSED
    assert not watched.drafted


def test_a_busy_machine_is_left_alone(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a query that nobody executed at once, the next ones wait for their own turn."""
    monkeypatch.setattr(ahead, "LATE", -1.0)
    watched.run(CHAIN, READS)
    assert len(watched.drafted) == 1


def test_one_at_a_time_means_one(watched: Watched) -> None:
    """With one job nothing is executed beside a node."""
    watched.waits = False
    assert watched.run(CHAIN, READS, jobs=1)["c"].state is State.PASSED
    assert not watched.drafted


def test_what_may_come_out_equal_is_not_begun(watched: Watched) -> None:
    """A node that runs only if its input changes waits to know it."""
    watched.waits = False
    plan = watched.desk.plan(CHAIN, READS)
    steps = [replace(s, action=type(s.action).MAYBE) if s.node.name == "b" else s for s in plan.steps]
    assert watched.run(replace(plan, steps=tuple(steps)), READS)["b"].state is State.PASSED
    assert CHAIN[1].config["text"] not in watched.drafted


def test_what_turns_out_to_be_built_is_dropped(watched: Watched) -> None:
    """Its build is reused, and of what was begun no file stays."""
    first = watched.run(CHAIN[:2], READS)
    watched.drafted.clear()
    plan = watched.desk.plan(CHAIN[:2], READS)
    steps = [replace(s, forced=True) if s.node.name == "a" else s for s in plan.steps]
    again = watched.run(replace(plan, steps=tuple(steps)), READS)
    assert watched.drafted == ["select x + 1 as x from a"]
    assert again["b"].state is State.REUSED
    assert again["b"].build == first["b"].build
    assert not watched.left_over()


@pytest.mark.parametrize("jobs", [1, 2], ids=["alone", "ahead"])
def test_an_error_is_the_nodes_own(watched: Watched, jobs: int) -> None:
    """A query that fails ahead fails its node, at its own line, as without."""
    watched.waits = jobs > 1
    nodes = [CHAIN[0], sql("b", "select\n  nothing as x from a")]
    failure = watched.run(nodes, READS, jobs=jobs)["b"].failure
    assert failure is not None
    assert failure.place is not None
    assert (failure.place.line, "nothing" in failure.message) == (13, True)
    assert len(watched.drafted) == jobs - 1


def test_a_time_limit_ends_what_was_begun_ahead(watched: Watched) -> None:
    """The node's limit counts for its query, whoever executes it."""
    begun = time.monotonic()
    slow = watched.run([CHAIN[0], sql("b", SLOW, timeout=0.3)], {"b": ["a"]})["b"]
    assert watched.drafted == [SLOW]
    assert slow.state is State.TIMED_OUT
    assert time.monotonic() - begun < PATIENCE


def test_a_cancel_ends_what_was_begun_ahead(watched: Watched) -> None:
    """Within the time that any query has, and nothing of it stays."""
    cancel, begun = Cancel(), time.monotonic()
    threading.Thread(target=lambda: (watched.begun.wait(PATIENCE), cancel.set())).start()
    results = watched.run([CHAIN[0], sql("b", SLOW)], {"b": ["a"]}, cancel=cancel)
    assert results["b"].state is State.CANCELLED
    assert not watched.left_over()
    assert time.monotonic() - begun < PATIENCE


@settings(max_examples=8)
@given(
    needs=st.lists(st.sets(st.integers(0, 6), max_size=3), min_size=2, max_size=6),
    floats=st.sets(st.integers(0, 5)),
)
def test_ahead_or_not_all_comes_out_the_same(needs: list[set[int]], floats: set[int]) -> None:
    """Contents, fingerprints, files and the inputs of builds do not depend on what was begun ahead."""
    nodes, reads = [], {}
    for number, above in enumerate(needs):
        read = [f"n{other}" for other in sorted(above) if other < number]
        value = " + ".join([str(number), *(f"(select max(x) from {name})" for name in read)])
        kind = "double" if number in floats else "bigint"
        nodes.append(sql(f"n{number}", f"select ({value})::{kind} as x"))
        reads[f"n{number}"] = read
    found: list[dict[str, Version]] = []
    for jobs in (1, 3):
        with tempfile.TemporaryDirectory() as folder:
            watched = Watched(Desk(Path(folder)), waits=False)
            results = watched.run(nodes, reads, jobs=jobs)
            found.append({name: made(results, name) for name in results})
            assert not watched.left_over()
            order = [entry["node"] for entry in watched.desk.journal()]
            assert all(order.index(above) < order.index(name) for name in order for above in reads[name])
    assert found[0] == found[1]
