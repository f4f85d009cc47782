"""``gitkitchen drop``: a sandbox goes with all that only it had; nothing else is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.upkeep.conftest import change, inventory

from gitkitchen.ledger import registry
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.locks import shared
from shop import Shop


def namespace_of(shop: Shop, name: str) -> str:
    rows = json.loads(shop.cli("kitchens", "--json").out)["kitchens"]
    return str(next(r["namespace"] for r in rows if r["kitchen"] == name))


@pytest.mark.long
def test_twenty_branches_leave_nothing(sales: Shop) -> None:
    """Opened, changed, looked at, dropped, collected: store, runs, views and others' ledger are as before."""
    before, names = inventory(sales), [f"feature/{n}" for n in range(20)]
    for number, name in enumerate(names[:2]):
        change(sales, name, number)
        assert sales.cli("open", "--path").code == 0
    for name in names[2:]:  # most branches are only opened and looked at
        sales.git("branch", "-q", name, "main")
        sales.git("symbolic-ref", "HEAD", f"refs/heads/{name}")
        assert sales.cli("plan").code == 0
    assert sales.cli("query", "top").code == 0
    assert sales.cli("open", "--path").code == 0
    assert sales.cli("gc", "--apply", "--grace", "0s").code == 0
    assert sales.cli("kitchens").code == 0
    assert list((sales.root / ".gitkitchen/views").glob("k_feature_19_*.duckdb")), "its branch is there"
    sales.git("switch", "-q", "-f", "main")
    for name in names[:2]:
        assert sales.cli("drop", name).code == 0
    sales.git("branch", "-q", "-D", *names)
    assert sales.cli("gc", "--apply", "--grace", "0s").code == 0
    after = inventory(sales)
    assert {n: d for n, d in after.items() if n in before} == before
    added = {n for n in after if n not in before}
    assert all(n.startswith(("ledger/kitchens/k_feature_", "ledger/runs/k_feature_",
                             "ledger/publications/k_feature_")) for n in added)  # fmt: skip
    caches = {p.name for p in (sales.root / ".gitkitchen/cache").rglob("k_feature_*")}
    assert not caches
    assert sales.cli("run", "--quiet").code == 0
    assert set(sales.states().values()) == {"reused"}


def test_an_environment_is_never_dropped(sales: Shop) -> None:
    """By name, by branch or by namespace: exit 2, and nothing changes."""
    before = inventory(sales)
    for name in ("prod", "main", namespace_of(sales, "prod")):
        said = sales.cli("drop", name)
        assert said.code == 2
        assert "is an environment, which is never dropped" in said.err
    assert inventory(sales) == before


def test_an_environment_that_this_branch_does_not_name_is_safe_too(sales: Shop) -> None:
    """A branch whose kitchen.yml makes a sandbox of production can neither drop nor collect it."""
    sales.git("switch", "-q", "-c", "evil")
    sales.replace("kitchen.yml", "prod: {branch: main}", "other: {branch: elsewhere}")
    sales.replace("kitchen.yml", "base: prod, ttl: 14d", "ttl: 1s")
    sales.commit()
    before = inventory(sales)
    for name in ("prod", "main"):
        assert sales.cli("drop", name).code == 2
    assert sales.cli("gc", "--apply", "--grace", "0s", "--keep", "30d").code == 0
    after = inventory(sales)
    assert {n: d for n, d in after.items() if n in before} == before


def test_what_is_not_there_is_said(sales: Shop) -> None:
    """A mistyped name is a mistake with the way to the list."""
    said = sales.cli("drop", "feature/y")
    assert said.code == 2
    assert "there is no kitchen 'feature/y'; `gitkitchen kitchens` lists them" in said.err


def test_it_is_recorded_and_the_next_run_begins_anew(sales: Shop) -> None:
    """The ledger tells that it was dropped; the branch's next run is a new birth without the old data."""
    change(sales, "feature/x", 1)
    space = namespace_of(sales, "feature/x")
    said = sales.cli("drop", "feature/x")
    assert said.code == 0
    assert "freed" in said.out
    ledger = FolderLedger(sales.root / ".gitkitchen/ledger")
    assert [r.body["kind"] for r in ledger.read(f"kitchens/{space}")] == ["birth", "end"]
    assert sales.rows("select total from top") == [{"total": 40}]
    again = sales.cli("drop", "feature/x")
    assert again.code == 2
    assert "it was dropped or collected" in again.err
    assert sales.cli("run", "--quiet").code == 0
    assert sales.states() == {"orders": "reused", "totals": "reused", "top": "passed"}
    assert namespace_of(sales, "feature/x") != space


