"""Two tables compared: the queries asked, their answers read into the shapes of ``diff_model``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitkitchen.data.diff_dialect import DUCKDB, Dialect
from gitkitchen.data.diff_model import (
    ColumnDiff,
    Difference,
    Example,
    Profile,
    RowsDiff,
    SchemaChange,
    TableDiff,
    Unkeyed,
)
from gitkitchen.data.diff_schema import paired, schema_changes
from gitkitchen.data.diff_sql import (
    WHOLE,
    Asked,
    Pair,
    agreement,
    key_facts,
    keyed,
    profile,
    signature,
    whole_rows,
)
from gitkitchen.data.diff_types import group_of, kind_of
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.model import Column

Fetch = Callable[[str], list[tuple[Any, ...]]]
"""Runs one SELECT and returns its rows."""
MOST_EXAMPLES = 100
MOVED = 0.01
"""Where fewer rows than this share came and went in a large table, unchanged columns are not profiled."""
_AGREE = 0.9
"""So many rows of the same key must agree for two columns to count as one that was renamed."""


@dataclass(frozen=True, slots=True)
class Table:
    """One side: ``relation`` is SQL after FROM, ``nulls`` the NULLs of columns where they are known."""

    relation: str
    columns: tuple[Column, ...]
    nulls: Mapping[str, int] | None = None


def compare_tables(
    a: Table,
    b: Table,
    *,
    key: Sequence[str],
    fetch: Fetch,
    examples: int = 5,
    profiles: bool = True,
    sql: Dialect = DUCKDB,
) -> TableDiff:
    """What differs between A and B. ``key`` names columns of B; () compares whole rows.

    At most ``examples`` rows of each kind are shown. ``profiles`` false leaves distributions out. Raises
    what ``fetch`` raises. The figures are exact but where a part says otherwise.
    """
    notes: list[str] = []
    examples = min(examples, MOST_EXAMPLES)
    pairs, gone, new = paired(a.columns, b.columns)
    keys = _keys(key, pairs, notes)
    rest = [p for p in pairs if p not in keys]
    asked = Asked(a.relation, b.relation, keys, tuple(rest), sql)
    state = _Keys.of(asked, fetch) if keys else None
    renamed = _renamed(asked, gone, new, fetch) if gone and new else []
    rest += [pair for pair, _ in renamed]
    asked = replace(asked, rest=tuple(rest))
    if not pairs and not renamed:
        notes.append("the two have no column in common: rows cannot be compared")
        rows = RowsDiff(_count(a, fetch), _count(b, fetch))
        return TableDiff(
            "none", rows, schema_changes(a.columns, b.columns, {}), exact=False, notes=tuple(notes)
        )
    if state is not None:
        rows, columns, shown = _by_key(asked, state, fetch, examples)
        notes += state.sentences()
    else:
        rows, columns, shown = _whole(asked, fetch, examples)
    if profiles:
        columns = _profiled(asked, columns, rows, fetch)
    schema = (
        *schema_changes(a.columns, b.columns, dict(renamed)),
        *_null_changes(a, b, columns),
    )
    unsure = [c.column for c in columns if not c.exact]
    if unsure:
        notes.append(f"compared to the microsecond: {', '.join(unsure)}")
    return TableDiff(
        method="key" if state is not None else "rows",
        rows=rows,
        schema=schema,
        columns=tuple(columns),
        key=tuple(p.b for p in keys),
        examples=tuple(shown),
        exact=not unsure,
        notes=tuple(notes),
    )


def _count(table: Table, fetch: Fetch) -> int:
    return int(fetch(f"SELECT count(*) FROM {table.relation}")[0][0])


def _keys(key: Sequence[str], pairs: Sequence[Pair], notes: list[str]) -> tuple[Pair, ...]:
    """The pairs of the key; () with a note where a side lacks one of its columns."""
    found = {p.b.lower(): p for p in pairs}
    missing = [k for k in key if k.lower() not in found]
    if missing:
        notes.append(f"both sides do not have the key column {', '.join(missing)}: rows are compared whole")
        return ()
    return tuple(dict.fromkeys(found[k.lower()] for k in key))


# --- keys --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Keys:
    """Rows of each side by what their key is good for, A then B."""

    rows: tuple[int, int]
    nulls: tuple[int, int]
    repeated_keys: tuple[int, int]
    repeated_rows: tuple[int, int]

    @classmethod
    def of(cls, asked: Asked, fetch: Fetch) -> _Keys:
        a, b = ([int(v) for v in fetch(key_facts(asked, side))[0]] for side in "ab")
        return cls((a[0] + a[1], b[0] + b[1]), (a[1], b[1]), (a[2], b[2]), (a[3], b[3]))

    @property
    def clean(self) -> bool:
        return not any((*self.nulls, *self.repeated_keys))

    def sentences(self) -> list[str]:
        said = []
        if any(self.nulls):
            said.append(
                f"rows with NULL in the key ({self.nulls[0]:,} before, {self.nulls[1]:,} after) "
                "are compared whole"
            )
        if any(self.repeated_keys):
            before = f"{self.repeated_keys[0]:,} keys of {self.repeated_rows[0]:,} rows before"
            after = f"{self.repeated_keys[1]:,} keys of {self.repeated_rows[1]:,} rows after"
            said.append(f"the key does not tell all rows apart ({before}, {after}): those are compared whole")
        return said


# --- by key ------------------------------------------------------------------------------------------


def _by_key(
    asked: Asked, state: _Keys, fetch: Fetch, examples: int
) -> tuple[RowsDiff, list[ColumnDiff], list[Example]]:
    row = fetch(keyed(asked, clean=state.clean, examples=examples))[0]
    added, removed, changed = (int(v) for v in row[:3])
    values = list(row[3:])
    columns = [_column(pair, values) for pair in asked.rest]
    shown = _examples(asked, values) if examples else []
    unkeyed, more_added, more_removed = Unkeyed(), 0, 0
    if not state.clean:
        rest = fetch(whole_rows(asked, unkeyed=True, examples=examples))[0]
        na, nb, more_added, more_removed = (int(v) for v in rest[:4])
        unkeyed = Unkeyed(state.nulls, state.repeated_keys, state.repeated_rows, (na, nb))
        shown += _whole_examples(asked, rest[4:]) if examples else []
    matched = state.rows[0] - unkeyed.rows[0] - removed
    if matched != state.rows[1] - unkeyed.rows[1] - added:
        raise Infrastructure(
            Problem(
                "the figures of a diff contradict each other: the rows that match are "
                f"{matched:,} of one side and {state.rows[1] - unkeyed.rows[1] - added:,} of the other",
                hint="the data may have changed meanwhile; run the same command again",
                code="diff",
            )
        )
    rows = RowsDiff(*state.rows, added + more_added, removed + more_removed, changed, matched, unkeyed)
    return rows, columns, shown


def _column(pair: Pair, values: list[Any]) -> ColumnDiff:
    """Take one column's figures off the front of ``values``."""
    changed, gained, lost = (int(values.pop(0)) for _ in range(3))
    measure, difference = pair.how.measure, None
    if measure:
        measured, total, absolute, low, high = (values.pop(0) for _ in range(5))
        if measured:
            seconds = measure == "timestamp"
            total, absolute, low, high = (_seconds(v) if seconds else v for v in (total, absolute, low, high))
            difference = Difference(
                int(measured),
                total,
                float(total) / measured,
                float(absolute) / measured,
                low,
                high,
                "seconds" if seconds else "days" if measure == "date" else "",
            )
    return ColumnDiff(
        pair.b, pair.a, (pair.type_a, pair.type_b), pair.how.word, changed, gained, lost, difference,
        exact=pair.how.exact,
    )  # fmt: skip


