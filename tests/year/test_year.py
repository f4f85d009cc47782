"""A year of hourly and daily runs on a clock that is set (a month without ``GITKITCHEN_YEAR``): the real
decisions, ledger, alerts and page; what nodes do is played (``world.py``)."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.year import checks
from tests.year.world import HOUR, NODES, World

from browser import chromium
from gitkitchen.page.reading import read_site
from gitkitchen.page.views.catalogue import INTERVALS
from gitkitchen.page.writing import write_site
from gitkitchen.process import Cancel
from gitkitchen.production.running import Work, run_due
from gitkitchen.showing import recipe_facts
from gitkitchen.workplace import Request, enter
from page.looks import dead_links, faults, is_silent, needs_axe, one_of_each
from phone import needs_chromium
from shop import KITCHEN_YML, Shop

pytestmark = pytest.mark.long
WHOLE = bool(os.environ.get("GITKITCHEN_YEAR"))
START = datetime(2026, 1, 1, tzinfo=UTC) if WHOLE else datetime(2026, 2, 20, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC) if WHOLE else START + timedelta(days=30)
"""The month has the night in which the clocks skip an hour, the year also the one that has an hour twice."""
WAIT = timedelta(hours=12)
"""How long before the end an interval may still wait for its own."""
RECIPES = tuple(NODES)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        begun = time.process_time()
        made = World(tmp_path_factory.mktemp("year"), patch, START, END)
        made.live()
        print(f"\n{(END - START).days} days in {time.process_time() - begun:.0f} s CPU: {made.counts}")
        yield made


def test_what_can_happen_did_happen(world: World) -> None:
    """Late, dropped and doubled events, jobs that died and that came twice, landings, failures: all of it."""
    counts = world.counts
    for name in ("late", "dropped", "doubled", "evicted", "twice", "refused", "landed"):
        assert getattr(counts, name) > 0, name
    assert {f.kind for f in world.faults} >= {"test", "node"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_interval_has_its_end(world: World, recipe: str) -> None:
    """Each due time of the zone's wall clock is the end of one interval, and each interval ran (well or not),
    was superseded by a run that is named, or was missed."""
    found = {one: end for one, end in checks.ends(world, recipe).items() if one[1] < END - WAIT}
    assert [one for one, end in found.items() if not end] == []
    print(recipe, Counter(found.values()))
    assert len(found) > (END - START).days * (20 if recipe == "hourly" else 0.9)


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_interval_is_published_twice(world: World, recipe: str) -> None:
    """Whatever was doubled, repeated, or tried again: one run passed for an interval."""
    assert checks.published_twice(world, recipe) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_was_missed_was_told(world: World, recipe: str) -> None:
    """Every interval that was recorded as missed lies in the life of an incident of its schedule."""
    assert checks.missed_untold(world, recipe) == []


def test_an_incident_opens_once_and_closes_once(world: World) -> None:
    """One open at a time for a thing; its records are one opening, updates, at most one close."""
    found = checks.incidents(world)
    assert len(found) > 5
    for kinds in found.values():
        assert kinds[0] == "opened"
        assert kinds[1:] == ["updated"] * (len(kinds) - 1) or (
            kinds[-1] == "closed" and kinds[1:-1] == ["updated"] * (len(kinds) - 2)
        )


def test_whom_it_concerns_is_told_once(world: World) -> None:
    """A channel gets one opening and one close of an incident; of updates only the one that shows them in
    place; what opened and closed before anybody could be told is one message."""
    found = checks.messages(world)
    assert len(found) > 5
    for (channel, _), kinds in found.items():
        counted = Counter(kinds)
        assert counted["opened"] <= 1
        assert counted["closed"] <= 1
        assert "updated" not in counted or channel == "pager"
        assert kinds in (["closed"], sorted(kinds, key=("opened", "updated", "closed").index))


def test_a_storm_is_few_messages(world: World) -> None:
    """The day on which all twelve nodes of a recipe fail is twelve incidents, and on each channel five
    messages and one of the rest; no run ever makes more."""
    opened = world.recorder.opened
    storms = {key: told for key, told in opened.items() if sum(told) == 12}
    assert {channel for channel, _ in storms} == {"pager", "chat"}
    assert all(told == [1, 1, 1, 1, 1, 7] for told in storms.values())
    assert max(map(len, opened.values())) == 6


def test_a_run_costs_one_push(world: World) -> None:
    """The lease, the publication and the record of a run are one commit."""
    assert set(world.counts.pushes) == {1}


def test_what_a_year_of_hourly_runs_costs(world: World) -> None:
    """After `git gc`: an hourly run of 28 nodes, which publishes one dataset but in five hours of the night,
    costs at most 12 MB a year, its failures included."""
    found = checks.costs(world.bare)
    for kind, of in sorted(found.items(), key=lambda item: -item[1]["total"] * item[1]["count"]):
        print(kind, json.dumps({k: round(v) for k, v in of.items()}))
    total = sum(of["total"] * of["count"] for of in found.values())
    days = (END - START).days
    print(f"everything: {total / days * 365 / 1e6:.1f} MB a year")
    assert found["run hourly"]["total"] * checks.HOURS <= 12e6, found["run hourly"]


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of all that."""
    begun = time.process_time()
    folder = tmp_path_factory.mktemp("page") / "site"
    site = read_site(world.premises, END, recipes=lambda columns: recipe_facts(world.project, columns))
    written = write_site(site, folder)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"page: {written.pages} pages, {size / 1e6:.1f} MB, {time.process_time() - begun:.1f} s CPU")
    assert [a.id for a in site.alerts if a.closed and "pager" not in a.told] == []
    return folder