def test_a_run_at_work_refuses(sales: Shop) -> None:
    """While a run holds the kitchen, drop ends with exit 3 and changes nothing; afterwards it goes."""
    change(sales, "feature/x", 1)
    space = namespace_of(sales, "feature/x")
    before = inventory(sales)
    with shared(sales.root / ".gitkitchen/store/locks" / f"{space}.lock"):
        said = sales.cli("drop", "feature/x")
        assert said.code == 3
        assert "a run is at work in kitchen 'feature/x'" in said.err
        assert inventory(sales) == before
    assert sales.cli("drop", "feature/x").code == 0


def test_a_lease_from_another_machine_refuses(sales: Shop) -> None:
    """A lease that somebody else holds on one of its recipes counts as a run at work."""
    change(sales, "feature/x", 1)
    folder = sales.root / ".gitkitchen/ledger/@leases" / namespace_of(sales, "feature/x") / "sales"
    (held,) = folder.iterdir()
    lease = json.loads(held.read_bytes())
    lease |= {"released": False, "expires": "2999-01-01T00:00:00+00:00", "holder": "another"}
    lease["process"] |= {"machine": "another"}
    held.chmod(0o644)
    held.write_text(json.dumps(lease))
    said = sales.cli("drop", "feature/x")
    assert said.code == 3
    assert "a run is at work" in said.err
    held.unlink()
    assert sales.cli("drop", "feature/x").code == 0


def test_others_are_untouched(sales: Shop) -> None:
    """Of two branches whose names other tools mix up, only the one that was named goes."""
    change(sales, "feature/x", 1)
    change(sales, "feature-x", 2)
    kept = namespace_of(sales, "feature-x")
    files = {n: d for n, d in inventory(sales).items() if kept in n}
    assert sales.cli("drop", "feature/x").code == 0
    assert {n: d for n, d in inventory(sales).items() if kept in n} == files
    assert sales.rows("select total from top", "--kitchen", "feature-x") == [{"total": 42}]


def test_a_drop_that_was_killed_is_ended_by_the_next_command(sales: Shop) -> None:
    """The end is recorded first: what a crash left is nobody's, and drop or gc takes it away."""
    for number, command in enumerate((["drop", "feature/x"], ["gc", "--apply"])):
        change(sales, "feature/x", number + 5)
        space = namespace_of(sales, "feature/x")
        ledger = FolderLedger(sales.root / ".gitkitchen/ledger")
        entry = registry.registered(ledger, space)
        assert entry is not None
        from datetime import UTC, datetime

        registry.end(ledger, entry, "dropped", datetime.now(UTC))  # and here it was killed
        zone = sales.root / ".gitkitchen/store/sandbox" / space
        shutil.rmtree(next(zone.glob("files/*")))
        assert sales.rows("select total from top") == [{"total": 40}]
        said = sales.cli(*command)
        assert said.code == 0, said.err
        left = [p for p in (sales.root / ".gitkitchen").rglob(f"{space}*") if "ledger" not in p.parts]
        assert left == []
        sales.git("switch", "-q", "main")
        sales.git("branch", "-q", "-D", "feature/x")


def test_a_fork_is_dropped_by_its_whole_name(sales: Shop) -> None:
    """A fork's branch is not ours of the same name."""
    assert sales.cli("run", "--quiet", "--kitchen", "me/shop:main").code == 0
    assert sales.cli("drop", "me/shop:patch-1").code == 2
    assert sales.cli("drop", "github.com/me/shop:main").code == 0
    assert sales.rows("select total from top") == [{"total": 40}]


def test_what_cannot_be_removed_is_said(sales: Shop) -> None:
    """A folder without permission: exit 3, what and where; the same command ends the work later."""
    change(sales, "feature/x", 1)
    zone = sales.root / ".gitkitchen/store/sandbox" / namespace_of(sales, "feature/x")
    trap = zone / "files" / "ff"
    trap.mkdir(exist_ok=True)
    link = sales.root / "precious"
    link.mkdir()
    (link / "keep.txt").write_text("mine")
    (trap / "link").symlink_to(link)
    assert sales.cli("drop", "feature/x").code == 0
    assert Path(link / "keep.txt").read_text() == "mine"
    assert not zone.exists()


@pytest.mark.parametrize(
    "words", [["drop"], ["drop", "-x"], ["gc", "--grace", "soon"], ["gc", "--dry-run", "--apply"]]
)
def test_mistaken_use(sales: Shop, words: list[str]) -> None:
    """Nothing, an option, no duration, or both: exit 2."""
    assert sales.cli(*words).code == 2
