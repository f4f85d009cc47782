"""Markdown that grows block by block within a budget of bytes, and counts what did not fit.

Each block is valid Markdown by itself, and is taken whole or not at all (tables and lists by rows), so that
what was cut is still valid. The most important block comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TypeVar

from gitkitchen.frozen import dataclass

T = TypeVar("T")

NOTE_ROOM = 400
"""Kept free for the closing note, which says what was left out."""


@dataclass(slots=True)
class Sheet:
    """``limit`` in bytes of UTF-8; ``missing`` counts by its word what was left out."""

    limit: int
    room: int = NOTE_ROOM
    blocks: list[str] = field(default_factory=list)
    used: int = 0
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, block: str, room: int | None = None) -> bool:
        """Take a block if it leaves ``room`` for what must follow; say whether it was taken."""
        cost = size(block) + 2
        if self.used + cost + (self.room if room is None else room) > self.limit:
            return False
        self.blocks.append(block)
        self.used += cost
        return True

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], what: str) -> None:
        """A table with as many rows as fit."""
        above = [*([title, ""] if title else []), row(head), row(["---"] * len(head))]
        self.rows(above, rows, row, what)

    def bullets(
        self, title: str, items: Sequence[T], show: Callable[[T], str], what: str, most: int = 10_000
    ) -> None:
        """A list with as many items as fit, ``most`` at the most."""
        self.rows([title, ""] if title else [], items, lambda item: f"- {show(item)}", what, most)

    def rows(
        self,
        above: Sequence[str],
        items: Sequence[T],
        show: Callable[[T], str],
        what: str,
        most: int = 1_000_000,
    ) -> None:
        """Lines of one block below others, which stand only where a line does; only what fits is rendered."""
        cost = size("\n".join(above)) + 3
        kept: list[str] = []
        for item in items[:most]:
            line = show(item)
            cost += size(line) + 1
            if self.used + cost + self.room > self.limit:
                break
            kept.append(line)
        if kept:
            self.add("\n".join([*above, *kept]))
        self.miss(what, len(items) - len(kept))

    def part(self, fill: Callable[[Sheet], None], limit: int, heading: str = "") -> None:
        """A part with a budget of its own, so that no part starves those below it."""
        inner = Sheet(min(limit, self.limit - self.used - self.room), room=0)
        if heading:
            inner.used = size(heading) + 2
        fill(inner)
        if inner.blocks:
            self.add("\n\n".join([heading, *inner.blocks] if heading else inner.blocks))
        for what, amount in inner.missing.items():
            self.miss(what, amount)

    def miss(self, what: str, amount: int = 1) -> None:
        """Count what is left out, under the word for one of it."""
        if amount:
            self.missing[what] = self.missing.get(what, 0) + amount

    def text(self) -> str:
        return "\n\n".join(self.blocks) + "\n" if self.blocks else ""


def size(value: str) -> int:
    """Bytes of UTF-8."""
    return len(value.encode("utf-8", "replace"))


def row(cells: Sequence[str]) -> str:
    """One line of a table. Cells must be escaped."""
    return f"| {' | '.join(cells)} |"


def counted(missing: Mapping[str, int]) -> str:
    """``3 more failures, 1 more dataset``."""
    return ", ".join(f"{n:,} more {what}{'s' if n > 1 else ''}" for what, n in missing.items())


def details(title: str, body: str) -> str:
    """A part that readers unfold. The title must be escaped, the body whole blocks."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
