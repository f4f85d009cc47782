"""Checks, statuses, workflow runs, artifacts and deployments as GitHub's API writes them."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from gitkitchen.github.forge import render
from gitkitchen.github.forge.render import Json, node_id, page_url, repo_url
from gitkitchen.github.forge.render_pulls import pull_minimal, pulls_of_head
from gitkitchen.github.forge.state import (
    Artifact,
    Check,
    CommitStatus,
    Deployment,
    DeploymentStatus,
    Job,
    Repository,
    Run,
    State,
    Suite,
    Workflow,
    moment,
)

WORST = ("failure", "timed_out", "cancelled", "action_required", "stale", "success", "neutral", "skipped")


def check(s: State, repo: Repository, one: Check) -> Json:
    url = f"{repo_url(s, repo)}/check-runs/{one.id}"
    page = f"{page_url(s, repo)}/runs/{one.id}"
    return {
        "id": one.id,
        "name": one.name,
        "node_id": node_id("CR", one.id),
        "head_sha": one.sha,
        "external_id": one.external_id,
        "url": url,
        "html_url": page,
        "details_url": one.details_url or page,
        "status": one.status,
        "conclusion": one.conclusion,
        "started_at": moment(one.started) if one.started is not None else None,
        "completed_at": moment(one.completed) if one.completed is not None else None,
        "output": {
            "title": one.title,
            "summary": one.summary,
            "text": one.text,
            "annotations_count": len(one.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": one.suite.id},
        "app": render.app(s, one.suite.app),
        "pull_requests": pulls_of_head(s, repo, one.sha),
    }


def annotation(s: State, repo: Repository, one: Check, told: Json) -> Json:
    return {
        "path": told["path"],
        "blob_href": f"{page_url(s, repo)}/blob/{one.sha}/{quote(told['path'])}",
        "start_line": told["start_line"],
        "end_line": told["end_line"],
        "start_column": told.get("start_column"),
        "end_column": told.get("end_column"),
        "annotation_level": told["annotation_level"],
        "title": told.get("title"),
        "message": told["message"],
        "raw_details": told.get("raw_details"),
    }


def suite(s: State, repo: Repository, one: Suite) -> Json:
    runs = [check for check in repo.checks.values() if check.suite is one]
    done = bool(runs) and all(check.status == "completed" for check in runs)
    conclusions = [check.conclusion or "" for check in runs]
    url = f"{repo_url(s, repo)}/check-suites/{one.id}"
    return {
        "id": one.id,
        "node_id": node_id("CS", one.id),
        "head_branch": one.branch,
        "head_sha": one.sha,
        "status": "completed" if done else "in_progress" if runs else "queued",
        "conclusion": min(conclusions, key=WORST.index) if done else None,
        "url": url,
        "before": None,
        "after": one.sha,
        "pull_requests": pulls_of_head(s, repo, one.sha),
        "app": render.app(s, one.app),
        "repository": render.minimal_repository(s, repo),
        "created_at": moment(one.created),
        "updated_at": moment(one.updated),
        "head_commit": render.simple_commit(repo.bare.facts(one.sha)),
        "latest_check_runs_count": len(runs),
        "check_runs_url": f"{url}/check-runs",
    }


def status(s: State, repo: Repository, one: CommitStatus) -> Json:
    return {**simple_status(s, repo, one), "creator": render.user(s, one.creator)}


def simple_status(s: State, repo: Repository, one: CommitStatus) -> Json:
    when = moment(one.created)
    return {
        "url": f"{repo_url(s, repo)}/statuses/{one.sha}",
        "avatar_url": f"{s.server_url}/avatars/u/{one.creator.id}",
        "id": one.id,
        "node_id": node_id("SC", one.id),
        "state": one.state,
        "description": one.description,
        "target_url": one.target_url,
        "context": one.context,
        "created_at": when,
        "updated_at": when,
    }


def workflow(s: State, repo: Repository, one: Workflow) -> Json:
    page = page_url(s, repo)
    return {
        "id": one.id,
        "node_id": node_id("W", one.id),
        "name": one.name,
        "path": one.path,
        "state": one.state,
        "created_at": moment(repo.created),
        "updated_at": moment(repo.created),
        "url": f"{repo_url(s, repo)}/actions/workflows/{one.id}",
        "html_url": f"{page}/blob/{repo.default_branch}/{one.path}",
        "badge_url": f"{page}/actions/{quote(one.path.removeprefix('.github/'))}/badge.svg",
    }


def run(s: State, repo: Repository, one: Run) -> Json:
    """A workflow run. ``pull_requests`` is empty where the head is a fork's: so it is on GitHub."""
    url = f"{repo_url(s, repo)}/actions/runs/{one.id}"
    pull = repo.pulls.get(one.pull or 0)
    from_here = one.head_repository == repo.full_name
    suite_id = one.jobs[0].check.suite.id if one.jobs else one.id
    head = s.repositories.get(one.head_repository)
    known = repo.bare.kind(one.sha) == "commit"
    return {
        "id": one.id,
        "name": one.workflow.name,
        "node_id": node_id("WFR", one.id),
        "head_branch": one.branch,
        "head_sha": one.sha,
        "path": one.workflow.path,
        "display_title": one.title or (pull.title if pull is not None else one.workflow.name),
        "run_number": one.number,
        "event": one.event,
        "status": one.status,
        "conclusion": one.conclusion,
        "workflow_id": one.workflow.id,
        "check_suite_id": suite_id,
        "check_suite_node_id": node_id("CS", suite_id),
        "url": url,
        "html_url": f"{page_url(s, repo)}/actions/runs/{one.id}",
        "pull_requests": [pull_minimal(s, repo, pull)] if pull is not None and from_here else [],
        "created_at": moment(one.created),
        "updated_at": moment(one.updated),
        "actor": render.user(s, one.actor),
        "run_attempt": one.attempt,
        "referenced_workflows": [],
        "run_started_at": moment(one.created),
        "triggering_actor": render.user(s, one.actor),
        "jobs_url": f"{url}/jobs",
        "logs_url": f"{url}/logs",
        "check_suite_url": f"{repo_url(s, repo)}/check-suites/{suite_id}",
        "artifacts_url": f"{url}/artifacts",
        "cancel_url": f"{url}/cancel",
        "rerun_url": f"{url}/rerun",
        "previous_attempt_url": f"{url}/attempts/{one.attempt - 1}" if one.attempt > 1 else None,
        "workflow_url": f"{repo_url(s, repo)}/actions/workflows/{one.workflow.id}",
        "head_commit": render.simple_commit(repo.bare.facts(one.sha)) if known else None,
        "repository": render.minimal_repository(s, repo),
        # Of a fork that was deleted GitHub says null, though its description forbids it.
        "head_repository": render.minimal_repository(s, head) if head is not None else None,
    }


