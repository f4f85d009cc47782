"""The client against the forge: what it posts is there once, whatever goes wrong on the way."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.errors import Mistake
from gitkitchen.github.api import Client
from gitkitchen.github.asking import Budget
from gitkitchen.github.forge import KINDS, Forge, Ticking, zipped
from gitkitchen.github.surfaces import Annotation, marker_of
from gitkitchen.github.trouble import Trouble
from lengths import some
from stage import MARKER, Stage, staged


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for many tests, each of which clears it."""
    with staged(tmp_path_factory.mktemp("kept")) as made:
        yield made


def post(client: Client, stage: Stage, annotations: int = 60) -> None:
    """What a job does at its end: one check run of two batches, one comment."""
    client.put_check(stage.check(annotations))
    client.put_comment(stage.pull.number, MARKER, "It failed.")


def is_right(stage: Stage, annotations: int = 60) -> None:
    (check,) = stage.checks
    assert (check.status, check.conclusion) == ("completed", "failure")
    assert [one["start_line"] for one in check.annotations] == list(range(1, annotations + 1))
    (comment,) = stage.comments
    assert comment.body == f"{MARKER}\nIt failed."


def test_a_check_run_is_written_in_batches_and_concluded_last(stage: Stage) -> None:
    """At most 50 annotations a request; the conclusion comes with the last."""
    stage.client().put_check(stage.check(120))
    writes = stage.forge.writes
    assert [len(write.body["output"]["annotations"]) for write in writes] == [50, 50, 20]
    assert [write.body.get("conclusion") for write in writes] == [None, None, "failure"]
    assert len(stage.checks[0].annotations) == 120


def test_in_progress_becomes_the_result_in_the_same_check_run(stage: Stage) -> None:
    """First in progress, at the end the conclusion: two writes, one object; the same again: none."""
    client = stage.client()
    begun = client.put_check(stage.check(status="in_progress", conclusion=None, title="Running"))
    assert client.put_check(stage.check(3)) == begun
    assert len(stage.forge.writes) == 2
    assert stage.client().put_check(stage.check(3)) == begun
    assert len(stage.forge.writes) == 2


def test_ten_pushes_are_one_comment(stage: Stage) -> None:
    """A new job finds the comment of the one before; an unchanged text costs no write."""
    for push in range(10):
        stage.client().put_comment(stage.pull.number, MARKER, f"push {push}")
    stage.client().put_comment(stage.pull.number, MARKER, "push 9")
    assert [comment.body for comment in stage.comments] == [f"{MARKER}\npush 9"]
    assert len(stage.forge.writes) == 10


def test_a_forged_comment_is_not_ours(stage: Stage) -> None:
    """A stranger's comment with our marker is neither edited nor taken for ours."""
    forged = stage.repo.comment(stage.pull, "mallory", f"{MARKER}\nAll green, merge it!")
    ours = stage.client().put_comment(stage.pull.number, MARKER, "It failed.")
    assert ours != forged.id
    assert forged.body.endswith("merge it!")


def test_a_check_run_of_another_app_is_not_ours(stage: Stage) -> None:
    """Another App's check run with our name and external_id is left alone."""
    token = stage.forge.app_token(stage.repo, "evil", checks="write")
    other = Client(stage.forge.api_url, token, stage.repo.full_name, author="evil[bot]")
    forged = other.put_check(stage.check(conclusion="success"))
    ours = stage.client().put_check(stage.check())
    assert ours != forged
    assert stage.repo.repo.checks[forged].conclusion == "success"


def test_two_comments_of_two_jobs_at_once_become_one(stage: Stage) -> None:
    """What a race doubled, the next job mends: the older stays."""
    client = stage.client()
    first = client.put_comment(stage.pull.number, MARKER, "one")
    path = f"/repos/octo/shop/issues/{stage.pull.number}/comments"
    client._asking.ask("POST", path, "double it", {}, body={"body": f"{MARKER}\ntwo"})
    assert client.put_comment(stage.pull.number, MARKER, "three") == first
    assert [comment.body for comment in stage.comments] == [f"{MARKER}\nthree"]


