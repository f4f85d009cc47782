"""Jobs of GitHub Actions from the command line: each event, in a real clone of a real repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import occasions
from gitkitchen.github.artifacts import CLAIM
from gitkitchen.report.surfaces.document import read as read_pull
from gitkitchen.report.surfaces.pull import Run
from shop import KITCHEN_YML, Said, Shop

RECIPE = """\
version: 1
recipe: orders
nodes:
  orders: {sql: orders.sql, key: [id], tests: [{accepted_values: {column: region, values: [eu, us]}}]}
"""
TOTALS = """\
version: 1
recipe: totals
nodes:
  totals: {sql: "select region, count(*) as n from orders group by region", key: [region]}
"""
GOOD = "select 1 as id, 'eu' as region"
BAD = "select 1 as id, 'mars' as region"


@dataclass(frozen=True)
class Runner:
    """A job's checkout, with what the runner sets and reads."""

    shop: Shop
    forge: Path

    @property
    def files(self) -> Path:
        return self.forge.parent

    def environ(self, name: str, event: Any, **more: str) -> dict[str, str]:
        path = self.files / "event.json"
        path.write_text(event if isinstance(event, str) else json.dumps(event))
        here = {n: v for n, v in os.environ.items() if not n.startswith("GITHUB_")}
        values = occasions.environ(
            name,
            GITHUB_WORKSPACE=str(self.shop.root),
            GITHUB_EVENT_PATH=str(path),
            GITHUB_STEP_SUMMARY=str(self.files / "summary.md"),
            GITHUB_OUTPUT=str(self.files / "output"),
        )
        return here | values | more

    def ci(self, name: str, event: Any, *options: str, **more: str) -> Said:
        """The whole job, in this process, without progress unless ``options`` say otherwise."""
        for written in ("summary.md", "output"):
            (self.files / written).unlink(missing_ok=True)
        before = dict(os.environ)
        os.environ.update(self.environ(name, event, **more))
        try:
            return self.shop.cli("ci", *(options or ("--quiet",)))
        finally:
            os.environ.clear()
            os.environ.update(before)

    def detach(self, commit: str) -> None:
        """What actions/checkout leaves behind: a detached HEAD."""
        self.shop.git("checkout", "-q", "--detach", commit)

    def result(self, name: str) -> Any:
        return json.loads((self.shop.root / "gitkitchen-results" / name).read_text())

    def outputs(self) -> Mapping[str, str]:
        """The values as the runner reads them."""
        text = (self.files / "output").read_text()
        found = re.findall(r"(?m)^(\w+)<<(.+)\n((?s:.*?))\n\2$", text)
        return {name: value for name, _, value in found}

    @property
    def summary(self) -> str:
        return (self.files / "summary.md").read_text()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose `main` has a recipe and whose `feature` adds one, and a checkout of it."""
    folder = tmp_path_factory.mktemp("template")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(folder / "forge.git")], check=True)
    shop = Shop.begun(folder / "work")
    shop.git("remote", "add", "origin", (folder / "forge.git").as_uri())
    shop.commit({"kitchen.yml": KITCHEN_YML, "recipes/orders/recipe.yml": RECIPE})
    shop.commit({"recipes/orders/orders.sql": GOOD})
    shop.git("checkout", "-q", "-b", "feature")
    shop.commit({"recipes/totals/recipe.yml": TOTALS})
    shop.git("push", "-q", "origin", "main", "feature")
    shop.git("checkout", "-q", "main")
    return folder


@pytest.fixture
def runner(template: Path, tmp_path: Path) -> Runner:
    """A copy of the template of a test's own."""
    for name in ("forge.git", "work"):
        shutil.copytree(template / name, tmp_path / name)
    made = Runner(Shop(tmp_path / "work"), tmp_path / "forge.git")
    made.shop.git("remote", "set-url", "origin", made.forge.as_uri())
    return made


def tips(runner: Runner) -> dict[str, str]:
    return {
        "head_sha": runner.shop.git("rev-parse", "feature"),
        "base_sha": runner.shop.git("rev-parse", "origin/main"),
    }


