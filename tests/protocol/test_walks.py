"""The code walks the table: every step follows an answer of the one before, and none is missing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.promoting.test_landing_on_a_forge import Town, town

import gitkitchen
from gitkitchen.promote.protocol import STEPS, Purpose, Way, route
from gitkitchen.road.effects import KEEPING
from road import TWO, made, remote
from walks import names_of, strays, watched

__all__ = ["town"]
NAMING = {"effect", "_note"}
"""Functions that are told the name of an effect."""
FORWARD = Purpose.FORWARD
WITHIN = (Purpose.RECONCILE, Purpose.ABSORB)


def named() -> set[str]:
    """Every name that the code gives to an effect."""
    found = set()
    for path in Path(gitkitchen.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMING:
                found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_the_code_and_the_table_have_the_same_steps() -> None:
    """Nothing is done that the table does not know, and the table promises nothing that is not done."""
    found = named()
    assert found == set(STEPS) | KEEPING


def test_a_local_promotion_walks_its_route(tmp_path: Path) -> None:
    """First and again, and where there is nothing to do: each step follows an answer of the one before."""
    shop = made(tmp_path, TWO)
    path = route(FORWARD, Way.LOCAL)
    with watched() as walk:
        assert shop.cli("promote", "staging", "--quiet").code == 0
    assert walk.steps == [s.name for s in path.steps]
    assert set(walk.within) <= names_of(*WITHIN, way=Way.LOCAL) | KEEPING
    with watched() as walk:
        assert shop.cli("hold", "staging", "--reason", "x").code == 0
    assert walk.steps == [s.name for s in route(Purpose.HOLD, Way.LOCAL).steps]
    with watched() as walk:
        assert shop.cli("hold", "staging", "--release").code == 0
    assert walk.steps == [s.name for s in route(Purpose.RELEASE, Way.LOCAL).steps]


@pytest.mark.long
def test_a_promotion_by_push_walks_its_route(tmp_path: Path) -> None:
    """Without a forge, all but what a forge does."""
    host = remote(tmp_path, TWO)
    with watched() as walk:
        assert host.job(host.clone("job", "main"), "main", "promote", "staging", "--quiet").code == 0
    assert strays(route(FORWARD, Way.PUSH), walk.steps, forge=False) == []
    assert "atomic-push" in walk.steps
    assert set(walk.within) <= names_of(*WITHIN, way=Way.PUSH) | KEEPING


@pytest.mark.long
@pytest.mark.parametrize("way", [Way.PUSH, Way.BUTTON], ids=lambda way: way.value)
def test_a_promotion_on_a_forge_walks_its_route(town: Town, way: Way) -> None:
    """By the push and by the button, with the pull request and all who are told."""
    if way is Way.BUTTON:
        town.repo.protect("staging")
    with watched() as walk:
        assert town.promote("staging").code == 0
    # Where the push is refused, nothing has changed, and the button is tried.
    steps = [s for s in walk.steps if way is Way.PUSH or s != "atomic-push"]
    assert strays(route(FORWARD, way), steps, forge=True) == []
    assert {s.name for s in route(FORWARD, way).steps} - set(steps) <= {"record-move"}
    assert ("record-move" in steps) is (way is Way.BUTTON)
