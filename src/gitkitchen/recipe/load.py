"""All recipes of a project: found, read, their names compared."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gitkitchen.document import Document, Extender, read, sound
from gitkitchen.document.words import MAX_PROBLEMS, near, subject
from gitkitchen.errors import Place, Problem, in_order
from gitkitchen.files import inside
from gitkitchen.kitchen.settings import texts
from gitkitchen.model import Project
from gitkitchen.recipe import kinds, schedules
from gitkitchen.recipe.raw import RawRecipe, RecipeSet, cut, dataset_paths

__all__ = ["RawRecipe", "RecipeSet", "load_recipes", "read_all", "validate_project"]

_KINDS = Extender(kinds.extend, kinds.same)
FOLDER = "recipes"
FILE = "recipe.yml"


def load_recipes(project: Project, *, only: str | None = None) -> RecipeSet:
    """The recipes of a project whose files are well-formed, by name, and every mistake of all of them.

    Names are compared over all recipes, also where ``only`` one is wanted. What depends on variables
    (expressions, paths, tests) is looked at by ``resolve``.
    """
    found, problems = read_all(project)
    problems += itertools.islice(compared(found), MAX_PROBLEMS)
    problems += [p for raw in found for p in itertools.islice(own_mistakes(raw), MAX_PROBLEMS)]
    problems += itertools.islice(awaited(found), MAX_PROBLEMS)
    good = [raw for raw in found if not raw.document.faults]
    recipes = {raw.name: raw for raw in reversed(good) if only in (None, raw.name)}
    return RecipeSet(dict(sorted(recipes.items())), in_order(problems))


def validate_project(root: Path) -> list[Problem]:
    """Every mistake of every file of the project in ``root``, sorted by file and line."""
    from gitkitchen.recipe.validation import mistakes

    return mistakes(root)


def read_all(project: Project) -> tuple[list[RawRecipe], list[Problem]]:
    """All recipe files that can be read at all, and the mistakes of their documents."""
    found: list[RawRecipe] = []
    problems: list[Problem] = []
    for path in _files(project.root):
        label = f"{FOLDER}/{path.parent.name}/{FILE}"
        try:
            inside(project.root, label)
        except ValueError as error:
            problems.append(
                Problem(f"the recipe {error}", Place(label), "move it into the repository", "bad-path")
            )
            continue
        if path.name != FILE:
            here = Place(f"{FOLDER}/{path.parent.name}/{path.name}")
            problems.append(
                Problem("a recipe's file is named recipe.yml", here, f"rename it to {FILE}", "bad-name")
            )
            continue
        document, wrong = read(path, label, "recipe", cache=project.state, extender=_KINDS)
        problems += wrong
        if document is not None and isinstance(document.value, dict):
            found.append(_raw(project, label, document))
    return found, problems


def _files(root: Path) -> Iterator[Path]:
    for folder in sorted((root / FOLDER).glob("*/")):
        if (folder / FILE).exists():
            yield folder / FILE
        elif (folder / "recipe.yaml").exists():
            yield folder / "recipe.yaml"


def _raw(project: Project, label: str, document: Document) -> RawRecipe:
    folder = label.rpartition("/")[0]
    value = sound(document, cut)
    name = str(value.get("recipe") or folder.rpartition("/")[2])
    return RawRecipe(project, name, folder, label, document, value)


def compared(recipes: Iterable[RawRecipe]) -> Iterator[Problem]:
    """Names that stand twice: recipes; datasets, over all recipes; a dataset and another node."""
    names: dict[str, Place] = {}
    makers: dict[str, tuple[RawRecipe, str, Place]] = {}
    for raw in recipes:
        place = raw.document.place("recipe")
        if raw.name in names:
            message = f"the recipe '{raw.name}' exists already, at {names[raw.name]}"
            yield Problem(message, place, "give it another name", "duplicate-name")
        names.setdefault(raw.name, place)
        for node, value in raw.nodes.items():
            yield from _datasets(raw, node, dataset_paths(node, value), makers)


def _datasets(
    raw: RawRecipe,
    node: str,
    paths: dict[str, tuple[str | int, ...]],
    makers: dict[str, tuple[RawRecipe, str, Place]],
) -> Iterator[Problem]:
    for dataset, path in paths.items():
        place = raw.document.place(*path)
        hint = "names of datasets are unique in the repository; rename one"
        if dataset in makers:
            other, maker, at = makers[dataset]
            where = f"node '{maker}'" if other is raw else f"node '{maker}' of recipe '{other.name}'"
            message = f"node '{node}' makes the dataset '{dataset}', and so does {where} at {at}"
            yield Problem(message, place, hint, "duplicate-dataset")
        elif dataset != node and dataset in raw.nodes:
            at = raw.document.place("nodes", dataset)
            message = f"node '{node}' makes the dataset '{dataset}', which is the name of the node at {at}"
            yield Problem(message, place, hint, "duplicate-dataset")
        makers.setdefault(dataset, (raw, node, place))


def own_mistakes(raw: RawRecipe) -> Iterator[Problem]:
    """What is wrong with a recipe's variables and variations, whatever their values."""
    yield from _expressions(raw, ("vars",), raw.vars)
    known = [e.name for e in raw.project.environments]
    for name, variation in raw.variations.items():
        yield from _expressions(raw, ("variations", name, "vars"), variation.vars)
        for index, environment in enumerate(variation.environments):
            if environment not in known:
                message = f"variation '{name}': there is no environment '{environment[:80]}' in kitchen.yml"
                hint = near(environment, known) or (f"there are {', '.join(known)}" if known else "")
                place = raw.document.place("variations", name, "environments", index)
                yield Problem(message, place, hint, "unknown-name")
    yield from schedules.problems(raw.document, raw.value.get("variations") or {}, raw.nodes, known)


def awaited(recipes: Sequence[RawRecipe]) -> Iterator[Problem]:
    """What schedules wait for that no other recipe makes."""
    declared = {
        raw.name: {n: v.schedule for n, v in raw.variations.items() if v.schedule is not None}
        for raw in recipes
    }
    return schedules.fresh_problems(declared, {d: raw.name for raw in recipes for d in raw.datasets})


def _expressions(raw: RawRecipe, path: tuple[str | int, ...], value: object) -> Iterator[Problem]:
    """A variable is a value: an expression in one would never be evaluated."""
    for inner, text in texts(value):
        if "${{" in text:
            hint = "write the expression where the variable is used"
            message = f"{subject((*path, *inner))}: a variable holds a value, not an expression"
            yield Problem(message, raw.document.place(*path, *inner), hint, "misplaced-expression")
