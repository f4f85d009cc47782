"""Deployments and environments. https://docs.github.com/en/rest/deployments/deployments"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from gitkitchen.github.forge import render_actions
from gitkitchen.github.forge.happening import moved, person
from gitkitchen.github.forge.routing import Answer, Call, Refused, invalid, route
from gitkitchen.github.forge.state import Deployment, DeploymentStatus
from gitkitchen.github.surfaces import MAX_DESCRIPTION

READ, WRITE = "deployments:read", "deployments:write"


@route("repos/create-deployment", WRITE, role="write")
def create(call: Call) -> Answer:
    """Unless told otherwise it merges the default branch into ``ref`` and asks all checks to be green."""
    body, repo = call.body, call.repo
    sha = repo.bare.resolve(body["ref"])
    if sha is None:
        raise Refused(422, f"No ref found for: {body['ref']}")
    if len(body.get("description") or "") > MAX_DESCRIPTION:
        raise invalid(
            "Deployment", "description", "custom", "description is too long (maximum is 140 characters)"
        )
    if body.get("auto_merge", True) and (merged := _auto_merge(call, body["ref"], sha)) is not None:
        return merged
    _check_contexts(call, sha, body)
    name = body.get("environment", "production")
    repo.environments.setdefault(name, call.state.id())
    made = Deployment(
        call.state.id(),
        body["ref"],
        sha,
        body.get("task", "deploy"),
        name,
        body.get("description"),
        body.get("payload", {}),
        call.user,
        call.now(),
        bool(body.get("transient_environment")),
        bool(body.get("production_environment", name == "production")),
    )
    repo.deployments[made.id] = made
    return Answer(201, render_actions.deployment(call.state, repo, made))


def _auto_merge(call: Call, ref: str, sha: str) -> Answer | None:
    repo, bare = call.repo, call.repo.bare
    tip = bare.resolve(repo.default_branch)
    if tip is None or f"refs/heads/{ref}" not in bare.refs() or bare.is_ancestor(tip, sha):
        return None
    tree = bare.merged(sha, tip)
    if tree is None:
        raise Refused(409, f"Conflict merging {repo.default_branch} into {ref}")
    before = bare.refs()
    message = f"Merge {repo.default_branch} into {ref}"
    bare.set(f"refs/heads/{ref}", bare.commit_tree(tree, (sha, tip), message, person(call.user), call.now()))
    moved(call.state, repo, before, call.user, call.token)
    return Answer(202, {"message": f"Auto-merged {repo.default_branch} into {ref} on deployment."})


def _check_contexts(call: Call, sha: str, body: dict[str, Any]) -> None:
    """``required_contexts``: every one there is, unless a list says which (an empty one: none)."""
    states = {status.context: status.state for status in call.repo.statuses if status.sha == sha}
    for check in sorted(call.repo.checks.values(), key=lambda check: check.id):
        if check.sha == sha:
            states[check.name] = (
                "success" if check.conclusion in ("success", "neutral", "skipped") else "pending"
            )
    wanted = body.get("required_contexts", list(states))
    if any(states.get(context) != "success" for context in wanted):
        raise Refused(409, f"Conflict: Commit status checks failed for {body['ref']}.")


@route("repos/list-deployments", READ)
def listed(call: Call) -> Answer:
    found = sorted(call.repo.deployments.values(), key=lambda one: -one.id)
    for key in ("sha", "ref", "task", "environment"):
        if key in call.query:
            found = [one for one in found if getattr(one, key) == call.query[key]]
    items, headers = call.paged(found)
    return Answer(200, [render_actions.deployment(call.state, call.repo, one) for one in items], headers)


@route("repos/get-deployment", READ)
def get(call: Call) -> Answer:
    one = call.number("deployment_id", call.repo.deployments)
    return Answer(200, render_actions.deployment(call.state, call.repo, one))


@route("repos/create-deployment-status", WRITE, role="write")
def create_status(call: Call) -> Answer:
    of: Deployment = call.number("deployment_id", call.repo.deployments)
    body = call.body
    if len(body.get("description") or "") > MAX_DESCRIPTION:
        raise invalid(
            "DeploymentStatus", "description", "custom", "description is too long (maximum is 140 characters)"
        )
    if body["state"] == "success" and body.get("auto_inactive", True):
        for other in call.repo.deployments.values():
            same = other is not of and other.environment == of.environment and not other.production
            if same and other.statuses and other.statuses[-1].state == "success":
                other.statuses.append(
                    DeploymentStatus(call.state.id(), "inactive", "", "", "", call.user, call.now())
                )
    log_url = body.get("log_url") or body.get("target_url") or ""
    made = DeploymentStatus(
        call.state.id(),
        body["state"],
        body.get("description") or "",
        body.get("environment_url") or "",
        log_url,
        call.user,
        call.now(),
    )
    of.statuses.append(made)
    return Answer(201, render_actions.deployment_status(call.state, call.repo, of, made))


@route("repos/list-deployment-statuses", READ)
def statuses(call: Call) -> Answer:
    of: Deployment = call.number("deployment_id", call.repo.deployments)
    items, headers = call.paged(list(reversed(of.statuses)))
    made = [render_actions.deployment_status(call.state, call.repo, of, one) for one in items]
    return Answer(200, made, headers)


@route("repos/get-all-environments", "actions:read")
def environments(call: Call) -> Answer:
    found = list(call.repo.environments.items())
    items, headers = call.paged(found)
    made = [render_actions.environment(call.state, call.repo, name, number) for name, number in items]
    return Answer(200, {"total_count": len(found), "environments": made}, headers)


@route("repos/get-environment", "actions:read")
def environment(call: Call) -> Answer:
    name = unquote(call.path["environment_name"])
    if name not in call.repo.environments:
        raise Refused(404, "Not Found")
    return Answer(200, render_actions.environment(call.state, call.repo, name, call.repo.environments[name]))