def published(runner: Runner) -> None:
    """Let `main` have data, as its own job would."""
    head = runner.shop.git("rev-parse", "main")
    said = runner.ci("push", occasions.push(after=head), GITHUB_SHA=head)
    assert said.code == 0, said.out + said.err


def test_a_pull_request_is_tested_as_what_would_land(runner: Runner) -> None:
    """The merge of head and base runs in the branch's own kitchen, though another commit is checked out."""
    published(runner)
    runner.shop.commit({"recipes/orders/orders.sql": f"{GOOD} union all select 2, 'us'"})
    runner.shop.git("push", "-q", "origin", "main")
    event = occasions.pull(**tips(runner))
    before = runner.shop.git("rev-parse", "feature")
    runner.detach(before)
    said = runner.ci("pull_request", event, GITHUB_REF="refs/pull/7/merge")
    assert said.code == 0, said.out + said.err
    tree = runner.shop.git("merge-tree", "--write-tree", "main", "feature")
    claim = runner.result(CLAIM)
    assert (claim["tree"], claim["head"], claim["number"]) == (tree, before, 7)
    assert (claim["run"], claim["repository"]) == ({"id": 99, "attempt": 2}, "acme/shop")
    found = {n: runner.result(f"{n}.outcome.json") for n in ("orders", "totals")}
    assert {o["verdict"] for o in found.values()} == {"passed"}
    assert {o["subject"]["tree"] for o in found.values()} == {tree}
    assert {o["subject"]["dirty"] for o in found.values()} == {False}
    assert {(o["kitchen"]["branch"], o["kitchen"]["environment"]) for o in found.values()} == {
        ("feature", None)
    }
    assert runner.outputs() == {
        "action": "test",
        "verdict": "passed",
        "results": str(runner.shop.root / "gitkitchen-results"),
        "head": before,
        "base": runner.shop.git("rev-parse", "main"),
        "tree": tree,
    }
    assert f"tree {tree[:10]}" in runner.summary
    shown = read_pull((runner.shop.root / "gitkitchen-results" / "pull.json").read_bytes())
    assert (shown.number, shown.head, shown.tree, shown.run) == (7, before, tree, Run(99, 2))
    assert [(c.recipe, c.kind) for c in shown.changes if not c.node] == [("totals", "added")]
    assert [d.dataset for c in shown.differences for d in c.differing] == ["orders", "totals"]
    assert {g.recipe: dict(g.needs) for g in shown.graphs}["totals"] == {"totals": ()}
    assert shown.timing.base["orders"] > 0
    assert runner.shop.git("rev-parse", "HEAD") == before
    assert runner.shop.git("status", "--porcelain") == ""
    assert len(runner.shop.git("worktree", "list").splitlines()) == 1
    runner.shop.git("checkout", "-q", "main")
    assert runner.shop.rows("from orders") == [{"id": 1, "region": "eu"}], "prod stays as it was"


def test_a_failing_pull_request_says_where(runner: Runner) -> None:
    """A failed test ends with 1, annotates its line, and stands in summary, outcome and JUnit XML."""
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"recipes/orders/orders.sql": BAD})
    runner.shop.git("push", "-q", "origin", "feature")
    runner.detach("feature")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert said.code == 1, said.out + said.err
    assert re.search(r"(?m)^::error file=recipes/orders/orders\.sql,line=1,", said.out)
    assert runner.result("orders.outcome.json")["verdict"] == "failed"
    assert "<failure" in (runner.shop.root / "gitkitchen-results" / "orders.junit.xml").read_text()
    assert runner.outputs()["verdict"] == "failed"
    assert "accepted" in runner.summary


