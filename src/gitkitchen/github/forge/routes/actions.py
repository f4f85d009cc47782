"""Workflow runs, artifacts, dispatches. https://docs.github.com/en/rest/actions"""

from __future__ import annotations

import re
from typing import Any

from gitkitchen.github.forge import render, render_actions
from gitkitchen.github.forge.happening import deliver
from gitkitchen.github.forge.payloads import repository_dispatch, workflow_dispatch
from gitkitchen.github.forge.routing import Answer, Call, Refused, invalid, route
from gitkitchen.github.forge.state import Artifact, Run, Workflow

READ, WRITE = "actions:read", "actions:write"


@route("actions/list-repo-workflows", READ)
def workflows(call: Call) -> Answer:
    found = list(call.repo.workflows.values())
    items, headers = call.paged(found)
    made = [render_actions.workflow(call.state, call.repo, one) for one in items]
    return Answer(200, {"total_count": len(found), "workflows": made}, headers)


@route("actions/get-github-actions-permissions-repository", "administration:read", role="admin", always=True)
def permissions(call: Call) -> Answer:
    """A job's token can never read it, nor what follows."""
    return Answer(200, {"enabled": call.repo.actions_enabled, "allowed_actions": "all"})


@route(
    "actions/get-github-actions-default-workflow-permissions-repository",
    "administration:read",
    role="admin",
    always=True,
)
def workflow_permissions(call: Call) -> Answer:
    body = {
        "default_workflow_permissions": call.repo.default_permission,
        "can_approve_pull_request_reviews": call.repo.actions_pulls,
    }
    return Answer(200, body)


def _workflow(call: Call) -> Workflow:
    """By number or by the name of its file."""
    wanted = call.path["workflow_id"]
    for one in call.repo.workflows.values():
        if wanted in (str(one.id), one.path.rpartition("/")[2]):
            return one
    raise Refused(404, "Not Found")


@route("actions/get-workflow", READ)
def workflow(call: Call) -> Answer:
    return Answer(200, render_actions.workflow(call.state, call.repo, _workflow(call)))


@route("actions/create-workflow-dispatch", WRITE, role="write")
def dispatch(call: Call) -> Answer:
    one, body = _workflow(call), call.body
    name = body["ref"]
    refs = call.repo.bare.refs()
    ref = next((r for r in (name, f"refs/heads/{name}", f"refs/tags/{name}") if r in refs), None)
    if ref is None:
        raise Refused(422, f"No ref found for: {name}")
    if call.repo.bare.run("cat-file", "-e", f"{refs[ref]}:{one.path}").code:
        raise Refused(422, f"Workflow does not exist or does not have a workflow_dispatch trigger in {name}")
    inputs = body.get("inputs") or {}
    payload = workflow_dispatch(call.state, call.repo, one.path, ref, inputs, call.user)
    deliver(call.state, call.repo, call.token, "workflow_dispatch", payload)
    now = call.now()
    number = sum(1 for run in call.repo.runs.values() if run.workflow is one) + 1
    branch = ref.removeprefix("refs/heads/")
    run = Run(
        call.state.id(),
        number,
        one,
        "workflow_dispatch",
        branch,
        refs[ref],
        call.user,
        call.repo.full_name,
        now,
        now,
        status="queued",
        conclusion=None,
        title=_run_name(call, refs[ref], one, inputs),
        inputs=inputs,
    )
    call.repo.runs[run.id] = run
    if not body.get("return_run_details"):
        return Answer(204)
    made = render_actions.run(call.state, call.repo, run)
    return Answer(200, {"workflow_run_id": run.id, "run_url": made["url"], "html_url": made["html_url"]})


def _run_name(call: Call, sha: str, one: Workflow, inputs: dict[str, Any]) -> str:
    """``run-name:`` of the workflow's file, with the inputs that it names; no other expression."""
    text = call.repo.bare.git("show", f"{sha}:{one.path}")
    line = re.search(r"^run-name:[ ]*[\"']?(.*?)[\"']?[ ]*$", text, re.MULTILINE)
    if line is None:
        return one.name
    return re.sub(r"\$\{\{\s*inputs\.([\w-]+)\s*\}\}", lambda name: str(inputs.get(name[1], "")), line[1])


