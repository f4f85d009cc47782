"""Jobs with empty disks: tables in a warehouse, files and verdicts in a remote store, ledger on a branch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.data.conftest import aws
from tests.data.servers import object_store, registry
from tests.engines.conftest import CONNECTION

from shop import KITCHEN_YML, Shop

Client = psycopg.Connection[Any]
RECIPE = """\
version: 1
recipe: sales
nodes:
  orders: {source: {file: orders.csv}, key: [id]}
  totals:
    sql: "select country, sum(amount)::bigint as total from orders group by country"
    key: [country]
    tests: [{range: {column: total, min: 0, max: 1000}}]
  note:
    run: head -c 5 words.txt > "$GITKITCHEN_OUTPUT_NOTE"
    files: [words.txt]
    outputs: {note: note.txt}
  length:
    needs: [note, totals]
    python: step.py:length
    tests: [{rows: {min: 1}}]
"""
STEP = """\
import pathlib

def length(note, totals):
    text = pathlib.Path(note).read_text()
    return totals.project(f"country, {len(text)}::bigint as n")
"""
FILES = {
    "recipes/sales/recipe.yml": RECIPE,
    "recipes/sales/orders.csv": "id,country,amount\n1,DE,10\n2,FR,30\n",
    "recipes/sales/words.txt": "hello world\n",
    "recipes/sales/step.py": STEP,
}


@pytest.fixture(scope="module")
def oci_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry: ``127.0.0.1:PORT``."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def s3_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks S3."""
    with object_store(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture(params=["oci", pytest.param("s3", marks=pytest.mark.long)])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`store:` of an empty store of each kind, with what a job needs to reach it."""
    if request.param == "oci":
        return f"oci://{request.getfixturevalue('oci_at')}/team/shop"
    import s3fs

    given = aws(request.getfixturevalue("s3_at"))
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    files = s3fs.S3FileSystem(
        key=given["AWS_ACCESS_KEY_ID"],
        secret=given["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=given["AWS_ENDPOINT_URL"],
        skip_instance_cache=True,
    )
    files.mkdir("warehouse-jobs")
    return "s3://warehouse-jobs/shop"


class Runner:
    """Hosted runners: every job is a fresh clone of what was pushed."""

    def __init__(self, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.remote, self.set, self.count = remote, monkeypatch.setenv, 0

    def job(self, branch: str) -> Shop:
        self.count += 1
        made = Shop(self.remote.parent / f"job{self.count}")
        argv = ["git", "clone", "-q", "--branch", branch, self.remote.as_uri(), str(made.root)]
        subprocess.run(argv, check=True)
        for key, value in (
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_REF", f"refs/heads/{branch}"),
            ("GITHUB_REF_NAME", branch),
            ("RUNNER_ENVIRONMENT", "github-hosted"),
        ):
            self.set(key, value)
        return made

    def run(self, branch: str) -> tuple[Shop, dict[str, Any]]:
        made = self.job(branch)
        said = made.cli("run", "--quiet")
        assert said.code == 0, said.out + said.err
        return made, made.outcome()


def nodes(outcome: dict[str, Any]) -> dict[str, str]:
    return {n["node"]: n["state"] for n in outcome["nodes"]}


@pytest.mark.long
def test_jobs_with_empty_disks_share_tables_files_and_verdicts(
    shop: Shop, database: str, boss: Client, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one job built, tested and published, the next neither builds nor judges again; a branch's tables
    and files are adopted by production's job on another machine."""
    text = f"{KITCHEN_YML}{CONNECTION}store: {address}\nledger: branch\n"
    shop.commit({"kitchen.yml": text, ".gitignore": ".gitkitchen/\n", **FILES})
    shop.git("clone", "-q", "--bare", str(shop.root), str(tmp_path / "remote.git"))
    shop.git("remote", "add", "origin", (tmp_path / "remote.git").as_uri())
    hosted = Runner(tmp_path / "remote.git", monkeypatch)
    _, first = hosted.run("main")
    assert set(nodes(first).values()) == {"passed"}
    assert first["publication"]["state"] == "published"
    again, second = hosted.run("main")
    assert set(nodes(second).values()) == {"reused"}
    assert all(t["reused"] for n in second["nodes"] for t in n["tests"]), "verdicts are evidence elsewhere"
    assert second["publication"]["state"] == "unchanged"
    assert not list((again.root / ".gitkitchen/cache/store").glob("**/files/*/*")), "no data was fetched"
    # A branch changes both a table and a file; what is below reads them on an empty disk.
    shop.git("switch", "-q", "-c", "feature")
    shop.replace("recipes/sales/recipe.yml", "head -c 5", "head -c 7")
    shop.replace("recipes/sales/recipe.yml", "sum(amount)::", "sum(2 * amount)::")
    shop.commit()
    shop.git("push", "-q", "origin", "feature")
    _, branch = hosted.run("feature")
    assert nodes(branch) == {"orders": "reused", "totals": "passed", "note": "passed", "length": "passed"}
    assert boss.execute("SELECT n FROM prod.length LIMIT 1").fetchone() == (5,)
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--ff-only", "feature")
    shop.git("push", "-q", "origin", "main")
    _, third = hosted.run("main")
    why = {n["node"]: n["reasons"] for n in third["nodes"]}
    assert nodes(third) == dict.fromkeys(("orders", "totals", "note", "length"), "reused")
    assert why["note"] == ["adopted from feature; it has no tests"]
    assert why["totals"] == why["length"] == ["adopted from feature, tested again"]
    assert not any(t["reused"] for n in third["nodes"] for t in n["tests"] if n["node"] == "totals")
    assert third["publication"]["state"] == "published"
    assert boss.execute("SELECT n FROM prod.length LIMIT 1").fetchone() == (7,)
    # The file that production adopted is production's: the sandbox goes, and a job on an empty disk reads it.
    shop.replace("recipes/sales/step.py", "{len(text)}", "100 + {len(text)}")
    shop.commit()
    shop.git("push", "-q", "origin", "main")
    _, fourth = hosted.run("main")
    assert nodes(fourth)["length"] == "passed"
    assert boss.execute("SELECT n FROM prod.length LIMIT 1").fetchone() == (107,)
    runs = json.loads(hosted.job("main").cli("log", "--json", "--kitchen", "prod").out)["runs"]
    assert len(runs) == 4
