"""From a stranger's push to what stands on the pull request: both jobs, against the forge."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.github.forge import zipped
from gitkitchen.github.forge.state import Pull, Run
from scene import TESTS, Scene, scene
from shop import KITCHEN_YML

ORDERS = """\
version: 1
recipe: orders
nodes:
  orders: {sql: orders.sql, key: [id], tests: [{accepted_values: {column: region, values: [eu, us]}}]}
"""
BOARD = "version: 1\nrecipe: board\nnodes:\n  board: {sql: select 1 as id, key: [id]}\n"
GOOD = "select 1 as id, 'eu' as region"
BAD = "select 1 as id, 'mars' as region"
POLICY = """\
policy:
  require: {recipes: [orders]}
  waivers: {tests: ["orders/orders/*"], by: ["@bob"], environments: [prod]}
  changes: {by: ["@bob"]}
"""
SQL = "recipes/orders/orders.sql"
YML = "recipes/orders/recipe.yml"
FILES = {"kitchen.yml": KITCHEN_YML + POLICY, YML: ORDERS, SQL: GOOD, "recipes/board/recipe.yml": BOARD}
WHOLE = "(project)"


@pytest.fixture(scope="module")
def shop_on_forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("scene"), FILES) as made:
        made.repo.allow("bob", "write")
        yield made


@pytest.fixture
def on(shop_on_forge: Scene) -> Scene:
    """One project for all tests of this file, with nothing posted."""
    shop_on_forge.forget()
    return shop_on_forge


def test_a_good_change(on: Scene) -> None:
    """Green: the whole and the recipe that changed have a check run, another one has none; one comment."""
    pull = on.opened("good", {SQL: f"{GOOD} union all select 2, 'us'"})
    report = on.posted(on.tested(pull))
    assert not report.warnings
    assert on.conclusions(pull.head_sha) == {"orders": "success", WHOLE: "success"}
    (comment,) = on.comments(pull)
    assert "GitKitchen: all 2 recipes passed" in comment.body
    assert "1 → 2 rows" in comment.body
    assert len(on.forge.writes) <= 4 + 2
    assert [w.body["status"] for w in on.forge.writes[:2]] == ["in_progress"] * 2
    assert on.checks(pull.head_sha)["GitKitchen / orders"].external_id != ""


def test_a_bad_change_is_mended_in_one_comment(on: Scene) -> None:
    """Red with the line that was changed; pushed again it is green on the new head, in the same comment."""
    pull = on.opened("bad", {SQL: BAD})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha) == {"orders": "failure", WHOLE: "failure"}
    found = on.checks(pull.head_sha)["GitKitchen / orders"].annotations
    assert [(a["path"], a["start_line"]) for a in found] == [(SQL, 1)]
    for number in range(2, 5):
        on.pushed(pull, {SQL: f"{GOOD} union all select {number}, 'us'"})
        on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha)[WHOLE] == "success"
    (comment,) = on.comments(pull)
    assert "passed" in comment.body.splitlines()[1]


@pytest.mark.long
def test_ten_pushes_are_one_comment_and_few_writes(on: Scene) -> None:
    """Whether they pass or fail, in one recipe or in two: the same comment, and at most 4 + 2 requests that
    write for each recipe that changed. Nothing stays in progress on any of the heads."""
    pull = on.opened("ten", {SQL: GOOD})
    heads, comments, seen = [pull.head_sha], set(), 0
    on.posted(on.tested(pull, "opened"))
    for number in range(1, 11):
        changed = {SQL: BAD if number % 3 == 0 else f"{GOOD} union all select {number + 1}, 'us'"}
        if number % 2:
            changed["recipes/board/recipe.yml"] = BOARD.replace("1 as id", f"{number} as id")
        before = len(on.forge.writes)
        on.time.now += 60
        on.pushed(pull, changed)
        on.posted(on.tested(pull))
        heads.append(pull.head_sha)
        written = [w for w in on.forge.writes[before:] if "git/" not in w.operation]
        assert 0 < len(written) <= 4 + 2 * 2, [(w.verb, w.path) for w in written]
        assert len(written) <= 4 + 2 * len(on.conclusions(pull.head_sha).keys() - {WHOLE})
        comments |= {c.id for c in on.comments(pull)}
        red = number % 3 == 0
        assert on.conclusions(pull.head_sha)[WHOLE] == ("failure" if red else "success")
        seen += red
    assert (len(comments), len(set(heads)), seen) == (1, 11, 3)
    assert {c.status for h in heads for c in on.checks(h).values()} == {"completed"}


@pytest.mark.long
def test_delivered_again_nothing_changes(on: Scene) -> None:
    """The same event a second time writes nothing."""
    pull = on.opened("again", {SQL: BAD})
    run = on.tested(pull)
    on.posted(run)
    before = len(on.forge.writes)
    on.posted(run)
    assert len(on.forge.writes) == before


@pytest.mark.long
def test_an_older_run_overwrites_nothing(on: Scene) -> None:
    """Of two runs for one head the newer one counts; a run for an older head says nothing any more."""
    pull = on.opened("older", {SQL: BAD})
    first = on.tested(pull)
    second = on.tested(pull)
    on.posted(second)
    before = len(on.forge.writes)
    assert "superseded" in on.posted(first).said[0]
    on.pushed(pull, {SQL: f"{GOOD} -- newer"})
    assert "superseded" in on.posted(second).said[0]
    assert len(on.forge.writes) == before


@pytest.mark.long
def test_policy_waits_for_somebody_allowed(on: Scene) -> None:
    """A removed test waits; its author's and a stranger's approval count for nothing, the right one opens it,
    and a push closes it again."""
    pull = on.opened("policy", {YML: ORDERS.partition(", tests:")[0] + "}\n"})
    run = on.tested(pull)
    on.posted(run)
    assert on.conclusions(pull.head_sha) == {"orders": "action_required", WHOLE: "action_required"}
    (comment,) = on.comments(pull)
    assert "may be allowed by" in comment.body
    for login in ("alice", "carol"):
        on.repo.review(pull, login)
    on.posted(reviewed(on, pull, "carol"))
    assert on.conclusions(pull.head_sha)[WHOLE] == "action_required"
    on.repo.review(pull, "bob")
    on.posted(reviewed(on, pull, "bob"))
    assert on.conclusions(pull.head_sha) == {"orders": "success", WHOLE: "success"}
    assert "**allowed** by" in on.comments(pull)[0].body
    on.pushed(pull, {"README.md": "more"})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha)[WHOLE] == "action_required"


def reviewed(on: Scene, pull: Any, login: str) -> Any:
    event = on.repo.deliveries("pull_request_review")[-1].payload
    run = on.begun(pull, "pull_request_review", actor=login)
    return on.job(run, "pull_request_review", event)


@pytest.mark.long
def test_a_claimed_waiver_waives_nothing(on: Scene) -> None:
    """A waiver that the pull request brings excuses nothing before its approver approved the head."""
    waiver = (
        "version: 1\nrecipe: orders\nnode: orders\nrule: accepted_values(region, values=eu, us)\n"
        'reason: mars is new\napprover: "@bob"\nexpires: 2026-12-01\n'
    )
    pull = on.opened("waiver", {SQL: BAD, "waivers/mars.yml": waiver})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha)[WHOLE] == "failure"
    on.repo.review(pull, "bob")
    on.posted(reviewed(on, pull, "bob"))
    assert on.conclusions(pull.head_sha)[WHOLE] == "success", on.comments(pull)[0].body
    assert "mars is new" in on.comments(pull)[0].body


@pytest.fixture(scope="module")
def claimed(shop_on_forge: Scene) -> tuple[Pull, Run]:
    """A pull request that fails, and the run that says so."""
    pull = shop_on_forge.opened("claimed", {SQL: BAD})
    return pull, shop_on_forge.tested(pull)


def left(on: Scene, run: Run, files: Any) -> None:
    """Let the run have left this instead: files, bytes that should be a zip, or None for nothing at all."""
    found = on.repo.repo.artifacts
    for one in [a for a in found.values() if a.run == run.id]:
        del found[one.id]
    if files is not None:
        data = files if isinstance(files, bytes) else zipped(files)
        on.repo.artifact(run, f"gitkitchen-results-{run.attempt}", data)


def edited(file: str, **values: Any) -> Any:
    def change(files: dict[str, bytes], _pull: Any) -> dict[str, bytes]:
        return files | {file: json.dumps(json.loads(files[file]) | values).encode()}

    return change


def greened(files: dict[str, bytes], _pull: Any) -> dict[str, bytes]:
    """Every word of failure in the document becomes one of success."""
    text = files["pull.json"].decode().replace('"failed"', '"passed"')
    return files | {"pull.json": text.encode()}


def emptied(files: dict[str, bytes], _pull: Any) -> dict[str, bytes]:
    """A document that leaves out the recipe that failed."""
    said = json.loads(files["pull.json"])
    said["recipes"] = [o for o in said["recipes"] if o["recipe"] != "orders"]
    said["not_tested"] = []
    return files | {"pull.json": json.dumps(said).encode()}


FORGERIES = {
    "no-artifact": (lambda files, pull: None, "left no results"),
    "no-zip": (lambda files, pull: b"hello", "no zip archive"),
    "zip-slip": (lambda files, pull: files | {"../../x": b"x"}, "no file of ours"),
    "no-claim": (lambda files, pull: {"pull.json": files["pull.json"]}, "holds no claim"),
    "no-document": (lambda files, pull: {"claim.json": files["claim.json"]}, "ended before it was done"),
    "other-run": (edited("claim.json", run={"id": 5, "attempt": 1}), "written by run 5"),
    "other-head": (edited("claim.json", head="a" * 40), "about commit aaaa"),
    "other-number": (edited("claim.json", number=999), "#999"),
    "other-tree": (edited("claim.json", tree="b" * 40), "about tree bbbb"),
    "other-repository": (edited("claim.json", repository="evil/shop"), "of repository evil"),
    "no-conflict": (edited("claim.json", tree=None), "and they do not"),
    "two-subjects": (edited("pull.json", head="c" * 40), "different things"),
    "other-project": (edited("pull.json", project={"name": "x", "id": "f" * 16}), "its tree of another"),
    "bad-document": (edited("pull.json", recipes=[{}]), "no pull-request document|recipes"),
    "left-out": (emptied, "left no outcome of it"),
}


SHORT = ("zip-slip", "other-head")
"""A few for every change; all of them in the long tests."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SHORT else pytest.mark.long) for name in FORGERIES],
)
def test_s17_a_forged_artifact_is_refused_with_the_reason(
    on: Scene, claimed: tuple[Pull, Run], name: str
) -> None:
    """Whatever is wrong with it, the pull request is red, and check run and comment say what."""
    change, said = FORGERIES[name]
    pull, run = claimed
    run.conclusion = "success"
    left(on, run, change(dict(on.results[run.id]), pull))
    on.posted(run)
    found = on.checks(pull.head_sha)["GitKitchen / (project)"]
    assert (found.status, found.conclusion) in {("completed", "failure"), ("completed", "action_required")}
    (comment,) = on.comments(pull)
    assert re.search(said, comment.body.replace("&#8203;", "")), comment.body


