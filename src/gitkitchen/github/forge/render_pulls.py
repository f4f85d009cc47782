"""Pull requests, comments and reviews as GitHub's API writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gitkitchen.errors import Infrastructure
from gitkitchen.github.forge import render
from gitkitchen.github.forge.render import Json, node_id, page_url, repo_url
from gitkitchen.github.forge.state import (
    Comment,
    Issue,
    Protection,
    Pull,
    Reaction,
    Repository,
    Review,
    State,
    moment,
)

REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def association(repo: Repository, login: str) -> str:
    """What GitHub says of an author: it tells nothing of what that person may do."""
    if login == repo.owner.login:
        return "OWNER"
    return "COLLABORATOR" if login in repo.people else "NONE"


def pull_simple(s: State, repo: Repository, pull: Pull) -> Json:
    url = f"{repo_url(s, repo)}/pulls/{pull.number}"
    issue = f"{repo_url(s, repo)}/issues/{pull.number}"
    page = f"{page_url(s, repo)}/pull/{pull.number}"
    links = {
        "self": url,
        "html": page,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{repo_url(s, repo)}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": f"{repo_url(s, repo)}/statuses/{pull.head_sha}",
    }
    head = s.repositories.get(pull.head_repository or "")
    return {
        "url": url,
        "id": pull.id,
        "node_id": node_id("PR", pull.id),
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "issue_url": issue,
        "number": pull.number,
        "state": pull.state,
        "locked": pull.locked,
        "title": pull.title,
        "user": render.user(s, pull.user),
        "body": pull.body,
        "created_at": moment(pull.created),
        "updated_at": moment(pull.updated),
        "closed_at": moment(pull.closed_at) if pull.closed_at is not None else None,
        "merged_at": moment(pull.merged_at) if pull.merged_at is not None else None,
        "merge_commit_sha": pull.merge_sha,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [
            {**render.label(s, repo, repo.labels[name]), "description": repo.labels[name].description or ""}
            for name in pull.labels
        ],
        "milestone": None,
        "draft": pull.draft,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "head": {
            "label": f"{pull.head_owner.login}:{pull.head_ref}",
            "ref": pull.head_ref,
            "sha": pull.head_sha,
            "user": render.user(s, pull.head_owner),
            "repo": render.repository(s, head) if head is not None else None,
        },
        "base": {
            "label": f"{repo.owner.login}:{pull.base_ref}",
            "ref": pull.base_ref,
            "sha": pull.base_sha,
            "user": render.user(s, repo.owner),
            "repo": render.repository(s, repo),
        },
        "_links": {name: {"href": href} for name, href in links.items()},
        "author_association": association(repo, pull.user.login),
        "auto_merge": None,
        "active_lock_reason": None,
    }


def pull_full(s: State, repo: Repository, pull: Pull) -> Json:
    base = repo.bare.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    files = repo.bare.changed(base, pull.head_sha)
    return {
        **pull_simple(s, repo, pull),
        "merged": pull.merged_at is not None,
        "mergeable": pull.mergeable if pull.state == "open" else None,
        "rebaseable": pull.mergeable if pull.state == "open" else None,
        "mergeable_state": merge_state(repo, pull),
        "merged_by": render.user(s, pull.merged_by) if pull.merged_by is not None else None,
        "comments": sum(1 for comment in repo.comments.values() if comment.number == pull.number),
        "review_comments": 0,
        "maintainer_can_modify": pull.maintainer_can_modify,
        "commits": len(repo.bare.log(pull.head_sha, f"^{base}")),
        "additions": sum(file.additions for file in files),
        "deletions": sum(file.deletions for file in files),
        "changed_files": len(files),
    }


def merge_state(repo: Repository, pull: Pull) -> str:
    """``dirty``: conflicts; ``blocked``: a rule is not satisfied. Others are not told apart."""
    if pull.state != "open" or pull.mergeable is None:
        return "unknown"
    if not pull.mergeable:
        return "dirty"
    if pull.draft:
        return "draft"
    return "blocked" if unsatisfied(repo, pull, repo.protections_of(pull.base_ref)) else "clean"


def unsatisfied(repo: Repository, pull: Pull, bound: Sequence[Protection]) -> list[str]:
    """What rules of the base still ask of a pull request, in GitHub's words."""
    asked: list[str] = []
    latest = latest_reviews(pull)
    approving = {
        login: review
        for login, review in latest.items()
        if review.state == "APPROVED" and repo.may(login, "write")
    }
    for protection in bound:
        fresh = not protection.dismiss_stale
        approvals = sum(fresh or review.commit == pull.head_sha for review in approving.values())
        if any(
            review.state == "CHANGES_REQUESTED" and repo.may(login, "write")
            for login, review in latest.items()
        ):
            asked.append("Changes have been requested.")
        if approvals < protection.approvals:
            count = protection.approvals
            noun = "approving review is" if count == 1 else "approving reviews are"
            asked.append(f"At least {count} {noun} required by reviewers with write access.")
        if protection.code_owners and _unowned(repo, pull, set(approving)):
            asked.append("Waiting on code owner review from " + _unowned(repo, pull, set(approving)) + ".")
        missing = [
            name for name in protection.checks if not is_satisfied(repo, pull.head_sha, name, protection.app)
        ]
        if len(missing) == 1:
            asked.append(f'Required status check "{missing[0]}" is expected.')
        elif missing:
            asked.append(f"{len(missing)} of {len(protection.checks)} required status checks are expected.")
        if protection.strict and not repo.bare.is_ancestor(
            repo.bare.resolve(pull.base_ref) or "", pull.head_sha
        ):
            asked.append("Head branch is not up to date with the base branch.")
    return list(dict.fromkeys(asked))


