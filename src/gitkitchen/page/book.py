"""Recipes as they are checked out, in the words of the page: nodes, tests, who reads what, where columns come
from. Whoever reads the files is told of here; nothing is read but what ``plan`` reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gitkitchen.errors import GitKitchenError
from gitkitchen.kitchen.policy import test_name
from gitkitchen.model import NodeSpec, Project, Recipe, Schedule
from gitkitchen.page.lineages import Lineages
from gitkitchen.page.shapes import NodeFact, RecipeFact, TestFact

Columns = Mapping[str, Sequence[str]]
MOST = 2_000
"""Columns of one dataset whose origins are shown."""


def recipe_fact(
    project: Project, recipe: Recipe, known: Collection[str], columns: Columns, lineages: Lineages
) -> RecipeFact:
    """What the page says of a recipe. ``known``: datasets of other recipes; ``columns``: of those that were
    published, for ``*`` is written out by them. What cannot be read is told in ``problem``."""
    from gitkitchen.plan.build import study

    try:
        facts, graph, _ = study(project, recipe, known)
    except GitKitchenError as error:
        return RecipeFact(recipe.name, recipe.description, recipe.owner, problem=str(error.problems[0]))
    schemas = {name: tuple(found) for name, found in columns.items()}
    order = graph.order or tuple(recipe.nodes)
    nodes = []
    for name in order:
        node = recipe.nodes[name]
        reads = dict(graph.reads.get(name, {}))
        read = {table: schemas[table] for table in reads if table in schemas}
        lineage, unknown = _lineage(node, read, lineages)
        for dataset, found in lineage.items():
            schemas.setdefault(dataset, tuple(found))
        tests = tuple(
            TestFact(t.id, test_name(t.node, t.id), t.kind, t.severity.value, t.description)
            for t in facts[name].tests
        )
        nodes.append(
            NodeFact(
                name=name,
                kind=node.kind,
                owner=node.owner or recipe.owner,
                description=node.description,
                runbook=node.runbook,
                file=str(node.place),
                datasets=tuple(node.datasets),
                reads=reads,
                after=graph.after.get(name, ()),
                tests=tests,
                key=node.key,
                public=("*",) if project.public_by_default else node.public,
                lineage=lineage,
                unknown=unknown,
            )
        )
    variations = {v.name: _schedule(v.schedule) for v in recipe.variations.values()}
    return RecipeFact(recipe.name, recipe.description, recipe.owner, recipe.file, tuple(nodes), variations)


def _schedule(schedule: Schedule | None) -> str:
    """``17 5 * * * America/New_York``, or "" where it runs when asked."""
    return f"{schedule.cron} {schedule.timezone}" if schedule is not None else ""


def _lineage(
    node: NodeSpec, schemas: Columns, lineages: Lineages
) -> tuple[dict[str, dict[str, tuple[str, ...]]], str]:
    """dataset -> column -> where it comes from; and why that cannot be told."""
    if not node.datasets or node.kind == "source":
        return {}, ""
    if node.kind != "sql":
        return {}, f"a {node.kind} node does what it likes with its inputs"
    found = lineages.of(str(node.config.get("text", "")), schemas)
    if isinstance(found, str):
        return {}, found
    return {next(iter(node.datasets)): dict(list(found.items())[:MOST])}, ""
