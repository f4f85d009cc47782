"""A site becomes a folder. What has not changed is not written again; what is no page of it any more goes.

``.gitkitchen-page.json`` in the folder says which pages are lasting and how they looked, so that one more run
costs its own page and those that tell of the present. Only files that a run of this wrote are ever removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import digest_bytes, write_atomic
from gitkitchen.frozen import dataclass
from gitkitchen.page.machines import files
from gitkitchen.page.rendering import Page, look, render
from gitkitchen.page.shapes import Site
from gitkitchen.page.sharing import share
from gitkitchen.page.views import pages
from gitkitchen.page.views.parts import Studio
from gitkitchen.shipped import find

STATE = ".gitkitchen-page.json"
OWN = {STATE, "index.html", "style.css", "page.js", "status.json", ".nojekyll"}
"""A folder that is not empty is written to only where one of ours was."""


@dataclass(frozen=True, slots=True)
class Written:
    """``pages`` there are, ``changed`` were written, ``removed`` went."""

    folder: Path
    pages: int
    changed: int
    removed: int


def write_site(site: Site | Studio, folder: Path) -> Written:
    """Make the folder the site. Mistake where it holds what is not ours; Infrastructure where it cannot be
    written."""
    known = _before(folder)
    try:
        return _write(site if isinstance(site, Studio) else Studio.of(site), folder, known)
    except OSError as error:
        raise Infrastructure(
            Problem(
                f"{folder} cannot be written: {error.strerror or error}",
                hint="mend the disk or its permissions and run the command again",
                code="page-write",
            )
        ) from error


def _write(studio: Studio, folder: Path, known: Mapping[str, str]) -> Written:
    style = look()
    keys: dict[str, str] = {}
    changed = 0
    if not (folder / STATE).exists():
        _remember(folder, known)  # a folder that was begun is ours, though this may end at any moment
    for name in ("style.css", "page.js"):
        text = find(f"templates/page/{name}").read_text(encoding="utf-8")
        changed += _put(folder, name, text)
        keys[name] = ""
    changed += _put(folder, ".nojekyll", "")
    keys[".nojekyll"] = ""
    there = _there(folder, "run")
    asked: list[tuple[Page, str]] = []
    for page in pages(studio):
        key = digest_bytes(f"{style} {page.key}".encode(errors="replace"))[:24] if page.lasting else ""
        if key and page.path in there and known.get(page.path) == f"{key} {there[page.path]}":
            keys[page.path] = known[page.path]
        else:
            asked.append((page, key))
    made = share(asked, lambda found: _put_sized(folder, found[0]))
    for (page, key), (wrote, size) in zip(asked, made, strict=True):
        keys[page.path] = f"{key} {size}" if key else ""
        changed += wrote
    for path, text in files(studio):
        keys[path] = ""
        changed += _put(folder, path, text)
    removed = 0
    for path in known.keys() - keys.keys():
        (folder / path).unlink(missing_ok=True)
        removed += 1
    studio.drawn.tidy()
    _remember(folder, keys)
    return Written(folder, sum(path.endswith(".html") for path in keys), changed, removed)


def _remember(folder: Path, keys: Mapping[str, str]) -> None:
    """Path -> "", or of a lasting page a digest of what it depends on, and its size."""
    text = json.dumps({"version": 1, "pages": keys}, separators=(",", ":"), sort_keys=True)
    write_atomic(folder / STATE, text + "\n")


def _there(folder: Path, below: str) -> dict[str, int]:
    """The files that are there, with their sizes: what a power cut left empty is made again."""
    try:
        return {f"{below}/{entry.name}": entry.stat().st_size for entry in os.scandir(folder / below)}
    except FileNotFoundError:
        return {}


def _put_sized(folder: Path, page: Page) -> tuple[bool, int]:
    text = render(page)
    return _put(folder, page.path, text), len(text.encode("utf-8", "replace"))


def _put(folder: Path, path: str, text: str) -> bool:
    """Write a file unless it is as it shall be."""
    file = folder / path
    raw = text.encode("utf-8", "replace")
    try:
        if file.stat().st_size == len(raw):
            if file.read_bytes() == raw:
                return False
            # Nearly always it is the page of before with another date: in its place, by one write, for a file
            # system takes far longer to put one file in the place of another.
            with file.open("r+b", buffering=0) as old:
                if old.write(raw) == len(raw):
                    return True
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(raw)  # nobody reads yet what is not there
        return True
    write_atomic(file, raw)
    return True


def _before(folder: Path) -> dict[str, str]:
    """The pages that an earlier run wrote here."""
    try:
        document = json.loads((folder / STATE).read_text(encoding="utf-8"))
        found = {str(k): str(v) for k, v in document["pages"].items()}
    except (FileNotFoundError, NotADirectoryError):
        strangers = sorted(p.name for p in folder.iterdir() if p.name not in OWN) if folder.is_dir() else []
        if folder.exists() and not folder.is_dir():
            raise Mistake(
                Problem(f"{folder} is a file", hint="name a folder with --out", code="page-folder")
            ) from None
        if strangers:
            raise Mistake(
                Problem(
                    f"{folder} holds '{strangers[0]}', which is no page of ours",
                    hint="name an empty folder with --out, or one that `gitkitchen page` made",
                    code="page-folder",
                )
            ) from None
        return {}
    except (OSError, ValueError, KeyError, AttributeError, RecursionError):
        return {}  # it is written anew; what is left over of it stays
    return {k: v for k, v in found.items() if not k.startswith("/") and ".." not in k.split("/")}
