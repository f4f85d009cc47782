"""pytest nodes: test by test, with the kitchen's datasets; silence is never a pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.run.desk import Desk, sql

from gitkitchen.errors import Place
from gitkitchen.model import NodeResult, NodeSpec, State

TESTS = """\
import pytest

def test_rows(kitchen):
    assert kitchen.table("numbers").shape == (3, 1)
    assert kitchen.path("numbers").suffix == ".parquet"

def test_query(kitchen):
    assert kitchen.sql("select sum(x) from numbers where x > $least", least=1).fetchall() == [(5,)]

@pytest.mark.parametrize("limit", [2, 99])
def test_limit(kitchen, limit):
    total = kitchen.params["most"]
    assert total > limit, "::error::too few"

@pytest.mark.skip(reason="later")
def test_skipped():
    pass

@pytest.fixture
def broken():
    raise RuntimeError("no set-up")

def test_error(broken):
    pass
"""


def module(name: str = "checks", **more: object) -> NodeSpec:
    config = {"file": "recipes/r/test_it.py", "args": []}
    return NodeSpec(name, "pytest", config, Place("recipes/r/recipe.yml", 5), **more)  # type: ignore[arg-type]


def run(desk: Desk, text: str, **more: object) -> NodeResult:
    desk.write({"test_it.py": text})
    nodes = [sql("numbers", "select unnest([1, 2, 3]) as x"), module(params={"most": 6}, **more)]
    return desk.run(nodes, {"checks": ["numbers"]})["checks"]


def test_results_come_test_by_test(desk: Desk) -> None:
    """Each test is a result with its state, its place and its message, safe to show."""
    result = run(desk, TESTS)
    assert result.state is State.FAILED
    found = {t.expected: (t.state.value, t.place.line if t.place else 0) for t in result.tests}
    assert found == {
        "test_rows": ("passed", 3),
        "test_query": ("passed", 7),
        "test_limit[2]": ("passed", 10),
        "test_limit[99]": ("failed", 13),
        "test_skipped": ("skipped", 15),
        "test_error": ("error", 21),
    }
    failed = next(t for t in result.tests if t.state.value == "failed")
    assert failed.place == Place("recipes/r/test_it.py", 13)
    assert failed.message.startswith("AssertionError: ::error::too few")
    assert result.failure is not None
    assert result.failure.kind == "test"


def test_a_module_without_tests_is_an_error(desk: Desk) -> None:
    """Zero tests collected is never a pass."""
    result = run(desk, "def helper(): pass\n")
    assert result.state is State.ERROR
    assert result.failure is not None
    assert result.failure.message == "pytest found no test in recipes/r/test_it.py: nothing was tested"


def test_a_module_that_cannot_be_imported_is_an_error(desk: Desk) -> None:
    """An import error is an error of the node, with its reason."""
    result = run(desk, "import not_there\ndef test_x(): pass\n")
    assert result.state is State.ERROR
    assert result.failure is not None
    assert result.failure.message == (
        "pytest cannot read its tests: ModuleNotFoundError: No module named 'not_there'"
    )


@pytest.mark.long
def test_the_repositorys_pytest_settings_do_not_count(desk: Desk) -> None:
    """Settings of an outer project (which could deselect every test) are not read."""
    (desk.root / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    assert run(desk, "def test_x(): pass\n").state is State.PASSED


def test_a_verdict_is_reused_and_shown_as_reused(desk: Desk) -> None:
    """The same module on the same data is not run again; its tests are evidence all the same."""
    first = run(desk, "def test_x(): pass\n")
    again = run(desk, "def test_x(): pass\n")
    assert (first.state, again.state) == (State.PASSED, State.REUSED)
    assert again.tests == tuple(replace(t, reused=True) for t in first.tests)


@pytest.mark.long
def test_a_failed_module_runs_again(desk: Desk) -> None:
    """What failed is no finished work."""
    assert run(desk, "def test_x(): assert False\n").state is State.FAILED
    again = run(desk, "def test_x(): assert False\n")
    assert (again.state, again.tests[0].reused) == (State.FAILED, False)
