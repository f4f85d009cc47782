"""Check runs, check suites and commit statuses. https://docs.github.com/en/rest/checks/runs"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gitkitchen.github.forge import render, render_actions
from gitkitchen.github.forge.routing import Answer, Call, Refused, invalid, route
from gitkitchen.github.forge.state import App, Check, CommitStatus, Repository, State, Suite
from gitkitchen.github.surfaces import (
    ANNOTATIONS_PER_REQUEST,
    MAX_ANNOTATION_TITLE,
    MAX_DESCRIPTION,
    MAX_MESSAGE_BYTES,
    MAX_TEXT,
)

RUNS_OF_A_NAME = 1000
"""Of one name in one suite; older ones are removed."""


def suite_of(state: State, repo: Repository, app: App, sha: str) -> Suite:
    """The suite of an App at a commit: there is one."""
    for suite in repo.suites.values():
        if suite.app is app and suite.sha == sha:
            return suite
    now = state.clock()
    branch = next(
        (
            name.removeprefix("refs/heads/")
            for name, at in repo.bare.refs().items()
            if at == sha and "/heads/" in name
        ),
        None,
    )
    made = Suite(state.id(), app, sha, branch, now, now)
    repo.suites[made.id] = made
    return made


@route("checks/create", "checks:write", app_only=True)
def create(call: Call) -> Answer:
    body = call.body
    token = call.token
    assert token is not None
    assert token.app is not None
    repo = call.repo
    sha = body["head_sha"]
    if repo.bare.kind(sha) != "commit":
        raise Refused(422, f"No commit found for SHA: {sha}")
    _check_output(body)
    suite = suite_of(call.state, repo, token.app, sha)
    # A check run of a job's token keeps no details_url: it leads to the run itself.
    url = None if token.is_job else body.get("details_url")
    check = Check(
        call.state.id(),
        suite,
        body["name"],
        sha,
        "queued",
        None,
        None,
        None,
        url,
        body.get("external_id") or "",
    )
    _apply(call, check)
    repo.checks[check.id] = check
    same = [other for other in repo.checks.values() if other.suite is suite and other.name == check.name]
    for old in sorted(same, key=lambda other: other.id)[:-RUNS_OF_A_NAME]:
        del repo.checks[old.id]
    return Answer(201, render_actions.check(call.state, repo, check))


@route("checks/update", "checks:write", app_only=True)
def update(call: Call) -> Answer:
    check: Check = call.number("check_run_id", call.repo.checks)
    token = call.token
    assert token is not None
    if check.suite.app is not token.app:
        raise Refused(
            403,
            f"Invalid app_id `{check.suite.app.id}` - "
            "check run can only be modified by the GitHub App that created it.",
        )
    if check.job is not None:
        raise Refused(403, "Check runs of jobs cannot be modified through the API.")
    _check_output(call.body)
    if "name" in call.body:
        check.name = call.body["name"]
    if "external_id" in call.body:
        check.external_id = call.body["external_id"]
    if "details_url" in call.body and not token.is_job:
        check.details_url = call.body["details_url"]
    _apply(call, check)
    return Answer(200, render_actions.check(call.state, call.repo, check))


def _apply(call: Call, check: Check) -> None:
    """What create and update have in common. Annotations are added to those there are."""
    body, now = call.body, call.now()
    if "conclusion" in body:
        if body["conclusion"] == "stale":
            raise invalid("CheckRun", "conclusion", message="stale is set by GitHub alone")
        check.status, check.conclusion = "completed", body["conclusion"]
        check.completed = _seconds(body["completed_at"]) if "completed_at" in body else now
    elif "status" in body:
        if body["status"] == "completed":
            raise invalid("CheckRun", "conclusion", "missing_field")
        if body["status"] not in ("queued", "in_progress"):
            raise invalid("CheckRun", "status")
        check.status, check.conclusion, check.completed = body["status"], None, None
    if "started_at" in body:
        check.started = _seconds(body["started_at"])
    elif check.started is None and check.status != "queued":
        check.started = now
    output = body.get("output") or {}
    for key in ("title", "summary", "text"):
        if key in output:
            setattr(check, key, output[key])
    check.annotations += output.get("annotations", [])
    if "actions" in body:
        check.actions = body["actions"]
    check.suite.updated = now


def _check_output(body: dict[str, Any]) -> None:
    """The limits that the description lacks, or that deserve GitHub's words."""
    output = body.get("output") or {}
    for key in ("summary", "text"):
        count = len(output.get(key) or "")
        if count > MAX_TEXT:
            raise Refused(
                422, f"Invalid request.\n\nOnly {MAX_TEXT} characters are allowed; {count} were supplied."
            )
    annotations = output.get("annotations", [])
    if len(annotations) > ANNOTATIONS_PER_REQUEST:
        limit = f"No more than {ANNOTATIONS_PER_REQUEST} items are allowed; {len(annotations)} were supplied."
        raise Refused(422, f"Invalid request.\n\n{limit}")
    for one in annotations:
        if one["end_line"] < one["start_line"] or one["start_line"] < 1:
            raise invalid("CheckRunAnnotation", "end_line")
        if one["start_line"] != one["end_line"] and ("start_column" in one or "end_column" in one):
            raise invalid("CheckRunAnnotation", "start_column")
        if len(one["message"].encode()) > MAX_MESSAGE_BYTES or not one["message"]:
            raise invalid("CheckRunAnnotation", "message")
        if len(one.get("title") or "") > MAX_ANNOTATION_TITLE:
            raise invalid("CheckRunAnnotation", "title")
    if len(body.get("actions", [])) > 3:
        raise invalid("CheckRun", "actions")


