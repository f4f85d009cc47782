"""A recipe as its file holds it, before any variable has a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any

from gitkitchen.document import Document
from gitkitchen.document.words import near
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Project, Variation
from gitkitchen.recipe import schedules


@dataclass(frozen=True)
class RawRecipe:
    """``value`` is the document without the parts that its schema refuses; ``file`` is relative to the
    repository. ``resolve`` makes a Recipe of it."""

    project: Project
    name: str
    folder: str
    file: str
    document: Document
    value: Mapping[str, Any]

    @property
    def vars(self) -> Mapping[str, Any]:
        return self.value.get("vars") or {}

    @property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        return self.value.get("nodes") or {}

    @cached_property
    def variations(self) -> dict[str, Variation]:
        return {
            name: Variation(
                name=name,
                vars=value.get("vars") or {},
                nodes=tuple(value.get("nodes") or ()),
                environments=tuple(value.get("environments") or ()),
                schedule=schedules.read(self.document, name, value.get("schedule")),
                place=self.document.place("variations", name),
            )
            for name, value in (self.value.get("variations") or {}).items()
        }

    @cached_property
    def datasets(self) -> dict[str, tuple[str, Place]]:
        """Each dataset with the node that makes it and its place."""
        found: dict[str, tuple[str, Place]] = {}
        for node, value in self.nodes.items():
            for dataset, path in dataset_paths(node, value).items():
                found.setdefault(dataset, (node, self.document.place(*path)))
        return found

    def places_of(self, *path: str) -> dict[str, Place]:
        """The place of each dotted key below a part: ``places_of("vars")["late_minutes"]``."""
        value: Any = self.value
        for key in path:
            value = (value or {}).get(key)
        places: dict[str, Place] = {}

        def walk(part: Any, keys: tuple[str, ...]) -> None:
            if isinstance(part, dict):
                for key, inner in part.items():
                    places[".".join((*keys, key))] = self.document.place(*path, *keys, key)
                    walk(inner, (*keys, key))

        walk(value, ())
        return places

    def variation(self, name: str) -> Variation:
        """A variation by name. Raises Mistake, with the one that was meant."""
        if name in self.variations:
            return self.variations[name]
        known = list(self.variations)
        hint = near(name, known) or (f"there are {', '.join(known)}" if known else "the recipe has none")
        message = f"recipe '{self.name}' has no variation '{name[:80]}'"
        raise Mistake(Problem(message, Place(self.file), hint, "unknown-name"))


@dataclass(frozen=True, slots=True)
class RecipeSet:
    """All recipes of a project, and every mistake of their files."""

    recipes: Mapping[str, RawRecipe] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def cut(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """What to leave out of a recipe for a fault at ``path``: of a node a whole key, of its tests one test."""
    in_tests = path[:1] == ("nodes",) and path[2:3] == ("tests",)
    if in_tests and len(path) > 3:
        return path[: 5 if len(path) > 4 and isinstance(path[3], str) else 4]
    return path[:3]


def dataset_paths(node: str, value: Mapping[str, Any]) -> dict[str, tuple[str | int, ...]]:
    """The datasets of a node as written, with the path of what names each."""
    own: tuple[str | int, ...] = ("nodes", node)
    outputs = value.get("outputs")
    if isinstance(outputs, dict):
        return {name: (*own, "outputs", name) for name in outputs}
    if isinstance(outputs, list):
        return {name: (*own, "outputs", index) for index, name in enumerate(outputs)}
    return {node: own} if any(kind in value for kind in ("source", "sql", "python")) else {}
