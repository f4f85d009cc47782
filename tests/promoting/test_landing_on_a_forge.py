"""Promotion by jobs on a forge: the pull request as the view, the push, the button, and people's hands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitkitchen.github.api import Client
from gitkitchen.road import effects
from road import KITCHEN_YML, SQL
from town import LEDGER, Town, towned


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """The road on a forge: nothing promoted yet."""
    with towned(tmp_path) as found:
        yield found


@pytest.mark.long
def test_a_job_pushes_and_its_pull_request_shows_as_merged(town: Town) -> None:
    """Where the branch may be pushed: one pull request, merged by the push; the next step is started."""
    said = town.promote("staging", reason="first")
    assert said.code == 0, said.out + said.err
    assert town.tree("staging") == town.tree("develop")
    (pull,) = town.pulls()
    assert (pull.title, pull.base_ref, pull.state) == ("Promote dev to staging", "staging", "closed")
    assert pull.merged_at is not None
    (move,) = town.moves("staging")
    assert (move["method"], move["reason"]) == ("push", "first")
    assert move["actors"] == [{"name": "olga", "role": "dispatched", "about": ""}]
    (comment,) = [c for c in town.repo.repo.comments.values() if c.number == pull.number]
    assert str(move["commit"]) in comment.body
    (started,) = town.repo.deliveries("workflow_dispatch")
    assert started.payload["inputs"]["promote"] == "prod"
    assert town.rows("staging") == [("AA",)]


def test_a_protected_branch_is_merged_by_the_button(town: Town) -> None:
    """Where rules ask for a pull request: it is merged for the proved head alone, read back and recorded."""
    town.repo.protect("staging")
    said = town.promote("staging")
    assert said.code == 0, said.out + said.err
    assert town.tree("staging") == town.tree("develop")
    (pull,) = town.pulls()
    (move,) = town.moves("staging")
    assert pull.merge_sha == move["commit"] == town.repo.head("staging")
    assert move["method"] == "button"
    assert "GitKitchen-Landing: 1" in town.git("log", "-1", "--format=%B", "staging")
    assert town.rows("staging") == [("AA",)]


@pytest.mark.long
def test_a_rule_that_asks_for_people_waits_for_them(town: Town) -> None:
    """A button that is refused changes nothing; when people have approved, the same dispatch lands it."""
    town.repo.protect("staging", approvals=1)
    before = town.repo.head("staging")
    said = town.promote("staging")
    assert said.code == 1, said.out + said.err
    assert town.repo.head("staging") == before
    assert town.moves("staging") == []
    (pull,) = town.pulls()
    town.repo.review(pull, "petra")
    assert town.promote("staging").code == 0
    assert len(town.pulls()) == 1
    assert town.tree("staging") == town.tree("develop")


@pytest.mark.long
def test_s1_a_base_that_moves_under_the_button_publishes_nothing(town: Town) -> None:
    """S1: a merge that makes another tree than the tested one is an incident, and no data is released."""
    town.repo.protect("staging")
    done = []

    def move(name: str, when: str) -> None:
        if (name, when) == ("merge-button", "before") and not done:
            done.append(town.repo.commit("staging", {"sneaked.txt": "in"}, author="petra"))

    effects.watchers.append(move)
    try:
        said = town.promote("staging")
    finally:
        effects.watchers.remove(move)
    assert said.code == 1, said.out + said.err
    (incident,) = town.moves("staging")
    assert (incident["move"], incident["kind"]) == ("incident", "wrong-tree")
    assert incident["commit"] == town.repo.head("staging")
    assert not [
        p for p in town.git("ls-tree", "-r", "--name-only", LEDGER).splitlines() if "publications" in p
    ]
    broken = town.repo.head("staging")
    said = town.promote("staging")  # asking again is no cure
    assert said.code == 1, said.out + said.err
    assert f"--over {incident['id']}" in said.out
    assert town.repo.head("staging") == broken
    said = town.promote("staging", over=str(incident["id"]), reason="it only added a file")
    assert said.code == 0, said.out + said.err
    assert town.tree("staging") == town.tree("develop")
    assert [m["move"] for m in town.moves("staging")] == ["incident", "incident", "landing"]
    assert town.moves("staging")[1]["closed"] is True


@pytest.mark.long
def test_s1_a_merge_that_writes_another_tree_publishes_nothing(town: Town) -> None:
    """S1: the forge says that it merged, on the tested base and from the tested head, and what it wrote is
    another tree: the environment is broken, and no data is released."""
    town.repo.protect("staging")
    before = town.repo.head("staging")

    def miswrite(name: str, when: str) -> None:
        if (name, when) == ("merge-button", "after"):
            tip = town.git("rev-parse", "staging")
            parents = [
                word for oid in town.git("log", "-1", "--format=%P", tip).split() for word in ("-p", oid)
            ]
            wrong = town.git("commit-tree", f"{before}^{{tree}}", *parents, "-m", "Merged")
            town.git("update-ref", "refs/heads/staging", wrong)

    effects.watchers.append(miswrite)
    try:
        said = town.promote("staging")
    finally:
        effects.watchers.remove(miswrite)
    assert said.code == 1, said.out + said.err
    assert "nobody tested it" in said.out
    assert town.git("rev-parse", "staging^1") == before
    (incident,) = town.moves("staging")
    assert (incident["kind"], incident["commit"]) == ("wrong-tree", town.repo.head("staging"))
    assert "publications/" not in town.git("ls-tree", "-r", "--name-only", LEDGER)
    said = town.promote("prod")
    assert said.code == 0, said.out + said.err
    (move,) = town.moves("prod")
    assert move["source"] == before  # what is broken goes nowhere
    assert town.promote("prod", **{"from": incident["commit"]}).code == 2


@pytest.mark.long
@pytest.mark.parametrize("method", ["merge", "squash"])
def test_a_merge_by_hand_of_a_proved_tree_publishes(town: Town, method: str) -> None:
    """Somebody merges the pull request: the job of the push finds the proved tree, by whichever method."""
    town.repo.repo.merge_methods = ("merge", "squash")
    town.repo.protect("staging", approvals=1)
    assert town.promote("staging").code == 1
    (pull,) = town.pulls()
    town.repo.review(pull, "petra")
    before = town.repo.head("staging")
    url, token = town.forge.api_url, town.forge.user_token("petra")
    with Client(url, token, town.repo.full_name, clock=town.time, sleep=town.time.sleep) as client:
        path = f"/repos/{town.repo.full_name}/pulls/{pull.number}/merge"
        client._asking.ask("PUT", path, "merge", {}, body={"merge_method": method})
    said = town.pushed("staging", before)
    assert said.code == 0, said.out + said.err
    (move,) = town.moves("staging")
    assert move["method"] == ("button" if method == "merge" else "hand")
    assert move["tree"] == town.tree("develop")
    assert town.rows("staging") == [("AA",)]


@pytest.mark.long
def test_a_push_by_hand_is_run_as_a_candidate_first(town: Town) -> None:
    """A tree that nobody proved is proved when it comes; one that fails is an incident, and not published."""
    assert town.promote("staging").code == 0
    before = town.repo.head("staging")
    town.repo.commit(
        "staging", {"recipes/delays/late.sql": SQL.replace("count(*)", "5 - count(*)")}, author="petra"
    )
    said = town.pushed("staging", before)
    assert said.code == 0, said.out + said.err
    assert town.moves("staging")[-1]["method"] == "hand"
    assert town.rows("staging") == [("UA",)]
    before = town.repo.head("staging")
    town.repo.commit("staging", {"recipes/delays/late.sql": SQL + "limit 0\n"}, author="petra")
    said = town.pushed("staging", before)
    assert said.code == 1, said.out + said.err
    assert town.moves("staging")[-1]["kind"] == "drift-branch"
    assert town.rows("staging") == [("UA",)]


@pytest.mark.long
def test_a_change_of_workflows_says_what_right_it_needs(town: Town) -> None:
    """A promotion that carries workflow files is refused by the forge, and says which right is missing."""
    town.repo.commit("develop", {".github/workflows/other.yml": "on: push\n"}, author="olga")
    before = town.repo.head("staging")
    said = town.promote("staging")
    assert said.code != 0
    assert "workflows" in said.out + said.err
    assert town.repo.head("staging") == before
    assert town.moves("staging") == []


@pytest.mark.long
def test_a_dispatch_for_nothing_is_refused(town: Town) -> None:
    """A name that takes no promotion ends with a mistake and what there is."""
    said = town.promote("dev")
    assert said.code == 2
    assert "staging, prod" in said.out + said.err


@pytest.mark.long
def test_an_approval_of_somebody_else_lets_it_land(town: Town) -> None:
    """The gate waits, its reason in the pull request; who asked and wrote it cannot open it, another can."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{town.folder}/store\n"
    text = text.replace("{branch: staging}", "{branch: staging, gate: {approvals: 1}}")
    for branch in ("staging", "develop"):
        town.repo.commit(branch, {"kitchen.yml": text}, author="olga")
    before = town.repo.head("staging")
    assert town.promote("staging").code == 1
    (pull,) = town.pulls()
    assert "0 of 1 approvals" in (pull.body or "")
    town.repo.review(pull, "olga")
    assert town.promote("staging").code == 1
    assert "olga's does not count" in (pull.body or "")
    assert town.repo.head("staging") == before
    town.repo.review(pull, "petra")
    said = town.promote("staging")
    assert said.code == 0, said.out + said.err
    assert town.tree("staging") == town.tree("develop")
    (move,) = town.moves("staging")
    gates = {g["gate"]: g["standing"] for g in move["gates"]}  # type: ignore[attr-defined]
    assert gates["approvals"] == "passed"


