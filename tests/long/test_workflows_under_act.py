"""The workflows that `init` writes and the action, run by act on this machine. docs/action.md lists what
it lacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import occasions
from gitkitchen.automation import COMMAND
from shop import Shop
from workflows.tools import ACTION, HERE, ROOT, required

PINNED = re.compile(r"uses: (actions/[\w-]+)@([0-9a-f]{40})")
SHIPPED = ("action.yml", "action", "src", "templates", "workflows")


def act() -> str:
    """Where act is, named by ACT or on the PATH. Skips, visibly, where it is not."""
    found = shutil.which(os.environ.get("ACT", "act"))
    if found is None:
        assert not required("act"), "GITKITCHEN_REQUIRE names act, and it is not installed"
        pytest.skip("act is not installed (go install github.com/nektos/act@latest), nor named by ACT")
    return found


@dataclass(frozen=True)
class Ran:
    """What a run of a workflow did. ``log``: of act; ``kept``: what the doubles kept."""

    code: int
    log: str
    kept: Path

    def outputs(self) -> dict[str, str]:
        """The outputs of all steps, the last of each name."""
        return dict(re.findall(r"::set-output:: ([\w-]+)=(.*)", self.log))

    def jobs(self) -> dict[str, bool]:
        """The jobs that ran, by the name that is shown, and whether each succeeded."""
        found = re.findall(r"(?m)^\[[^]/]*/([^]]*?)\s*\].*🏁  Job (succeeded|failed)", self.log)
        return {name: word == "succeeded" for name, word in found}

    def artifact(self, name: str) -> Any:
        (folder,) = (self.kept / "artifacts").iterdir()
        assert folder.name == "gitkitchen-results-1"
        return json.loads((folder / name).read_text())


@dataclass(frozen=True)
class Hosted:
    """A repository on a server (``origin``), and the action's checkout."""

    shop: Shop
    origin: str
    action: Path
    wheels: Path

    def run(
        self,
        name: str,
        event: str,
        payload: dict[str, Any],
        at: str,
        ref: str = "",
        environ: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run one workflow as GitHub would: its file as it is in commit ``at``, for one event. ``ref``:
        what a checkout takes that names none, where act would not know it. ``environ``: what the job has
        besides; its GITHUB_TOKEN becomes the job's token. ``variables``: the repository's."""
        top = self.shop.root.parent
        folder = top / f"run-{len(list(top.glob('run-*.kept')))}"
        self.shop.git("clone", "-q", "--no-checkout", self.origin, str(folder))
        subprocess.run(["git", "fetch", "-q", "origin", "+refs/*:refs/all/*"], cwd=folder, check=True)
        subprocess.run(["git", "checkout", "-q", "--detach", at], cwd=folder, check=True)
        for path in (folder / ".github/workflows").iterdir():  # act 0.2.89 does not know `queue`
            path.write_text(re.sub(r"(?m)^ +queue: max\n", "", path.read_text()))
        kept = folder.with_name(f"{folder.name}.kept")
        kept.mkdir()
        if self.wheels.is_dir():
            shutil.copytree(self.wheels, kept / "cache" / "wheels")
        (kept / "event.json").write_text(json.dumps(payload))
        words = [act(), event, "--workflows", f".github/workflows/gitkitchen-{name}.yml"]
        words += ["--eventpath", str(kept / "event.json"), "--platform", "ubuntu-latest=-self-hosted"]
        words += ["--no-skip-checkout", "--action-cache-path", str(kept / "act")]
        words += ["--local-repository", f"{ACTION}={self.action}"]
        given = {"GITHUB_REPOSITORY": "acme/shop"} | dict(environ or {})
        if token := given.pop("GITHUB_TOKEN", ""):
            words += ["--secret", f"GITHUB_TOKEN={token}"]
        given |= {"GITKITCHEN_TEST_REMOTE": self.origin, "GITKITCHEN_TEST_KEPT": str(kept)}
        given |= {"GITKITCHEN_TEST_REF": ref} if ref else {}
        for key, value in (variables or {}).items():
            words += ["--var", f"{key}={value}"]
        for key, value in given.items():
            words += ["--env", f"{key}={value}"]
        for path in [*(folder / ".github/workflows").iterdir(), self.action / "action.yml"]:
            for used, sha in set(PINNED.findall(path.read_text())):
                words += ["--local-repository", f"{used}@{sha}={HERE / 'doubles' / used.split('/')[1]}"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=400)
        made = sorted(kept.glob("act/*/tmp/gitkitchen-wheels"))
        if made and not self.wheels.is_dir():
            shutil.copytree(made[0], self.wheels)
        return Ran(done.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout + done.stderr), kept)

    def merged(self, branch: str) -> tuple[str, str, str]:
        """Head, base and GitHub's merge commit of a pull request, which refs/pull/7/… name."""
        head, base = self.shop.git("rev-parse", branch), self.shop.git("rev-parse", "main")
        tree = self.shop.git("merge-tree", "--write-tree", base, head)
        merge = self.shop.git("commit-tree", "-p", base, "-p", head, "-m", "merge", tree)
        refs = [
            f"+{head}:refs/pull/7/head",
            f"+{merge}:refs/pull/7/merge",
            "+main:main",
            f"+{branch}:{branch}",
        ]
        self.shop.git("push", "-q", self.origin, *refs)
        return head, base, merge

    def pull(self, branch: str, action: str = "opened", **more: Any) -> tuple[dict[str, Any], str]:
        """The event of a pull request of this branch, and the merge commit."""
        head, base, merge = self.merged(branch)
        return occasions.pull(action, branch=branch, head_sha=head, base_sha=base, **more), merge


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where downloaded packages are kept between runs that read a cache."""
    return tmp_path_factory.mktemp("wheels") / "kept"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What GitHub checks out of the action."""
    act()
    action = tmp_path / "action"
    for name in SHIPPED:
        source, target = ROOT / name, action / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return action


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """What `init` writes, committed on main."""
    made = Shop(tmp_path / "shop")
    subprocess.run(["git", "init", "-q", "-b", "main", str(made.root)], check=True)
    assert made.cli("init", "--action", ACTION).code == 0
    made.commit(message="Start")
    return made


@pytest.fixture
def hosted(tmp_path: Path, checkout: Path, shop: Shop, wheels: Path) -> Hosted:
    """That project on a server."""
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    shop.git("push", "-q", str(origin), "main")
    return Hosted(shop, origin.as_uri(), checkout, wheels)


def change(shop: Shop, branch: str, old: str, new: str) -> None:
    """A branch with one change of the example's SQL."""
    shop.git("switch", "-q", "-c", branch)
    shop.replace("recipes/orders/sales_by_country.sql", old, new)
    shop.commit(message="Change")


@pytest.mark.long
def test_a_good_pull_request_is_green(hosted: Hosted) -> None:
    """A change that passes: both jobs succeed, the outputs name what was tested, and the artifact claims
    it."""
    change(hosted.shop, "feature", "'returned'", "'open'")
    payload, merge = hosted.pull("feature")
    ran = hosted.run("pull-request", "pull_request", payload, merge)
    assert ran.code == 0, ran.log
    assert ran.jobs() == {"Recipes": True, "GitKitchen": True}
    said, claim = ran.outputs(), ran.artifact("claim.json")
    assert (said["action"], said["verdict"]) == ("test", "passed")
    about = payload["pull_request"]
    assert (said["head"], said["base"]) == (about["head"]["sha"], about["base"]["sha"])
    assert (claim["head"], claim["number"], claim["tree"]) == (said["head"], 7, said["tree"])
    assert ran.artifact("orders.outcome.json")["verdict"] == "passed"
    assert (ran.kept / "cache/asked").read_text().endswith(" pull_request\n")


@pytest.mark.long
def test_a_bad_pull_request_is_red(hosted: Hosted) -> None:
    """A change that fails a test: both jobs fail, and the artifact is kept all the same."""
    change(hosted.shop, "feature", "count(*)", "2 * count(*)")
    payload, merge = hosted.pull("feature")
    ran = hosted.run("pull-request", "pull_request", payload, merge)
    assert ran.code != 0
    assert ran.jobs() == {"Recipes": False, "GitKitchen": False}
    assert ran.outputs()["verdict"] == "failed"
    assert ran.artifact("orders.outcome.json")["verdict"] == "failed"


@pytest.mark.long
def test_s16_a_skipped_job_passes_no_gate(hosted: Hosted) -> None:
    """S16 (a skipped job satisfied a required check): where the job that tests is skipped, by a condition
    that somebody wrote, the gate runs all the same, and is red."""
    path = ".github/workflows/gitkitchen-pull-request.yml"
    change(hosted.shop, "feature", "'returned'", "'open'")
    text = (hosted.shop.root / path).read_text()
    never = re.sub(r"(?m)(^    name: Recipes\n    if:) >-\n(?:      .*\n)+", r"\1 false\n", text)
    assert never != text
    hosted.shop.commit({path: never})
    payload, merge = hosted.pull("feature")
    ran = hosted.run("pull-request", "pull_request", payload, merge)
    assert ran.code != 0
    assert ran.jobs() == {"GitKitchen": False}, ran.log


@pytest.mark.long
@pytest.mark.parametrize("event", ["pull_request", "pull_request_review"])
def test_what_asks_for_no_test_stands_in_for_no_result(hosted: Hosted, event: str) -> None:
    """A new title and a remark of a reviewer get a gate of another name: the red one stays the newest
    `GitKitchen`."""
    change(hosted.shop, "feature", "count(*)", "2 * count(*)")
    payload, merge = hosted.pull("feature", "edited" if event == "pull_request" else "submitted")
    payload["changes"] = {"title": {"from": "x"}}
    payload["review"] = {"id": 1, "state": "commented"}
    ran = hosted.run("pull-request", event, payload, merge, "refs/pull/7/merge")
    assert ran.code == 0, ran.log
    assert ran.jobs() == {"Recipes": True, "GitKitchen (nothing to test)": True}
    assert ran.outputs()["verdict"] == "ignored"


@pytest.mark.long
def test_a_command_tests_the_head_that_was_seen(hosted: Hosted) -> None:
    """The dispatch of a command, on the default branch, tests the head that it names; no cache is read or
    left. Once the pull request has moved on, it tests nothing and is red."""
    change(hosted.shop, "feature", "'returned'", "'open'")
    head, base, _ = hosted.merged("feature")
    inputs = {"number": "7", "head_repository": "acme/shop", "head_branch": "feature", "head_sha": head}
    inputs |= {"base_branch": "main", "base_sha": base, "fresh": "false", "dataset": "", "key": "[comment 1]"}
    payload = {"inputs": inputs, "repository": occasions.pull()["repository"], "ref": "refs/heads/main"}
    ran = hosted.run("command", "workflow_dispatch", payload, "main", "refs/heads/main")
    assert ran.code == 0, ran.log
    assert (ran.outputs()["verdict"], ran.outputs()["head"]) == ("passed", head)
    assert not (ran.kept / "cache/asked").exists()
    hosted.shop.commit({"recipes/orders/orders.csv": "order_id,country,status,amount\n1,DE,paid,1\n"})
    hosted.merged("feature")
    moved = hosted.run("command", "workflow_dispatch", payload, "main", "refs/heads/main")
    assert moved.code != 0
    assert moved.jobs() == {"Recipes": False}
    assert "the command was for" in moved.log


@pytest.mark.long
def test_a_push_runs_the_environment(hosted: Hosted) -> None:
    """A push to the environment's branch runs its recipes, and takes nothing from a cache."""
    head = hosted.shop.git("rev-parse", "main")
    payload = occasions.push("main", after=head)
    ran = hosted.run("publish", "push", payload, "main", "refs/heads/main")
    assert ran.code == 0, ran.log
    assert ran.outputs()["verdict"] == "passed"
    assert ran.outputs()["action"] == "run"
    assert not (ran.kept / "cache/asked").exists()


@pytest.mark.long
@pytest.mark.parametrize("event", ["delete", "pull_request", "schedule"])
def test_ends_are_cleared_up(hosted: Hosted, event: str) -> None:
    """A branch that is gone and a pull request that ended drop a kitchen; the daily job collects: one job
    each."""
    change(hosted.shop, "feature", "'returned'", "'open'")
    payload, _ = hosted.pull("feature", "closed")
    if event == "delete":
        payload = occasions.example("delete") | {"ref": "feature", "ref_type": "branch"}
        payload["repository"] |= {"full_name": "acme/shop", "default_branch": "main"}
    elif event == "schedule":
        payload = {"schedule": "23 3 * * *", "repository": payload["repository"]}
    payload["repository"]["default_branch"] = "main"
    ran = hosted.run("cleanup", event, payload, "main", "refs/heads/main")
    assert ran.code == 0, ran.log
    job = "Remove what nobody needs" if event == "schedule" else "Drop the kitchen"
    assert ran.jobs() == {job: True}
    if event != "schedule":
        assert ran.outputs()["action"] == "drop"


@pytest.mark.long
def test_what_a_pull_request_left_is_posted(tmp_path: Path, checkout: Path, shop: Shop, wheels: Path) -> None:
    """From the files of `init`, against the forge: the pull request's job, the job that posts what it
    left, and a command that starts the tests of exactly its head."""
    from gitkitchen.github.forge import Forge, zipped

    change(shop, "feature", "'returned'", "'open'")
    tracked = {}
    for branch in ("main", "feature"):
        shop.git("switch", "-q", branch)
        names = shop.git("ls-files").splitlines()
        tracked[branch] = {name: (shop.root / name).read_text() for name in names}
    with Forge(tmp_path / "forge") as forge:
        repo = forge.repository("acme/shop", dict(tracked["main"]))
        repo.allow("alice", "write")
        repo.commit("feature", tracked["feature"], author="alice")
        pull = repo.pull("feature", author="alice")
        tests = ".github/workflows/gitkitchen-pull-request.yml"
        run = repo.run(tests, "pull_request", pull.head_sha, pull=pull, conclusion=None)
        there = Hosted(shop, repo.url, checkout, wheels)
        here = {"GITHUB_SERVER_URL": forge.environ(repo)["GITHUB_SERVER_URL"], "GITHUB_RUN_ID": str(run.id)}
        reference = f"refs/pull/{pull.number}/merge"
        payload = repo.event("pull_request", "opened", pull=pull)
        ran = there.run("pull-request", "pull_request", payload, f"refs/all/pull/{pull.number}/merge",
                        reference, here)  # fmt: skip
        assert ran.code == 0, ran.log
        kept = ran.kept / "artifacts/gitkitchen-results-1"
        repo.artifact(run, kept.name, zipped({p.name: p.read_bytes() for p in kept.iterdir()}))
        run.status, run.conclusion = "completed", "success"

        rights = {"checks": "write", "pull_requests": "write", "actions": "read", "contents": "read"}
        trusted = forge.environ(repo, forge.job_token(repo, **rights)) | {"GITHUB_RUN_ID": "2"}
        payload = repo.event("workflow_run", run=run)
        ran = there.run("report", "workflow_run", payload, "origin/main", "refs/heads/main", trusted)
        assert ran.code == 0, ran.log
        assert ran.jobs() == {"Post results": True}
        checks = {c.name: c.conclusion for c in repo.repo.checks.values() if c.sha == pull.head_sha}
        assert checks["GitKitchen / orders"] == "success", ran.log
        (comment,) = repo.repo.comments.values()
        assert comment.user.login == "github-actions[bot]"

        rights = {"pull_requests": "write", "actions": "write", "contents": "read"}
        trusted = forge.environ(repo, forge.job_token(repo, **rights)) | {"GITHUB_RUN_ID": "3"}
        said = repo.comment(pull, "alice", f"/kitchen run {pull.head_sha}")
        payload = repo.event("issue_comment", "created", comment=said)
        ran = there.run("report", "issue_comment", payload, "origin/main", "refs/heads/main", trusted)
        assert ran.code == 0, ran.log
        assert ran.jobs() == {"Answer a command": True}
        started = [r for r in repo.repo.runs.values() if r.event == "workflow_dispatch"]
        assert [r.workflow.path for r in started] == [f".github/workflows/{COMMAND}"], ran.log
        assert not forge.misuse


@pytest.mark.long
def test_a_dispatch_promotes(tmp_path: Path, checkout: Path, shop: Shop, wheels: Path) -> None:
    """From the files of `init`, against the forge: a dispatch of `promote` lands the tree of the environment
    before, shows its pull request as merged, gives the candidate its check, and keeps the outcome."""
    from gitkitchen.github.forge import Forge

    kitchen = shop.root / "kitchen.yml"
    found = re.search(r"id: ?\S+?(?=[,}\s])", kitchen.read_text())
    assert found
    kitchen.write_text(
        f"version: 1\nproject: {{name: shop, {found[0]}}}\n"
        "environments: {dev: {branch: develop}, prod: {branch: main}}\n"
        f"ledger: branch\nstore: file://{tmp_path}/store\n"
    )
    assert shop.cli("init", "--action", ACTION).code == 0
    path = ".github/workflows/gitkitchen-promote.yml"
    assert (shop.root / path).exists()
    shop.commit(message="Two environments")
    tracked = {name: (shop.root / name).read_text() for name in shop.git("ls-files").splitlines()}
    with Forge(tmp_path / "forge") as forge:
        repo = forge.repository("acme/shop", tracked)
        repo.repo.actions_pulls = True
        repo.workflow(path)
        repo.commit("develop", {"note.txt": "moved"}, author="alice")
        rights = {"actions": "write", "checks": "write", "contents": "write", "pull_requests": "write"}
        token = forge.job_token(repo, **rights)
        there = Hosted(shop, repo.git_url(token), checkout, wheels)
        trusted = forge.environ(repo, token) | {"GITHUB_RUN_ID": "9", "GITHUB_REF": "refs/heads/main"}
        inputs = {"promote": "prod", "reason": "the first"}
        payload = repo.event("workflow_dispatch", workflow=path, ref="refs/heads/main", inputs=inputs)
        ran = there.run("promote", "workflow_dispatch", payload, "origin/main", "refs/heads/main", trusted)
        assert ran.code == 0, ran.log
        assert ran.jobs() == {"Promote": True}
        assert (ran.outputs()["action"], ran.outputs()["verdict"]) == ("promote", "done")
        (pull,) = repo.repo.pulls.values()
        assert pull.merged_at is not None
        (check,) = repo.repo.checks.values()
        assert (check.name, check.conclusion) == ("GitKitchen / (project)", "success")
        assert not (ran.kept / "cache/asked").exists()
        assert not forge.misuse


SCHEDULED = """\
version: 1
recipe: feed
owner: "@olga"
variations:
  nightly:
    environments: [dev]
    schedule: {cron: "0 0 * * *", since: SINCE, catch_up: {most: 2}}
nodes:
  orders: {source: {file: orders.csv}, tests: [{not_null: [id]}, {rows: {min: 3}}, {unique: [id]}]}
  many: {sql: select count(*) as n from orders, tests: [{rows: {min: 1}}]}
"""
CLOCK, PRODUCTION = (f".github/workflows/gitkitchen-{name}.yml" for name in ("clock", "production"))


class Nights:
    """A project with a schedule on a forge, and the jobs of its workflows as GitHub would start them."""

    def __init__(self, forge: Any, repo: Any, hosted: Callable[[str], Hosted]) -> None:
        self.forge, self.repo, self.hosted, self.jobs = forge, repo, hosted, 1000

    def job(
        self,
        name: str,
        event: str,
        payload: dict[str, Any],
        branch: str,
        rights: Mapping[str, str],
        variables: Mapping[str, str] | None = None,
    ) -> Ran:
        self.jobs += 1
        token = self.forge.job_token(self.repo, **rights)
        environ = self.forge.environ(self.repo, token) | {"GITHUB_REF": f"refs/heads/{branch}"}
        environ |= {"GITHUB_RUN_ID": str(self.jobs)}
        there = self.hosted(self.repo.git_url(token))
        return there.run(name, event, payload, f"origin/{branch}", f"refs/heads/{branch}", environ, variables)

    def clock(self) -> Ran:
        payload = self.repo.event("schedule", cron="7,37 * * * *")
        rights = {"actions": "write", "contents": "write", "issues": "write"}
        return self.job("clock", "schedule", payload, "main", rights)

    def production(self, run: Any) -> Ran:
        """The job that a dispatch started, on the branch that it names, to its end."""
        inputs = {name: str(value) for name, value in run.inputs.items()}
        ref = f"refs/heads/{run.branch}"
        payload = self.repo.event("workflow_dispatch", workflow=PRODUCTION, ref=ref, inputs=inputs)
        rights = {"contents": "write", "issues": "write", "packages": "write"}
        ran = self.job("production", "workflow_dispatch", payload, run.branch, rights)
        run.status, run.conclusion = "completed", "success" if ran.code == 0 else "failure"
        return ran

    def page(self, run: Any, **variables: str) -> Ran:
        """The page's job, after a run of production ended."""
        payload = self.repo.event("workflow_run", run=run)
        rights = {"contents": "read", "packages": "read"}
        return self.job("pages", "workflow_run", payload, "main", rights, variables)

    def started(self) -> list[Any]:
        return [r for r in self.repo.repo.runs.values() if r.workflow.path == PRODUCTION]


@pytest.fixture
def nights(tmp_path: Path, checkout: Path, shop: Shop, wheels: Path) -> Iterator[Nights]:
    from gitkitchen.github.forge import Forge

    kitchen = shop.root / "kitchen.yml"
    found = re.search(r"id: ?\S+?(?=[,}\s])", kitchen.read_text())
    assert found
    kitchen.write_text(
        f"version: 1\nproject: {{name: shop, {found[0]}}}\n"
        "environments: {dev: {branch: develop}, prod: {branch: main}}\n"
        f"ledger: branch\nstore: file://{tmp_path}/store\n"
        "alerts:\n  channels: {issues: {type: github_issue}}\n"
        "  rules: [{channels: [issues], events: [test_failed]}]\n"
    )
    shutil.rmtree(shop.root / "recipes")
    since = datetime.now(UTC) - timedelta(days=2)
    recipe = SCHEDULED.replace("SINCE", f"{since:%Y-%m-%d}T00:00Z")
    shop.write({"recipes/feed/recipe.yml": recipe, "recipes/feed/orders.csv": "id\n1\n2\n3\n"})
    assert shop.cli("init", "--action", ACTION).code == 0
    shop.commit(message="A schedule")
    tracked = {name: (shop.root / name).read_text() for name in shop.git("ls-files").splitlines()}
    with Forge(tmp_path / "forge") as forge:
        repo = forge.repository("acme/shop", tracked)
        repo.workflow(PRODUCTION)
        repo.commit("develop", {"note.txt": "the branch of dev"}, author="alice")
        yield Nights(forge, repo, lambda url: Hosted(shop, url, checkout, wheels))
        assert not forge.misuse


@pytest.mark.long
def test_the_clock_starts_production_and_the_page_shows_it(nights: Nights) -> None:
    """From the files of `init`, against the forge. The clock starts production on the environment's branch,
    once for each interval that is due; the first is run, tested and published; the second, whose data is bad,
    is red, publishes nothing, and opens one issue for the node; the page is an artifact with both, and goes
    to Pages where the repository's variable says so, and only there."""
    ran = nights.clock()
    assert ran.code == 0, ran.log
    assert ran.jobs() == {"Start what is due": True}
    assert ran.outputs()["action"] == "clock"
    first, second = nights.started()
    assert {(r.branch, r.inputs["recipe"], r.inputs["variation"]) for r in (first, second)} == {
        ("develop", "feed", "nightly")
    }
    assert nights.clock().code == 0
    assert nights.started() == [first, second]

    ran = nights.production(first)
    assert ran.code == 0, ran.log
    assert ran.jobs() == {"Run": True}
    assert (ran.outputs()["action"], ran.outputs()["verdict"]) == ("scheduled", "passed")
    assert ran.artifact("feed.outcome.json")["publication"]["state"] == "published"
    assert nights.repo.repo.issues == {}

    nights.repo.commit("develop", {"recipes/feed/orders.csv": "id\n1\n1\n"}, author="alice")
    ran = nights.production(second)
    assert ran.code != 0
    assert ran.jobs() == {"Run": False}
    assert ran.outputs()["verdict"] == "failed"
    assert ran.artifact("feed.outcome.json")["publication"]["state"] == "withheld"
    issues = list(nights.repo.repo.issues.values())
    assert [i.title for i in issues] == ["[shop dev] feed: orders: 2 tests failed"], ran.log
    (issue,) = issues
    assert "| **Owner** | @olga |" in str(issue.body)

    kept = nights.page(second)
    assert kept.code == 0, kept.log
    assert kept.jobs() == {"Make the page": True}
    site = kept.kept / "artifacts/gitkitchen-page-1"
    status = json.loads((site / "status.json").read_text())
    assert "feed" in json.dumps(status)
    assert len(list((site / "run").iterdir())) == 2
    assert "2 tests failed" not in kept.log
    assert not (kept.kept / "pages").exists()
    shown = nights.page(second, GITKITCHEN_PAGES="true")
    assert shown.code == 0, shown.log
    assert shown.jobs() == {"Make the page": True, "Publish on Pages": True}
    assert (shown.kept / "pages/index.html").is_file()
