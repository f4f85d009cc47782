"""The plan: for each node what will be done, and why.

Sound: whatever changes what a node means, or the content that it reads, selects the node. Tight:
nothing else does. What is only known once an input was built again is left open (``maybe``): if that
input comes out equal, nothing below it runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain

from gitkitchen.data.stores import Store
from gitkitchen.errors import Mistake, Problem
from gitkitchen.model import Catalog, Kitchen, NodeSpec, Plan, Project, Recipe, Subject, Version
from gitkitchen.plan.cache import FactCache, cache_folder
from gitkitchen.plan.decide import Planner, probe_source
from gitkitchen.plan.facts import NodeFacts, gather, sql_of
from gitkitchen.plan.graph import Graph, build_graph
from gitkitchen.plan.memory import Memory
from gitkitchen.plan.sql import keep, unknown
from gitkitchen.plan.sql_readers import SqlReaders


def build_plan(
    project: Project,
    kitchen: Kitchen,
    recipe: Recipe,
    *,
    subject: Subject,
    catalog: Catalog,
    store: Store,
    selection: Sequence[str] = (),
    fresh: bool = False,
    force: bool = False,
    interval: tuple[datetime, datetime] | None = None,
    period: tuple[datetime, datetime] | None = None,
    dataset_versions: Callable[[str], Version | None] | None = None,
    nonce: str | None = None,
    probe: Callable[[Project, NodeSpec], str | None] | None = None,
    warehouse: tuple[str, str] | None = None,
    readers: SqlReaders | None = None,
) -> Plan:
    """What a run of ``recipe`` in ``kitchen`` would do, and why.

    ``selection`` holds selectors (default: the variation's). ``fresh`` fetches sources that are pinned.
    ``force`` runs what could be reused. ``interval`` keys what is volatile; without one it runs each
    time, under a fingerprint of its own that comes from ``nonce`` (default: random). ``probe`` tells
    the digest of a source's content, or None where it has none before it is fetched. ``warehouse`` is the
    engine that runs SQL with its version (None: DuckDB). ``readers`` read the SQL that is not known yet.
    Raises Mistake with every problem of the recipe's graph and files.
    """
    facts, graph, problems = study(project, recipe, _outside(catalog, recipe), warehouse, readers)
    if problems:
        raise Mistake(*problems)
    chosen = _chosen(recipe, graph, selection)
    problems = list(_missing(recipe, graph, facts, chosen, catalog))
    if problems:
        raise Mistake(*problems)
    memory = Memory(project, kitchen, recipe)
    planner = Planner(
        project=project,
        kitchen=kitchen,
        recipe=recipe,
        catalog=catalog,
        store=store,
        facts=facts,
        graph=graph,
        chosen=chosen,
        memory=memory,
        fresh=fresh,
        force=force,
        interval=interval,
        period=period,
        nonce=secrets.token_hex(8) if nonce is None else nonce,
        probe=probe or probe_source,
        versions=dataset_versions,
    )
    problems = planner.missing_sources()
    if problems:
        raise Mistake(*problems)
    steps = tuple(planner.step(recipe.nodes[name]) for name in graph.order if name in chosen)
    memory.save()
    return Plan(kitchen, recipe, subject, steps, catalog, interval, complete=len(chosen) == len(recipe.nodes))


def mistakes(
    project: Project,
    recipe: Recipe,
    known: Collection[str] | Catalog | None = None,
    readers: SqlReaders | None = None,
) -> list[Problem]:
    """Every mistake of a recipe's graph, SQL, Python and tests. ``known``: the datasets outside of it."""
    if isinstance(known, Catalog):
        known = _outside(known, recipe)
    return study(project, recipe, known or (), readers=readers)[2]


def study(
    project: Project,
    recipe: Recipe,
    known: Collection[str],
    warehouse: tuple[str, str] | None = None,
    readers: SqlReaders | None = None,
) -> tuple[dict[str, NodeFacts], Graph, list[Problem]]:
    """The facts of all nodes and the graph that they make, with all problems."""
    cache = FactCache(cache_folder(project) / f"{recipe.name}.json")
    declared = str((project.connections.get("warehouse") or {}).get("type", "duckdb"))
    engine = warehouse or ((declared, "") if declared != "duckdb" else None)
    dialect = engine[0] if engine else "duckdb"
    readers = readers or SqlReaders()
    texts = {node.name: tuple(sql_of(node)) for node in recipe.nodes.values()}
    readers.begin(unknown(chain.from_iterable(texts.values()), cache, dialect), dialect)
    facts: dict[str, NodeFacts] = {}
    for node in sorted(recipe.nodes.values(), key=lambda node: bool(texts[node.name])):
        if texts[node.name]:  # the first that has SQL: those without it went before, while it was read
            keep(readers.finish(), cache, dialect)
        facts[node.name] = gather(project.root, recipe, node, cache, engine)
    facts = {name: facts[name] for name in recipe.nodes}
    cache.save()
    graph = build_graph(recipe, facts, known)
    return facts, graph, [*(p for f in facts.values() for p in f.problems), *graph.problems]


def _outside(catalog: Catalog, recipe: Recipe) -> Collection[str]:
    """What other recipes published. A dataset that this recipe no longer makes is not an input."""
    return {name for name, entry in catalog.entries.items() if entry.recipe != recipe.name}


def _chosen(recipe: Recipe, graph: Graph, selection: Sequence[str]) -> set[str]:
    if not selection and recipe.variation and recipe.variation in recipe.variations:
        selection = recipe.variations[recipe.variation].nodes
    if not selection:
        return set(recipe.nodes)
    from gitkitchen.recipe.select import select

    return select(selection, recipe.nodes, graph.after)


def _missing(
    recipe: Recipe,
    graph: Graph,
    facts: Mapping[str, NodeFacts],
    chosen: set[str],
    catalog: Catalog,
) -> Iterator[Problem]:
    """What selected nodes and their tests read, and neither the plan makes nor the catalog has."""
    makers = recipe.datasets
    for name in graph.order:
        if name not in chosen:
            continue
        read = dict.fromkeys(graph.reads[name])
        read.update(dict.fromkeys(d for spec in facts[name].tests for d in spec.reads))
        for dataset in read:
            maker = makers.get(dataset)
            if maker is not None and maker not in chosen and dataset not in catalog.entries:
                yield Problem(
                    f"node '{name}' reads '{dataset}', which is not selected and was never published here",
                    recipe.nodes[name].place,
                    f"select its node too: '+{name}' selects all that {name} needs",
                    "not-selected",
                )
