"""Comments, reactions, labels and the issue side of pull requests."""

from __future__ import annotations

from gitkitchen.github.forge import render, render_pulls
from gitkitchen.github.forge.happening import deliver
from gitkitchen.github.forge.payloads import issue_comment
from gitkitchen.github.forge.routing import Answer, Call, Refused, invalid, route
from gitkitchen.github.forge.state import Comment, Label, Pull, Reaction
from gitkitchen.github.surfaces import MAX_COMMENT

READ = ("issues:read", "pull-requests:read")
WRITE = ("issues:write", "pull-requests:write")


def _check_body(body: str) -> None:
    if len(body) > MAX_COMMENT:
        raise invalid(
            "IssueComment", "body", "unprocessable", f"body is too long (maximum is {MAX_COMMENT} characters)"
        )
    if not body.strip():
        raise invalid("IssueComment", "body", "unprocessable", "body cannot be blank")


@route("issues/get", *READ)
def get_issue(call: Call) -> Answer:
    found = call.number("issue_number", {**call.repo.pulls, **call.repo.issues})
    return Answer(200, render_pulls.issue(call.state, call.repo, found))


@route("issues/list-comments", *READ)
def listed(call: Call) -> Answer:
    pull: Pull = call.number("issue_number", {**call.repo.pulls, **call.repo.issues})
    found = [comment for comment in call.repo.comments.values() if comment.number == pull.number]
    items, headers = call.paged(sorted(found, key=lambda comment: comment.id))
    return Answer(200, [render_pulls.comment(call.state, call.repo, comment) for comment in items], headers)


@route("issues/create-comment", *WRITE)
def create(call: Call) -> Answer:
    pull: Pull = call.number("issue_number", call.repo.pulls)
    if pull.locked and not call.repo.may(call.login, "write") and call.token and call.token.app is None:
        raise Refused(403, "Unable to create comment because issue is locked.")
    _check_body(call.body["body"])
    now, app = call.now(), call.token.app if call.token else None
    comment = Comment(call.state.id(), pull.number, call.user, call.body["body"], now, now, app)
    call.repo.comments[comment.id] = comment
    deliver(
        call.state,
        call.repo,
        call.token,
        *issue_comment(call.state, call.repo, comment, "created", call.user),
    )
    return Answer(201, render_pulls.comment(call.state, call.repo, comment))


@route("issues/get-comment", *READ)
def get(call: Call) -> Answer:
    return Answer(
        200, render_pulls.comment(call.state, call.repo, call.number("comment_id", call.repo.comments))
    )


def _own(call: Call) -> Comment:
    comment: Comment = call.number("comment_id", call.repo.comments)
    person = call.token is not None and call.token.app is None
    if person and comment.user.login != call.login and not call.repo.may(call.login, "write"):
        raise Refused(403, "Must have admin rights to Repository.")
    return comment


@route("issues/update-comment", *WRITE)
def update(call: Call) -> Answer:
    comment = _own(call)
    _check_body(call.body["body"])
    before, comment.body, comment.updated = comment.body, call.body["body"], call.now()
    event = issue_comment(call.state, call.repo, comment, "edited", call.user, before=before)
    deliver(call.state, call.repo, call.token, *event)
    return Answer(200, render_pulls.comment(call.state, call.repo, comment))


@route("issues/delete-comment", *WRITE)
def delete(call: Call) -> Answer:
    comment = _own(call)
    del call.repo.comments[comment.id]
    deliver(
        call.state,
        call.repo,
        call.token,
        *issue_comment(call.state, call.repo, comment, "deleted", call.user),
    )
    return Answer(204)


@route("reactions/list-for-issue-comment", *READ)
def reactions(call: Call) -> Answer:
    comment: Comment = call.number("comment_id", call.repo.comments)
    wanted = call.query.get("content")
    found = [one for one in comment.reactions if wanted in (None, one.content)]
    items, headers = call.paged(found)
    return Answer(200, [render_pulls.reaction(call.state, one) for one in items], headers)


@route("reactions/create-for-issue-comment", *WRITE)
def react(call: Call) -> Answer:
    """A person's second reaction of one kind is the first: 200 instead of 201."""
    comment: Comment = call.number("comment_id", call.repo.comments)
    content = call.body["content"]
    for one in comment.reactions:
        if one.user is call.user and one.content == content:
            return Answer(200, render_pulls.reaction(call.state, one))
    one = Reaction(call.state.id(), call.user, content, call.now())
    comment.reactions.append(one)
    return Answer(201, render_pulls.reaction(call.state, one))


@route("reactions/delete-for-issue-comment", *WRITE)
def unreact(call: Call) -> Answer:
    comment: Comment = call.number("comment_id", call.repo.comments)
    one = call.number("reaction_id", {one.id: one for one in comment.reactions})
    comment.reactions.remove(one)
    return Answer(204)


@route("issues/list-labels-for-repo", *READ)
def labels(call: Call) -> Answer:
    items, headers = call.paged(list(call.repo.labels.values()))
    return Answer(200, [render.label(call.state, call.repo, one) for one in items], headers)


@route("issues/create-label", *WRITE, role="write")
def create_label(call: Call) -> Answer:
    name = call.body["name"]
    if name.casefold() in {known.casefold() for known in call.repo.labels}:
        raise invalid("Label", "name", "already_exists")
    label = Label(call.state.id(), name, call.body.get("color", "ededed"), call.body.get("description"))
    call.repo.labels[name] = label
    return Answer(201, render.label(call.state, call.repo, label))


@route("issues/list-labels-on-issue", *READ)
def labels_of(call: Call) -> Answer:
    pull: Pull = call.number("issue_number", call.repo.pulls)
    items, headers = call.paged(pull.labels)
    return Answer(
        200, [render.label(call.state, call.repo, call.repo.labels[name]) for name in items], headers
    )


@route("issues/add-labels", *WRITE, role="triage")
def add_labels(call: Call) -> Answer:
    pull: Pull = call.number("issue_number", call.repo.pulls)
    given = call.body.get("labels", []) if isinstance(call.body, dict) else call.body
    for one in given or []:
        name = one if isinstance(one, str) else one["name"]
        call.repo.labels.setdefault(name, Label(call.state.id(), name))
        if name not in pull.labels:
            pull.labels.append(name)
    return Answer(200, [render.label(call.state, call.repo, call.repo.labels[name]) for name in pull.labels])


@route("issues/remove-label", *WRITE, role="triage")
def remove_label(call: Call) -> Answer:
    pull: Pull = call.number("issue_number", call.repo.pulls)
    if call.path["name"] not in pull.labels:
        raise Refused(404, "Label does not exist")
    pull.labels.remove(call.path["name"])
    return Answer(200, [render.label(call.state, call.repo, call.repo.labels[name]) for name in pull.labels])
