"""What somebody changes by hand in what consumers read is reported once, and shown again as published."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from tests.auditing.made_road import Road

from gitkitchen.promote.moves import moves_of
from gitkitchen.promote.shapes import Incident, stream_of
from gitkitchen.road.incidents import course_of
from shop import Shop


@pytest.fixture
def published(near: Road) -> Road:
    """A road whose production has data."""
    near.shop.git("switch", "-q", "main")
    assert near.shop.cli("run", "--quiet").code == 0
    return near


def incidents(road: Road) -> list[tuple[str, bool]]:
    moves = moves_of(road.ledger.read(stream_of("prod")))
    return [(m.kind, m.closed) for m in moves if isinstance(m, Incident)]


def codes(road: Road) -> list[str]:
    said = road.shop.cli("reconcile", "prod", "--json")
    assert said.code == 0, said.err
    return [f["code"] for f in json.loads(said.out)["found"]]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("create or replace view totals as select 99 as n", "'totals' was changed"),
        pytest.param("drop view totals", "'totals' is gone", marks=pytest.mark.long),
        pytest.param(
            "create table mine as select 1 as x", "'mine' was made by somebody else", marks=pytest.mark.long
        ),
    ],
    ids=["changed", "dropped", "added"],
)
def test_a_view_file_that_was_changed_is_reported_and_shown_again(
    published: Road, change: str, word: str
) -> None:
    """The incident names the view; behind it consumers read the catalog again, and the incident is over."""
    path = published.shop.cli("open", "--path").out.strip()
    with duckdb.connect(path) as hand:
        hand.execute(change)
    said = published.shop.cli("reconcile", "prod")
    assert said.code == 0, said.err
    assert word in said.out
    assert incidents(published) == [("drift-data", False), ("drift-data", True)]
    with duckdb.connect(path, read_only=True) as reader:
        assert reader.execute("select n from totals").fetchall() == [(2,)]
    assert codes(published) == []
    assert incidents(published) == [("drift-data", False), ("drift-data", True)]


def test_views_behind_the_catalog_are_shown_and_no_drift(published: Road) -> None:
    """A publication whose views were not shown (a crash) is shown; nobody is accused."""
    path = published.shop.cli("open", "--path").out.strip()
    duckdb.connect(path).close()
    published.shop.replace("recipes/delays/orders.csv", "1\n", "1\n3\n")
    old = Path(path).read_bytes()
    published.shop.commit()
    assert published.shop.cli("run", "--quiet").code == 0
    Path(path).write_bytes(old)  # what a crash before the rename leaves
    Path(path).with_suffix(".json").write_text("{}")
    assert codes(published) == []
    assert incidents(published) == []
    with duckdb.connect(path, read_only=True) as reader:
        assert reader.execute("select n from totals").fetchall() == [(3,)]


def test_an_untouched_view_file_is_no_drift(published: Road) -> None:
    """Reading it, and copying it to and fro, changes nothing that anybody reads."""
    path = published.shop.cli("open", "--path").out.strip()
    data = Path(path).read_bytes()
    Path(path).write_bytes(data)
    assert codes(published) == []
    assert course_of(published.ledger, "prod").moves == 0


def test_a_project_that_was_moved_has_no_drift(published: Road) -> None:
    """Views name files by their whole paths: who moves a folder is accused of nothing, and reads again."""
    root = published.shop.root
    moved = Shop(root.rename(root.with_name("elsewhere")))
    said = moved.cli("reconcile", "prod", "--json")
    assert (said.code, json.loads(said.out)["found"]) == (0, [])
    path = moved.cli("open", "--path").out.strip()
    with duckdb.connect(path, read_only=True) as reader:
        assert reader.execute("select count(*) from totals").fetchall() == [(1,)]


@pytest.mark.parametrize("found", ["by its size", "when all is read"])
def test_a_file_that_was_written_to_is_reported_and_built_anew(published: Road, found: str) -> None:
    """Bytes changed by hand under a view break the environment; and of a size
    that did not change only `--data` tells; put back, or built anew, they end the incident."""
    path = next(p for p in sorted((published.shop.root / ".gitkitchen/store/trusted").rglob("*.parquet")))
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data + b"x" if found == "by its size" else data[:-1] + bytes([data[-1] ^ 1]))
    path.chmod(0o444)
    if found == "when all is read":
        assert codes(published) == []
    said = published.shop.cli("reconcile", "prod", "--data")
    assert said.code == 1
    assert "holds other bytes than were written" in said.out
    assert incidents(published) == [("drift-store", False)]
    path.unlink()
    assert published.shop.cli("run", "--quiet").code == 0
    assert codes(published) == ["closed"]
