"""A project of one recipe on the disk, read without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitkitchen.errors import Mistake, Problem
from gitkitchen.kitchen.config import load_project
from gitkitchen.kitchen.settings import resolve as layered
from gitkitchen.kitchen.settings import values as nested
from gitkitchen.model import Kitchen, NodeSpec, Recipe, TestSpec
from gitkitchen.recipe.load import load_recipes
from gitkitchen.recipe.raw import RawRecipe
from gitkitchen.recipe.resolve import resolve

KITCHEN_YML = """\
version: 1
project: {name: pantry, id: 0123456789abcdef}
environments:
  dev: {branch: develop, vars: {region: us}}
  prod: {branch: main, vars: {region: eu}}
pools: {heavy: 2}
"""


@dataclass(frozen=True)
class Pantry:
    """One recipe, ``recipes/jam/recipe.yml``; ``nodes`` are its nodes as YAML."""

    root: Path

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def raw(self, nodes: str, head: str = "") -> RawRecipe:
        """The recipe as written; its nodes begin in line 4, below ``head``."""
        if not (self.root / "kitchen.yml").exists():
            self.write("kitchen.yml", KITCHEN_YML)
        body = "".join(f"  {line}\n" for line in nodes.strip("\n").split("\n"))
        self.write("recipes/jam/recipe.yml", f"version: 1\nrecipe: jam\n{head}nodes:\n{body}")
        recipes = load_recipes(load_project(self.root))
        if recipes.problems:
            raise Mistake(*recipes.problems)
        return recipes.recipes["jam"]

    def recipe(
        self,
        nodes: str,
        values: Mapping[str, Any] | None = None,
        *,
        head: str = "",
        kitchen: Kitchen | None = None,
        variation: str | None = None,
    ) -> Recipe:
        """The recipe with the variables of its file, of ``kitchen.yml`` and ``values``."""
        raw = self.raw(nodes, head)
        layers = [
            ("recipe", raw.vars, {}),
            ("kitchen.yml", raw.project.vars, {}),
            ("--set", values or {}, {}),
        ]
        return resolve(raw, nested(layered(layers)), variation=variation, kitchen=kitchen)

    def node(self, text: str, values: Mapping[str, Any] | None = None) -> NodeSpec:
        """The one node ``a``, of its keys as YAML."""
        indented = "\n".join(f"  {line}" for line in text.strip("\n").split("\n"))
        return self.recipe(f"a:\n{indented}", values).nodes["a"]

    def tests(self, text: str, values: Mapping[str, Any] | None = None) -> tuple[TestSpec, ...]:
        """The tests of a SQL node ``a``, of its ``tests:`` as YAML."""
        indented = "\n".join(f"  {line}" for line in text.strip("\n").split("\n"))
        return self.node(f"sql: select 1 as id\ntests:\n{indented}", values).tests

    def problems(self, text: str, values: Mapping[str, Any] | None = None) -> tuple[Problem, ...]:
        """What is wrong with the one node ``a``."""
        try:
            self.node(text, values)
        except Mistake as error:
            return error.problems
        return ()