def test_a_conflict_is_its_own_outcome(runner: Runner) -> None:
    """Head and base that conflict end with 2, nothing runs, and annotation and summary say which files."""
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"recipes/orders/orders.sql": f"{GOOD} -- feature"})
    runner.shop.git("checkout", "-q", "main")
    runner.shop.commit({"recipes/orders/orders.sql": f"{GOOD} -- main"})
    runner.shop.git("push", "-q", "origin", "feature", "main")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert said.code == 2
    assert "::error title=conflict::" in said.out
    assert "orders.sql: there is no merge to test" in said.err
    assert "conflicts with" in runner.summary
    assert runner.outputs()["verdict"] == "refused"
    claim = runner.result(CLAIM)
    assert (claim["head"], claim["tree"]) == (tips(runner)["head_sha"], None)
    assert runner.result("problems.json")["problems"][0]["code"] == "conflict"
    assert not list((runner.shop.root / "gitkitchen-results").glob("*.outcome.json"))


def test_a_forks_main_is_a_sandbox(runner: Runner) -> None:
    """A fork's `main` is tested in a kitchen of its own and publishes nothing to ours."""
    published(runner)
    runner.shop.git("checkout", "-q", "--detach", "feature")
    head = runner.shop.git("rev-parse", "HEAD")
    runner.shop.git("push", "-q", "origin", "HEAD:refs/pull/7/head")
    event = occasions.pull(head="me/shop", branch="main", head_sha=head, base_sha=tips(runner)["base_sha"])
    said = runner.ci("pull_request", event)
    assert said.code == 0, said.out + said.err
    kitchen = runner.result("totals.outcome.json")["kitchen"]
    assert (kitchen["fork"], kitchen["repository"], kitchen["environment"]) == (
        True,
        "github.com/me/shop",
        None,
    )
    said = runner.ci("pull_request", event | {"action": "closed"})
    assert (said.code, "dropped kitchen 'github.com/me/shop:main'" in said.out) == (0, True), said.err
    assert [k["kitchen"] for k in json.loads(runner.shop.cli("kitchens", "--json").out)["kitchens"]] == [
        "prod"
    ]


def test_a_queue_runs_its_own_tree_and_reuses(runner: Runner) -> None:
    """The combined commit of a queue is tested; what the pull request built of it is not built again."""
    published(runner)
    event = occasions.pull(**tips(runner))
    runner.detach("feature")
    assert runner.ci("pull_request", event).code == 0
    runner.shop.git("checkout", "-q", "--detach", "main")
    runner.shop.git("merge", "-q", "--no-ff", "-m", "queue", "feature")
    queue = runner.shop.git("rev-parse", "HEAD")
    said = runner.ci("merge_group", occasions.group(queue, tips(runner)["base_sha"]))
    assert said.code == 0, said.out + said.err
    assert runner.result(CLAIM)["head"] == queue
    assert runner.result(CLAIM)["number"] is None
    states = {n["node"]: n["state"] for n in runner.result("orders.outcome.json")["nodes"]}
    assert states == {"orders": "reused"}


def test_a_push_publishes_its_environment_once_and_in_order(runner: Runner) -> None:
    """A push to `main` publishes prod; the job of an older push, run again, does nothing."""
    published(runner)
    assert runner.shop.rows("from orders") == [{"id": 1, "region": "eu"}]
    old = runner.shop.git("rev-parse", "main")
    runner.shop.commit({"recipes/orders/orders.sql": "select 2 as id, 'us' as region"})
    runner.shop.git("push", "-q", "origin", "main")
    published(runner)
    runner.detach(old)
    said = runner.ci("push", occasions.push(after=old), GITHUB_SHA=old)
    assert (said.code, runner.outputs()["verdict"]) == (0, "superseded"), said.out
    assert "::notice::superseded" in said.out
    runner.shop.git("checkout", "-q", "main")
    assert runner.shop.rows("from orders") == [{"id": 2, "region": "us"}]


def test_another_commit_than_the_jobs_is_not_run(runner: Runner) -> None:
    """A job that checked out something else than what it is for is refused."""
    head = runner.shop.git("rev-parse", "main")
    runner.shop.commit({"x": "made in the job"})
    said = runner.ci("push", occasions.push(after=head), GITHUB_SHA=head)
    assert (said.code, "is checked out, and this job is for" in said.err) == (2, True)


