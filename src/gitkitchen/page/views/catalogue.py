"""Recipes: what there is, who answers for it, how it hangs together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitkitchen.page.drawing import graph, neighbourhood
from gitkitchen.page.health import RANK, Standing, worst
from gitkitchen.page.rendering import Page
from gitkitchen.page.shapes import RecipeFact, Said, Tone
from gitkitchen.page.views.parts import (
    Block,
    Cell,
    Row,
    Studio,
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
from gitkitchen.report.text import WORDS, count

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
    ran = {s.recipe for s in studio.standings.values()}
    for fact in studio.site.recipes:
        yield _recipe(studio, fact)
    for name in sorted(ran - set(studio.facts)):
        yield _recipe(studio, RecipeFact(name, problem="it is not in the files that are checked out"))


def standing_of(studio: Studio, recipe: str) -> list[Standing]:
    """A recipe in every environment."""
    return [s for s in studio.standings.values() if s.recipe == recipe]


def _recipes(studio: Studio) -> Page:
    everything = sorted({*studio.facts, *(s.recipe for s in studio.standings.values())})
    rows = []
    for name in everything:
        fact = studio.facts.get(name, RecipeFact(name))
        health = worst(s.health for s in standing_of(studio, name))
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
    own = standing_of(studio, fact.name)
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


def about_nodes(
    studio: Studio, fact: RecipeFact, own: list[Standing]
) -> dict[str, tuple[Tone, str, str, str]]:
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
    about = about_nodes(studio, fact, own)
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
