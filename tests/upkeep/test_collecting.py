"""``gitkitchen gc``: what no catalog, kept run or rollback refers to goes, after a grace period; S5."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from tests.upkeep.conftest import ORDERS, age, change, inventory

from gitkitchen.data.garbage import Item
from gitkitchen.ledger import registry
from gitkitchen.locks import shared
from gitkitchen.premises import find_premises
from gitkitchen.report.upkeep import Sweep
from gitkitchen.upkeep.collecting import Limits, look, sweep
from gitkitchen.upkeep.ending import finish
from shop import Shop

ALL = Limits(grace=0.0, keep=0.0)


def now(**later: float) -> datetime:
    return datetime.now(UTC) + timedelta(**later)


def collect(shop: Shop, limits: Limits = ALL, **later: float) -> Sweep:
    return sweep(find_premises(shop.root), limits, now(**later), patience=0.2)


def files(shop: Shop) -> set[str]:
    return {n for n in inventory(shop) if "/files/" in n}


def load(shop: Shop, number: int) -> None:
    """Another day's orders in production."""
    shop.commit({"recipes/sales/orders.csv": ORDERS + f"9,IT,{1000 + number}\n"})
    said = shop.cli("run", "--quiet")
    assert said.code == 0, said.out


def total(shop: Shop, *options: str) -> int:
    return int(shop.rows("select sum(total) as t from totals", *options)[0]["t"])


def test_the_default_is_a_dry_run(sales: Shop) -> None:
    """Without --apply nothing changes; it says what it would remove, and what to type."""
    load(sales, 1)
    before = inventory(sales)
    for words in (["gc"], ["gc", "--dry-run"]):
        said = sales.cli(*words, "--grace", "0s", "--keep", "0s")
        assert said.code == 0
        assert "would remove 3 builds" in said.out
        assert "nothing was changed; `gitkitchen gc --apply` removes it" in said.out
    assert inventory(sales) == before
    said = sales.cli("gc", "--apply", "--json", "--grace", "0s", "--keep", "0s")
    document = json.loads(said.out)
    assert document["applied"] is True
    assert document["bytes"] == sum(i["bytes"] for i in document["items"])
    assert not any(Path(i["path"]).exists() for i in document["items"])
    again = sales.cli("gc", "--apply", "--grace", "0s", "--keep", "0s")
    assert again.out.strip() == "nothing to remove"


def test_what_is_shown_and_what_is_removed_are_the_same(sales: Shop) -> None:
    """The dry run names exactly what applying removes, and its bytes."""
    change(sales, "feature/x", 1)
    sales.git("switch", "-q", "main")
    sales.git("branch", "-q", "-D", "feature/x")
    load(sales, 1)
    moment = now(days=40)
    shown = look(find_premises(sales.root), Limits(), moment)
    done = sweep(find_premises(sales.root), Limits(), moment)
    assert {(i.what, i.path) for i in shown.items} == {(i.what, i.path) for i in done.items}
    assert shown.bytes == done.bytes > 0
    assert {i.what for i in done.items} >= {"sandbox", "build", "file", "verdict", "cache", "run"}
    again = look(find_premises(sales.root), Limits(), moment).items
    assert {i.what for i in again} <= {"cache"}  # looking reads kitchen.yml, and remembers it anew


def test_consumers_keep_all_that_they_can_read(sales: Shop) -> None:
    """However little is to be kept: what catalogs show stays readable, and a run reuses all of it."""
    change(sales, "feature/x", 1)
    for branch in ("main", "feature/x"):
        sales.git("switch", "-q", branch)
        path = sales.cli("open", "--path").out.strip()
        collect(sales, days=1)
        with duckdb.connect(path, read_only=True) as reader:
            assert reader.execute("select count(*) from orders").fetchone() == (3,)
            assert reader.execute("select total from top").fetchone() == (41 if branch != "main" else 40,)
    sales.git("switch", "-q", "main")
    assert sales.cli("run", "--quiet").code == 0
    assert set(sales.states().values()) == {"reused"}


def test_the_grace_period_keeps_what_is_young(sales: Shop) -> None:
    """What was written lately stays, whoever refers to it: a run may be about to publish it."""
    load(sales, 1)
    before = inventory(sales)
    assert collect(sales, Limits(grace=3600.0, keep=0.0)).items == ()
    assert inventory(sales) == before


def test_the_rollback_window_keeps_what_an_environment_showed(sales: Shop) -> None:
    """A superseded version stays as long as it can be asked for again, then it goes."""
    first = files(sales)
    load(sales, 1)
    age(sales.root / ".gitkitchen/store", 3 * 86400)
    collect(sales, Limits(keep=7 * 86400.0))
    assert first <= files(sales)
    collect(sales, Limits(keep=7 * 86400.0), days=8)
    assert first - files(sales)
    assert total(sales) == 1061


