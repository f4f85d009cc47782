"""What of a store in a folder nothing refers to any more. It looks and does not remove.

References come from outside (catalogs, rollback window, kept runs) as fingerprints and files' digests. From
there: a build that is referred to keeps its files; a build whose files are all kept anyway is kept too,
because it costs nothing and saves a rebuild (the parts of a matrix). What is younger than a grace period is
kept whatever refers to it: a run that is at work may publish it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from gitkitchen.data.manifest import build_from_json
from gitkitchen.frozen import dataclass
from gitkitchen.model import Build, Version

What = Literal["build", "verdict", "file", "temporary", "run", "sandbox", "zone", "cache", "lease", "table"]
SHELVES = ("files", "builds", "verdicts")
OWN_NAME = re.compile(r"(\d+)-[0-9a-f]{16}(\.\w+)*")
"""The names that a store gives to what it is writing: process number, random part, ending."""

HOPELESS = 7 * 86400.0
"""Seconds after which something half written is left over, although a process with its number lives."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be removed: a file, or a folder with all that is in it."""

    what: What
    path: Path
    bytes: int
    why: str
    address: str = ""
    """Where it is, for what is on another machine: then ``path`` says nothing."""

    @property
    def place(self) -> str:
        """Where it is, for people and documents."""
        return self.address or str(self.path)


