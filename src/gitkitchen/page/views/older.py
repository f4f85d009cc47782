"""From when on runs and publications are kept, where a compaction of the ledger removed older ones.

Said where a list, a chart or a count would begin there without a word. Where nothing was removed, nothing is
said.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.page.health import Standing
from gitkitchen.page.shapes import Run
from gitkitchen.page.views.parts import Studio, when


def of_runs(studio: Studio, standing: Standing, *, behind: datetime | None = None) -> str:
    """A sentence on the runs of a recipe in an environment; "" where none was removed, or none of the time
    ``behind`` a moment, where only that is shown."""
    place = studio.place(standing.environment)
    return _said(studio, "runs", [f"runs/{place.namespace}/{standing.recipe}"] if place else (), behind)


def of_all_runs(studio: Studio, *, behind: datetime) -> str:
    """The same of the runs of all recipes in all kitchens."""
    return _said(studio, "runs", [name for name in studio.site.removed if name.startswith("runs/")], behind)


def of_publications(studio: Studio) -> str:
    """The same of what was published to all environments."""
    return _said(studio, "publications", [publications_of(p.namespace) for p in studio.site.places], None)


def may_hide_a_green_run(studio: Studio, run: Run, green: Run | None) -> bool:
    """Whether a run that was green may have been removed between ``green``, the last one that is kept, and a
    run that was not."""
    at = studio.site.removed.get(f"runs/{run.namespace}/{run.recipe}")
    return not run.green and at is not None and (green is None or green.finished < at)


def _said(studio: Studio, what: str, streams: Iterable[str], behind: datetime | None) -> str:
    removed = studio.site.removed
    at = max((removed[name] for name in streams if name in removed), default=None)
    if at is None or (behind is not None and at <= behind):
        return ""
    return f"All {what} since {when(at)} are kept; a compaction of the ledger removed older ones."
