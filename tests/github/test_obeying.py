"""Commands are carried out for those who may, for the head that they saw, and answered once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from gitkitchen.errors import Infrastructure
from gitkitchen.github.artifacts import DISPATCHED
from gitkitchen.github.commands import Command, Unclear, parse
from gitkitchen.github.events import PULL_INPUTS, Comment
from gitkitchen.github.obeying import Answer, obey

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
HEAD, OTHER = "1" * 40, "3" * 40


@dataclass(frozen=True)
class Now:
    """The pull request as it is now."""

    number: int = 7
    state: str = "open"
    head_sha: str = HEAD
    head_ref: str = "feature"
    head_repository: str = "me/shop"
    base_sha: str = "2" * 40
    base_ref: str = "main"


@dataclass
class Memory:
    """A forge in memory: what it is asked, and what it was told."""

    permissions: Mapping[str, str] = field(default_factory=lambda: {"ann": "write", "bob": "read"})
    now: Now = Now()
    seen: Mapping[str, datetime] = field(default_factory=lambda: {HEAD: NOON - timedelta(hours=1)})
    away: str = ""
    reactions: list[str] = field(default_factory=list)
    comments: dict[int, str] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)
    dispatched: list[Mapping[str, str]] = field(default_factory=list)

    def _asked(self, name: str) -> None:
        if self.away == name:
            raise Infrastructure(f"{name}: the API does not answer")

    def permission(self, login: str) -> str:
        self._asked("permission")
        return self.permissions.get(login, "none")

    def pull(self, number: int) -> Now:
        self._asked("pull")
        return self.now

    def head_seen(self, number: int, sha: str) -> datetime | None:
        self._asked("head_seen")
        return self.seen.get(sha)

    def react(self, comment_id: int, content: str) -> None:
        self._asked("react")
        self.reactions.append(content)

    def reply(self, number: int, comment_id: int, body: str, *, over: bool = True) -> int:
        self._asked("reply")
        if over or comment_id not in self.comments:
            self.comments[comment_id] = body
        return 1

    def dispatch_workflow(self, workflow: str, ref: str, inputs: Mapping[str, str], *, key: str = "") -> bool:
        self._asked("dispatch_workflow")
        assert (workflow, ref) == ("gitkitchen.yml", "main")
        if any(key in title for title in self.titles):
            return False
        self.titles.append(f"GitKitchen {key} #{inputs['number']} at {inputs['head_sha']}")
        self.dispatched.append(inputs)
        return True


def said(body: str = "/kitchen run", author: str = "ann", created: datetime = NOON) -> Comment:
    return Comment(5, 7, author, body, created, on_pull=True, by_person=True)


def obeyed(forge: Memory, comment: Comment | None = None) -> Answer:
    comment = comment or said()
    command = parse(comment.body)
    assert isinstance(command, Command | Unclear)
    return obey(comment, command, forge, workflow="gitkitchen.yml", branch="main")


@pytest.mark.parametrize("permission", ["admin", "maintain", "write"])
def test_who_may_command_is_obeyed(permission: str) -> None:
    """The tests of exactly the head are dispatched, acknowledged and answered, once."""
    forge = Memory({"ann": permission})
    assert obeyed(forge) == Answer(True, next(iter(forge.comments.values())), HEAD)
    assert [set(PULL_INPUTS) <= i.keys() and i["head_sha"] for i in forge.dispatched] == [HEAD]
    assert forge.reactions == ["eyes", "rocket"]
    assert list(forge.comments) == [5]
    assert HEAD in forge.comments[5]
    said = DISPATCHED.search(forge.titles[0])
    assert said is not None
    assert said.groups() == ("7", HEAD)


@pytest.mark.parametrize("permission", ["read", "triage", "none", "", "Write", "<img src=x>"])
def test_a_stranger_is_refused_with_the_reason(permission: str) -> None:
    """Whoever may not write starts nothing, and is told why; nothing else is asked of GitHub."""
    forge = Memory({"eve": permission}, away="pull")
    answer = obeyed(forge, said(author="eve"))
    assert not answer.accepted
    assert (forge.dispatched, forge.reactions) == ([], ["confused"])
    assert "need write permission" in forge.comments[5]
    assert "<img" not in answer.said


def test_the_verbs_become_inputs() -> None:
    """`fresh` and `diff` are said in the inputs of the dispatch."""
    forge = Memory()
    obeyed(forge, said("/kitchen fresh"))
    obeyed(forge, replace(said("/kitchen diff orders"), id=55))
    assert [(i["fresh"], i["dataset"]) for i in forge.dispatched] == [("true", ""), ("false", "orders")]


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), timedelta(days=1)])
def test_a_push_after_the_comment_refuses(late: timedelta) -> None:
    """A head that came when the person had commented, or in that second, was not seen: nothing is tested."""
    forge = Memory(now=Now(head_sha=OTHER), seen={OTHER: NOON + late})
    answer = obeyed(forge)
    assert (answer.accepted, forge.dispatched) == (False, [])
    assert f"comment `/kitchen run {OTHER}`" in answer.said


def test_a_head_of_unknown_age_is_refused_until_it_is_named() -> None:
    """Where GitHub does not say when a head came, naming its commit says which one is meant."""
    forge = Memory(seen={})
    assert not obeyed(forge).accepted
    assert obeyed(forge, said(f"/kitchen run {HEAD}")).accepted
    assert not obeyed(forge, said(f"/kitchen run {OTHER}")).accepted
    assert len(forge.dispatched) == 1


def test_a_closed_pull_request_starts_nothing() -> None:
    """A command on what is closed is refused."""
    forge = Memory(now=Now(state="closed"))
    assert "is closed" in obeyed(forge).said
    assert forge.dispatched == []


def test_help_is_for_everybody_and_unclear_commands_are_for_those_who_may() -> None:
    """Help needs no permission and asks for none; a mistyped command shows the commands."""
    forge = Memory(away="permission")
    assert obeyed(forge, said("/kitchen help", author="eve")).accepted
    assert "/kitchen diff <dataset>" in forge.comments[5]
    unclear = obeyed(Memory(), said("/kitchen rnu"))
    assert (unclear.accepted, "did you mean `run`" in unclear.said) == (False, True)


def test_a_name_that_github_never_gives_is_not_mentioned() -> None:
    """A login that is none reaches neither a URL nor the answer."""
    forge = Memory(away="permission")
    assert "evil" not in obeyed(forge, said(author="evil/../../x")).said
    assert forge.dispatched == []


def test_the_same_comment_again_is_answered_in_the_same_place() -> None:
    """A job that runs again, whichever call was the last one, starts the tests once and leaves one answer."""
    for call in ("", "dispatch_workflow", "reply"):
        forge = Memory(away=call)
        with contextlib.suppress(Infrastructure):
            obeyed(forge)
        forge.away = ""
        obeyed(forge)
        assert (len(forge.comments), len(forge.dispatched)) == (1, 1)


@pytest.mark.parametrize("call", ["permission", "pull", "head_seen"])
def test_what_cannot_be_verified_is_not_done(call: str) -> None:
    """Where GitHub does not answer, nobody is authorised by that."""
    forge = Memory(away=call)
    with pytest.raises(Infrastructure, match="does not answer"):
        obeyed(forge)
    assert forge.dispatched == []


def test_permission_is_asked_live() -> None:
    """A right that was taken away between two comments is gone."""
    forge = Memory()
    assert obeyed(forge).accepted
    forge.permissions = {}
    assert not obeyed(forge, replace(said(), id=6)).accepted