@pytest.mark.long
def test_a_deleted_branch_leaves_nothing(runner: Runner) -> None:
    """The kitchen of a deleted branch goes; the event again, or for a branch that never ran, is no error."""
    published(runner)
    runner.detach("feature")
    assert runner.ci("pull_request", occasions.pull(**tips(runner))).code == 0
    runner.shop.git("checkout", "-q", "main")
    event = {"ref": "feature", "ref_type": "branch"}
    said = runner.ci("delete", event)
    assert (said.code, "dropped kitchen 'feature'" in said.out) == (0, True), said.err
    said = runner.ci("delete", event)
    assert (said.code, "left nothing behind" in said.out) == (0, True)


def test_a_job_shows_progress(runner: Runner) -> None:
    """As the action calls it, without `--quiet`, a job runs and ends as it does with it."""
    said = runner.ci("star", {"action": "created"}, "--jobs", "1")
    assert said.code == 0, said.err
    assert runner.outputs()["verdict"] == "ignored"


@pytest.mark.parametrize(
    ("name", "event"),
    [
        pytest.param("pull_request", occasions.pull("labeled"), id="labeled"),
        pytest.param("push", occasions.push("feature"), id="push-sandbox"),
        pytest.param("issue_comment", occasions.comment("nice work"), id="comment"),
        pytest.param("star", {"action": "created"}, id="star"),
    ],
)
def test_what_is_not_for_us_ends_quietly(runner: Runner, name: str, event: Any) -> None:
    """Exit code 0, a notice, a summary that says why, and nothing else."""
    said = runner.ci(name, event)
    assert said.code == 0, said.err
    assert "::notice title=Not for GitKitchen::" in said.out
    assert runner.outputs()["verdict"] == "ignored"
    assert not (runner.shop.root / ".gitkitchen" / "runs").exists()


@pytest.mark.parametrize(
    ("name", "event", "said"),
    [
        pytest.param(
            "pull_request_target", occasions.pull(), "gives a stranger's code our rights", id="target"
        ),
        pytest.param("issue_comment", occasions.comment("/kitchen run"), "_TOKEN is not set", id="command"),
        pytest.param("workflow_run", occasions.finished(), "_TOKEN is not set", id="poster"),
        pytest.param("pull_request", "{", "is no JSON", id="garbage"),
        pytest.param("pull_request", "[1]", "no JSON object", id="list"),
    ],
)
def test_what_cannot_be_done_is_refused(runner: Runner, name: str, event: Any, said: str) -> None:
    """What is refused ends with 2 and says why, in the log and as an annotation: it never looks done."""
    found = runner.ci(name, event)
    assert found.code == 2
    assert re.search(rf"(?m)^::error.*{re.escape(said)}", found.out) or said in found.err


def test_broken_files_are_annotated(runner: Runner) -> None:
    """Mistakes in the files of a pull request end with 2, each annotated at its line."""
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"recipes/totals/recipe.yml": TOTALS.replace("key:", "kye:")})
    runner.shop.git("push", "-q", "origin", "feature")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert said.code == 2
    assert "::error file=recipes/totals/recipe.yml,line=4" in said.out
    assert "kye" in runner.summary


def test_a_project_without_recipes_is_not_green(runner: Runner) -> None:
    """Nothing to test ends with 4."""
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.git("rm", "-q", "-r", "recipes")
    runner.shop.commit()
    runner.shop.git("push", "-q", "origin", "feature")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert (said.code, runner.outputs()["verdict"]) == (4, "nothing_tested")


def dispatch(runner: Runner, **more: str) -> Any:
    inputs = {"number": "7", "head_repository": "acme/shop", "head_branch": "feature", "base_branch": "main"}
    return {"inputs": inputs | tips(runner) | {"fresh": "true"} | more}