def latest_reviews(pull: Pull) -> dict[str, Review]:
    """The review that counts of each person: the last that is no mere comment."""
    return {review.user.login: review for review in pull.reviews if review.state != "COMMENTED"}


def _unowned(repo: Repository, pull: Pull, approving: set[str]) -> str:
    """The first owner whom the CODEOWNERS of the base name for a changed file, and none of whose owners
    approved; "" where all did. Of its patterns ``*``, files and folders (``/docs/``) are understood."""
    try:
        text = repo.bare.git("show", f"{pull.base_sha}:.github/CODEOWNERS")
    except Infrastructure:
        return ""
    rules = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    base = repo.bare.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    for file in repo.bare.changed(base, pull.head_sha):
        owners: list[str] = []
        for pattern, *names in rules:
            path = pattern.strip("/")
            if pattern == "*" or file.path == path or file.path.startswith(f"{path}/"):
                owners = names
        people = {
            member
            for name in owners
            for team in repo.teams
            if name == f"@{team.organization}/{team.slug}"
            for member in team.members
        } | {name.removeprefix("@") for name in owners}
        if owners and not people & approving:
            return owners[0].removeprefix("@")
    return ""


def is_satisfied(repo: Repository, sha: str, name: str, app: int | None = None) -> bool:
    """Neutral and skipped satisfy a required check, as on GitHub. The newest of a name counts, with ``app``
    only that App's, and then no status of a person."""
    runs = [
        check
        for check in repo.checks.values()
        if check.sha == sha and check.name == name and app in (None, check.suite.app.id)
    ]
    if app is not None:
        return bool(runs) and max(runs, key=lambda check: check.id).conclusion in (
            "success", "neutral", "skipped",
        )  # fmt: skip
    statuses = [status for status in repo.statuses if status.sha == sha and status.context == name]
    found = (
        [max(runs, key=lambda check: check.id).conclusion in ("success", "neutral", "skipped")]
        if runs
        else []
    )
    found += [statuses[-1].state == "success"] if statuses else []
    return bool(found) and all(found)


