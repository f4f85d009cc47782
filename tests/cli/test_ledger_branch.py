"""`ledger: branch` as its users meet it: laptops, jobs and several clones see one truth."""

from __future__ import annotations

import json
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
def remote(shop: Shop, tmp_path: Path) -> Path:
    """The shop's remote; the shop itself keeps its ledger there."""
    shop.commit({"kitchen.yml": KITCHEN_YML + "ledger: branch\n", "recipes/orders/recipe.yml": RECIPE})
    shop.git("clone", "-q", "--bare", str(shop.root), str(tmp_path / "remote.git"))
    shop.git("remote", "add", "origin", (tmp_path / "remote.git").as_uri())
    return tmp_path / "remote.git"


def clone(remote: Path, name: str) -> Shop:
    """Another clone, with the store of the first: what a shared store will be."""
    made = Shop(remote.parent / name)
    Shop(remote.parent).git("clone", "-q", remote.as_uri(), name)
    (made.root / ".gitkitchen").mkdir()
    (made.root / ".gitkitchen/store").symlink_to(remote.parent / "shop/.gitkitchen/store")
    return made


def as_job(monkeypatch: pytest.MonkeyPatch, event: str = "push", ref: str = "refs/heads/main") -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", event)
    monkeypatch.setenv("GITHUB_REF", ref)


def test_a_laptop_makes_a_candidate_and_a_job_publishes(
    shop: Shop, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an environment's branch a local run is green, publishes nothing and says why; the job publishes."""
    said = shop.cli("run")
    assert said.code == 0
    assert "environment 'prod' is published by jobs on branch 'main' alone" in " ".join(said.out.split())
    assert shop.outcome()["publication"]["state"] == "withheld"
    assert shop.rows("select * from orders", "--candidate", "last") == [{"id": 1, "region": "eu"}]
    said = shop.cli("query", "from orders")
    assert said.code == 2
    assert "kitchen 'prod' has published nothing yet; `--candidate last` reads what" in said.err
    as_job(monkeypatch)
    assert shop.cli("run").code == 0
    assert shop.outcome()["publication"]["state"] == "published"
    other = clone(remote, "other")
    assert other.rows("from orders") == [{"id": 1, "region": "eu"}]
    runs = json.loads(other.cli("log", "--json").out)["runs"]
    assert [r["publication"]["state"] for r in runs] == ["published", "withheld"]


def test_a_sandbox_publishes_from_anywhere_to_itself(
    shop: Shop, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch's own catalog is one on a laptop, in a job and in another clone; its base is untouched."""
    as_job(monkeypatch)
    assert shop.cli("run").code == 0
    monkeypatch.undo()
    shop.git("switch", "-q", "-c", "fix")
    shop.replace("recipes/orders/recipe.yml", "'eu'", "'us'")
    shop.commit()
    shop.git("push", "-q", "origin", "fix")
    assert shop.cli("run").code == 0
    other = clone(remote, "other")
    assert other.rows("from orders") == [{"id": 1, "region": "eu"}]
    other.git("switch", "-q", "fix")
    assert other.rows("from orders") == [{"id": 1, "region": "us"}]
    as_job(monkeypatch, "pull_request", "refs/pull/1/merge")
    assert other.cli("run").code == 0
    assert other.outcome()["publication"]["state"] == "unchanged"


@pytest.mark.long
def test_offline(shop: Shop, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the remote: what is known is shown, a run makes a candidate, its record waits."""
    as_job(monkeypatch)
    assert shop.cli("run").code == 0
    away = remote.rename(remote.with_name("away"))
    monkeypatch.undo()
    said = shop.cli("query", "from orders", "--format", "json")
    assert (said.code, json.loads(said.out)) == (0, [{"id": 1, "region": "eu"}])
    assert "the ledger's remote could not be asked (origin: " in said.err
    shop.git("switch", "-q", "-c", "fix")
    shop.replace("recipes/orders/recipe.yml", "'eu'", "'us'")
    shop.commit()
    said = shop.cli("run")
    assert said.code == 0
    assert "a record is kept in the outbox of this clone" in said.err
    assert "Traceback" not in said.err
    assert shop.outcome()["publication"]["state"] == "withheld"
    away.rename(remote)
    (row,) = json.loads(shop.cli("log", "--json").out)["runs"]
    assert row["publication"]["state"] == "withheld"
    other = clone(remote, "other")
    assert len(json.loads(other.cli("log", "--kitchen", "prod", "--json").out)["runs"]) == 1
    assert shop.cli("run").code == 0
    assert shop.outcome()["publication"]["state"] == "published"


def test_a_job_that_cannot_publish_is_not_green(
    shop: Shop, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2, S24: where an environment was to be published and the ledger is away, the run ends with 3."""
    as_job(monkeypatch)
    remote.rename(remote.with_name("away"))
    assert shop.cli("run").code == 3
    outcome = shop.outcome()
    assert (outcome["verdict"], outcome["publication"]["state"]) == ("could_not_check", "withheld")
    remote.with_name("away").rename(remote)
    assert shop.cli("run").code == 0
    assert shop.outcome()["publication"]["state"] == "published"


@pytest.mark.long
def test_a_remote_that_dies_before_the_commit_point(
    shop: Shop, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says "published" before the remote has it: refused then, the data stays a candidate."""
    as_job(monkeypatch)
    hook = remote / "hooks/update"
    # The lease passes; the publication and all that follows are refused.
    hook.write_text(
        "#!/bin/bash\ngit diff-tree -r --root --name-only $3 | grep -q ^publications/ && exit 1; exit 0\n"
    )
    hook.chmod(0o755)
    said = shop.cli("run")
    assert said.code == 3
    assert shop.outcome()["publication"]["state"] == "withheld"
    assert not (shop.root / ".gitkitchen/views/prod.duckdb").exists()
    hook.unlink()
    assert shop.cli("run").code == 0
    assert shop.rows("from orders") == [{"id": 1, "region": "eu"}]


def test_without_a_remote(shop: Shop) -> None:
    """A repository that has no remote keeps the branch itself, and its sandboxes work."""
    shop.commit({"kitchen.yml": KITCHEN_YML + "ledger: branch\n", "recipes/orders/recipe.yml": RECIPE})
    shop.git("switch", "-q", "-c", "fix")
    assert shop.cli("run").code == 0
    assert shop.rows("from orders") == [{"id": 1, "region": "eu"}]
    assert "runs/" in shop.git("ls-tree", "-r", "--name-only", "gitkitchen-ledger")
    assert shop.git("status", "--porcelain") == ""


@pytest.mark.long
def test_kitchens_are_listed_and_dropped_from_any_clone(
    shop: Shop, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry is where the ledger is: another clone lists a sandbox, drops it, and its own next run here
    begins anew; a branch that this clone never worked in is not taken for gone."""
    as_job(monkeypatch)
    assert shop.cli("run").code == 0
    monkeypatch.undo()
    shop.git("switch", "-q", "-c", "fix")
    assert shop.cli("run").code == 0
    first = shop.outcome()["kitchen"]["namespace"]
    other = clone(remote, "other")
    rows = json.loads(other.cli("kitchens", "--json").out)["kitchens"]
    assert [(r["kitchen"], r["exists"], r["last"]["verdict"]) for r in rows] == [
        ("prod", True, "passed"),
        ("fix", None, "passed"),
    ]
    said = other.cli("drop", "fix")
    assert said.code == 0, said.err
    assert shop.cli("run").code == 0
    assert shop.outcome()["kitchen"]["namespace"] != first
