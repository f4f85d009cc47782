"""Where a record lies on the ledger's branch: paths that stay short, in folders that stay small.

``runs/@5c/k_main_0123456789ab/delays/@2026-11.000012/000001234.9f86d081884c7d65.gitkitchen.json``: the
parts of the stream's name, with two hexadecimal digits of the second one's digest before it (there are many
kitchens), the month in which it was written and the hundred that its sequence belongs to, its sequence, and
a number drawn by its writer, by which the writer finds it again when the answer to a push was lost.
Names that begin with ``@`` are never parts of a stream's name.

Git looks for what is alike among files whose names end alike, in their last 16 characters (``pack_name_hash``
in its pack-objects.h): so all records end alike, and each is kept as what differs from another. Each folder
on the way to a record is some 50 bytes of a commit: so month and hundred are one. Records that were written
before have them as two, ``@2026-11/000012``, and end with ``.json`` alone; they are read as ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import digest_bytes
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.folder import PART
from gitkitchen.objects import Objects, Tree

if TYPE_CHECKING:
    from gitkitchen.ledger.gaps import Compaction, Gaps

SHARD = 100
LEASES = "@leases"

_MONTH = re.compile(r"(@\d{4}-\d{2})(?:\.(\d{6,9}))?")
_SHARD = re.compile(r"\d{6,9}")
_FILE = re.compile(r"(\d{9})\.([0-9a-f]{16})(?:\.gitkitchen)?\.json")


@dataclass(frozen=True, slots=True)
class Slot:
    """A record's place in its stream: its number, its writer's mark, and its object."""

    sequence: int
    mark: str
    oid: str


def folder_of(stream: str) -> str:
    """The folder of a stream. ValueError for what is no name of one."""
    first, *rest = stream.split("/")
    if not all(PART.fullmatch(part) for part in (first, *rest)):
        raise ValueError(f"{stream!r} is no name of a stream")
    return "/".join([first, _bucket(rest[0]), *rest]) if rest else first


def lease_file(name: str) -> str:
    """The file that says who holds a lease."""
    try:
        return f"@{folder_of(f'leases/{name}')}/lease.json"
    except ValueError:
        raise ValueError(f"{name!r} is no name of a lease") from None


def file_of(stream: str, slot: Slot, month: str) -> str:
    shard = f"{month}.{slot.sequence // SHARD:06d}"
    return f"{folder_of(stream)}/{shard}/{slot.sequence:09d}.{slot.mark}.gitkitchen.json"


def sequence_of(path: str) -> int:
    """The number of the record that a file's path is of."""
    return int(path.rpartition("/")[2][:9])


def month_of(now: datetime, last: str) -> str:
    """The month that a record is filed under: never one before the stream's last, whatever the clock."""
    return max(f"@{now:%Y-%m}", last)


class Absent(Infrastructure):
    """A part of the ledger is not in this clone."""


