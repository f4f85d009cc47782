"""What the forge enforces of branches, tokens and settings, over real Git and the API."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clones import Clone
from gitkitchen.github.asking import Asking
from gitkitchen.github.forge.git_http import reworded
from gitkitchen.github.trouble import Trouble
from stage import Stage, staged

WORKFLOW = ".github/workflows/test.yml"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path / "forge") as made:
        yield made


def call(stage: Stage, verb: str, path: str, token: str, body: Any = None) -> tuple[int, str]:
    """Status and body of one question, or of a refusal."""
    asking = Asking(stage.forge.api_url, token, clock=stage.time, sleep=stage.time.sleep)
    whole = f"/repos/{stage.repo.full_name}/{path}".rstrip("/")
    try:
        _headers, answer = asking.ask(verb, whole, "ask", {}, body=body)
    except Trouble as trouble:
        return trouble.status, trouble.reason
    finally:
        asking.close()
    return 200, json.dumps(answer)


def green(stage: Stage, sha: str, name: str, conclusion: str = "success", by: str = "") -> None:
    token = by or stage.forge.job_token(stage.repo, checks="write")
    body = {"name": name, "head_sha": sha, "status": "completed", "conclusion": conclusion}
    assert call(stage, "POST", "check-runs", token, body)[0] == 200


def test_a_ruleset_names_all_that_a_push_violates(stage: Stage, tmp_path: Path) -> None:
    """GH013 says each violation on a line of its own, and where the rules are read."""
    stage.repo.protect("main", ruleset=True, checks=("gate", "lint"), queue=True)
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.commit("b.sql", "x\n")
    said = clone.git("push", "-q", "origin", "HEAD:main").stderr
    for words in (
        "GH013: Repository rule violations found for refs/heads/main.",
        "/octo/shop/rules?ref=refs%2Fheads%2Fmain",
        "- Changes must be made through the merge queue",
        "- Changes must be made through a pull request.",
        "- 2 of 2 required status checks are expected.",
    ):
        assert words in said


@pytest.mark.parametrize("ruleset", [False, True], ids=["classic", "ruleset"])
def test_a_commit_whose_required_check_is_green_may_be_pushed(
    stage: Stage, tmp_path: Path, ruleset: bool
) -> None:
    """Required checks bind the commit that is pushed; a failed one does not satisfy them."""
    stage.repo.protect("main", ruleset=ruleset, pull_request=False, checks=("gate",))
    clone = Clone(stage, tmp_path / "clone", stage.forge.job_token(stage.repo, contents="write"))
    sha = clone.commit("b.sql", "x\n")
    clone.git("push", "-q", "origin", "HEAD:refs/heads/candidate")
    assert 'Required status check "gate" is expected.' in clone.git("push", "origin", "HEAD:main").stderr
    green(stage, sha, "gate", "failure")
    assert clone.git("push", "-q", "origin", "HEAD:main").returncode != 0
    green(stage, sha, "gate")
    assert clone.git("push", "-q", "origin", "HEAD:main").returncode == 0
    assert stage.repo.head("main") == sha


def test_a_check_of_another_app_does_not_count_where_one_is_named(stage: Stage, tmp_path: Path) -> None:
    """Whoever may write checks can use any name; a rule that names the App is not taken in."""
    ours = stage.forge.state.app("github-actions")
    stage.repo.protect("main", ruleset=True, pull_request=False, checks=("gate",), app=ours.id)
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    sha = clone.commit("b.sql", "x\n")
    clone.git("push", "-q", "origin", "HEAD:refs/heads/candidate")
    green(stage, sha, "gate", by=stage.forge.app_token(stage.repo, "stranger", checks="write"))
    assert clone.git("push", "-q", "origin", "HEAD:main").returncode != 0
    green(stage, sha, "gate")
    assert clone.git("push", "-q", "origin", "HEAD:main").returncode == 0


def test_merge_commits_and_unsigned_ones_are_refused_where_rules_say_so(stage: Stage, tmp_path: Path) -> None:
    """A linear history takes no commit with two parents, required signatures none without one."""
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.commit("b.sql", "x\n")
    clone.git("merge", "-q", "--no-ff", "--no-edit", "-s", "ours", "origin/feature")
    rule = stage.repo.protect("main", ruleset=True, pull_request=False, linear=True)
    assert "must not contain merge commits" in clone.git("push", "origin", "HEAD:main").stderr
    assert (
        "must not contain merge commits"
        in call(stage, "PUT", "pulls/1/merge", stage.forge.user_token("octo"))[1]
    )
    rule.linear, rule.signatures = False, True
    assert "must have verified signatures" in clone.git("push", "origin", "HEAD:main").stderr
    rule.signatures = False
    assert clone.git("push", "-q", "origin", "HEAD:main").returncode == 0


def test_only_those_on_the_list_update_a_branch_that_is_closed(stage: Stage, tmp_path: Path) -> None:
    """A rule on updates binds pushes and merges of everybody else, an App on its list it does not."""
    stage.repo.protect("main", ruleset=True, pull_request=False, updates=True, bypass=("kitchen[bot]",))
    app = stage.forge.app_token(stage.repo, "kitchen", contents="write")
    owner = stage.forge.user_token("octo")
    clone = Clone(stage, tmp_path / "clone", owner)
    clone.commit("b.sql", "x\n")
    assert "Cannot update this protected ref" in clone.git("push", "origin", "HEAD:main").stderr
    status, said = call(stage, "PUT", "pulls/1/merge", owner)
    assert (status, "Cannot update" in said) == (405, True)
    assert clone.git("push", "-q", stage.repo.git_url(app), "HEAD:main").returncode == 0


@pytest.mark.parametrize("enforcement", ["evaluate", "disabled"])
def test_a_ruleset_that_is_not_active_binds_nobody(stage: Stage, tmp_path: Path, enforcement: str) -> None:
    """It is listed, it is not among the rules of the branch, and a push passes it."""
    stage.repo.protect("main", ruleset=True, enforcement=enforcement)
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.commit("b.sql", "x\n")
    assert clone.git("push", "-q", "origin", "HEAD:main").returncode == 0
    token = stage.forge.user_token("octo")
    assert call(stage, "GET", "rules/branches/main", token) == (200, "[]")
    assert enforcement in call(stage, "GET", "rulesets", token)[1]


def test_a_push_is_declined_with_the_reasons_that_github_gives(stage: Stage, tmp_path: Path) -> None:
    """Not that a hook declined: the reason beside each ref tells a ruleset, a protection and workflows."""
    stage.repo.protect("main", ruleset=True)
    stage.repo.protect("feature")
    clone = Clone(stage, tmp_path / "clone", stage.forge.job_token(stage.repo, contents="write"))
    clone.commit("b.sql", "x\n")
    refs = ("main", "feature", "refs/heads/free")
    done = clone.git("push", "--porcelain", "--force", "origin", *(f"HEAD:{ref}" for ref in refs))
    told = dict(line.split("\t")[1:] for line in done.stdout.splitlines() if line.count("\t") == 2)
    assert told == {
        "HEAD:refs/heads/main": "[remote rejected] (push declined due to repository rule violations)",
        "HEAD:refs/heads/feature": "[remote rejected] (protected branch hook declined)",
        "HEAD:refs/heads/free": "[new branch]",
    }
    clone.commit(WORKFLOW, "on: push\n")
    said = clone.git("push", "origin", "HEAD:refs/heads/wild").stderr
    assert f"(refusing to allow a GitHub App to create or update workflow `{WORKFLOW}` without" in said


@given(st.lists(st.binary(max_size=40), max_size=6), st.binary(max_size=40))
def test_what_is_no_refusal_stays_as_git_said_it(lines: list[bytes], noise: bytes) -> None:
    """A report without a declined hook says the same after as before, and what is no report is left alone."""
    report = b"".join(b"%04x" % (len(line) + 4) + line for line in lines if b"hook declined" not in line)
    band = b"\x01" + report
    body = b"%04x" % (len(band) + 4) + band + b"0000"
    assert reworded(body) == body
    assert reworded(noise) == noise


def test_refs_set_through_the_api_meet_the_same_rules(stage: Stage) -> None:
    """PATCH, DELETE and POST of refs refuse what a push would be refused."""
    rule = stage.repo.protect("main", ruleset=True)
    token = stage.forge.job_token(stage.repo, contents="write")
    head = stage.repo.head("feature")
    assert "pull request" in call(stage, "PATCH", "git/refs/heads/main", token, {"sha": head})[1]
    rule.pull_request, rule.checks = False, ("gate",)
    assert "gate" in call(stage, "PATCH", "git/refs/heads/main", token, {"sha": head})[1]
    assert "Cannot delete" in call(stage, "DELETE", "git/refs/heads/main", token)[1]
    rule.checks = ()
    sha = stage.repo.commit("main", {"z": "z"})
    back = {"sha": stage.repo.repo.bare.facts(sha).parents[0], "force": True}
    assert "force-push" in call(stage, "PATCH", "git/refs/heads/main", token, back)[1]
    wild = stage.repo.commit("wild", {WORKFLOW: "on: push\n"})
    made = call(stage, "POST", "git/refs", token, {"ref": "refs/heads/wilder", "sha": wild})
    assert (made[0], "workflows" in made[1]) == (403, True)


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_way_of_merging_that_is_off_is_refused(stage: Stage, method: str) -> None:
    """405 by the repository's settings, 405 by a ruleset; with both open it merges to the tested tree."""
    token = stage.forge.user_token("octo")
    tree = stage.repo.repo.bare.merged(stage.repo.head("main"), stage.pull.head_sha)
    body = {"merge_method": method, "sha": stage.pull.head_sha}
    others = tuple(one for one in ("merge", "squash", "rebase") if one != method)
    stage.repo.repo.merge_methods = others
    status, said = call(stage, "PUT", "pulls/1/merge", token, body)
    assert (status, "not allowed on this repository" in said) == (405, True)
    stage.repo.repo.merge_methods = ("merge", "squash", "rebase")
    rule = stage.repo.protect("main", ruleset=True, methods=others)
    assert call(stage, "PUT", "pulls/1/merge", token, body)[0] == 405
    rule.methods = (method,)
    assert call(stage, "PUT", "pulls/1/merge", token, body)[0] == 200
    assert stage.repo.repo.bare.facts(stage.repo.head("main")).tree == tree


