"""Git's objects: trees as they are written and named, and one process that reads all that is asked for."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from gitkitchen.frozen import dataclass
from gitkitchen.git import LOCAL, OPTIONS, environment
from gitkitchen.process import Conversation

FOLDER, FILE = "040000", "100644"
MOST = 32 * 1024 * 1024
"""Bytes of an object that are read; what is larger is no record of ours."""
OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""The name of an object, by either hash of git."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a tree: a file or a folder, by its object."""

    mode: str
    oid: str

    @property
    def is_folder(self) -> bool:
        return self.mode == FOLDER


Tree = Mapping[str, Entry]


class Objects:
    """The objects of a repository, read by one process for all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._talk: Conversation | None = None
        self._trees: dict[str, dict[str, Entry]] = {}

    def read(self, oid: str) -> bytes | None:
        """The content of an object; None where it is not here (or is none that we would have written)."""
        if not OID.fullmatch(oid):
            return None
        try:
            talk = self._talk = self._talk or Conversation(
                ["git", *OPTIONS, "cat-file", "--batch"], env=environment(os.environ, LOCAL), cwd=self._folder
            )
            words = talk.ask(oid.encode()).split()
            if len(words) != 3:
                return None
            size = int(words[2])
            if size > MOST:
                self.close()
                return None
            return talk.more(size + 1)[:-1]
        except EOFError:  # a partial clone that lacks it and was not allowed to fetch it
            self.close()
            return None

    def tree(self, oid: str) -> Tree | None:
        """The entries of a tree; None where it is not here."""
        if oid not in self._trees:
            raw = self.read(oid)
            if raw is None:
                return None
            if len(self._trees) > 4096:
                self._trees.clear()
            self._trees[oid] = _tree(raw, len(oid) // 2)
        return self._trees[oid]

    def root(self, commit: str) -> str | None:
        """The tree of a commit; None where the commit is not here."""
        raw = self.read(commit)
        first = raw.split(b"\n", 1)[0].split() if raw else []
        return first[1].decode() if len(first) == 2 and first[0] == b"tree" else None

    def close(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None


def _tree(raw: bytes, width: int) -> dict[str, Entry]:
    """A tree object: for each entry mode, space, name, zero byte, and the object in binary."""
    found, at = {}, 0
    while at < len(raw):
        space, zero = raw.index(b" ", at), raw.index(b"\0", at)
        at_next = zero + 1 + width
        name = decoded(raw[space + 1 : zero])
        found[name] = Entry(raw[at:space].decode().zfill(6), raw[zero + 1 : at_next].hex())
        at = at_next
    return found


def name_of(tree: Tree, width: int) -> str:
    """The name of the object that a tree is, of ``width`` digits: gitformat-pack(5) tells what is hashed, and
    git-mktree(1) in which order: that of the names' bytes, as if a folder's ended with a slash."""
    named = sorted(
        (encoded(f"{name}/" if e.is_folder else name), encoded(name), e) for name, e in tree.items()
    )
    raw = b"".join(
        e.mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(e.oid) for _, name, e in named
    )
    made = hashlib.sha1(usedforsecurity=False) if width == 40 else hashlib.sha256()
    made.update(b"tree %d\0" % len(raw) + raw)
    return made.hexdigest()


def decoded(data: bytes) -> str:
    """A path or a ref as text: git has bytes, of any encoding, which ``encoded`` gives back."""
    return data.decode(errors="surrogateescape")


def encoded(text: str) -> bytes:
    """A path or a ref, as ``decoded`` told it, as git has it."""
    return text.encode(errors="surrogateescape")
