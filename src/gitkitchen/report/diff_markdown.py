"""A comparison in Markdown, for a pull request: escaped, within a budget, only public values."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.report import diff_words as words
from gitkitchen.report.comparison import Comparison, DatasetDiff
from gitkitchen.report.diff import redacted
from gitkitchen.report.markdown import escape, name

BYTES = 60_000
"""Below the 65,536 characters of a comment."""
_KEPT = 400


def markdown(comparison: Comparison, *, budget: int = BYTES) -> str:
    """Blocks, the most important first; what does not fit is left out whole and counted in the last line."""
    shown = redacted(comparison)
    out: list[str] = []
    used = left = 0
    for block in _blocks(shown):
        text = block + "\n"
        if used + len(text.encode()) > budget - _KEPT:
            left += 1
            continue
        out.append(text)
        used += len(text.encode())
    if left:
        out.append(f"\n*{left:,} more parts left out; `gitkitchen diff --data` shows all.*\n")
    return "".join(out)


def _blocks(comparison: Comparison) -> Iterator[str]:
    yield f"### {escape(words.headline(comparison))}"
    weaker = [c for c in comparison.controls if c.weaker]
    if weaker:
        yield "\n**Lets more pass than before**\n\n" + _list(words.control_line(c) for c in weaker)
    if comparison.differing:
        yield "\n" + _overview(comparison)
    for one in comparison.differing:
        block = _one(one)
        if block:
            yield block
    if comparison.reaches:
        who = words.owners(comparison.reaches)
        title = f"**Downstream**{': ' + ', '.join(name(w) for w in who) if who else ''}"
        yield f"\n{title}\n\n" + _list(words.hit_line(h) for h in comparison.reaches[:50])
    rest = [c for c in comparison.controls if not c.weaker]
    if rest:
        yield "\n**Other changes of tests**\n\n" + _list(words.control_line(c) for c in rest[:50])
    if comparison.notes:
        yield "\n" + _list(comparison.notes)


def _list(lines: object) -> str:
    return "\n".join(f"- {escape(str(line))}" for line in lines)  # type: ignore[attr-defined]


def _overview(comparison: Comparison) -> str:
    rows = ["| dataset | | rows | contract | why |", "|---|---|---|---|---|"]
    for one in comparison.differing[:200]:
        contract = "breaking" if one.breaking else "compatible" if one.schema else ""
        cells = (
            name(one.dataset),
            one.state,
            escape(words.rows_words(one)),
            contract,
            escape("; ".join(one.reasons)),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _one(one: DatasetDiff) -> str:
    lines = [*(words.schema_line(c) for c in one.schema), *words.notes_of(one)]
    if one.data is not None:
        lines.insert(0, words.change_words(one.data))
    if not lines:
        return ""
    text = f"\n#### {name(one.dataset)}\n\n" + _list(lines)
    shown = words.shown_columns(one.data) if one.data is not None else []
    if not shown or one.data is None:
        return text
    head = f"| {' | '.join(words.COLUMN_HEAD)} |\n|{'---|' * len(words.COLUMN_HEAD)}"
    rows = [
        "| " + " | ".join(escape(cell, 120) for cell in words.column_cells(c, one.data.rows.matched)) + " |"
        for c in shown[:60]
    ]
    return "\n".join([text, "", head, *rows])
