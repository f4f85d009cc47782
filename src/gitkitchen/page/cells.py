"""Cells of tables, and their HTML: there are far more of them than of anything else on the pages, so it is
made here and not by a template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from gitkitchen.frozen import dataclass
from gitkitchen.report.text import encodable, safe

MARKS: Mapping[str, str] = {"good": "✓", "warn": "!", "bad": "✗", "unknown": "?"}
"""A mark for each tone, so that no colour is needed to tell them apart."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: text, a link, a state, or the last runs. ``head``: it names its row."""

    text: str = ""
    href: str = ""
    tone: str = ""
    mark: str = ""
    cls: str = ""
    head: bool = False
    outside: bool = False
    """The link leads out of the site."""
    dots: Sequence[Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    cells: Sequence[Cell]


@lru_cache(maxsize=20_000)  # of a hundred cells ninety say what another said
def plain(text: str) -> str:
    """A text as it may stand in a page: escaped, and all of it visible."""
    return str(escape(text if text.isprintable() else safe(encodable(text))))


def cell(c: Cell, root: str) -> Markup:
    """What stands in a cell, on a page from which ``root`` leads to the top of the site."""
    return Markup(_inner(c, root))  # noqa: S704 - every text in it is escaped


def rows(found: Iterable[Row], root: str) -> Markup:
    """The rows of a table's body."""
    text = "".join(f"<tr>{''.join([_cell(c, root) for c in row.cells])}</tr>\n" for row in found)
    return Markup(text)  # noqa: S704 - every text in it is escaped


def _cell(c: Cell, root: str) -> str:
    inner = _inner(c, root)
    if c.head:
        return f'<th scope="row" class="name">{inner}</th>'
    return f'<td class="{plain(c.cls)}">{inner}</td>' if c.cls else f"<td>{inner}</td>"


def _inner(c: Cell, root: str) -> str:
    if c.dots is not None:
        return _dots(c.dots, root)
    text = plain(c.text)
    if c.tone:
        mark = plain(c.mark or MARKS[c.tone])
        return f'<span class="state {plain(c.tone)}"><i aria-hidden="true">{mark}</i>{text}</span>'
    if c.href and c.outside:
        return f'<a href="{plain(c.href)}" rel="noopener noreferrer">{text}</a>'
    return f'<a href="{root}{plain(c.href)}">{text}</a>' if c.href else text


def dots(runs: Sequence[Mapping[str, str]], root: str) -> Markup:
    """The last runs of a recipe, a letter and a link for each."""
    return Markup(_dots(runs, root))  # noqa: S704 - every text in it is escaped


def _dots(runs: Sequence[Mapping[str, str]], root: str) -> str:
    if not runs:
        return '<span class="quiet">no runs</span>'
    shown = "".join(
        f'<li><a class="{r["tone"]}" href="{root}{r["href"]}" aria-label="{label}" title="{label}">'
        f"{plain(r['letter'])}</a></li>"
        for r in runs
        if (label := plain(r["label"]))
    )
    return f'<ul class="dots" aria-label="The last runs, the newest at the right">{shown}</ul>'
