"""What the files say: recipes, settings and declared effects, and every mistake in them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.document import read as read_document
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.git import Repository
from gitkitchen.kitchen.config import find_root, load_project
from gitkitchen.kitchen.policy import name_problems, test_name
from gitkitchen.kitchen.settings import parse_set
from gitkitchen.kitchen.settings import resolve as resolve_settings
from gitkitchen.kitchen.settings import values as setting_values
from gitkitchen.kitchen.stores import lost_with_the_job
from gitkitchen.model import (
    Project,
    Recipe,
    Setting,
)
from gitkitchen.premises import refuse_tracked, refuse_tracked_elsewhere
from gitkitchen.recipe.effects import Effects, load_effects, read_effects
from gitkitchen.recipe.load import RawRecipe, RecipeSet, load_recipes, validate_project
from gitkitchen.recipe.resolve import examine as examine_recipe
from gitkitchen.recipe.resolve import resolve as resolve_recipe
from gitkitchen.recipe.waivers import Waiver, read_waivers, void, waiver_problems
from gitkitchen.workplace import Request, Workplace

if TYPE_CHECKING:
    from gitkitchen.plan.sql_readers import SqlReaders

Layer = tuple[str, Mapping[str, Any], Mapping[str, Place]]


def read_recipes(project: Project, only: str | None = None) -> RecipeSet:
    """All recipes of the project; every mistake in them at once."""
    recipes = load_recipes(project, only=only)
    if recipes.problems:
        raise Mistake(*recipes.problems)
    return recipes


def choose(recipes: RecipeSet, name: str | None) -> str:
    """The recipe asked for, or the only one."""
    names = sorted(recipes.recipes)
    if name is None:
        if len(names) == 1:
            return names[0]
        if not names:
            raise Mistake(Problem("there is no recipe", hint="write recipes/<name>/recipe.yml first"))
        raise Mistake(Problem("there are several recipes", hint=f"name one of: {', '.join(names)}"))
    if name in recipes.recipes:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names) or 'none'}"
    raise Mistake(Problem(f"there is no recipe '{name}'", hint=hint))


def settings_of(place: Workplace, raw: RawRecipe, request: Request) -> dict[str, Setting]:
    """Every variable with its origin. Lowest first: recipe, kitchen.yml, environment, variation, --set."""
    project = place.project
    layers: list[Layer] = [
        (f"recipe {raw.name}", raw.vars, raw.places_of("vars")),
        ("kitchen.yml", project.vars, _places(project, "vars")),
    ]
    name = place.kitchen.environment or place.kitchen.base
    environment = project.environment(name) if name else None
    if environment:
        where = _places(project, f"environments.{environment.name}.vars")
        layers.append((f"environment {environment.name}", environment.vars, where))
    if request.variation is not None:
        variation = raw.variation(request.variation)
        layers.append((f"variation {variation.name}", variation.vars, {}))
    declared = {name for _, values, _ in layers for name in values}
    for text in request.sets:
        given = parse_set(text)
        for name in given.keys() - declared:
            near = difflib.get_close_matches(name, sorted(declared), n=1)
            hint = f"did you mean '{near[0]}'?" if near else "declare it in `vars:` first"
            raise Mistake(Problem(f"--set {name}: there is no such variable", hint=hint))
        layers.append(("--set", given, {}))
    return resolve_settings(layers)


def _mistyped(name: str, path: Path) -> bool:
    """Whether NAME=PATH can only mean a node of that name: there is no file that is called so as a whole."""
    is_pattern = any(c in path.name for c in "*?[")
    return name.isidentifier() and not (path.parent.is_dir() if is_pattern else path.exists())


def _places(project: Project, prefix: str) -> dict[str, Any]:
    dotted = prefix + "."
    return {k.removeprefix(dotted): v for k, v in project.places.items() if k.startswith(dotted)}


def read(place: Workplace, request: Request) -> Recipe:
    """The recipe asked for, rendered with the variables of this kitchen and variation."""
    recipes = read_recipes(place.project)
    raw = recipes.recipes[choose(recipes, request.recipe)]
    values = setting_values(settings_of(place, raw, request))
    recipe = resolve_recipe(raw, values, variation=request.variation, kitchen=place.kitchen)
    return _with_results(recipe, request.results)


def _with_results(recipe: Recipe, given: Sequence[str]) -> Recipe:
    """The recipe with files of results that the command line names in place of those it says itself."""
    if not given:
        return recipe
    known = [n.name for n in recipe.nodes.values() if n.kind == "results"]
    files: dict[str, list[str]] = {}
    for word in given:
        name, equals, path = word.partition("=")
        if not equals or name not in recipe.nodes:
            if equals and known and _mistyped(name, Path(word)):
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"there is {', '.join(known)}"
                raise Mistake(Problem(f"--results {word[:200]}: there is no node '{name}'", hint=hint))
            name, path = (known[0] if len(known) == 1 else ""), word
        if name not in known or not path:
            hint = f"say NODE=PATH with one of: {', '.join(known)}" if known else "it has no `results:` node"
            raise Mistake(Problem(f"--results {word[:200]}: which node of the recipe reads it?", hint=hint))
        files.setdefault(name, []).append(str(Path(path).absolute()))
    nodes = dict(recipe.nodes)
    for name, paths in files.items():
        config = {k: v for k, v in nodes[name].config.items() if k not in ("files", "of")}
        needs = tuple(n for n in nodes[name].needs if n not in (nodes[name].config.get("of") or ()))
        nodes[name] = replace(nodes[name], config={**config, "given": paths}, needs=needs)
    return replace(recipe, nodes=nodes)


def _repository_of(root: Path) -> Repository | None:
    """Files are read outside of a repository, too."""
    try:
        return Repository.find(root)
    except Mistake:
        return None


def validate(
    start: Path, environ: Mapping[str, str] | None = None, readers: SqlReaders | None = None
) -> list[Problem]:
    """Every mistake of every file: shapes first; then names, SQL and the graph of each recipe that loads.

    ``environ`` tells whether a job of an environment would lose its store with its runner.
    ``readers`` read the SQL that is not known yet.
    """
    from gitkitchen.plan.build import mistakes

    root = find_root(start)
    repository = _repository_of(root)
    refuse_tracked(root, repository)
    problems = list(validate_project(root))
    if problems:
        return problems
    project = load_project(root)
    refuse_tracked_elsewhere(project, repository)
    lost = lost_with_the_job(project.store, project.environments, environ or {})
    if lost is not None:
        problems.append(replace(lost, place=project.places.get("store")))
    recipes = load_recipes(project)
    known = {d for raw in recipes.recipes.values() for d in raw.datasets}
    effects, wrong = read_effects(project, known)
    problems += [*wrong, *effects_problems(effects)]
    problems += _policy_problems(root, project)
    for raw in recipes.recipes.values():
        for variation in (None, *raw.variations):
            try:
                recipe = resolve_recipe(
                    raw, values_anywhere(project, raw, variation), variation=variation, kitchen=None
                )
                problems += mistakes(project, recipe, known, readers)
            except Mistake as error:
                problems += error.problems
    return list(Mistake(*problems).problems)


def values_anywhere(project: Project, raw: RawRecipe, variation: str | None) -> dict[str, Any]:
    """The variables of a recipe where no kitchen is known: those of every environment stand."""
    layers: list[Layer] = [(raw.name, raw.vars, {})]
    layers += [(e.name, e.vars, {}) for e in reversed(project.environments)]
    layers.append(("kitchen.yml", project.vars, {}))
    if variation is not None:
        layers.append((variation, raw.variations[variation].vars, {}))
    return setting_values(resolve_settings(layers))


def declared_effects(place: Workplace) -> Effects | None:
    """What the branch of a sandbox declares that it changes, or None. Mistake for what is wrong in it."""
    found = load_effects(place.project, place.kitchen)
    if found is None:
        return None
    known = {d for raw in load_recipes(place.project).recipes.values() for d in raw.datasets}
    problems = [p for p in read_effects(place.project, known)[1] if p.place and p.place.file == found.file]
    problems += effects_problems([found])
    if problems:
        raise Mistake(*problems)
    return found


def declared_tests(project: Project) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Recipe, and ``recipe:variation`` -> node -> kind and name of each of its tests, as reports name them.

    ``("*", "*")`` stands for what a node reports that tests by itself. A recipe has the tests of all its
    variations.
    """
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for raw in load_recipes(project).recipes.values():
        own = found.setdefault(raw.name, {})
        for variation in (None, *raw.variations):
            if variation is not None:
                found[f"{raw.name}:{variation}"] = {}
            values = values_anywhere(project, raw, variation)
            for node in examine_recipe(raw, values, variation=variation)[0].nodes.values():
                pairs = [(s.kind, test_name(s.node, s.id)) for s in node.tests]
                pairs += [("*", "*")] if node.kind not in ("source", "sql", "python") else []
                own[node.name] = list(dict.fromkeys([*own.get(node.name, []), *pairs]))
    return found