def job(s: State, repo: Repository, of: Run, one: Job) -> Json:
    url = repo_url(s, repo)
    return {
        "id": one.id,
        "run_id": of.id,
        "run_url": f"{url}/actions/runs/{of.id}",
        "run_attempt": of.attempt,
        "node_id": node_id("CR", one.id),
        "head_sha": of.sha,
        "head_branch": of.branch,
        "url": f"{url}/actions/jobs/{one.id}",
        "html_url": f"{page_url(s, repo)}/actions/runs/{of.id}/job/{one.id}",
        "status": one.check.status,
        "conclusion": one.check.conclusion,
        "created_at": moment(of.created),
        "started_at": moment(of.created),
        "completed_at": moment(one.check.completed) if one.check.completed is not None else None,
        "name": one.name,
        "steps": [],
        "check_run_url": f"{url}/check-runs/{one.check.id}",
        "labels": ["ubuntu-latest"],
        "runner_id": 1,
        "runner_name": "forge",
        "runner_group_id": 1,
        "runner_group_name": "Default",
        "workflow_name": of.workflow.name,
    }


def artifact(s: State, repo: Repository, one: Artifact) -> Json:
    url = f"{repo_url(s, repo)}/actions/artifacts/{one.id}"
    of = repo.runs[one.run]
    head = s.repositories.get(of.head_repository)
    return {
        "id": one.id,
        "node_id": node_id("MA", one.id),
        "name": one.name,
        "size_in_bytes": len(one.data),
        "url": url,
        "archive_download_url": f"{url}/zip",
        "expired": one.expired,
        "digest": f"sha256:{hashlib.sha256(one.data).hexdigest()}",
        "created_at": moment(one.created),
        "updated_at": moment(one.created),
        "expires_at": moment(one.created + 90 * 86_400),
        "workflow_run": {
            "id": of.id,
            "repository_id": repo.id,
            "head_repository_id": head.id if head is not None else repo.id,
            "head_branch": of.branch,
            "head_sha": of.sha,
        },
    }


def deployment(s: State, repo: Repository, one: Deployment) -> Json:
    url = f"{repo_url(s, repo)}/deployments/{one.id}"
    return {
        "url": url,
        "id": one.id,
        "node_id": node_id("DE", one.id),
        "sha": one.sha,
        "ref": one.ref,
        "task": one.task,
        "payload": one.payload,
        "original_environment": one.environment,
        "environment": one.environment,
        "description": one.description,
        "creator": render.user(s, one.creator),
        "created_at": moment(one.created),
        "updated_at": moment(one.created),
        "statuses_url": f"{url}/statuses",
        "repository_url": repo_url(s, repo),
        "transient_environment": one.transient,
        "production_environment": one.production,
        "performed_via_github_app": None,
    }


def deployment_status(s: State, repo: Repository, of: Deployment, one: DeploymentStatus) -> Json:
    url = f"{repo_url(s, repo)}/deployments/{of.id}"
    when = moment(one.created)
    made: dict[str, Any] = {
        "url": f"{url}/statuses/{one.id}",
        "id": one.id,
        "node_id": node_id("DES", one.id),
        "state": one.state,
        "creator": render.user(s, one.creator),
        "description": one.description,
        "environment": of.environment,
        # GitHub answers an empty text where there is no log; its description says a URI.
        "target_url": one.log_url or page_url(s, repo),
        "created_at": when,
        "updated_at": when,
        "deployment_url": url,
        "repository_url": repo_url(s, repo),
        "performed_via_github_app": None,
    }
    if one.environment_url:
        made["environment_url"] = one.environment_url
    if one.log_url:
        made["log_url"] = one.log_url
    return made


def environment(s: State, repo: Repository, name: str, number: int) -> Json:
    when = moment(repo.created)
    return {
        "id": number,
        "node_id": node_id("EN", number),
        "name": name,
        "url": f"{repo_url(s, repo)}/environments/{quote(name, safe='')}",
        "html_url": f"{page_url(s, repo)}/deployments/activity_log?environments_filter={quote(name)}",
        "created_at": when,
        "updated_at": when,
        "protection_rules": [],
        "deployment_branch_policy": None,
    }
