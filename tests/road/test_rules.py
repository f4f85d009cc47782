"""Rules of a branch from whatever the forge answers: joined, and never more than was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.github.settings import Ruleset, Settings
from gitkitchen.github.trouble import Trouble
from gitkitchen.promote.health import Required, Rules, Unread
from gitkitchen.road.rules import ADMIN, rules_of

DENIED = Trouble("denied", "read", "no", status=403, permissions={"administration": "read"})


@dataclass
class Answers:
    """What the questions of ``Settings`` are answered; a Trouble is raised."""

    given: Any = ()
    classic: Any = None
    protected: Any = False
    sets: Mapping[int, Any] = field(default_factory=dict)

    def rules(self, _branch: str) -> Any:
        return _told(self.given)

    def protection(self, _branch: str) -> Any:
        return _told(self.classic)

    def branch(self, _branch: str) -> Any:
        return _told(self.protected)

    def ruleset(self, number: int) -> Any:
        return _told(self.sets.get(number, Ruleset((), "never")))

    def read(self) -> Rules | Unread:
        return rules_of(cast("Settings", self), "main", {})


def _told(answer: Any) -> Any:
    if isinstance(answer, Trouble):
        raise answer
    return answer


def rule(kind: str, number: int = 1, **about: Any) -> dict[str, Any]:
    return {"type": kind, "ruleset_id": number, "parameters": about}


def known(found: Rules | Unread) -> Rules:
    assert isinstance(found, Rules)
    return found


def test_rulesets_and_a_classic_protection_are_one() -> None:
    """What either holds is held."""
    rulesets = (rule("deletion"), rule("required_status_checks", required_status_checks=[{"context": "a"}]))
    classic = {"required_status_checks": {"strict": True, "checks": [{"context": "b", "app_id": 7}]}}
    found = known(Answers(rulesets, {**classic, "enforce_admins": {"enabled": True}}).read())
    assert (found.no_deletion, found.no_force, found.strict) == (True, True, True)
    assert found.checks == (Required("a"), Required("b", app=True))
    assert found.passing == ()


@pytest.mark.parametrize(
    ("methods", "left"),
    [([], ()), ([["merge", "squash"], ["squash"]], ("squash",)), ([["merge"], ["rebase"]], ("none",))],
    ids=["none", "narrowed", "nothing-left"],
)
def test_ways_of_merging_are_those_that_every_ruleset_allows(
    methods: list[list[str]], left: tuple[str, ...]
) -> None:
    """Two rulesets allow what both do; where that is nothing, nothing is allowed."""
    made = tuple(rule("pull_request", allowed_merge_methods=one) for one in methods)
    assert known(Answers(made).read()).methods == left


def test_who_passes_a_rule_by_is_told_with_words() -> None:
    """Roles by GitHub's names, Apps by themselves; who may not see the list is told so."""
    actors = (("RepositoryRole", 5), ("Team", 4), ("Integration", 9), ("DeployKey", 0))
    found = known(Answers((rule("deletion"),), sets={1: Ruleset(actors, "always")}).read())
    assert found.passing == ("administrators", "the team 4", "deploy keys")
    assert (found.apps, found.we_pass) == (("App 9",), True)
    hidden = known(Answers((rule("deletion"),), sets={1: Ruleset(None, "never")}).read())
    assert isinstance(hidden.passing, Unread)
    assert hidden.we_pass is False


def test_to_pass_one_of_two_rulesets_is_to_pass_none() -> None:
    """And where one is not told, it is not known."""
    both = (rule("deletion", 1), rule("update", 2))
    always, never = Ruleset((), "always"), Ruleset((), "never")
    assert known(Answers(both, sets={1: always, 2: never}).read()).we_pass is False
    assert known(Answers(both, sets={1: always, 2: always}).read()).we_pass is True
    assert isinstance(known(Answers(both, sets={1: always, 2: DENIED}).read()).we_pass, Unread)


@pytest.mark.parametrize(("protected", "hidden"), [(True, True), (False, False), (None, False)])
def test_a_classic_protection_that_is_hidden_is_known_of(protected: bool | None, hidden: bool) -> None:
    """By the branch itself, which tells that there is one."""
    found = known(Answers((), DENIED, protected).read())
    assert found.rest == (Unread("not read: no", ADMIN) if hidden else None)


def test_a_plan_without_rules_is_trouble() -> None:
    """It is the same for all branches, and told once."""
    plan = Trouble("denied", "read", "Upgrade to GitHub Pro or make this repository public", status=403)
    with pytest.raises(Trouble, match="Upgrade"):
        Answers(plan).read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KINDS = st.sampled_from(["pull_request", "required_status_checks", "update", "deletion", "new", None])
RULE = st.fixed_dictionaries(
    {"type": KINDS, "ruleset_id": JSON, "parameters": JSON | st.fixed_dictionaries(
        {"required_status_checks": JSON, "allowed_merge_methods": JSON}
    )}
)  # fmt: skip
PARTS = (
    "required_pull_request_reviews",
    "required_status_checks",
    "allow_force_pushes",
    "enforce_admins",
    "restrictions",
    "lock_branch",
)
CLASSIC = st.none() | st.fixed_dictionaries(dict.fromkeys(PARTS, JSON))


@given(st.lists(RULE, max_size=3), CLASSIC)
def test_answers_that_are_none_of_githubs_are_unknown(given: list[Any], classic: Any) -> None:
    """Whatever comes is read or unread: none ends the command, and no rule that nobody named is held."""
    found = Answers(tuple(given), classic).read()
    if isinstance(found, Unread):
        return
    kinds = {one["type"] for one in given}
    if classic is None:
        assert (found.no_deletion, found.updates) == ("deletion" in kinds, "update" in kinds)
        assert (found.linear, found.queue, found.signatures, found.no_force) == (False,) * 4
