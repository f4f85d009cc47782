"""Issues: listed with pull requests among them, opened, changed."""

from __future__ import annotations

from datetime import datetime

from gitkitchen.github.forge import render_pulls
from gitkitchen.github.forge.routing import Answer, Call, Refused, invalid, route
from gitkitchen.github.forge.state import Issue, Label, Pull
from gitkitchen.github.surfaces import MAX_COMMENT

READ = ("issues:read",)
WRITE = ("issues:write",)
MAX_TITLE = 256


def _check(call: Call) -> None:
    title, body = call.body.get("title"), call.body.get("body")
    if title is not None and not (1 <= len(title) <= MAX_TITLE):
        raise invalid("Issue", "title", "custom", f"title is too long (maximum is {MAX_TITLE} characters)")
    if body is not None and len(body) > MAX_COMMENT:
        raise invalid("Issue", "body", "custom", f"body is too long (maximum is {MAX_COMMENT} characters)")


@route("issues/list-for-repo", *READ)
def listed(call: Call) -> Answer:
    """As GitHub does: pull requests are issues, too, and only open ones are listed unless asked."""
    wanted = call.query.get("state", "open")
    names = {name for name in str(call.query.get("labels", "")).split(",") if name}
    creator = call.query.get("creator")
    since = call.query.get("since")
    oldest = datetime.fromisoformat(str(since)).timestamp() if since else 0.0
    every: list[Pull | Issue] = [*call.repo.pulls.values(), *call.repo.issues.values()]
    found = [
        one
        for one in every
        if wanted in ("all", one.state)
        and names <= set(one.labels)
        and creator in (None, one.user.login)
        and one.updated >= oldest
    ]
    newest_first = call.query.get("direction", "desc") == "desc"
    items, headers = call.paged(sorted(found, key=lambda one: one.number, reverse=newest_first))
    return Answer(200, [render_pulls.issue(call.state, call.repo, one) for one in items], headers)


@route("issues/create", *WRITE)
def create(call: Call) -> Answer:
    _check(call)
    repo, now = call.repo, call.now()
    repo.numbers += 1
    app = call.token.app if call.token else None
    made = Issue(
        call.state.id(), repo.numbers, call.user, call.body["title"], call.body.get("body"), now, now, app=app
    )
    for one in call.body.get("labels") or ():
        name = one if isinstance(one, str) else one["name"]
        repo.labels.setdefault(name, Label(call.state.id(), name))
        made.labels.append(name)
    repo.issues[made.number] = made
    return Answer(201, render_pulls.issue(call.state, repo, made))


@route("issues/update", *WRITE)
def update(call: Call) -> Answer:
    made = call.number("issue_number", call.repo.issues)
    own = made.user.login == call.login
    if call.token is not None and call.token.app is None and not (own or call.repo.may(call.login, "triage")):
        raise Refused(403, "Must have admin rights to Repository.")
    _check(call)
    now = call.now()
    made.title = call.body.get("title", made.title)
    made.body = call.body.get("body", made.body)
    state = call.body.get("state", made.state)
    if state != made.state:
        made.state_reason = "reopened" if state == "open" else "completed"
        made.closed_at = now if state == "closed" else None
    made.state = state
    if call.body.get("state_reason"):
        made.state_reason = call.body["state_reason"]
    made.updated = now
    return Answer(200, render_pulls.issue(call.state, call.repo, made))
