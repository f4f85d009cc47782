"""Recipes and datasets: what there is, who answers for it, how it hangs together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from gitkitchen.page.drawing import graph, neighbourhood
from gitkitchen.page.health import RANK, Standing, worst
from gitkitchen.page.rendering import Page
from gitkitchen.page.shapes import CONTENT, NodeFact, Place, Publication, RecipeFact, Said, Tone
from gitkitchen.page.views.freshness import confirmed
from gitkitchen.page.views.parts import (
    Block,
    Cell,
    Row,
    Studio,
    Versions,
    ago,
    article,
    boxes,
    dataset_href,
    dots,
    grid_href,
    heads,
    metrics_href,
    recipe_href,
    run_href,
    when,
)
from gitkitchen.page.views.runs import NODES
from gitkitchen.report.text import WORDS, count, names

WHOLE = 60
"""Nodes of a graph that is drawn whole; of a larger one, what stands around what fails."""
INTERVALS = 1_000
"""Intervals of a recipe without a run that are listed, the newest."""
STATES: Mapping[str, Tone] = {
    "missed": "bad",
    "input_not_ready": "bad",
    "died": "unknown",
    "superseded": "unknown",
    "again": "unknown",
    "paused": "warn",
    "resumed": "good",
}
"""What became of an interval, or of a schedule, beside runs; records of other kinds say nothing of it."""


def pages(studio: Studio) -> Iterator[Page]:
    yield _recipes(studio)
    yield _datasets(studio)
    ran = {s.recipe for s in studio.standings.values()}
    for fact in studio.site.recipes:
        yield _recipe(studio, fact)
        for node in fact.nodes:
            for dataset in node.datasets:
                yield studio.later(
                    dataset_href(dataset),
                    "blocks.html.j2",
                    "datasets.html",
                    partial(_dataset, studio, fact, node, dataset),
                )
    for name in sorted(ran - set(studio.facts)):
        yield _recipe(studio, RecipeFact(name, problem="it is not in the files that are checked out"))


def _own(studio: Studio, recipe: str) -> list[Standing]:
    return [s for s in studio.standings.values() if s.recipe == recipe]


# --- recipes ----------------------------------------


def _recipes(studio: Studio) -> Page:
    everything = sorted({*studio.facts, *(s.recipe for s in studio.standings.values())})
    rows = []
    for name in everything:
        fact = studio.facts.get(name, RecipeFact(name))
        health = worst(s.health for s in _own(studio, name))
        cells = [
            Cell(health.word, tone=health.tone),
            Cell(name, href=recipe_href(name), head=True),
            Cell(fact.description, cls="why"),
            Cell(fact.owner, cls="optional"),
            Cell(f"{len(fact.nodes):,}" if fact.nodes else "", cls="n optional"),
        ]
        rows.append((RANK[health.tone], name, Row(cells)))
    block = Block(
        "By state",
        head=heads("state", "recipe", "what it does", "o:owner", "no:nodes"),
        rows=[row for _, _, row in sorted(rows, key=lambda r: r[:2])],
        text="" if rows else "There is no recipe yet.",
    )
    return studio.page(
        "recipes.html",
        "blocks.html.j2",
        "recipes.html",
        headline="Recipes",
        lead=f"{count(len(everything), 'recipe')}, what fails first.",
        blocks=[block],
    )


def _recipe(studio: Studio, fact: RecipeFact) -> Page:
    own = _own(studio, fact.name)
    health = worst(s.health for s in own)
    blocks = []
    if fact.problem:
        blocks.append(Block("Not known", text=f"Its declaration cannot be shown: {fact.problem}."))
    blocks.append(_standing_block(studio, own))
    if fact.nodes:
        blocks.append(_graph_block(studio, fact, own))
        blocks.append(_nodes_block(fact))
    found = [t for t in studio.troubles if t.alert is not None and t.alert.recipe == fact.name]
    if found:
        shown = [
            article(
                t.title,
                t.tone if t.open else "unknown",
                word=t.kind,
                text=t.said,
                href=studio.incident(t.environment, t.id),
                small=f"{t.environment} · {when(t.opened)}" + ("" if t.open else f" to {when(t.over)}"),
            )
            for t in found[:10]
        ]
        blocks.append(Block("Incidents", str(len(found)), articles=shown))
    if said := [s for s in studio.site.schedules if s.recipe == fact.name and s.kind in STATES]:
        blocks.append(_intervals_block(said))
    facts = [(label, Cell(text)) for label, text in (("owner", fact.owner), ("file", fact.file)) if text]
    facts += [(f"variation {v}", Cell(s or "when asked")) for v, s in fact.variations.items()]
    return studio.page(
        recipe_href(fact.name),
        "blocks.html.j2",
        "recipes.html",
        headline=fact.name,
        tone=health.tone,
        over=f"recipe · {count(len(fact.nodes), 'node')}",
        lead=fact.description,
        facts=facts,
        blocks=blocks,
    )


def _intervals_block(said: list[Said]) -> Block:
    """What became of the intervals that did not simply run; of those that did, each run's page tells."""
    newest = sorted(said, key=lambda s: (s.at, s.interval), reverse=True)[:INTERVALS]
    rows = [
        Row(
            [
                Cell(s.kind.replace("_", " "), tone=STATES[s.kind]),
                Cell(s.environment + (f" ({s.variation})" if s.variation else ""), head=True),
                Cell(s.interval or (f"by {s.by}" if s.by else ""), cls="t"),
                Cell(s.reason, cls="why"),
                Cell(when(s.at), cls="t optional"),
            ]
        )
        for s in newest
    ]
    note = f"the newest {INTERVALS:,} of {len(said):,}" if len(said) > INTERVALS else ""
    head = heads("state", "environment", "interval", "why", "o:recorded")
    return Block(
        "Intervals without a run, and pauses",
        count(len(said), "record"),
        "intervals",
        head=head,
        rows=rows,
        note=note,
    )


