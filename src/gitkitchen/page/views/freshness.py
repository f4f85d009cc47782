"""Freshness against promises: when a dataset was confirmed last, and until when that was to do."""

from __future__ import annotations

from typing import Any

from gitkitchen.page.health import RANK, Standing
from gitkitchen.page.shapes import Run
from gitkitchen.page.views.parts import Studio, ago, dataset_href

GOOD = ("passed", "reused")


def confirmed(standing: Standing, node: str) -> Run | None:
    """The newest run in which the node's datasets were built or found the same, and readers have them."""
    return next(
        (
            r
            for r in reversed(standing.runs)
            if r.published in ("published", "unchanged") and r.states.get(node) in GOOD
        ),
        None,
    )


def freshness(studio: Studio) -> list[dict[str, Any]]:
    """The datasets of which something is promised, by a schedule or a freshness test, what is late first."""
    found = []
    for s in studio.standings.values():
        recipe = studio.facts.get(s.recipe)
        if recipe is None:
            continue
        schedule = recipe.variations.get(s.variation, "")
        for node in recipe.nodes:
            tests = [t for t in node.tests if t.kind == "freshness"]
            promise = "; ".join(
                filter(None, [schedule and f"on schedule {schedule}", *(t.name for t in tests)])
            )
            if promise:
                found += [
                    _row(studio, s, node.name, d, promise, [t.id for t in tests]) for d in node.datasets
                ]
    return sorted(found, key=lambda f: (RANK[f["tone"]], f["dataset"], f["environment"]))


def _row(
    studio: Studio, s: Standing, node: str, dataset: str, promise: str, tests: list[str]
) -> dict[str, Any]:
    last = s.last
    run = confirmed(s, node)
    late = last is not None and any(t.get("id") in tests and t.get("state") == "failed" for t in last.failing)
    missed = [
        x
        for x in studio.site.schedules
        if (x.environment, x.recipe, x.variation) == (s.environment, s.recipe, s.variation)
    ]
    gone = (
        bool(missed)
        and missed[-1].kind in ("missed", "lateness")
        and (run is None or missed[-1].at > run.finished)
    )
    if late or gone:
        tone, word = "bad", "late"
    elif run is None or last is None or last.states.get(node) not in GOOD:
        tone, word = "unknown", "unknown"
    else:
        tone, word = "good", "fresh"
    return {
        "tone": tone,
        "word": word,
        "dataset": dataset,
        "environment": s.environment,
        "href": dataset_href(dataset),
        "confirmed": ago(run.finished, studio.site.made) if run else "never",
        "promise": promise,
    }