def test_a_rebase_keeps_each_commit(stage: Stage) -> None:
    """On the base's tip: as many commits as the branch has, and no merge among them."""
    stage.repo.commit("feature", {"c.sql": "select 3\n"})
    base = stage.repo.head("main")
    body = {"merge_method": "rebase"}
    assert call(stage, "PUT", "pulls/1/merge", stage.forge.user_token("octo"), body)[0] == 200
    log = stage.repo.repo.bare.log(stage.repo.head("main"), f"^{base}")
    assert [len(facts.parents) for facts in log] == [1, 1]


def test_the_merge_queue_is_not_passed_by(stage: Stage) -> None:
    """Where one is required the API merges nothing by itself."""
    stage.repo.protect("main", ruleset=True, queue=True)
    status, said = call(stage, "PUT", "pulls/1/merge", stage.forge.user_token("octo"))
    assert (status, "merge queue" in said) == (405, True)


def test_a_merge_compares_the_head_and_not_the_base(stage: Stage) -> None:
    """The base moves between test and merge, and the merge makes a tree that nobody has tested."""
    tested = stage.repo.repo.bare.merged(stage.repo.head("main"), stage.pull.head_sha)
    stage.repo.commit("main", {"late.sql": "select 9\n"})
    body = {"sha": stage.pull.head_sha}
    assert call(stage, "PUT", "pulls/1/merge", stage.forge.user_token("octo"), body)[0] == 200
    assert stage.repo.repo.bare.facts(stage.repo.head("main")).tree != tested


