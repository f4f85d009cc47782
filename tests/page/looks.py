"""What must be true of a page wherever it is looked at: in a browser, and by its links."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from browser import Browser
from strict import Reader

AXE = (
    Path(os.environ.get("AXE_MODULES", Path(__file__).parents[2] / ".bench/page/node_modules"))
    / "axe-core/axe.min.js"
)
REQUIRED = os.environ.get("GITKITCHEN_REQUIRE", "").split(",")
needs_axe = pytest.mark.skipif(
    not AXE.is_file() and "axe-core" not in REQUIRED,
    reason="axe-core is not installed (npm install --prefix .bench/page axe-core)",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FOUND = (
    f"axe.run(document, {{runOnly: {RULES}, resultTypes: ['violations']}}).then(r => r.violations.map("
    "v => v.id + ': ' + v.nodes.map(n => n.target + ' ' + n.failureSummary).slice(0, 3).join(' | ')))"
)


def one_of_each(folder: Path) -> list[Path]:
    """Every page of the top, and of each kind of the others one; of runs a red and a green one."""
    found = sorted(folder.glob("*.html"))
    for kind in ("recipe", "dataset", "grid", "metrics", "incident"):
        found.append(min((folder / kind).glob("*.html")))
    runs = sorted((folder / "run").glob("*.html"))
    red = next(p for p in runs if "What failed" in p.read_text(encoding="utf-8"))
    return [*found, runs[0], red]


def is_silent(tab: Browser, folder: Path, page: Path) -> None:
    """A page says nothing to its console and asks for three files of its own site."""
    tab.said.clear()
    tab.asked.clear()
    tab.open(page.as_uri())
    assert tab.said == [], page
    assert all(url.startswith(folder.as_uri()) for url in tab.asked), page
    assert len(tab.asked) == 3, page


def faults(tab: Browser, page: Path) -> list[str]:
    """What axe finds in a page."""
    assert AXE.is_file(), "GITKITCHEN_REQUIRE names axe-core, and it is not installed"
    tab.open(page.as_uri())
    tab.value(AXE.read_text(encoding="utf-8") + ";0")
    found: list[str] = tab.value(FOUND)
    return found


def dead_links(folder: Path, pages: Iterable[Path] | None = None) -> Iterator[str]:
    """Links within a site that name no file of it, or no anchor of the file that they name."""
    anchors: dict[Path, set[str]] = {}
    for page in sorted(folder.rglob("*.html")) if pages is None else pages:
        for link in set(Reader(page.read_text(encoding="utf-8")).links):
            if link.startswith(("https://", "http://")):
                continue
            target, _, anchor = link.partition("#")
            file = Path(os.path.normpath(page.parent / target)) if target else page
            if not file.is_file():
                yield f"{page.relative_to(folder)} links to {link}"
            elif anchor:
                if file not in anchors:
                    anchors[file] = set(Reader(file.read_text(encoding="utf-8")).ids)
                if anchor not in anchors[file]:
                    yield f"{page.relative_to(folder)} links to {link}"
    index = (folder / "search.js").read_text(encoding="utf-8")
    for _, _, name in json.loads(index.removeprefix("window.gitkitchenIndex=").rstrip(";\n")):
        if not (folder / name.partition("#")[0]).is_file():
            yield f"the search leads to {name}"
