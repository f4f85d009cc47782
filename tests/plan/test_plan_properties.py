"""Plans of random recipes under random edits, against a slow and obvious reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.files import digest
from gitkitchen.model import Step

Lab = Any


@dataclass(frozen=True)
class Sum:
    """A node of the reference: it adds its inputs and a constant, and divides, so that edits can vanish."""

    reads: tuple[str, ...]
    plus: int
    divisor: int
    given: int = 0
    comment: str = ""
    tag: str = ""

    @property
    def meaning(self) -> tuple[Any, ...]:
        return (self.plus, self.divisor, self.given, frozenset(self.reads))

    def sql(self) -> str:
        total = " + ".join([*(f"{name}.v" for name in self.reads), "$given", str(self.plus)])
        tables = f" from {', '.join(self.reads)}" if self.reads else ""
        return f"-- {self.comment}\nselect ({total}) // {self.divisor} as v{tables}"


Recipe = dict[str, Sum]


def everything(recipe: Recipe) -> dict[str, int]:
    """The obvious reference: all values, each computed from scratch."""

    def value(name: str) -> int:
        node = recipe[name]
        return (sum(value(r) for r in node.reads) + node.given + node.plus) // node.divisor

    return {name: value(name) for name in recipe}


def must_build(recipe: Recipe, done: set[Any]) -> set[str]:
    """The nodes whose meaning was never seen on inputs of these values; remembers them as seen."""
    values = everything(recipe)
    wanted = {n: (n, s.meaning, tuple(sorted((r, values[r]) for r in s.reads))) for n, s in recipe.items()}
    new = {name for name, key in wanted.items() if key not in done}
    done |= set(wanted.values())
    return new


def load(lab: Lab, recipe: Recipe) -> None:
    lab.nodes.clear()
    for name, node in recipe.items():
        config = {"file": None, "text": node.sql(), "line": 1}
        lab.add(name, "sql", config, params={"given": node.given}, tags=(node.tag,))

    def content(step: Step, inputs: Mapping[str, str]) -> str:
        # Content stands for the data alone: equal values are equal data, however they were made.
        return digest(everything(recipe)[step.node.name])

    lab.content = content


names = st.integers(0, 7).map(lambda i: f"n{i}")


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    recipe: Recipe = {}
    for index in range(draw(st.integers(1, 8))):
        reads = draw(st.sets(st.sampled_from(sorted(recipe)), max_size=3)) if recipe else set()
        plus, divisor = draw(st.integers(0, 3)), draw(st.integers(1, 3))
        recipe[f"n{index}"] = Sum(tuple(sorted(reads)), plus, divisor)
    return recipe


edits = st.tuples(
    st.sampled_from(["plus", "divisor", "given", "comment", "tag", "reads", "order", "drop"]),
    names,
    st.integers(0, 3),
)


def edited(recipe: Recipe, edit: tuple[str, str, int]) -> Recipe:
    what, name, number = edit
    node = recipe.get(name)
    if what == "order":  # any order of declaration is the same recipe
        turned = list(recipe.items())
        return dict(turned[number:] + turned[:number])
    if node is None:
        return recipe
    if what == "drop":
        used = any(name in other.reads for other in recipe.values())
        return recipe if used else {n: s for n, s in recipe.items() if n != name}
    if what == "reads":  # only earlier names, so that there is no cycle
        earlier = sorted(n for n in recipe if n < name)
        if not earlier:
            return recipe
        other = earlier[number % len(earlier)]
        reads = set(node.reads) ^ {other}
        return recipe | {name: replace(node, reads=tuple(sorted(reads)))}
    if what in ("comment", "tag"):
        return recipe | {name: replace(node, **{what: f"c{number}"})}
    return recipe | {name: replace(node, **{what: max(number, what == "divisor")})}


@given(first=recipes(), rounds=st.lists(st.lists(edits, max_size=3), max_size=4))
def test_a_plan_builds_what_the_reference_builds_and_nothing_else(
    laboratory: Any, first: Recipe, rounds: list[list[tuple[str, str, int]]]
) -> None:
    """After any edits a run leaves the data of a run from scratch, having built just what was new."""
    with tempfile.TemporaryDirectory() as folder:
        lab, recipe, done = laboratory(Path(folder)), first, set[Any]()
        for edits_of_round in [[], *rounds, []]:
            for edit in edits_of_round:
                recipe = edited(recipe, edit)
            if not recipe:
                return
            load(lab, recipe)
            published = {d: e.content for d, e in lab.catalog.entries.items()}
            plan = lab.plan()
            acts = {s.node.name: s.action.value for s in plan.steps}
            position = {s.node.name: i for i, s in enumerate(plan.steps)}
            new = must_build(recipe, done)
            built = set(lab.run(plan))
            assert built == new
            data = {n: digest([n, digest(v)]) for n, v in everything(recipe).items()}
            assert {n: lab.catalog.entries[n].content for n in recipe} == data
            assert built <= {n for n, a in acts.items() if a in ("run", "maybe")}
            for step in plan.steps:
                node, reads = step.node.name, set(recipe[step.node.name].reads)
                assert set(step.reads) == reads
                assert all(position[r] < position[node] for r in reads)
                assert step.reasons
                open_inputs = {r for r in reads if acts[r] != "reuse"}
                if acts[node] == "run" and not open_inputs:
                    assert node in new, "what is sure to run is run"
                if acts[node] == "maybe":
                    assert step.reasons == tuple(f"if {r} changes" for r in step.reads if r in open_inputs)
                    if all(published.get(r) == data[r] for r in reads):
                        assert node not in built, "equal inputs run nothing below"