BAD = {"recipes/delays/late.sql": SQL.replace("count(*)", "5 - count(*)")}


@pytest.mark.long
def test_a_job_rolls_back(town: Town) -> None:
    """A dispatch brings tree and data back; the next promotion meets the hold, and no step is started."""
    assert town.promote("staging").code == 0
    good = town.tree("staging")
    town.repo.commit("develop", BAD, author="olga")
    assert town.promote("staging").code == 0
    assert town.rows("staging") == [("UA",)]
    started = len(town.repo.deliveries("workflow_dispatch"))
    said = town.back("staging")
    assert said.code == 0, said.out
    assert town.tree("staging") == good
    assert town.rows("staging") == [("AA",)]
    assert [m["move"] for m in town.moves("staging")[-3:]] == ["incident", "hold", "landing"]
    assert len(town.repo.deliveries("workflow_dispatch")) == started
    assert "on hold" in town.promote("staging").out
    assert town.tree("staging") == good
    assert town.back("nowhere").code == 2
    assert town.back("staging", data="all").code == 2


@pytest.mark.long
def test_a_rollback_lands_by_the_button_too(town: Town) -> None:
    """On a protected branch: its own pull request, merged for its head alone, with the data of then."""
    town.repo.protect("staging")
    assert town.promote("staging").code == 0
    good = town.tree("staging")
    town.repo.commit("develop", BAD, author="olga")
    assert town.promote("staging").code == 0
    said = town.back("staging")
    assert said.code == 0, said.out
    assert town.tree("staging") == good
    assert town.rows("staging") == [("AA",)]
    pull = town.pulls()[-1]
    assert (pull.title.startswith("Roll staging back"), pull.merge_sha) == (True, town.repo.head("staging"))
    assert (town.moves("staging")[-1]["method"], town.moves("staging")[-1]["data"]) == ("button", "restore")


