"""Incidents: what went wrong, since when, what people wrote of it."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.page.health import Trouble
from gitkitchen.page.rendering import Page
from gitkitchen.page.shapes import Alert
from gitkitchen.page.views.parts import Block, Cell, Studio, article, recipe_href, run_href, when
from gitkitchen.report.text import count, duration, names


def pages(studio: Studio) -> Iterator[Page]:
    yield _list(studio)
    for one in studio.troubles:
        yield _incident(studio, one)


def _list(studio: Studio) -> Page:
    open_ = [t for t in studio.troubles if t.open]
    over = [t for t in studio.troubles if not t.open]
    recent = [t for t in over if t.over is not None and t.over >= studio.site.since]
    blocks = [
        Block(
            "Open",
            str(len(open_)),
            "open",
            articles=[_short(studio, t) for t in open_],
            text="" if open_ else "No incident is open.",
        ),
        Block(
            "Over",
            str(len(recent)),
            "over",
            articles=[_short(studio, t) for t in recent[:300]],
            text="" if recent else "None ended in the time that this page looks back.",
            more=f"{count(len(over) - len(recent), 'incident')} before; each keeps its page."
            if len(over) > len(recent)
            else "",
        ),
    ]
    return studio.page(
        "incidents.html",
        "blocks.html.j2",
        "incidents.html",
        headline="Incidents",
        tone="bad" if any(t.tone == "bad" for t in open_) else "warn" if open_ else "",
        lead=f"{count(len(open_), 'incident')} {'is' if len(open_) == 1 else 'are'} open.",
        blocks=blocks,
        next="To add a note, commit incidents/<its id>.md; it is shown with the incident.",
    )


def _short(studio: Studio, t: Trouble) -> dict[str, object]:
    end = f" to {when(t.over)}" if t.over else ""
    return article(
        t.title,
        t.tone if t.open else "unknown",
        word=t.kind if t.open else f"{t.kind}, over",
        text=t.said,
        small=f"{t.environment} · {when(t.opened)}{end}",
        href=studio.incident(t.environment, t.id),
    )


def _incident(studio: Studio, t: Trouble) -> Page:
    site = studio.site
    lasted = ((t.over or site.made) - t.opened).total_seconds()
    facts = [
        ("environment", Cell(t.environment)),
        ("opened", Cell(when(t.opened))),
        ("over", Cell(when(t.over) if t.over else "not yet")),
        ("for", Cell(duration(max(0, lasted)))),
        ("id", Cell(t.id)),
    ]
    blocks: list[Block] = []
    if t.alert is not None:
        facts += _answering(studio, t.alert)
        blocks += _known(studio, t, t.alert)
    elif t.commit:
        facts.append(("commit", Cell(t.commit[:12])))
    note = site.notes.get(t.id, "")
    none = "" if note else f"Nobody wrote a note yet: commit incidents/{t.id}.md."
    return studio.page(
        studio.incident(t.environment, t.id),
        "blocks.html.j2",
        "incidents.html",
        headline=t.title,
        tone=t.tone if t.open else "unknown",
        over=f"incident · {t.kind} · {'open' if t.open else 'over'}",
        lead=t.said,
        facts=facts,
        blocks=[*blocks, Block("Notes", anchor="notes", note=note, text=none)],
    )


def _answering(studio: Studio, a: Alert) -> Iterator[tuple[str, Cell]]:
    """Who answers for what failed, and where it is declared."""
    if a.owner:
        yield "owner", Cell(a.owner)
    if a.recipe:
        yield "recipe", Cell(a.recipe, href=recipe_href(a.recipe) if a.recipe in studio.facts else "")


def _known(studio: Studio, t: Trouble, a: Alert) -> Iterator[Block]:
    """What the alert says, and what to do."""
    runs = [
        Cell(f"{word}: {run}", href=run_href(run) if run in studio.run_ids else "")
        for word, run in (("first seen in run", a.run), ("last seen in run", a.last))
        if run
    ]
    fields = [
        ("event", a.event.replace("_", " ")),
        ("severity", a.severity),
        ("updates", f"{a.updates:,}"),
        ("told", names(a.told, 10)),
        ("commit", a.commit[:12]),
    ]
    tone = t.tone if t.open else "unknown"
    said = article(t.title, tone, text=t.said, fields=fields, command=a.reproduce)
    yield Block("What is known", items=runs, articles=[said])
    if a.runbook:
        web = a.runbook.startswith("https://")
        yield Block("Runbook", items=[Cell(a.runbook, href=a.runbook if web else "", outside=True)])
