"""Datasets: contract, where columns come from, freshness, versions, and who reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from gitkitchen.page.drawing import graph, neighbourhood
from gitkitchen.page.health import Standing
from gitkitchen.page.rendering import Page
from gitkitchen.page.shapes import CONTENT, NodeFact, Place, Publication, RecipeFact
from gitkitchen.page.views import older
from gitkitchen.page.views.catalogue import about_nodes, standing_of
from gitkitchen.page.views.freshness import confirmed
from gitkitchen.page.views.parts import (
    Block,
    Cell,
    Row,
    Studio,
    Versions,
    ago,
    boxes,
    dataset_href,
    heads,
    recipe_href,
    run_href,
    when,
)
from gitkitchen.page.views.runs import NODES
from gitkitchen.report.text import WORDS, count, names


def pages(studio: Studio) -> Iterator[Page]:
    yield _datasets(studio)
    for fact in studio.site.recipes:
        for node in fact.nodes:
            for dataset in node.datasets:
                make = partial(_dataset, studio, fact, node, dataset)
                yield studio.later(dataset_href(dataset), "blocks.html.j2", "datasets.html", make)


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
    own = standing_of(studio, fact.name)
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
    about = studio.once(("about", fact.name), lambda: about_nodes(studio, fact, own))
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
    left = studio.once(("older",), lambda: older.of_publications(studio)) if rows else ""
    return Block(
        "Versions",
        count(found.count, "publication"),
        "versions",
        head=heads("published", "environment", "content", "how", "no:publication"),
        rows=rows,
        text="" if rows else "It was never published to an environment.",
        more=f"and {found.count - len(rows):,} before. {left}".rstrip() if found.count > len(rows) else left,
    )
