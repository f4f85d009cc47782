"""A command in a comment is carried out: authorised, acknowledged, dispatched for one head, answered once.

The job that does it never checks out or runs anything of the pull request. All that it knows it asks GitHub
for, live; the one thing that it starts is a workflow of the default branch, for one commit that is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from gitkitchen.frozen import dataclass
from gitkitchen.github import artifacts
from gitkitchen.github.commands import Command, Unclear, help_text
from gitkitchen.github.events import Comment

MAY = frozenset({"admin", "maintain", "write"})
"""Permissions that may command: whoever has one could push the same commands as a workflow."""


_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?")


class PullNow(Protocol):
    """A pull request as GitHub has it now. ``head_repository`` is "" for a fork that was deleted."""

    @property
    def number(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def head_sha(self) -> str: ...
    @property
    def head_ref(self) -> str: ...
    @property
    def head_repository(self) -> str: ...
    @property
    def base_sha(self) -> str: ...
    @property
    def base_ref(self) -> str: ...


class Forge(Protocol):
    """What a command needs of GitHub's client. Whatever it raises ends the command, and is for its caller."""

    def permission(self, login: str) -> str:
        """``admin``, ``maintain``, ``write``, ``triage``, ``read`` or ``none``, as it is now."""
        ...

    def pull(self, number: int) -> PullNow: ...

    def head_seen(self, number: int, sha: str) -> datetime | None:
        """When GitHub first saw this head on the pull request, by GitHub's own clock (the first run that it
        started for it); None where that cannot be known. Never the date within a commit: anyone sets it."""
        ...

    def react(self, comment_id: int, content: str) -> None: ...

    def reply(self, number: int, comment_id: int, body: str, *, over: bool = True) -> int:
        """Write the one answer to a comment; ``over``: in place of what it said."""
        ...

    def dispatch_workflow(self, workflow: str, ref: str, inputs: Mapping[str, str], *, key: str = "") -> bool:
        """Start a workflow once: a run whose title has ``key`` is that one. Whether it was started now."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command. ``accepted``: something was started. ``head``: what it was started for."""

    accepted: bool
    said: str
    head: str = ""


def obey(comment: Comment, command: Command | Unclear, forge: Forge, *, workflow: str, branch: str) -> Answer:
    """Carry a command out and answer it in place. Where GitHub does not answer, nothing was started, unless
    it was the dispatch itself that went unanswered; run again, it starts nothing twice.

    ``workflow`` (a file name) of ``branch``, the default one, is what is dispatched. Its ``run-name`` is
    ``GitKitchen ${{ inputs.key }} #${{ inputs.number }} at ${{ inputs.head_sha }}``: by the key we find it
    again, by the rest the poster knows what it is about (``artifacts.DISPATCHED``).
    """
    answer, inputs = _weigh(comment, command, forge)
    began = True
    if inputs:
        forge.react(comment.id, "eyes")
        began = forge.dispatch_workflow(workflow, branch, inputs, key=inputs["key"])
        forge.react(comment.id, "rocket")
    else:
        forge.react(comment.id, "eyes" if answer.accepted else "confused")
    # Of what began before, the result may stand there already.
    forge.reply(comment.number, comment.id, answer.said, over=began)
    return answer


def _weigh(comment: Comment, command: Command | Unclear, forge: Forge) -> tuple[Answer, Mapping[str, str]]:
    """The answer, and the inputs of what is to be started; none where nothing is."""
    login = comment.author
    if not _LOGIN.fullmatch(login):
        return Answer(False, "I did nothing: the author's name is none that GitHub gives."), {}
    if isinstance(command, Command) and command.verb == "help":
        return Answer(True, f"@{login}, these are the commands:\n\n{help_text()}"), {}
    permission = forge.permission(login)
    if permission not in MAY:
        return _refused(
            login,
            f"commands need write permission, and yours is `{permission if permission.isalpha() else '?'}`",
        )
    if isinstance(command, Unclear):
        return _refused(login, f"{command.why}. These are the commands:\n\n{help_text()}")
    pull = forge.pull(comment.number)
    if pull.state != "open":
        return _refused(login, "this pull request is closed")
    refused = _unseen(comment, command, pull, forge)
    if refused:
        return _refused(login, refused)
    started = {"run": "the tests of", "fresh": "the tests, with fresh sources, of", "diff": "the diff of"}
    what = f"{started[command.verb]} {f'`{command.dataset}` at ' if command.dataset else ''}{pull.head_sha}"
    where = (
        "The answer will stand here."
        if command.dataset
        else "The result appears in this pull request's checks."
    )
    said = f"@{login}, I started {what}. {where}"
    return Answer(True, said, pull.head_sha), _inputs(comment, command, pull)


def _refused(login: str, why: str) -> tuple[Answer, Mapping[str, str]]:
    return Answer(False, f"@{login}, I did nothing: {why}."), {}


def _unseen(comment: Comment, command: Command, pull: PullNow, forge: Forge) -> str:
    """Why the head now may be another than the one that the person saw; "" where it is that one."""
    head = pull.head_sha
    again = f"look at it, then comment `/kitchen {command.verb}"
    again += f"{f' {command.dataset}' if command.dataset else ''} {head}`"
    if command.head:
        return "" if command.head == head else f"the head is {head}, and not the one that you named; {again}"
    seen = forge.head_seen(comment.number, head)
    if seen is None:
        return f"it cannot be told whether {head} was there when you commented; {again}"
    if seen >= comment.created:  # GitHub's times are whole seconds: the same one proves nothing
        return f"{head} was pushed when you had commented, or in the same second; {again}"
    return ""


def _inputs(comment: Comment, command: Command, pull: PullNow) -> dict[str, str]:
    """The inputs of the dispatch: ``github.events.PULL_INPUTS`` and what is asked."""
    return {
        "number": str(pull.number),
        "head_repository": pull.head_repository,
        "head_branch": pull.head_ref,
        "head_sha": pull.head_sha,
        "base_branch": pull.base_ref,
        "base_sha": pull.base_sha,
        "fresh": "true" if command.verb == "fresh" else "false",
        "dataset": command.dataset,
        "key": artifacts.key_of(comment.id, command.dataset),
    }
