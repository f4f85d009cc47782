"""The first page: how everything is, and what a reader should look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gitkitchen.page.health import RANK, of_place, waits_for, worst
from gitkitchen.page.measures import Delivery
from gitkitchen.page.rendering import Page
from gitkitchen.page.shapes import Health, Place
from gitkitchen.page.views.freshness import freshness
from gitkitchen.page.views.parts import Studio, ago, dots, grid_href, recipe_href, when
from gitkitchen.report.text import count, duration, names, number

ROWS = 60
"""Recipes on the first page: it stays small however many there are. What is worst comes first."""
FRESH = 15
"""Rows of freshness where none is late: what is well needs no list."""
COMMITS = 4


def overview(studio: Studio) -> Page:
    site = studio.site
    health = {p.name: of_place(p, studio.standings.values(), site.alerts) for p in site.places}
    recipes = list(_recipes(studio))
    fresh = freshness(studio)
    late = [f for f in fresh if f["tone"] == "bad"]
    shown = fresh[: min(ROWS, max(FRESH, sum(f["tone"] != "good" for f in fresh)))]
    left = [str(f["tone"]) for f in fresh[len(shown) :]]
    open_ = [t for t in studio.troubles if t.open]
    whole = worst(health.values())
    return studio.page(
        "index.html",
        "overview.html.j2",
        "index.html",
        headline=_headline(health),
        title="Overview",
        tone=whole.tone,
        over=_over(studio),
        lead=_lead(studio, len(open_), len(late)),
        environments=[_environment(studio, p, health[p.name]) for p in site.places],
        environments_said=", then ".join(p.name for p in site.places) if len(site.places) > 1 else "",
        troubles=[
            {
                "title": t.title,
                "tone": t.tone,
                "kind": t.kind,
                "environment": t.environment,
                "said": t.said,
                "since": when(t.opened),
                "href": studio.incident(t.environment, t.id),
            }
            for t in open_[:20]
        ],
        recipes=recipes[:ROWS],
        recipes_said=_counted([str(r["tone"]) for r in recipes]),
        recipes_more=f"and {len(recipes) - ROWS:,} more." if len(recipes) > ROWS else "",
        fresh=shown,
        fresh_more=f"and {len(left):,} more: {_counted(left)}." if left else "",
        freshness_said=f"{len(late)} late" if late else "",
        freshness_none="No schedule and no freshness test promises anything: nothing is known to be fresh.",
        delivery=_delivery(studio),
    )


def _headline(health: dict[str, Health]) -> str:
    if not health:
        return "No environment yet"
    for tone, word in (("bad", "failing"), ("warn", "to be looked at"), ("unknown", "not known")):
        found = [name for name, h in reversed(health.items()) if h.tone == tone]
        if found:
            verb = "is" if len(found) == 1 else "are"
            return f"{_listed(found)} {verb} {word}"
    return "All is well" if len(health) > 1 else f"{next(iter(health))} is well"


def _listed(items: list[str]) -> str:
    """``prod, staging and dev``: what is furthest down the road comes first."""
    if len(items) > 4:
        return names(items, 3)
    *most, last = [names([item]) for item in items]
    return f"{', '.join(most)} and {last}" if most else last


def _over(studio: Studio) -> str:
    site = studio.site
    parts = (len(site.places), "environment"), (len(site.recipes), "recipe"), (len(site.runs), "run")
    return " · ".join(count(amount, word) for amount, word in parts) + " recorded"


def _lead(studio: Studio, open_: int, late: int) -> str:
    parts = [
        f"{count(open_, 'incident')} {'is' if open_ == 1 else 'are'} open" if open_ else "No incident is open"
    ]
    if late:
        parts.append(f"{count(late, 'dataset')} {'is' if late == 1 else 'are'} older than promised")
    held = [p.name for p in studio.site.places if p.course.holds]
    if held:
        parts.append(f"{names(held)} {'is' if len(held) == 1 else 'are'} held")
    moving = [p for p in studio.site.places if p.way and p.way.known]
    if moving:
        n = sum(len(p.way.commits) + p.way.more for p in moving if p.way)
        parts.append(f"{count(n, 'change')} {'is' if n == 1 else 'are'} on the way")
    return "; ".join(parts) + "."


def _counted(tones: list[str]) -> str:
    words = {"bad": "failing", "warn": "warn", "unknown": "unknown", "good": "good"}
    return ", ".join(f"{tones.count(t)} {w}" for t, w in words.items() if tones.count(t))


def _environment(studio: Studio, place: Place, health: Health) -> dict[str, Any]:
    site = studio.site
    since = when(place.course.since[-1]) if place.course.since else ""
    way = place.way
    said = ""
    if way is not None and not way.known:
        said = f"not known: this clone cannot compare it with {way.source}"
    elif way is not None:
        said = f"{count(len(way.commits) + way.more, 'commit')} from {way.source}"
    commits = [c.message.partition("\n")[0] for c in way.commits[:COMMITS]] if way else []
    if way and len(way.commits) + way.more > COMMITS:
        commits.append(f"and {len(way.commits) + way.more - COMMITS} more")
    source = studio.place(way.source) if way else None
    waits = waits_for(place, source, site.made) if way or place.course.holds else []
    return {
        "name": place.name,
        "tone": health.tone,
        "word": health.word,
        "why": health.why,
        "live": place.live[:10],
        "subject": place.subject,
        "since": since,
        "way": said,
        "commits": commits,
        "waits": waits,
        "open": sum(t.open and t.environment == place.name for t in studio.troubles),
    }


def _recipes(studio: Studio) -> Iterator[dict[str, Any]]:
    order = {p.name: i for i, p in enumerate(reversed(studio.site.places))}
    found = sorted(
        studio.standings.values(),
        key=lambda s: (RANK[s.health.tone], s.recipe, s.variation, order[s.environment]),
    )
    for s in found:
        last = s.last
        published = next((r for r in reversed(s.runs) if r.published in ("published", "unchanged")), None)
        yield {
            "tone": s.health.tone,
            "word": s.health.word,
            "label": s.label,
            "environment": s.environment,
            "recipe_href": recipe_href(s.recipe),
            "dots": dots(s.runs),
            "grid": grid_href(s) if s.runs else "",
            "when": ago(last.started, studio.site.made) if last else "",
            "published": ago(published.finished, studio.site.made) if published else "",
        }


def _delivery(studio: Studio) -> dict[str, Any] | None:
    if not studio.site.places:
        return None
    found = studio.deliveries[studio.site.places[-1].name]
    if not found.landings:
        return None
    return {
        "environment": found.environment,
        "since": f"since {found.since:%Y-%m-%d}",
        "figures": figures(found),
    }


def figures(d: Delivery, *, last: bool = True) -> list[tuple[str, str, str]]:
    """The measures for people: label, figure, what it is made of. ``last``: of the last environment, which
    readers read."""
    rate = d.fail_rate
    none = "none failed" if not d.failed else "not yet"
    found = [
        (
            "change lead time",
            duration(d.lead) if d.lead is not None else "not known",
            f"median of {count(d.leads, 'change')}",
        ),
        ("deployment frequency", f"{number(round(d.frequency, 2))} a week", count(d.landings, "deployment")),
        (
            "change fail rate",
            f"{100 * rate:.0f}%" if rate is not None else "not known",
            f"{d.failed} of {d.landings} were mended at once",
        ),
        (
            "time to restore",
            duration(d.restore) if d.restore is not None else none,
            f"median of {d.restored}" if d.restored else "",
        ),
    ]
    if last:
        found += [
            ("caught before production", f"{d.before:,}", "runs in which a stop test kept data from readers"),
            ("seen in production", f"{d.after:,}", "incidents of data that readers saw"),
        ]
    return found
