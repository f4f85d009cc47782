"""The status page in a real Chromium: silent, offline, accessible, and grey when it is old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from browser import Browser, chromium
from gitkitchen.page.shapes import Site
from page.looks import faults, is_silent, needs_axe, one_of_each
from page.made_site import made_site, write
from page.test_pages import NAUGHTY
from phone import needs_chromium

pytestmark = [pytest.mark.long, needs_chromium]


@pytest.fixture(scope="module")
def site() -> Site:
    """One that is fresh by the browser's clock."""
    now = datetime.now(UTC)
    return replace(made_site(runs=12), made=now, stale=now + timedelta(days=1))


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("site") / "page", site)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


def test_every_page_is_silent_and_asks_nobody(folder: Path, tab: Browser) -> None:
    """From files, with the network off: no error, no warning, and only files of the site are asked for."""
    tab.offline()
    for page in one_of_each(folder):
        is_silent(tab, folder, page)


@needs_axe
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing(folder: Path, tab: Browser, look: str) -> None:
    """By WCAG 2.2 AA and axe's best practices, in both palettes and on a phone."""
    tab.dark(look == "dark")
    tab.size(390 if look == "phone" else 1280, 900, mobile=look == "phone")
    said: dict[str, Any] = {}
    for page in one_of_each(folder):
        if found := faults(tab, page):
            said[page.name] = found
    tab.dark(False)
    assert said == {}


def test_no_page_is_wider_than_a_phone(folder: Path, tab: Browser) -> None:
    """What is wide scrolls in itself; the page never does."""
    tab.size(360, 740, mobile=True)
    for page in one_of_each(folder):
        tab.open(page.as_uri())
        wide = tab.value(
            "document.documentElement.scrollWidth > innerWidth + 1 ? [...document.querySelectorAll('body *')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .graph'))"
            ".map(e => e.tagName + '.' + e.className).slice(0, 5).join() || 'wide' : ''"
        )
        assert wide == "", page.name
    tab.size(1280, 900)


def test_the_search_finds_by_keyboard(folder: Path, tab: Browser) -> None:
    """Typed words narrow the list, arrows walk through it, from any depth the links are right."""
    page = next((folder / "run").glob("*.html"))
    tab.open(page.as_uri())
    tab.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true})); 0")
    assert tab.value("document.activeElement.id") == "q"
    tab.value(
        "new Promise(done => { const q = document.getElementById('q'); q.value = 'weather recipe';"
        "q.dispatchEvent(new Event('input', {bubbles: true})); setTimeout(done, 300); })"
    )
    assert tab.value("document.querySelectorAll('#find li a').length") > 0
    down = "new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true})"
    tab.value(f"document.getElementById('q').dispatchEvent({down}); 0")
    link = tab.value("document.activeElement.href")
    assert link == (folder / "recipe/weather.html").as_uri()


def test_all_is_readable_without_script(folder: Path, tab: Browser) -> None:
    """With scripts off both dates stand in plain text; no search is offered, and nothing is called stale."""
    tab.script(False)
    try:
        tab.open((folder / "index.html").as_uri())
        document = tab.tell("DOM.getDocument", depth=0)["root"]["nodeId"]
        html = tab.tell("DOM.getOuterHTML", nodeId=document)["outerHTML"]
        assert "stale after" in html
        assert 'class="find" id="find" role="search" hidden' in html
        assert 'id="stale-said" role="status" hidden' in html
    finally:
        tab.script(True)


def test_the_page_greys_itself_when_it_is_old(folder: Path, site: Site, tab: Browser) -> None:
    """By the browser's clock: before the date there is no word of it; behind it the page says so, in grey."""
    page = (folder / "index.html").as_uri()

    def seen(at: datetime) -> tuple[bool, str, str]:
        clock = f"Date.now = () => {int(at.timestamp() * 1000)}"
        script = tab.tell("Page.addScriptToEvaluateOnNewDocument", source=clock)["identifier"]
        tab.open(page)
        tab.tell("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        style = "getComputedStyle(document.documentElement).getPropertyValue"
        said = tab.value("!document.getElementById('stale-said').hidden")
        grey = tab.value("getComputedStyle(document.querySelector('main')).filter")
        return said, grey, tab.value(f"{style}('--good')")

    before = seen(site.stale - timedelta(minutes=1))
    behind = seen(site.stale + timedelta(minutes=1))
    assert before[:2] == (False, "none")
    assert behind[:2] == (True, "grayscale(1)")
    assert before[2] != behind[2]
    run = next((folder / "run").glob("*.html")).read_text()
    assert "data-stale" not in run


def test_naughty_strings_do_nothing_in_a_browser(tmp_path: Path, tab: Browser) -> None:
    """With naughty strings in every text no script of theirs runs, no request is made, nothing is said."""
    evil = " ".join(NAUGHTY[n] for n in ("tags", "attribute", "ending", "markdown", "bidi", "controls"))
    site = made_site(runs=4, recipes=("delays",), nodes=5, say=lambda text: f"{text} {evil}")
    folder = write(tmp_path / "evil", site)
    tab.tell("Page.addScriptToEvaluateOnNewDocument", source="window.alert = () => { window.hit = true; }")
    for page in one_of_each_kind(folder):
        tab.said.clear()
        tab.asked.clear()
        tab.open(page.as_uri())
        assert tab.value("window.hit === undefined"), page
        assert tab.said == [], page
        assert all(url.startswith(folder.as_uri()) for url in tab.asked), page


def one_of_each_kind(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.html"))
    return found + [min(sub.glob("*.html")) for sub in sorted(folder.iterdir()) if any(sub.glob("*.html"))]
