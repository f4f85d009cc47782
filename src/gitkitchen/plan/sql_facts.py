"""The shape of what is known of a SQL text, and its form in the cache. Imports no sqlglot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitkitchen.errors import Place, Problem
from gitkitchen.frozen import dataclass

UNREAD = "sql-unread"
"""The code of the problem that sqlglot cannot read a text, which DuckDB perhaps can."""


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table that a text reads, in lower case as DuckDB compares names, where it first stands."""

    name: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class SqlFacts:
    """What is known of one SQL text. ``inferred`` is False where its tables could not be found out.

    ``columns`` are the names of its result, where they can be told without the data. ``impure`` are
    the functions it calls that answer differently each time.
    """

    tables: tuple[TableRef, ...]
    parameters: tuple[str, ...]
    meaning: str
    columns: tuple[str, ...] | None
    problems: tuple[Problem, ...]
    impure: tuple[str, ...] = ()
    inferred: bool = True


def decode(raw: Any, file: str, line: int) -> SqlFacts | None:
    """Facts out of the cache, moved to where the text stands now; None for what cannot be facts."""
    if not isinstance(raw, Mapping):
        return None
    first = line - 1
    try:
        columns = raw["columns"]
        return SqlFacts(
            tables=tuple(TableRef(str(n), ln + first, col) for n, ln, col in raw["tables"]),
            parameters=tuple(raw["parameters"]),
            meaning=str(raw["meaning"]),
            columns=None if columns is None else tuple(columns),
            problems=tuple(
                Problem(message, Place(file, ln + first, col), hint, code)
                for message, ln, col, hint, code in raw["problems"]
            ),
            impure=tuple(raw["impure"]),
            inferred=bool(raw["inferred"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def encode(**known: Any) -> dict[str, Any]:
    """Facts as JSON values, lines counted from the text's own first; what is not given is empty."""
    empty: dict[str, Any] = {"tables": [], "parameters": [], "columns": None, "problems": [], "impure": []}
    return empty | {"inferred": True} | known


class Unreadable(Exception):
    """A text that cannot be analysed at all: message, offset in the text, hint, code."""

    def __init__(self, message: str, offset: int = 0, hint: str = "", code: str = "sql") -> None:
        super().__init__(message)
        self.message, self.offset, self.hint, self.code = message, offset, hint, code


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
