"""The cheapest way to answer a set of questions about datasets.

In order: the manifest; for a small table, or a view whose rows nobody has counted, one pass for each
(dataset, where); for a large table

* ranges and the newest time from min() and max(), which the engine reads from the Parquet footers;
* what is costly to judge, on a column of few values, from one group-by of that column;
* keys of another dataset looked up once for each distinct key where those are few;
* uniqueness from one bit for each possible key, else by counting distinct keys;
* what remains: fused for one column (it is decoded once) and under one ``where`` (it is filtered
  once); different columns are read apart, because fusing them gains nothing.

How many rows fail is counted only where the cheap look found that some do. A query that fails is
asked again question by question, so that only the test with the mistake is in error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gitkitchen.controls import queries
from gitkitchen.controls.asks import (
    Aggregate,
    Answers,
    AnyRepeat,
    Ask,
    Failing,
    Misfit,
    Newest,
    Orphans,
    OverRows,
    Repeated,
    Repeats,
    Returned,
    Rows,
    Single,
)
from gitkitchen.controls.manifest import UNKNOWN, answer, span
from gitkitchen.controls.queries import Query
from gitkitchen.controls.reader import Reader
from gitkitchen.model import Version

SMALL = 50_000
"""Up to so many rows one pass is cheaper than any thought about it."""
FEW_VALUES = 100_000
"""A column of whole numbers or dates with so many possible values repeats each of them."""
FEW_IN_HEAD = 4_000
"""So many different values in the first 20,000 rows: the column repeats few values."""
MOST_BITS = 2**28
_NARROW = 10


def measure(asks: Iterable[Ask], versions: Mapping[str, Version], reader: Reader) -> Answers:
    """Answer all questions; those that cannot be answered are in ``troubles`` with the reason."""
    return _Measuring(versions, reader).all(dict.fromkeys(asks))


def measure_singly(asks: Iterable[Ask], reader: Reader) -> Answers:
    """Answer each question by its plain query, without manifest or plan: the reference for both."""
    measuring = _Measuring({}, reader)
    for ask in dict.fromkeys(asks):
        measuring.run(queries.alone(ask, reader.dialect))
    return measuring.answers


class _Measuring:
    def __init__(self, versions: Mapping[str, Version], reader: Reader) -> None:
        self._versions = versions
        self._dialect = reader.dialect
        self._reader = reader
        self._values: dict[Ask, Any] = {}
        self._troubles: dict[Ask, str] = {}
        self._seconds: dict[Ask, float] = defaultdict(float)

    @property
    def answers(self) -> Answers:
        return Answers(self._values, self._troubles, self._seconds)

    def all(self, asks: Iterable[Ask]) -> Answers:
        groups: dict[tuple[str, str | None], list[OverRows]] = defaultdict(list)
        for ask in asks:
            if isinstance(ask, Single | Returned | AnyRepeat):
                self.run(queries.alone(ask, self._dialect))
                continue
            known = answer(ask, self._versions.get(ask.dataset))
            if known is UNKNOWN:
                groups[ask.dataset, ask.where].append(ask)
            else:
                self._values[ask] = known
        for (dataset, where), group in groups.items():
            if self._dialect.passes:
                self._passes(dataset, where, group)
            elif self._is_large(dataset):
                self._large(dataset, where, group)
            else:
                self._small(dataset, where, group)
        return self.answers

    # --- one query ---

    def run(self, query: Query) -> None:
        """Ask; where that fails, ask each question by itself, so that a mistake stays with its own test."""
        try:
            row = self._row(query)
        except Misfit as misfit:
            if query == queries.alone(query.asks[0], self._dialect):
                self._troubles[query.asks[0]] = str(misfit)
                return
            for ask in query.asks:
                self.run(queries.alone(ask, self._dialect))
            return
        for ask, value in zip(query.asks, row, strict=True):
            self._values[ask] = queries.decoded(ask, value)

    def _row(self, query: Query) -> Sequence[Any]:
        """The values of a query's one row; ``Misfit`` where it has another shape."""
        try:
            rows = self._reader.fetch(query.sql)
        finally:
            for ask in query.asks:
                self._seconds[ask] += self._reader.seconds / len(query.asks)
        if isinstance(query.asks[0], Single) and not rows:
            return (None,)
        if len(rows) != 1 or len(rows[0]) != query.skip + len(query.asks):
            shape = f"{len(rows[0]) - query.skip} columns" if len(rows) == 1 else "more than one row"
            raise Misfit(f"one value is needed, and the SQL returns {shape}")
        return rows[0][query.skip :]

    def _look(self, query: Query) -> Sequence[Any] | None:
        """A cheap look that may spare the count; None where it fails (the count will say why)."""
        try:
            return self._row(query)
        except Misfit:
            return None

    # --- engines with tables of their own ---

    def _passes(self, dataset: str, where: str | None, asks: Sequence[OverRows]) -> None:
        """One pass for all that counts rows; keys by a query each, which the engine can plan as a join."""
        apart = [a for a in asks if isinstance(a, Orphans | Repeats)]
        fused = [a for a in asks if a not in apart]
        if len(fused) > 1:
            self.run(queries.together(dataset, where, fused, self._dialect))
        for ask in (*(fused if len(fused) == 1 else ()), *apart):
            self.run(queries.alone(ask, self._dialect))

    # --- small tables, and views ---

    def _is_large(self, dataset: str) -> bool:
        version = self._versions.get(dataset)
        return version is not None and version.format == "table" and (version.rows or 0) > SMALL

    def _small(self, dataset: str, where: str | None, asks: Sequence[OverRows]) -> None:
        apart = [a for a in asks if isinstance(a, Orphans) and self._is_large(a.target)]
        for orphans in apart:
            self._orphans(orphans, ())
        fused = [a for a in asks if a not in apart]
        if len(fused) == 1:
            self.run(queries.alone(fused[0]))
            return
        if not fused:
            return
        self.run(
            queries.together(dataset, where, [AnyRepeat(a) if isinstance(a, Repeats) else a for a in fused])
        )
        for ask in fused:
            if isinstance(ask, Repeats):
                self._detailed(ask)

    # --- large tables ---

    def _large(self, dataset: str, where: str | None, asks: Sequence[OverRows]) -> None:
        rest = [] if where is not None else self._outside(dataset, asks)
        rest = [*rest, *(a for a in asks if where is not None or not _has_bounds(a))]
        few = self._few_values(dataset, rest)
        by_column: dict[str, list[Failing | Orphans]] = defaultdict(list)
        for ask in rest:
            if isinstance(ask, Repeats | Rows | Aggregate | Newest):
                continue
            columns = ask.columns if isinstance(ask, Orphans) else (ask.column,)
            if len(columns) == 1 and columns in few and (isinstance(ask, Orphans) or ask.costly):
                by_column[columns[0]].append(ask)
        done: set[Ask] = set()
        for column, group in by_column.items():
            # Under a `where` the rows are filtered anyway: one more pass pays for two questions or more.
            if where is None or len(group) > 1 or isinstance(group[0], Orphans):
                self.run(queries.by_value(dataset, where, column, group))
                done.update(group)
        self._scans(dataset, where, [a for a in rest if a not in done])
        for ask in rest:
            if isinstance(ask, Orphans) and ask not in done:
                self._orphans(ask, few)
        for ask in sorted((a for a in rest if isinstance(a, Repeats)), key=lambda a: len(a.columns)):
            self._repeats(ask)

    def _outside(self, dataset: str, asks: Sequence[OverRows]) -> list[OverRows]:
        """The ranges that some value breaks; the others are answered."""
        bounded = [a for a in asks if isinstance(a, Failing | Newest) and _has_bounds(a)]
        if not bounded:
            return []
        row = self._look(queries.least_and_greatest(dataset, bounded))
        if row is None:
            return list(bounded)
        left: list[OverRows] = []
        for ask, value in zip(bounded, row, strict=True):
            if isinstance(ask, Newest):
                self._values[ask] = value
            elif value:
                left.append(ask)
            else:
                self._values[ask] = 0
        return left

    def _few_values(self, dataset: str, asks: Sequence[OverRows]) -> frozenset[tuple[str, ...]]:
        """The columns (or groups of them) asked about that repeat few values."""
        version = self._versions[dataset]
        few: set[tuple[str, ...]] = set()
        unknown: dict[tuple[str, ...], None] = {}
        for ask in asks:
            if not (isinstance(ask, Orphans) or (isinstance(ask, Failing) and ask.costly)):
                continue
            columns = ask.columns if isinstance(ask, Orphans) else (ask.column,)
            possible = 1
            for column in columns:
                reach = span(version, column)
                possible = 0 if reach is None else possible * reach[1]
            if 0 < possible <= FEW_VALUES:
                few.add(columns)
            elif possible == 0:
                unknown[columns] = None
        if unknown:
            try:
                counts = self._reader.fetch(queries.head(dataset, unknown))[0]
            except Misfit:
                return frozenset(few)
            few |= {columns for columns, n in zip(unknown, counts, strict=True) if n <= FEW_IN_HEAD}
        return frozenset(few)

    def _scans(self, dataset: str, where: str | None, asks: Sequence[OverRows]) -> None:
        """What needs each row: one pass for a ``where``; without one, a pass for each column."""
        scanned = [a for a in asks if not isinstance(a, Orphans | Repeats)]
        if where is not None:
            if scanned:
                self.run(queries.together(dataset, where, scanned))
            return
        columns: dict[str, list[OverRows]] = defaultdict(list)
        for ask in scanned:
            columns[ask.column if isinstance(ask, Failing) else ""].append(ask)
        for group in columns.values():
            if len(group) == 1:
                self.run(queries.alone(group[0]))
            else:
                self.run(queries.together(dataset, where, group))

    def _orphans(self, ask: Orphans, few: Iterable[tuple[str, ...]]) -> None:
        own, target = self._versions.get(ask.dataset), self._versions.get(ask.target)
        own_rows = own.rows if own is not None and own.rows is not None else 0
        target_rows = target.rows if target is not None and target.rows is not None else 0
        narrow = self._is_large(ask.target) and 0 < own_rows * _NARROW < target_rows
        self.run(queries.orphans(ask, distinct=ask.columns in few, narrow=narrow))

    def _repeats(self, ask: Repeats) -> None:
        """Uniqueness: by a part of the key already found unique, by bits, or by distinct keys."""
        if any(self._is_unique(known, ask) for known in self._values):
            self._values[ask] = Repeated(0, 0)
            return
        row = self._look(self._any_repeat(ask))
        if row is not None:
            self._values[AnyRepeat(ask)] = row[0]
        self._detailed(ask)

    def _detailed(self, ask: Repeats) -> None:
        """Which rows repeat, where some are known to, or where that could not be told."""
        any_repeat = AnyRepeat(ask)
        self._seconds[ask] += self._seconds[any_repeat]
        if self._values.get(any_repeat) == 0:
            self._values[ask] = Repeated(0, 0)
        else:
            self.run(queries.repeats(ask))

    def _is_unique(self, known: Ask, ask: Repeats) -> bool:
        return (
            isinstance(known, Repeats)
            and known.dataset == ask.dataset
            and known.where in (None, ask.where)
            and set(known.columns) <= set(ask.columns)
            and self._values[known] == Repeated(0, 0)
        )

    def _any_repeat(self, ask: Repeats) -> Query:
        version = self._versions[ask.dataset]
        rows = version.rows or 0
        spans = [span(version, column) for column in ask.columns]
        known = [s for s in spans if s is not None]
        if len(known) == len(spans):
            size = 1
            for _, reach in known:
                size *= reach
            if size <= min(MOST_BITS, 64 * rows):
                return queries.any_repeat_by_bits(ask, known)
        stats = [version.stats.get(c) for c in ask.columns]
        return queries.any_repeat(ask, no_nulls=all(s is not None and s.nulls == 0 for s in stats))


def _has_bounds(ask: Ask) -> bool:
    return isinstance(ask, Newest) or (isinstance(ask, Failing) and ask.limits is not None)
