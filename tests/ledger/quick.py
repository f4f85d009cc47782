"""A ledger's branch written in this process, so that a test can write the records of months in seconds.

Everything above Git's plumbing is what the program runs; below it, objects and refs are files that are
written here rather than by a process for each. What they hold, and their names, are Git's own.
"""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.ledger import branch
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.objects import Objects, Tree
from gitkitchen.plumbing import MAIL, WHO, Plumbing

START = datetime(2026, 1, 1, 0, 17, tzinfo=UTC)


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


CLOCK = Clock()
PUSHES = [0]
"""How often a ref was moved: with a remote, each is a push."""


class QuickObjects(Objects):
    """Loose objects, read by this process, each once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._read: dict[str, bytes] = {}

    def read(self, oid: str) -> bytes | None:
        found = self._read.get(oid)
        if found is None:
            try:
                raw = zlib.decompress((self._folder / "objects" / oid[:2] / oid[2:]).read_bytes())
            except OSError:
                return super().read(oid)
            found = self._read[oid] = raw[raw.index(b"\0") + 1 :]
        return found


class Quick(Plumbing):
    """The plumbing of a bare repository without a remote, whose refs are loose files."""

    def ref(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text().strip()
        except OSError:
            return None

    def move(self, name: str, new: str, old: str | None) -> bool:
        if self.ref(name) != old:
            return False
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(new + "\n")
        PUSHES[0] += 1
        return True

    def move_all(self, moves: Mapping[str, tuple[str, str | None]]) -> bool:
        return all(self.move(name, new, old) for name, (new, old) in moves.items())

    def objects(self) -> QuickObjects:
        return QuickObjects(self.folder)

    def remote(self) -> str | None:
        return None

    def write(self, data: bytes) -> str:
        return self._object("blob", data)

    def trees(self, trees: Sequence[Tree]) -> list[str]:
        made = []
        for tree in trees:
            # A folder is sorted as if its name ended with a slash: git-mktree(1) does the same.
            entries = sorted(tree.items(), key=lambda e: e[0] + ("/" if e[1].is_folder else ""))
            lines = [f"{e.mode.lstrip('0')} {n}\0".encode() + bytes.fromhex(e.oid) for n, e in entries]
            made.append(self._object("tree", b"".join(lines)))
        return made

    def commit(self, tree: str, parent: str | None, message: str) -> str:
        stamp = f"{WHO} <{MAIL}> {CLOCK.now.timestamp():.0f} +0000"
        above = f"parent {parent}\n" if parent else ""
        text = f"tree {tree}\n{above}author {stamp}\ncommitter {stamp}\n\n{message}"
        return self._object("commit", text.encode())

    def _object(self, kind: str, data: bytes) -> str:
        raw = f"{kind} {len(data)}\0".encode() + data
        oid = hashlib.sha1(raw).hexdigest()
        path = self.folder / "objects" / oid[:2] / oid[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(raw, 1))
        return oid


def open_quick(folder: Path, monkeypatch: Any) -> BranchLedger:
    """A ledger in a new bare repository ``folder``, written in this process."""
    if not folder.exists():
        subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    monkeypatch.setattr(branch, "Plumbing", Quick)
    return BranchLedger(folder, folder / "state", say=print, clock=CLOCK)


def packed(folder: Path) -> int:
    """Bytes of the repository's packs after `git gc`."""
    loose = ("-c", "gc.packRefs=false")  # refs that are loose files are all that is read here
    subprocess.run(["git", *loose, "gc", "-q", "--prune=now"], cwd=folder, check=True, capture_output=True)
    return sum(p.stat().st_size for p in (folder / "objects/pack").glob("*.pack"))


def where(folder: Path) -> dict[str, int]:
    """Bytes in the packs by what they hold: commits, trees and records by the stream's first part."""

    def lines(*words: str, input: str | None = None) -> list[str]:
        done = subprocess.run(
            ["git", *words], cwd=folder, check=True, capture_output=True, text=True, input=input
        )
        return done.stdout.splitlines()

    listed = lines("rev-list", "--objects", "refs/heads/gitkitchen-ledger")
    named = dict(line.partition(" ")[::2] for line in listed)
    what = "--batch-check=%(objectname) %(objecttype) %(objectsize:disk)"
    found: dict[str, int] = {}
    for line in lines("cat-file", what, input="\n".join(named)):
        oid, kind, size = line.split()
        key = kind if kind == "commit" else f"{kind} {named[oid].split('/')[0]}"
        found[key] = found.get(key, 0) + int(size)
    return dict(sorted(found.items(), key=lambda item: -item[1]))
