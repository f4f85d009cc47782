"""`ledger: branch` with a store on another machine: jobs and laptops that share nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.data.conftest import aws

from shop import Said, Shop

pytestmark = pytest.mark.long

KITCHEN = """\
version: 1
project: {{name: shop, id: 0123456789abcdef}}
environments:
  prod: {{branch: main}}
sandboxes: {{base: prod, ttl: 30d}}
ledger: branch
store: {address}
"""
RECIPE = """\
version: 1
recipe: sales
nodes:
  orders: {source: {file: orders.csv}, key: [id]}
  totals:
    sql: "select country, sum(amount) as total from orders group by country"
    key: [country]
  shares:
    sql: "select country, total / (select sum(total) from totals) as share from totals"
    key: [country]
  seen: {sql: "select * from totals", materialize: view, tests: [{rows: {min: 1}}]}
"""
ORDERS = "id,country,amount\n1,DE,10\n2,FR,30\n"
JOB = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main",
       "RUNNER_ENVIRONMENT": "github-hosted"}  # fmt: skip
SOON = ("--grace", "0s", "--keep", "0s")


@dataclass(frozen=True)
class Machine(Shop):
    """A clone with a home and a disk of its own; commands are processes."""

    home: Path = Path()
    environ: Mapping[str, str] = field(default_factory=dict)

    def env(self, extra: Mapping[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "RUNNER_", "GITKITCHEN"))}
        return {**kept, "HOME": str(self.home), **self.environ, **extra}

    def cli(self, *words: str, **extra: str) -> Said:
        argv = [sys.executable, "-m", "gitkitchen", "-C", str(self.root), *words]
        done = subprocess.run(argv, capture_output=True, text=True, env=self.env(extra), timeout=240)
        return Said(done.returncode, done.stdout, done.stderr)

    def job(self, *words: str) -> Said:
        return self.cli(*words, **JOB)

    def ok(self, *words: str, **extra: str) -> str:
        said = self.cli(*words, **extra)
        assert said.code == 0, (words, said.out, said.err)
        return said.out

    def lose_disk(self) -> None:
        shutil.rmtree(self.root / ".gitkitchen", ignore_errors=True)

    def data_files(self) -> int:
        return len(list((self.root / ".gitkitchen/cache/store").glob("**/files/*/*")))


@dataclass(frozen=True)
class World:
    """A host of Git, a store, and machines that reach both."""

    folder: Path
    address: str
    environ: Mapping[str, str]

    @property
    def remote(self) -> Path:
        return self.folder / "host.git"

    def machine(self, name: str, branch: str = "main", *options: str) -> Machine:
        home = self.folder / f"home-{name}"
        home.mkdir()
        (home / ".gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
        git = ["git", "clone", "-q", *options, self.remote.as_uri(), str(self.folder / name)]
        subprocess.run(git, check=True, capture_output=True)
        made = Machine(self.folder / name, home, self.environ)
        made.git("config", "user.name", "A")
        made.git("config", "user.email", "a@example.org")
        if branch != "main":
            exists = made.git("ls-remote", "origin", f"refs/heads/{branch}")
            made.git("switch", "-q", *([] if exists else ["-c"]), branch)
        return made

    def hook(self, name: str, script: str) -> None:
        path = self.remote / "hooks" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def publications(self) -> list[str]:
        paths = subprocess.run(
            ["git", "ls-tree", "-r", "--name-only", "gitkitchen-ledger"],
            cwd=self.remote, check=True, capture_output=True, text=True,
        ).stdout.splitlines()  # fmt: skip
        return [p for p in paths if p.startswith("publications/")]

    def held(self) -> set[tuple[str, str, str]]:
        """(zone, what, name) of everything in the store but notes."""
        from gitkitchen.data.stores.opening import open_remote
        from gitkitchen.kitchen.stores import parse_store

        remote: Any = open_remote(parse_store(self.address), {"HOME": str(self.folder)})
        return {
            (zone, t.what, t.name)
            for zone, things in remote.inventory().items()
            for t in things
            if t.what != "note"
        }


@pytest.fixture(params=["oci", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project in a bare repository, with an empty store of each kind. Nothing ran yet."""
    name = tmp_path.name.replace("_", "").lower()[-20:]
    environ: dict[str, str] = {}
    if request.param == "oci":
        address = f"oci://{request.getfixturevalue('registry_at')}/{name}/shop"
    else:
        environ = aws(request.getfixturevalue("s3_at"))
        for key, value in environ.items():
            monkeypatch.setenv(key, value)
        files: Any = request.getfixturevalue("s3_files")
        files.mkdir(f"bucket-{name}")
        address = f"s3://bucket-{name}/shop"
    seed = Shop.begun(tmp_path / "seed")
    seed.commit({
        "kitchen.yml": KITCHEN.format(address=address), "recipes/sales/recipe.yml": RECIPE,
        "recipes/sales/orders.csv": ORDERS, ".gitignore": ".gitkitchen/\n",
    })  # fmt: skip
    seed.git("clone", "-q", "--bare", str(seed.root), str(tmp_path / "host.git"))
    subprocess.run(["git", "config", "uploadpack.allowFilter", "true"], cwd=tmp_path / "host.git", check=True)
    return World(tmp_path, address, environ)