def test_our_comment_is_found_behind_hundreds_of_others(stage: Stage) -> None:
    """The list of comments has pages; the sticky comment may be on any of them."""
    for number in range(250):
        stage.repo.comment(stage.pull, "bob", f"nit {number}")
    first = stage.client().put_comment(stage.pull.number, MARKER, "one")
    assert stage.client().put_comment(stage.pull.number, MARKER, "two") == first


def test_an_open_check_run_of_a_dead_attempt_is_taken_over(stage: Stage) -> None:
    """The next attempt has another external_id: it goes on with what the dead one left in progress."""
    begun = stage.client().put_check(stage.check(status="in_progress", conclusion=None, external_id="run/1"))
    assert stage.client().put_check(stage.check(2, external_id="run/2")) == begun
    (check,) = stage.checks
    assert (check.external_id, check.conclusion) == ("run/2", "failure")


def test_a_job_that_runs_again_goes_on_with_the_check_run_it_made(stage: Stage) -> None:
    """Without annotations in the way there is still one check run of the name, with the new result."""
    stage.client().put_check(stage.check(external_id="run/1"))
    stage.client().put_check(stage.check(external_id="run/2", conclusion="success", title="All passed"))
    (check,) = stage.checks
    assert (check.external_id, check.conclusion, check.title) == ("run/2", "success", "All passed")


def test_annotations_of_a_dead_attempt_are_not_mixed_with_ours(stage: Stage) -> None:
    """Annotations cannot be taken back: an open check run that has some is ended, and ours is a new one."""
    client = stage.client()
    stage.forge.fail("500", verb="PATCH", times=-1)
    with pytest.raises(Trouble):
        client.put_check(stage.check(60, external_id="run/1"))
    stage.forge.heal()
    ours = client.put_check(stage.check(1, external_id="run/2"))
    assert {check.id: check.conclusion for check in stage.checks}[ours] == "failure"
    assert sorted(check.conclusion or "" for check in stage.checks) == ["cancelled", "failure"]


def test_check_runs_of_recipes_that_are_gone_are_ended(stage: Stage) -> None:
    """What a dead job left open and no later job has is ended on request, and nothing else."""
    client = stage.client()
    for name in ("GitKitchen / old", "GitKitchen / delays", "Lint"):
        client.put_check(stage.check(name=name, external_id=name, status="in_progress", conclusion=None))
    ended = client.settle_checks(stage.pull.head_sha, "GitKitchen / ", frozenset({"GitKitchen / delays"}))
    assert ended == ("GitKitchen / old",)
    assert sorted(check.status for check in stage.checks) == ["completed", "in_progress", "in_progress"]


# Every call failing in every way. A job asks, in this order: list, create, update, list, create.
CALLS = 5
LONGEST = 300.0


@pytest.mark.parametrize("call", range(CALLS))
@pytest.mark.parametrize(
    "kind",
    some(
        [kind for kind in KINDS if not kind.startswith(("hook", "slow"))],
        "500",
        "502-after",
        "reset-after",
        "limit-429",
        "422",
    ),
)
def test_one_failure_anywhere(kept: Stage, kind: str, call: int) -> None:
    """One check run, one comment, in bounded time, and no more requests than that takes: either the job
    got through, or the next one mends it."""
    stage = kept
    stage.clear()
    stage.forge.fail(kind, skip=call, path="^/repos", retry_after=2 if kind == "limit-429" else None)
    client = stage.client()
    try:
        post(client, stage)
    except Trouble:
        if kind not in ("401", "403", "404", "422"):
            raise
        post(stage.client(), stage)
    is_right(stage)
    assert sum(stage.time.slept) <= 70
    assert len(stage.forge.log) <= CALLS + 6


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith(("hook", "slow"))])
def test_failing_for_ever(kept: Stage, kind: str) -> None:
    """A client that never gets through ends with Trouble in bounded time and requests."""
    stage = kept
    stage.clear()
    stage.forge.fail(kind, times=-1)
    client = stage.client()
    with pytest.raises(Trouble) as caught:
        client.put_comment(stage.pull.number, MARKER, "x")
    assert caught.value.hint
    assert sum(stage.time.slept) <= LONGEST
    assert client.requests <= 10


