"""Promotions and their audit, delivery, kitchens, waivers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gitkitchen.page.health import of_run, sentences
from gitkitchen.page.measures import sparkline
from gitkitchen.page.rendering import Page, slug
from gitkitchen.page.shapes import Place, Run
from gitkitchen.page.views import older
from gitkitchen.page.views.overview import figures
from gitkitchen.page.views.parts import Block, Cell, Row, Studio, ago, article, heads, run_href, when
from gitkitchen.promote.shapes import Landing
from gitkitchen.report.text import count, names

MOVES = 200


def pages(studio: Studio) -> Iterator[Page]:
    yield _promotions(studio)
    yield _delivery(studio)
    yield _kitchens(studio)
    yield _waivers(studio)


# --- promotions ----------------------------------------


def _promotions(studio: Studio) -> Page:
    blocks = [_moves(place) for place in reversed(studio.site.places)]
    total = sum(len(p.course.landings) for p in studio.site.places)
    return studio.page(
        "promotions.html",
        "blocks.html.j2",
        "promotions.html",
        headline="Promotions",
        lead=f"{count(total, 'landing')}, as the ledger has them: who moved what, when, with which evidence.",
        next="gitkitchen audit --verify compares every record with Git.",
        blocks=blocks or [Block("None", text="kitchen.yml names no environment yet.")],
    )


def _moves(place: Place) -> Block:
    shown: list[tuple[Any, dict[str, Any]]] = []
    for moved in place.moves:
        if isinstance(moved.move, Landing):
            shown.append((moved.move.at, _landing(moved.move, moved.number, moved.record)))
    for at, word, said in sentences(place):
        shown.append(
            (
                at,
                article(
                    f"{place.name} {word}",
                    "warn" if word == "held" else "unknown",
                    word=word,
                    small=when(at),
                    text=said,
                ),
            )
        )
    shown.sort(key=lambda p: p[0], reverse=True)
    return Block(
        place.name,
        count(len(shown), "move"),
        slug(place.name),
        articles=[a for _, a in shown[:MOVES]],
        text="" if shown else "Nothing was moved here yet.",
        more=f"and {len(shown) - MOVES:,} before; `gitkitchen audit {place.name}` lists them."
        if len(shown) > MOVES
        else "",
    )


def _landing(m: Landing, number: int, record: str) -> dict[str, Any]:
    who = [f"{a.name} ({a.role})" for a in m.actors]
    gates = [
        f"{g.gate}: {g.standing.value}" + (f", {g.reason}" if g.standing.value != "passed" else "")
        for g in m.gates
    ]
    tests = sum(e.tests for e in m.evidence)
    evidence = (
        f"{count(len(m.evidence), 'run')} with {count(tests, 'test')}: "
        + names([e.run for e in m.evidence], 4)
        if m.evidence
        else "none is recorded"
    )
    word = {"forward": "promoted", "rollback": "rolled back", "hotfix": "hotfix"}[m.intent.value]
    tone = {"forward": "good", "rollback": "bad", "hotfix": "warn"}[m.intent.value]
    return article(
        m.commit[:10],
        tone,
        word=word,
        small=when(m.at),
        anchor=slug("m", m.environment, str(number)),
        text=m.reason,
        fields=[
            ("from", f"{m.source_environment or 'a branch'}, commit {m.source[:10]}"),
            ("tree", m.tree[:12]),
            ("by", names(who, 8)),
            ("how", f"{m.method.value}, data: {m.data}" + (f", told by {m.told}" if m.told else "")),
            ("gates", "; ".join(gates)),
            ("evidence", evidence),
            ("waivers", names(m.waivers, 6)),
            ("datasets", names(m.published, 8)),
            ("record", f"{number} ({record[:12]})"),
        ],
    )


# --- delivery ----------------------------------------


def _delivery(studio: Studio) -> Page:
    blocks = []
    for place in reversed(studio.site.places):
        found = studio.deliveries[place.name]
        numbers = ", ".join(map(str, found.weekly[-26:]))
        said = f"Deployments to {place.name} by week, the newest at the right: {numbers}"
        some = any(found.weekly)
        blocks.append(
            Block(
                f"To {place.name}",
                f"since {found.since:%Y-%m-%d}",
                slug(place.name),
                figures=figures(found, last=place is studio.site.places[-1]),
                weeks=sparkline(found.weekly[-26:]) if some else (),
                weeks_said=said if some else "",
                more=older.of_all_runs(studio, behind=found.since) if place is studio.site.places[-1] else "",
            )
        )
    blocks.append(
        Block(
            "How it is measured",
            anchor="how",
            items=[
                Cell("Change lead time: from the time of the promoted commit to its landing, the median."),
                Cell(
                    "Deployment frequency: landings a week that changed what was live. A rollback is none, "
                    "nor is an environment's first."
                ),
                Cell(
                    "Change fail rate: of these, those that a rollback, a hotfix, or an incident that broke "
                    "the environment followed before the next."
                ),
                Cell(
                    "Time to restore: from what showed that it failed to the rollback, the hotfix or the end "
                    "of the incident, the median."
                ),
                Cell(
                    "Caught before production: runs in which a stop test kept data from readers. "
                    "Seen in production: incidents of data that readers saw."
                ),
                Cell(
                    "The first four follow the definitions of DORA.",
                    href="https://dora.dev/guides/dora-metrics-four-keys/",
                    outside=True,
                ),
            ],
        )
    )
    return studio.page(
        "delivery.html",
        "blocks.html.j2",
        "delivery.html",
        headline="Delivery",
        lead="How quickly and how safely changes reach their readers.",
        blocks=blocks,
    )


# --- kitchens and waivers ----------------------------------------


def _kitchens(studio: Studio) -> Page:
    last: dict[str, Run] = {r.namespace: r for r in studio.site.runs}
    alive = [k for k in studio.site.kitchens if not k.ended]
    rows = []
    for k in sorted(alive, key=lambda k: (not k.environment, k.label)):
        run = last.get(k.namespace)
        health = of_run(run)
        rows.append(
            Row(
                [
                    Cell(health.word, tone=health.tone),
                    Cell(k.label, head=True),
                    Cell("environment" if k.environment else "sandbox"),
                    Cell(run.label if run else "", href=run_href(run) if run else ""),
                    Cell(ago(run.started, studio.site.made) if run else "", cls="t optional"),
                    Cell(f"{k.born:%Y-%m-%d}" if k.born else "", cls="t optional"),
                ]
            )
        )
    ended = len(studio.site.kitchens) - len(alive)
    block = Block(
        "Alive",
        str(len(rows)),
        head=heads("last run", "kitchen", "kind", "recipe", "o:ran", "o:born"),
        rows=rows,
        text="" if rows else "Nothing ran in any kitchen yet.",
        more=f"{count(ended, 'kitchen')} ended." if ended else "",
    )
    return studio.page(
        "kitchens.html",
        "blocks.html.j2",
        "kitchens.html",
        headline="Kitchens",
        lead="Every branch that data was made in, and how its last run ended.",
        blocks=[block],
    )


def _waivers(studio: Studio) -> Page:
    rows = [
        Row(
            [
                Cell("does not count" if w.void else "counts", tone="unknown" if w.void else "warn"),
                Cell(f"{w.recipe}/{w.node}: {w.rule}", head=True),
                Cell(w.reason, cls="why"),
                Cell(w.approver),
                Cell(w.expires, cls="t"),
                Cell(w.void or w.file, cls="why optional"),
            ]
        )
        for w in sorted(studio.site.waivers, key=lambda w: (bool(w.void), w.expires))
    ]
    counting = sum(not w.void for w in studio.site.waivers)
    block = Block(
        "By end",
        str(len(rows)),
        head=heads("state", "test", "reason", "approver", "ends", "o:file, or why it does not count"),
        rows=rows,
        text="" if rows else "No failure is excused.",
    )
    return studio.page(
        "waivers.html",
        "blocks.html.j2",
        "waivers.html",
        headline="Waivers",
        lead=f"{count(counting, 'failure')} {'is' if counting == 1 else 'are'} known and excused for a time.",
        blocks=[block],
    )