def _standing_block(studio: Studio, own: list[Standing]) -> Block:
    rows = []
    for s in own:
        last = s.last
        rows.append(
            Row(
                [
                    Cell(s.health.word, tone=s.health.tone),
                    Cell(
                        s.environment + (f" ({s.variation})" if s.variation else ""),
                        href=grid_href(s) if s.runs else "",
                        head=True,
                    ),
                    Cell(dots=dots(s.runs)),
                    Cell(
                        ago(last.started, studio.site.made) if last else "never ran",
                        href=run_href(last) if last else "",
                        cls="t",
                    ),
                    Cell("metrics" if s.runs else "", href=metrics_href(s) if s.runs else "", cls="optional"),
                ]
            )
        )
    return Block(
        "Environments",
        anchor="environments",
        rows=rows,
        head=heads("state", "grid of runs", "last runs", "last run", "o:history"),
    )


def _about(studio: Studio, fact: RecipeFact, own: list[Standing]) -> dict[str, tuple[Tone, str, str, str]]:
    """Of each node: how it did in the last run of the environment furthest down the road."""
    last = next(
        (s.last for p in reversed(studio.site.places) for s in own if s.environment == p.name and s.last),
        None,
    )
    found: dict[str, tuple[Tone, str, str, str]] = {}
    for node in fact.nodes:
        state = last.states.get(node.name, "") if last else ""
        tone, mark = NODES.get(state, ("unknown", "?"))
        href = dataset_href(node.datasets[0]) if node.datasets else ""
        found[node.name] = tone, mark, f"{WORDS.get(state, 'not run')} · {node.kind}", href
    return found