def test_what_a_sandbox_showed_before_is_not_kept(sales: Shop) -> None:
    """There is no rollback of a sandbox: what it superseded goes after the grace period."""
    change(sales, "feature/x", 1)
    one = files(sales)
    sales.replace("recipes/sales/recipe.yml", "total + 1", "total + 2")
    sales.commit()
    assert sales.cli("run", "--quiet").code == 0
    collect(sales)
    gone = one - files(sales)
    assert gone
    assert all("sandbox/" in name for name in gone)


def test_a_candidate_is_kept_with_its_run(sales: Shop) -> None:
    """What a failing run built can be looked at as long as the run is kept, and is gone after it."""
    sales.replace("recipes/sales/recipe.yml", "equals: 1", "equals: 7")
    sales.replace("recipes/sales/recipe.yml", "limit 1", "limit 2")
    sales.commit()
    assert sales.cli("run", "--quiet").code == 1
    candidate = sales.outcome()["run"]
    collect(sales)
    assert sales.rows("select count(*) as n from top", "--candidate", candidate) == [{"n": 2}]
    sales.replace("recipes/sales/recipe.yml", "equals: 7", "equals: 1")
    sales.replace("recipes/sales/recipe.yml", "limit 2", "limit 1")
    sales.commit()
    assert sales.cli("run", "--quiet").code == 0
    collect(sales, days=1)
    assert sales.cli("show", candidate).code == 2
    assert total(sales) == 60


def test_what_was_saved_and_not_published_survives(sales: Shop) -> None:
    """A build whose run did not get to its publication is reused by the next run, not collected."""
    sales.replace("recipes/sales/recipe.yml", "limit 1", "limit 1 offset 0")
    sales.commit()
    assert sales.cli("run", "--quiet", "--no-publish").code == 0
    run = sales.outcome()["run"]
    (sales.root / ".gitkitchen/runs" / run / "outcome.json").unlink()  # killed before its end
    collect(sales)
    assert sales.cli("run", "--quiet", "--resume").code == 0
    assert sales.states()["top"] in ("passed", "reused")
    assert sales.outcome()["nodes"][-1]["build"]["run"] == run


def test_runs_at_work_are_not_disturbed(sales: Shop) -> None:
    """While a run shares the store, nothing is removed from it; the reason is said, and exit is 0."""
    load(sales, 1)
    before = inventory(sales)
    with shared(sales.root / ".gitkitchen/store/locks/store.lock"):
        done = collect(sales)
    assert done.left == (("the store", "runs are at work; the same command later takes the rest"),)
    assert inventory(sales) == before
    assert collect(sales).items


def test_a_sandbox_past_its_ttl_ends(sales: Shop) -> None:
    """sandboxes.ttl counts from the last run; an environment has none; the next run begins anew."""
    change(sales, "feature/x", 1)
    assert not [i for i in collect(sales, Limits(), days=13).items if i.what == "sandbox"]
    done = collect(sales, Limits(), days=15)
    assert [i.why for i in done.items if i.what == "sandbox"] == [
        "feature/x: not used for longer than sandboxes.ttl"
    ]
    assert sales.rows("select total from top") == [{"total": 40}]
    assert sales.cli("run", "--quiet").code == 0
    assert sales.rows("select total from top") == [{"total": 41}]


def test_a_sandbox_that_is_used_while_it_is_judged_stays(sales: Shop) -> None:
    """It was over when it was looked at, and somebody ran it before it was ended: it is left alone."""
    change(sales, "feature/x", 1)
    premises = find_premises(sales.root)
    (entry,) = [e for e in registry.everything(premises.ledger) if e.branch == "feature/x"]
    before = inventory(sales)
    assert finish(premises, entry, "too late", now(), still=lambda: False) is None
    after = inventory(sales)
    assert {n: d for n, d in after.items() if not n.startswith("store/locks/")} == {
        n: d for n, d in before.items() if not n.startswith("store/locks/")
    }
    assert sales.rows("select total from top") == [{"total": 41}]


def test_without_ttl_age_alone_ends_nothing(sales: Shop) -> None:
    """A project that says nothing keeps sandboxes whose branch is there."""
    sales.replace("kitchen.yml", ", ttl: 14d", "")
    sales.commit()
    change(sales, "feature/x", 1)
    assert not [i for i in collect(sales, Limits(), days=4000).items if i.what == "sandbox"]


