"""What tests ask of the data: small frozen questions, shared where two tests ask the same.

A question says nothing of how it is answered; ``controls.planner`` finds the cheapest way. ``where``
is the user's SQL condition or None; all names are as the dataset declares them, unquoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gitkitchen.controls.columns import Limits
from gitkitchen.frozen import dataclass


class Misfit(Exception):
    """A test does not fit its data: it cannot be evaluated, for the reason given."""


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows ``where`` selects: an int."""

    dataset: str
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Failing:
    """For how many of those rows ``predicate`` (our own SQL, over one column) is true: an int.

    ``limits`` is set where the column's least and greatest value can prove that no row fails;
    ``nulls`` where the question is how many NULLs there are; ``costly`` where judging one value
    costs more than reading it, so that judging each distinct value once may gain.
    """

    dataset: str
    where: str | None
    column: str
    predicate: str
    limits: Limits | None = None
    nulls: bool = False
    costly: bool = False


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which rows without NULL in ``columns`` share their values with another: a ``Repeated``."""

    dataset: str
    where: str | None
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnyRepeat:
    """How many of those rows repeat an earlier one: an int, cheaper to know than ``Repeats``."""

    repeats: Repeats


@dataclass(frozen=True, slots=True)
class Repeated:
    """``rows`` rows share ``keys`` keys; both 0 where all differ."""

    rows: int
    keys: int


@dataclass(frozen=True, slots=True)
class Orphans:
    """How many rows without NULL in ``columns`` have no equal in ``target``: an int."""

    dataset: str
    where: str | None
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The one value of an aggregate expression over those rows, as Python has it."""

    dataset: str
    where: str | None
    expression: str


@dataclass(frozen=True, slots=True)
class Newest:
    """The greatest value of a date or time column in seconds since 1970 (UTC), or None."""

    dataset: str
    where: str | None
    column: str


@dataclass(frozen=True, slots=True)
class Single:
    """The one value of a whole query."""

    sql: str


@dataclass(frozen=True, slots=True)
class Returned:
    """How many rows a whole query returns: an int."""

    sql: str


Ask = Rows | Failing | Repeats | AnyRepeat | Orphans | Aggregate | Newest | Single | Returned
OverRows = Rows | Failing | Repeats | Orphans | Aggregate | Newest


@dataclass(frozen=True, slots=True)
class Answers:
    """What the data said: a value for each question, or the reason why there is none."""

    values: Mapping[Ask, Any] = field(default_factory=dict)
    troubles: Mapping[Ask, str] = field(default_factory=dict)
    seconds: Mapping[Ask, float] = field(default_factory=dict)

    def __getitem__(self, ask: Ask) -> Any:
        """The answer; ``Misfit`` with the reason where the question could not be answered."""
        if ask in self.troubles:
            raise Misfit(self.troubles[ask])
        return self.values[ask]
