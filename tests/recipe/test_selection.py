"""Selectors: what each selects, and what is said of one that selects nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Mistake, Place
from gitkitchen.model import NodeSpec
from gitkitchen.recipe.select import select

NODES = {
    name: NodeSpec(name, kind, {}, Place("r.yml", 1), tags=tags, owner=owner)
    for name, kind, tags, owner in (
        ("flights", "source", ("daily",), "@data"),
        ("planes", "source", (), "@data"),
        ("late", "sql", ("daily",), "@team"),
        ("late_by_day", "sql", (), "@team"),
        ("report", "run", (), ""),
    )
}
EDGES = {"late": ["flights", "planes"], "late_by_day": ["late"], "report": ["late_by_day"], "flights": []}


@pytest.mark.parametrize(
    ("selectors", "expected"),
    [
        ("late", "late"),
        ("late*", "late late_by_day"),
        ("+late", "flights late planes"),
        ("late+", "late late_by_day report"),
        ("+late+", "flights late late_by_day planes report"),
        ("+late*", "flights late late_by_day planes"),
        ("tag:daily", "flights late"),
        ("tag:d*", "flights late"),
        ("tag:daily+", "flights late late_by_day report"),
        ("kind:source", "flights planes"),
        ("owner:@team", "late late_by_day"),
        ("late planes", "late planes"),
        ("+report !late", "flights late_by_day planes report"),
        ("+report !+late", "late_by_day report"),
        ("!late", "flights late_by_day planes report"),
        ("late !late", ""),
        ("late !late late", "late"),
        ("*", "flights late late_by_day planes report"),
    ],
)
def test_selectors_select(selectors: str, expected: str) -> None:
    """Each form selects what the documentation says; several add up from left to right."""
    assert " ".join(sorted(select(selectors.split(), NODES, EDGES))) == expected


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("lat", "the selector 'lat' matches no node; did you mean 'late'?"),
        ("+lat+", "the selector '+lat+' matches no node; did you mean 'late'?"),
        ("tag:dayly", "the selector 'tag:dayly' matches no node; did you mean 'tag:daily'?"),
        ("kind:x", "the selector 'kind:x' matches no node; there are source, sql, run"),
        ("tags:daily", "'tags:' is not known; known are tag:, kind:, owner:"),
        ("", "it names no node"),
        ("+", "it names no node"),
        ("tag:", "it names no node"),
        ("a b", "it names no node"),
        ("zzz", "there are flights, planes, late, late_by_day, report"),
    ],
)
def test_a_selector_that_selects_nothing_is_a_mistake(selector: str, message: str) -> None:
    """Nothing is ever run because of a typing error, and the message says what was meant."""
    with pytest.raises(Mistake) as refused:
        select([selector], NODES, EDGES)
    assert message in str(refused.value)


def test_all_bad_selectors_are_told_at_once() -> None:
    """Two mistakes in one selection are two problems."""
    with pytest.raises(Mistake) as refused:
        select(["late", "x1", "y2"], NODES, EDGES)
    assert len(refused.value.problems) == 2


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """A graph whose nodes read only earlier ones."""
    count = draw(st.integers(1, 9))
    names = [f"n{i}" for i in range(count)]
    edges: dict[str, list[str]] = {names[0]: []}
    for index in range(1, count):
        edges[names[index]] = draw(st.lists(st.sampled_from(names[:index]), unique=True))
    return edges


@given(edges=graphs(), data=st.data())
def test_above_and_below_are_the_closures(edges: dict[str, list[str]], data: st.DataObject) -> None:
    """``+x`` is x with all that it reads, ``x+`` with all that read it, as a slow reference says."""
    nodes = {name: NodeSpec(name, "sql", {}, Place("r.yml", 1)) for name in edges}
    start = data.draw(st.sampled_from(sorted(edges)))

    def reads(name: str, other: str) -> bool:
        return name == other or any(reads(parent, other) for parent in edges[name])

    above = {name for name in edges if reads(start, name)}
    below = {name for name in edges if reads(name, start)}
    assert select([f"+{start}"], nodes, edges) == above
    assert select([f"{start}+"], nodes, edges) == below
    assert select([f"+{start}+"], nodes, edges) == above | below
    assert select([f"!+{start}"], nodes, edges) == set(edges) - above