def test_approvals_of_another_head_and_of_no_owner_do_not_count(stage: Stage) -> None:
    """Where a rule dismisses stale ones, or asks for an owner of the files."""
    stage.repo.commit("main", {".github/CODEOWNERS": "* @octo/data\n"})
    stage.repo.team("data", "write", "ana")
    stage.repo.allow("bob", "write")
    stage.repo.protect("main", ruleset=True, approvals=1, dismiss_stale=True, code_owners=True)
    token = stage.forge.user_token("octo")
    stage.repo.review(stage.pull, "bob")
    assert "code owner" in call(stage, "PUT", "pulls/1/merge", token)[1]
    stage.repo.review(stage.pull, "ana")
    stage.repo.commit("feature", {"c.sql": "select 3\n"})
    assert "approving review" in call(stage, "PUT", "pulls/1/merge", token)[1]
    stage.repo.review(stage.pull, "ana")
    assert call(stage, "PUT", "pulls/1/merge", token)[0] == 200


def test_a_job_opens_and_approves_pull_requests_only_where_that_is_allowed(stage: Stage) -> None:
    """The setting is off in a new repository: 403, and 422 for an approval."""
    stage.repo.commit("second", {"x": "y"})
    token = stage.forge.job_token(stage.repo, pull_requests="write")
    opening = {"title": "t", "head": "second", "base": "main"}
    status, said = call(stage, "POST", "pulls", token, opening)
    assert (status, "not permitted to create" in said) == (403, True)
    status, said = call(stage, "POST", "pulls/1/reviews", token, {"event": "APPROVE"})
    assert (status, "not permitted to approve" in said) == (422, True)
    stage.repo.repo.actions_pulls = True
    assert call(stage, "POST", "pulls", token, opening)[0] == 200
    assert call(stage, "POST", "pulls/1/reviews", token, {"event": "APPROVE"})[0] == 200


