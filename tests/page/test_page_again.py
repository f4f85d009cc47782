"""The page made again is the page made anew, byte for byte, whatever became of what was remembered."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.files import write_atomic
from gitkitchen.kitchen.identity import namespace
from gitkitchen.ledger.records import Record, encode, seal
from gitkitchen.page.drawn import Drawn
from gitkitchen.page.kept import FIRST, Kept, parted
from gitkitchen.page.reading import read_site
from gitkitchen.page.sharing import share
from gitkitchen.page.views.parts import Studio
from gitkitchen.page.writing import STATE, write_site
from gitkitchen.premises import find_premises
from gitkitchen.showing import recipe_facts
from page.made_site import body
from shop import KITCHEN_YML, Shop

NOW = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
SPACE = namespace("0123456789abcdef", "", "main")
RECIPES = ("delays", "fares")
WHERE = ("cache", "cache/page", "cache/drawn", "site", "site/run", "site/grid", "site/metrics")


class Desk:
    """A project whose ledger grows, its page made again and again in one folder."""

    def __init__(self, root: Path) -> None:
        self.shop = Shop.begun(root)
        self.commits = [
            self.shop.commit({"kitchen.yml": KITCHEN_YML, "x": str(i)}, message=f"Change {i}") or self._head()
            for i in range(3)
        ]
        self.ends: dict[str, Record] = {}
        self.times = 0

    def _head(self) -> str:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=self.shop.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def ran(self, recipe: str, luck: int) -> None:
        """A run more of a recipe: of some commit, that main may have or not; some of a part of the recipe."""
        at = NOW - timedelta(days=2) + timedelta(minutes=7 * self.times)
        found = body("prod", recipe, [f"{recipe}_{i}" for i in range(3)], luck, at)
        found["subject"] = {"commit": self.commits[luck % 3], "tree": f"{luck % 2}" * 40, "dirty": False}
        found |= {"parts": True} if luck % 7 == 0 else {}
        self._add(f"runs/{SPACE}/{recipe}", found)
        self.times += 1
        if found["verdict"] == "passed":
            datasets = {n: {"content": f"{luck:02d}" * 8} for n in found["rows"]} | (
                {"old": None} if luck else {}
            )
            told = {"run": found["run"], "recipe": recipe, "datasets": datasets, "landing": luck % 5 == 0}
            self._add(f"publications/{SPACE}", told)

    def _add(self, stream: str, content: dict[str, object]) -> None:
        last = self.ends.get(stream)
        number = last.sequence + 1 if last else 1
        record = seal(stream, number, content, last.id if last else "")
        folder = self.shop.root / ".gitkitchen/ledger" / record.stream
        write_atomic(folder / f"@{number // 1000:06d}/{number:09d}.json", encode(record))
        self.ends[stream] = record

    def declared(self, recipe: str, which: int) -> None:
        """The recipe is in the files, in one form or another; or it is gone, or wrong."""
        path = self.shop.root / "recipes" / recipe / "recipe.yml"
        sqls = [f"select {which} as id, 2 as amount", f"select *, id + {which} as more from {recipe}_0"]
        nodes = "".join(
            f"  {recipe}_{i}: {{sql: '{sql}', tests: [unique: [id]]}}\n" for i, sql in enumerate(sqls)
        )
        wrong = "  x: {sql: 1, sql: 2}\n" if which == 2 else ""
        write_atomic(path, f"version: 1\nrecipe: {recipe}\nnodes:\n{nodes}{wrong}")
        if which == 3:
            path.unlink()

    def moved(self, index: int) -> None:
        """Main stands on another commit."""
        self.shop.git("update-ref", "refs/heads/main", self.commits[index])

    def hurt(self, where: str, which: int, how: int) -> None:
        """A file of what is remembered, or of the site, is cut, emptied, changed or gone."""
        folder = self.shop.root / ".gitkitchen" / where
        files = sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
        files = [p for p in files if how or p.name != STATE]  # a folder without it is refused
        if not files:
            return
        path = files[which % len(files)]
        raw = path.read_bytes()
        if how == 0:
            path.unlink()
        elif where.startswith("cache"):
            at = which % max(len(raw), 1)
            changed = bytes([raw[at] ^ 1]) if raw else b"x"
            path.write_bytes((b"", raw[:at], raw[:at] + changed + raw[at + 1 :], raw + raw[-40:])[how - 1])
        else:
            path.write_bytes(raw[: len(raw) // 2])

    def made(self, folder: Path, drawn: Path | None, now: datetime) -> dict[str, bytes]:
        premises = find_premises(self.shop.root)
        site = read_site(premises, now, recipes=lambda columns: recipe_facts(premises.project, columns))
        write_site(Studio.of(site, Drawn(drawn)), folder)
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def again(self, now: datetime) -> dict[str, bytes]:
        state = self.shop.root / ".gitkitchen"
        return self.made(state / "site", state / "cache/drawn", now)

    def anew(self, folder: Path, now: datetime) -> dict[str, bytes]:
        """The same ledger, with nothing remembered and nothing there."""
        cache, aside = self.shop.root / ".gitkitchen/cache", self.shop.root / ".gitkitchen/aside"
        if cache.exists():
            cache.rename(aside)
        found = self.made(folder, None, now)
        if cache.exists():
            cache.rename(folder.with_suffix(".cache"))
        if aside.exists():
            aside.rename(cache)
        return found


RAN = st.tuples(st.just("ran"), st.sampled_from(RECIPES), st.integers(0, 40))
MOVED = st.tuples(st.just("moved"), st.integers(0, 2))
HURT = st.tuples(st.just("hurt"), st.sampled_from(WHERE), st.integers(0, 5_000), st.integers(0, 4))
DECLARED = st.tuples(st.just("declared"), st.sampled_from(RECIPES), st.integers(0, 3))
STEPS = st.lists(
    st.lists(RAN | RAN | MOVED | DECLARED | HURT, min_size=1, max_size=5), min_size=2, max_size=4
)


def remembers_well(make: Callable[[], Path], turns: list[list[tuple[object, ...]]]) -> None:
    desk = Desk(make())
    for number, turn in enumerate(turns):
        for what, *about in turn:
            getattr(desk, str(what))(*about)
        now = NOW + timedelta(hours=number)
        again = desk.again(now)
        anew = desk.anew(desk.shop.root.parent / f"{desk.shop.root.name}-anew-{number}", now)
        assert again.keys() == anew.keys()
        assert [path for path in anew if again[path] != anew[path]] == []


@settings(max_examples=5)
@given(STEPS)
def test_the_page_made_again_is_the_page_made_anew(
    tmp_path_factory: pytest.TempPathFactory, turns: list[list[tuple[object, ...]]]
) -> None:
    """Runs come and publish, recipes change, the branch moves back and forth, files of the caches and of the
    site are cut, changed or gone: all bytes of the site are those of one made with nothing remembered."""
    remembers_well(lambda: tmp_path_factory.mktemp("desk") / "x", turns)


@pytest.mark.long
@settings(max_examples=150)
@given(STEPS)
def test_the_page_made_again_is_the_page_made_anew_at_length(
    tmp_path_factory: pytest.TempPathFactory, turns: list[list[tuple[object, ...]]]
) -> None:
    """The same, often."""
    remembers_well(lambda: tmp_path_factory.mktemp("desk") / "x", turns)


def test_a_killed_page_is_finished_by_the_next(tmp_path: Path) -> None:
    """Ended after its first files, the command leaves a folder that the next takes for its own and ends."""
    desk = Desk(tmp_path / "x")
    desk.ran("delays", 3)
    folder = desk.shop.root / ".gitkitchen/site"
    whole = desk.again(NOW)
    state = folder / STATE
    state.write_text('{"version":1,"pages":{}}\n')  # what it writes first
    for path in [folder / "index.html", *(folder / "recipe").iterdir()]:
        path.unlink()
    (next((folder / "run").iterdir())).write_bytes(b"<!doc")
    assert desk.again(NOW) == whole


def test_other_code_remembers_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of the code that says what a page says, every run's page is made again, and nothing that
    was read or drawn counts."""
    from gitkitchen.page import cache, rendering

    desk = Desk(tmp_path / "x")
    desk.ran("delays", 3)
    desk.again(NOW)
    kept = {p.name: p.read_bytes() for p in (desk.shop.root / ".gitkitchen/cache/page").iterdir()}
    drawn = {p.name for p in (desk.shop.root / ".gitkitchen/cache/drawn").iterdir()}
    for module in (cache, rendering):
        monkeypatch.setattr(module, "code", lambda: "other")
    rendering.look.cache_clear()
    try:
        desk.again(NOW)
    finally:
        rendering.look.cache_clear()
    after = {p.name: p.read_bytes() for p in (desk.shop.root / ".gitkitchen/cache/page").iterdir()}
    assert after.keys() == kept.keys()
    assert all(after[name] != raw for name, raw in kept.items())
    assert drawn.isdisjoint(p.name for p in (desk.shop.root / ".gitkitchen/cache/drawn").iterdir())


JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)


@given(st.dictionaries(st.sampled_from(sorted(FIRST)) | st.text(max_size=4), JSON, max_size=8), st.text())
def test_a_kept_body_reads_as_the_whole(record: dict[str, object], other: str) -> None:
    """Asked in any way, a body that is parsed late answers as the one that was there from the beginning."""
    import json

    first, rest = parted(record)
    assert Kept(first, json.dumps(rest).encode()).whole() == record
    kept = Kept(first, json.dumps(rest).encode())
    for key in [*record, other, *FIRST]:
        assert kept.get(key, "none") == record.get(key, "none")
        assert (key in kept) == (key in record)
    assert dict(kept) == record
    assert len(kept) == len(record)


SHARED = """\
import os, sys
from gitkitchen.page.sharing import share
here = os.getpid()
if sys.argv[1] == "whole":
    import duckdb
    kept = duckdb.connect(config={"threads": 2})  # a library with threads of its own
def do(piece):
    if sys.argv[1] == "killed" and os.getpid() != here and piece == 40: os.kill(os.getpid(), 9)
    if sys.argv[1] == "fails" and piece == 41: raise OSError(28, "No space left on device")
    if sys.argv[1] == "whole": open(f"{sys.argv[2]}/{os.getpid()}", "w").close()
    return piece * piece
try: found = share(list(range(57)), do, least=10)
except OSError as error: print(error.errno)
else: print(found == [n * n for n in range(57)])
"""


@pytest.mark.parametrize(("how", "said"), [("whole", "True"), ("killed", "True"), ("fails", "28")])
def test_work_is_shared_and_what_another_leaves_is_done_here(tmp_path: Path, how: str, said: str) -> None:
    """Every piece is done, in order, by as many processes as there are cores; what one that is killed had to
    do is done by the one that asked, and an error is raised there."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", SHARED, how, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (said, "")
    if how == "whole":
        assert len(list(tmp_path.iterdir())) == min(4, len(os.sched_getaffinity(0)))


def test_little_work_is_done_here() -> None:
    """No process is begun for what is done at once."""
    assert share([1, 2, 3], lambda n: (n, os.getpid())) == [(n, os.getpid()) for n in (1, 2, 3)]
    assert share([], str) == []
