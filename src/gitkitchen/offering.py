"""Files that ``init`` writes and keeps up to date: merged three ways with what it wrote before.

What was written last is kept in the repository (``.gitkitchen-init.json``), so that any clone can tell a
person's edits from ours. Edits are kept; where both sides changed the same lines, all versions stand in
the file between git's marks, and the command says so. A file that a person wrote, or removed, stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.files import digest_bytes, write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.git import merge_texts

RECORD = ".gitkitchen-init.json"
MOST = 4_000_000
"""Bytes of a file that is merged, and of the record."""

GENERATED = ".schema.json"
"""Files of which only the digest is recorded: nobody edits them, and they are long."""

_SHA = "sha256:"
_MARKS = re.compile(r"^(<{7}|>{7}) ", re.M)
_NAMES = ("yours", "what init wrote before", "what init writes now")


@dataclass(frozen=True, slots=True)
class Offered:
    """What became of a file. ``word``: wrote, same, kept, updated, merged, removed, foreign, conflict."""

    path: str
    word: str
    said: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing is left to a person. A workflow of somebody else's in our place is; their
        settings of editors and of pre-commit are theirs."""
        return self.word != "conflict" and not (self.word == "foreign" and self.path.startswith(".github/"))


@dataclass(frozen=True, slots=True)
class Record:
    """What ``init`` wrote last: texts by path, and what it was told (``action``, ``folder``)."""

    files: Mapping[str, str]
    told: Mapping[str, str]


def read_record(root: Path) -> Record:
    """The record of a repository; empty where there is none. Mistake for one that is damaged."""
    path = root / RECORD
    if not path.is_symlink() and not path.exists():
        return Record({}, {})
    text = None if path.is_symlink() else _text(path)
    try:
        found: Any = json.loads(text or "")
        files, told = found["files"], found["told"]
        right = all(isinstance(v, str) for part in (files, told) for v in part.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        right = False
    if not right:
        hint = "settle it, or take it back with `git checkout`; without it every file of init counts as yours"
        raise Mistake(Problem("this is no record of `gitkitchen init`", Place(RECORD), hint, "init-record"))
    return Record(files, told)


def offer(
    root: Path, texts: Mapping[str, str], told: Mapping[str, str], *, once: bool = False
) -> list[Offered]:
    """Bring files (by path below ``root``) up to date, then the record. Killed on the way, the same command
    ends it. ``once``: what is there already is nobody's business, and what we write is never merged."""
    record = read_record(root)
    files, done = dict(record.files), []
    for path, new in texts.items():
        if once:
            done.append(_once(root, path, new))
            continue
        made, text = _weigh(root, path, record.files.get(path), new)
        if text is not None:
            write_atomic(root / path, text)
        if made.word not in ("foreign", "removed") and not (made.word == "conflict" and text is None):
            files[path] = _digest(new) if path.endswith(GENERATED) else new
        done.append(made)
    if not once and (files != record.files or dict(told) != record.told):
        document = {"version": 1, "told": dict(told), "files": files}
        text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        write_atomic(root / RECORD, text)
    return done


def _once(root: Path, path: str, new: str) -> Offered:
    if (root / path).exists() or (root / path).is_symlink():
        return Offered(path, "kept")
    _refuse_links(root, path)
    write_atomic(root / path, new)
    return Offered(path, "wrote")


def _weigh(root: Path, path: str, base: str | None, new: str) -> tuple[Offered, str | None]:
    """What becomes of a file, and what is written; None: nothing is."""
    _refuse_links(root, path)
    place = root / path
    if not place.exists():
        if base is None:
            return Offered(path, "wrote"), new
        return Offered(path, "removed", "you removed it"), None
    ours = _text(place)
    if ours is None:
        return Offered(path, "foreign", "it is no text that could be merged"), None
    if ours == new:
        return Offered(path, "same"), None
    if _MARKS.search(ours):
        return Offered(path, "conflict", "settle what the last time left open, and run init again"), None
    if base is None:
        return Offered(
            path, "foreign", "init did not write it: move it away to get ours, or add by hand"
        ), None
    if base in (ours, _digest(ours)):
        return Offered(path, "updated"), new
    if base.startswith(_SHA):
        return Offered(path, "kept", "with your edits; remove it to get ours"), None
    if new == base:
        return Offered(path, "kept", "with your edits"), None
    merged, conflicts = merge_texts(root, ours, base, new, _NAMES)
    if conflicts:
        lines = [merged.count("\n", 0, m.start()) + 1 for m in re.finditer(r"^<{7} ", merged, re.M)]
        where = ", ".join(map(str, lines[:10]))
        return Offered(path, "conflict", f"you and init changed the same lines: {where}"), merged
    return Offered(path, "merged", "your edits are kept"), merged


def _digest(text: str) -> str:
    return _SHA + digest_bytes(text.encode())


def _refuse_links(root: Path, path: str) -> None:
    """Write through no link: it may lead out of the repository."""
    place = root
    for part in Path(path).parts:
        place = place / part
        if place.is_symlink():
            raise Mistake(
                Problem(
                    "init writes through no link",
                    Place(str(place.relative_to(root))),
                    "put a file or folder in its place",
                    "init-link",
                )
            )


def _text(path: Path) -> str | None:
    """A file's text, line ends as they are; None for what is none."""
    if not path.is_file() or path.stat().st_size > MOST:
        return None
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