def test_a_command_tests_the_one_head_that_was_seen(runner: Runner) -> None:
    """A dispatch tests the head that it names, and nothing when the pull request has moved on."""
    head = tips(runner)["head_sha"]
    runner.shop.git("push", "-q", "origin", "feature:refs/pull/7/head")
    said = runner.ci("workflow_dispatch", dispatch(runner))
    assert (said.code, runner.result(CLAIM)["head"]) == (0, head), said.out + said.err
    event = dispatch(runner)
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"x": "pushed between comment and job"})
    runner.shop.git("push", "-q", "origin", "feature", "feature:refs/pull/7/head")
    runner.shop.git("checkout", "-q", "main")
    said = runner.ci("workflow_dispatch", event)
    assert (said.code, "nothing was tested" in said.err) == (2, True)


def test_a_command_compares_one_dataset(runner: Runner) -> None:
    """A dispatch with a dataset shows how it differs from the base's, also where a test of it failed."""
    published(runner)
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"recipes/orders/orders.sql": BAD})
    runner.shop.git("push", "-q", "origin", "feature", "feature:refs/pull/7/head")
    said = runner.ci("workflow_dispatch", dispatch(runner, dataset="orders"))
    assert said.code == 1, said.out + said.err
    found = runner.result("diff.json")["datasets"]
    assert [(d["dataset"], d["state"]) for d in found] == [("orders", "changed")]
    assert "region" in runner.summary
    said = runner.ci("workflow_dispatch", dispatch(runner, dataset="no_such"))
    assert (said.code, "no recipe makes a dataset 'no_such'" in said.out) == (2, True)


def test_a_recipe_is_tested_on_what_the_change_builds(runner: Runner) -> None:
    """A recipe runs after those that it reads, whatever their names, and on their new data."""
    runner.shop.git("checkout", "-q", "feature")
    first = TOTALS.replace("totals", "a_totals")
    runner.shop.git("rm", "-q", "-r", "recipes/totals")
    runner.shop.commit(
        {"recipes/a_totals/recipe.yml": first, "recipes/orders/orders.sql": GOOD.replace("eu", "us")}
    )
    runner.shop.git("push", "-q", "origin", "feature")
    runner.shop.git("checkout", "-q", "main")
    published(runner)
    assert runner.ci("pull_request", occasions.pull(**tips(runner))).code == 0
    runner.shop.git("checkout", "-q", "feature")
    assert runner.shop.rows("from a_totals") == [{"region": "us", "n": 1}]


def test_a_job_that_may_not_write_the_ledger_keeps_its_own(runner: Runner) -> None:
    """With `ledger: branch` and a token that only reads, a recipe is tested on what the one before built in
    the same job; nothing reaches the branch, and nothing of it is left behind in the clone."""
    runner.shop.commit({"kitchen.yml": f"{KITCHEN_YML}ledger: branch\n"})
    runner.shop.git("push", "-q", "origin", "main")
    event, sha = occasions.push("main", after=runner.shop.git("rev-parse", "main")), "GITHUB_SHA"
    said = runner.ci("push", event, **{sha: runner.shop.git("rev-parse", "main")})
    assert said.code == 0, said.out + said.err
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"recipes/orders/orders.sql": GOOD.replace("eu", "us")})
    runner.shop.git("push", "-q", "origin", "feature")
    runner.shop.git("checkout", "-q", "main")
    hook = runner.forge / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    here, there = runner.shop, Shop(runner.forge)
    before = there.git("for-each-ref")
    refs = here.git("for-each-ref", "refs/gitkitchen")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert said.code == 0, said.out + said.err
    totals = runner.result("totals.outcome.json")
    assert (totals["verdict"], totals["publication"]["state"]) == ("passed", "published")
    assert runner.shop.git("for-each-ref", "refs/gitkitchen") == refs
    assert there.git("for-each-ref") == before
    assert not list((runner.shop.root / ".gitkitchen/beside").glob("*"))
    runner.shop.git("checkout", "-q", "feature")
    assert "kitchen 'feature' has published nothing yet" in runner.shop.cli("query", "from totals").err


