"""How the data changed, for a narrow page: breaking contracts first, with numbers, and whom they reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gitkitchen.data.diff_model import ColumnDiff, TableDiff
from gitkitchen.model import TestState
from gitkitchen.plan.lineage import Hit
from gitkitchen.report import diff_words, facts
from gitkitchen.report.comparison import Comparison, ControlChange, DatasetDiff
from gitkitchen.report.diff import redacted
from gitkitchen.report.markdown import escape, name
from gitkitchen.report.sheet import Sheet
from gitkitchen.report.surfaces.pull import Pull
from gitkitchen.report.text import count

DATASETS = 20
LINES = 6
"""So many lines of schema, notes and columns each a dataset."""
HITS = 15

_ORDER = ("removed", "unreadable", "changed", "added")


def data(sheet: Sheet, pull: Pull) -> None:
    """Every comparison of the document, and how the expectations fared."""
    for comparison in pull.differences:
        _comparison(sheet, redacted(comparison), controls=not pull.policy)
    if said := _expectations(pull):
        sheet.add(said)


def breaking(pull: Pull) -> list[DatasetDiff]:
    """The datasets whose readers would notice, of all comparisons."""
    return [d for c in pull.differences for d in c.datasets if d.breaking]


def _comparison(sheet: Sheet, comparison: Comparison, *, controls: bool) -> None:
    of_run = comparison.b.kind == "run"  # of this change's own: its long name says nothing to a reader
    shown = replace(comparison, b=replace(comparison.b, label="this change")) if of_run else comparison
    sheet.add(escape(diff_words.headline(shown), 300))
    differing = sorted(comparison.differing, key=lambda d: (not d.breaking, _ORDER.index(d.state)))
    sheet.rows([], differing, dataset, "dataset", most=DATASETS)
    reached(sheet, comparison)
    weaker = [c for c in comparison.controls if c.weaker] if controls else []
    sheet.bullets("**Lets more pass than before**", weaker, _control, "weaker test", most=10)
    sheet.bullets("", comparison.notes, _note, "note", most=5)


def reached(sheet: Sheet, comparison: Comparison) -> None:
    """Whom the differences hit."""
    if comparison.reaches:
        who = [name(w) for w in diff_words.owners(comparison.reaches)[:8]]
        broken = any(d.breaking for d in comparison.datasets)
        title = "**Breaks or reaches downstream**" if broken else "**Reaches downstream**"
        title += f", owned by {', '.join(who)}" if who else ""
        sheet.bullets(title, comparison.reaches, _hit, "downstream dataset", most=HITS)


def _hit(hit: Hit) -> str:
    return escape(diff_words.hit_line(hit), 300)


def _control(change: ControlChange) -> str:
    return escape(diff_words.control_line(change), 300)


def _note(note: str) -> str:
    return escape(note, 300)


def dataset(one: DatasetDiff, most: int = LINES) -> str:
    """One dataset as an item of a list with items of its own, ``most`` of schema and as many columns."""
    contract = "**breaking** " if one.breaking else ""
    amounts = diff_words.rows_words(one)
    lines = [f"- {contract}{name(one.dataset)} {one.state}: {escape(amounts, 120)}"]
    if one.data is not None:
        lines.append(f"  - {escape(_amounts(one.data), 300)}")
    schema = sorted(one.schema, key=lambda c: not c.breaking)
    told = [diff_words.schema_line(c) for c in schema]
    told += list(diff_words.notes_of(one))
    lines += _cut([escape(line, 200) for line in told], most)
    if one.data is not None:
        matched = one.data.rows.matched
        lines += _cut([s for c in diff_words.shown_columns(one.data) if (s := _column(c, matched))], most)
    return "\n".join(lines)


def _amounts(data: TableDiff) -> str:
    """What became of the rows; that all are the same is said in words."""
    rows = data.rows
    if data.method != "none" and (rows.added, rows.removed, rows.changed) == (0, 0, 0) and data.exact:
        return "the same rows in the columns that both have"
    return diff_words.change_words(data)


def _cut(lines: list[str], most: int) -> Iterator[str]:
    yield from (f"  - {line}" for line in lines[:most])
    if len(lines) > most:
        yield f"  - and {len(lines) - most:,} more"


def _column(column: ColumnDiff, matched: int | None) -> str:
    """A column's figures that differ; "" where none does. That changed rows are not known stands above."""
    title, changed, *cells = diff_words.column_cells(column, matched)
    a, b = column.a, column.b
    moved = column.difference is not None and (column.difference.mean or column.difference.mean_absolute)
    sums = others = False
    if a is not None and b is not None:
        sums = " → " in cells[2]
        others = a.quantiles != b.quantiles if a.quantiles and b.quantiles else a.distinct != b.distinct
    figures = zip(("NULLs", "mean change", "sum", ""), cells, (True, moved, sums, others), strict=True)
    said = [f"rows changed {changed}"] if column.changed else []
    said += [f"{head} {cell}".strip() for head, cell, differs in figures if cell and differs]
    return f"{name(title)}: {escape('; '.join(said), 300)}" if said else ""


def _expectations(pull: Pull) -> str:
    """``Expectations: 3 held, 1 failed, 1 could not be compared.``"""
    found = [t for o in pull.recipes for t in o.tests if t.kind in facts.COMPARED]
    states = (
        (TestState.PASSED, "held"),
        (TestState.FAILED, "failed"),
        (TestState.ERROR, "not evaluated"),
        (TestState.SKIPPED, "without anything to compare with"),
    )
    parts = [f"{n:,} {word}" for state, word in states if (n := sum(t.state is state for t in found))]
    return f"{count(len(found), 'expectation')}: {', '.join(parts)}." if parts else ""