def _seconds(microseconds: Any) -> float:
    return int(microseconds) / 1_000_000


def _examples(asked: Asked, values: list[Any]) -> list[Example]:
    everything = (*asked.key, *asked.rest)
    found = []
    for kind in ("added", "removed", "changed"):
        for record in values.pop(0) or ():
            a = {p.a: record[f"a{n}"] for n, p in enumerate(everything)} if kind != "added" else {}
            b = {p.b: record[f"b{n}"] for n, p in enumerate(everything)} if kind != "removed" else {}
            found.append(Example(kind, a, b))
    return found


# --- whole rows --------------------------------------------------------------------------------------


def _whole(asked: Asked, fetch: Fetch, examples: int) -> tuple[RowsDiff, list[ColumnDiff], list[Example]]:
    row = fetch(whole_rows(asked, unkeyed=False, examples=examples))[0]
    na, nb, added, removed = (int(v) for v in row[:4])
    nothing = not added and not removed
    columns = [
        ColumnDiff(
            p.b, p.a, (p.type_a, p.type_b), p.how.word,
            # With all rows equal no column changed; else nobody knows which row was which.
            changed=0 if nothing else None, nulls_gained=0 if nothing else None,
            nulls_lost=0 if nothing else None, exact=p.how.exact,
        )
        for p in asked.rest
    ]  # fmt: skip
    rows = RowsDiff(na, nb, added, removed, 0 if nothing else None)
    return rows, columns, _whole_examples(asked, row[4:]) if examples else []