def test_a_recipe_is_not_tested_on_what_the_change_replaces(runner: Runner) -> None:
    """Where new data failed, what reads it is never green."""
    published(runner)
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"recipes/orders/orders.sql": BAD})
    runner.shop.git("push", "-q", "origin", "feature")
    runner.shop.git("checkout", "-q", "main")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert (said.code, runner.outputs()["verdict"]) == (1, "failed")
    assert "'totals' was not tested: it reads 'orders'" in said.out
    assert not (runner.shop.root / "gitkitchen-results" / "totals.outcome.json").exists()
    assert runner.result("problems.json")["problems"][0]["code"] == "not-tested"


@pytest.mark.long
def test_recipes_that_read_each_other(runner: Runner) -> None:
    """In a circle one recipe saw the data of before: it is not green until a job begins from the new."""
    recipe = "version: 1\nrecipe: {}\nnodes:\n"
    a, b = recipe.format("a") + "  x: {sql: select 1 as i, key: [i]}\n", recipe.format("b")
    b += "  z: {sql: select 2 as i, key: [i]}\n  w: {sql: select i from x, key: [i]}\n"
    for files in (
        {"recipes/a/recipe.yml": a},
        {"recipes/b/recipe.yml": b},
        {"recipes/a/recipe.yml": a + "  y: {sql: select i from z, key: [i]}\n"},
    ):
        runner.shop.commit(files)
        runner.shop.git("push", "-q", "origin", "main")
        published(runner)
    runner.shop.git("checkout", "-q", "-B", "feature")
    runner.shop.commit({"recipes/b/recipe.yml": b.replace("select 2", "select 3")})
    runner.shop.git("push", "-q", "-f", "origin", "feature")
    runner.shop.git("checkout", "-q", "main")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert (said.code, "'a' was tested on the z of before this change" in said.out) == (3, True), said.out
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert said.code == 0, said.out + said.err


def test_a_shallow_checkout_is_enough(runner: Runner) -> None:
    """What actions/checkout brings by default, one commit, is completed from the remote."""
    published(runner)
    event = occasions.pull(**tips(runner))
    clone = Shop(runner.files / "clone")
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", runner.forge.as_uri(), str(clone.root)],
        check=True,
        capture_output=True,
    )
    said = Runner(clone, runner.forge).ci("pull_request", event)
    assert said.code == 0, said.out + said.err


def test_a_branch_that_is_checked_out_names_no_other_kitchen(runner: Runner) -> None:
    """A change without a difference, in a job on `main`, is tested in its own kitchen, and not in prod."""
    published(runner)
    head = tips(runner)["base_sha"]
    runner.shop.git("push", "-q", "origin", "main:same")
    said = runner.ci("pull_request", occasions.pull(branch="same", head_sha=head, base_sha=head))
    assert said.code == 0, said.out + said.err
    assert runner.result("orders.outcome.json")["kitchen"]["branch"] == "same"
    runner.detach("main")
    assert runner.ci("pull_request", occasions.pull(branch="same", head_sha=head, base_sha=head)).code == 0


@pytest.mark.long
def test_a_project_in_a_folder_of_its_repository(runner: Runner) -> None:
    """A project below the repository's top is tested there, and writes its results there."""
    runner.shop.git("checkout", "-q", "feature")
    (runner.shop.root / "data").mkdir()
    runner.shop.git("mv", "kitchen.yml", "recipes", "data")
    runner.shop.commit()
    runner.shop.git("push", "-q", "origin", "feature")
    below = Runner(Shop(runner.shop.root / "data"), runner.forge)
    event = occasions.pull(**tips(runner))
    said = below.ci("pull_request", event, GITHUB_WORKSPACE=str(runner.shop.root))
    assert said.code == 0, said.out + said.err
    assert below.result("totals.outcome.json")["kitchen"]["branch"] == "feature"


@pytest.mark.parametrize("what", ["file", "link", "foreign"])
def test_results_overwrite_nothing_of_the_repository(runner: Runner, what: str) -> None:
    """What a repository has under the results' name, a link above all, is neither followed nor changed."""
    folder = runner.shop.root / "gitkitchen-results"
    if what == "link":
        (runner.files / "elsewhere").mkdir()
        folder.symlink_to(runner.files / "elsewhere")
    elif what == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    said = runner.ci("pull_request", occasions.pull(**tips(runner)))
    assert (said.code, "is here already" in said.err) == (2, True)
    assert list(runner.files.glob("elsewhere/*")) == []
    if what == "foreign":
        assert [p.name for p in folder.iterdir()] == ["notes.txt"]


