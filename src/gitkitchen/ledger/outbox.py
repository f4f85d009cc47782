"""Records that are not in their stream yet: each a file of its own, here or on a fallback ref.

An entry's ``mark`` is drawn once and becomes part of the record's file name, and ``base`` is a number
that the stream had before the entry was first tried. So whoever brings an entry to its stream looks
behind ``base`` for the mark first: however often an entry is tried, from however many clones, its record
is there once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import canonical, write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.layout import folder_of

MARK = re.compile(r"[0-9a-f]{16}")
WAITING = "runs/"
"""Only what nothing is decided by may wait: a publication that comes late would be one that nobody asked for,
and a fallback ref may be written by people who may not write the ledger's branch."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A record that shall be in ``stream``, behind ``base``, under ``mark``."""

    stream: str
    body: Mapping[str, Any] = field(hash=False)
    mark: str
    base: int


def encode(entry: Pending) -> bytes:
    value = {"version": 1, "stream": entry.stream, "mark": entry.mark, "base": entry.base}
    return canonical(value | {"body": entry.body}) + b"\n"


def decode(raw: bytes) -> Pending | None:
    """The entry that a file holds; None for anything that none of ours would be."""
    try:
        value = json.loads(raw)
        entry = Pending(str(value["stream"]), value["body"], str(value["mark"]), int(value["base"]))
        folder_of(entry.stream)
        whole = encode(entry) == raw
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    sound = whole and entry.stream.startswith(WAITING) and MARK.fullmatch(entry.mark) and entry.base >= 0
    return entry if sound and isinstance(entry.body, dict) else None


@dataclass(frozen=True, slots=True)
class Outbox:
    """The entries of this clone, in a folder."""

    folder: Path

    def put(self, entry: Pending) -> None:
        """Keep an entry; it is on disk when this returns. Infrastructure when the disk does not take it."""
        try:
            write_atomic(self._path(entry.mark), encode(entry), sync=True)
        except OSError as error:
            raise Infrastructure(
                Problem(
                    f"{self.folder} cannot be written: {error.strerror or error}",
                    hint="mend the disk or its permissions and run the command again",
                    code="ledger-write",
                )
            ) from error

    def entries(self) -> list[Pending]:
        """All entries, the oldest first. What cannot be read stays where it is."""
        found = []
        try:
            paths = sorted(self.folder.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        except OSError:  # one was brought to its stream meanwhile
            paths = sorted(self.folder.glob("*.json"))
        for path in paths:
            try:
                entry = decode(path.read_bytes())
            except OSError:
                continue
            if entry is not None:
                found.append(entry)
        return found

    def drop(self, mark: str) -> None:
        """Forget an entry whose record is in its stream, or safe elsewhere."""
        self._path(mark).unlink(missing_ok=True)

    def _path(self, mark: str) -> Path:
        return self.folder / f"{mark}.json"
