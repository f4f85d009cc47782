"""What changed in the recipes between two trees: nodes added, removed, changed, with file and line.

Compared is what people wrote, as values: comments and layout of YAML change nothing. Of the files that a
node names a changed one counts, in whatever it changed; whether that means a build is for the plan to say.
What tests became weaker is for the policy. Nothing is rendered or run, for the head is a stranger's.
"""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from gitkitchen.document import Document, parse
from gitkitchen.errors import Mistake, Place
from gitkitchen.frozen import dataclass
from gitkitchen.recipe.load import FILE, FOLDER
from gitkitchen.report.surfaces.pull import Change

PROJECT_FILE = "kitchen.yml"
MOST_TEXTS = 2000
"""So many texts of one node are looked at for names of files."""
LARGEST_COMPARED = 500_000
"""A larger file has changed at its first line."""

Files = Mapping[str, bytes]
"""The files of a tree by their paths: ``recipes/…`` (``git.Repository.blobs``) and ``kitchen.yml``."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    name: str
    folder: str
    document: Document

    @property
    def nodes(self) -> Mapping[str, Any]:
        nodes = self.document.value.get("nodes")
        return {str(n): v for n, v in nodes.items()} if isinstance(nodes, dict) else {}


def changes(was: Files, now: Files) -> tuple[Change, ...]:
    """What differs, recipe by recipe, in the order of the head's files; what is gone stands after that.

    A recipe whose file cannot be read in one of the trees is told as changed as a whole.
    """
    found: list[Change] = []
    if was.get(PROJECT_FILE) != now.get(PROJECT_FILE):
        found.append(_project(was, now))
    folders = sorted({f for files in (was, now) for f in map(_folder, files) if f})
    for folder in folders:
        found += _of_recipe(folder, was, now)
    return tuple(found)


def _folder(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] == FOLDER else ""


def _project(was: Files, now: Files) -> Change:
    old, new = was.get(PROJECT_FILE), now.get(PROJECT_FILE)
    kind = "added" if old is None else "removed" if new is None else "changed"
    line = first_changed_line(old or b"", new or b"") if new is not None else 0
    return Change("", "", kind, _top(old, new), Place(PROJECT_FILE, line))  # type: ignore[arg-type]


def _top(old: bytes | None, new: bytes | None) -> tuple[str, ...]:
    """The top keys that differ, where both sides can be read."""
    a, b = (_mapping(raw, PROJECT_FILE) for raw in (old, new))
    if a is None or b is None:
        return ()
    return tuple(str(k) for k in {**a.value, **b.value} if a.value.get(k) != b.value.get(k))


def _mapping(raw: bytes | None, label: str) -> Document | None:
    if raw is None:
        return None
    try:
        document = parse(raw.decode("utf-8", "surrogateescape"), label)
    except Mistake:
        return None
    return document if isinstance(document.value, dict) else None


def _recipe(folder: str, files: Files) -> _Recipe | None:
    label = f"{folder}/{FILE}"
    document = _mapping(files.get(label), label)
    if document is None:
        return None
    return _Recipe(str(document.value.get("recipe") or folder.partition("/")[2]), folder, document)


def _of_recipe(folder: str, was: Files, now: Files) -> Iterator[Change]:
    label = f"{folder}/{FILE}"
    changed = {p for p in {*was, *now} if _folder(p) == folder and was.get(p) != now.get(p)}
    if not changed:
        return
    old, new = _recipe(folder, was), _recipe(folder, now)
    name = (new or old).name if new or old else folder.partition("/")[2]  # type: ignore[union-attr]
    if label not in now:
        if label in was:
            yield Change(name, "", "removed", (), Place(label))
        return
    if label not in was and new is not None:
        yield Change(name, "", "added", (), Place(label, 1))
    elif old is None or new is None:
        line = first_changed_line(was.get(label, b""), now[label])
        yield Change(name, "", "changed", (FILE,), Place(label, line))
        return
    yield from _of_nodes(name, old, new, _Both(folder, was, now, frozenset(changed)))


@dataclass(frozen=True, slots=True)
class _Both:
    """One recipe's files on both sides, and which of them differ."""

    folder: str
    was: Files
    now: Files
    changed: frozenset[str]

    def named(self, value: Any) -> tuple[str, ...]:
        """The changed files that a node's texts name."""
        words = (w for text in _texts(value) for w in (text, *text.split()))
        paths = dict.fromkeys(posixpath.normpath(posixpath.join(self.folder, _file(w))) for w in words)
        return tuple(p for p in paths if p in self.changed)

    def place(self, path: str) -> Place:
        new = self.now.get(path)
        return Place(path, first_changed_line(self.was.get(path, b""), new) if new is not None else 0)

    def short(self, path: str) -> str:
        return path.removeprefix(f"{self.folder}/")


