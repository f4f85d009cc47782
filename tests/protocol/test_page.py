"""The page of the protocol shows the table as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.protocol.drawing import mermaid, steps

from gitkitchen.promote.protocol import Purpose, Way, route

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