def _whole_examples(asked: Asked, lists: Sequence[Any]) -> list[Example]:
    everything = (*asked.key, *asked.rest)
    found = []
    for kind, records in zip(("added", "removed"), lists, strict=True):
        for record in records or ():
            values = {p.b if kind == "added" else p.a: record[f"t{n}"] for n, p in enumerate(everything)}
            a, b = ({}, values) if kind == "added" else (values, {})
            found.append(Example(kind, a, b, int(record["n"])))  # type: ignore[arg-type]
    return found


# --- columns -----------------------------------------------------------------------------------------


def _profiled(asked: Asked, columns: list[ColumnDiff], rows: RowsDiff, fetch: Fetch) -> list[ColumnDiff]:
    """Columns whose values may be distributed otherwise, each with its profile on both sides."""
    moves = (rows.added or 0) + (rows.removed or 0)
    moved = moves and (moves >= MOVED * max(rows.a, rows.b) or max(rows.a, rows.b) <= WHOLE)
    wanted = [n for n, c in enumerate(columns) if moved or c.changed != 0]
    if not wanted:
        return columns
    chosen = [asked.rest[n] for n in wanted]
    profiles = {}
    for side, amount in (("a", rows.a), ("b", rows.b)):
        values = list(fetch(profile(asked, side, chosen, amount))[0])
        profiles[side] = _profiles(side, chosen, values)
    made = list(columns)
    for place, n in enumerate(wanted):
        made[n] = replace(columns[n], a=profiles["a"][place], b=profiles["b"][place])
    return made


def _profiles(side: str, chosen: Sequence[Pair], values: list[Any]) -> list[Profile]:
    total, sampled = int(values[0]), int(values[1])
    found = []
    for number, pair in enumerate(chosen):
        filled, distinct, low, high, added, unusual, quantiles = values[2 + number * 7 : 9 + number * 7]
        kind = kind_of(pair.type_a if side == "a" else pair.type_b)
        usual = int(filled) - int(unusual or 0)
        number_like = kind in ("integer", "decimal", "float")
        found.append(
            Profile(
                rows=total,
                nulls=total - int(filled),
                distinct=None if distinct is None else int(distinct),
                distinct_exact=total <= WHOLE,
                minimum=low,
                maximum=high,
                total=added if added is not None or not number_like else None,
                mean=float(added) / usual if number_like and added is not None and usual else None,
                unusual=None if unusual is None else int(unusual),
                quantiles=tuple(str(q) for q in quantiles or ()),
                sampled=sampled if sampled != total else None,
            )
        )
    return found