def total(machine: Machine, *options: str) -> float:
    return float(machine.rows("select sum(total) as t from totals", *options)[0]["t"])


def test_a_change_from_branch_to_production_over_seven_machines(world: World) -> None:
    """Published by a job, seen by a laptop; changed on one machine, queried on another, adopted by a job;
    dropped, collected; and no machine's disk matters to any other."""
    first = world.machine("first")
    said = first.job("run")
    assert said.code == 0, said.out + said.err
    assert first.outcome()["publication"]["state"] == "published"
    shutil.rmtree(first.root)

    laptop = world.machine("laptop")
    assert total(laptop) == 40
    assert laptop.data_files() == 1
    laptop.ok("run")
    assert laptop.outcome()["publication"]["state"] == "withheld"
    assert set(laptop.states().values()) == {"reused"}

    author = world.machine("author", "feature/double")
    author.replace("recipes/sales/recipe.yml", "sum(amount)", "2 * sum(amount)")
    author.commit()
    author.git("push", "-q", "origin", "feature/double")
    author.ok("run")
    assert author.states() == {"orders": "reused", "totals": "passed", "shares": "passed", "seen": "passed"}
    author.lose_disk()
    assert total(author) == 80, "the loss of a disk loses nothing"

    reviewer = world.machine("reviewer", "feature/double")
    assert total(reviewer) == 80
    assert total(laptop) == 40, "production is untouched"
    assert "feature/double" in reviewer.ok("kitchens")

    author.git("switch", "-q", "main")
    author.git("merge", "-q", "--ff-only", "feature/double")
    author.git("push", "-q", "origin", "main")
    production = world.machine("production")
    said = production.job("run")
    assert said.code == 0, said.out + said.err
    nodes = {n["node"]: n for n in production.outcome()["nodes"]}
    assert nodes["totals"]["reasons"] == ["adopted from feature/double, tested again"]
    assert production.outcome()["publication"]["state"] == "published"
    assert total(laptop) == 80
    shutil.rmtree(production.root)

    author.git("push", "-q", "origin", ":feature/double")
    author.ok("drop", "feature/double")
    assert not any(zone.startswith("sandbox/") and "double" in zone for zone, _, _ in world.held())

    collector = world.machine("collector")
    before = world.held()
    dry = json.loads(collector.job("gc", "--json", *SOON).out)
    assert world.held() == before
    assert dry["marked"]
    assert dry["items"] == []
    assert collector.job("gc", "--apply", *SOON).code == 0
    assert world.held() == before, "the first visit only marks"
    shutil.rmtree(collector.root)
    second = world.machine("second")
    done = json.loads(second.job("gc", "--apply", "--json", *SOON).out)
    assert {i["path"] for i in dry["marked"]} == {i["path"] for i in done["items"]}
    assert len(world.held()) < len(before)
    fresh = world.machine("fresh")
    assert total(fresh) == 80
    assert len(fresh.rows("from shares")) == 2
    assert len(fresh.rows("from seen")) == 2
    fresh.ok("run")
    assert set(fresh.states().values()) == {"reused"}
    assert total(laptop) == 80
    assert json.loads(second.job("gc", "--apply", "--json", *SOON).out)["items"] == []


