"""Jobs and laptops before a real registry that lets not everybody in, as ghcr.io with private packages."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.data.servers import guarded_registry, login

import occasions
from shop import KITCHEN_YML, Said, Shop

RECIPES = {
    "recipes/orders/recipe.yml": "version: 1\nrecipe: orders\nnodes:\n"
    "  raw: {source: {file: raw.csv}, key: [id]}\n  orders: {sql: orders.sql, key: [id]}\n",
    "recipes/orders/orders.sql": "select * from raw",
    "recipes/orders/raw.csv": "id,region\n1,eu\n2,us\n",
    "recipes/totals/recipe.yml": "version: 1\nrecipe: totals\nnodes:\n"
    '  totals: {sql: "select region, count(*) as n from orders group by region", key: [region]}\n',
}
RIGHTS = {
    "publisher": {"trusted": ["pull", "push"], "sandbox": ["pull", "push"]},
    "reader": {"trusted": ["pull"]},  # of what does not exist, or is none of theirs, nobody is told more
    "nobody": {},
}
PUBLIC = RIGHTS | {"": {"trusted": ["pull"]}}


@dataclass(frozen=True)
class Site:
    """A project whose remote and whose store are on servers."""

    registry: str
    folder: Path
    shop: Shop

    def clone(self, name: str) -> Shop:
        """An empty disk: a job's, or another laptop's."""
        made = Shop(self.folder / name)
        made.root.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["git", "clone", "-q", (self.folder / "origin.git").as_uri(), str(made.root)], check=True
        )
        return made

    @contextmanager
    def as_user(self, user: str, **more: str) -> Iterator[None]:
        """The environment of somebody who is logged in as ``user``, "" for nobody."""
        before = dict(os.environ)
        home = login(self.folder, self.registry, user) if user else self.folder / "no-docker"
        os.environ |= {"DOCKER_CONFIG": str(home), **more}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def job(self, user: str, name: str, event: Mapping[str, object], sha: str) -> tuple[Said, Shop]:
        """A job of GitHub Actions on an empty disk, with the rights of ``user``."""
        where = self.clone(f"job-{len(list(self.folder.glob('job-*')))}")
        where.git("checkout", "-q", *(["main"] if name == "push" else ["--detach", "origin/main"]))
        # What `permissions: {contents: read}` means for the ledger's branch.
        hook = self.folder / "origin.git/hooks/pre-receive"
        hook.write_text(f"#!/bin/sh\nexit {int(name == 'pull_request')}\n")
        hook.chmod(0o755)
        path = self.folder / "event.json"
        path.write_text(json.dumps(event))
        given = occasions.environ(
            name, GITHUB_EVENT_PATH=str(path), GITHUB_WORKSPACE=str(where.root), GITHUB_SHA=sha
        )
        with self.as_user(user, **given):
            return where.cli("ci", "--quiet"), where

    def published(self) -> None:
        main = self.shop.git("rev-parse", "main")
        said, _ = self.job("publisher", "push", occasions.push("main", after=main), main)
        assert said.code == 0, said.out + said.err

    def pull(self, user: str) -> tuple[Said, Shop]:
        """The job of a pull request that changes `totals`."""
        head, base = self.shop.git("rev-parse", "feature"), self.shop.git("rev-parse", "main")
        return self.job(user, "pull_request", occasions.pull(head_sha=head, base_sha=base), head)


@contextmanager
def site(tmp_path: Path, rights: Mapping[str, Mapping[str, list[str]]]) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with guarded_registry(folder, rights, strict=True) as address:
        shop = Shop(tmp_path / "shop")
        subprocess.run(["git", "init", "-q", "-b", "main", str(shop.root)], check=True)
        kitchen = f"{KITCHEN_YML}ledger: branch\nstore: oci://{address}/acme/shop\n"
        shop.commit({"kitchen.yml": kitchen, ".gitignore": ".gitkitchen/\n", **RECIPES})
        shop.git("switch", "-q", "-c", "feature")
        shop.replace("recipes/orders/orders.sql", "*", "id, upper(region) as region")
        shop.commit()
        shop.git("clone", "-q", "--bare", str(shop.root), str(folder / "origin.git"))
        yield Site(address, folder, shop)


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, RIGHTS) as made:
        yield made


def states(shop: Shop, recipe: str) -> dict[str, str]:
    found = json.loads((shop.root / f"gitkitchen-results/{recipe}.outcome.json").read_text())
    return {n["node"]: n["state"] for n in found["nodes"]}


@pytest.mark.long
def test_a_private_store_is_read_by_people_of_the_repository(private: Site) -> None:
    """Before anything is published, a pull request is tested although the registry refuses what does not
    exist; then an environment's job publishes; then a job that may only read reuses what was published,
    builds what changed, and tests the next recipe on it. It writes nothing, neither there nor to the
    ledger."""
    said, shop = private.pull("nobody")
    assert said.code == 0, said.out + said.err
    assert states(shop, "totals") == {"totals": "passed"}
    private.published()
    before = Shop(private.folder / "origin.git").git("for-each-ref")
    said, shop = private.pull("reader")
    assert said.code == 0, said.out + said.err
    assert states(shop, "orders") == {"raw": "reused", "orders": "passed"}
    assert states(shop, "totals") == {"totals": "passed"}
    tags = list((private.folder / "guarded/blobs").glob("**/repositories/acme/shop/*"))
    assert {p.name for p in tags} == {"trusted"}
    ledger = Shop(private.folder / "origin.git").git("for-each-ref")
    assert ledger == before


@pytest.mark.long
def test_a_stranger_does_not_read_it_and_is_not_green(private: Site) -> None:
    """A fork's job, without a login or with a token that may read nothing, ends with 3; what could not run is
    named with the reason and what to do; nothing is passed off as tested."""
    private.published()
    for user in ("", "nobody"):
        said, shop = private.pull(user)
        assert said.code == 3, said.out + said.err
        results = shop.root / "gitkitchen-results"
        problems = json.loads((results / "problems.json").read_text())["problems"]
        assert "it answered 40" in problems[0]["message"]
        assert "`packages: read`" in problems[0]["hint"]
        lost = json.loads((results / "pull.json").read_text())["not_tested"]
        assert {one["recipe"] for one in lost if one["blocks"]} == {"orders", "totals"}
        assert not list(results.glob("*.outcome.json"))


@pytest.mark.long
def test_a_public_store_is_read_by_strangers(tmp_path: Path) -> None:
    """Whoever may read without a login does, also with a login that is worth nothing there."""
    with site(tmp_path, PUBLIC) as public:
        public.published()
        for user in ("", "nobody"):
            said, shop = public.pull(user)
            assert said.code == 0, said.out + said.err
            assert states(shop, "orders") == {"raw": "reused", "orders": "passed"}


@pytest.mark.long
def test_a_laptop_goes_on_alone(private: Site) -> None:
    """Without a login a run on a branch is green, says once what it does not see and how to log in, publishes
    nothing that others could not read, and shows what it built; with a login it publishes."""
    private.published()
    laptop = private.clone("laptop")
    laptop.git("switch", "-q", "feature")
    with private.as_user(""):
        said = laptop.cli("run", "orders")
        assert said.code == 0, said.out + said.err
        assert said.err.count("what others built is not seen") == 1
        assert "docker login" in said.err
        publication = laptop.outcome()["publication"]
        assert publication["state"] == "withheld"
        assert "others could not read it" in publication["reason"]
        rows = laptop.rows("select region from orders order by id", "--candidate", "last")
        assert rows == [{"region": "EU"}, {"region": "US"}]
        said = laptop.cli("run", "orders")
        assert (said.code, set(laptop.states().values())) == (0, {"reused"})
        laptop.git("switch", "-q", "main")
        said = laptop.cli("query", "from orders")
        assert said.code in (2, 3), said.out
        assert "docker login" in said.err
        said = laptop.cli("run", "orders")
        assert (said.code, laptop.outcome()["publication"]["state"]) == (0, "withheld")
    laptop.git("switch", "-q", "feature")
    with private.as_user("publisher"):
        said = laptop.cli("run", "orders")
        assert said.code == 0, said.err
        assert laptop.outcome()["publication"]["state"] == "published"
        other = private.clone("other")
        other.git("switch", "-q", "feature")
        assert other.rows("select count(*) as n from orders") == [{"n": 2}]


@pytest.mark.long
def test_an_environments_job_without_the_right_is_not_green(private: Site) -> None:
    """What should be published and cannot be is an error that says what to do, and nothing is published."""
    main = private.shop.git("rev-parse", "main")
    said, shop = private.job("reader", "push", occasions.push("main", after=main), main)
    assert said.code in (2, 3), said.out + said.err
    (problem, *_) = json.loads((shop.root / "gitkitchen-results/problems.json").read_text())["problems"]
    assert "keeping a file: it answered 401" in problem["message"]
    assert "to publish `packages: write`" in problem["hint"]
    assert "publications/" not in shop.git("ls-tree", "-r", "--name-only", "refs/gitkitchen/ledger/origin")
