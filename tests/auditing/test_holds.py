"""Holds and incidents: recorded once, in force until they are released or closed."""

from __future__ import annotations

import pytest
from tests.auditing.made_road import MORNING, Road

from gitkitchen.road.incidents import close_incident, course_of, hold, lease_of, open_incident, release


def test_a_hold_is_recorded_and_released(road: Road) -> None:
    """`hold` says its id; `--release` ends it, and a second time finds none."""
    said = road.shop.cli("hold", "prod", "--reason", "audit week")
    assert said.code == 0, said.err
    (one,) = course_of(road.ledger, "prod").holds
    assert one.id in said.out
    assert (one.by, one.reason) == ("Test", "audit week")
    assert road.shop.cli("hold", "prod", "--release", one.id).code == 0
    assert not course_of(road.ledger, "prod").holds
    again = road.shop.cli("hold", "prod", "--release")
    assert again.code == 0
    assert "no hold of prod was in force" in again.out


def test_the_same_hold_twice_is_one(near: Road) -> None:
    """One logical write, one object: the same command again writes nothing."""
    assert near.shop.cli("hold", "prod", "--reason", "x").code == 0
    said = near.shop.cli("hold", "prod", "--reason", "x")
    assert "held already" in said.out
    assert near.shop.cli("hold", "prod", "--reason", "y").code == 0
    assert [h.reason for h in course_of(near.ledger, "prod").holds] == ["x", "y"]
    assert near.shop.cli("hold", "prod", "--release").code == 0
    assert near.shop.cli("hold", "prod", "--reason", "x").code == 0
    assert course_of(near.ledger, "prod").moves == 5


@pytest.mark.parametrize("words", [("prod",), ("prod", "--reason", "  "), ("nowhere", "--reason", "x")])
def test_a_hold_without_reason_or_place_is_refused(near: Road, words: tuple[str, ...]) -> None:
    """Whoever meets a hold asks why; an environment must exist."""
    said = near.shop.cli("hold", *words)
    assert said.code == 2
    assert "reason" in said.err or "environment" in said.err


def test_a_hold_that_never_was_is_not_released(near: Road) -> None:
    """A mistyped id is refused with those that are in force."""
    near.shop.cli("hold", "prod", "--reason", "x")
    said = near.shop.cli("hold", "prod", "--release", "h-nonsense")
    assert said.code == 2
    assert course_of(near.ledger, "prod").holds[0].id in said.err


def test_a_hold_waits_for_nobody_who_is_landing(near: Road) -> None:
    """While somebody moves the environment, a hold is refused and names who it is: nothing slips past it."""
    with near.ledger.lease(lease_of("prod"), "promote-by-anna"):
        said = near.shop.cli("hold", "prod", "--reason", "x")
    assert said.code == 3
    assert "promote-by-anna" in said.err
    assert not course_of(near.ledger, "prod").holds


def test_a_hold_takes_the_candidate_away(road: Road) -> None:
    """The branch of the candidate goes, so that no button that is pressed late can land it."""
    road.shop.git("branch", "gitkitchen/promote/prod", "work")
    if road.remote is not None:
        road.shop.git("push", "-q", "origin", "gitkitchen/promote/prod")
    assert road.shop.cli("hold", "prod", "--reason", "x").code == 0
    words = ("ls-remote", "origin") if road.remote is not None else ("for-each-ref",)
    assert "gitkitchen/promote/prod" not in road.shop.git(*words, "refs/heads/gitkitchen/promote/*")


def test_an_incident_is_recorded_once_while_it_is_open(near: Road) -> None:
    """However often it is found, it is one; after it is over, it may happen again."""
    one, new = open_incident(near.ledger, "prod", "torn", "half", MORNING, commit="a" * 40)
    assert new
    again, new = open_incident(near.ledger, "prod", "torn", "half still", MORNING, commit="a" * 40)
    assert (again.id, new) == (one.id, False)
    other, new = open_incident(near.ledger, "prod", "torn", "another", MORNING, commit="b" * 40)
    assert new
    assert other.id != one.id
    assert close_incident(near.ledger, one, "mended", MORNING)
    assert not close_incident(near.ledger, one, "mended", MORNING)
    back, new = open_incident(near.ledger, "prod", "torn", "half", MORNING, commit="a" * 40)
    assert new
    assert back.id != one.id
    assert [i.id for i in course_of(near.ledger, "prod").incidents] == [other.id, back.id]


def test_a_rollbacks_hold_names_its_incident(near: Road) -> None:
    """What holds an environment after a rollback says for which incident it does."""
    incident, _ = open_incident(near.ledger, "prod", "rollback", "bad numbers", MORNING)
    made, new = hold(near.ledger, "prod", "anna", "rolled back", MORNING, incident=incident.id)
    assert new
    assert made.incident == incident.id
    assert course_of(near.ledger, "prod").healthy is False  # nothing has landed
    assert release(near.ledger, "prod", "anna", "fixed", MORNING) == (made,)