@dataclass(slots=True)
class References:
    """What must stay: fingerprints of builds, and digests of files that are named without a build."""

    fingerprints: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)

    def of_document(self, value: Any) -> None:
        """Add whatever a JSON document (an outcome, a stamp) names as fingerprint or file."""
        stack = [value]
        while stack:
            found = stack.pop()
            if isinstance(found, dict):
                if isinstance(found.get("fingerprint"), str):
                    self.fingerprints.add(found["fingerprint"])
                if isinstance(found.get("digest"), str):
                    self.digests.add(found["digest"])
                stack += found.values()
            elif isinstance(found, list):
                stack += found


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest in a store. ``build`` is None where it cannot be read. ``changed``: seconds since 1970."""

    path: str
    zone: str
    size: int
    changed: float
    build: Build | None

    @property
    def name(self) -> str:
        """Its fingerprint: the name that it was saved under."""
        return os.path.basename(self.path).removesuffix(".json")  # noqa: PTH119


def unreferenced(
    root: Path,
    references: References,
    *,
    zones: Collection[str],
    now: float,
    grace: float,
    keep: float,
    own_verdict: Callable[[str, int], str],
) -> list[Item]:
    """What may go of ``zones``, in the order in which it is to go: no build ever stands without its files.

    ``now`` in seconds since 1970; ``grace`` seconds that everything is left alone; ``keep`` seconds that
    verdicts are remembered which no build owns. ``own_verdict`` gives the key of the n-th verdict that a
    build brought along.
    """
    there = zone_names(root)
    names = [name for name in there if name in zones]
    found = [entry for name in there for entry in _manifests(f"{root}/{name}", name)]
    kept, loose = split(found, references, now - grace)
    live = {
        digest for entry in kept if entry.build for digest in digests_of(entry.build)
    } | references.digests
    kept_loose = free_of_charge(loose, live)
    gone = [entry for entry in loose if entry.path not in kept_loose and entry.zone in names]
    items = [
        Item("build", Path(e.path), e.size, "nothing refers to it" if e.build else "it cannot be read")
        for e in gone
    ]
    removed = {entry.path for entry in gone}
    builds = [e.build for e in found if e.build and e.path not in removed]
    items += _verdicts(root, names, builds, now - max(grace, keep), own_verdict)
    if any(entry.build is None for entry in kept):
        return items  # which files it needs is not known: all of them stay until it is whole or over
    for name in names:
        for path, size, changed in _shelf(f"{root}/{name}/files"):
            if changed <= now - grace and os.path.basename(path).split(".")[0] not in live:  # noqa: PTH119
                items.append(Item("file", Path(path), size, "nothing refers to it"))
    return items


def split(found: list[Found], references: References, before: float) -> tuple[list[Found], list[Found]]:
    """The builds that stay, as something refers to them or they were written after ``before``; the others."""
    kept: list[Found] = []
    loose: list[Found] = []
    for entry in found:
        wanted = entry.name in references.fingerprints
        (kept if wanted or entry.changed > before else loose).append(entry)
    return kept, loose


def free_of_charge(loose: list[Found], live: set[str]) -> set[str]:
    """Of the builds that nobody names, those whose files stay anyway: of equal ones the newest."""
    newest: dict[tuple[str, str, frozenset[str]], Found] = {}
    for entry in loose:
        digests = frozenset(digests_of(entry.build)) if entry.build else frozenset[str]()
        if entry.build and digests and digests <= live:
            key = (entry.zone, entry.build.node, digests)
            if key not in newest or newest[key].changed < entry.changed:
                newest[key] = entry
    return {entry.path for entry in newest.values()}


def _verdicts(
    root: Path,
    names: list[str],
    builds: list[Build],
    before: float,
    own_verdict: Callable[[str, int], str],
) -> Iterator[Item]:
    """Verdicts that are old and belong to no build that is kept. One that is missed is judged again."""
    owned: set[str] = set()
    for name in names:
        keys = {os.path.basename(path).split(".")[0] for path, _, _ in _shelf(f"{root}/{name}/verdicts")}  # noqa: PTH119
        for build in builds:
            number = 0
            while (key := own_verdict(build.fingerprint, number)) in keys:
                owned.add(key)
                number += 1
        for path, size, changed in _shelf(f"{root}/{name}/verdicts"):
            if changed <= before and os.path.basename(path).split(".")[0] not in owned:  # noqa: PTH119
                yield Item("verdict", Path(path), size, "it was not asked for in a long time")


def temporary(root: Path, *, now: float, grace: float) -> Iterator[Item]:
    """What processes that died left half written. Only names that a store gives are looked at."""
    for entry in _listed(str(root / "tmp")):
        match = OWN_NAME.fullmatch(entry.name)
        if match is None:
            continue
        age = now - _changed(entry)
        if age >= HOPELESS or (age >= grace and not _lives(int(match[1]))):
            yield Item("temporary", Path(entry.path), size_of(Path(entry.path)), "its writer is gone")


# --- the disk ---------------------------------------------------------------------------------------


def zone_names(root: Path) -> list[str]:
    """The zones of a store: ``trusted``, and ``sandbox/<namespace>`` for each sandbox that has one."""
    sandboxes = [f"sandbox/{e.name}" for e in _listed(f"{root}/sandbox") if e.is_dir(follow_symlinks=False)]
    return [*(["trusted"] if (root / "trusted").is_dir() else []), *sorted(sandboxes)]


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
    except OSError:
        return 0
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(f"{folder}/{name}").st_size
            except OSError:
                continue
    return total


def _manifests(zone: str, name: str) -> Iterator[Found]:
    for path, size, changed in _shelf(f"{zone}/builds"):
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                build: Build | None = build_from_json(json.loads(file.read()))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            build = None
        yield Found(path, name, size, changed, build)


def _shelf(folder: str) -> Iterator[tuple[str, int, float]]:
    """(path, bytes, last change) of every file on a shelf: ``<shelf>/<aa>/<name>``."""
    for inner in _listed(folder):
        if not inner.is_dir(follow_symlinks=False):
            continue
        for entry in _listed(inner.path):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            yield entry.path, status.st_size, status.st_mtime


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(entry: os.DirEntry[str]) -> float:
    """The last change of a file, or of the newest file in a folder."""
    times = [entry.stat(follow_symlinks=False).st_mtime]
    if entry.is_dir(follow_symlinks=False):
        times += [inner.stat(follow_symlinks=False).st_mtime for inner in _listed(entry.path)]
    return max(times)


def digests_of(build: Build) -> Iterator[str]:
    """The digests of all files of a build, those of a view's inputs too."""
    for version in build.versions.values():
        yield from _of_version(version)


def _of_version(version: Version) -> Iterator[str]:
    for file in version.files:
        yield file.digest
    for inner in version.inputs.values():
        yield from _of_version(inner)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
