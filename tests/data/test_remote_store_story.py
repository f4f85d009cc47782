"""Jobs with empty disks share one store: what one built, the next does not build again."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.data.conftest import aws

from shop import KITCHEN_YML, Shop

RECIPE = """\
version: 1
recipe: sales
nodes:
  orders: {source: {file: orders.csv}, key: [id]}
  lines: {source: {file: lines.csv}, tests: [{rows: {min: 1}}]}
  totals:
    sql: "select country, sum(amount) as total from orders group by country"
    key: [country]
  shares:
    sql: "select country, total / (select sum(total) from totals) as share from totals"
    key: [country]
  seen: {sql: "select * from totals", materialize: view, tests: [{rows: {min: 1}}]}
"""
FILES = {
    "recipes/sales/recipe.yml": RECIPE,
    "recipes/sales/orders.csv": "id,country,amount\n1,DE,10\n2,FR,30\n",
    "recipes/sales/lines.csv": "id,n\n1,2\n",
}


@pytest.fixture(params=["oci", pytest.param("s3", marks=pytest.mark.long)])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`store:` of an empty store of each kind, with what a job needs to reach it.

    S3 is slower, and its client is held to the same contract elsewhere in `make test`.
    """
    name = tmp_path.name.replace("_", "").lower()[-20:]
    if request.param == "oci":
        return f"oci://{request.getfixturevalue('registry_at')}/{name}/shop"
    for key, value in aws(request.getfixturevalue("s3_at")).items():
        monkeypatch.setenv(key, value)
    files: Any = request.getfixturevalue("s3_files")
    files.mkdir(f"bucket-{name}")
    return f"s3://bucket-{name}/shop"


def job(shop: Shop, where: Path, branch: str = "main") -> Shop:
    """A clone on an empty disk, with the ledger of before."""
    subprocess.run(["git", "clone", "-q", str(shop.root), str(where)], check=True)
    made = Shop(where)
    if branch != "main":
        made.git("switch", "-q", "-c", branch)
    ledger = shop.root / ".gitkitchen" / "ledger"
    shutil.copytree(ledger, where / ".gitkitchen" / "ledger")
    return made


def data_files(shop: Shop) -> int:
    return len(list((shop.root / ".gitkitchen" / "cache" / "store").glob("**/files/*/*")))


def actions(shop: Shop) -> dict[str, str]:
    said = shop.cli("plan", "--format", "json")
    assert said.code == 0, said.err
    return {s["node"]: s["action"] for s in json.loads(said.out)["steps"]}


@pytest.mark.long
def test_each_job_begins_with_an_empty_disk(shop: Shop, address: str, tmp_path: Path) -> None:
    """The next job's plan reuses all, a query fetches what it names, and a change builds what changed."""
    shop.commit({"kitchen.yml": f"{KITCHEN_YML}store: {address}\n", **FILES})
    said = shop.cli("run")
    assert said.code == 0, said.out + said.err
    assert not (shop.root / ".gitkitchen" / "store").exists()
    second = job(shop, tmp_path / "second")
    shutil.rmtree(shop.root / ".gitkitchen" / "cache")
    assert set(actions(second).values()) == {"reuse"}
    assert data_files(second) == 0
    assert second.rows("select total from TOTALS order by total") == [{"total": 10}, {"total": 30}]
    assert data_files(second) == 1, "only the dataset that was named"
    assert len(second.rows("from seen")) == 2, "a view reads the files of its inputs"
    assert data_files(second) == 1
    said = second.cli("run")
    assert said.code == 0, said.out + said.err
    assert set(second.states().values()) == {"reused"}
    assert all(t["reused"] for n in second.outcome()["nodes"] for t in n["tests"])
    assert data_files(second) == 1, "reused verdicts need no data"
    third = job(second, tmp_path / "third")
    third.replace("recipes/sales/recipe.yml", "total / (select", "100 * total / (select")
    third.commit()
    said = third.cli("run")
    assert said.code == 0, said.out + said.err
    assert third.states() == dict.fromkeys(["orders", "lines", "totals", "seen"], "reused") | {
        "shares": "passed"
    }
    assert third.rows("select max(share) as m from shares") == [{"m": 75.0}]
    path = Path(third.cli("open", "--path").out.strip())
    assert path.is_file(), "the consumers' file is made where it is asked for"
    assert data_files(third) == 4


@pytest.mark.long
def test_a_sandboxs_candidate_is_another_jobs_too(shop: Shop, address: str, tmp_path: Path) -> None:
    """What a job of a branch built and did not publish, the next job of the branch reuses."""
    shop.commit({"kitchen.yml": f"{KITCHEN_YML}store: {address}\n", **FILES})
    assert shop.cli("run").code == 0
    one = job(shop, tmp_path / "one", "feature")
    assert set(actions(one).values()) == {"reuse"}, "a sandbox starts complete"
    one.replace("recipes/sales/recipe.yml", "sum(amount)", "2 * sum(amount)")
    one.commit()
    assert one.cli("run", "--no-publish").code == 0
    two = job(one, tmp_path / "two", "main")
    two.git("switch", "-q", "-c", "copy")
    again = job(one, tmp_path / "again")
    again.git("switch", "-q", "-C", "feature", "origin/feature")
    assert set(actions(again).values()) == {"reuse"}
    assert again.rows("select max(total) as m from totals") == [{"m": 30}], "it was not published"
    stranger = job(one, tmp_path / "stranger")
    stranger.git("switch", "-q", "-c", "other")
    assert actions(stranger)["totals"] == "run", "another sandbox does not read it"


def test_an_environments_job_adopts_from_another_machine(shop: Shop, address: str, tmp_path: Path) -> None:
    """Bytes that a branch's job built, production's job takes from the store, checks, tests and keeps."""
    shop.commit({"kitchen.yml": f"{KITCHEN_YML}store: {address}\n", **FILES})
    assert shop.cli("run").code == 0
    branch = job(shop, tmp_path / "branch", "feature")
    branch.replace("recipes/sales/recipe.yml", "sum(amount)", "2 * sum(amount)")
    branch.commit()
    assert branch.cli("run").code == 0
    production = job(branch, tmp_path / "production")
    production.git("switch", "-q", "-C", "main", "origin/feature")
    said = production.cli("run")
    assert said.code == 0, said.out + said.err
    nodes = {n["node"]: n for n in production.outcome()["nodes"]}
    assert nodes["totals"]["state"] == nodes["shares"]["state"] == "reused"
    assert nodes["totals"]["reasons"] == ["adopted from feature, tested again"]
    assert not any(t["reused"] for t in nodes["totals"]["tests"])
    after = job(production, tmp_path / "after")
    after.git("switch", "-q", "-C", "main", "origin/main")
    assert after.rows("select max(total) as m from totals") == [{"m": 60}]
    assert set(actions(after).values()) == {"reuse"}


@pytest.mark.long
def test_a_store_that_cannot_be_reached_is_no_verdict(shop: Shop) -> None:
    """Exit code 3, the address, what to do; nothing is published, and nothing of a login is shown."""
    shop.commit({"kitchen.yml": f"{KITCHEN_YML}store: oci://127.0.0.1:9/team/x\n", **FILES})
    assert shop.cli("validate").code == 0
    said = shop.cli("run")
    assert said.code == 3
    assert "the store oci://127.0.0.1:9/team/x: reading a build: the connection failed" in said.err
    assert "passed" not in shop.cli("log").out