def _file(word: str) -> str:
    """``plots.py:draw`` names the file ``plots.py``."""
    file, colon, _ = word.rpartition(":")
    return file if colon and file.endswith(".py") else word


def _texts(value: Any) -> Iterator[str]:
    left, seen = [value], 0
    while left and seen < MOST_TEXTS:
        each = left.pop()
        seen += 1
        if isinstance(each, str):
            if len(each) < 2000:
                yield each
        elif isinstance(each, dict):
            left += list(each.values())[::-1]
        elif isinstance(each, list):
            left += each[::-1]


def _of_nodes(recipe: str, old: _Recipe | None, new: _Recipe, both: _Both) -> Iterator[Change]:
    before = old.nodes if old else {}
    told: set[str] = {f"{both.folder}/{FILE}"}
    if old is not None:
        yield from _whole(recipe, old, new)
    for node, value in new.nodes.items():
        files = both.named(value)
        told |= set(files)
        places = tuple(both.place(p) for p in files)
        names = tuple(both.short(p) for p in files)
        if node not in before:
            yield Change(recipe, node, "added", names, new.document.place("nodes", node), places)
        elif before[node] != value or files:
            parts = _parts(before[node], value)
            at = new.document.place("nodes", node, *_differs(before[node], value))
            yield Change(recipe, node, "changed", (*parts, *names), at, places)
    for node, value in before.items():
        if node not in new.nodes:
            told |= set(both.named(value))
            yield Change(recipe, node, "removed", (), Place(new.document.file))
    others = tuple(sorted(both.changed - told))
    if others:
        names = tuple(both.short(p) for p in others)
        yield Change(recipe, "", "changed", names, both.place(others[0]), tuple(map(both.place, others)))


def _whole(recipe: str, old: _Recipe, new: _Recipe) -> Iterator[Change]:
    """What concerns all nodes: variables, variations, owner, name."""
    a = {k: v for k, v in old.document.value.items() if k != "nodes"}
    b = {k: v for k, v in new.document.value.items() if k != "nodes"}
    if a != b:
        yield Change(recipe, "", "changed", _parts(a, b), new.document.place(*_differs(a, b)))


def _parts(was: Any, now: Any) -> tuple[str, ...]:
    if not isinstance(was, dict) or not isinstance(now, dict):
        return ()
    return tuple(str(k) for k in {**now, **was} if (k in was) != (k in now) or was.get(k) != now.get(k))


def _differs(was: Any, now: Any) -> tuple[str | int, ...]:
    """The path of the first part of ``now`` that is new or differs; of its parent, where one is gone."""
    path: list[str | int] = []
    while True:
        step: str | int | None = None
        if isinstance(was, dict) and isinstance(now, dict):
            step = next((k for k in now if k not in was or was[k] != now[k]), None)
        elif isinstance(was, list) and isinstance(now, list):
            step = next((i for i, v in enumerate(now) if i >= len(was) or was[i] != v), None)
        if step is None:
            return tuple(path)
        path.append(step)
        inner = was.get(step) if isinstance(was, dict) else was[step] if step < len(was) else None  # type: ignore[operator]
        was, now = inner, now[step]


def first_changed_line(was: bytes, now: bytes) -> int:
    """The first line of ``now`` that differs from ``was``, from 1; of a large or binary file the first."""
    if max(len(was), len(now)) > LARGEST_COMPARED or b"\0" in now:
        return 1
    old, new = was.splitlines(), now.splitlines()
    same = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    return max(1, min(same + 1, len(new)))


def touched_lines(was: bytes, now: bytes) -> tuple[tuple[int, int], ...]:
    """The ranges (first, last) of lines of ``now`` that are new or changed, as a pull request shows them."""
    if max(len(was), len(now)) > LARGEST_COMPARED or b"\0" in now:
        return ((1, max(1, now.count(b"\n") + 1)),)
    matcher = difflib.SequenceMatcher(None, was.splitlines(), now.splitlines(), autojunk=True)
    return tuple((b1 + 1, b2) for tag, _, _, b1, b2 in matcher.get_opcodes() if tag != "equal" and b2 > b1)