@pytest.mark.parametrize("kind", ["500", "reset-after", "502-after", "limit-403"])
def test_writes_that_never_get_an_answer(stage: Stage, kind: str) -> None:
    """All writes fail, questions do not: at most one check run and one comment come of it."""
    stage.forge.fail(kind, verb="POST", times=-1)
    stage.forge.fail(kind, verb="PATCH", times=-1)
    for put in (
        lambda: stage.client().put_check(stage.check(60)),
        lambda: stage.client().put_comment(stage.pull.number, MARKER, "It failed."),
    ):
        with contextlib.suppress(Trouble):
            put()
    assert len(stage.checks) <= 1
    assert len(stage.comments) <= 1
    stage.forge.heal()
    post(stage.client(), stage)
    is_right(stage)


@pytest.mark.long
def test_an_answer_that_comes_too_late(stage: Stage) -> None:
    """A write that is done and answered after our patience ended is found, and not done again."""
    stage.forge.fail("slow", verb="POST", times=2, seconds=1.5)
    client = stage.client(budget=Budget(timeout=1))
    post(client, stage)
    is_right(stage)


@given(
    faults=st.lists(
        st.tuples(st.sampled_from(sorted(set(KINDS) - {"slow", "hook", "hook-after"})), st.integers(0, 12)),
        max_size=6,
    )
)
@settings(max_examples=5)
def test_any_failures_in_any_order(kept: Stage, faults: list[tuple[str, int]]) -> None:
    """Whatever fails whenever: nothing is doubled, and the first job that gets through mends it."""
    stage = kept
    stage.clear()
    for kind, skip in faults:
        stage.forge.fail(kind, skip=skip)
    for _ in range(3):
        try:
            post(stage.client(), stage)
        except Trouble:
            assert len(stage.checks) <= 1
            assert len(stage.comments) <= 1
    stage.forge.heal()
    stage.time.now += 7200
    post(stage.client(), stage)
    is_right(stage)


def test_waiting_is_what_github_says(stage: Stage) -> None:
    """retry-after, then x-ratelimit-reset, else a minute."""
    client = stage.client()
    for about in ({"retry_after": 7}, {}, {"kind": "primary", "reset_in": 20.0}):
        given: dict[str, Any] = {"kind": "limit-403", **about}
        stage.forge.fail(given.pop("kind"), **given)
        client.pull(stage.pull.number)
    assert stage.time.slept == [7.0, 60.0, 21.0]


def test_a_wait_beyond_our_time_is_not_begun(stage: Stage) -> None:
    """An hour that GitHub asks for is more than there is: Trouble at once, without sleeping."""
    stage.forge.fail("limit-429", retry_after=3600)
    with pytest.raises(Trouble) as caught:
        stage.client().pull(stage.pull.number)
    assert caught.value.kind == "limit"
    assert not stage.time.slept


@pytest.mark.long
def test_many_writes_are_a_second_apart(stage: Stage) -> None:
    """A few writes need no pause; many are paced, so that GitHub's limit of content is never met."""
    client = stage.client(budget=Budget(requests=1000, seconds=1000))
    for number in range(40):
        client.put_check(stage.check(name=f"check {number}", external_id=str(number)))
    assert not any(record.status in (403, 429) for record in stage.forge.log)
    assert stage.time.slept == [1.0] * 36


def test_the_budget_of_requests_ends(stage: Stage) -> None:
    """A client cannot spend the requests that all jobs of the repository share."""
    client = stage.client(budget=Budget(requests=3))
    for _ in range(3):
        client.pull(stage.pull.number)
    with pytest.raises(Trouble) as caught:
        client.pull(stage.pull.number)
    assert caught.value.kind == "budget"
    assert len(stage.forge.log) == 3


def test_a_missing_permission_says_what_to_add(stage: Stage) -> None:
    """The warning holds the block to paste: what this write needs and what the job had anyway."""
    stage.token = stage.forge.job_token(stage.repo, contents="read")
    with pytest.raises(Trouble) as caught:
        stage.client().put_check(stage.check())
    assert caught.value.hint.endswith("permissions:\n  checks: write\n  contents: read")
    assert caught.value.problem().code == "github-denied"
    assert stage.token not in str(caught.value)


