"""What gates are told of people: reviews bound to trees and policies by Git, roles, teams, who wrote it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.github.api import Client
from gitkitchen.github.asking import Budget
from gitkitchen.github.facts import reviewed
from gitkitchen.github.forge import Forge, Hosted
from gitkitchen.github.forge.bare import Person
from gitkitchen.github.forge.state import Pull
from gitkitchen.promote.gates import Facts, judge
from gitkitchen.promote.gates.facts import Unread
from gitkitchen.promote.shapes import GateResult, Intent, Standing
from gitkitchen.road.facts import Sources, gathered, sources_of
from gitkitchen.road.ground import Ground
from gitkitchen.road.looking import Stretch, look
from gitkitchen.workplace import Request
from road import FILES, KITCHEN_YML, SQL
from stage import Time

AT = datetime(2026, 11, 18, 12, tzinfo=UTC)
GATE = "gate: {approvals: {count: 1, codeowners: true, teams: ['@octo/data']}}"
OWNERS = "recipes/ @octo/data\n"
JOB = {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "boss", "GITHUB_TRIGGERING_ACTOR": "again"}


def gathered_by(ground: Ground, stretch: Stretch, sources: Sources) -> Facts:
    """All that is known of a step without a proof."""
    known = Facts("prod", stretch.tree, stretch.base, stretch.policy)
    course = ground.course("prod")
    return gathered(known, AT, ground=ground, stretch=stretch, course=course, proof=None, sources=sources)


@dataclass
class Step:
    """A change of `dev`'s in staging, its candidate for prod on the forge, and the pull request of it."""

    forge: Forge
    repo: Hosted
    folder: Path
    time: Time
    token: str
    pull: Pull | None = None
    environ: dict[str, str] = field(default_factory=lambda: dict(JOB))
    looked: Any = None

    def stretch(self) -> tuple[Ground, Stretch]:
        """As it was when the candidate was pushed last."""
        found: tuple[Ground, Stretch] = self.looked
        return found

    def propose(self) -> Pull:
        """Push the candidate that is right now, and have its pull request."""
        ground = Ground.of(Request(self.folder))
        stretch = look(ground, "prod", intent=Intent.FORWARD)
        self.looked = ground, stretch
        if stretch.proposed != stretch.candidate:
            ground.move({stretch.branch: (stretch.candidate, stretch.proposed or None)})
        if self.pull is None:
            self.pull = self.repo.pull("gitkitchen/promote/prod", author="github-actions[bot]")
        self.pull.head_sha = stretch.candidate
        return self.pull

    def facts(self, token: str = "") -> Facts:
        ground, stretch = self.stretch()
        with Client(
            self.forge.api_url,
            token or self.token,
            self.repo.full_name,
            clock=self.time,
            sleep=self.time.sleep,
            budget=Budget(timeout=5),
        ) as client:
            return gathered_by(ground, stretch, Sources(client, self.environ))

    def gates(self, token: str = "") -> dict[str, GateResult]:
        _, stretch = self.stretch()
        found = judge(stretch.environment.gate, self.facts(token), AT, Intent.FORWARD)
        return {r.gate: r for r in found}


@pytest.fixture
def step(tmp_path: Path) -> Iterator[Step]:
    clock = Time()
    with Forge(tmp_path / "forge", clock=clock) as forge:
        text = KITCHEN_YML.replace("{branch: main}", f"{{branch: main, {GATE}}}") + "ledger: branch\n"
        text += f"store: file://{tmp_path}/store\n"
        files = {**FILES, "kitchen.yml": text, "CODEOWNERS": OWNERS}
        repo = forge.repository("octo/flights", files, private=True)
        for login in ("ann", "ben", "dev", "boss"):
            repo.allow(login, "write")
        repo.team("data", "write", "ann", "dev")
        repo.commit("staging", {"recipes/delays/late.sql": SQL + "-- more\n"}, author="dev")
        token = forge.user_token("octo")
        folder = tmp_path / "clone"
        subprocess.run(["git", "clone", "-q", repo.git_url(token), str(folder)], check=True)
        yield Step(forge, repo, folder, clock, token)


def test_a_review_is_of_a_tree_and_under_a_policy(step: Step) -> None:
    """The commit's own tree and the policy of the commit below it are what was approved."""
    pull = step.propose()
    _, stretch = step.stretch()
    step.repo.review(pull, "ann")
    known = step.facts()
    assert isinstance(known.reviews, tuple)
    (review,) = known.reviews
    assert (review.tree, review.policy, review.environment) == (stretch.tree, stretch.policy, "prod")
    assert (known.pull, known.dispatchers) == (pull.number, ("boss", "again"))
    assert known.permissions == {"ann": "write"}
    assert known.teams == {"octo/data": frozenset({"ann"})}
    assert known.owners == {"recipes/delays/late.sql": ("@octo/data",)}
    assert {(c.author, c.committer) for c in known.commits if not isinstance(known.commits, Unread)} == {
        ("dev", "dev")
    }
    said = step.gates()
    assert {said[g].standing for g in ("approvals", "approvals:codeowners")} == {Standing.PASSED}


def test_who_wrote_it_does_not_approve_it(step: Step) -> None:
    """`dev` is in the team and owns the file, and wrote the commit: the approval counts for neither."""
    step.repo.review(step.propose(), "dev")
    said = step.gates()
    assert said["approvals"].standing is Standing.PENDING
    assert "dev's does not count: they wrote or committed" in said["approvals"].reason
    assert said["approvals:codeowners"].standing is Standing.PENDING


