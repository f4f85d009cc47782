"""The job's summary: all that the comment has, and then each recipe and comparison in full."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gitkitchen.report import markdown
from gitkitchen.report.comparison import Comparison
from gitkitchen.report.diff_markdown import markdown as diff_markdown
from gitkitchen.report.markdown import SUMMARY_BYTES
from gitkitchen.report.sheet import NOTE_ROOM, size
from gitkitchen.report.surfaces.comment import body
from gitkitchen.report.surfaces.judging import judge
from gitkitchen.report.surfaces.pull import Pull

HEAD_BYTES = 60_000
LEAST_PART = 2_000
"""A part that would get less is not begun."""


def summary(pull: Pull, run_url: str = "", limit: int = SUMMARY_BYTES) -> str:
    """The summary within a budget of bytes. A step's whole summary is lost beyond 1 MiB, so it stays below.

    Recipes that are not green come first; what none is left for is counted.
    """
    parts = [body(pull, min(HEAD_BYTES, limit), run_url)]
    left = limit - size(parts[0]) - NOTE_ROOM
    order = sorted(pull.recipes, key=lambda o: judge(pull, o).green)
    waiting: list[Callable[[int], str]] = [partial(markdown.summary, o, below=True) for o in order]
    waiting += [partial(_difference, c) for c in pull.differences]
    missing = 0
    for index, make in enumerate(waiting):
        room = left // (len(waiting) - index)
        text = make(room) if room >= LEAST_PART else ""
        if not text:
            missing += 1
            continue
        parts.append(text)
        left -= size(text) + 1
    if missing and left > 0:
        parts.append(f"{missing:,} more parts are left out for length; the artifact holds them.\n")
    return "\n".join(parts)


def _difference(comparison: Comparison, room: int) -> str:
    return diff_markdown(comparison, budget=room)