class View:
    """The ledger at one commit of its branch. ``tip`` None: there is no branch yet.

    Every question raises Absent where what it needs is not here.
    """

    def __init__(self, objects: Objects, tip: str | None) -> None:
        self.objects, self.tip = objects, tip
        self.stated: tuple[tuple[Compaction, ...], Mapping[str, Gaps]] | None = None
        """What compactions say, once somebody has read them: see viewing.py."""
        self.root = objects.root(tip) if tip else None
        if tip and self.root is None:
            raise _absent(tip)

    def folder(self, path: str) -> Tree:
        """The entries of a folder; none where it does not exist."""
        oid = self.root
        for part in filter(None, path.split("/")):
            entry = self._tree(oid).get(part) if oid else None
            oid = entry.oid if entry and entry.is_folder else None
        return self._tree(oid) if oid else {}

    def folder_oid(self, stream: str) -> str | None:
        """The folder of a stream, which names all that is in it; None where there is none."""
        above, _, name = folder_of(stream).rpartition("/")
        entry = self.folder(above).get(name)
        return entry.oid if entry and entry.is_folder else None

    def file(self, path: str) -> bytes | None:
        """The content of a file; None where it does not exist."""
        above, _, name = path.rpartition("/")
        entry = self.folder(above).get(name)
        if entry is None or entry.is_folder:
            return None
        return self.content(entry.oid)

    def content(self, oid: str) -> bytes:
        raw = self.objects.read(oid)
        if raw is None:
            raise _absent(oid)
        return raw

    def paths(self, stream: str) -> dict[str, str]:
        """The files of a stream's records: path -> object."""
        found: dict[str, str] = {}
        above = folder_of(stream)
        for name, entry in self.folder(above).items():
            match = _MONTH.fullmatch(name)
            if not match or not entry.is_folder:
                continue
            folders = {f"{above}/{name}": entry.oid}
            if not match[2]:
                older = self._tree(entry.oid)
                folders = {f"{above}/{name}/{n}": e.oid for n, e in older.items() if _SHARD.fullmatch(n)}
            for folder, oid in folders.items():
                files = self._tree(oid).items()
                found |= {f"{folder}/{n}": e.oid for n, e in files if _FILE.fullmatch(n)}
        return found

    def last_month(self, stream: str) -> str:
        """The newest month of a stream; "" where it is empty."""
        found = map(_MONTH.fullmatch, self.folder(folder_of(stream)))
        return max((match[1] for match in found if match), default="")

    def slots(self, stream: str, after: int = 0) -> list[Slot]:
        """The records behind ``after`` by number; a number that was given twice stands there twice."""
        found: list[Slot] = []
        for shard in self._shards(stream, (after + 1) // SHARD):
            found += (slot for slot in _slots(self._tree(shard)) if slot.sequence > after)
        return sorted(found, key=lambda slot: (slot.sequence, slot.mark))

    def head(self, stream: str) -> int:
        """The sequence of the last record, 0 for an empty stream."""
        for shard in self._shards(stream, 0):  # the newest first
            numbers = [slot.sequence for slot in _slots(self._tree(shard))]
            if numbers:
                return max(numbers)
        return 0

    def streams(self, prefix: str = "") -> Iterator[str]:
        """The names of all streams, those below ``prefix`` if given."""
        name = prefix.strip("/")
        yield from self._streams(folder_of(name) if name else "", name)

    def _streams(self, path: str, name: str) -> Iterator[str]:
        folder = self.folder(path)
        if name and any(map(_MONTH.fullmatch, folder)):
            yield name
        for part, entry in folder.items():
            if not entry.is_folder or part == LEASES or _MONTH.fullmatch(part):
                continue
            inner = name if part.startswith("@") else f"{name}/{part}".lstrip("/")
            yield from self._streams(f"{path}/{part}".lstrip("/"), inner)

    def _shards(self, stream: str, least: int) -> Iterator[str]:
        """The folders of a stream's records from hundred ``least`` on, the newest first."""
        months: dict[str, list[tuple[int, int, str]]] = {}
        for name, entry in self.folder(folder_of(stream)).items():
            match = _MONTH.fullmatch(name)
            if not match or not entry.is_folder:
                continue
            shards = months.setdefault(match[1], [])
            if match[2]:
                shards.append((int(match[2]), 1, entry.oid))
                continue
            older = self._tree(entry.oid)
            shards += [(int(n), 0, e.oid) for n, e in older.items() if _SHARD.fullmatch(n) and e.is_folder]
        for month in sorted(months, reverse=True):
            numbers = sorted(months[month])
            yield from (oid for number, _, oid in reversed(numbers) if number >= least)
            if numbers and numbers[0][0] < least:
                return  # numbers grow with time: the months before have older ones only

    def _tree(self, oid: str) -> Tree:
        tree = self.objects.tree(oid)
        if tree is None:
            raise _absent(oid)
        return tree


def _absent(oid: str) -> Absent:
    return Absent(
        Problem(
            f"object {oid[:12]} of the ledger is not in this clone",
            hint="`git fsck` says what else is lost; a new clone has it",
            code="ledger-absent",
        )
    )


def _slots(folder: Tree) -> Iterator[Slot]:
    for name, entry in folder.items():
        match = _FILE.fullmatch(name)
        if match:
            yield Slot(int(match[1]), match[2], entry.oid)


def _bucket(part: str) -> str:
    return "@" + digest_bytes(part.encode(errors="surrogateescape"))[:2]