@pytest.mark.long
def test_a_rollback_that_people_must_press_is_what_it_is_when_they_do(town: Town) -> None:
    """The rule asks for a person: the hold stands; the merge by hand is recorded as the rollback it is."""
    assert town.promote("staging").code == 0
    good = town.tree("staging")
    town.repo.commit("develop", BAD, author="olga")
    assert town.promote("staging").code == 0
    town.repo.protect("staging", approvals=1)
    said = town.back("staging")
    assert said.code == 3, said.out
    assert "on hold" in said.out
    pull = town.pulls()[-1]
    town.repo.review(pull, "petra")
    before = town.repo.head("staging")
    url, token = town.forge.api_url, town.forge.user_token("petra")
    with Client(url, token, town.repo.full_name, clock=town.time, sleep=town.time.sleep) as client:
        path = f"/repos/{town.repo.full_name}/pulls/{pull.number}/merge"
        client._asking.ask("PUT", path, "merge", {}, body={"merge_method": "merge"})
    said = town.pushed("staging", before)
    assert said.code == 0, said.out
    move = town.moves("staging")[-1]
    assert (move["intent"], move["data"], town.tree("staging")) == ("rollback", "restore", good)
    assert town.rows("staging") == [("AA",)]
    assert town.back("staging").code == 0
    assert town.moves("staging")[-1] == move


