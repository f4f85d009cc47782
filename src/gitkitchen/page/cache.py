"""What was read of the ledger before: one more run costs one more record, however many there are.

A file for each stream, a line for each record, in ``.gitkitchen/cache/page``. It is derived: what is damaged
or of another ledger is read again, and who removes it loses time alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitkitchen.files import digest_bytes, write_atomic
from gitkitchen.ledger.gaps import Gaps
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.ledger.records import Record

SCHEME = 1
Keep = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Streams:
    """The ledger's streams, remembered in ``folder``."""

    ledger: Ledger
    folder: Path

    def records(self, stream: str, keep: Keep = lambda body: body) -> list[Record]:
        """All records of a stream, in order. ``keep``: what of a body is remembered. Infrastructure names a
        bad or missing record; what was read before is not verified again (``audit --verify`` does)."""
        head = self.ledger.head(stream)
        path = self.folder / f"{digest_bytes(stream.encode())[:32]}.jsonl"
        known = _read(path, stream, self.ledger.gaps(stream)) if head else []
        if known and not self._continues(stream, known[-1], head):
            known = []
        if known and known[-1].sequence == head:
            return known
        after = known[-1].sequence if known else 0
        new = [
            Record(stream, r.sequence, r.id, keep(r.body), r.previous)
            for r in (self.ledger.read(stream, after) if head else ())
        ]
        if new:
            lines = "".join(_line(r) for r in new)
            if known:
                with path.open("a", encoding="utf-8") as file:
                    file.write(lines)
            else:
                write_atomic(path, json.dumps([SCHEME, stream]) + "\n" + lines)
        return [*known, *new]

    def _continues(self, stream: str, last: Record, head: int) -> bool:
        """Whether the ledger still holds the last record that was remembered."""
        if last.sequence > head:
            return False
        return next(iter(self.ledger.read(stream, last.sequence - 1))).id == last.id


def _line(record: Record) -> str:
    return json.dumps([record.sequence, record.id, record.body], separators=(",", ":")) + "\n"


def _read(path: Path, stream: str, gone: Gaps) -> list[Record]:
    """What a file remembers of what the ledger still holds; nothing where it is not whole."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines or json.loads(lines[0]) != [SCHEME, stream]:
            return []
        found = json.loads(f"[{','.join(lines[1:])}]")
        records = [Record(stream, int(s), str(i), body) for s, i, body in found if isinstance(body, dict)]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    records = [r for r in records if gone.at(r.sequence) is None]
    whole = bool(records) and [r.sequence for r in records] == gone.kept(records[-1].sequence)
    return records if whole else []
