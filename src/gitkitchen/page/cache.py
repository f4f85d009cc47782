"""What was read of the ledger before: one more run costs one more record, however many there are.

A file for each stream, a line for each record, in ``.gitkitchen/cache/page``. It is derived: what is damaged,
of another ledger or of other code is read again, and who removes it loses time alone. Each line carries the
checksum of its content, so that what is damaged is known before any of it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

from gitkitchen.files import digest_bytes, write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.gaps import Gaps
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.ledger.records import Record
from gitkitchen.page.code import code
from gitkitchen.page.kept import Kept, parted

Keep = Callable[[Mapping[str, Any]], Mapping[str, Any]]
TAB, END = b"\t", b"\n"  # JSON writes both as escapes: they stand between our fields alone


@dataclass(frozen=True, slots=True)
class Streams:
    """The ledger's streams, remembered in ``folder``."""

    ledger: Ledger
    folder: Path

    def records(self, stream: str, keep: Keep = lambda body: body, *, later: bool = False) -> list[Record]:
        """All records of a stream, in order. ``keep``: what of a body is remembered; ``later``: most of it is
        parsed only when it is asked for. Infrastructure names a bad or missing record; what was read before
        is not verified again (``audit --verify`` does)."""
        head = self.ledger.head(stream)
        path = self.folder / f"{digest_bytes(stream.encode())[:32]}.jsonl"
        known = _read(path, stream, self.ledger.gaps(stream)) if head else []
        if known and not self._continues(stream, known[-1], head):
            known = []
        after = known[-1].sequence if known else 0
        if head > after:
            lines = [_line(r, keep(r.body)) for r in self.ledger.read(stream, after)]
            if known:
                with path.open("ab") as file:
                    file.write(b"".join(lines))
            else:
                write_atomic(path, b"".join([_header(stream), *lines]))
            known += _parsed(lines)
        # What is read now and what was read before go the same way: no page can tell them apart.
        return [Record(stream, k.sequence, k.id, k.body if later else k.body.whole()) for k in known]

    def removed(self, streams: Iterable[str]) -> dict[str, datetime]:
        """Stream that compactions removed records from -> the moment before which these were dated."""
        gaps = {name: self.ledger.gaps(name) for name in streams}
        return {name: gone.before for name, gone in gaps.items() if gone.spans and gone.before is not None}

    def _continues(self, stream: str, last: _Known, head: int) -> bool:
        """Whether the ledger still holds the last record that was remembered."""
        if last.sequence > head:
            return False
        return next(iter(self.ledger.read(stream, last.sequence - 1))).id == last.id


@dataclass(frozen=True, slots=True)
class _Known:
    sequence: int
    id: str
    body: Kept


def _header(stream: str) -> bytes:
    return json.dumps([code(), stream]).encode() + END


def _line(record: Record, body: Mapping[str, Any]) -> bytes:
    first, rest = parted(body)
    content = TAB.join(
        json.dumps(part, separators=(",", ":")).encode()
        for part in ([record.sequence, record.id, first], rest)
    )
    return b"%08x" % crc32(content) + TAB + content + END


def _read(path: Path, stream: str, gone: Gaps) -> list[_Known]:
    """What a file remembers of what the ledger still holds; nothing where it is not whole, or of other
    code."""
    try:
        raw = path.read_bytes()
        header = _header(stream)
        if not raw.startswith(header) or not raw.endswith(END):
            return []
        known = _parsed(raw[len(header) :].splitlines(keepends=True))
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    known = [k for k in known if gone.at(k.sequence) is None]
    whole = bool(known) and [k.sequence for k in known] == gone.kept(known[-1].sequence)
    return known if whole else []


def _parsed(lines: list[bytes]) -> list[_Known]:
    """The records of lines. ValueError where one is damaged."""
    firsts, rests = [], []
    for line in lines:
        checksum, _, content = line[:-1].partition(TAB)
        if checksum != b"%08x" % crc32(content):
            raise ValueError("a line is damaged")
        first, _, rest = content.partition(TAB)
        firsts.append(first)
        rests.append(rest)
    return [
        _Known(sequence, name, Kept(first, rest))
        for (sequence, name, first), rest in zip(
            json.loads(b"[" + b",".join(firsts) + b"]"), rests, strict=True
        )
    ]