def test_hostile_names_are_inert(runner: Runner) -> None:
    """A branch whose name commands a runner commands none, in log, outputs and summary."""
    branch = "x`|<b>##%0Aerror"
    runner.shop.git("checkout", "-q", "-b", branch, "feature")
    runner.shop.git("push", "-q", "origin", branch)
    said = runner.ci("pull_request", occasions.pull("closed", branch=branch, **tips(runner)))
    assert (said.code, "left nothing behind" in said.out) == (0, True), said.err
    commands = [line for line in said.out.splitlines() if line.startswith("::")]
    assert commands == ["::notice::'x`|<b>##%250Aerror' left nothing behind"]
    event = occasions.pull("labeled\n::error::boo ##[error]boo", branch=branch, **tips(runner))
    said = runner.ci("pull_request", event)
    assert not re.search(r"(?m)^\s*::error", said.out)
    assert "##[" not in runner.summary + said.out


def left(runner: Runner) -> None:
    """Nothing is left of the work trees of jobs."""
    assert len(runner.shop.git("worktree", "list").splitlines()) == 1
    assert list((runner.shop.root / ".gitkitchen" / "ci").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.long),
    ],
)
def test_a_cancelled_job_ends_in_order(runner: Runner, number: int, code: int) -> None:
    """A cancelled job has the signal's code, leaves no work tree, and wrote down what it knew; what a killed
    one leaves is removed by the next."""
    mark = runner.files / "mark"
    node = f"{{run: 'touch {mark}; sleep 60', outputs: {{o: o.txt}}}}"
    slow = f"version: 1\nrecipe: slow\nnodes:\n  wait: {node}\n"
    runner.shop.git("checkout", "-q", "feature")
    runner.shop.commit({"recipes/slow/recipe.yml": slow})
    runner.shop.git("push", "-q", "origin", "feature")
    environ = runner.environ("pull_request", occasions.pull(**tips(runner)))
    runner.shop.git("checkout", "-q", "main")
    process = runner.shop.spawn("ci", "--quiet", env=environ)
    deadline = time.monotonic() + 90
    while not mark.exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, out + err
    if number == signal.SIGKILL:
        assert list((runner.shop.root / ".gitkitchen" / "ci").iterdir())
        mark.unlink()
        runner.shop.git("checkout", "-q", "feature")
        runner.shop.git("rm", "-q", "-r", "recipes/slow")
        runner.shop.commit()
        runner.shop.git("push", "-q", "origin", "feature")
        runner.shop.git("checkout", "-q", "main")
        assert runner.ci("pull_request", occasions.pull(**tips(runner))).code == 0
        left(runner)
        return
    assert runner.outputs()["verdict"] == "cancelled"
    assert runner.result("orders.outcome.json")["verdict"] == "passed"
    assert runner.result("slow.outcome.json")["verdict"] == "cancelled"
    assert not (runner.shop.root / "gitkitchen-results" / "totals.outcome.json").exists()
    left(runner)


def test_outside_of_a_job_it_is_refused(shop: Shop) -> None:
    """On a laptop `ci` does nothing, and names what does."""
    said = shop.cli("ci")
    assert (said.code, "`gitkitchen run` runs a recipe anywhere" in said.err) == (2, True)


def test_starting_loads_neither_engine_nor_client(shop: Shop) -> None:
    """What is not for us is found out without DuckDB and PyGithub."""
    code = "import sys; from gitkitchen.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    environ = Runner(shop, shop.root.parent / "forge").environ("star", {"action": "created"})
    done = subprocess.run(
        [sys.executable, "-c", code, "-C", str(shop.root), "ci"],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )
    assert not set(done.stdout.splitlines()[-1].split()) & {"duckdb", "github", "pandas", "sqlglot"}
