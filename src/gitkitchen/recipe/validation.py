"""Every mistake of every file at once: documents, names, each recipe in each kitchen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitkitchen.document.words import MAX_PROBLEMS, near
from gitkitchen.errors import Problem, in_order
from gitkitchen.files import canonical
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.config import examine as examine_project
from gitkitchen.kitchen.settings import Layer, flatten, texts
from gitkitchen.kitchen.settings import resolve as resolve_settings
from gitkitchen.kitchen.settings import values as setting_values
from gitkitchen.model import NodeSpec, Project
from gitkitchen.recipe.alert_template import mistakes as template_mistakes
from gitkitchen.recipe.load import awaited, compared, own_mistakes, read_all
from gitkitchen.recipe.raw import RawRecipe
from gitkitchen.recipe.resolve import examine
from gitkitchen.recipe.select import mistakes as selector_mistakes

MAX_CIRCLES = 10
MAX_KITCHENS = 500
MAX_VALUES = 50_000
MAX_READINGS = 5_000
"""Variables that are laid over each other, and nodes that are read with them, to look at all kitchens of
a recipe; what is beyond is looked at when it is run."""


def mistakes(root: Path) -> list[Problem]:
    """All problems of ``kitchen.yml`` and of all recipes, each once, sorted by file and line."""
    project, problems = examine_project(root)
    if project is None:
        # Without its environments and pools a recipe's names cannot be judged, its form can.
        _, more = read_all(Project(root, "", ""))
        return list(in_order([*problems, *more]))
    recipes, more = read_all(project)
    problems += [*more, *itertools.islice(template_mistakes(project), MAX_PROBLEMS)]
    problems += itertools.islice(compared(recipes), MAX_PROBLEMS)
    problems += itertools.islice(awaited(recipes), MAX_PROBLEMS)
    known = {dataset for raw in recipes for dataset in raw.datasets}
    for raw in recipes:
        problems += itertools.islice(own_mistakes(raw), MAX_PROBLEMS)
        problems += itertools.islice(_needs(raw, known), MAX_PROBLEMS)
        problems += _in_each_kitchen(raw)
    return list(in_order(problems))


# --- variables ---


@dataclass(frozen=True, slots=True)
class Layered:
    """One set of variables that a recipe can run with: where, and which variations give it (None: none)."""

    where: str
    values: Mapping[str, Any]
    variations: list[str | None]


def kitchens(raw: RawRecipe) -> list[Layered]:
    """The different sets of variables that a recipe can run with.

    One for each environment (a sandbox has those of its base) and each variation; equal ones once.
    """
    base: list[Layer] = [("recipe", raw.vars, {}), ("kitchen.yml", raw.project.vars, {})]
    size = 1 + sum(1 for _, given, _ in base for _ in flatten(given))
    environments = [(f"environment {e.name}", e.vars) for e in raw.project.environments] or [("", {})]
    variations: list[tuple[str | None, Mapping[str, Any]]] = [(None, {})]
    variations += [(name, variation.vars) for name, variation in raw.variations.items()]
    found: dict[tuple[bytes, bytes], Layered] = {}
    for (where, over), (name, last) in itertools.islice(
        itertools.product(environments, variations), MAX_KITCHENS
    ):
        key = (canonical(over), canonical(last))
        if key not in found:
            if len(found) * size > MAX_VALUES:
                break
            values = setting_values(resolve_settings([*base, (where, over, {}), (f"{name}", last, {})]))
            words = [w for w in (where, f"variation {name}" if name else "") if w]
            found[key] = Layered(" and ".join(words), values, [])
        found[key].variations.append(name)
    return list(found.values())


def _in_each_kitchen(raw: RawRecipe) -> Iterator[Problem]:
    """The problems of a recipe; those that only some kitchens have say which."""
    seen: dict[Problem, list[str]] = {}
    sets = kitchens(raw)
    varying = {name for name, value in raw.nodes.items() if any("${{" in t for _, t in texts(value))}
    sets = sets[: 1 + MAX_READINGS // max(1, len(varying))]
    nodes: dict[str, NodeSpec] = {}
    fixed: list[Problem] = []
    for index, layered in enumerate(sets):
        if not index:  # what has no expression is the same in all kitchens
            recipe, fixed = examine(raw, layered.values, only=raw.nodes.keys() - varying)
            nodes = dict(recipe.nodes)
        recipe, problems = examine(raw, layered.values, only=varying)
        problems += _selectors(raw, layered, {**nodes, **recipe.nodes})
        for problem in dict.fromkeys(problems):
            seen.setdefault(problem, []).append(layered.where)
    yield from (problem for problem in fixed if problem not in seen)
    for problem, where in seen.items():
        everywhere = len(where) == len(sets) or problem.code in _NOWHERE
        yield problem if everywhere else replace(problem, message=f"{problem.message} (in {where[0]})")


_NOWHERE = frozenset({"empty-selection", "bad-selector"})
"""Problems of a variation itself, whatever the environment."""


def _selectors(raw: RawRecipe, layered: Layered, nodes: Mapping[str, NodeSpec]) -> Iterator[Problem]:
    whole = len(nodes) == len(raw.nodes)  # a node that cannot be read is not a name that is missing
    for name in dict.fromkeys(layered.variations):
        if name is not None and whole:
            selectors = raw.variations[name].nodes
            places = [raw.document.place("variations", name, "nodes", i) for i in range(len(selectors))]
            yield from selector_mistakes(selectors, nodes, places)


# --- needs ---


def _needs(raw: RawRecipe, known: set[str]) -> Iterator[Problem]:
    """Needs that do not exist, and circles that they make."""
    makers = {dataset: node for dataset, (node, _) in raw.datasets.items()}
    edges: dict[str, dict[str, int]] = {}
    for node, value in raw.nodes.items():
        edges[node] = {}
        for index, name in enumerate(value.get("needs") or ()):
            place = raw.document.place("nodes", node, "needs", index)
            maker = name if name in raw.nodes else makers.get(name)
            if maker is not None:
                edges[node].setdefault(maker, index)
            elif name not in known and "${{" not in name:
                hint = near(name, [*raw.nodes, *known]) or "add a node of that name, or take it away"
                message = f"node '{node}' needs '{name[:80]}', which does not exist"
                yield Problem(message, place, hint, "unknown-name")
    for circle in itertools.islice(_circles(edges), MAX_CIRCLES):
        place = raw.document.place("nodes", circle[0], "needs", edges[circle[0]][circle[1 % len(circle)]])
        chain = " -> ".join([*circle[:20], *(["…"] if len(circle) > 20 else []), circle[0]])
        yield Problem(
            f"nodes wait for each other in a circle: {chain}", place, "take one of these away", "cycle"
        )


def _circles(edges: Mapping[str, Mapping[str, int]]) -> Iterator[Sequence[str]]:
    """Circles, each once, from its first node in the order of the recipe; without recursion."""
    done: set[str] = set()
    order = {name: index for index, name in enumerate(edges)}
    for start in edges:
        path: dict[str, Iterator[str]] = {}
        at: str | None = start if start not in done else None
        while at is not None:
            path.setdefault(at, iter(edges[at]))
            following = next(path[at], None)
            if following is None:
                path.pop(at)
                done.add(at)
                at = next(reversed(path), None)
            elif following in path:
                names = list(path)
                circle = names[names.index(following) :]
                first = min(range(len(circle)), key=lambda i: order[circle[i]])
                yield circle[first:] + circle[:first]
            elif following not in done:
                at = following