def test_a_sandbox_whose_branch_is_gone_ends_after_the_grace_period(sales: Shop) -> None:
    """A deleted branch's data goes, not at once; a branch that a remote still has is not gone."""
    change(sales, "feature/x", 1)
    change(sales, "feature/y", 2)
    sales.git("switch", "-q", "main")
    sales.git("update-ref", "refs/remotes/origin/feature/y", "feature/y")
    sales.git("remote", "add", "origin", "https://example.org/shop.git")
    sales.git("branch", "-q", "-D", "feature/x", "feature/y")
    assert not [i for i in collect(sales, Limits()).items if i.what == "sandbox"]
    done = collect(sales, Limits(), days=2)
    assert [i.why for i in done.items if i.what == "sandbox"] == ["feature/x: its branch is gone"]
    assert sales.rows("select total from top", "--kitchen", "feature/y") == [{"total": 42}]


def test_parts_of_a_matrix_are_kept_with_the_whole(sales: Shop) -> None:
    """A part has a build of its own that no catalog names: it stays, so that a new part builds alone."""
    recipe = """\
version: 1
recipe: parts
nodes:
  part:
    sql: select $n as n, $n * 10 as v
    with: {n: "${{ matrix.n }}"}
    strategy: {matrix: {n: [1, 2]}}
    materialize: {partitions: {by: n}}
    tests: [{rows: {min: 1}}]
"""
    sales.commit({"recipes/parts/recipe.yml": recipe})
    said = sales.cli("run", "parts", "--quiet")
    assert said.code == 0, said.out + said.err
    builds = sorted((sales.root / ".gitkitchen/store/trusted/builds").rglob("*.json"))
    collect(sales, days=1)
    assert sorted((sales.root / ".gitkitchen/store/trusted/builds").rglob("*.json")) == builds


def test_nothing_is_removed_where_a_catalog_cannot_be_read(sales: Shop) -> None:
    """A damaged record of the ledger: what is referred to is not known, so nothing goes; exit 3."""
    load(sales, 1)
    (record, *_) = sorted((sales.root / ".gitkitchen/ledger/publications").rglob("0*.json"))
    record.chmod(0o644)
    text = record.read_text()
    record.write_text(text.replace('"kind"', '"kynd"'))
    (sales.root / ".gitkitchen/cache/catalogs").joinpath(f"{record.parent.parent.name}.json").unlink()
    before = inventory(sales)
    for words in ([], ["--apply"]):
        said = sales.cli("gc", *words, "--grace", "0s", "--keep", "0s")
        assert said.code == 3
        assert "is damaged" in said.err
    assert inventory(sales) == before


def test_strangers_files_are_left(sales: Shop) -> None:
    """What GitKitchen did not write stays where it is, in the store's folders too."""
    store = sales.root / ".gitkitchen/store"
    strange = [
        store / "README",
        store / "tmp/notes.txt",
        store / "sandbox/mine/data.bin",
        store.parent / "runs/notes/a.txt",
        store.parent / "views/other.duckdb",
    ]
    for path in strange:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    age(store, 90 * 86400)
    collect(sales, days=90)
    assert all(path.read_text() == "mine" for path in strange)


def test_what_dead_writers_left_goes(sales: Shop) -> None:
    """Half-written files and spilled data of processes that are gone; not those of one that lives."""
    import os

    tmp = sales.root / ".gitkitchen/store/tmp"
    dead, living = tmp / "4194304-0123456789abcdef.parquet", tmp / f"{os.getpid()}-0123456789abcdef.parquet"
    spill = tmp / "4194304-fedcba9876543210.spill"
    spill.mkdir(parents=True)
    (spill / "block").write_bytes(b"x" * 1000)
    dead.write_bytes(b"half")
    living.write_bytes(b"half")
    assert collect(sales, Limits(grace=3600.0)).items == ()
    done = collect(sales, Limits(grace=3600.0), hours=2)
    assert {(i.path.name, i.bytes) for i in done.items} == {(dead.name, 4), (spill.name, 1000)}
    assert living.exists()


def test_another_project_in_the_same_folder_is_left(sales: Shop) -> None:
    """Kitchens of another project id are neither listed, dropped nor collected."""
    change(sales, "feature/x", 1)
    sales.git("switch", "-q", "main")
    sales.git("branch", "-q", "-D", "feature/x")
    sales.replace("kitchen.yml", "0123456789abcdef", "fedcba9876543210")
    sales.commit()
    before = inventory(sales)
    assert "feature/x" not in sales.cli("kitchens").out
    assert sales.cli("drop", "feature/x").code == 2
    collect(sales, Limits(), days=60)
    assert {n for n in before if "/sandbox/" in n} <= set(inventory(sales))


def test_sizes_are_those_of_the_disk(sales: Shop) -> None:
    """The bytes that are told are the bytes that are gone."""
    load(sales, 1)
    store = sales.root / ".gitkitchen"

    def used() -> int:
        return sum(p.stat().st_size for p in store.rglob("*") if p.is_file() and "locks" not in p.parts)

    before = used()
    done = collect(sales)
    assert before - used() == pytest.approx(done.bytes, abs=2000)  # a cache that looking wrote anew
    assert all(isinstance(i, Item) and i.why for i in done.items)
