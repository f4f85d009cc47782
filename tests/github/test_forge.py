"""The forge answers as GitHub's description says and refuses as GitHub does, or it is found out."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.document.openapi import Description
from gitkitchen.github.forge import Forge, zipped
from gitkitchen.github.forge.answering import OPENAPI, description
from gitkitchen.github.forge.happening import listens
from gitkitchen.github.forge.routing import ROUTES, Answer, Rule
from stage import Stage, staged

HERE = Path(__file__).parent


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as made:
        yield made


@dataclass
class Got:
    status: int
    headers: Any
    body: Any

    @property
    def message(self) -> str:
        return str(self.body["message"])


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **named: Any) -> None:
        return None


def ask(
    stage: Stage, verb: str, path: str, body: Any = None, token: str | None = None, **headers: str
) -> Got:
    """One request with nothing of the client between; ``path`` below the repository, or from /."""
    whole = path if path.startswith("/") else f"/repos/octo/shop{path and '/'}{path}"
    given = {"User-Agent": "test", **headers}
    if value := stage.token if token is None else token:
        given["Authorization"] = f"Bearer {value}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(stage.forge.api_url + whole, data, given, method=verb)
    try:
        with urllib.request.build_opener(_Stay()).open(request, timeout=30) as answer:
            text = answer.read()
            return Got(answer.status, answer.headers, json.loads(text) if text else None)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            return Got(error.code, error.headers, json.loads(text) if text else None)


def test_every_operation_of_the_description_is_answered() -> None:
    """What the description holds is implemented, and nothing is implemented that it does not hold."""
    described = {operation.id for operation in description().operations} - {"rate-limit/get"}
    assert described == set(ROUTES)


def test_the_description_says_where_it_comes_from() -> None:
    """Source, release, license, and the script that makes it again."""
    about = json.loads(OPENAPI.read_text())["about"]
    assert about["license"] == "MIT"
    assert about["package"].startswith("@octokit/openapi ")
    assert (HERE.parent.parent / about["made_by"]).is_file()
    assert len(OPENAPI.read_bytes()) < 300_000


def test_every_question_is_answered_as_described(stage: Stage) -> None:
    """All that can be read is read once, and each answer holds what GitHub's description demands."""
    forge, repo, pull = stage.forge, stage.repo, stage.pull
    token = forge.job_token(
        repo,
        checks="write",
        pull_requests="write",
        contents="write",
        actions="write",
        deployments="write",
        statuses="write",
        issues="write",
    )
    repo.commit("main", {".github/workflows/ci.yml": "on: workflow_dispatch\n"})
    repo.team("data", "write", "bob")
    repo.protect("main", ruleset=True, approvals=1, checks=("gate",))
    repo.protect("main", approvals=2, checks=("gate", "lint"), code_owners=True)
    run = repo.run(".github/workflows/ci.yml", "pull_request", pull.head_sha, pull=pull, job="build")
    stored = repo.artifact(run, "outcome", zipped({"a": "b"}))
    repo.review(pull, "bob")

    def do(verb: str, path: str, body: Any = None, expect: int = 200, by: str = token) -> Any:
        got = ask(stage, verb, path, body, by)
        assert got.status == expect, (path, got.body)
        return got.body

    sha = pull.head_sha
    note = {"path": "a.sql", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
    check = do(
        "POST",
        "check-runs",
        {
            "name": "x",
            "head_sha": sha,
            "status": "queued",
            "output": {"title": "t", "summary": "s", "annotations": [note]},
        },
        201,
    )
    do("PATCH", f"check-runs/{check['id']}", {"status": "completed", "conclusion": "success"})
    do(
        "POST",
        f"statuses/{sha}",
        {"state": "success", "context": "c", "description": "d", "target_url": "https://example.com"},
        201,
    )
    comment = do("POST", "issues/1/comments", {"body": "hi"}, 201)
    do("PATCH", f"issues/comments/{comment['id']}", {"body": "ho"})
    reaction = do("POST", f"issues/comments/{comment['id']}/reactions", {"content": "eyes"}, 201)
    do("POST", f"issues/comments/{comment['id']}/reactions", {"content": "eyes"}, 200)
    issue = do("POST", "issues", {"title": "It fails", "body": "b", "labels": ["data"]}, 201)
    do("PATCH", f"issues/{issue['number']}", {"state": "closed", "state_reason": "completed"})
    repo.repo.labels.clear()
    repo.repo.issues[issue["number"]].labels.clear()
    do("POST", "labels", {"name": "data", "color": "ff0000"}, 201)
    do("POST", "issues/1/labels", {"labels": ["data", "new"]})
    deployment = do(
        "POST",
        "deployments",
        {"ref": "feature", "auto_merge": False, "required_contexts": [], "environment": "a/b"},
        201,
    )
    do(
        "POST",
        f"deployments/{deployment['id']}/statuses",
        {"state": "success", "log_url": "https://example.com"},
        201,
    )
    do("POST", "actions/workflows/ci.yml/dispatches", {"ref": "main"}, 204)
    do("POST", "dispatches", {"event_type": "go", "client_payload": {"a": 1}}, 204)
    made = do(
        "POST", "git/commits", {"message": "m", "tree": repo.repo.bare.facts(sha).tree, "parents": [sha]}, 201
    )
    do("POST", "git/refs", {"ref": "refs/heads/new", "sha": sha}, 201)
    do("PATCH", "git/refs/heads/new", {"sha": made["sha"]})
    tree = repo.repo.bare.facts(sha).tree
    blob = repo.repo.bare.entries(tree)[0][2]
    for path in (
        "",
        "labels",
        "branches",
        "branches/main",
        "rules/branches/main",
        "rulesets",
        f"rulesets/{repo.repo.protections[0].id}",
        "contents/",
        "contents/a.sql",
        "contents/.github?ref=main",
        "commits",
        "commits/feature",
        "commits/feature/check-runs",
        "commits/feature/check-suites",
        "commits/feature/status",
        "commits/feature/statuses",
        f"commits/{sha}/pulls",
        "compare/main...feature",
        "git/ref/heads/main",
        "git/matching-refs/heads/",
        f"git/commits/{sha}",
        f"git/trees/{tree}?recursive=1",
        f"git/blobs/{blob}",
        f"check-runs/{check['id']}",
        f"check-runs/{check['id']}/annotations",
        f"check-suites/{check['check_suite']['id']}",
        f"check-suites/{check['check_suite']['id']}/check-runs",
        "issues?state=all",
        f"issues/{issue['number']}",
        "issues/1",
        "issues/1/comments",
        "issues/1/labels",
        f"issues/comments/{comment['id']}",
        f"issues/comments/{comment['id']}/reactions",
        "pulls",
        "pulls/1",
        "pulls/1/files",
        "pulls/1/commits",
        "pulls/1/reviews",
        "actions/workflows",
        "actions/workflows/ci.yml",
        "actions/workflows/ci.yml/runs",
        "actions/runs",
        f"actions/runs/{run.id}",
        f"actions/runs/{run.id}/jobs",
        f"actions/runs/{run.id}/artifacts",
        "actions/artifacts",
        f"actions/artifacts/{stored.id}",
        "deployments",
        f"deployments/{deployment['id']}",
        f"deployments/{deployment['id']}/statuses",
        "environments",
        "environments/a%2Fb",
        "collaborators/bob/permission",
        "/rate_limit",
        "/users/bob",
    ):
        do("GET", path)
    owner = forge.user_token("octo")
    for path in (
        "/user",
        "branches/main/protection",
        "actions/permissions",
        "actions/permissions/workflow",
        "teams",
        "/orgs/octo/teams/data/members",
        "/orgs/octo/teams/data/memberships/bob",
    ):
        do("GET", path, by=owner)
    do("GET", f"actions/artifacts/{stored.id}/zip", expect=302)
    do("POST", f"actions/runs/{run.id}/cancel", expect=409)
    do("DELETE", f"issues/comments/{comment['id']}/reactions/{reaction['id']}", expect=204)
    do("DELETE", f"issues/comments/{comment['id']}", expect=204)
    do("DELETE", "issues/1/labels/new")
    do("DELETE", "git/refs/heads/new", expect=204)
    do("PATCH", "pulls/1", {"title": "Better"})
    do("POST", "pulls/1/reviews", {"event": "COMMENT", "body": "well"})
    do("GET", "pulls/1/merge", expect=404)
    asked = {record.operation for record in forge.log if record.status < 400}
    refused = {"pulls/check-if-merged", "pulls/merge", "pulls/create", "actions/cancel-workflow-run"}
    assert asked >= set(ROUTES) - refused


def test_a_forge_that_departs_from_the_description_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that GitHub would not give is no answer: 500, and the end of the forge says so."""
    real = ROUTES["pulls/get"]

    def wrong(call: Any) -> Answer:
        answer = real.answer(call)
        del answer.body["head"]["sha"]
        return answer

    monkeypatch.setitem(ROUTES, "pulls/get", Rule(wrong, real.needs, real.role, real.always, real.app_only))
    with pytest.raises(AssertionError, match="'sha' is a required property"), staged(tmp_path) as stage:
        assert ask(stage, "GET", "pulls/1").status == 500


def test_what_the_description_does_not_know_is_misuse(tmp_path: Path) -> None:
    """A key or parameter that GitHub would ignore, and a path that it lacks, are mistakes of the client."""
    with Forge(tmp_path) as forge:
        repo = forge.repository("octo/shop")
        stage = Stage(forge, repo, None, None, forge.job_token(repo, checks="write"))  # type: ignore[arg-type]
        body = {"name": "x", "head_sha": repo.head("main"), "status": "queued", "sumary": "s"}
        assert ask(stage, "POST", "check-runs", body).status == 422
        assert ask(stage, "GET", "pulls?stat=open").status == 422
        assert ask(stage, "GET", "pulls?state=opened").status == 422
        assert ask(stage, "GET", "stargazers").status == 404
        assert len(forge.misuse) == 4
        assert "sumary" in forge.misuse[0]


def test_limits_of_check_runs(stage: Stage) -> None:
    """A 51st annotation, a long text, a wrong conclusion fail the whole request; nothing of it is kept."""
    note = {"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "m"}
    output = {"title": "t", "summary": "s", "annotations": [note]}
    body = {"name": "x", "head_sha": stage.pull.head_sha, "status": "in_progress", "output": output}
    number = ask(stage, "POST", "check-runs", body).body["id"]
    for wrong in (
        {"output": {**output, "annotations": [note] * 51}},
        {"output": {**output, "summary": "x" * 65_536}},
        {"output": {**output, "text": "x" * 65_536}},
        {"output": {**output, "annotations": [{**note, "message": "é" * 40_000}]}},
        {"output": {**output, "annotations": [{**note, "title": "x" * 256}]}},
        {"output": {**output, "annotations": [{**note, "end_line": 2, "start_column": 1}]}},
        {"status": "completed"},
        {"conclusion": "great"},
        {"conclusion": "stale", "status": "completed"},
    ):
        assert ask(stage, "PATCH", f"check-runs/{number}", wrong).status == 422, str(wrong)[:80]
    assert ask(stage, "POST", "check-runs", {**body, "head_sha": "f" * 40}).status == 422
    ask(stage, "PATCH", f"check-runs/{number}", {"output": output})
    assert ask(stage, "GET", f"check-runs/{number}").body["output"]["annotations_count"] == 2
    stage.forge.misuse.clear()


def test_who_may_write_check_runs(stage: Stage) -> None:
    """Apps only, their own only, and never the job's own; a job's details_url is not kept."""
    body = {
        "name": "x",
        "head_sha": stage.pull.head_sha,
        "status": "queued",
        "details_url": "https://example.com/mine",
    }
    assert ask(stage, "POST", "check-runs", body, stage.forge.user_token("octo")).status == 403
    ours = ask(stage, "POST", "check-runs", body).body
    assert ours["details_url"] == ours["html_url"]
    other = stage.forge.app_token(stage.repo, "other", checks="write")
    assert ask(stage, "PATCH", f"check-runs/{ours['id']}", {"name": "y"}, other).status == 403
    run = stage.repo.run(".github/workflows/ci.yml", "push", stage.pull.head_sha, job="gate", conclusion=None)
    assert (
        ask(
            stage, "PATCH", f"check-runs/{run.jobs[0].id}", {"status": "completed", "conclusion": "success"}
        ).status
        == 403
    )


def test_the_default_filter_hides_all_but_the_newest_of_a_name(stage: Stage) -> None:
    """Who looks for a check run by its external_id must ask for all."""
    body = {"name": "x", "head_sha": stage.pull.head_sha, "status": "queued"}
    for number in ("1", "2"):
        ask(stage, "POST", "check-runs", {**body, "external_id": number})
    path = f"commits/{stage.pull.head_sha}/check-runs"
    assert [one["external_id"] for one in ask(stage, "GET", path).body["check_runs"]] == ["2"]
    assert ask(stage, "GET", f"{path}?filter=all").body["total_count"] == 2


def test_a_comment_has_its_limit(stage: Stage) -> None:
    """65,536 characters, and not none."""
    for body, status in (("x" * 65_536, 201), ("x" * 65_537, 422), (" ", 422)):
        assert ask(stage, "POST", "issues/1/comments", {"body": body}).status == status


def test_tokens_may_what_they_were_given(stage: Stage) -> None:
    """401, 403 with the permissions that would do, 404 for what is hidden."""
    read_only = stage.forge.job_token(stage.repo, contents="read")
    got = ask(stage, "POST", "issues/1/comments", {"body": "x"}, read_only)
    assert (got.status, got.message) == (403, "Resource not accessible by integration")
    assert got.headers["X-Accepted-GitHub-Permissions"] == "issues=write; pull_requests=write"
    assert ask(stage, "GET", "pulls/1", token=read_only).status == 200
    assert ask(stage, "GET", "", token="ghs_wrong").message == "Bad credentials"
    stage.forge.revoke(read_only)
    assert ask(stage, "GET", "", token=read_only).status == 401
    assert ask(stage, "POST", "issues/1/comments", {"body": "x"}, "").status == 401
    assert ask(stage, "GET", "/user").status == 403
    stage.forge.repository("octo/hidden", private=True)
    assert ask(stage, "GET", "/repos/octo/hidden").status == 404
    elsewhere = stage.forge.repository("octo/other")
    foreign = stage.forge.job_token(elsewhere, pull_requests="write", checks="write")
    assert ask(stage, "POST", "issues/1/comments", {"body": "x"}, foreign).status == 403
    assert ask(stage, "GET", "branches/main/protection").status == 403


def test_etags_and_pages(stage: Stage) -> None:
    """What did not change is 304; a list leads on by its Link header until all of it was seen."""
    first = ask(stage, "GET", "pulls/1")
    assert ask(stage, "GET", "pulls/1", **{"If-None-Match": first.headers["ETag"]}).status == 304
    for number in range(25):
        stage.repo.comment(stage.pull, "bob", str(number))
    path, seen = "issues/1/comments?per_page=10", []
    while path:
        got = ask(stage, "GET", path)
        seen += [one["body"] for one in got.body]
        links = dict(part.split("; ")[::-1] for part in got.headers.get("Link", "").split(", ") if part)
        path = links.get('rel="next"', "").strip("<>").removeprefix(stage.forge.api_url)
    assert seen == [str(number) for number in range(25)]


def test_the_primary_and_the_secondary_limit(stage: Stage) -> None:
    """1,000 requests an hour for a job's token; 80 writes a minute."""
    stage.forge.limits.job_per_hour = 90
    statuses = [ask(stage, "POST", "issues/1/comments", {"body": str(number)}) for number in range(82)]
    assert [got.status for got in statuses[:80]] == [201] * 80
    assert (statuses[80].status, statuses[80].headers["Retry-After"]) == (403, "60")
    stage.time.now += 61
    for _ in range(8):
        last = ask(stage, "GET", "")
    assert last.headers["X-RateLimit-Remaining"] == "0"
    got = ask(stage, "GET", "")
    assert got.status == 403
    assert "rate limit exceeded" in got.message
    stage.time.now = int(got.headers["X-RateLimit-Reset"])
    assert ask(stage, "GET", "").status == 200


def test_merging(stage: Stage) -> None:
    """409 for another head, 405 while rules stand against it; the landed tree is the tested one."""
    token = stage.forge.job_token(stage.repo, contents="write", checks="write")
    rule = stage.repo.protect("main", ruleset=True, approvals=1, checks=("gate",))

    def merge(**body: Any) -> Got:
        return ask(stage, "PUT", "pulls/1/merge", body, token)

    assert merge(sha="0" * 40).status == 409
    assert "approving review" in merge().message
    stage.repo.review(stage.pull, "stranger")
    assert "approving review" in merge().message
    stage.repo.allow("bob", "write")
    stage.repo.review(stage.pull, "bob")
    assert "gate" in merge().message
    check = {"name": "gate", "head_sha": stage.pull.head_sha, "status": "completed"}
    ask(stage, "POST", "check-runs", {**check, "conclusion": "failure"})
    assert merge().status == 405
    # What GitHub does, and why "could not verify" must never be neutral: it satisfies the rule.
    ask(stage, "POST", "check-runs", {**check, "conclusion": "neutral"})
    stage.repo.review(stage.pull, "bob", "CHANGES_REQUESTED")
    assert "Changes have been requested" in merge().message
    stage.repo.review(stage.pull, "bob")
    tree = stage.repo.repo.bare.merged(stage.repo.head("main"), stage.pull.head_sha)
    got = merge(sha=stage.pull.head_sha)
    assert got.status == 200
    assert stage.repo.head("main") == got.body["sha"]
    assert stage.repo.repo.bare.facts(got.body["sha"]).tree == tree
    assert merge().status == 405
    stage.repo.repo.protections.remove(rule)
    stage.repo.commit("workflow", {".github/workflows/x.yml": "on: push\n"})
    pull = stage.repo.pull("workflow")
    assert ask(stage, "PUT", f"pulls/{pull.number}/merge", {}, token).status == 403
    stage.repo.repo.merge_methods = ("squash",)
    assert ask(stage, "PUT", f"pulls/{pull.number}/merge", {}, stage.forge.user_token("octo")).status == 405


def test_a_deployment_merges_and_waits_unless_told_otherwise(stage: Stage) -> None:
    """The defaults of POST /deployments are traps: auto_merge, and all contexts required."""
    token = stage.forge.job_token(stage.repo, deployments="write", statuses="write", contents="read")
    stage.repo.commit("main", {"b.sql": "x\n"})
    before = stage.repo.head("feature")
    assert ask(stage, "POST", "deployments", {"ref": "feature"}, token).status == 202
    assert stage.repo.head("feature") != before
    ask(stage, "POST", f"statuses/{stage.repo.head('feature')}", {"state": "pending", "context": "c"}, token)
    assert ask(stage, "POST", "deployments", {"ref": "feature"}, token).status == 409
    plain = {"ref": "feature", "auto_merge": False, "required_contexts": []}
    assert ask(stage, "POST", "deployments", plain, token).status == 201
    assert ask(stage, "POST", "deployments", {**plain, "description": "x" * 141}, token).status == 422


def test_what_a_job_does_starts_workflows_by_dispatch_alone(stage: Stage) -> None:
    """Everything else that its token does starts none."""
    stage.repo.commit("main", {".github/workflows/ci.yml": "on: workflow_dispatch\n"})
    token = stage.forge.job_token(stage.repo, contents="write", actions="write", pull_requests="write")
    app = stage.forge.app_token(stage.repo, "kitchen", pull_requests="write")
    ask(stage, "POST", "issues/1/comments", {"body": "by the job"}, token)
    ask(stage, "POST", "issues/1/comments", {"body": "by an App"}, app)
    ask(stage, "POST", "actions/workflows/ci.yml/dispatches", {"ref": "main", "inputs": {"a": "b"}}, token)
    ask(stage, "POST", "dispatches", {"event_type": "go"}, token)
    happened = [(one.name, one.starts) for one in stage.repo.deliveries()][-4:]
    assert happened == [
        ("issue_comment", False),
        ("issue_comment", True),
        ("workflow_dispatch", True),
        ("repository_dispatch", True),
    ]
    assert ask(stage, "POST", "actions/workflows/ci.yml/dispatches", {"ref": "gone"}, token).status == 422
    assert ask(stage, "POST", "actions/workflows/no.yml/dispatches", {"ref": "main"}, token).status == 404


@pytest.mark.parametrize(
    ("on", "hears"),
    [
        ("on: pull_request", True),
        ("'on': [push, pull_request]", True),
        ("on:\n- pull_request", True),
        ("on:\n  pull_request:\n    types: [opened]", True),
        ("on: pull_request_review  # pull_request", False),
        ("on: {workflow_run: {workflows: [pull_request]}}", False),
        ("jobs: {pull_request: {}}", False),
        ("on: [", False),
    ],
    ids=["word", "list", "lines", "key", "review", "within", "none", "broken"],
)
def test_a_workflow_listens_to_what_its_on_names(on: str, hears: bool) -> None:
    """What `on:` names is what starts a workflow, however much else stands below it."""
    rest = "permissions: {}\njobs:\n" + "".join(f"  job{n}:\n        runs-on: x\n" for n in range(60))
    assert listens(f"name: x\n{on}\n{'' if 'jobs' in on else rest}", "pull_request") is hears


def test_events_have_the_shapes_that_github_describes(stage: Stage) -> None:
    """What the forge renders, and what it delivers of itself, is valid against GitHub's own schemas."""
    hooks = Description(HERE / "webhooks.json")
    repo, pull = stage.repo, stage.pull
    repo.commit("main", {".github/workflows/ci.yml": "on: push\n", "old": "x"})
    fork = repo.fork("mallory")
    fork.commit("change", {"z.sql": "z", "old": None})
    foreign = repo.pull("mallory:change")
    comment = repo.comment(pull, "bob", "/kitchen run")
    repo.edit(comment, "/kitchen help")
    repo.review(pull, "bob")
    run = repo.run(".github/workflows/ci.yml", "pull_request", foreign.head_sha, pull=foreign)
    branch, _ = repo.queue(pull)
    own = repo.run(".github/workflows/ci.yml", "pull_request", pull.head_sha, pull=pull)
    path = ".github/workflows/ci.yml"
    made = [
        ("pull-request-opened", repo.event("pull_request", pull=pull)),
        ("pull-request-opened", repo.event("pull_request", pull=foreign)),
        ("pull-request-reopened", repo.event("pull_request", "reopened", pull=pull)),
        ("issue-comment-created", repo.event("issue_comment", comment=comment)),
        ("push", repo.event("push", ref="refs/heads/main")),
        ("delete", repo.event("delete", ref="refs/heads/feature")),
        ("create", repo.event("create", ref="refs/tags/v1")),
        ("merge-group-checks-requested", repo.event("merge_group", pull=pull, branch=branch)),
        (
            "workflow-dispatch",
            repo.event("workflow_dispatch", workflow=path, ref="refs/heads/main", inputs={"a": "b"}),
        ),
        ("workflow-run-completed", repo.event("workflow_run", run=run)),
        ("workflow-run-completed", repo.event("workflow_run", run=own)),
    ]
    repo.delete_branch("feature")
    for one in repo.deliveries():
        action = one.payload.get("action")
        made.append(("-".join(filter(None, (one.name, action))).replace("_", "-"), one.payload))
    assert {name for name, _ in made} >= {"pull-request-closed", "issue-comment-edited", "delete", "push"}
    for name, payload in made:
        assert hooks.value(f"event {name}", payload) == [], name
    assert repo.event("workflow_run", run=run)["workflow_run"]["pull_requests"] == []
    assert len(repo.event("workflow_run", run=own)["workflow_run"]["pull_requests"]) == 1
    assert "number" not in repo.event("merge_group", pull=pull, branch=branch)
    assert repo.event("schedule", cron="5 4 * * *")["schedule"] == "5 4 * * *"
    with pytest.raises(ValueError, match="gollum"):
        repo.event("gollum")


def test_pull_requests_that_cannot_be(stage: Stage) -> None:
    """422 with GitHub's words: no commits between, one there already, no such branch."""
    token = stage.forge.user_token("octo")
    for head, word in (("feature", "already exists"), ("main", "No commits between"), ("gone", "head")):
        got = ask(stage, "POST", "pulls", {"title": "t", "head": head, "base": "main"}, token)
        assert got.status == 422
        assert word in json.dumps(got.body)
    stage.repo.commit("second", {"x": "y"})
    got = ask(stage, "POST", "pulls", {"title": "t", "head": "second", "base": "main"}, token)
    assert (got.status, got.body["mergeable"]) == (201, True)


def test_what_becomes_of_a_pull_request_whose_branch_goes(stage: Stage) -> None:
    """Branch deleted: closed. Fork deleted: open, with no head repository. Commits pushed: merged."""
    for number in (1, 2):
        stage.repo.commit(f"branch{number}", {f"{number}.sql": "x\n"})
    gone, pushed = stage.repo.pull("branch1"), stage.repo.pull("branch2")
    fork = stage.repo.fork("mallory")
    fork.commit("change", {"z.sql": "z\n"})
    forked = stage.repo.pull("mallory:change")
    stage.repo.delete_branch("branch1")
    fork.delete()
    stage.repo.commit("main", {"y.sql": "y\n"}, force_from=pushed.head_sha)
    bodies = [ask(stage, "GET", f"pulls/{pull.number}").body for pull in (gone, forked, pushed)]
    assert [(body["state"], body["merged"]) for body in bodies] == [
        ("closed", False),
        ("open", False),
        ("closed", True),
    ]
    assert bodies[1]["head"]["repo"] is None
