"""Storms: what fails for one reason is told in one message; how many messages a run makes has an end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.alerts.grouping import ENDED, Begun, Going, owed, unsettled
from gitkitchen.alerts.incidents import Book, base, delivered, fold, observe
from gitkitchen.alerts.message import words_of
from gitkitchen.alerts.observing import Scene, of_node, of_outcome
from gitkitchen.alerts.rules import channels, matching
from gitkitchen.alerts.shapes import Delivery, Happening, What
from gitkitchen.model import (
    AlertRule,
    Alerts,
    Channel,
    Failure,
    Kitchen,
    NodeResult,
    Outcome,
    Publication,
    Severity,
    State,
    Subject,
    TestResult,
    TestState,
    Verdict,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def plan(*, kind: Any = "slack", flapping: float = 0.0, severity: str = "warn", **rule: Any) -> Alerts:
    config = {"updates": True} if kind == "webhook" else {}
    rules = (AlertRule(("c",), severity=severity, **rule),)
    return Alerts({"c": Channel("c", kind, config)}, rules, flapping)


def failed(node: str, test: str = "", *, run: int = 0, severity: str = "stop", **more: Any) -> Happening:
    event = What.NODE_FAILED if not test else What.TEST_FAILED if severity == "stop" else What.TEST_WARNED
    made = Happening(event, Severity(severity), "prod", "r", node, test and f"{node}/{test}", at=at(run))
    return replace(made, run=f"run-{run}", said="it failed", **more)


def well(seen: Happening, run: int) -> Happening:
    return replace(seen, event=What.RECOVERED, at=at(run), run=f"run-{run}")


def at(run: int) -> datetime:
    return START + run * HOUR


def noted(book: Book, alerts: Alerts, *seen: Happening) -> Book:
    """As ``keeping.note`` writes observations."""
    for one in seen:
        if (body := observe(book, one, alerts.flapping)) is not None:
            if body["kind"] != "closed":
                body["due"] = list(channels(matching(alerts, one, 1)))
            book = fold([(book.head + 1, body)], book)
    return book


def told(
    book: Book, alerts: Alerts, going: Going = ENDED, now: datetime = START
) -> tuple[Book, list[Delivery]]:
    """Everything that is owed is sent and recorded."""
    found = list(owed(book, alerts, now, going=going))
    for one in found:
        book = fold([(book.head + 1, delivered(one))], book)
    return book, found


def shown(found: Sequence[Delivery]) -> list[str]:
    return [f"{d.message} {len(d.incidents)}{' more' if d.digest else ''}" for d in found]


# --- what is told together ---


def test_all_tests_of_a_node_are_one_message() -> None:
    """Fifty failing tests of a node are fifty incidents and one message, which lists ten and counts the rest;
    that one is well is told only with the last."""
    alerts = plan()
    storm = [failed("n", f"t{k:02}") for k in range(50)]
    book, found = told(noted(Book(), alerts, *storm), alerts)
    assert (len(book.open), shown(found)) == (50, ["opened 50"])
    words = words_of(found[0], project="shop")
    assert words.title == "[shop prod] r: n: 50 tests failed"
    assert (words.total, len(words.things)) == (50, 50)
    assert list((words.fields or {})["things"][-2:]) == ["r: n/t09 failed: it failed", "and 40 more"]
    book = noted(book, alerts, *(well(one, 1) for one in storm[1:]))
    assert owed(book, alerts, START) == ()
    book, found = told(noted(book, alerts, well(storm[0], 2)), alerts)
    assert shown(found) == ["closed 50"]
    assert words_of(found[0], project="shop").title == "[shop prod] r: n: 50 tests recovered"
    assert told(book, alerts)[1] == []


def test_where_it_is_told_in_place_each_step_is() -> None:
    """One issue for the group: what recovers is struck from what fails, what fails again is counted, and it
    is closed with the last."""
    alerts = plan(kind="github_issue")
    one, other = failed("n", "a"), failed("n", "b")
    book, found = told(noted(Book(), alerts, one, other), alerts)
    assert shown(found) == ["opened 2"]
    name = found[0].incident.id
    book, found = told(noted(book, alerts, well(one, 1), replace(other, at=at(1), run="run-1")), alerts)
    assert shown(found) == ["updated 2"]
    words = words_of(found[0], project="shop")
    assert (words.incident, words.title) == (name, "[shop prod] r: n: 1 of 2 tests failed")
    assert words.things == ("r: n/b failed: it failed", "r: n/a recovered")
    book, found = told(noted(book, alerts, well(other, 2)), alerts)
    assert [d.incident.id for d in found] == [name]
    assert shown(found) == ["closed 2"]


def test_each_run_is_told_by_itself() -> None:
    """What fails an hour later for the first time is news, though its node failed before."""
    alerts = plan()
    book, _ = told(noted(Book(), alerts, failed("n", "a")), alerts)
    book, found = told(noted(book, alerts, failed("n", "b", run=1)), alerts)
    assert shown(found) == ["opened 1"]


@pytest.mark.parametrize(
    ("group", "wanted"),
    [("node", ["opened 2", "opened 1"]), ("recipe", ["opened 3"]), ("none", ["opened 1"] * 3)],
    ids=["node", "recipe", "none"],
)
def test_a_rule_says_what_is_told_together(group: Any, wanted: list[str]) -> None:
    """`group:` of a rule: a node with all its tests, the recipe, or each thing by itself."""
    alerts = plan(group=group)
    book = noted(Book(), alerts, failed("n", "a"), failed("n", "b"), failed("m"))
    assert shown(told(book, alerts)[1]) == wanted


def test_a_recipe_is_told_when_its_run_has_ended() -> None:
    """With `group: recipe` the message waits for the run; of one that runs elsewhere nobody knows the end, so
    it is waited for a while."""
    alerts = plan(group="recipe")
    book = noted(Book(), alerts, failed("n"))
    for going in (Going("run-0", "r"), Going(patience=HOUR / 4), Going("x", "s", patience=HOUR / 4)):
        assert owed(book, alerts, START, going=going) == ()
    for going in (
        ENDED,
        Going(over=frozenset({"run-0"}), patience=HOUR / 4),
        Going("run-1", "r", patience=HOUR / 4),
    ):
        assert shown(owed(book, alerts, START, going=going)) == ["opened 1"]
    assert shown(owed(book, alerts, START + HOUR / 4, going=Going(patience=HOUR / 4))) == ["opened 1"]


# --- one reason ---

PATHS = {"a": (), "b": ("a",), "c": ("b",), "z": ()}


def scene(run: int = 0) -> Scene:
    kitchen = Kitchen("id", "", "main", "k_main_000000000000", "prod")
    shell = Outcome(
        f"run-{run}", "shop", "id", "r", None, kitchen, Subject("0" * 40, "1" * 40), at(run), at(run),
        Verdict.FAILED, (), Publication("withheld"),
    )  # fmt: skip
    return Scene("prod", shell, after=PATHS)


def node(name: str, *tests: tuple[str, str], state: State = State.PASSED) -> NodeResult:
    made = tuple(
        TestResult(f"{name}/{t}", name, name, "outputs", "rows", Severity(s), TestState.FAILED, "1", "2")
        for t, s in tests
    )
    failure = Failure("infrastructure", "the warehouse is away") if state is State.ERROR else None
    return NodeResult(name, "sql", state, tests=made, failure=failure)


def test_what_fails_below_a_failing_node_is_told_with_it() -> None:
    """A warning of a node above is the reason of those below it; a failure that is heavier is news of its
    own, and so is what has another reason. What is only blocked is no incident."""
    alerts, book = plan(), Book()
    results = [node("a", ("t", "warn")), node("b", ("t", "warn")), node("z", ("t", "warn"))]
    for result in results:
        book = noted(book, alerts, *of_node(scene(), result, book))
    assert [i.first.root for i in book.open] == ["", "a", ""]
    assert shown(owed(book, alerts, START)) == ["opened 2", "opened 1"]
    words = words_of(owed(book, alerts, START)[0])
    assert words.title == "[prod] r: a and what is below it: 2 tests warn"
    book, _ = told(book, alerts)
    late = of_node(scene(), node("c", ("u", "warn"), ("v", "stop")), book)
    assert {h.test: h.root for h in late} == {"c/u": "a", "c/v": ""}
    book, found = told(noted(book, alerts, *late), alerts)
    assert shown(found) == ["opened 1"]
    ended = replace(scene().shell, nodes=(*results, node("c", state=State.BLOCKED)))
    assert len({h.key for h in of_outcome(scene(), ended, book) if h.bad}) == 3


def test_what_joins_late_is_told_with_the_end() -> None:
    """What belongs to a message that went makes none of its own, is not over before all of it is, and is
    named when it is."""
    alerts = plan()
    above, below = failed("a", "t", severity="warn"), failed("b", "t", severity="warn", root="a")
    book, _ = told(noted(Book(), alerts, above), alerts)
    book, found = told(noted(book, alerts, below), alerts)
    assert found == []
    book, found = told(noted(book, alerts, well(above, 1)), alerts)
    assert found == []
    book, found = told(noted(book, alerts, well(below, 1)), alerts)
    assert shown(found) == ["closed 2"]
    heavy = plan()
    book, _ = told(noted(Book(), heavy, above), heavy)
    assert shown(told(noted(book, heavy, replace(below, severity=Severity.STOP)), heavy)[1]) == ["opened 1"]


# --- how many ---


def test_more_than_enough_is_one_digest() -> None:
    """Of fifty nodes that fail five are told at once, the rest in one message when the run has ended, which
    says how many and where all are; later ones join it; all that is well again is six messages."""
    alerts, book = plan(), Book()
    storm, found = [failed(f"n{k:02}") for k in range(50)], list[Delivery]()
    for one in storm:
        book, new = told(noted(book, alerts, one), alerts, Going("run-0", "r"))
        found += new
    assert shown(found) == ["opened 1"] * 5
    book, found = told(book, alerts)
    assert shown(found) == ["opened 45 more"]
    words = words_of(found[0], project="shop")
    assert words.title == "[shop prod] r: 45 more things failed"
    assert ("All of them", "gitkitchen alerts --all --environment prod") in words.facts
    late = failed("late")
    book, found = told(noted(book, alerts, late), alerts)
    assert found == []
    book, found = told(noted(book, alerts, *(well(one, 1) for one in (*storm, late))), alerts)
    assert shown(found) == ["closed 1"] * 5 + ["closed 46"]


def test_nothing_makes_a_run_louder_than_it_may_be() -> None:
    """After the digest not even what is heavier than its own group is told by itself."""
    alerts, book = plan(most=1), Book()
    mild = failed("a", "t", severity="warn")
    for seen in (mild, failed("b"), failed("a", "u")):
        book, found = told(noted(book, alerts, seen), alerts)
    assert found == []
    roomy = plan(most=3)
    book, _ = told(noted(Book(), roomy, mild), roomy)
    assert shown(told(noted(book, roomy, failed("a", "u")), roomy)[1]) == ["opened 1"]


def test_many_schedules_are_bounded_too_and_the_environment_never() -> None:
    """Twenty schedules that nobody ran are five messages and a digest; that the environment is broken is told
    by itself."""
    alerts = plan()
    missed = [
        Happening(What.SCHEDULE_MISSED, Severity.STOP, "prod", f"r{k}", variation="v", at=at(0))
        for k in range(20)
    ]
    broken = Happening(What.ENVIRONMENT_BROKEN, Severity.STOP, "prod", about="tree", at=at(0))
    book = noted(Book(), alerts, *missed, broken)
    assert sorted(shown(owed(book, alerts, START))) == ["opened 1"] * 6 + ["opened 15 more"]


WORLD = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "t", "u"]), st.booleans(), st.booleans()),
        max_size=14,
    ),
    max_size=4,
)


@given(
    WORLD,
    st.sampled_from(["node", "recipe", "none"]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from(["slack", "webhook"]),
    st.lists(st.integers(0, 3), min_size=64, max_size=64),
    st.sampled_from([0.0, 7200.0]),
)
def test_whatever_fails_and_whenever_it_is_sent(
    runs: Any, group: Any, most: int, kind: str, luck: list[int], flapping: float
) -> None:
    """Runs whose things fail or not, sent by this run, by another job, or not at all, recorded or lost: of
    each incident a channel hears at most one opening and one close, in that order; a run makes at most so
    many openings and one; a repetition has the name that it had; and in the end everybody was told of all, of
    the end too, from what a reader needs to read."""
    alerts = plan(kind=kind, group=group, most=most, flapping=flapping)
    book, heard = Book(), defaultdict[str, list[str]](list)
    openings = defaultdict[str, set[str]](set)
    lost: dict[str, str] = {}
    tried: dict[tuple[str, str], Begun] = {}
    turns = iter(luck)

    def send(going: Going, now: datetime) -> None:
        nonlocal book
        for one in owed(book, alerts, now, going=going, tried=tried):
            if one.message != "updated":
                tried.setdefault(
                    ("c", one.incident.id), Begun(frozenset(i.id for i in one.incidents), one.digest)
                )
            for incident in one.incidents:
                if one.message == "opened":
                    openings[incident.first.run].add(one.id)
                    assert lost.setdefault(incident.id, one.id) == one.id
            if next(turns, 1) == 0:
                continue  # whether it was taken nobody knows: it is sent again
            book = fold([(book.head + 1, delivered(one))], book)
            for incident in one.incidents:
                if incident.id not in heard or heard[incident.id][-1] != "closed":
                    heard[incident.id].append(one.message)
                else:
                    raise AssertionError("told after its end")

    def see(one: Happening) -> None:
        nonlocal book
        book = noted(book, alerts, one)

    for number, things in enumerate(runs):
        for name, test, heavy, fine in things:
            severity = "stop" if heavy else "warn"
            one = failed(name, test, run=number, severity=severity, root="a" if name in "bcd" else "")
            see(well(one, number) if fine else one)
            match next(turns, 1):
                case 1:
                    send(Going(f"run-{number}", "r"), at(number))
                case 2:
                    send(Going(patience=HOUR / 4), at(number))
        send(Going(over=frozenset({f"run-{number}"})), at(number))
    everything = list(book.incidents.values())
    for incident in everything:
        if incident.is_open:
            for later in (9, 99):
                see(well(incident.last, later))
    for _ in range(80):
        send(ENDED, at(100))
        if not owed(book, alerts, at(100), tried=tried):
            break
    assert unsettled(book, alerts) == frozenset()
    assert base(book, at(2000), unsettled(book, alerts)) == book.head + 1
    for incident in book.incidents.values():
        kinds = heard[incident.id]
        assert kinds.count("closed") == 1
        assert kinds[-1] == "closed"
        assert kinds.count("opened") <= 1
        assert "opened" not in kinds[1:]
    assert all(len(ids) <= most + 1 for ids in openings.values())
