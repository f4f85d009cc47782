"""The body of a run's record, parsed only where somebody looks into it: of ten thousand, few are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

FIRST = frozenset(
    ("run", "recipe", "variation", "verdict", "started", "finished", "parts", "publication", "kind")
)
"""What lists, counts and standings ask of every run; nodes and their figures, which are nearly all of a
record, are not among it."""


class Kept(Mapping[str, Any]):
    """A body of which ``first`` is at hand; ``rest``, JSON of an object, is parsed when it is asked for."""

    __slots__ = ("_first", "_known", "_rest")

    def __init__(self, first: Mapping[str, Any], rest: bytes) -> None:
        self._first, self._rest = first, rest
        self._known: Mapping[str, Any] | None = None

    def whole(self) -> dict[str, Any]:
        """All of it; what was parsed for it alone is not kept in memory."""
        return {**self._first, **self._later(keep=False)}

    def get(self, key: str, default: Any = None) -> Any:
        return (self._first if key in FIRST else self._later()).get(key, default)

    def __getitem__(self, key: str) -> Any:
        return (self._first if key in FIRST else self._later())[key]

    def __iter__(self) -> Iterator[str]:
        yield from self._first
        yield from self._later()

    def __len__(self) -> int:
        return len(self._first) + len(self._later())

    def _later(self, *, keep: bool = True) -> Mapping[str, Any]:
        if self._known is not None:
            return self._known
        found: Mapping[str, Any] = json.loads(self._rest)
        if keep:
            self._known = found
        return found


def parted(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A body as what is looked at of every run, and the rest."""
    first = {k: v for k, v in body.items() if k in FIRST}
    return first, {k: v for k, v in body.items() if k not in FIRST}
