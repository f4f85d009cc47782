"""The status page of a project: what ``page`` is given beside ledger and Git, from the files and the
store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gitkitchen import __version__
from gitkitchen.data.catalog import own_entries
from gitkitchen.errors import GitKitchenError, Mistake
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.model import Environment, Kitchen, Project
from gitkitchen.page.book import recipe_fact
from gitkitchen.page.lineages import Lineages
from gitkitchen.page.reading import Columns, read_site
from gitkitchen.page.shapes import RecipeFact, Site
from gitkitchen.premises import Premises, door_of, find_premises, store_of
from gitkitchen.reading import values_anywhere
from gitkitchen.recipe.load import load_recipes
from gitkitchen.recipe.resolve import resolve
from gitkitchen.workplace import Request


def site(request: Request, now: datetime) -> tuple[Premises, Site]:
    """All that the status page shows at ``now``. Mistake where there is no project; Infrastructure names a
    bad record. A recipe that cannot be read, and a store that is away, are told on the page."""
    premises = find_premises(request.start, request.say)

    def recipes(columns: Columns) -> Sequence[RecipeFact]:
        return recipe_facts(premises.project, columns)

    def columns(entries: Mapping[str, str]) -> Columns:
        return published_columns(premises, entries, request)

    return premises, read_site(premises, now, recipes=recipes, columns=columns, version=__version__)


def recipe_facts(project: Project, columns: Columns) -> tuple[RecipeFact, ...]:
    """The recipes that are checked out, by name."""
    loaded = load_recipes(project)
    known = {d for raw in loaded.recipes.values() for d in raw.datasets}
    schemas = {dataset: [name for name, _ in found] for dataset, found in columns.items()}
    found = []
    lineages = Lineages(project.state / "cache" / "lineages.json")
    for name, raw in sorted(loaded.recipes.items()):
        try:
            recipe = resolve(raw, values_anywhere(project, raw, None), kitchen=None)
        except Mistake as error:
            found.append(RecipeFact(name, problem=str(error.problems[0])))
            continue
        found.append(recipe_fact(project, recipe, known, schemas, lineages))
    lineages.keep()
    return tuple(found)


def published_columns(premises: Premises, entries: Mapping[str, str], request: Request) -> Columns:
    """Names and types of the columns of what was published: ``entries`` is dataset -> environment. What the
    store cannot tell is left out."""
    project = premises.project
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    if any(c.get("type") == "postgres" for c in project.connections.values()):
        return found  # its versions are known to the warehouse, which no page asks
    for environment in project.environments:
        wanted = {d for d, name in entries.items() if name == environment.name}
        if not wanted:
            continue
        try:
            found |= _columns(premises, environment, wanted, request)
        except GitKitchenError:
            continue
    return found


def _columns(
    premises: Premises, environment: Environment, wanted: set[str], request: Request
) -> dict[str, tuple[tuple[str, str], ...]]:
    project = premises.project
    namespace = environment_namespace(project, environment)
    kitchen = Kitchen(project.id, "", environment.branch, namespace, environment.name)
    door = door_of(project, kitchen, premises.ledger, request.environ, closed="it is only looked at")
    store = store_of(project, kitchen, request.environ, door)
    current = own_entries(premises.ledger, project, namespace)
    found = {}
    for dataset in sorted(wanted & current.keys()):
        build = store.find(current[dataset].fingerprint)
        version = build.versions.get(dataset) if build else None
        if version is not None and version.columns:
            found[dataset] = tuple((c.name, c.type) for c in version.columns)
    return found
