"""A comparison in sentences and cells, for the terminal and for Markdown. Nothing is made safe here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitkitchen.data.diff_model import ColumnDiff, Profile, SchemaChange, TableDiff
from gitkitchen.plan.lineage import Hit
from gitkitchen.report.comparison import Comparison, ControlChange, DatasetDiff
from gitkitchen.report.text import count, names, number, size

COLUMN_HEAD = ("column", "rows changed", "NULLs", "mean change", "sum", "distribution")
_BARS = "▁▂▃▄▅▆▇█"


def headline(comparison: Comparison) -> str:
    """``prod → sandbox x: 2 of 9 datasets differ``."""
    differing, every = len(comparison.differing), len(comparison.datasets)
    said = (
        f"{differing:,} of {count(every, 'dataset')} differ"
        if differing
        else (f"{count(every, 'dataset')}, all identical" if every else "neither side has a dataset")
    )
    return f"{comparison.a.label} → {comparison.b.label}: {said}"


def rows_words(one: DatasetDiff) -> str:
    """``336,776 → 8,036,575 rows``, or bytes where there are no rows."""
    sides = (one.a, one.b)
    if one.data is not None:
        a, b = one.data.rows.a, one.data.rows.b
        return f"{a:,} → {count(b, 'row')}" if a != b else count(a, "row")
    amounts = [
        "-" if v is None else count(v.rows, "row") if v.rows is not None else
        "a view" if v.format == "view" else size(v.bytes)
        for v in sides
    ]  # fmt: skip
    return amounts[0] if amounts[0] == amounts[1] else f"{amounts[0]} → {amounts[1]}"


def change_words(data: TableDiff) -> str:
    """``+7,699,799 rows, -0, 12 changed (0.1%)``, with what is not known said so."""
    rows = data.rows
    if data.method == "none":
        return "rows could not be compared: no column in common"
    parts = (
        [f"+{rows.added:,}", f"-{rows.removed:,} rows"] if rows.added is not None else ["rows not compared"]
    )
    if rows.changed is None:
        parts.append("changed rows are not known without a key")
    else:
        parts.append(f"{rows.changed:,} changed" + share(rows.changed, rows.matched))
    by = f"by key ({', '.join(data.key)})" if data.method == "key" else "whole rows"
    return f"{', '.join(parts)}; {by}{'' if data.exact else '; not exact, see the notes'}"


def share(part: int, whole: int | None) -> str:
    """`` (0.12%)``; nothing where there is nothing to share; never 0% of something."""
    if not whole or not part:
        return ""
    percent = 100 * part / whole
    if percent < 0.01:
        return " (under 0.01%)"
    if 99.99 < percent < 100:
        return " (over 99.99%)"
    return f" ({percent:.3g}%)"


def schema_line(change: SchemaChange) -> str:
    """``+ pressure DOUBLE (compatible)``."""
    mark = {"added": "+", "removed": "-"}.get(change.kind, "~")
    word = "breaking" if change.breaking else "compatible"
    said = {
        "added": f"{change.column} {change.now}",
        "removed": f"{change.column} {change.was}",
        "retyped": f"{change.column}: {change.was} → {change.now}",
        "renamed": f"{change.was} → {change.now}, {'likely ' if change.likely else ''}renamed",
        "nulls": f"{change.column}: {change.now} NULLs",
        "moved": "columns",
    }[change.kind]
    return f"{mark} {said} ({word}{': ' + change.why if change.why else ''})"


def shown_columns(data: TableDiff) -> list[ColumnDiff]:
    """The columns that are worth a line: what changed, what is not known, what is distributed otherwise."""
    return [c for c in data.columns if c.changed != 0 or (c.a is not None and c.b is not None)]


def column_cells(column: ColumnDiff, matched: int | None) -> tuple[str, ...]:
    """The cells of ``COLUMN_HEAD``."""
    name = column.column if column.column == column.was else f"{column.was} → {column.column}"
    changed = "not known" if column.changed is None else f"{column.changed:,}{share(column.changed, matched)}"
    nulls = [f"+{column.nulls_gained:,}"] if column.nulls_gained else []
    nulls += [f"-{column.nulls_lost:,}"] if column.nulls_lost else []
    if column.nulls_gained is None and column.a is not None and column.b is not None:
        nulls = [f"{column.a.nulls:,} → {column.b.nulls:,}"] if column.a.nulls != column.b.nulls else []
    return (
        name,
        changed,
        " ".join(nulls),
        _mean(column),
        _sums(column),
        _distribution(column),
    )


def _mean(column: ColumnDiff) -> str:
    found = column.difference
    if found is None:
        return ""
    unit = f" {found.unit}" if found.unit else ""
    return f"{found.mean:+,.6g}{unit}, absolute {found.mean_absolute:,.6g}"


def _sums(column: ColumnDiff) -> str:
    a, b = column.a, column.b
    if a is None or b is None or a.total is None or b.total is None:
        return ""
    before, after = float(a.total), float(b.total)
    percent = 100 * (after - before) / abs(before) if before else 0.0
    moved = f" ({percent:+,.0f}%)" if abs(percent) >= 1000 else f" ({percent:+.3g}%)" if percent else ""
    was, now = _sum(before), _sum(after)
    return f"{was} → {now}{moved}" if was != now else was


def _sum(value: float) -> str:
    """A sum; of a fraction nine digits, for the last ones depend on the order in which an engine adds."""
    return number(value if value.is_integer() else float(f"{value:.9g}"))


def _distribution(column: ColumnDiff) -> str:
    a, b = column.a, column.b
    if a is None or b is None:
        return ""
    if a.quantiles and b.quantiles:
        return f"{_sketch(a, b)[0]} → {_sketch(a, b)[1]} median {a.quantiles[2]} → {b.quantiles[2]}"
    if a.distinct is None or b.distinct is None:
        return ""
    about = "" if a.distinct_exact and b.distinct_exact else "about "
    return f"{about}{a.distinct:,} → {b.distinct:,} distinct"


def _sketch(a: Profile, b: Profile) -> tuple[str, str]:
    """The five quantiles of both sides as bars over the range of both, where they are numbers."""
    try:
        each = [[float(q) for q in p.quantiles] for p in (a, b)]
    except ValueError:
        return "", ""
    flat = [q for side in each for q in side if q == q and abs(q) != float("inf")]
    if not flat or max(flat) == min(flat):
        return "", ""
    low, high = min(flat), max(flat)
    bars = ["".join(_BARS[_level(q, low, high)] for q in side) for side in each]
    return bars[0], bars[1]


def _level(value: float, low: float, high: float) -> int:
    if value != value:
        return 0
    return max(0, min(7, round(7 * (min(max(value, low), high) - low) / (high - low))))


def control_line(change: ControlChange) -> str:
    """``test removed in delays/flights_weather: {…} (lets more pass)``."""
    body = f"{change.was} → {change.now}" if change.was and change.now else change.was or change.now
    weaker = " (lets more pass)" if change.weaker else ""
    return f"{change.what} {change.change} in {change.where}{weaker}: {body}"


def hit_line(hit: Hit) -> str:
    """``late_by_day (delays, @analytics): columns a, b through flights``."""
    owner = f", {hit.owner}" if hit.owner else ""
    if hit.columns is None:
        what = hit.why or "all columns, unknown"
    else:
        parts = [f"columns {names(hit.columns, 6)}"] if hit.columns else []
        parts += ["its rows"] if hit.rows else []
        what = " and ".join(parts)
    return f"{hit.dataset} ({hit.recipe}{owner}): {what}; through {names(hit.through, 4)}"


def owners(hits: Sequence[Hit]) -> list[str]:
    return sorted({h.owner for h in hits if h.owner})


def notes_of(one: DatasetDiff) -> Iterator[str]:
    """What is to be said of a dataset beside its figures."""
    if one.note:
        yield one.note
    if one.key_change is not None:
        was, now = (", ".join(k) or "none" for k in one.key_change)
        yield f"the key is {now}, and was {was} (breaking)"
    if one.data is not None:
        yield from one.data.notes
        sampled = [c.b.sampled for c in one.data.columns if c.b is not None and c.b.sampled]
        if sampled:
            yield f"quantiles of a sample of {min(sampled):,} rows, distinct values estimated; all else exact"
