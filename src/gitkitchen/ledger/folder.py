"""A ledger in a folder: write-once JSON files, ``<stream>/@<shard>/<sequence>.json``.

The commit point of a record is a hard link to the next free sequence number: it exists whole or not at
all, and of two writers one wins. ``@head`` beside the shards remembers how far the stream has been, so
that a record removed from its end is missed; it may lag behind after a crash and is never ahead.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gitkitchen.errors import Conflict, Infrastructure, Problem
from gitkitchen.files import write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.exclusive import create
from gitkitchen.ledger.gaps import NONE, Gaps
from gitkitchen.ledger.lease import lease
from gitkitchen.ledger.protocol import LATEST, Held, New, Newest
from gitkitchen.ledger.records import Record, decode, encode, seal

if TYPE_CHECKING:
    from gitkitchen.plumbing import Moves

SHARD = 1000
"""Records in one folder: a listing stays short however long the stream grows."""

PART = re.compile(r"[^\x00-\x1f\x7f/@.\\][^\x00-\x1f\x7f/\\]{0,199}")
RECORD = re.compile(r"\d{9}\.json")
ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class FolderLedger:
    """Append-only streams of records below ``root``. Stream names are paths like ``runs/k_x/delays``."""

    root: Path
    whole: ClassVar[bool] = False

    @property
    def private(self) -> bool:
        """A folder is one machine's."""
        return True

    def append(
        self, stream: str, body: Mapping[str, Any], *, expect: int | None = None, under: Held | None = None
    ) -> Record:
        """Add a record to the end of ``stream``; it is on disk when this returns.

        ``expect`` is the head that the stream must still have, ``under`` a lease that must still be held:
        Conflict otherwise, and nothing is written.
        Without it the next free place is taken. Infrastructure when the disk does not take it.
        """
        for attempt in range(ATTEMPTS):
            head = self.head(stream)
            if expect is not None and head != expect:
                raise moved(stream, expect, head)
            if under is not None:
                under.check()
            previous = self._record(stream, head).id if head else ""
            record = seal(stream, head + 1, body, previous)
            if self._commit(record):
                return record
            # Someone else took the place. Wait a random while, so that many writers do not march in step.
            time.sleep(random.uniform(0, 0.002 * min(attempt + 1, 20)))  # noqa: S311 (no secret)
        raise Conflict(Problem(f"stream '{stream}' is too busy to append to", hint="run the command again"))

    def append_together(
        self,
        entries: Sequence[New],
        *,
        under: Held | None = None,
        beside: Moves | None = None,
        last: bool = False,  # noqa: ARG002 (a lease costs nothing here)
    ) -> list[Record]:
        """Add records one after the other: see ``whole``. ValueError for refs: a folder has none."""
        if beside:
            raise ValueError("a ledger in a folder moves no refs")
        return [self.append(e.stream, e.body, expect=e.expect, under=under) for e in entries]

    def deposit(self, stream: str, body: Mapping[str, Any], *, mark: str = "") -> None:  # noqa: ARG002
        """Add a record to the end of ``stream``: at once, for nothing is saved by waiting."""
        self.append(stream, body)

    def append_made(self, stream: str, make: Callable[[Newest], Mapping[str, Any]]) -> Record:
        """Add a record that names others: they are in their streams already."""
        return self.append(stream, make(self._newest))

    def _newest(self, stream: str) -> Iterator[Record]:
        yield from reversed(list(self.read(stream, max(self.head(stream) - LATEST, 0))))

    def head(self, stream: str) -> int:
        """The sequence of the last record, 0 for an empty stream. Infrastructure when the end is missing."""
        folder = self._folder(stream)
        seen = _mark(folder)  # before listing: records come meanwhile, they never go
        shards = [name for name in _names(folder) if name.startswith("@") and name[1:].isdigit()]
        head = 0
        for shard in sorted(shards, reverse=True):
            found = [name for name in _names(folder / shard) if RECORD.fullmatch(name)]
            if found:
                head = int(max(found)[:9])
                break
        if head < seen:
            raise Infrastructure(self._missing(stream, head + 1))
        return head

    def read(self, stream: str, after: int = 0) -> Iterator[Record]:
        """The records behind ``after``, in order, verified. Infrastructure names a bad or missing one."""
        previous: str | None = self._record(stream, after).id if after else ""
        for sequence in range(after + 1, self.head(stream) + 1):
            record = self._record(stream, sequence)
            if record.previous != previous:
                raise Infrastructure(
                    self._damaged(stream, sequence, "it does not follow the record before it")
                )
            previous = record.id
            yield record

    def gaps(self, stream: str) -> Gaps:  # noqa: ARG002
        """None: a folder is never compacted."""
        return NONE

    def streams(self, prefix: str = "") -> list[str]:
        """The names of all streams that hold records, those below ``prefix`` (``runs``) if given, sorted."""
        top = self.root / prefix if prefix else self.root
        found = []
        for folder, names, _ in os.walk(top):
            if any(name[1:].isdigit() for name in names if name.startswith("@")):
                found.append(Path(folder).relative_to(self.root).as_posix())
            names[:] = [name for name in names if not name.startswith("@")]
        return sorted(found)

    def verify(self, stream: str) -> list[Problem]:
        """Everything that is wrong with a stream, each bad record by name."""
        problems: list[Problem] = []
        try:
            head = self.head(stream)
        except Infrastructure as error:
            problems += error.problems
            head = _mark(self._folder(stream))
        previous: str | None = ""
        for sequence in range(1, head + 1):
            try:
                record = self._record(stream, sequence)
            except Infrastructure as error:
                problems += error.problems
                previous = None  # what follows cannot be compared with it
                continue
            if previous is not None and record.previous != previous:
                problems.append(self._damaged(stream, sequence, "it does not follow the record before it"))
            previous = record.id
        return list(dict.fromkeys(problems))

    def lease(
        self,
        name: str,
        holder: str,
        seconds: float | None = None,
        *,
        publishes: bool = True,  # noqa: ARG002 (all work in one place)
        late: bool = False,  # noqa: ARG002
    ) -> AbstractContextManager[Held]:
        """Hold ``name`` for the length of a block: see lease.py. It lasts a minute after each renewal."""
        return lease(self.root, name, holder=holder, seconds=seconds or 60.0)

    def _commit(self, record: Record) -> bool:
        folder = self._folder(record.stream)
        path = self._path(record.stream, record.sequence)
        try:
            if not create(path, encode(record), self.root / "@scratch", sync=True):
                return False
            write_atomic(folder / "@head", str(record.sequence))
        except OSError as error:
            raise Infrastructure(
                Problem(
                    f"the ledger in {self.root} cannot be written: {error.strerror or error}",
                    hint="mend the disk or its permissions and run the command again",
                    code="ledger-write",
                )
            ) from error
        return True

    def _record(self, stream: str, sequence: int) -> Record:
        path = self._path(stream, sequence)
        try:
            return decode(path.read_bytes(), stream, sequence)
        except FileNotFoundError:
            raise Infrastructure(self._missing(stream, sequence)) from None
        except (OSError, ValueError) as error:
            raise Infrastructure(self._damaged(stream, sequence, str(error))) from None

    def _folder(self, stream: str) -> Path:
        if not all(PART.fullmatch(part) for part in stream.split("/")):
            raise ValueError(f"{stream!r} is no name of a stream")
        return self.root / stream

    def _path(self, stream: str, sequence: int) -> Path:
        return self._folder(stream) / f"@{sequence // SHARD:06d}" / f"{sequence:09d}.json"

    def _missing(self, stream: str, sequence: int) -> Problem:
        return self._bad(stream, sequence, "is missing")

    def _damaged(self, stream: str, sequence: int, reason: str) -> Problem:
        return self._bad(stream, sequence, f"is damaged: {reason}")

    def _bad(self, stream: str, sequence: int, what: str) -> Problem:
        return Problem(
            f"record {sequence} of stream '{stream}' {what}",
            hint=f"restore {self._path(stream, sequence)} from a backup",
            code="ledger-record",
        )


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 (names only: the fastest listing there is)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _mark(folder: Path) -> int:
    """How far the stream has been, as far as ``@head`` knows: it is a lower bound, and 0 when unreadable."""
    try:
        return int((folder / "@head").read_text())
    except (OSError, ValueError):
        return 0


def moved(stream: str, expect: int, head: int) -> Conflict:
    """The refusal of an append whose stream does not end any more where its writer thinks."""
    return Conflict(
        Problem(
            f"stream '{stream}' has moved on from record {expect} to {head}; nothing was written",
            hint="run the command again",
            code="ledger-moved",
        )
    )
