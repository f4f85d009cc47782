"""The policy of a kitchen as a document, and what a commit changes of what judges it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.git import Repository
from gitkitchen.model import Policy
from gitkitchen.promote.policy import Case, Judgement, judge_changes
from gitkitchen.recipe.waivers import read_waivers, void
from gitkitchen.trees import read_tree
from gitkitchen.workplace import Request, enter


def policy_document(request: Request, now: datetime) -> dict[str, Any]:
    """``{version, kitchen, environment, policy, waivers}``: what ``gitkitchen policy --json`` prints.

    Each waiver says whether it counts in this kitchen today, and if not why. Raises Mistake for malformed
    files.
    """
    place = enter(request)
    waivers, problems = read_waivers(place.project)
    if problems:
        raise Mistake(*problems)
    where = place.kitchen.environment or place.kitchen.base
    today = now.astimezone(UTC).date()
    policy = place.project.policy
    return {
        "version": 1,
        "kitchen": place.kitchen.label,
        "environment": where,
        "policy": _policy(policy) if policy is not None else None,
        "waivers": [
            {
                "file": w.file,
                "line": w.place.line,
                "test": f"{w.recipe}/{w.node}/{w.rule}",
                "reason": w.reason,
                "approver": w.approver,
                "expires": w.expires.isoformat(),
                "void": void(w, policy, where, today),
            }
            for w in waivers
        ],
    }


def _policy(policy: Policy) -> Mapping[str, Any]:
    waivers = policy.waivers
    return {
        "require": {
            "recipes": list(policy.recipes),
            "tests": list(policy.tests),
            "severity": policy.severity,
        },
        "waivers": None
        if waivers is None
        else {
            "tests": list(waivers.tests),
            "by": list(waivers.by),
            "environments": list(waivers.environments),
            "longest_days": waivers.longest / 86400,
        },
        "changes": {"by": list(policy.changes_by)},
    }


def changes_since(request: Request, rev: str, now: datetime) -> Judgement:
    """What the commit that is checked out changes of what judges it, by the policy of ``rev``.

    What is not committed is not looked at. Raises Mistake where there is no such revision.
    """
    place = enter(request)
    root = place.project.root
    repository = Repository.find(root)
    head = repository.head()
    if head is None:
        raise Mistake(Problem("there is no commit to compare yet", hint="commit first"))
    try:
        folder = root.relative_to(repository.root).as_posix().removeprefix(".")
    except ValueError as error:
        raise Infrastructure(Problem(f"{root} is not inside {repository.root}")) from error
    return judge_changes(
        Case(
            target=read_tree(repository.root, rev, project=folder),
            head=read_tree(repository.root, head, project=folder),
            head_sha=head,
            outcomes=(),
            today=now.astimezone(UTC).date(),
            environment=place.kitchen.environment or place.kitchen.base,
        )
    )


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    """A judgement as plain values: ``{version, conclusion, findings, waivers}``."""
    return {
        "version": 1,
        "conclusion": judgement.conclusion,
        "findings": [
            {
                "code": f.code,
                "severity": f.severity,
                "message": f.message,
                "path": f.path,
                "line": f.line,
                "who_may_allow": list(f.who_may_allow),
                "allowed_by": f.allowed_by,
            }
            for f in judgement.findings
        ],
        "waivers": [
            {"file": w.file, "test": f"{w.recipe}/{w.node}/{w.rule}", "expires": w.expires.isoformat()}
            for w in judgement.waivers
        ],
    }