@pytest.mark.parametrize(
    "trigger",
    [
        "on: pull_request\n",
        "on: [push, pull_request]\n",
        "on:\n  push:\n\n  pull_request:\n    types: [opened]\n",
    ],
    ids=["word", "list", "mapping"],
)
def test_runs_of_a_pull_request_that_a_job_opened_wait(stage: Stage, trigger: str) -> None:
    """They are there as `action_required`, start nothing, and start when somebody who may approves them."""
    stage.repo.repo.actions_pulls = True
    stage.repo.commit("main", {WORKFLOW: f"{trigger}jobs: {{}}\n", ".github/workflows/o.yml": "on: push\n"})
    stage.repo.commit("second", {"x": "y"})
    token = stage.forge.job_token(stage.repo, pull_requests="write", contents="write")
    opening = {"title": "t", "head": "second", "base": "main"}
    number = json.loads(call(stage, "POST", "pulls", token, opening)[1])["number"]
    event = stage.repo.deliveries("pull_request")[-1]
    assert (event.starts, event.waits) == (False, True)
    (run,) = [run for run in stage.repo.repo.runs.values() if run.pull == number]
    assert (run.workflow.path, run.conclusion) == (WORKFLOW, "action_required")
    pull = stage.repo.repo.pulls[number]
    with pytest.raises(ValueError, match="may not approve"):
        stage.repo.approve(pull, "stranger")
    assert stage.repo.approve(pull, "octo") == [run]
    assert (run.status, stage.repo.deliveries("pull_request")[-1].starts) == ("queued", True)


def test_nobody_approves_their_own_pull_request(stage: Stage) -> None:
    """422, and the client tells why."""
    token = stage.forge.user_token("alice")
    status, said = call(stage, "POST", "pulls/1/reviews", token, {"event": "APPROVE"})
    assert (status, "Can not approve your own pull request" in said) == (422, True)