@pytest.mark.long
def test_the_same_tree_on_another_base_keeps_its_approval(step: Step) -> None:
    """Production moved by a commit that changes nothing: the candidate is another commit of the same tree."""
    pull = step.propose()
    step.repo.review(pull, "ann")
    before = pull.head_sha
    step.repo.commit("main", {}, message="An empty commit", author="ben")
    assert step.propose().head_sha != before
    assert step.gates()["approvals"].standing is Standing.PASSED


def test_another_tree_voids_the_approval(step: Step) -> None:
    """A push to staging makes another candidate: what was approved was another tree."""
    step.repo.review(step.propose(), "ann")
    step.repo.commit("staging", {"recipes/delays/late.sql": SQL + "-- still more\n"}, author="dev")
    step.propose()
    said = step.gates()["approvals"]
    assert (said.standing, "it is of another tree" in said.reason) == (Standing.PENDING, True)


@pytest.mark.long
def test_another_policy_voids_the_approval(step: Step) -> None:
    """The gate of production changed since: the tree is the same, and what it was approved under is not."""
    step.repo.review(step.propose(), "ann")
    text = (step.folder / "kitchen.yml").read_text().replace("count: 1", "count: 1, users: ['@ben']")
    step.repo.commit("main", {"kitchen.yml": text}, author="octo")
    step.propose()
    said = step.gates()["approvals"]
    assert (said.standing, "policy or gate changed since" in said.reason) == (Standing.PENDING, True)


@pytest.mark.long
def test_a_forged_base_below_a_candidate_is_no_policy(step: Step) -> None:
    """A commit of the right tree on top of something that was never production's approves nothing."""
    pull = step.propose()
    _, stretch = step.stretch()
    forged = step.repo.commit("forged", {}, author="ben")
    with step.repo.desk.lock:
        bare = step.repo.repo.bare
        odd = bare.commit_tree(
            stretch.tree, (forged,), "odd", Person("ben", "ben@example.com"), 1_767_225_600
        )
        bare.set("refs/heads/odd", odd)
    step.repo.review(pull, "ann", sha=odd)
    (review,) = step.facts().reviews  # type: ignore[misc]
    assert (review.tree, review.policy) == (stretch.tree, "")
    assert step.gates()["approvals"].standing is Standing.PENDING


@pytest.mark.long
def test_who_is_not_known_may_be_anybody(step: Step) -> None:
    """A commit of an address without an account asks for one approval more."""
    step.repo.commit("staging", {"b.sql": "select 1\n"}, author="nobody")
    with step.repo.desk.lock:
        step.repo.state.users.pop("nobody")
    step.repo.review(step.propose(), "ann")
    said = step.gates()["approvals"]
    assert (said.standing, "nobody@example.com" in said.reason) == (Standing.PENDING, True)
    assert "1 of 2" in said.reason


def test_what_a_jobs_token_may_not_see_is_unknown(step: Step) -> None:
    """A job's token reads reviews and no team: the gate is unknown, and names the right that is missing."""
    step.repo.review(step.propose(), "ann")
    token = step.forge.job_token(step.repo, pull_requests="read", contents="read")
    said = step.gates(token)["approvals"]
    assert (said.standing, "organization members: read" in said.change) == (Standing.UNKNOWN, True)


@pytest.mark.long
def test_a_denied_question_names_its_permission(step: Step) -> None:
    """Without the right to read pull requests nothing is known of reviews, and the fix is said (S24)."""
    step.propose()
    token = step.forge.job_token(step.repo, contents="read")
    said = step.gates(token)["approvals"]
    assert (said.standing, "pull-requests: read" in said.change) == (Standing.UNKNOWN, True)


@pytest.mark.long
def test_a_limit_is_no_failure(step: Step) -> None:
    """GitHub that limits our requests leaves the gate unknown, neither passed nor failed (S24)."""
    step.repo.review(step.propose(), "ann")
    step.forge.fail("limit-403", path="/reviews", times=-1)
    assert step.gates()["approvals"].standing is Standing.UNKNOWN


@pytest.mark.long
def test_bots_and_the_deleted_are_told_apart(step: Step) -> None:
    """GitHub's word for who is a bot, and for whose account is gone, reaches the gate."""
    pull = step.propose()
    step.forge.user("helper", "Bot")
    step.repo.review(pull, "helper")
    known = step.facts()
    assert isinstance(known.reviews, tuple)
    assert [(r.bot, r.deleted) for r in known.reviews] == [(True, False)]
    gone = reviewed({"id": 1, "user": None, "state": "APPROVED", "commit_id": "a", "submitted_at": None})
    assert (gone.author, gone.deleted, gone.bot) == ("ghost", True, False)


@pytest.mark.long
def test_without_a_job_nobody_knows_who_asked(step: Step) -> None:
    """Outside of a job the account that asks is not known, and so no approval is certain."""
    step.repo.review(step.propose(), "ann")
    step.environ = {}
    assert step.gates()["approvals"].standing is Standing.UNKNOWN


def test_without_a_forge_approvals_are_unknown(step: Step) -> None:
    """Where no GitHub is reached there are no reviews, and the gate says what would be needed."""
    step.propose()
    ground, stretch = step.stretch()
    known = gathered_by(ground, stretch, sources_of(ground, stretch, step.environ))
    said: Any = judge(stretch.environment.gate, known, AT, Intent.FORWARD)
    (result,) = [r for r in said if r.gate == "approvals"]
    assert result.standing is Standing.UNKNOWN
    assert "GITHUB_TOKEN" in result.change
    assert known.pull == 0
