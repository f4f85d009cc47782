"""A comparison in Markdown, for a pull request: escaped, within a budget, only public values."""

from __future__ import annotations

from gitkitchen.plan.lineage import Hit
from gitkitchen.report import diff_words as words
from gitkitchen.report.comparison import Comparison, ControlChange, DatasetDiff
from gitkitchen.report.diff import redacted
from gitkitchen.report.markdown import escape, name
from gitkitchen.report.sheet import Sheet, counted, row

BYTES = 60_000
"""Below the 65,536 characters of a comment."""
OVERVIEW_HEAD = ("dataset", "", "rows", "contract", "why")


def markdown(comparison: Comparison, *, budget: int = BYTES) -> str:
    """Blocks, the most important first; what does not fit is left out whole and counted in the last line."""
    shown = redacted(comparison)
    sheet = Sheet(budget)
    sheet.add(f"### {escape(words.headline(shown))}")
    weaker = [c for c in shown.controls if c.weaker]
    sheet.bullets("**Lets more pass than before**", weaker, _control, "weaker test", most=50)
    sheet.part(lambda s: s.table("", OVERVIEW_HEAD, _overview(shown), "dataset"), budget // 3)
    for one in shown.differing:
        block = _one(one)
        if block and not sheet.add(block):
            sheet.miss("detailed dataset")
    if shown.reaches:
        who = words.owners(shown.reaches)[:20]
        title = f"**Downstream**{': ' + ', '.join(name(w) for w in who) if who else ''}"
        sheet.bullets(title, shown.reaches, _hit, "downstream dataset", most=50)
    rest = [c for c in shown.controls if not c.weaker]
    sheet.bullets("**Other changes of tests**", rest, _control, "changed test", most=50)
    sheet.bullets("", shown.notes, escape, "note", most=50)
    if sheet.missing:
        sheet.add(
            f"*Left out for length: {counted(sheet.missing)}; {name('gitkitchen diff --data')} shows all.*",
            room=0,
        )
    return sheet.text()


def _control(change: ControlChange) -> str:
    return escape(words.control_line(change))


def _hit(hit: Hit) -> str:
    return escape(words.hit_line(hit))


def _list(lines: object) -> str:
    return "\n".join(f"- {escape(str(line))}" for line in lines)  # type: ignore[attr-defined]


def _overview(comparison: Comparison) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for one in comparison.differing:
        contract = "breaking" if one.breaking else "compatible" if one.schema else ""
        why = escape("; ".join(one.reasons))
        rows.append((name(one.dataset), one.state, escape(words.rows_words(one)), contract, why))
    return rows


def _one(one: DatasetDiff) -> str:
    lines = [*(words.schema_line(c) for c in one.schema), *words.notes_of(one)]
    if one.data is not None:
        lines.insert(0, words.change_words(one.data))
    if not lines:
        return ""
    text = f"#### {name(one.dataset)}\n\n" + _list(lines)
    shown = words.shown_columns(one.data) if one.data is not None else []
    if not shown or one.data is None:
        return text
    cells = [words.column_cells(c, one.data.rows.matched) for c in shown[:60]]
    rows = [row([escape(cell, 120) for cell in each]) for each in cells]
    return "\n".join([text, "", row(words.COLUMN_HEAD), row(["---"] * len(words.COLUMN_HEAD)), *rows])