def test_reading(stage: Stage) -> None:
    """What the client reads is what is there, hostile names and all."""
    stage.repo.commit("feature", {"b <b>.sql": "x\n", "a.sql": None})
    for number in range(40):
        stage.repo.review(stage.pull, f"r{number}", "APPROVED")
    stage.repo.allow("carol", "maintain")
    client = stage.client()
    pull = client.pull(stage.pull.number)
    assert (pull.head_sha, pull.is_fork, pull.author) == (stage.pull.head_sha, False, "alice")
    assert [(file.path, file.status) for file in client.files(pull.number)] == [
        ("a.sql", "removed"),
        ("b <b>.sql", "added"),
    ]
    assert len(client.reviews(pull.number)) == 40
    roles = [client.permission(login) for login in ("octo", "carol", "alice", "nobody-at-all", "../x")]
    assert roles == ["admin", "maintain", "read", "none", "none"]
    with pytest.raises(Trouble) as caught:
        client.pull(99)
    assert caught.value.kind == "missing"


def test_the_pull_request_of_a_fork_is_found_by_its_branch(stage: Stage) -> None:
    """A fork's commit names no pull request; its branch does, and only while it is at that commit."""
    fork = stage.repo.fork("mallory")
    sha = fork.commit("change", {"a.sql": "select 3\n"})
    pull = stage.repo.pull("mallory:change")
    client = stage.client()
    assert client.pulls_of(sha) == ()
    (found,) = client.pulls_of(sha, head="mallory:change")
    assert (found.number, found.is_fork, found.head_repository) == (pull.number, True, "mallory/shop")
    fork.commit("change", {"a.sql": "select 4\n"})
    assert client.pulls_of(sha, head="mallory:change") == ()
    fork.delete()
    assert client.pull(pull.number).is_fork


def test_a_head_is_as_new_as_its_last_arrival(stage: Stage) -> None:
    """A head that another pull request had first, or that was taken away and came back, is not an old one."""
    sha, client = stage.pull.head_sha, stage.client()
    path = ".github/workflows/ci.yml"
    assert client.head_seen(stage.pull.number, sha) is None
    stage.repo.run(path, "pull_request", sha, branch="other")
    stage.repo.run(path, "workflow_dispatch", sha, branch="feature")
    assert client.head_seen(stage.pull.number, sha) is None
    for _ in range(2):
        stage.time.sleep(60)
        stage.repo.run(path, "pull_request", sha, pull=stage.pull)
        seen = client.head_seen(stage.pull.number, sha)
        assert seen is not None
        assert seen.timestamp() == stage.time.now


def test_commands_are_acknowledged_and_answered_once(stage: Stage) -> None:
    """A reaction and an answer, however often the event is delivered."""
    command = stage.repo.comment(stage.pull, "alice", "/kitchen run")
    for _ in range(3):
        client = stage.client()
        client.react(command.id, "eyes")
        client.reply(stage.pull.number, command.id, "Started.")
    assert [one.content for one in command.reactions] == ["eyes"]
    assert len(stage.comments) == 2


WORKFLOW = "run-name: kitchen ${{ inputs.key }}\non: {workflow_dispatch: {inputs: {key: {}}}}\n"


@pytest.mark.parametrize("kind", ["500", "502-after", "reset", "reset-after", "limit-429"])
def test_a_dispatch_with_a_key_is_one_run(stage: Stage, kind: str) -> None:
    """One command, one run: a lost answer is looked up before anything is started again."""
    stage.repo.commit("main", {".github/workflows/kitchen.yml": WORKFLOW})
    stage.forge.fail(kind, verb="POST")
    for _ in range(2):
        stage.client().dispatch_workflow("kitchen.yml", "main", {"key": "c-1"}, key="c-1")
    assert len(stage.repo.repo.runs) == 1
    assert len(stage.repo.deliveries("workflow_dispatch")) == 1


def test_a_dispatch_without_a_key_is_never_repeated(stage: Stage) -> None:
    """Nothing tells whether it was done: that is said, and nothing is started again."""
    stage.repo.commit("main", {".github/workflows/kitchen.yml": WORKFLOW})
    stage.forge.fail("reset-after", verb="POST")
    with pytest.raises(Trouble) as caught:
        stage.client().dispatch_workflow("kitchen.yml", "main", {"key": "x"})
    assert caught.value.kind == "unsure"
    assert len(stage.repo.repo.runs) == 1