@route("repos/create-dispatch-event", "contents:write", role="write")
def repository(call: Call) -> Answer:
    kind, payload = call.body["event_type"], call.body.get("client_payload") or {}
    if len(kind) > 100:
        raise invalid("RepositoryDispatch", "event_type")
    if len(payload) > 10:
        raise Refused(
            422,
            f"Invalid request.\n\nNo more than 10 properties are allowed; {len(payload)} were supplied.",
        )
    event = repository_dispatch(call.state, call.repo, kind, payload, call.user)
    deliver(call.state, call.repo, call.token, "repository_dispatch", event)
    return Answer(204)


@route("actions/list-workflow-runs-for-repo", READ)
def runs(call: Call) -> Answer:
    return _runs(call, list(call.repo.runs.values()))


@route("actions/list-workflow-runs", READ)
def runs_of(call: Call) -> Answer:
    one = _workflow(call)
    return _runs(call, [run for run in call.repo.runs.values() if run.workflow is one])


def _runs(call: Call, found: list[Run]) -> Answer:
    query = call.query
    for key, name in (("branch", "branch"), ("event", "event"), ("head_sha", "sha")):
        if key in query:
            found = [run for run in found if getattr(run, name) == query[key]]
    if "actor" in query:
        found = [run for run in found if run.actor.login == query["actor"]]
    if "status" in query:
        found = [run for run in found if query["status"] in (run.status, run.conclusion)]
    found.sort(key=lambda run: -run.id)
    items, headers = call.paged(found)
    made = [render_actions.run(call.state, call.repo, run) for run in items]
    return Answer(200, {"total_count": len(found), "workflow_runs": made}, headers)


@route("actions/get-workflow-run", READ)
def run(call: Call) -> Answer:
    return Answer(200, render_actions.run(call.state, call.repo, call.number("run_id", call.repo.runs)))


@route("actions/list-jobs-for-workflow-run", READ)
def jobs(call: Call) -> Answer:
    of: Run = call.number("run_id", call.repo.runs)
    items, headers = call.paged(of.jobs)
    made = [render_actions.job(call.state, call.repo, of, one) for one in items]
    return Answer(200, {"total_count": len(of.jobs), "jobs": made}, headers)


@route("actions/cancel-workflow-run", WRITE, role="write")
def cancel(call: Call) -> Answer:
    of: Run = call.number("run_id", call.repo.runs)
    if of.status == "completed":
        raise Refused(409, "Cannot cancel a workflow run that is completed.")
    of.status, of.conclusion, of.updated = "completed", "cancelled", call.now()
    return Answer(202, {})


@route("actions/list-workflow-run-artifacts", READ)
def artifacts_of(call: Call) -> Answer:
    of: Run = call.number("run_id", call.repo.runs)
    return _artifacts(call, [one for one in call.repo.artifacts.values() if one.run == of.id])


@route("actions/list-artifacts-for-repo", READ)
def artifacts(call: Call) -> Answer:
    return _artifacts(call, list(call.repo.artifacts.values()))


def _artifacts(call: Call, found: list[Artifact]) -> Answer:
    if "name" in call.query:
        found = [one for one in found if one.name == call.query["name"]]
    found.sort(key=lambda one: -one.id)
    items, headers = call.paged(found)
    made = [render_actions.artifact(call.state, call.repo, one) for one in items]
    return Answer(200, {"total_count": len(found), "artifacts": made}, headers)


@route("actions/get-artifact", READ)
def artifact(call: Call) -> Answer:
    return Answer(
        200, render_actions.artifact(call.state, call.repo, call.number("artifact_id", call.repo.artifacts))
    )


@route("actions/download-artifact", READ, always=True)
def download(call: Call) -> Answer:
    """A redirect to another host, which answers whoever has the address and refuses our token."""
    one: Artifact = call.number("artifact_id", call.repo.artifacts)
    if call.path["archive_format"] != "zip":
        raise Refused(404, "Not Found")
    if one.expired:
        raise Refused(410, "Artifact has expired")
    signature = render.node_id("sig", one.id * 7919)
    return Answer(
        302,
        None,
        {"Location": f"{call.state.storage_url}/{call.repo.full_name}/{one.id}.zip?sig={signature}"},
    )
