"""The shapes of a data diff: what differs between two versions of a dataset, column by column.

Side A is before, side B after. A figure that is not known is None and never 0; ``exact`` says of each
part whether its figures are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any, Literal

from gitkitchen.frozen import dataclass

Number = int | float | Decimal
SchemaKind = Literal["added", "removed", "retyped", "renamed", "moved", "nulls"]
Method = Literal["digest", "key", "rows", "file", "none"]
"""How rows were compared: not at all, for the content digests are equal; by key; as a multiset of whole
rows; as files; or not, for there is nothing that both sides have."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One change of the contract. ``was``/``now``: types; of ``renamed`` names, of ``nulls`` counts.

    ``column`` is its name in B (of a removed one, in A). ``likely``: a guess, for the reason in ``why``.
    """

    kind: SchemaKind
    column: str
    was: str = ""
    now: str = ""
    breaking: bool = False
    likely: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One column on one side. ``quantiles`` are those of 5, 25, 50, 75 and 95 per cent, as text.

    ``minimum``, ``maximum`` and ``quantiles`` are values of rows. ``sampled`` counts the rows that the
    quantiles come from, where these are not all; ``distinct`` is an estimate unless ``distinct_exact``.
    """

    rows: int
    nulls: int
    distinct: int | None = None
    distinct_exact: bool = True
    minimum: str | None = None
    maximum: str | None = None
    total: Number | None = None
    mean: float | None = None
    unusual: int | None = None
    """NaN and infinite values, which no sum, mean or difference counts."""
    quantiles: tuple[str, ...] = ()
    sampled: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """B less A over the rows in which a number, date or time changed and both are finite.

    Dates are in days, times in seconds.
    """

    measured: int
    total: Number
    mean: float
    mean_absolute: float
    minimum: Number
    maximum: Number
    unit: Literal["", "days", "seconds"] = ""


@dataclass(frozen=True, slots=True)
class ColumnDiff:
    """One column that both sides have. ``changed`` counts rows of the same key; None without a key."""

    column: str
    was: str
    """Its name in A."""
    types: tuple[str, str]
    compared_as: str
    changed: int | None = None
    nulls_gained: int | None = None
    nulls_lost: int | None = None
    difference: Difference | None = None
    a: Profile | None = None
    b: Profile | None = None
    exact: bool = True

    @property
    def same(self) -> bool:
        return self.changed == 0


@dataclass(frozen=True, slots=True)
class Unkeyed:
    """Rows that no key tells apart; they are compared whole, as a multiset, and never joined."""

    null_rows: tuple[int, int] = (0, 0)
    """Rows with NULL in a key column, of A and of B."""
    repeated_keys: tuple[int, int] = (0, 0)
    repeated_rows: tuple[int, int] = (0, 0)
    """Rows whose key another row of the same side has too."""
    rows: tuple[int, int] = (0, 0)
    """All that were compared whole: a key that repeats on one side is set aside on both."""

    def __bool__(self) -> bool:
        return any((*self.null_rows, *self.repeated_rows, *self.rows))


@dataclass(frozen=True, slots=True)
class RowsDiff:
    """Rows of both sides; None for what is not known (``changed`` without a key).

    ``matched`` are rows whose key both sides have, ``changed`` those of them that differ in any column.
    """

    a: int
    b: int
    added: int | None = None
    removed: int | None = None
    changed: int | None = None
    matched: int | None = None
    unkeyed: Unkeyed = field(default_factory=Unkeyed)


@dataclass(frozen=True, slots=True)
class Example:
    """A row that differs, values as text: ``a`` is empty for an added one, ``b`` for a removed one."""

    kind: Literal["added", "removed", "changed"]
    a: Mapping[str, str | None] = field(default_factory=dict)
    b: Mapping[str, str | None] = field(default_factory=dict)
    times: int = 1


@dataclass(frozen=True, slots=True)
class TableDiff:
    """What differs between two versions of one table. ``notes`` are sentences on what was not plain."""

    method: Method
    rows: RowsDiff
    schema: tuple[SchemaChange, ...] = ()
    columns: tuple[ColumnDiff, ...] = ()
    key: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    exact: bool = True
    notes: tuple[str, ...] = ()

    @property
    def changes_data(self) -> bool | None:
        """Whether any row or column differs; None where that is not known."""
        rows = self.rows
        if self.schema or rows.a != rows.b or rows.added or rows.removed or rows.changed:
            return True
        if self.method == "digest":
            return False
        return None if self.method in ("none", "file") or rows.added is None else False


Fetch = Any
"""``fetch(sql)`` runs one SELECT and returns its rows as a list of tuples."""