def _null_changes(a: Table, b: Table, columns: Sequence[ColumnDiff]) -> list[SchemaChange]:
    """Columns that had no NULL and have some now: what readers may have relied on."""
    found = []
    for column in columns:
        before = _nulls(a, column.was, column.a)
        after = _nulls(b, column.column, column.b)
        if before == 0 and after:
            why = "it had no NULL before"
            found.append(SchemaChange("nulls", column.column, "0", str(after), breaking=True, why=why))
    return found


def _nulls(table: Table, name: str, known: Profile | None) -> int | None:
    return known.nulls if known is not None else (table.nulls or {}).get(name)


# --- renamed -----------------------------------------------------------------------------------------


def _renamed(
    asked: Asked, gone: Sequence[Column], new: Sequence[Column], fetch: Fetch
) -> list[tuple[Pair, str]]:
    """Pairs of a column that is gone and one that is new and looks the same, each with the reason."""
    kinds = {group_of(c.type) for c in gone} & {group_of(c.type) for c in new}
    old = [c for c in gone if group_of(c.type) in kinds][:64]
    fresh = [c for c in new if group_of(c.type) in kinds][:64]
    if not old or not fresh:
        return []
    before = _signatures(asked, "a", old, fetch)
    after = _signatures(asked, "b", fresh, fetch)
    found: list[tuple[Pair, str]] = []
    used: set[str] = set()
    for column in old:
        match = next(
            (n for n in fresh if n.name not in used and n.type == column.type
             and before[column.name] == after[n.name] and before[column.name][2] > 1),
            None,
        )  # fmt: skip
        if match is not None:
            used |= {match.name}
            found.append((Pair(column.name, match.name, column.type, match.type), "its content is the same"))
    taken = {p.a for p, _ in found}
    if asked.key:
        candidates = [
            Pair(o.name, n.name, o.type, n.type)
            for o in old
            for n in fresh
            if o.name not in taken and n.name not in used and group_of(o.type) == group_of(n.type)
            and _near(before[o.name], after[n.name])
        ][:32]  # fmt: skip
        found += _agreeing(asked, candidates, fetch)
    return found


def _signatures(
    asked: Asked, side: str, columns: Sequence[Column], fetch: Fetch
) -> dict[str, tuple[int, int, int, Any, Any]]:
    row = fetch(signature(asked, side, [(c.name, c.type) for c in columns]))[0]
    return {
        c.name: (
            int(row[n * 5]),
            int(row[n * 5 + 1] or 0),
            int(row[n * 5 + 2]),
            row[n * 5 + 3],
            row[n * 5 + 4],
        )
        for n, c in enumerate(columns)
    }


def _near(one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    """Whether two columns have about as many values and about as many different ones, not just one."""

    def close(x: int, y: int) -> bool:
        return abs(x - y) <= 0.2 * max(x, y)

    return min(one[2], two[2]) > 1 and close(one[0], two[0]) and close(one[2], two[2])


def _agreeing(asked: Asked, candidates: Sequence[Pair], fetch: Fetch) -> list[tuple[Pair, str]]:
    """Of these pairs the ones whose values agree in most rows of the same key, the best first."""
    if not candidates:
        return []
    matched, *same = (int(v) for v in fetch(agreement(asked, candidates))[0])
    ranked = sorted(zip(same, candidates, strict=True), key=lambda item: -item[0])
    found: list[tuple[Pair, str]] = []
    for agree, pair in ranked:
        free = all(pair.a != p.a and pair.b != p.b for p, _ in found)
        if matched and free and agree >= _AGREE * matched:
            found.append((pair, f"{agree:,} of {matched:,} rows with the same key have the same value"))
    return found