@route("checks/get", "checks:read")
def get(call: Call) -> Answer:
    return Answer(
        200, render_actions.check(call.state, call.repo, call.number("check_run_id", call.repo.checks))
    )


@route("checks/list-annotations", "checks:read")
def listed_annotations(call: Call) -> Answer:
    check: Check = call.number("check_run_id", call.repo.checks)
    items, headers = call.paged(check.annotations)
    return Answer(
        200, [render_actions.annotation(call.state, call.repo, check, one) for one in items], headers
    )


@route("checks/list-for-ref", "checks:read")
def for_ref(call: Call) -> Answer:
    sha = call.commit("ref")
    return _listed(call, [check for check in call.repo.checks.values() if check.sha == sha])


@route("checks/list-for-suite", "checks:read")
def for_suite(call: Call) -> Answer:
    suite = call.number("check_suite_id", call.repo.suites)
    return _listed(call, [check for check in call.repo.checks.values() if check.suite is suite])


def _listed(call: Call, checks: list[Check]) -> Answer:
    """Newest first. ``filter=latest``, the default, shows one check run of each name and App."""
    query = call.query
    found = sorted(checks, key=lambda check: -check.id)
    if query.get("filter", "latest") == "latest":
        newest: dict[tuple[int, str], Check] = {}
        for check in found:
            newest.setdefault((check.suite.app.id, check.name), check)
        found = list(newest.values())
    if "check_name" in query:
        found = [check for check in found if check.name == query["check_name"]]
    if "status" in query:
        found = [check for check in found if check.status == query["status"]]
    if "app_id" in query:
        found = [check for check in found if check.suite.app.id == query["app_id"]]
    items, headers = call.paged(found)
    body = {
        "total_count": len(found),
        "check_runs": [render_actions.check(call.state, call.repo, check) for check in items],
    }
    return Answer(200, body, headers)


@route("checks/get-suite", "checks:read")
def suite(call: Call) -> Answer:
    return Answer(
        200, render_actions.suite(call.state, call.repo, call.number("check_suite_id", call.repo.suites))
    )


@route("checks/list-suites-for-ref", "checks:read")
def suites(call: Call) -> Answer:
    sha = call.commit("ref")
    found = [suite for suite in call.repo.suites.values() if suite.sha == sha]
    if "app_id" in call.query:
        found = [suite for suite in found if suite.app.id == call.query["app_id"]]
    items, headers = call.paged(found)
    made = [render_actions.suite(call.state, call.repo, suite) for suite in items]
    return Answer(200, {"total_count": len(found), "check_suites": made}, headers)


@route("repos/create-commit-status", "statuses:write", role="write")
def create_status(call: Call) -> Answer:
    sha, body = call.path["sha"], call.body
    if call.repo.bare.kind(sha) != "commit":
        raise Refused(422, f"No commit found for SHA: {sha}")
    if len(body.get("description") or "") > MAX_DESCRIPTION:
        raise invalid(
            "Status", "description", "custom", "description is too long (maximum is 140 characters)"
        )
    context = body.get("context", "default")
    status = CommitStatus(
        call.state.id(),
        sha,
        body["state"],
        context,
        body.get("description"),
        body.get("target_url"),
        call.user,
        call.now(),
    )
    call.repo.statuses.append(status)
    return Answer(201, render_actions.status(call.state, call.repo, status))


@route("repos/list-commit-statuses-for-ref", "statuses:read")
def statuses(call: Call) -> Answer:
    sha = call.commit("ref")
    found = [status for status in reversed(call.repo.statuses) if status.sha == sha]
    items, headers = call.paged(found)
    return Answer(200, [render_actions.status(call.state, call.repo, status) for status in items], headers)


@route("repos/get-combined-status-for-ref", "statuses:read")
def combined(call: Call) -> Answer:
    sha = call.commit("ref")
    newest = {status.context: status for status in call.repo.statuses if status.sha == sha}
    states = {status.state for status in newest.values()}
    state = (
        "failure"
        if states & {"failure", "error"}
        else "pending"
        if "pending" in states or not states
        else "success"
    )
    url = f"{render.repo_url(call.state, call.repo)}/commits/{sha}"
    items, headers = call.paged(list(newest.values()))
    body = {
        "state": state,
        "sha": sha,
        "total_count": len(newest),
        "statuses": [render_actions.simple_status(call.state, call.repo, status) for status in items],
        "repository": render.minimal_repository(call.state, call.repo),
        "commit_url": url,
        "url": f"{url}/status",
    }
    return Answer(200, body, headers)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
