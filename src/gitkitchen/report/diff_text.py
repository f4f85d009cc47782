"""A comparison in a terminal: tables by rich, one for the datasets, one for the columns of each."""

from __future__ import annotations

import io
from collections.abc import Iterator

from gitkitchen.data.diff_model import Example
from gitkitchen.report import diff_words as words
from gitkitchen.report.comparison import Comparison, DatasetDiff
from gitkitchen.report.text import ASCII, clip, for_runners, names, safe

MOST_IDENTICAL = 12
_STYLES = {"changed": "yellow", "added": "green", "removed": "red", "unreadable": "red", "identical": "dim"}


def render(comparison: Comparison, *, colour: bool = False, width: int = 100, unicode: bool = True) -> str:
    """The whole comparison, without a newline at its end. Values are those that the comparison holds."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(
        file=out,
        width=max(60, min(width, 160)),
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(safe(words.headline(comparison)), style="bold")
    _overview(comparison, console)
    for one in comparison.differing:
        _one(one, console)
    _list(console, "Controls", [words.control_line(c) for c in comparison.controls])
    reached = [words.hit_line(h) for h in comparison.reaches]
    who = words.owners(comparison.reaches)
    _list(console, f"Downstream{': ' + ', '.join(who) if who else ''}", reached)
    _list(console, "Notes", comparison.notes)
    text = for_runners("\n".join(line.rstrip() for line in out.getvalue().split("\n")).strip("\n"))
    return text if unicode else text.translate(ASCII).encode("ascii", "backslashreplace").decode()


def _overview(comparison: Comparison, console: object) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for one in comparison.differing:
        breaking = "breaking" if one.breaking else ""
        why = safe("; ".join(one.reasons))
        cells = (one.state, one.dataset, words.rows_words(one), breaking, why)
        table.add_row(*(safe(c) for c in cells), style=_STYLES[one.state] if one.state != "changed" else None)
    identical = [d.dataset for d in comparison.datasets if d.state == "identical"]
    console.print(table)  # type: ignore[attr-defined]
    if identical:
        said = f"identical: {names(identical, MOST_IDENTICAL)}"
        console.print(said, style="dim")  # type: ignore[attr-defined]


def _one(one: DatasetDiff, console: object) -> None:
    say = console.print  # type: ignore[attr-defined]
    lines = [*(words.schema_line(c) for c in one.schema), *words.notes_of(one)]
    if one.data is None and not lines:
        return
    say("")
    say(safe(one.dataset), style="bold")
    if one.data is not None:
        say(f"  {safe(words.change_words(one.data))}")
    for line in lines:
        say(f"  {safe(line)}")
    if one.data is None:
        return
    _columns(one, console)
    for line in _examples(one.data.examples):
        say(f"  {line}")


def _columns(one: DatasetDiff, console: object) -> None:
    from rich.table import Table

    assert one.data is not None
    shown = words.shown_columns(one.data)
    if not shown:
        return
    rows = [words.column_cells(c, one.data.rows.matched) for c in shown]
    filled = [i for i in range(len(words.COLUMN_HEAD)) if any(row[i] for row in rows)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i in filled:
        table.add_column(words.COLUMN_HEAD[i], overflow="fold")
    for row in rows:
        table.add_row(*(safe(row[i]) for i in filled))
    console.print(table)  # type: ignore[attr-defined]


def _examples(examples: tuple[Example, ...]) -> Iterator[str]:
    for example in examples:
        times = f" ×{example.times}" if example.times > 1 else ""
        yield clip(f"{example.kind}{times}: {_row(example)}", 150)


def _row(example: Example) -> str:
    """A changed row as what changed after what did not; others as they are."""
    if example.kind != "changed":
        values = example.b or example.a
        return ", ".join(f"{safe(k)}={_value(v)}" for k, v in values.items())
    before = list(example.a.items())
    parts = []
    for index, (name, value) in enumerate(example.b.items()):
        old = before[index][1] if index < len(before) else None
        same = old == value
        parts.append(
            (
                same,
                f"{safe(name)}={_value(value)}" if same else f"{safe(name)}: {_value(old)} → {_value(value)}",
            )
        )
    return ", ".join([p for same, p in parts if not same] + [p for same, p in parts if same])


def _value(value: str | None) -> str:
    return "∅" if value is None else clip(safe(value), 40)


def _list(console: object, title: str, lines: list[str] | tuple[str, ...]) -> None:
    if not lines:
        return
    say = console.print  # type: ignore[attr-defined]
    say("")
    say(safe(title), style="bold")
    for line in lines:
        say(f"  {safe(line)}")