@pytest.mark.long
def test_an_old_base_is_no_base(on: Scene) -> None:
    """A claim may not choose a base from before the change's own: there the policy was another."""
    old = on.repo.repo.bare.git("rev-list", "--max-parents=0", "main").strip()
    on.repo.commit("main", {"README.md": "later"})
    pull = on.opened("old-base", {SQL: BAD})
    run = on.tested(pull)
    claim = on.results[run.id]
    tree = on.repo.repo.bare.git("rev-parse", f"{pull.head_sha}^{{tree}}").strip()
    files = dict(claim)
    for name in ("claim.json", "pull.json"):
        files = edited(name, base=old, tree=tree)(files, pull)
    left(on, run, files)
    on.posted(run)
    assert on.conclusions(pull.head_sha) == {WHOLE: "failure"}
    assert "since the change left it" in on.comments(pull)[0].body


@pytest.mark.long
def test_nobody_else_can_be_us(on: Scene) -> None:
    """A comment with our marker and a check run with our name, by others, stay what they are beside ours."""
    pull = on.opened("beside", {SQL: BAD})
    run = on.tested(pull)
    on.posted(run)
    (ours,) = on.comments(pull)
    on.forget()
    on.repo.comment(pull, "mallory", ours.body.replace("❌", "✅"))
    on.posted(run)
    assert sorted(c.user.login for c in on.comments(pull)) == ["github-actions[bot]", "mallory"]
    assert on.conclusions(pull.head_sha)[WHOLE] == "failure"


