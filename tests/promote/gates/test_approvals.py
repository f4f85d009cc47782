"""Approvals: who counts, for which tree and policy, and what is said where nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.model import Approvals
from gitkitchen.promote.gates.facts import Commit, Review, Unread
from gitkitchen.promote.shapes import Standing
from road_facts import NEWER, NOW, OTHER, TREE, approval, facts, review

PASSED, PENDING, FAILED, UNKNOWN = Standing.PASSED, Standing.PENDING, Standing.FAILED, Standing.UNKNOWN
NO = Unread("GitHub answers 403", "organization members: read")

CASES: dict[str, tuple[Any, Approvals, Standing, str]] = {
    # name: (reviews or facts, rule, verdict, what the reason says)
    "nobody": ((), Approvals(1), PENDING, "0 of 1"),
    "one of one": ((review("ann"),), Approvals(1), PASSED, "approved by ann"),
    "author approves": ((review("dev"),), Approvals(1), PENDING, "wrote or committed"),
    "author in other letters": ((review("DEV"),), Approvals(1), PENDING, "wrote or committed"),
    "committer only": ((review("mate"),), Approvals(1), PENDING, "wrote or committed"),
    "dispatcher": ((review("boss"),), Approvals(1), PENDING, "asked for this promotion"),
    "bot": ((review("robot[bot]", bot=True),), Approvals(1), PENDING, "it is a bot"),
    "bot by its name alone": ((review("robot[bot]"),), Approvals(1), PENDING, "it is a bot"),
    "one of two": ((review("ann"),), Approvals(2), PENDING, "1 of 2"),
    "two of two": ((review("ann"), review("ben", minute=1)), Approvals(2), PASSED, "ann, ben"),
    "one twice of two": ((review("ann"), review("ann", minute=1)), Approvals(2), PENDING, "1 of 2"),
    "approve then changes requested": (
        (review("ann"), review("ann", "CHANGES_REQUESTED", 1)), Approvals(1), FAILED, "requested by ann",
    ),
    "changes requested then approve": (
        (review("ann", "CHANGES_REQUESTED"), review("ann", minute=1)), Approvals(1), PASSED, "by ann",
    ),
    "approve then comment": ((review("ann"), review("ann", "COMMENTED", 1)), Approvals(1), PASSED, "by ann"),
    "another objects": (
        (review("ann"), review("ben", "CHANGES_REQUESTED", 1)), Approvals(1), FAILED, "requested by ben",
    ),
    "a bot objects": (
        (review("ann"), review("robot[bot]", "CHANGES_REQUESTED", 1, bot=True)), Approvals(1), PASSED, "ann",
    ),
    "approve then push same tree": ((review("ann", tree=TREE),), Approvals(1), PASSED, "by ann"),
    "approve then push other tree": ((review("ann", tree=OTHER),), Approvals(1), PENDING, "another tree"),
    "approve this, then another, then back": (
        (review("ann"), review("ann", minute=1, tree=OTHER)), Approvals(1), PASSED, "by ann",
    ),
    "objects to another tree": (
        (review("ann"), review("ben", "CHANGES_REQUESTED", 1, tree=OTHER)), Approvals(1), FAILED, "by ben",
    ),
    "approve then policy change": ((review("ann", policy=NEWER),), Approvals(1), PENDING, "policy or gate"),
    "a commit that Git does not have": ((review("ann", tree="", policy=""),), Approvals(1), PENDING, "other"),
    "dismissed": ((review("ann", "DISMISSED"),), Approvals(1), PENDING, "0 of 1"),
    "dismissed then approve": (
        (review("ann", "DISMISSED"), review("ann", minute=1)), Approvals(1), PASSED, "by ann",
    ),
    "objection dismissed": (
        (review("ann"), review("ben", "DISMISSED", 1)), Approvals(1), PASSED, "by ann",
    ),
    "deleted account": ((review("ghost", deleted=True),), Approvals(1), PENDING, "account is deleted"),
    "deleted account by its name": ((review("ghost"),), Approvals(1), PENDING, "account is deleted"),
    "outside team": ((review("ben"),), Approvals(1, teams=("acme/data",)), PENDING, "not one of those"),
    "inside team": ((review("ann"),), Approvals(1, teams=("Acme/Data",)), PASSED, "by ann"),
    "named user": ((review("ben"),), Approvals(1, users=("Ben",)), PASSED, "by ben"),
    "user or team": (
        (review("ann"), review("ben")), Approvals(2, users=("ben",), teams=("acme/data",)),
        PASSED, "ann, ben",
    ),
    "team that cannot be read": (
        facts(reviews=(review("ann"),), teams={"acme/data": NO}), Approvals(1, teams=("acme/data",)),
        UNKNOWN, "403",
    ),
    "team not read, but named": (
        facts(reviews=(review("ann"),), teams={"acme/data": NO}),
        Approvals(1, users=("ann",), teams=("acme/data",)), PASSED, "by ann",
    ),
    "approval on the source step carried to the next": (
        (review("ann", environment="staging"),), Approvals(1), PENDING, "0 of 1",
    ),
    "reader approves": (
        facts(reviews=(review("eve"),), permissions={"eve": "read"}), Approvals(1), PENDING, "read",
    ),
    "role unread": (facts(reviews=(review("eve"),), permissions={"eve": NO}), Approvals(1), UNKNOWN, "403"),
    "role never asked": (facts(reviews=(review("eve"),)), Approvals(1), UNKNOWN, "eve"),
    "role unread, one enough": (
        facts(reviews=(review("eve"), review("ann")), permissions={"eve": NO, "ann": "write"}),
        Approvals(1), PASSED, "ann",
    ),
    "role unread, too few anyway": (
        facts(reviews=(review("eve"),), permissions={"eve": NO}), Approvals(2), PENDING, "0 of 2",
    ),
    "reader objects": (
        facts(reviews=(review("ann"), review("eve", "CHANGES_REQUESTED", 1)),
              permissions={"ann": "admin", "eve": "read"}),
        Approvals(1), PASSED, "ann",
    ),
    "objects, role unread": (
        facts(reviews=(review("ann"), review("eve", "CHANGES_REQUESTED", 1)),
              permissions={"ann": "admin", "eve": NO}),
        Approvals(1), UNKNOWN, "403",
    ),
    "reviews unread": (facts(reviews=NO), Approvals(1), UNKNOWN, "403"),
    "commits unread": (facts(reviews=(review("ann"),), commits=NO), Approvals(1), UNKNOWN, "403"),
    "dispatcher unread": (facts(reviews=(review("ann"),), dispatchers=NO), Approvals(1), UNKNOWN, "403"),
    "commits unread and nobody": (facts(commits=NO), Approvals(1), PENDING, "0 of 1"),
    "an address without an account": (
        facts(reviews=(review("ann"),), commits=(Commit("d", "", "", ("x@y.example",)),)),
        Approvals(1), PENDING, "x@y.example",
    ),
    "an address without an account, one more": (
        facts(reviews=(review("ann"), review("ben")),
              commits=(Commit("d", "", "", ("x@y.example", "X@y.example")),)),
        Approvals(1), PASSED, "2 of 2",
    ),
    "co-author": (
        facts(reviews=(review("ann"),), commits=(Commit("d", "dev", "dev", (), ("ann",)),)),
        Approvals(1), PENDING, "wrote",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_approval(name: str) -> None:
    """Each case of an approval has the verdict that is written beside it, and says why."""
    said, rule, standing, words = CASES[name]
    result = approval(said if not isinstance(said, tuple) else facts(reviews=said), rule)
    assert (result.standing, words in result.reason) == (standing, True), result
    assert (result.change == "") == (standing is PASSED)


def test_owners_of_what_changed_approve_beside_the_number() -> None:
    """With `codeowners` each changed file that has owners needs one of them; others need none."""
    rule = Approvals(1, codeowners=True)

    def owners(**given: Any) -> Standing:
        return approval(facts(**given), rule, "approvals:codeowners").standing

    mine = {"a.sql": ("@ann",), "b.sql": ("@acme/data", "@cat"), "c.sql": ()}
    assert owners(reviews=(review("ben"),), owners=mine) is PENDING
    assert owners(reviews=(review("ann"),), owners=mine) is PASSED
    assert owners(reviews=(review("cat"),), owners=mine) is PENDING
    assert owners(reviews=(review("dev"),), owners={"a.sql": ("@dev",)}) is PENDING, "an owner who wrote it"
    assert owners(reviews=(review("ben"),), owners={"c.sql": ()}) is PASSED
    assert owners(reviews=(review("ben"),), owners={"a": ("@acme/data",)}, teams={"acme/data": NO}) is UNKNOWN
    assert owners(reviews=(review("ben"),), owners=NO) is UNKNOWN
    nameless = (Commit("d", "", "", ("x@y.example",)),)
    assert owners(reviews=(review("ann"),), owners={"a": ("@ann",)}, commits=nameless) is PENDING


PEOPLE = st.sampled_from(["ann", "ben", "cat", "dev", "mate", "boss", "eve", "robot[bot]", "ghost"])
REVIEWS = st.lists(
    st.builds(
        review,
        PEOPLE,
        st.sampled_from(["APPROVED", "CHANGES_REQUESTED", "DISMISSED", "COMMENTED"]),
        st.integers(0, 1000),
        tree=st.sampled_from([TREE, OTHER, ""]),
        policy=st.sampled_from(["1" * 64, NEWER]),
        environment=st.sampled_from(["prod", "prod", "staging"]),
    ),
    max_size=8,
    unique_by=lambda r: r.at,
)
RULES = st.builds(
    Approvals, st.integers(1, 3), st.sampled_from([(), ("ann", "ben")]), st.sampled_from([(), ("acme/data",)])
)


@given(REVIEWS, RULES, st.randoms())
def test_the_order_in_which_reviews_are_listed_is_no_matter(
    reviews: list[Review], rule: Approvals, dice: Any
) -> None:
    """The time of a review decides, not where a list has it."""
    mixed = list(reviews)
    dice.shuffle(mixed)
    assert approval(facts(reviews=tuple(mixed)), rule) == approval(
        facts(reviews=tuple(sorted(reviews, key=lambda r: r.at))), rule
    )


@given(
    REVIEWS,
    RULES,
    st.sampled_from(["ann", "ben", "cat", "dev", "eve", "robot[bot]"]),
    st.sampled_from([TREE, OTHER]),
)
def test_one_approval_more_never_takes_a_pass_away(
    reviews: list[Review], rule: Approvals, login: str, tree: str
) -> None:
    """More evidence never turns passed into anything else: not of another person, not of another tree."""
    before = approval(facts(reviews=tuple(reviews)), rule)
    after = approval(facts(reviews=(*reviews, review(login, minute=2000, tree=tree))), rule)
    known = facts(
        reviews=(*reviews, review(login, minute=2000, tree=tree)),
        permissions={**facts().permissions, "eve": "write"},
    )
    if before.standing is PASSED:
        assert after.standing is PASSED
        assert approval(known, rule).standing is PASSED


@given(REVIEWS, RULES)
def test_nobody_who_has_a_part_in_it_ever_makes_it_pass(reviews: list[Review], rule: Approvals) -> None:
    """Without the reviews of authors, committers, who asked, bots and the deleted a pass is the same pass."""
    barred = {"dev", "mate", "boss", "robot[bot]", "ghost"}
    if approval(facts(reviews=tuple(reviews)), rule).standing is PASSED:
        others = tuple(r for r in reviews if r.login not in barred)
        assert approval(facts(reviews=others), rule).standing is PASSED
        approving = {
            r.login for r in others if r.state == "APPROVED" and r.tree == TREE and r.environment == "prod"
        }
        assert len(approving) >= rule.count


def test_unread_is_neither_passed_nor_failed() -> None:
    """What cannot be read names the permission that would let it be read, and the command to type then."""
    result = approval(facts(reviews=NO))
    assert (result.standing, result.change) == (UNKNOWN, "whoever can give it: organization members: read")
    assert result.command == "gitkitchen promote prod --dry-run"
    assert NOW.tzinfo is not None
