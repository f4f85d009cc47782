"""The answer to a comment that asked for the diff of one dataset: that dataset alone, narrow, bounded."""

from __future__ import annotations

from collections.abc import Iterable

from gitkitchen.frozen import dataclass
from gitkitchen.report.comparison import Comparison
from gitkitchen.report.diff import redacted
from gitkitchen.report.markdown import escape, name
from gitkitchen.report.sheet import Sheet, counted
from gitkitchen.report.surfaces import data_section, words

BYTES = 16_000
COLUMNS = 40
"""So many lines of schema, notes and columns."""


@dataclass(frozen=True, slots=True)
class About:
    """What was asked, for which commit, and the page of the run that answers."""

    dataset: str
    head: str
    run_url: str = ""


def compared(about: About, comparison: Comparison) -> str:
    """How the dataset differs, at most ``BYTES`` of Markdown. ``comparison`` is about it alone."""
    shown = redacted(comparison)
    sheet = Sheet(BYTES, room=600)
    (one,) = shown.datasets
    if one.state == "identical":
        sheet.add(f"**{name(one.dataset)}** is the same as in {escape(shown.a.label, 100)}.")
    else:
        sheet.add(f"This change beside {escape(shown.a.label, 100)}:")
        sheet.add(data_section.dataset(one, COLUMNS))
    data_section.reached(sheet, shown)
    sheet.bullets("", shown.notes, lambda note: escape(note, 300), "note", most=5)
    return _closed(sheet, about)


def not_compared(about: About, why: Iterable[str]) -> str:
    """Why there is no comparison."""
    sheet = Sheet(BYTES, room=600)
    sheet.add(f"I could not compare {name(about.dataset)}:")
    sheet.bullets("", list(why), lambda said: escape(said, 500), "reason", most=10)
    return _closed(sheet, about)


def _closed(sheet: Sheet, about: About) -> str:
    if sheet.missing:
        sheet.add(
            f"<sub>Left out for length: {counted(sheet.missing)}. The artifact holds all.</sub>", room=300
        )
    url = words.safe_url(about.run_url)
    of = f" · [the run]({url})" if url else ""
    sheet.add(f"<sub>head {escape(about.head[:10])}{of}</sub>", room=0)
    return sheet.text()