def issue(s: State, repo: Repository, pull: Pull | Issue) -> Json:
    """An issue, or a pull request as one."""
    url = f"{repo_url(s, repo)}/issues/{pull.number}"
    is_pull = isinstance(pull, Pull)
    page = f"{page_url(s, repo)}/{'pull' if is_pull else 'issues'}/{pull.number}"
    found = {
        "url": url,
        "repository_url": repo_url(s, repo),
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": page,
        "id": pull.id,
        "node_id": node_id("PR" if is_pull else "I", pull.id),
        "number": pull.number,
        "title": pull.title,
        "user": render.user(s, pull.user),
        "labels": [render.label(s, repo, repo.labels[name]) for name in pull.labels],
        "state": pull.state,
        "locked": pull.locked,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": sum(1 for comment in repo.comments.values() if comment.number == pull.number),
        "created_at": moment(pull.created),
        "updated_at": moment(pull.updated),
        "closed_at": moment(pull.closed_at) if pull.closed_at is not None else None,
        "author_association": association(repo, pull.user.login),
        "active_lock_reason": None,
        "body": pull.body,
        "reactions": reactions_summary(f"{url}/reactions", []),
        "timeline_url": f"{url}/timeline",
        "performed_via_github_app": None,
        "state_reason": None if isinstance(pull, Pull) else pull.state_reason,
    }
    if not isinstance(pull, Pull):
        return found
    links = {
        "url": f"{repo_url(s, repo)}/pulls/{pull.number}",
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "merged_at": moment(pull.merged_at) if pull.merged_at is not None else None,
    }
    return {**found, "draft": pull.draft, "pull_request": links}


def comment(s: State, repo: Repository, one: Comment) -> Json:
    url = f"{repo_url(s, repo)}/issues/comments/{one.id}"
    return {
        "url": url,
        "html_url": f"{page_url(s, repo)}/pull/{one.number}#issuecomment-{one.id}",
        "issue_url": f"{repo_url(s, repo)}/issues/{one.number}",
        "id": one.id,
        "node_id": node_id("IC", one.id),
        "user": render.user(s, one.user),
        "created_at": moment(one.created),
        "updated_at": moment(one.updated),
        "author_association": association(repo, one.user.login),
        "body": one.body,
        "reactions": reactions_summary(f"{url}/reactions", one.reactions),
        "performed_via_github_app": render.app(s, one.app) if one.app is not None else None,
    }


def reactions_summary(url: str, reactions: list[Reaction]) -> Json:
    counts: dict[str, Any] = {name: sum(1 for r in reactions if r.content == name) for name in REACTIONS}
    return {"url": url, "total_count": len(reactions), **counts}


def reaction(s: State, one: Reaction) -> Json:
    return {
        "id": one.id,
        "node_id": node_id("REA", one.id),
        "user": render.user(s, one.user),
        "content": one.content,
        "created_at": moment(one.created),
    }


def review(s: State, repo: Repository, pull: Pull, one: Review) -> Json:
    page = f"{page_url(s, repo)}/pull/{pull.number}#pullrequestreview-{one.id}"
    url = f"{repo_url(s, repo)}/pulls/{pull.number}"
    return {
        "id": one.id,
        "node_id": node_id("PRR", one.id),
        "user": render.user(s, one.user),
        "body": one.body,
        "state": one.state,
        "html_url": page,
        "pull_request_url": url,
        "author_association": association(repo, one.user.login),
        "_links": {"html": {"href": page}, "pull_request": {"href": url}},
        "submitted_at": moment(one.submitted),
        "commit_id": one.commit,
    }


def pull_minimal(s: State, repo: Repository, pull: Pull) -> Json:
    """A pull request as check runs and workflow runs of the same repository carry it."""

    def side(ref: str, sha: str) -> Json:
        return {"ref": ref, "sha": sha, "repo": {"id": repo.id, "name": repo.name, "url": repo_url(s, repo)}}

    return {
        "id": pull.id,
        "number": pull.number,
        "url": f"{repo_url(s, repo)}/pulls/{quote(str(pull.number))}",
        "head": side(pull.head_ref, pull.head_sha),
        "base": side(pull.base_ref, pull.base_sha),
    }


def pulls_of_head(s: State, repo: Repository, sha: str) -> list[Json]:
    """The open pull requests of a head; GitHub names none that comes from a fork."""
    return [
        pull_minimal(s, repo, pull)
        for pull in repo.pulls.values()
        if pull.head_sha == sha and pull.state == "open" and pull.head_repository == repo.full_name
    ]
