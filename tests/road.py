"""A project with a road of three environments, for tests that promote."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models import copied
from shop import Said, Shop

KITCHEN_YML = """\
version: 1
project: {name: flights, id: 0123456789abcdef}
environments:
  dev: {branch: develop}
  staging: {branch: staging}
  prod: {branch: main}
sandboxes: {base: prod}
"""
RECIPE = """\
version: 1
recipe: delays
nodes:
  flights: {source: {file: data/flights.csv}, tests: [{not_null: [carrier]}]}
  late:
    sql: late.sql
    key: [carrier]
    tests: [{rows: {min: 1}}]
"""
SQL = "select carrier, count(*) as n from flights group by carrier\n"
CSV = "carrier,late\nAA,1\nAA,0\nUA,1\n"
FILES = {
    "kitchen.yml": KITCHEN_YML,
    ".gitignore": ".gitkitchen/\n",
    "recipes/delays/recipe.yml": RECIPE,
    "recipes/delays/late.sql": SQL,
    "recipes/delays/data/flights.csv": CSV,
}


REPORT = """\
version: 1
recipe: report
nodes:
  worst: {sql: worst.sql, tests: [{rows: {between: [1, 1]}}]}
"""
TWO = {
    **FILES,
    "recipes/report/recipe.yml": REPORT,
    "recipes/report/worst.sql": "select carrier, n from late order by n desc, carrier limit 1\n",
}


def made(folder: Path, files: Mapping[str, str] | None = None) -> Shop:
    """A repository whose three branches stand on the same first commit, with `develop` checked out."""
    root, files = folder / "flights", files or FILES
    for name, known in (("road of one recipe", FILES), ("road of two recipes", TWO)):
        if files == known:
            copied(name, partial(_model, known), root)
            return Shop(root)
    return _branch(Shop.begun(root), files)


def _model(files: Mapping[str, str], place: Path) -> None:
    _branch(Shop(place).init(), files)


def _branch(shop: Shop, files: Mapping[str, str]) -> Shop:
    shop.commit(files, "first")
    shop.git("branch", "staging")
    shop.git("switch", "-q", "-c", "develop")
    return shop


def promoted(shop: Shop, environment: str, *words: str) -> Said:
    """A promotion that must land."""
    said = shop.cli("promote", environment, "--quiet", *words)
    assert said.code == 0, said.out + said.err
    return said


def tree(shop: Shop, rev: str) -> str:
    return shop.git("rev-parse", f"{rev}^{{tree}}")


def rows(shop: Shop, environment: str, sql: str = "select carrier, n from late order by 1") -> list[object]:
    """What consumers of an environment read."""
    return [tuple(row.values()) for row in shop.rows(sql, "--kitchen", environment)]


@dataclass(frozen=True)
class Remote:
    """A bare repository, and clones of it that are jobs of GitHub Actions on one of its branches."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "remote.git"

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def clone(self, name: str, branch: str = "develop") -> Shop:
        subprocess.run(
            ["git", "clone", "-q", "-b", branch, self.path.as_uri(), name], cwd=self.folder, check=True
        )
        return Shop(self.folder / name)

    def environ(self, branch: str) -> dict[str, str]:
        """The environment of a job that somebody dispatched on a branch."""
        event = self.folder / "event.json"
        told = {"full_name": "o/r", "default_branch": "main", "html_url": "https://github.example/o/r"}
        event.write_text(json.dumps({"ref": f"refs/heads/{branch}", "inputs": {}, "repository": told}))
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_SHA": "0" * 40,
            "GITHUB_EVENT_NAME": "workflow_dispatch",
            "GITHUB_REF": f"refs/heads/{branch}",
            "GITHUB_ACTOR": "olga",
        }

    def job(self, shop: Shop, branch: str, *words: str) -> Said:
        """A command in such a job."""
        before = dict(os.environ)
        os.environ.update(self.environ(branch))
        try:
            return shop.cli(*words)
        finally:
            os.environ.clear()
            os.environ.update(before)


def remote(folder: Path, files: Mapping[str, str] | None = None) -> Remote:
    """The road on a remote, with the ledger on a branch of it and the store in a folder that jobs share."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{folder}/store\n"
    made_here = made(folder, {**(files or FILES), "kitchen.yml": text})
    found = Remote(folder)
    subprocess.run(["git", "clone", "-q", "--bare", str(made_here.root), str(found.path)], check=True)
    found.git("symbolic-ref", "HEAD", "refs/heads/main")
    return found
