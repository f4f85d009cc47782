"""How tests did, and how figures moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from gitkitchen.page.health import Standing, changes, histories
from gitkitchen.page.rendering import Page, part
from gitkitchen.page.shapes import Run
from gitkitchen.page.views import older
from gitkitchen.page.views.parts import Block, Cell, Row, Studio, chart, grid_href, heads, metrics_href, when
from gitkitchen.report.text import count

TESTS = 300
CHARTS = 60
LATE = 1_000
"""Runs whose figures are drawn."""


def pages(studio: Studio) -> Iterator[Page]:
    yield _tests(studio)
    for standing in studio.standings.values():
        if standing.runs:
            yield _metrics(studio, standing)


def _tests(studio: Studio) -> Page:
    return studio.page(
        "tests.html",
        "blocks.html.j2",
        "tests.html",
        headline="Tests",
        lead="Which tests to trust less: those that change their mind.",
        blocks=[_ranking(studio), _last(studio)],
    )


def _ranking(studio: Studio) -> Block:
    """Tests and nodes by how often they changed their mind."""
    found = [h for s in studio.standings.values() for h in histories(s)]
    found.sort(key=lambda h: (-h.flakiness, -h.failures, h.environment, h.recipe, h.node, h.test))
    rows = [
        Row(
            [
                Cell(f"{100 * h.flakiness:.0f}%", cls="n"),
                Cell(f"{h.node}: {h.test}" if h.test else f"{h.node} (the node)", head=True),
                Cell(h.recipe),
                Cell(h.environment),
                Cell(f"{h.flips:,}", cls="n optional"),
                Cell(f"{h.retries:,}", cls="n optional"),
                Cell(f"{h.failures:,}", cls="n"),
                Cell(h.marks[-30:], cls="marks"),
            ]
        )
        for h in found[:TESTS]
    ]
    flaky = sum(h.flakiness > 0 for h in found)
    words = "n:flaky", "test", "recipe", "environment", "no:flips", "no:retries", "n:failed", "last runs"
    return Block(
        "Flaky first",
        f"{flaky} of {len(found)} that ever failed or were tried again",
        "flaky",
        head=heads(*words),
        rows=rows,
        text="" if rows else "No test failed and no node was tried again in the runs of late.",
        more="Flaky: changes of verdict between two runs of the same files, and passes that needed a retry, "
        "for each run that judged it. Last runs, the newest at the right: P passed, F failed, W warned or "
        "waived, E could not be evaluated, R passed after a retry, - was not judged.",
    )


def _last(studio: Studio) -> Block:
    """How the tests of each recipe did in its last run."""
    ran = [(s, s.last) for s in studio.standings.values() if s.last is not None]
    rows = [
        Row(
            [
                Cell(s.label, href=grid_href(s), head=True),
                Cell(s.environment),
                *(Cell(f"{last.tests.get(state, 0):,}", cls="n") for state in ("passed", "failed", "error")),
                Cell(when(last.started), cls="t optional"),
            ]
        )
        for s, last in ran
    ]
    return Block(
        "Of the last runs",
        anchor="last",
        rows=rows,
        head=heads("recipe", "environment", "n:passed", "n:failed", "n:not evaluated", "o:run"),
        text="" if rows else "Nothing ran in an environment yet.",
    )


def _metrics(studio: Studio, standing: Standing) -> Page:
    """Rows of each dataset, what nodes measured, and how long it took, run by run, with what happened."""
    runs = [r for r in standing.runs if r.started >= studio.site.since][-LATE:]
    marks = _marks(studio, standing.environment)
    inputs = [*(r.record for r in runs), *(f"{at.isoformat()} {kind} {words}" for at, kind, words in marks)]
    block = Block(
        "By run",
        f"since {studio.site.since:%Y-%m-%d}",
        html=studio.drawn.html("metrics", inputs, lambda: _charts(runs, marks)),
        more=older.of_runs(studio, standing, behind=studio.site.since),
    )
    return studio.page(
        metrics_href(standing),
        "blocks.html.j2",
        "recipes.html",
        over="metric history",
        headline=f"{standing.label} in {standing.environment}",
        tone=standing.health.tone,
        lead=f"{count(len(runs), 'run')} of late.",
        blocks=[block],
    )


def _charts(runs: Sequence[Run], marks: Sequence[Mark]) -> str:
    """A line for each figure, as HTML."""
    series: dict[str, list[tuple[datetime, float]]] = {}
    for run in runs:
        if run.green or run.verdict == "failed":
            series.setdefault("seconds", []).append((run.started, round(run.seconds, 1)))
        for name, value in run.rows.items():
            series.setdefault(f"rows of {name}", []).append((run.started, float(value)))
        for name, value in run.metrics.items():
            series.setdefault(name, []).append((run.started, float(value)))
    drawn = [c for name, points in list(series.items())[:CHARTS] if (c := chart(name, points, marks))]
    said = "A dashed line is a promotion, a full one an incident; each says its words to a pointer."
    if len(series) > CHARTS:
        said += f" {count(len(series) - CHARTS, 'figure')} more are not drawn."
    if not drawn:
        said = "There are not two runs in this time whose figures could be compared."
    return part("charts.html.j2", charts=drawn, said=said)


Mark = tuple[datetime, str, str]
"""When, what kind of thing, and in words."""


def _marks(studio: Studio, environment: str) -> list[Mark]:
    place = studio.place(environment)
    found = (
        [(m.at, "landed", f"{m.intent.value} {m.commit[:10]} {when(m.at)}") for m in changes(place)]
        if place
        else []
    )
    found += [
        (t.opened, "incident", f"{t.title} {when(t.opened)}")
        for t in studio.troubles
        if t.environment == environment
    ]
    return sorted(found)[-200:]