def _policy_problems(root: Path, project: Project) -> list[Problem]:
    """What the policy and the waivers name that does not exist, and waivers that the policy never allows."""
    waivers, problems = read_waivers(project)
    if project.policy is None and not waivers:
        return problems
    tests = declared_tests(project)
    if project.policy is not None:
        document, _ = read_document(root / "kitchen.yml", "kitchen.yml", "kitchen", cache=project.state)
        problems += name_problems(project.policy, document, tests) if document is not None else ()
    return [*problems, *waiver_problems(waivers, project.policy, tests)]


def counting_waivers(place: Workplace, now: datetime, say: Callable[[Problem], None]) -> tuple[Waiver, ...]:
    """The waivers that excuse failures in this kitchen on this day. Raises Mistake for malformed ones.

    A sandbox has those of its base. ``say`` is told of each that has expired.
    """
    waivers, problems = read_waivers(place.project)
    if problems:
        raise Mistake(*problems)
    today = now.astimezone(UTC).date()
    where = place.kitchen.environment or place.kitchen.base
    for waiver in waivers:
        if today > waiver.expires:
            message = f"this waiver expired on {waiver.expires} and waives nothing"
            say(Problem(message, waiver.place, "remove it, or mend what it waived", "expired-waiver"))
    return tuple(w for w in waivers if not void(w, place.project.policy, where, today))


def effects_problems(found: Sequence[Effects]) -> list[Problem]:
    """What is wrong with the SQL of declared effects."""
    from gitkitchen.plan.facts import expression_problems

    return [
        problem
        for effects in found
        for dataset, intended in effects.datasets.items()
        for expression in intended.values
        for problem in expression_problems(dataset, expression, intended.place)
    ]