@pytest.mark.long
def test_a_hotfix_opens_its_back_port(town: Town) -> None:
    """It lands from its branch, and a pull request into where people work has its change alone."""
    assert town.promote("staging").code == 0
    town.git("branch", "fix", "staging")
    town.repo.commit("fix", {"fix.txt": "mended"}, author="petra")
    said = town.promote("staging", hotfix="true", **{"from": "fix"}, reason="wrong sign")
    assert said.code == 0, said.out
    assert town.git("show", "staging:fix.txt") == "mended"
    pull = town.pulls()[-1]
    assert (pull.base_ref, pull.state) == ("develop", "open")
    assert f"pull request #{pull.number}" in said.out
    assert town.git("diff", "--name-only", f"develop..{pull.head_ref}") == "fix.txt"
    town.repo.commit("develop", {"later.txt": "1"}, author="olga")
    assert "lacks what was mended" in town.promote("staging").out
    count = len(town.pulls())
    assert town.promote("staging", hotfix="true", **{"from": "fix"}).code == 0
    assert len(town.pulls()) == count


PROJECT = "GitKitchen / (project)"


@pytest.mark.long
def test_the_required_check_is_given_by_the_promotion_alone(town: Town) -> None:
    """Under a required check the button works: the job gives it to the candidate, red while a gate waits,
    green under the lease, and only then is it merged. It names the gates, the tree and the runs."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{town.folder}/store\n"
    text = text.replace("{branch: staging}", "{branch: staging, gate: {approvals: 1}}")
    for branch in ("staging", "develop"):
        town.repo.commit(branch, {"kitchen.yml": text}, author="olga")
    town.repo.protect("staging", checks=(PROJECT,))
    seen = []

    def look(name: str, when: str) -> None:
        if (name, when) in (("judge-again", "before"), ("merge-button", "before")):
            seen.extend((name, c.status, c.conclusion) for c in town.checks(PROJECT))

    effects.watchers.append(look)
    try:
        assert town.promote("staging").code == 1
        (pull,) = town.pulls()
        (check,) = town.checks(PROJECT)
        assert (check.sha, check.conclusion) == (pull.head_sha, "action_required")
        assert "0 of 1 approvals" in str(check.summary)
        town.repo.review(pull, "petra")
        said = town.promote("staging")
    finally:
        effects.watchers.remove(look)
    assert said.code == 0, said.out + said.err
    assert seen == [("judge-again", "in_progress", None), ("merge-button", "completed", "success")]
    (check,) = town.checks(PROJECT)
    assert town.tree("staging")[:12] in str(check.summary)
    assert "| `report` |" in str(check.text)
    (move,) = town.moves("staging")
    assert move["method"] == "button"


@pytest.mark.long
def test_what_moved_leaves_no_green_check(town: Town) -> None:
    """A promotion that loses every attempt takes its check back: what was judged is not what would land."""
    town.repo.protect("staging", checks=(PROJECT,))

    def move(name: str, when: str) -> None:
        if (name, when) == ("judge-again", "before"):
            town.repo.commit("staging", {"late.txt": str(town.repo.head("staging"))}, author="petra")

    effects.watchers.append(move)
    try:
        assert town.promote("staging").code == 3
    finally:
        effects.watchers.remove(move)
    assert {c.conclusion for c in town.checks(PROJECT)} == {"action_required"}


def test_the_pull_request_of_a_promotion_is_a_view(town: Town) -> None:
    """Its own job runs nothing of it, gives no check, and says how the gates stand; red or green it is not.
    A dispatch with `dry_run` says the same, and moves nothing."""
    before = town.repo.head("staging")
    said = town.promote("staging", dry_run="true")
    assert (said.code, town.pulls()) == (0, [])
    assert "its own run is still to come" in said.out
    pull = town.repo.pull("develop", base="staging", author="olga")
    ref = f"refs/pull/{pull.number}/merge"
    shown = town.job("pull_request", town.repo.event("pull_request", "opened", pull=pull), "refs/heads/main",
                     GITHUB_REF=ref)  # fmt: skip
    assert shown.code == 0, shown.out
    assert "promotion to 'staging'" in shown.out
    assert "required" in shown.out
    assert "its own run is still to come" in shown.out
    assert town.checks(PROJECT) == []
    assert town.repo.head("staging") == before
