"""The recipes of a project in the order in which they read each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from graphlib import CycleError, TopologicalSorter

from gitkitchen.errors import Mistake
from gitkitchen.frozen import dataclass
from gitkitchen.model import Project
from gitkitchen.reading import read_recipes, values_anywhere
from gitkitchen.recipe.load import RawRecipe


@dataclass(frozen=True, slots=True)
class Reader:
    """A recipe, the datasets that it makes, and those of other recipes that it reads."""

    name: str
    makes: frozenset[str]
    reads: frozenset[str]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Node -> nodes of the same recipe that end before it."""


def in_order(project: Project) -> tuple[Reader, ...]:
    """Each recipe after those whose datasets it reads, and otherwise by name; recipes that read each other in
    a circle by name. Raises Mistake with every mistake of the files."""
    recipes = read_recipes(project).recipes
    makers = {d: raw.name for raw in recipes.values() for d in raw.datasets}
    readers = {name: _reader(project, recipes[name], makers) for name in sorted(recipes)}
    needs = {n: {makers[d] for d in r.reads} - {n} for n, r in readers.items()}
    sorter = TopologicalSorter({n: needs[n] for n in sorted(needs)})
    try:
        sorter.prepare()
    except CycleError:
        return tuple(readers.values())
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return tuple(readers[name] for name in order)


def _reader(project: Project, raw: RawRecipe, makers: Mapping[str, str]) -> Reader:
    from gitkitchen.plan.build import study
    from gitkitchen.recipe.resolve import resolve

    makes = frozenset(raw.datasets)
    try:
        recipe = resolve(raw, values_anywhere(project, raw, None), kitchen=None)
        facts, graph, _ = study(project, recipe, set(makers))
    except Mistake:  # its own run tells what is wrong with it
        return Reader(raw.name, makes, frozenset())
    reads = {dataset for found in graph.reads.values() for dataset in found}
    reads |= {dataset for found in facts.values() for test in found.tests for dataset in test.reads}
    needs = {name: tuple(graph.after.get(name, ())) for name in recipe.nodes}
    return Reader(raw.name, makes, frozenset(reads & set(makers)) - makes, needs)