def test_artifacts_come_whole_and_without_our_token(stage: Stage) -> None:
    """The bytes are those stored; the storage never sees the token (the forge refuses it); limits hold."""
    data = zipped({"pull.json": "{}" * 1000})
    run = stage.repo.run(".github/workflows/ci.yml", "pull_request", stage.pull.head_sha, pull=stage.pull)
    artifact = stage.repo.artifact(run, "outcome", data)
    client = stage.client()
    (about,) = client.artifacts(run.id)
    assert (about.name, about.head_sha, about.size) == ("outcome", stage.pull.head_sha, len(data))
    stage.forge.fail("500", path="^/storage")
    assert client.download(artifact.id, 10_000) == data
    with pytest.raises(Trouble, match="are allowed"):
        client.download(artifact.id, len(data) - 1)
    artifact.expired = True
    with pytest.raises(Trouble, match="expired"):
        client.download(artifact.id, 10_000)


def test_enterprise_addresses(tmp_path: Path) -> None:
    """The API is where GITHUB_API_URL says, and nowhere else."""
    for path in ("/api/v3", ""):
        with staged(tmp_path / path.replace("/", "_"), api_path=path) as stage:
            environ = stage.forge.environ(stage.repo, stage.token)
            client = Client.of_job(environ, clock=stage.time, sleep=stage.time.sleep)
            post(client, stage)
            is_right(stage)


def test_a_job_without_its_environment_is_told_so() -> None:
    """What is missing, and how to give it."""
    with pytest.raises(Mistake, match="GITHUB_TOKEN"):
        Client.of_job({"GITHUB_REPOSITORY": "octo/shop"})
    with pytest.raises(Mistake, match="OWNER/NAME"):
        Client("https://api.example.com", "t", "octo/../shop")


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=5).filter(
                str.strip
            ),
        ),
        max_size=130,
    ),
    st.integers(0, 130),
)
@settings(max_examples=6)
def test_annotations_are_all_there_once(kept: Stage, told: list[tuple[int, str]], cut: int) -> None:
    """Any annotations, some of them equal, some of them there already: afterwards exactly those."""
    stage = kept
    stage.clear()
    notes = tuple(Annotation("a.sql", line, line, "warning", "", text) for line, text in told)
    stage.client().put_check(stage.check(annotations=notes[:cut], status="in_progress", conclusion=None))
    stage.client().put_check(stage.check(annotations=notes))
    (check,) = stage.checks
    assert sorted((one["start_line"], one["message"]) for one in check.annotations) == sorted(told)


def test_dates_of_the_forge_can_be_reproduced(tmp_path: Path) -> None:
    """With a ticking clock two forges say the same: what golden files are made of."""
    seen = []
    for name in ("one", "two"):
        with Forge(tmp_path / name, clock=Ticking()) as forge:
            repo = forge.repository("octo/shop")
            repo.commit("feature", {"a": "b"})
            seen.append(repo.event("pull_request", pull=repo.pull("feature"))["pull_request"]["head"]["sha"])
    assert seen[0] == seen[1]


def test_an_answer_to_a_command_is_not_the_sticky_comment() -> None:
    """The marker of a reply is its own: neither is ever taken for the other."""
    reply = marker_of("gitkitchen reply 1")
    assert not reply.startswith(MARKER)
    assert not marker_of("gitkitchen reply 12").startswith(reply)


def test_the_example_of_the_documentation_runs() -> None:
    """What docs/github.md shows works as it stands."""
    page = Path(__file__).parent.parent.parent / "docs" / "github.md"
    (example,) = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    exec(compile(example, str(page), "exec"), {})


def test_a_list_that_is_too_long_is_not_taken_for_the_whole(stage: Stage) -> None:
    """Whoever floods a pull request may keep us from posting, and never makes us post twice."""
    client = stage.client()
    first = client.put_comment(stage.pull.number, MARKER, "one")
    for number in range(250):
        stage.repo.comment(stage.pull, "mallory", f"{MARKER} {number}")
    path = f"/repos/octo/shop/issues/{stage.pull.number}/comments"
    with pytest.raises(Trouble) as caught:
        client._asking.pages(path, "look", {}, most=200)
    assert caught.value.kind == "budget"
    kept = client._asking.pages(path, "look", {}, keep=lambda one: one["user"]["login"] == client.author)
    assert [one["id"] for one in kept] == [first]