def test_the_page_shows_how_every_interval_ended(world: World, folder: Path) -> None:
    """Built from that ledger: each run has its page with its interval, and what did not run is listed on its
    recipe's; what is open is among the incidents."""
    pages = {p.name for p in (folder / "run").iterdir()}
    for recipe in RECIPES:
        for body in checks.bodies(world, f"runs/{world.namespace}/{recipe}"):
            assert f"{body['run']}.html" in pages
        told = checks.bodies(world, f"schedules/prod/{recipe}.clock")
        listed = [b for b in told if b["kind"] in ("missed", "superseded", "died")]
        assert len(listed) <= INTERVALS
        text = (folder / f"recipe/{recipe}.html").read_text(encoding="utf-8")
        for body in listed:
            start, end = (datetime.fromisoformat(moment) for moment in body["interval"])
            assert (
                f"{start:%Y-%m-%d %H:%M} to {end:{'%H:%M' if end.date() == start.date() else '%Y'}}" in text
            )
            assert body["kind"] in text


def test_every_link_of_the_page_leads_somewhere(folder: Path) -> None:
    """Within the site: to a file of it, and to an anchor of that file where it names one."""
    assert list(dead_links(folder)) == []


@needs_chromium
def test_the_page_in_a_browser_is_silent_and_asks_nobody(folder: Path, tmp_path: Path) -> None:
    """From files, with the network off, one page of each kind; the first view is at most 50 KB compressed."""
    with chromium(tmp_path) as tab:
        tab.offline()
        for page in one_of_each(folder):
            is_silent(tab, folder, page)
    first = (folder / name for name in ("index.html", "style.css", "page.js"))
    assert sum(len(gzip.compress(path.read_bytes())) for path in first) <= 50_000


@needs_chromium
@needs_axe
def test_axe_finds_nothing_in_the_page(folder: Path, tmp_path: Path) -> None:
    """By WCAG 2.2 AA and axe's best practices, in one page of each kind."""
    with chromium(tmp_path) as tab:
        assert {page.name: found for page in one_of_each(folder) if (found := faults(tab, page))} == {}


CONTROL = """\
version: 1
recipe: hourly
variations:
  clock:
    schedule: {cron: "17 * * * *", since: 2026-03-01T00:17Z, catch_up: {most: 24}}
nodes:
  counted:
    sql: "select $at as at, 1 as n"
    with: {at: "${{ run.interval_end }}"}
    tests: [{rows: {min: 1}}]
  kept: {sql: select 2 as n, tests: [{rows: {min: 1}}]}
"""


def test_a_real_day_has_records_of_the_same_shape(world: World, tmp_path: Path) -> None:
    """The control: 24 runs of a small recipe through every stage, on the same clock; what the ledger holds of
    them has the keys of what was played, no more and no less."""
    shop = Shop(tmp_path / "shop")
    shop.root.mkdir()
    shop.git("init", "-q", "-b", "main")
    shop.commit(
        {"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n", "recipes/hourly/recipe.yml": CONTROL}
    )
    now = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
    request = Request(start=shop.root)
    done = run_due(Work(request, Cancel(), lambda: now))
    assert [d.outcome is not None for d in done] == [True] * 24
    assert done[-1].interval.end - done[0].interval.start == 24 * HOUR
    place = enter(request)
    real = [r.body for r in place.ledger.read(f"runs/{place.kitchen.namespace}/hourly")]
    published = [r.body for r in place.ledger.read(f"publications/{place.kitchen.namespace}")]
    place.close()
    assert [r["verdict"] for r in real] == ["passed"] * 24
    played = checks.bodies(world, f"runs/{world.namespace}/hourly")
    of_job = {"event", "url"}  # what only a job of GitHub Actions knows
    changing = {"at", "took"}  # left out where it is nothing
    green = [r for r in played if r["verdict"] == "passed"]
    assert {frozenset(r.keys() - of_job - changing) for r in green} == {
        frozenset(r.keys() - changing) for r in real
    }
    for key in ("kitchen", "subject", "publication", "tests"):
        assert {frozenset(r[key]) for r in green} == {frozenset(r[key]) for r in real}, key
    own = checks.bodies(world, f"publications/{world.namespace}")
    assert {frozenset(p) for p in own} == {frozenset(p) for p in published}
    entries = [e for p in published for e in p["datasets"].values()]
    assert {frozenset(e) for p in own for e in p["datasets"].values()} == set(map(frozenset, entries))