def test_what_a_job_merges_starts_nothing(stage: Stage) -> None:
    """Neither the push to the base nor the closed pull request starts a workflow; an App's merge does."""
    stage.repo.commit("second", {"x": "y"})
    second = stage.repo.pull("second")
    job = stage.forge.job_token(stage.repo, contents="write")
    app = stage.forge.app_token(stage.repo, "kitchen", contents="write")
    for number, token, starts in ((1, job, False), (second.number, app, True)):
        seen = len(stage.repo.deliveries())
        assert call(stage, "PUT", f"pulls/{number}/merge", token)[0] == 200
        happened = {one.name: one.starts for one in stage.repo.deliveries()[seen:]}
        assert happened == {"pull_request": starts, "push": starts}


def test_a_job_that_merges_changed_workflows_is_refused_and_an_app_with_the_right_is_not(
    stage: Stage,
) -> None:
    """The `workflows` right, which a job's token never has, is asked of merges as of pushes."""
    stage.repo.commit("wild", {WORKFLOW: "on: push\n"})
    pull = stage.repo.pull("wild")
    job = stage.forge.job_token(stage.repo, contents="write")
    status, said = call(stage, "PUT", f"pulls/{pull.number}/merge", job)
    assert (status, "without `workflows` permission" in said) == (403, True)
    app = stage.forge.app_token(stage.repo, "kitchen", contents="write", workflows="write")
    assert call(stage, "PUT", f"pulls/{pull.number}/merge", app)[0] == 200


@pytest.mark.parametrize("atomic", ["honoured", "absent", "ignored"])
def test_pushes_that_must_be_atomic(stage: Stage, tmp_path: Path, atomic: str) -> None:
    """Both refs or none where it is honoured; none where it is not offered; torn where it is ignored."""
    stage.repo.repo.atomic = atomic
    stage.repo.protect("main", ruleset=True)
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.commit("b.sql", "x\n")
    done = clone.git("push", "--atomic", "origin", "HEAD:refs/heads/other", "HEAD:main")
    assert done.returncode != 0
    assert ("refs/heads/other" in stage.repo.repo.bare.refs()) == (atomic == "ignored")
    assert ("does not support --atomic" in done.stderr) == (atomic == "absent")


def test_private_repositories_of_a_free_plan_have_no_rules(stage: Stage) -> None:
    """403 with the words that tell it from a missing right; and nothing is refused."""
    stage.repo.protect("main", ruleset=True)
    stage.repo.repo.rules_in_plan = False
    token = stage.forge.user_token("octo")
    for path in ("rules/branches/main", "rulesets", "branches/main/protection"):
        status, said = call(stage, "GET", path, token)
        assert (status, "Upgrade to GitHub" in said) == (403, True)
    assert call(stage, "PUT", "pulls/1/merge", token)[0] == 200


def test_who_may_read_settings(stage: Stage) -> None:
    """A job's token reads rulesets and nothing that takes `administration`; bypass lists only admins see."""
    rule = stage.repo.protect("main", ruleset=True, bypass=("octo",))
    stage.repo.protect("main")
    job = stage.forge.job_token(stage.repo, contents="write", actions="write")
    owner = stage.forge.user_token("octo")
    paths = ("branches/main/protection", "actions/permissions", "actions/permissions/workflow")
    for path, (token, status) in itertools.product(paths, ((job, 403), (owner, 200))):
        assert call(stage, "GET", path, token)[0] == status
    assert call(stage, "GET", "rules/branches/main", job)[0] == 200
    assert "bypass_actors" not in call(stage, "GET", f"rulesets/{rule.id}", job)[1]
    assert "bypass_actors" in call(stage, "GET", f"rulesets/{rule.id}", owner)[1]
    assert "allow_merge_commit" in call(stage, "GET", "", job)[1]
    reader = stage.forge.job_token(stage.repo, contents="read")
    assert "allow_merge_commit" not in call(stage, "GET", "", reader)[1]


def test_an_archived_repository_takes_no_push(stage: Stage, tmp_path: Path) -> None:
    """It can be read as before."""
    stage.repo.repo.archived = True
    clone = Clone(stage, tmp_path / "clone", stage.forge.user_token("octo"))
    clone.commit("b.sql", "x\n")
    assert "archived" in clone.git("push", "origin", "HEAD:refs/heads/x").stderr
