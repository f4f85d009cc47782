"""Sources: where the outside's files are, what their content's digest is, and how they are opened.

The raw bytes decide whether a source changed (of a zip or gzip: the archive's). A package is found
without importing it. What was digested is remembered under the file's identity, size and time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from gitkitchen.data.unpacking import LARGEST, Unreadable, is_data, unpack
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import digest, digest_file, make_state, matching, write_atomic
from gitkitchen.model import NodeSpec, Project

RACY_NS = 2_000_000_000
"""A file written less than this before it was digested may change again unseen (as in git's index)."""


def probe(project: Project, node: NodeSpec) -> str | None:
    """The digest of a source's content without loading it; None where only fetching it can tell.

    Raises Mistake where the file or package is not there, Infrastructure where the disk does not answer.
    """
    kind = node.config.get("from")
    if kind == "python":
        return None
    if kind == "url":
        return _probe_url(node)
    files = locate(project, node)
    memory = _Memory(project)
    with _reading(node):
        found = [[name, memory.digest_of(path)] for name, path in files]
    memory.save()
    _expect(node, [d for _, d in found])
    # One file's name is not part of its content; of several, each name may decide where its rows go.
    return digest(["files", [d for _, d in found] if len(found) == 1 else found])


def open_source(project: Project, node: NodeSpec, scratch: Path) -> list[Path]:
    """The source's files as the loader reads them: fetched into ``scratch`` and unpacked there."""
    bounded = _bound(node)
    with _reading(node):
        if node.config.get("from") == "url":
            from gitkitchen.data.fetching import download

            url = str(node.config["url"])
            fetched = [download(url, scratch, bounded, lambda what, hint: _problem(node, what, hint))]
        else:
            fetched = [path for _, path in locate(project, node)]
        _expect(node, [digest_file(p) for p in fetched] if node.config.get("digest") else [])
        opened: list[Path] = []
        for number, path in enumerate(fetched):
            try:
                opened += unpack(path, scratch / f"{number}", bounded)
            except Unreadable as error:
                name = f" ({path.name})" if len(fetched) > 1 else ""
                raise Mistake(_problem(node, f"{error}{name}", "put a whole file there")) from None
    if not opened:
        raise Mistake(_problem(node, "holds no data file", HOLDS))
    return opened


HOLDS = "put a CSV, JSON or Parquet file into it"


@contextmanager
def _reading(node: NodeSpec) -> Iterator[None]:
    """What the disk refuses, in words, with the source's place."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        what = f"cannot be read: {error.strerror or error}{where}"
        raise Infrastructure(_problem(node, what, "mend its permissions or the disk")) from error


def _bound(node: NodeSpec) -> Callable[[int], None]:
    size = 0

    def add(more: int) -> None:
        nonlocal size
        size += more
        if size > LARGEST:
            raise Mistake(_problem(node, f"unpacks to more than {LARGEST:,} bytes", "split the source"))

    return add


def _problem(node: NodeSpec, what: str, hint: str) -> Problem:
    config = node.config
    name = config.get("url") or config.get("file")
    inside = f" of package '{config['package']}'" if config.get("package") else ""
    return Problem(f"source '{node.name}': {name}{inside} {what}", node.place, hint, "source")


def _expect(node: NodeSpec, digests: list[str]) -> None:
    wanted = node.config.get("digest")
    if wanted and digests and digests != [wanted]:
        if len(digests) > 1:
            what = f"holds {len(digests)} files, and `digest:` declares the content of one"
            raise Mistake(_problem(node, what, "name the one file"))
        what = f"has the digest {digests[0]}, not the declared one"
        raise Mistake(_problem(node, what, "look at what changed, then mend `digest:`"))


# --- files --------------------------------------------------------------------------------------------


def locate(project: Project, node: NodeSpec) -> list[tuple[str, Path]]:
    """The files of a source with their names relative to where they were found, sorted by name.

    In a folder every data file counts, also in folders below; hidden ones never do. So it is where a pattern
    ends with ``**``; any other one finds all that it fits. Hidden folders are those that it names.
    """
    name = str(node.config["file"])
    base = _package_folder(node, name) if node.config.get("package") else project.root
    path = base / name
    if path.is_file():
        found = [path]
    elif path.is_dir():
        found = [p for p in path.rglob("*") if is_data(p.name) and p.is_file() and not _hidden(p, path)]
    elif any(c in name for c in "*?["):
        found = [p for p in matching(base, name) if not _hidden(p, base, named=name) and p.is_file()]
        if name.endswith("**"):
            found = [p for p in found if is_data(p.name)]
    else:
        raise Mistake(_problem(node, "does not exist", "mend the path, or add the file"))
    if not found:
        raise Mistake(_problem(node, "holds no data file", HOLDS))
    real = os.path.realpath(base)
    for one in found:
        if not f"{os.path.realpath(one)}/".startswith(f"{real}/"):
            raise Mistake(
                _problem(node, f"leads outside ({one.name} is a link)", "put the file itself there")
            )
    if found == [path]:
        return [(path.name, path)]
    return sorted((one.relative_to(base).as_posix(), one) for one in found)


def _hidden(path: Path, top: Path, named: str = "") -> bool:
    """Whether a file, or a folder below ``top`` that it is in, is hidden. Folders of ``named`` are not."""
    parts = path.relative_to(top).parts
    spelt = set(named.split("/"))
    return path.name.startswith(".") or any(p.startswith(".") and p not in spelt for p in parts)


def _package_folder(node: NodeSpec, file: str) -> Path:
    """Where a package is installed. It is looked for and not imported: importing would run it."""
    name = str(node.config["package"])
    found = PathFinder.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        what = "has no folder" if found is not None else "is not installed"
        hint = f"pip install {name}" if found is None else "name a package, not a single module"
        message = f"source '{node.name}': the package '{name}' {what}"
        raise Mistake(Problem(message, node.place, hint, "source"))
    folders = [Path(folder) for folder in found.submodule_search_locations]
    return next((f for f in folders if (f / file).exists()), folders[0])


class _Memory:
    """Digests of files by identity, size and time, so that a large unchanged file is not read again."""

    def __init__(self, project: Project) -> None:
        self._path = project.state / "cache" / "sources.json"
        self._state = project.state
        self._known: dict[str, list[Any]] = {}
        self._changed = False
        try:
            known = json.loads(self._path.read_bytes())
            self._known = {str(k): list(v) for k, v in known.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._known = {}

    def digest_of(self, path: Path) -> str:
        before = path.stat()
        identity = [before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns]
        known = self._known.get(str(path))
        if known is not None and known[:-1] == identity:
            return str(known[-1])
        found = digest_file(path)
        after = path.stat()
        settled = time.time_ns() - max(before.st_mtime_ns, before.st_ctime_ns) > RACY_NS
        if settled and after.st_mtime_ns == before.st_mtime_ns and after.st_size == before.st_size:
            self._known[str(path)] = [*identity, found]
            self._changed = True
        return found

    def save(self) -> None:
        if self._changed:
            make_state(self._state)
            write_atomic(self._path, json.dumps(self._known))


# --- addresses ---------------------------------------------------------------------------------------


def _probe_url(node: NodeSpec) -> str | None:
    """The declared digest, or what the server says of the content. None where it says nothing sure."""
    from gitkitchen.data.fetching import content_tag

    if node.config.get("digest"):
        return digest(["files", [node.config["digest"]]])
    tag = content_tag(str(node.config["url"]), lambda what, hint: _problem(node, what, hint))
    return None if tag is None else digest(["url", *tag])
