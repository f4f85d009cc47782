"""People, repositories and commits as GitHub's API writes them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import quote

from gitkitchen.github.forge.bare import Changed, CommitFacts
from gitkitchen.github.forge.state import RIGHTS, App, Label, Repository, State, Team, User, moment

Json = dict[str, Any]

_PERSON_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def node_id(kind: str, number: int) -> str:
    """An opaque id of the kind that GraphQL uses."""
    return f"{kind}_{base64.urlsafe_b64encode(number.to_bytes(6, 'big')).decode().rstrip('=')}"


def user(s: State, who: User) -> Json:
    name = quote(who.login)
    url = f"{s.api_url}/users/{name}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node_id("U", who.id),
        "avatar_url": f"{s.server_url}/avatars/u/{who.id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{s.server_url}/{name}",
        **{key: url + end for key, end in _PERSON_LINKS.items()},
        "type": who.type,
        "user_view_type": "public",
        "site_admin": False,
    }


def public_user(s: State, who: User) -> Json:
    when = moment(1_500_000_000)
    return {
        **user(s, who),
        "name": None,
        "company": None,
        "blog": "",
        "location": None,
        "email": None,
        "hireable": None,
        "bio": None,
        "twitter_username": None,
        "public_repos": 0,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": when,
        "updated_at": when,
    }


def app(s: State, one: App) -> Json:
    when = moment(1_500_000_000)
    return {
        "id": one.id,
        "client_id": f"Iv1.{one.id:016x}",
        "slug": one.slug,
        "node_id": node_id("A", one.id),
        "owner": user(s, one.owner),
        "name": one.name,
        "description": "",
        "external_url": f"{s.server_url}/apps/{one.slug}/about",
        "html_url": f"{s.server_url}/apps/{one.slug}",
        "created_at": when,
        "updated_at": when,
        "permissions": {"checks": "write", "contents": "read", "metadata": "read"},
        "events": ["check_run"],
    }


def repo_url(s: State, repo: Repository) -> str:
    return f"{s.api_url}/repos/{repo.full_name}"


def page_url(s: State, repo: Repository) -> str:
    return f"{s.server_url}/{repo.full_name}"


def minimal_repository(s: State, repo: Repository) -> Json:
    url = repo_url(s, repo)
    return {
        "id": repo.id,
        "node_id": node_id("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "owner": user(s, repo.owner),
        "html_url": page_url(s, repo),
        "description": None,
        "fork": repo.parent is not None,
        "url": url,
        **{key: url + end for key, end in _REPOSITORY_LINKS.items()},
    }


def repository(s: State, repo: Repository) -> Json:
    """The repository as it stands within pull requests and events."""
    page = page_url(s, repo)
    host = s.server_url.partition("://")[2]
    forks = sum(1 for other in s.repositories.values() if other.parent is repo)
    opened = sum(1 for pull in repo.pulls.values() if pull.state == "open")
    return {
        **minimal_repository(s, repo),
        "created_at": moment(repo.created),
        "updated_at": moment(repo.created),
        "pushed_at": moment(repo.created),
        "git_url": f"git://{host}/{repo.full_name}.git",
        "ssh_url": f"git@{host.partition(':')[0]}:{repo.full_name}.git",
        "clone_url": f"{page}.git",
        "svn_url": page,
        "homepage": None,
        "size": 1,
        "stargazers_count": 0,
        "watchers_count": 0,
        "language": None,
        "has_issues": True,
        "has_projects": True,
        "has_downloads": True,
        "has_wiki": True,
        "has_pages": False,
        "has_discussions": False,
        "forks_count": forks,
        "mirror_url": None,
        "archived": False,
        "disabled": False,
        "open_issues_count": opened,
        "license": None,
        "allow_forking": True,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "visibility": "private" if repo.private else "public",
        "forks": forks,
        "open_issues": opened,
        "watchers": 0,
        "default_branch": repo.default_branch,
        "allow_squash_merge": "squash" in repo.merge_methods,
        "allow_merge_commit": "merge" in repo.merge_methods,
        "allow_rebase_merge": "rebase" in repo.merge_methods,
        "allow_auto_merge": False,
        "delete_branch_on_merge": False,
        "allow_update_branch": False,
    }


def full_repository(s: State, repo: Repository, login: str) -> Json:
    """The repository as one who is logged in reads it."""
    made = repository(s, repo)
    rights = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
    made |= {
        "network_count": made["forks_count"],
        "subscribers_count": 0,
        "temp_clone_token": None,
        "permissions": {name: repo.may(login, role) for name, role in rights.items()},
    }
    if repo.parent is not None:
        made |= {"parent": repository(s, repo.parent), "source": repository(s, repo.parent)}
    return made


def permission(s: State, repo: Repository, who: User) -> Json:
    """The old word for the role (triage reads, maintain writes) and the role itself.
    https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user"""
    role = repo.role(who.login)
    old = {"triage": "read", "maintain": "write"}.get(role, role)
    rights = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
    may = {name: RIGHTS.index(role) >= RIGHTS.index(needed) for name, needed in rights.items()}
    return {
        "permission": old,
        "role_name": role,
        "user": {**user(s, who), "permissions": may, "role_name": role},
    }


def team(s: State, one: Team) -> Json:
    url = f"{s.api_url}/organizations/{one.organization}/team/{one.id}"
    words = {"read": "pull", "write": "push"}
    return {
        "id": one.id,
        "node_id": node_id("T", one.id),
        "name": one.slug,
        "slug": one.slug,
        "description": None,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": words.get(one.permission, one.permission),
        "url": url,
        "html_url": f"{s.server_url}/orgs/{one.organization}/teams/{one.slug}",
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "type": "organization",
        "organization_id": s.users[one.organization].id,
        "parent": None,
    }


def label(s: State, repo: Repository, one: Label) -> Json:
    return {
        "id": one.id,
        "node_id": node_id("LA", one.id),
        "url": f"{repo_url(s, repo)}/labels/{quote(one.name)}",
        "name": one.name,
        "color": one.color,
        "default": False,
        "description": one.description,
    }


def commit(s: State, repo: Repository, facts: CommitFacts) -> Json:
    """A commit as the commits API writes it (``git_commit`` is the Git database's form)."""
    url = repo_url(s, repo)
    people = {login.casefold(): who for login, who in s.users.items()}
    return {
        "sha": facts.sha,
        "node_id": f"C_{facts.sha[:20]}",
        "commit": {
            "author": _git_person(facts, "author"),
            "committer": _git_person(facts, "committer"),
            "message": facts.message,
            "tree": {"sha": facts.tree, "url": f"{url}/git/trees/{facts.tree}"},
            "url": f"{url}/git/commits/{facts.sha}",
            "comment_count": 0,
            "verification": _unsigned(),
        },
        "url": f"{url}/commits/{facts.sha}",
        "html_url": f"{page_url(s, repo)}/commit/{facts.sha}",
        "comments_url": f"{url}/commits/{facts.sha}/comments",
        "author": user(s, who) if (who := people.get(facts.author.name.casefold())) else None,
        "committer": user(s, who) if (who := people.get(facts.committer.name.casefold())) else None,
        "parents": _parents(s, repo, facts, "commits"),
    }


def git_commit(s: State, repo: Repository, facts: CommitFacts) -> Json:
    url = repo_url(s, repo)
    return {
        "sha": facts.sha,
        "node_id": f"C_{facts.sha[:20]}",
        "url": f"{url}/git/commits/{facts.sha}",
        "html_url": f"{page_url(s, repo)}/commit/{facts.sha}",
        "author": _git_person(facts, "author"),
        "committer": _git_person(facts, "committer"),
        "tree": {"sha": facts.tree, "url": f"{url}/git/trees/{facts.tree}"},
        "message": facts.message,
        "parents": _parents(s, repo, facts, "git/commits"),
        "verification": _unsigned(),
    }


def simple_commit(facts: CommitFacts) -> Json:
    """A commit as workflow runs, suites and merge groups carry it."""
    return {
        "id": facts.sha,
        "tree_id": facts.tree,
        "message": facts.message,
        "timestamp": moment(facts.committed),
        "author": {"name": facts.author.name, "email": facts.author.email},
        "committer": {"name": facts.committer.name, "email": facts.committer.email},
    }


def diff_entry(s: State, repo: Repository, sha: str, one: Changed) -> Json:
    path = quote(one.path.encode("utf-8", "surrogateescape"))
    page = page_url(s, repo)
    made: Json = {
        "sha": one.blob,
        "filename": one.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        "status": one.status,
        "additions": one.additions,
        "deletions": one.deletions,
        "changes": one.additions + one.deletions,
        "blob_url": f"{page}/blob/{sha}/{path}",
        "raw_url": f"{page}/raw/{sha}/{path}",
        "contents_url": f"{repo_url(s, repo)}/contents/{path}?ref={sha}",
    }
    if one.patch is not None:
        made["patch"] = one.patch.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if one.previous is not None:
        made["previous_filename"] = one.previous
    return made


def git_ref(s: State, repo: Repository, ref: str, sha: str) -> Json:
    url = repo_url(s, repo)
    return {
        "ref": ref,
        "node_id": "REF_" + hashlib.sha256(f"{repo.id}{ref}".encode()).hexdigest()[:24],
        "url": f"{url}/git/{quote(ref)}",
        "object": {"sha": sha, "type": "commit", "url": f"{url}/git/commits/{sha}"},
    }


def _git_person(facts: CommitFacts, role: str) -> Json:
    person = facts.author if role == "author" else facts.committer
    when = facts.authored if role == "author" else facts.committed
    return {"name": person.name, "email": person.email, "date": moment(when)}


def _parents(s: State, repo: Repository, facts: CommitFacts, kind: str) -> list[Json]:
    url, page = repo_url(s, repo), page_url(s, repo)
    return [
        {"sha": sha, "url": f"{url}/{kind}/{sha}", "html_url": f"{page}/commit/{sha}"}
        for sha in facts.parents
    ]


def _unsigned() -> Json:
    return {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None}