@pytest.mark.parametrize("when", ["pre-receive", "post-receive"])
def test_a_job_that_is_killed_at_its_publication_is_ended_by_the_next(world: World, when: str) -> None:
    """kill -9 after the store has all and before, or after, the ledger has it: one publication in the end."""
    flag = world.folder / "reached"
    # Only the push that publishes: the lease went through before.
    script = (
        'read old new ref; if git diff-tree -r --name-only "$new" | grep -q "^publications/"; then '
        f'touch "{flag}"; sleep 30; exit {1 if when == "pre-receive" else 0}; fi'
    )
    world.hook(when, script)
    doomed = world.machine("doomed")
    process = subprocess.Popen(
        [sys.executable, "-m", "gitkitchen", "-C", str(doomed.root), "run"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=doomed.env(JOB), start_new_session=True,
    )  # fmt: skip
    for _ in range(600):
        if flag.exists():
            break
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (world.remote / "hooks" / when).unlink()
    held = world.held()
    assert any(what == "build" for _, what, _ in held), "the store has what was built"
    shutil.rmtree(doomed.root)
    # The dead job's lease runs out by itself; the clock of this test does not wait for a quarter of an hour.
    _expire_lease(world)
    after = world.machine("after")
    said = after.job("run")
    assert said.code == 0, said.out + said.err
    assert set(after.states().values()) == {"reused"}, "nothing is built twice"
    assert len(world.publications()) == 1
    assert {h for h in world.held() if h[1] == "build"} == {h for h in held if h[1] == "build"}
    assert total(world.machine("reader")) == 40
    assert json.loads(after.ok("log", "--json"))["runs"]


def _expire_lease(world: World) -> None:
    """Rewrite the lease of a dead job as one that ran out, as its clock would."""
    editor = world.folder / "editor"
    git = ["git", "clone", "-q", "-b", "gitkitchen-ledger", world.remote.as_uri(), str(editor)]
    subprocess.run(git, check=True, capture_output=True)
    for path in editor.glob("@leases/**/lease.json"):
        value = json.loads(path.read_text())
        value["expires"] = "2020-01-01T00:00:00+00:00"
        path.write_text(json.dumps(value))
    Shop(editor).commit()
    Shop(editor).git("push", "-q", "origin", "HEAD")


@pytest.mark.parametrize(
    "options", [["--depth=1"], ["--filter=blob:none"], ["--depth=1", "--single-branch"], []]
)
def test_a_clone_of_any_kind_runs_and_fetches_little(world: World, options: list[str]) -> None:
    """What actions/checkout makes (one commit), a partial clone, a whole one: all publish, and a shallow one
    does not bring the ledger's history."""
    for number in range(6):
        made = world.machine(f"load{number}")
        made.replace("recipes/sales/orders.csv", "1,DE,", f"1,DE,{number + 1}")
        made.commit()
        made.git("push", "-q", "origin", "main")
        assert made.job("run").code == 0
        shutil.rmtree(made.root)
    machine = world.machine("job", "main", *options)
    assert machine.job("run").code == 0
    known = machine.git("rev-list", "--count", "refs/gitkitchen/ledger/origin")
    if "--depth=1" in options:
        assert int(known) <= 5, "only the newest state, and what this run added"
    assert set(machine.states().values()) == {"reused"}
    assert machine.job("gc").code == 0