@pytest.mark.parametrize(
    "lacking", ["checks", *(pytest.param(n, marks=pytest.mark.long) for n in ("pull_requests", "actions"))]
)
def test_a_missing_permission_degrades_and_says_which(
    on: Scene, claimed: tuple[Pull, Run], lacking: str
) -> None:
    """What can be posted is; the rest is a warning with the block to add, and no verdict."""
    _, run = claimed
    left(on, run, on.results[run.id])
    given = {"checks": "write", "pull_requests": "write", "actions": "read", "contents": "read"}
    given[lacking] = "none"
    token = on.forge.job_token(on.repo, **{n: v for n, v in given.items() if v != "none"})
    report = on.posted(run, token)
    assert report.code == 0
    assert any("permissions:" in w.hint and lacking.replace("_", "-") in w.hint for w in report.warnings), (
        report
    )


def test_a_conflict_is_told(on: Scene) -> None:
    """Head and base that conflict are red, and the comment names the files."""
    pull = on.opened("conflict", {"x.txt": "a\n"})
    on.repo.commit("main", {"x.txt": "b\n"})
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha) == {WHOLE: "failure"}
    assert "x.txt" in on.comments(pull)[0].body
    on.repo.commit("main", {"x.txt": None})


def test_nothing_is_posted_to_a_promotions_commit(on: Scene) -> None:
    """A check counts for a commit: who brings a candidate's commit on a branch of their own, with results
    that look as good as can be, gets none for it; nor does a pull request from GitKitchen's own branches."""
    candidate = "Candidate: dev to prod\n\nGitKitchen-Candidate: prod\n"
    on.repo.commit("evil", {SQL: GOOD + " -- x"}, message=candidate)
    on.repo.commit("gitkitchen/promote/prod", {SQL: GOOD + " -- y"})
    for branch in ("evil", "gitkitchen/promote/prod"):
        pull = on.repo.pull(branch, author="alice")
        run = on.begun(pull) if branch != "evil" else on.tested(pull, action="opened")
        run.status, run.conclusion = "completed", "success"
        report = on.posted(run)
        assert "own job gives the check" in report.said[0]
        assert on.checks(pull.head_sha) == {}
        on.repo.close(pull)


