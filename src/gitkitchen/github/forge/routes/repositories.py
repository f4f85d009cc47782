"""Repositories, their people, branches, commits and files; users; the rate limit."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from gitkitchen.github.forge import render
from gitkitchen.github.forge.bare import EMPTY
from gitkitchen.github.forge.routing import Answer, Call, Refused, route
from gitkitchen.github.forge.state import Team


@route("users/get-authenticated")
def me(call: Call) -> Answer:
    """An App's or a job's token is nobody who could be asked for."""
    if call.token is not None and call.token.app is not None:
        raise Refused(403, "Resource not accessible by integration")
    return Answer(200, render.public_user(call.state, call.user))


@route("users/get-by-username")
def user(call: Call) -> Answer:
    who = call.state.users.get(call.path["username"])
    if who is None:
        raise Refused(404, "Not Found")
    return Answer(200, render.public_user(call.state, who))


@route("repos/get")
def get(call: Call) -> Answer:
    """How pull requests may be merged is shown to those who may push."""
    made, token = render.full_repository(call.state, call.repo, call.login), call.token
    made["archived"] = call.repo.archived
    pushes = token is not None and (
        token.grants("contents", "write") if token.app else call.repo.may(call.login, "write")
    )
    if not pushes:
        for key in ("allow_squash_merge", "allow_merge_commit", "allow_rebase_merge"):
            del made[key]
    return Answer(200, made)


@route("repos/get-collaborator-permission-level", always=True)
def permission(call: Call) -> Answer:
    """The live permission; ``metadata: read`` suffices, which every token has."""
    if call.token is not None and call.token.app is None and not call.repo.may(call.login, "write"):
        raise Refused(403, "Must have push access to view collaborator permission.")
    who = call.state.users.get(call.path["username"])
    if who is None:
        raise Refused(404, f"{call.path['username']} is not a user")
    return Answer(200, render.permission(call.state, call.repo, who))


@route("repos/list-teams", "administration:read", always=True)
def teams(call: Call) -> Answer:
    items, headers = call.paged(call.repo.teams)
    return Answer(200, [render.team(call.state, one) for one in items], headers)


def _team(call: Call) -> Team:
    """A team is read by its organization's members; a job's token may not."""
    if call.token is None or call.token.app is not None:
        raise Refused(403, "Resource not accessible by integration")
    for repo in call.state.repositories.values():
        for team in repo.teams:
            if (team.organization, team.slug) == (call.path["org"], call.path["team_slug"]):
                return team
    raise Refused(404, "Not Found")


@route("teams/list-members-in-org")
def members(call: Call) -> Answer:
    items, headers = call.paged(_team(call).members)
    return Answer(200, [render.user(call.state, call.state.users[login]) for login in items], headers)


@route("teams/get-membership-for-user-in-org")
def membership(call: Call) -> Answer:
    team, login = _team(call), call.path["username"]
    if login not in team.members:
        raise Refused(404, "Not Found")
    url = f"{call.state.api_url}/orgs/{team.organization}/teams/{team.slug}/memberships/{quote(login)}"
    return Answer(200, {"url": url, "role": "member", "state": "active"})


@route("repos/list-branches", "contents:read")
def branches(call: Call) -> Answer:
    found = [
        (ref.removeprefix("refs/heads/"), sha)
        for ref, sha in call.repo.bare.refs().items()
        if ref.startswith("refs/heads/")
    ]
    if "protected" in call.query:
        found = [(n, sha) for n, sha in found if bool(call.repo.protections_of(n)) == call.query["protected"]]
    items, headers = call.paged(found)
    return Answer(200, [_short_branch(call, name, sha) for name, sha in items], headers)


def _short_branch(call: Call, name: str, sha: str) -> dict[str, Any]:
    url = render.repo_url(call.state, call.repo)
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{url}/commits/{sha}"},
        "protected": bool(call.repo.protections_of(name)),
    }


@route("repos/get-branch", "contents:read")
def branch(call: Call) -> Answer:
    name = call.path["branch"]
    sha = call.repo.bare.refs().get(f"refs/heads/{name}")
    if sha is None:
        raise Refused(404, "Branch not found")
    url = f"{render.repo_url(call.state, call.repo)}/branches/{quote(name, safe='')}"
    rules = call.repo.protections_of(name)
    checks = [context for rule in rules for context in rule.checks]
    body = {
        **_short_branch(call, name, sha),
        "commit": render.commit(call.state, call.repo, call.repo.bare.facts(sha)),
        "_links": {"self": url, "html": f"{render.page_url(call.state, call.repo)}/tree/{quote(name)}"},
        "protection": {
            "enabled": bool(rules),
            "required_status_checks": {
                "enforcement_level": "non_admins" if checks else "off",
                "contexts": checks,
                "checks": [{"context": context, "app_id": None} for context in checks],
            },
        },
        "protection_url": f"{url}/protection",
    }
    return Answer(200, body)


@route("repos/list-commits", "contents:read")
def commits(call: Call) -> Answer:
    sha = call.repo.bare.resolve(call.query.get("sha", call.repo.default_branch))
    if sha is None:
        raise Refused(
            404 if "sha" in call.query else 409,
            "Not Found" if "sha" in call.query else "Git Repository is empty.",
        )
    items, headers = call.paged(call.repo.bare.log(sha, most=1000))
    return Answer(200, [render.commit(call.state, call.repo, facts) for facts in items], headers)


@route("repos/get-commit", "contents:read")
def commit(call: Call) -> Answer:
    sha = call.commit("ref")
    facts = call.repo.bare.facts(sha)
    changed = call.repo.bare.changed(facts.parents[0] if facts.parents else EMPTY, sha, patches=True)
    added, removed = sum(one.additions for one in changed), sum(one.deletions for one in changed)
    body = {
        **render.commit(call.state, call.repo, facts),
        "stats": {"additions": added, "deletions": removed, "total": added + removed},
        "files": [render.diff_entry(call.state, call.repo, sha, one) for one in changed[:300]],
    }
    return Answer(200, body)


@route("repos/compare-commits-with-basehead", "contents:read")
def compare(call: Call) -> Answer:
    """Of the merge base and the head: at most 300 files, on the first page."""
    base_name, dots, head_name = call.path["basehead"].partition("...")
    bare = call.repo.bare
    base, head = bare.resolve(base_name), bare.resolve(head_name)
    if not dots or base is None or head is None:
        raise Refused(404, "Not Found")
    middle = bare.merge_base(base, head)
    if middle is None:
        raise Refused(404, f"No common ancestor between {base_name} and {head_name}.")
    ahead, behind = bare.log(head, f"^{base}"), bare.log(base, f"^{head}")
    state = "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else "identical"
    url = f"{render.repo_url(call.state, call.repo)}/compare/{quote(call.path['basehead'])}"
    page = f"{render.page_url(call.state, call.repo)}/compare/{quote(call.path['basehead'])}"
    items, headers = call.paged(list(reversed(ahead)))
    first = int(call.query.get("page", 1)) <= 1
    files = bare.changed(middle, head, patches=True)[:300] if first else []
    body = {
        "url": url,
        "html_url": page,
        "permalink_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "base_commit": render.commit(call.state, call.repo, bare.facts(base)),
        "merge_base_commit": render.commit(call.state, call.repo, bare.facts(middle)),
        "status": state,
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [render.commit(call.state, call.repo, facts) for facts in items],
        "files": [render.diff_entry(call.state, call.repo, head, one) for one in files],
    }
    return Answer(200, body, headers)


@route("repos/get-content", "contents:read")
def content(call: Call) -> Answer:
    ref = call.query.get("ref", call.repo.default_branch)
    sha = call.repo.bare.resolve(ref)
    if sha is None:
        raise Refused(404, f"No commit found for the ref {ref}")
    path = call.path["path"].strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise Refused(404, "Not Found")
    own = call.repo.bare.entries(sha, path=path) if path else []
    if path and not own:
        raise Refused(404, "Not Found")
    if path and own[0][1] == "blob":
        return Answer(200, _content(call, ref, own[0], whole=True))
    inside = call.repo.bare.entries(sha, path=f"{path}/" if path else "")
    return Answer(200, [_content(call, ref, entry, whole=False) for entry in inside])


def _content(
    call: Call, ref: str, entry: tuple[str, str, str, int | None, str], *, whole: bool
) -> dict[str, Any]:
    mode, kind, sha, size, path = entry
    repo, page = render.repo_url(call.state, call.repo), render.page_url(call.state, call.repo)
    shown = quote(path)
    word = {"blob": "symlink" if mode == "120000" else "file", "tree": "dir", "commit": "submodule"}[kind]
    url = f"{repo}/contents/{shown}?ref={quote(ref, safe='')}"
    git = f"{repo}/git/{'trees' if kind == 'tree' else 'blobs'}/{sha}"
    html = f"{page}/{'tree' if kind == 'tree' else 'blob'}/{quote(ref)}/{shown}"
    made: dict[str, Any] = {
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": size or 0,
        "url": url,
        "html_url": html,
        "git_url": git,
        "download_url": f"{page}/raw/{quote(ref)}/{shown}" if word == "file" else None,
        "type": word,
        "_links": {"self": url, "git": git, "html": html},
    }
    if whole:
        data = call.repo.bare.blob(sha)
        # Above 1 MB the content is left out: https://docs.github.com/en/rest/repos/contents
        small = len(data) <= 1024 * 1024
        made["content"] = base64.encodebytes(data).decode() if small else ""
        made["encoding"] = "base64" if small else "none"
    return made
