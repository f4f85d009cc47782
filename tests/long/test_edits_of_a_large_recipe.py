"""Edits of a recipe of 500 nodes, made as a person makes them: what is built and judged again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.data.site import serving

from gitkitchen.plan import facts as facts_module
from gitkitchen.plan import fingerprint as fingerprint_module
from large import NODES, Large, build, reading
from large_edits import EDITS, Edit

pytestmark = pytest.mark.long

CLOCK = "orders/outputs/value"
"""The test that asks the clock: judged in every run."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    """The project, run once; each test undoes its edit, and what was built is kept."""
    with serving() as site:
        yield build(tmp_path_factory.mktemp("large") / "project", site)


@pytest.fixture
def large(built: Large, monkeypatch: pytest.MonkeyPatch) -> Iterator[Large]:
    """The project as it was committed, with tools whose versions an edit can change."""
    real = facts_module.tool_version
    for module in (facts_module, fingerprint_module):
        monkeypatch.setattr(module, "tool_version", lambda name: built.tools.get(name) or real(name))
    yield built
    built.undo()


@pytest.mark.parametrize("edit", EDITS, ids=[e.name for e in EDITS])
def test_an_edit_builds_and_judges_just_what_it_means(large: Large, edit: Edit) -> None:
    """Exactly the nodes are built and the tests judged that an edit can change; the rest is reused."""
    edit.make(large)
    large.shop.commit()
    said = large.shop.cli("run", "--quiet", *edit.command)
    assert said.code == 0, said.out + said.err
    outcome = large.shop.outcome()

    assert outcome["publication"]["state"] in ("published", "unchanged")

    states = {n["node"]: n["state"] for n in outcome["nodes"]}
    assert set(states.values()) <= {"passed", "reused"}
    assert {n for n, state in states.items() if state == "passed"} == edit.built
    assert len(states) >= NODES - 1

    tests = {t["id"]: t for n in outcome["nodes"] for t in n["tests"]}
    assert {t["state"] for t in tests.values()} == {"passed"}
    moved = {kind(t) for t in large.tests & tests.keys() if reading(t) & edit.changed}
    anew = {kind(t) for t, result in tests.items() if not result["reused"]}
    assert anew == {CLOCK} | moved | edit.judged | edit.added
    assert {kind(t) for t in large.tests - tests.keys()} - edit.judged == edit.gone
    assert {kind(t) for t in tests.keys() - large.tests} - edit.judged == edit.added


def kind(test: str) -> str:
    """A test's id without its arguments."""
    return test.partition("(")[0]
