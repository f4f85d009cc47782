"""A kitchen is born while the ledger's remote is away: it works, says so, and is claimed once later."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from shop import KITCHEN_YML, Shop

RECIPE = """\
version: 1
recipe: orders
nodes:
  orders: {sql: "select 1 as id, 'eu' as region", key: [id]}
"""


@pytest.fixture
def remote(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop's remote, with production published by a job."""
    shop.commit({"kitchen.yml": KITCHEN_YML + "ledger: branch\n", "recipes/orders/recipe.yml": RECIPE})
    shop.git("clone", "-q", "--bare", str(shop.root), str(tmp_path / "remote.git"))
    shop.git("remote", "add", "origin", (tmp_path / "remote.git").as_uri())
    with monkeypatch.context() as job:
        for key, value in {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_REF": "refs/heads/main",
        }.items():
            job.setenv(key, value)
        assert shop.cli("run", "--quiet").code == 0
    return tmp_path / "remote.git"


def away(remote: Path) -> None:
    remote.rename(remote.with_suffix(".away"))


def back(remote: Path) -> None:
    remote.with_suffix(".away").rename(remote)


def births(remote: Path) -> list[str]:
    """The registry's records on the remote: namespaces, each as often as it was written to."""
    paths = Shop(remote).git("ls-tree", "-r", "--name-only", "gitkitchen-ledger").splitlines()
    return [p.split("/")[2] for p in paths if p.startswith("kitchens/") and "k_main" not in p]


def change(shop: Shop, region: str) -> None:
    shop.commit({"recipes/orders/recipe.yml": RECIPE.replace("'eu'", f"'{region}'")})


@pytest.mark.long
def test_a_sandbox_that_begins_offline_is_claimed_by_its_next_run(shop: Shop, remote: Path) -> None:
    """Offline: green, a candidate that can be queried. Online: claimed once, published, reused."""
    shop.git("switch", "-q", "-c", "fix")
    change(shop, "us")
    away(remote)
    for _ in range(2):
        said = shop.cli("run")
        assert said.code == 0, said.out + said.err
        assert shop.outcome()["publication"]["state"] == "withheld"
        assert shop.rows("from orders", "--candidate", "last") == [{"id": 1, "region": "us"}]
        assert shop.rows("from orders") == [{"id": 1, "region": "eu"}], "its base, as it was seen last"
    assert "fix" in shop.cli("kitchens").out
    back(remote)
    assert births(remote) == []
    said = shop.cli("run")
    assert said.code == 0, said.out + said.err
    assert shop.outcome()["publication"]["state"] == "published"
    assert shop.states() == {"orders": "reused"}
    assert len(births(remote)) == 1
    assert shop.rows("from orders") == [{"id": 1, "region": "us"}]
    runs = json.loads(shop.cli("log", "--json").out)["runs"]
    assert len(runs) == len({r["run"] for r in runs}) == 3, "the records of the runs offline came home"


@pytest.mark.long
def test_two_clones_that_begin_one_branch_offline_share_one_birth(
    shop: Shop, remote: Path, tmp_path: Path
) -> None:
    """Both work without the remote; then both claim, in any order: one kitchen, one birth."""
    shop.git("switch", "-q", "-c", "fix")
    change(shop, "us")
    shop.git("push", "-q", "origin", "fix")
    Shop(tmp_path).git("clone", "-q", "-b", "fix", remote.as_uri(), "other")
    other = Shop(tmp_path / "other")
    other.git("config", "user.name", "A")
    other.git("config", "user.email", "a@example.org")
    away(remote)
    for each in (shop, other):
        assert each.cli("run", "--quiet").code == 0
    back(remote)
    for each in (other, shop):
        said = each.cli("run", "--quiet")
        assert said.code == 0, said.out + said.err
    assert len(births(remote)) == 1
    assert shop.outcome()["kitchen"]["namespace"] == other.outcome()["kitchen"]["namespace"]


@pytest.mark.long
def test_a_branch_made_again_offline_is_a_new_birth(shop: Shop, remote: Path) -> None:
    """What the branch of before published is not seen in it, neither offline nor when it is claimed."""
    shop.git("switch", "-q", "-c", "fix")
    change(shop, "us")
    assert shop.cli("run", "--quiet").code == 0
    first = shop.outcome()["kitchen"]["namespace"]
    shop.git("switch", "-q", "main")
    shop.git("branch", "-q", "-D", "fix")
    away(remote)
    time.sleep(1.1)  # births of one second are told apart by nothing
    shop.git("switch", "-q", "-c", "fix")
    change(shop, "fr")
    for _ in range(2):
        assert shop.cli("run", "--quiet").code == 0
        assert shop.outcome()["kitchen"]["namespace"] != first
        assert shop.rows("from orders") == [{"id": 1, "region": "eu"}]
    second = shop.outcome()["kitchen"]["namespace"]
    back(remote)
    assert shop.cli("run", "--quiet").code == 0
    assert shop.outcome()["kitchen"]["namespace"] == second
    assert shop.rows("from orders") == [{"id": 1, "region": "fr"}]
    assert sorted(births(remote)) == sorted([first, first, second]), "one birth and end, and one birth"


@pytest.mark.long
def test_a_kitchen_dropped_elsewhere_while_this_clone_was_offline_begins_anew(
    shop: Shop, remote: Path, tmp_path: Path
) -> None:
    """Offline it goes on in the kitchen that it knows, and publishes nothing; online it is born anew."""
    shop.git("switch", "-q", "-c", "fix")
    change(shop, "us")
    shop.git("push", "-q", "origin", "fix")
    assert shop.cli("run", "--quiet").code == 0
    first = shop.outcome()["kitchen"]["namespace"]
    Shop(tmp_path).git("clone", "-q", remote.as_uri(), "other")
    assert Shop(tmp_path / "other").cli("drop", "fix").code == 0
    away(remote)
    change(shop, "fr")
    assert shop.cli("run", "--quiet").code == 0
    assert shop.outcome()["publication"]["state"] == "withheld"
    back(remote)
    said = shop.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    assert shop.outcome()["kitchen"]["namespace"] != first
    assert shop.outcome()["publication"]["state"] == "published"
    assert shop.rows("from orders") == [{"id": 1, "region": "fr"}]


@pytest.mark.long
def test_a_job_that_may_not_write_the_ledger_runs_in_a_kitchen_of_its_own(shop: Shop, remote: Path) -> None:
    """A read-only token: the claim is refused, the run is green, and nothing is written on the remote."""
    shop.git("switch", "-q", "-c", "fix")
    change(shop, "us")
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'remote: Permission to it denied' >&2\nexit 1\n")
    hook.chmod(0o755)
    said = shop.cli("run")
    assert said.code == 0, said.out + said.err
    assert shop.outcome()["publication"]["state"] == "withheld"
    assert births(remote) == []
    hook.unlink()
    assert shop.cli("run").code == 0
    assert len(births(remote)) == 1
