"""Promotion by jobs on a forge: the pull request as the view, the push, the button, and people's hands."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitkitchen.ci.work import Job, carry_out, problems_of
from gitkitchen.github.api import Client
from gitkitchen.github.asking import Budget
from gitkitchen.github.events import parse_event
from gitkitchen.github.forge import Forge, Hosted
from gitkitchen.github.forge.state import Pull
from gitkitchen.process import Cancel
from gitkitchen.road import effects
from road import KITCHEN_YML, SQL, TWO
from shop import Said, Shop
from stage import Time

WORKFLOW = ".github/workflows/gitkitchen-promote.yml"
LEDGER = "gitkitchen-ledger"


class Town:
    """A forge with a project on the road, and its jobs."""

    def __init__(self, forge: Forge, repo: Hosted, folder: Path) -> None:
        self.forge, self.repo, self.folder, self.count = forge, repo, folder, 0
        self.time = Time(now=datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())
        rights = {"contents": "write", "pull_requests": "write", "actions": "write", "checks": "write"}
        self.token = forge.job_token(repo, **rights)

    def job(self, name: str, event: object, ref: str, **environ: str) -> Said:
        """A job of the trusted workflow, in a new clone, with the job's token for Git, too."""
        self.count += 1
        root = self.folder / f"job{self.count}"
        url = self.repo.git_url(self.token)
        Shop(self.folder).git("clone", "-q", "-b", ref.removeprefix("refs/heads/"), url, str(root))
        path = self.folder / "event.json"
        path.write_text(json.dumps(event))
        given = {
            **self.forge.environ(self.repo, self.token),
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_WORKSPACE": str(root),
            "GITHUB_RUN_ID": str(self.count),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_REF": ref,
            "GITHUB_SHA": self.repo.head(ref.removeprefix("refs/heads/")),
            "GITHUB_ACTOR": "olga",
            "GITHUB_WORKFLOW_REF": f"{self.repo.full_name}/{WORKFLOW}@refs/heads/main",
            **environ,
        }
        time, said = self.time, list[str]()
        job = Job(
            start=root,
            environ=given,
            cancel=Cancel(),
            clock=lambda: datetime.fromtimestamp(time.now, UTC),
            client=lambda environ: Client.of_job(
                environ, clock=time, sleep=time.sleep, budget=Budget(timeout=9)
            ),
            say=lambda problem: said.append(str(problem)),
        )
        report = carry_out(job, parse_event(json.dumps(event).encode(), name, given))
        told = [*report.said, *said, *map(str, problems_of(report.failures)), report.decision.reason]
        return Said(report.code, "\n".join(told), "")

    def promote(self, environment: str, **inputs: str) -> Said:
        ref = "refs/heads/main"
        event = self.repo.event(
            "workflow_dispatch", workflow=WORKFLOW, ref=ref, inputs={"promote": environment, **inputs}
        )
        return self.job("workflow_dispatch", event, ref)

    def back(self, environment: str, **inputs: str) -> Said:
        ref = "refs/heads/main"
        given = {"rollback": environment, "reason": "it counts wrong", **inputs}
        event = self.repo.event("workflow_dispatch", workflow=WORKFLOW, ref=ref, inputs=given)
        return self.job("workflow_dispatch", event, ref)

    def pushed(self, branch: str, before: str) -> Said:
        """The job of a push that a person made to a branch."""
        ref = f"refs/heads/{branch}"
        return self.job("push", self.repo.event("push", ref=ref, before=before), ref)

    def pulls(self) -> list[Pull]:
        return list(self.repo.repo.pulls.values())

    def tree(self, branch: str) -> str:
        return self.git("rev-parse", f"refs/heads/{branch}^{{tree}}")

    def git(self, *words: str) -> str:
        return Shop(Path(self.repo.repo.bare.path)).git(*words)

    def moves(self, environment: str) -> list[dict[str, object]]:
        """The environment's moves in the ledger."""
        if not self.git("for-each-ref", f"refs/heads/{LEDGER}"):
            return []
        listed = self.git("ls-tree", "-r", "--name-only", LEDGER).splitlines()
        paths = sorted(p for p in listed if p.startswith("promotions/") and f"/{environment}/" in p)
        return [json.loads(self.git("show", f"{LEDGER}:{p}"))["body"] for p in paths]

    def rows(self, environment: str, sql: str = "select carrier from worst") -> list[object]:
        """What a reader in a new clone sees."""
        self.count += 1
        root = self.folder / f"reader{self.count}"
        Shop(self.folder).git("clone", "-q", self.repo.git_url(self.token), str(root))
        return [tuple(row.values()) for row in Shop(root).rows(sql, "--kitchen", environment)]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """The road on a forge: nothing promoted yet."""
    text = KITCHEN_YML + f"ledger: branch\nstore: file://{tmp_path}/store\n"
    with Forge(tmp_path / "forge") as forge:
        repo = forge.repository(
            "acme/flights", {**TWO, "kitchen.yml": text, WORKFLOW: "on: workflow_dispatch\n"}
        )
        repo.workflow(WORKFLOW)
        repo.repo.actions_pulls = True
        repo.allow("olga", "write")
        repo.allow("petra", "write")
        repo.commit("develop", {"a.txt": "a"}, author="olga")
        with contextlib.suppress(KeyError):
            repo.head("staging")
        repo.commit("staging", {"old.txt": "old"}, author="olga")
        yield Town(forge, repo, tmp_path)
        assert not forge.misuse


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
    said = town.promote("staging")
    assert said.code == 0, said.out + said.err
    assert town.tree("staging") == town.tree("develop")
    assert [m["move"] for m in town.moves("staging")] == ["incident", "incident", "landing"]
    assert town.moves("staging")[1]["closed"] is True


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