def _graph_block(studio: Studio, fact: RecipeFact, own: list[Standing]) -> Block:
    after = {n.name: n.after for n in fact.nodes}
    about = _about(studio, fact, own)
    if len(after) <= WHOLE:
        return Block("Graph", "from left to right", "graph", graph=boxes(graph(after), about))
    bad = [n for n, (tone, *_) in about.items() if tone in ("bad", "warn")]
    around = neighbourhood(after, bad or [n for n in after if not after[n]][:6], most=WHOLE // 2)
    drawn = boxes(graph(around), about)
    what = "what failed" if bad else "where it begins"
    drawn["more"] = (
        f"{len(around)} of {len(after):,} nodes are drawn, around {what}; "
        "each dataset's page draws its own neighbourhood."
    )
    return Block("Graph", "from left to right", "graph", graph=drawn)


def _nodes_block(fact: RecipeFact) -> Block:
    rows = []
    for node in fact.nodes:
        made = node.datasets[0] if node.datasets else ""
        rows.append(
            Row(
                [
                    Cell(node.name, href=dataset_href(made) if made else "", head=True),
                    Cell(node.kind),
                    Cell(", ".join(node.reads) or ", ".join(node.after), cls="why"),
                    Cell(f"{len(node.tests):,}", cls="n"),
                    Cell(node.owner, cls="optional"),
                    Cell(
                        node.runbook,
                        href=node.runbook if node.runbook.startswith("https://") else "",
                        outside=True,
                        cls="optional",
                    ),
                ]
            )
        )
    return Block(
        "Nodes",
        str(len(rows)),
        "nodes",
        head=heads("node", "kind", "reads", "n:tests", "o:owner", "o:runbook"),
        rows=rows,
    )


# --- datasets ----------------------------------------


def _datasets(studio: Studio) -> Page:
    rows = []
    for dataset, (recipe, node) in sorted(studio.makers.items()):
        columns = studio.site.columns.get(dataset, ())
        rows.append(
            Row(
                [
                    Cell(dataset, href=dataset_href(dataset), head=True),
                    Cell(recipe, href=recipe_href(recipe)),
                    Cell(node.owner, cls="optional"),
                    Cell(f"{len(columns):,}" if columns else "", cls="n optional"),
                    Cell(f"{len(node.tests):,}", cls="n"),
                    Cell(_published_in(studio, dataset), cls="why"),
                ]
            )
        )
    block = Block(
        "By name",
        head=heads("dataset", "recipe", "o:owner", "no:columns", "n:tests", "published in"),
        rows=rows,
        text="" if rows else "No recipe that is checked out makes a dataset.",
    )
    return studio.page(
        "datasets.html",
        "blocks.html.j2",
        "datasets.html",
        headline="Datasets",
        lead=f"{count(len(rows), 'dataset')} of the recipes that are checked out.",
        blocks=[block],
    )


def _published_in(studio: Studio, dataset: str) -> str:
    last: dict[str, str | None] = {}
    for place, q in reversed(studio.versions.get(dataset, Versions(0, ())).last):
        last[place.name] = q.datasets[dataset]
    return names([p.name for p in studio.site.places if last.get(p.name) is not None])


def _dataset(studio: Studio, fact: RecipeFact, node: NodeFact, dataset: str) -> dict[str, Any]:
    site = studio.site
    columns = site.columns.get(dataset, ())
    lineage = node.lineage.get(dataset, {})
    own = _own(studio, fact.name)
    blocks = [_state_block(studio, own, node), _contract_block(node, columns, lineage)]
    if node.tests:
        rows = [
            Row([Cell(t.name, head=True), Cell(t.severity), Cell(t.description, cls="why")])
            for t in node.tests
        ]
        blocks.append(
            Block("Tests", str(len(rows)), "tests", head=heads("test", "severity", "what for"), rows=rows)
        )
    readers = [
        (r.name, n) for r in site.recipes for n in r.nodes if dataset in n.reads and n.name != node.name
    ]
    blocks.append(_around_block(studio, fact, node, own, readers))
    blocks.append(_versions_block(studio, dataset))
    facts = [
        ("owner", Cell(node.owner or "nobody named")),
        ("recipe", Cell(fact.name, href=recipe_href(fact.name))),
        ("node", Cell(f"{node.name} ({node.kind})")),
        ("declared in", Cell(node.file)),
    ]
    if node.key:
        facts.append(("key", Cell(", ".join(node.key))))
    if node.runbook:
        web = node.runbook.startswith("https://")
        facts.append(("runbook", Cell(node.runbook, href=node.runbook if web else "", outside=True)))
    return {
        "headline": dataset,
        "over": "dataset",
        "lead": node.description,
        "facts": facts,
        "blocks": blocks,
    }


def _state_block(studio: Studio, own: list[Standing], node: NodeFact) -> Block:
    rows = []
    for s in own:
        run = confirmed(s, node.name)
        state = s.last.states.get(node.name, "") if s.last else ""
        tone, mark = NODES.get(state, ("unknown", "?"))
        amount = run.rows.get(next(iter(node.datasets), ""), None) if run else None
        rows.append(
            Row(
                [
                    Cell(WORDS.get(state, "not known"), tone=tone, mark=mark),
                    Cell(s.environment + (f" ({s.variation})" if s.variation else ""), head=True),
                    Cell(
                        f"{ago(run.finished, studio.site.made)}" if run else "never",
                        href=run_href(run) if run else "",
                    ),
                    Cell(f"{amount:,.0f}" if amount is not None else "", cls="n"),
                ]
            )
        )
    return Block(
        "Freshness",
        anchor="freshness",
        rows=rows,
        head=heads("last run", "environment", "confirmed", "n:rows"),
    )


def _contract_block(
    node: NodeFact, columns: tuple[tuple[str, str], ...], lineage: Mapping[str, tuple[str, ...]]
) -> Block:
    """Columns, as published last; where they come from, as the SQL that is checked out says."""
    known = columns or tuple((c, "") for c in lineage)
    low = {c.lower(): sources for c, sources in lineage.items()}
    rows = []
    for name, type_ in known[:2_000]:
        public = "*" in node.public or name in node.public
        rows.append(
            Row(
                [
                    Cell(name, head=True),
                    Cell(type_),
                    Cell("key" if name in node.key else "", cls="optional"),
                    Cell("public" if public else "", cls="optional"),
                    Cell(", ".join(low.get(name.lower(), ())), cls="why"),
                ]
            )
        )
    said = f"Where its columns come from cannot be told: {node.unknown}." if node.unknown else ""
    if not rows:
        return Block(
            "Contract",
            anchor="contract",
            text=said or "Its columns are not known here: nothing was published, or the store is elsewhere.",
        )
    return Block(
        "Contract",
        count(len(rows), "column"),
        "contract",
        head=heads("column", "type", "o:key", "o:values", "comes from"),
        rows=rows,
        more=said,
    )


def _around_block(
    studio: Studio, fact: RecipeFact, node: NodeFact, own: list[Standing], readers: list[tuple[str, NodeFact]]
) -> Block:
    after = studio.once(("after", fact.name), lambda: {n.name: n.after for n in fact.nodes})
    about = studio.once(("about", fact.name), lambda: _about(studio, fact, own))
    drawn = boxes(graph(neighbourhood(after, [node.name])), about, here=node.name)
    others = [f"{n.name} of {r}" for r, n in readers if r != fact.name]
    drawn["more"] = f"Recipes that read it besides: {names(others, 10)}." if others else ""
    return Block("Lineage", "what it is made of, and what is made of it", "lineage", graph=drawn)


def _publication(studio: Studio, place: Place, q: Publication) -> tuple[list[Cell], list[Cell]]:
    """The cells of a publication before and behind the one of a dataset's content."""
    href = run_href(q.run) if q.run in studio.late_runs else ""
    how = Cell("with a promotion" if q.landing else "by a run", href=href)
    return [Cell(when(q.at), cls="t"), Cell(place.name)], [how, Cell(f"{q.sequence:,}", cls="n optional")]


def _versions_block(studio: Studio, dataset: str) -> Block:
    found = studio.versions.get(dataset, Versions(0, ()))
    rows = []
    for place, q in found.last:
        before, behind = studio.once((place.name, q.sequence), partial(_publication, studio, place, q))
        rows.append(Row([*before, Cell((q.datasets[dataset] or "")[:CONTENT] or "removed"), *behind]))
    return Block(
        "Versions",
        count(found.count, "publication"),
        "versions",
        head=heads("published", "environment", "content", "how", "no:publication"),
        rows=rows,
        text="" if rows else "It was never published to an environment.",
        more=f"and {found.count - len(rows):,} before." if found.count > len(rows) else "",
    )