@pytest.mark.long
def test_an_event_that_asks_for_nothing_posts_nothing(on: Scene) -> None:
    """A label's run leaves a word that there is nothing, and the results of before stay."""
    pull = on.opened("label", {SQL: BAD})
    on.posted(on.tested(pull))
    before = len(on.forge.writes)
    report = on.posted(on.tested(pull, action="labeled"))
    assert (report.said, len(on.forge.writes)) == (("the event asked for nothing to be shown",), before)


def test_a_fork_is_tested_and_shown(on: Scene, tmp_path: Path) -> None:
    """A fork's pull request has no secret and no write; its results are found by its head, and posted."""
    fork = on.repo.fork("mallory")
    fork.commit("main", {SQL: f"{GOOD} union all select 9, 'us'"}, author="mallory")
    pull = on.repo.pull("mallory:main", author="mallory", title=f"{tmp_path.name} @everyone")
    on.posted(on.tested(pull))
    assert on.conclusions(pull.head_sha) == {"orders": "success", WHOLE: "success"}
    on.repo.close(pull)


@pytest.mark.long
def test_a_queue_is_judged_without_asking_again(on: Scene) -> None:
    """The queue's commit has its own check run; what waited for somebody has been waited for."""
    pull = on.opened("queued", {YML: ORDERS.partition(", tests:")[0] + "}\n"})
    branch, sha = on.repo.queue(pull)
    run = on.repo.run(TESTS, "merge_group", sha, branch=branch, conclusion=None)
    on.job(run, "merge_group", on.repo.event("merge_group", branch=branch, pull=pull))
    report = on.posted(run)
    assert not report.warnings
    assert on.conclusions(sha)[WHOLE] == "success"
    assert not on.comments(pull)
