"""The same for programs: ``status.json``, an Atom feed, OpenMetrics, badges, the index of the search.
Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from gitkitchen.files import digest_bytes
from gitkitchen.page.health import Standing, of_place, waits_for
from gitkitchen.page.measures import Delivery
from gitkitchen.page.rendering import slug
from gitkitchen.page.shapes import Health, Place, Tone
from gitkitchen.page.views.freshness import freshness
from gitkitchen.page.views.parts import (
    MENU,
    Studio,
    dataset_href,
    grid_href,
    metrics_href,
    recipe_href,
    run_href,
    when,
)
from gitkitchen.promote.shapes import Landing
from gitkitchen.report.text import cells, clip, encodable, encodable_values, safe

FEED = 50
FOUND = 2_000
"""Runs that the search finds; it finds all recipes, datasets, nodes, tests and incidents."""


def files(studio: Studio) -> Iterator[tuple[str, str]]:
    """Path and text of each file that is not a page."""
    yield "status.json", json.dumps(encodable_values(status(studio)), ensure_ascii=False, indent=1) + "\n"
    yield "feed.xml", feed(studio)
    yield "metrics.txt", open_metrics(studio)
    yield "search.js", search(studio)
    yield from badges(studio)


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# --- status.json ----------------------------------------


def status(studio: Studio) -> dict[str, Any]:
    """What the overview says, as one document; its schema is ``status``."""
    site = studio.site
    return {
        "version": 1,
        "project": site.project,
        "made": iso(site.made),
        "stale_after": iso(site.stale),
        "environments": [_environment(studio, p) for p in site.places],
        "recipes": [_recipe(s) for s in studio.standings.values()],
        "incidents": [
            {
                "id": t.id,
                "environment": t.environment,
                "kind": t.kind,
                "said": t.said,
                "opened": iso(t.opened),
                "page": studio.incident(t.environment, t.id),
            }
            for t in studio.troubles
            if t.open
        ],
        "freshness": [
            {
                "dataset": f["dataset"],
                "environment": f["environment"],
                "state": f["tone"],
                "promise": f["promise"],
                "confirmed": f["confirmed"],
            }
            for f in freshness(studio)
        ],
        "not_known": list(site.lacks),
    }


def _environment(studio: Studio, p: Place) -> dict[str, Any]:
    site = studio.site
    landing = p.course.last
    source = studio.place(p.way.source) if p.way else None
    known = p.way is not None and p.way.known
    return {
        "environment": p.name,
        "branch": p.environment.branch,
        **_said(of_place(p, studio.standings.values(), site.alerts)),
        "live": {
            "commit": p.live or None,
            "tree": p.course.tree or None,
            "since": iso(landing.at) if landing else None,
        },
        "on_its_way": p.way
        and {"from": p.way.source, "commits": len(p.way.commits) + p.way.more if known else None},
        "holds": [{"id": h.id, "by": h.by, "at": iso(h.at), "reason": h.reason} for h in p.course.holds],
        "waits_for": waits_for(p, source, site.made) if p.way or p.course.holds else [],
        "delivery": _delivery(studio.deliveries[p.name]),
    }


def _delivery(found: Delivery) -> dict[str, Any]:
    return {
        "since": iso(found.since),
        "deployments": found.landings,
        "per_week": round(found.frequency, 4),
        "lead_seconds": found.lead,
        "fail_rate": found.fail_rate,
        "restore_seconds": found.restore,
        "caught_before": found.before,
        "seen_after": found.after,
    }


def _recipe(s: Standing) -> dict[str, Any]:
    last = s.last
    return {
        "recipe": s.recipe,
        "variation": s.variation or None,
        "environment": s.environment,
        **_said(s.health),
        "last": last
        and {
            "run": last.id,
            "verdict": last.verdict,
            "started": iso(last.started),
            "commit": last.commit or None,
        },
        "last_green": s.green.id if s.green else None,
    }


def _said(health: Health) -> dict[str, Any]:
    return {"state": health.tone, "word": health.word, "why": health.why}


# --- Atom (RFC 4287) ----------------------------------------


Entry = tuple[datetime, str, str, str, str]
"""Of the feed: when, what is the same for it at all times, title, text, page."""


def _entries(studio: Studio) -> Iterator[Entry]:
    for t in studio.troubles:
        page, name = studio.incident(t.environment, t.id), f"{t.environment}/{t.id}"
        yield t.opened, f"opened/{name}", f"{t.environment}: {t.title}", t.said, page
        if t.over is not None:
            yield t.over, f"closed/{name}", f"{t.environment}: {t.title} is over", t.said, page
    for p in studio.site.places:
        for m in p.moves:
            if isinstance(m.move, Landing):
                title = f"{p.name}: {m.move.intent.value} {m.move.commit[:10]}"
                yield m.move.at, f"landing/{m.record}", title, m.move.reason, "promotions.html"
    for run in studio.site.runs:
        if run.namespace in studio.spaces and run.verdict == "failed":
            label = f"{studio.spaces[run.namespace]}: {run.label} failed"
            yield run.finished, f"run/{run.id}", label, "", run_href(run)


def feed(studio: Studio) -> str:
    """Incidents, promotions and red runs, the newest first. Ids are the same however often it is made."""
    site = studio.site
    entries = list(_entries(studio))
    entries.sort(key=lambda e: (e[0], e[1]), reverse=True)
    updated = iso(entries[0][0] if entries else site.made)
    base = site.url.rstrip("/") + "/" if site.url else ""
    name = digest_bytes(encodable(f"{site.project} {site.url}").encode())[:16]
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"<id>urn:gitkitchen:{name}</id>",
        f"<title>{_xml(site.title)}</title>",
        f"<updated>{updated}</updated>",
        f"<author><name>{_xml(site.project)}</name></author>",
    ]
    if base:
        lines.append(f'<link rel="self" href={quoteattr(_plain(base + "feed.xml"))}/>')
        lines.append(f"<link href={quoteattr(_plain(base))}/>")
    for at, key, title, said, page in entries[:FEED]:
        lines += [
            "<entry>",
            f"<id>urn:gitkitchen:{name}:{digest_bytes(encodable(key).encode())[:24]}</id>",
            f"<title>{_xml(title)}</title>",
            f"<updated>{iso(at)}</updated>",
            f"<link href={quoteattr(_plain(base + page))}/>",
            f"<summary>{_xml(said or title)}</summary>",
            "</entry>",
        ]
    return "\n".join([*lines, "</feed>", ""])


def _plain(text: str) -> str:
    return safe(encodable(text))


def _xml(text: str) -> str:
    return escape(_plain(text))


# --- OpenMetrics ----------------------------------------

STATES: tuple[Tone, ...] = ("good", "warn", "bad", "unknown")


Sample = tuple[Mapping[str, str], float]
"""Labels, of which those that are empty are left out, and a value."""


def open_metrics(studio: Studio) -> str:
    """OpenMetrics 1.0 text (https://prometheus.io/docs/specs/om/open_metrics_spec/), for a scraper or a
    textfile collector."""
    lines = [line for family in _families(studio) for line in _family(*family)]
    return "\n".join([*lines, "# EOF", ""])


def _family(name: str, kind: str, text: str, samples: Sequence[Sample]) -> Iterator[str]:
    """The lines of a family; none where it has no sample. Its unit is the end of its name."""
    if not samples:
        return
    yield f"# TYPE {name} {kind}"
    if name.endswith("_seconds"):
        yield f"# UNIT {name} seconds"
    yield f"# HELP {name} {text}"
    for labels, value in samples:
        shown = ",".join(f'{k}="{_label(v)}"' for k, v in labels.items() if v)
        yield f"{name}{{{shown}}} {value:.15g}" if shown else f"{name} {value:.15g}"


def _families(studio: Studio) -> Iterator[tuple[str, str, str, Sequence[Sample]]]:
    site = studio.site
    made: Sample = {}, site.made.timestamp()
    yield "gitkitchen_page_made_timestamp_seconds", "gauge", "When the page was made.", [made]
    states = []
    for p in site.places:
        tone = of_place(p, studio.standings.values(), site.alerts).tone
        states += _states("gitkitchen_environment_state", {"environment": p.name}, tone)
    yield "gitkitchen_environment_state", "stateset", "How an environment is.", states
    recipes, started, lasted = [], [], []
    for s in studio.standings.values():
        about = {"environment": s.environment, "recipe": s.recipe, "variation": s.variation}
        recipes += _states("gitkitchen_recipe_state", about, s.health.tone)
        if s.last is not None:
            started.append((about, s.last.started.timestamp()))
            lasted.append((about, s.last.seconds))
    yield "gitkitchen_recipe_state", "stateset", "How the last run of a recipe ended.", recipes
    yield "gitkitchen_run_started_timestamp_seconds", "gauge", "When the last run began.", started
    yield "gitkitchen_run_duration_seconds", "gauge", "How long the last run took.", lasted
    opened = Counter(t.environment for t in studio.troubles if t.open)
    incidents = [({"environment": p.name}, float(opened[p.name])) for p in site.places]
    yield "gitkitchen_open_incidents", "gauge", "Incidents that are open.", incidents
    deployments = [({"environment": n}, float(d.landings)) for n, d in studio.deliveries.items()]
    text = "Deployments in the time that the page looks back."
    yield "gitkitchen_deployments", "gauge", text, deployments


def _states(name: str, about: Mapping[str, str], tone: Tone) -> list[Sample]:
    """A sample for each state, of which one is."""
    return [({**about, name: state}, float(state == tone)) for state in STATES]


def _label(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace('"', '\\"')


# --- badges ----------------------------------------

COLOURS = {"good": "#16654b", "warn": "#805000", "bad": "#ac2318", "unknown": "#625e56"}


def badges(studio: Studio) -> Iterator[tuple[str, str]]:
    """A badge for each environment, and for each recipe in each. Each carries its date: of one that is not
    made again nobody thinks that it is of today."""
    made = studio.site.made
    for p in studio.site.places:
        health = of_place(p, studio.standings.values(), studio.site.alerts)
        yield f"badge/{slug(p.name)}.svg", badge(p.name, health, made)
    for s in studio.standings.values():
        yield (
            f"badge/{slug(s.environment, s.recipe, s.variation)}.svg",
            badge(f"{s.label} · {s.environment}", s.health, made),
        )


def badge(name: str, health: Health, made: datetime) -> str:
    """A name, how it is, and on which day that was so."""
    mark = {"good": "✓", "warn": "!", "bad": "✗", "unknown": "?"}[health.tone]
    left, right = clip(_plain(name), 40), f"{mark} {health.word} · {made.astimezone(UTC):%Y-%m-%d}"
    a, b = 7 * cells(left) + 12, 7 * cells(right) + 12
    said = f"{name}: {health.word}, as of {when(made)}"
    fit = 'lengthAdjust="spacingAndGlyphs"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b}" height="20" role="img" '
        f"aria-label={quoteattr(_plain(said))}><title>{_xml(said)}</title>"
        f'<rect width="{a}" height="20" fill="#3c3a36"/>'
        f'<rect x="{a}" width="{b}" height="20" fill="{COLOURS[health.tone]}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="6" y="14" textLength="{a - 12}" {fit}>{_xml(left)}</text>'
        f'<text x="{a + 6}" y="14" textLength="{b - 12}" {fit}>{_xml(right)}</text></g></svg>\n'
    )


# --- search ----------------------------------------


def search(studio: Studio) -> str:
    """The index as a script, for pages that are read from files cannot fetch JSON: name, kind, page."""
    site = studio.site
    found: list[tuple[str, str, str]] = [(name, "page", path) for path, name in MENU]
    for s in studio.standings.values():
        if s.runs:
            found.append((f"{s.label} in {s.environment}", "grid of runs", grid_href(s)))
            found.append((f"{s.label} in {s.environment}", "metrics", metrics_href(s)))
    for r in site.recipes:
        found.append((r.name, "recipe", recipe_href(r.name)))
        for n in r.nodes:
            page = dataset_href(n.datasets[0]) if n.datasets else recipe_href(r.name)
            if n.name not in n.datasets:
                found.append((n.name, f"node of {r.name}", page))
            found += [(d, f"dataset of {r.name}", dataset_href(d)) for d in n.datasets]
            found += [
                (f"{n.name}: {t.name}", f"test of {r.name}", f"{page}#tests" if n.datasets else page)
                for t in n.tests
            ]
    found += [(t.title, f"incident {t.id}", studio.incident(t.environment, t.id)) for t in studio.troubles]
    for run in reversed(site.runs[-FOUND:]):
        found.append((run.id, f"{run.label} {run.verdict}", run_href(run)))
    rows = [[_plain(name), _plain(kind), page] for name, kind, page in found]
    text = json.dumps(rows, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f"window.gitkitchenIndex={text};\n"
