"""The page of the protocol shows the table as it is, and the code does what it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.protocol.drawing import mermaid, steps

import gitkitchen
from gitkitchen.promote.protocol import STEPS, Purpose, Way, route
from gitkitchen.road.effects import KEEPING

PAGE = Path(__file__).parent.parent.parent / "docs" / "protocol.md"
SHOWN = [
    (Purpose.FORWARD, Way.BUTTON),
    (Purpose.FORWARD, Way.PUSH),
    (Purpose.ROLLBACK, Way.BUTTON),
    (Purpose.RECONCILE, Way.PUSH),
]


@pytest.mark.parametrize(("purpose", "way"), SHOWN, ids=lambda value: value.value)
def test_the_diagram_is_the_route(purpose: Purpose, way: Way) -> None:
    """The page's diagram has every step and every answer of the route, and nothing else."""
    assert f"```mermaid\n{mermaid(route(purpose, way))}\n```" in PAGE.read_text(encoding="utf-8")


def test_the_list_of_steps_is_the_table() -> None:
    """Every step stands on the page with what it compares and what a crash behind it leaves."""
    assert f"\n{steps()}\n" in PAGE.read_text(encoding="utf-8")


def test_the_code_names_the_effects_of_the_table() -> None:
    """Every effect of a move is a step of the table, and the code does all steps of a local promotion."""
    road = Path(gitkitchen.__file__).parent / "road"
    named = {
        name
        for path in road.glob("*.py")
        for name in re.findall(r'\beffect\("([a-z-]+)"\)', path.read_text(encoding="utf-8"))
    }
    assert named <= set(STEPS) | KEEPING
    assert {step.name for step in route(Purpose.FORWARD, Way.LOCAL).steps} - {"report-landed"} <= named
