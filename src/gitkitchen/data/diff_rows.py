"""Two tables compared: the queries asked, their answers read into the shapes of ``diff_model``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from gitkitchen.data.diff_renamed import Fetch, renamed
from gitkitchen.data.diff_schema import paired, schema_changes
from gitkitchen.data.diff_sql import (
    WHOLE,
    Asked,
    Pair,
    key_facts,
    keyed,
    profile,
    record_names,
    whole_rows,
)
from gitkitchen.data.diff_types import NUMBERS, kind_of
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Column

MOST_EXAMPLES = 100
MOVED = 0.01
"""Where fewer rows than this share came and went in a large table, unchanged columns are not profiled."""


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
    found = renamed(asked, gone, new, _sizes(a, b, state, sql, fetch), fetch) if gone and new else []
    rest += [pair for pair, _ in found]
    asked = replace(asked, rest=tuple(rest))
    if not pairs and not found:
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
        *schema_changes(a.columns, b.columns, dict(found)),
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


def _sizes(a: Table, b: Table, state: _Keys | None, sql: Dialect, fetch: Fetch) -> tuple[int, int]:
    """How many rows each side has, where samples are taken by it."""
    if sql.sketches:
        return 0, 0
    return state.rows if state is not None else (_count(a, fetch), _count(b, fetch))


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
    added = removed = changed = 0
    columns: list[ColumnDiff] = []
    records: list[list[dict[str, str | None]]] = [[], [], []]
    # An engine gives figures of so many columns at once; also without any, rows come and go.
    for part in _parts(len(asked.rest), asked.sql.widest):
        row = fetch(keyed(asked, part, clean=state.clean, examples=examples))[0]
        added, removed, changed = (int(v) for v in row[:3])
        values = list(row[3:])
        columns += [_column(asked.rest[number], values) for number in part]
        names = record_names(asked, part)
        for place, value in enumerate(values):
            more = asked.sql.records(value, names)
            # The same rows each time, for keys are unique (but of a view that is never twice the same):
            # more of their columns.
            known = records[place] if part.start else [{}] * len(more)
            records[place] = [{**x, **y} for x, y in zip(known, more, strict=False)]
    shown = _examples(asked, records)
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


def _parts(columns: int, most: int) -> list[range]:
    return [range(n, min(n + most, columns)) for n in range(0, max(columns, 1), most)]


def _column(pair: Pair, values: list[Any]) -> ColumnDiff:
    """Take one column's figures off the front of ``values``."""
    changed, gained, lost = (int(values.pop(0)) for _ in range(3))
    measure, difference = pair.how.measure, None
    if measure:
        measured, total, absolute, low, high = (values.pop(0) for _ in range(5))
        if measured:
            seconds = measure == "timestamp"
            read = _seconds if seconds else int if measure in ("whole", "large", "date") else _as_it_is
            total, absolute, low, high = (read(v) for v in (total, absolute, low, high))
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


def _as_it_is(value: Any) -> Any:
    return value


def _examples(asked: Asked, records: Sequence[Sequence[Mapping[str, str | None]]]) -> list[Example]:
    everything = list(enumerate((*asked.key, *asked.rest)))
    tell, found = asked.sql.shown, []
    for kind, some in zip(("added", "removed", "changed"), records, strict=True):
        for record in some:
            a = (
                {p.a: tell(record[f"a{n}"], kind_of(p.type_a)) for n, p in everything}
                if kind != "added"
                else {}
            )
            b = (
                {p.b: tell(record[f"b{n}"], kind_of(p.type_b)) for n, p in everything}
                if kind != "removed"
                else {}
            )
            found.append(Example(kind, a, b))  # type: ignore[arg-type]
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
    names = [*(f"t{n}" for n in range(len(everything))), "n"]
    found = []
    for kind, value in zip(("added", "removed"), lists, strict=True):
        for record in asked.sql.records(value, names):
            values = {
                p.b if kind == "added" else p.a: asked.sql.shown(record[f"t{n}"], _shown_as(p))
                for n, p in enumerate(everything)
            }
            a, b = ({}, values) if kind == "added" else (values, {})
            found.append(Example(kind, a, b, int(record["n"])))  # type: ignore[arg-type]
    return found


def _shown_as(pair: Pair) -> str:
    """The kind of what two values are compared as."""
    kinds = {kind_of(pair.type_a), kind_of(pair.type_b)}
    return "float" if "float" in kinds and kinds <= NUMBERS else "text"


# --- columns -----------------------------------------------------------------------------------------


def _profiled(asked: Asked, columns: list[ColumnDiff], rows: RowsDiff, fetch: Fetch) -> list[ColumnDiff]:
    """Columns whose values may be distributed otherwise, each with its profile on both sides."""
    moves = (rows.added or 0) + (rows.removed or 0)
    moved = moves and (moves >= MOVED * max(rows.a, rows.b) or max(rows.a, rows.b) <= WHOLE)
    wanted = [n for n, c in enumerate(columns) if moved or c.changed != 0]
    if not wanted:
        return columns
    chosen = [asked.rest[n] for n in wanted]
    profiles: dict[str, list[Profile]] = {}
    for side, amount in (("a", rows.a), ("b", rows.b)):
        profiles[side] = []
        for part in _parts(len(chosen), asked.sql.widest):
            some = chosen[part.start : part.stop]
            values = list(fetch(profile(asked, side, some, amount))[0])
            profiles[side] += _profiles(side, some, values, asked.sql)
    made = list(columns)
    for place, n in enumerate(wanted):
        made[n] = replace(columns[n], a=profiles["a"][place], b=profiles["b"][place])
    return made


def _profiles(side: str, chosen: Sequence[Pair], values: list[Any], sql: Dialect) -> list[Profile]:
    total, sampled = int(values[0]), int(values[1])
    found = []
    for number, pair in enumerate(chosen):
        filled, distinct, low, high, added, unusual, quantiles = values[2 + number * 7 : 9 + number * 7]
        kind = kind_of(pair.type_a if side == "a" else pair.type_b)
        usual = int(filled) - int(unusual or 0)
        number_like = kind in ("integer", "decimal", "float")
        if added is not None and kind in ("integer", "boolean"):
            added = int(added) if not isinstance(added, float) else added
        found.append(
            Profile(
                rows=total,
                nulls=total - int(filled),
                distinct=None if distinct is None else int(distinct),
                distinct_exact=total <= WHOLE,
                minimum=sql.shown(low, kind),
                maximum=sql.shown(high, kind),
                total=added if added is not None or not number_like else None,
                mean=float(added) / usual if number_like and added is not None and usual else None,
                unusual=None if unusual is None else int(unusual),
                quantiles=tuple(str(sql.shown(q, kind)) for q in quantiles or ()),
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
