"""Who may publish an environment. One pure decision, so that all who ask get the same answer."""

from __future__ import annotations

from collections.abc import Mapping

from gitkitchen.kitchen.stores import parse_store
from gitkitchen.model import Kitchen

EVENTS = frozenset({"push", "schedule", "workflow_dispatch"})
"""The events whose jobs run the workflow and the code of the branch itself:
https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows"""


def refusal(ledger: str, store: str, kitchen: Kitchen, environ: Mapping[str, str]) -> str:
    """Why a run here may not publish the kitchen; "" where it may.

    With a ledger in a folder, whoever has the folder publishes. With one on a branch, environments are
    published by jobs of GitHub Actions on the environment's branch alone: what a laptop has is not what
    was reviewed. Sandboxes publish to themselves, anywhere. It guards against accidents: whoever may push
    the branch `gitkitchen-ledger` can write what they like there. ``store``: what kitchen.yml says of it.
    """
    if ledger != "branch" or kitchen.environment is None:
        return ""
    job = environ.get("GITHUB_ACTIONS") == "true"
    event, ref = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_REF", "")
    if job and event in EVENTS and ref == f"refs/heads/{kitchen.branch}":
        if environ.get("RUNNER_ENVIRONMENT") == "github-hosted" and not parse_store(store).remote:
            return (
                f"the store '{store}' is a folder, which ends with the job of a hosted runner: consumers of "
                f"environment '{kitchen.environment}' would find nothing there"
            )
        return ""
    rule = (
        f"with `ledger: branch` environment '{kitchen.environment}' is published by jobs on branch "
        f"'{kitchen.branch}' alone ({', '.join(sorted(EVENTS))})"
    )
    this = f"this job is of event '{event}' on {ref or 'no branch'}" if job else "this is none"
    return f"{rule}, and {this}: the versions are kept as a candidate"


def promotion_refusal(
    ledger: str, store: str, environment: str, branch: str, default: str, environ: Mapping[str, str]
) -> str:
    """Why nothing may be promoted from here to an environment of ``branch``; "" where it may.

    With a ledger on a branch that is done by jobs alone that run the workflow and the code of the
    environment's branch or of the repository's ``default`` branch: both are reviewed before they are there.
    """
    if ledger != "branch":
        return ""
    job = environ.get("GITHUB_ACTIONS") == "true"
    event, ref = environ.get("GITHUB_EVENT_NAME", ""), environ.get("GITHUB_REF", "")
    allowed = dict.fromkeys(name for name in (branch, default) if name)
    if (
        job
        and event in EVENTS
        and ref.removeprefix("refs/heads/") in allowed
        and ref.startswith("refs/heads/")
    ):
        if environ.get("RUNNER_ENVIRONMENT") == "github-hosted" and not parse_store(store).remote:
            return (
                f"the store '{store}' is a folder, which ends with the job of a hosted runner: consumers of "
                f"environment '{environment}' would find nothing there"
            )
        return ""
    names = " or ".join(f"'{name}'" for name in allowed)
    rule = f"with `ledger: branch` jobs on branch {names} alone promote to environment '{environment}'"
    this = f"this job is of event '{event}' on {ref or 'no branch'}" if job else "this is none"
    return f"{rule}, and {this}: `--dry-run` says from anywhere how its gates stand"
