"""Observations in any order, twice, or lost: of each thing one incident is open, and each is closed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.alerts import incidents
from gitkitchen.alerts.grouping import owed
from gitkitchen.alerts.incidents import Book, delivered, fold, observe, read_happening, written
from gitkitchen.alerts.rules import channels, matching
from gitkitchen.alerts.shapes import Happening, What, key_of
from gitkitchen.kitchen.gates import window
from gitkitchen.model import AlertRule, Alerts, Channel, Severity

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = 3600.0


def seen(hour: float, *, well: bool = False, test: str = "n/rows", **more: Any) -> Happening:
    event = What.RECOVERED if well else What.TEST_FAILED
    made = Happening(event, Severity.STOP, "prod", "r", "n", test, at=START + timedelta(hours=hour))
    return replace(made, run=f"run-{hour}", said="a test of n: failed", **more)


def book_of(*happenings: Happening, flapping: float = 0.0) -> tuple[Book, list[Mapping[str, Any]]]:
    book, bodies = Book(), list[Mapping[str, Any]]()
    for happening in happenings:
        body = observe(book, happening, flapping)
        if body is not None:
            bodies.append(body)
            book = fold([(book.head + 1, body)], book)
    return book, bodies


ORDERS = st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.sampled_from(["n/a", "n/b"])), max_size=24)


@given(ORDERS, st.sampled_from([0.0, 2 * HOUR, 6 * HOUR]))
def test_one_open_one_close(order: Sequence[tuple[int, bool, str]], flapping: float) -> None:
    """Whatever comes in whatever order, an incident is opened once, updated only while open, and closed at
    most once; a thing has at most one that is open; records that are written twice change nothing."""
    happenings = [seen(hour, well=well, test=test) for hour, well, test in order]
    book, bodies = book_of(*happenings, flapping=flapping)
    for name in book.incidents:
        kinds = [b["kind"] for b in bodies if b["incident"] == name]
        assert kinds[0] == "opened"
        assert kinds.count("opened") == 1
        assert kinds.count("closed") <= 1
        assert "closed" not in kinds[:-1]
    for test in ("n/a", "n/b"):
        assert sum(1 for i in book.open if i.last.test == test) <= 1
    assert fold([(n, b) for n, b in enumerate(bodies + bodies, 1)]).incidents.keys() == book.incidents.keys()
    again = fold((n, b) for n, b in enumerate(bodies, 1))
    assert again.incidents == book.incidents


@given(ORDERS)
def test_the_newest_observation_counts(order: Sequence[tuple[int, bool, str]]) -> None:
    """Where everything comes in order in the end, what is open is exactly what failed last."""
    happenings = [seen(hour, well=well, test=test) for hour, well, test in order]
    book, _ = book_of(*happenings, *sorted(happenings, key=lambda h: (h.at, not h.bad)))
    for test in {h.test for h in happenings}:
        own = [h for h in happenings if h.test == test]
        newest = max(own, key=lambda h: (h.at, not h.bad))
        assert any(i.last.test == test for i in book.open) == newest.bad


@given(ORDERS, st.randoms(use_true_random=False))
def test_a_kill_loses_nothing_but_what_was_not_written(
    order: Sequence[tuple[int, bool, str]], random: Any
) -> None:
    """What happened hour after hour, with observations tried again by later commands: the same incidents as
    at once, with the same counts."""
    happenings = [seen(hour, well=well, test=test) for hour, (_, well, test) in enumerate(order)]
    whole, _ = book_of(*happenings)
    torn: list[Happening] = []
    for number, happening in enumerate(happenings):
        torn += happenings[max(number - random.randrange(1, 4), 0) : number]
        torn.append(happening)
    kept, _ = book_of(*torn)
    assert kept == whole


def test_updates_in_place_and_a_count() -> None:
    """Three failing runs are one incident with a count of three; the recovery closes it and says by which
    run."""
    book, bodies = book_of(seen(0), seen(1), seen(1), seen(2), seen(3, well=True))
    assert [b["kind"] for b in bodies] == ["opened", "updated", "updated", "closed"]
    (incident,) = book.incidents.values()
    assert (incident.count, incident.state, incident.is_open) == (3, 4, False)
    assert incident.first.at == START
    assert incident.closed == START + timedelta(hours=3)


def test_flapping_is_told_twice_and_then_only_when_it_is_over() -> None:
    """A test that fails every other hour has two incidents in all, the second open until it stays well."""
    turns = [seen(hour, well=bool(hour % 2)) for hour in range(20)]
    book, bodies = book_of(*turns, flapping=6 * HOUR)
    assert [b["kind"] for b in bodies if b["kind"] != "updated"] == ["opened", "closed", "opened"]
    book, bodies = book_of(*turns, seen(20, well=True), seen(24.5, well=True), flapping=6 * HOUR)
    assert [b["kind"] for b in bodies if b["kind"] != "updated"] == ["opened", "closed", "opened", "closed"]
    assert [i.flaps for i in book.incidents.values()] == [0, 1]


def test_a_happening_is_read_back() -> None:
    """What a record holds is what happened, without what says nothing; long texts are cut."""
    happening = seen(1, interval=(START, START + timedelta(days=1)), changed=("a", "b"), owner="@ana")
    assert read_happening(written(happening)) == happening
    assert "runbook" not in written(happening)
    assert len(written(replace(happening, said="x" * 5000))["said"]) == incidents.TEXT


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (("prod", "r", "n", "n/rows"), "prod/r/test:n/rows"),
        (("prod", "r", "n"), "prod/r/node:n"),
        (("prod", "r", "", "", "daily"), "prod/r/schedule:daily"),
        (("prod", "r"), "prod/r/run"),
        (("prod", "", "", "", "", "promotion"), "prod/promotion"),
    ],
    ids=["test", "node", "schedule", "run", "environment"],
)
def test_things_have_names(parts: tuple[str, ...], key: str) -> None:
    """One incident per failing thing: the finest of its parts names it."""
    assert key_of(*parts) == key


# --- rules ---


def alerts(*rules: AlertRule, kind: Any = "slack", **config: Any) -> Alerts:
    names = dict.fromkeys(name for rule in rules for name in rule.channels)
    return Alerts({name: Channel(name, kind, config) for name in names}, tuple(rules))


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (AlertRule(("c",)), True),
        (AlertRule(("c",), events=("node_failed",)), False),
        (AlertRule(("c",), events=("node_failed", "test_failed")), True),
        (AlertRule(("c",), severity="stop"), True),
        (AlertRule(("c",), consecutive=2), False),
        (AlertRule(("c",), environments=("staging",)), False),
        (AlertRule(("c",), environments=("prod",)), True),
        (AlertRule(("c",), recipes=("x*",)), False),
        (AlertRule(("c",), recipes=("r*",)), True),
        (AlertRule(("c",), owner="@bo"), False),
        (AlertRule(("c",), owner="@ana"), True),
    ],
    ids=[
        "any",
        "event",
        "events",
        "severity",
        "consecutive",
        "elsewhere",
        "here",
        "pattern-no",
        "pattern",
        "owner-no",
        "owner",
    ],
)
def test_all_that_a_rule_says_must_be_true(rule: AlertRule, matches: bool) -> None:
    """Each key of a rule narrows it."""
    happening = seen(0, owner="@ana")
    assert channels(matching(alerts(rule), happening, 1)) == (("c",) if matches else ())


def due(book: Book, *names: str) -> Book:
    return Book({k: replace(i, due=frozenset(names)) for k, i in book.incidents.items()}, book.head)


def told(book: Book, plan: Alerts, now: datetime) -> tuple[list[str], Book]:
    """Everything that is owed is sent and recorded."""
    found = owed(book, plan, now)
    for one in found:
        book = fold([(book.head + 1, delivered(one))], book)
    return [f"{one.channel} {one.message}" for one in found], book


def test_a_warning_is_not_for_who_wants_stops() -> None:
    """Severity is the heaviest that the incident had."""
    warning = replace(seen(0), severity=Severity.WARN, event=What.TEST_WARNED)
    plan = alerts(AlertRule(("c",), severity="stop"))
    assert matching(plan, warning, 1) == ()
    assert matching(plan, warning, 1, Severity.STOP)


def test_who_cannot_be_updated_is_told_twice() -> None:
    """Slack learns that it opened and that it closed; an issue each state; nobody anything twice."""
    plan = alerts(AlertRule(("c",)))
    issues = alerts(AlertRule(("c",)), kind="github_issue")
    for told_by, wanted in ((plan, []), (issues, ["c updated"])):
        book = due(book_of(seen(0))[0], "c")
        first, book = told(book, told_by, START)
        assert first == ["c opened"]
        body = observe(book, seen(1), 0.0)
        assert body is not None
        book = fold([(book.head + 1, body)], book)
        second, book = told(book, told_by, START)
        assert second == wanted
        closing = observe(book, seen(2, well=True), 0.0)
        assert closing is not None
        book = fold([(book.head + 1, closing)], book)
        last, book = told(book, told_by, START)
        assert last == ["c closed"]
        assert owed(book, told_by, START) == ()


def test_quiet_hours_hold_back_and_deliver_after() -> None:
    """At night nothing is sent but what may; in the morning what waits is, also as one message of what is
    over."""
    night = window("daily 22:00-07:00 Europe/Berlin")
    plan = alerts(AlertRule(("c",), quiet=(night,)))
    loud = alerts(AlertRule(("c",), quiet=(night,), but="stop"))
    at_night, morning = datetime(2026, 3, 2, 1, tzinfo=UTC), datetime(2026, 3, 2, 6, 1, tzinfo=UTC)
    book = due(book_of(seen(0))[0], "c")
    assert owed(book, plan, at_night) == ()
    assert [d.message for d in owed(book, loud, at_night)] == ["opened"]
    assert [d.message for d in owed(book, plan, morning)] == ["opened"]
    over = due(book_of(seen(0), seen(1, well=True))[0], "c")
    assert owed(over, plan, at_night) == ()
    assert [d.message for d in owed(over, plan, morning)] == ["closed"]


@given(ORDERS, st.lists(st.integers(0, 30), max_size=8))
def test_each_channel_is_told_one_opening_and_one_close(
    order: Sequence[tuple[int, bool, str]], sends: Sequence[int]
) -> None:
    """Where each thing is told by itself, a channel hears at most one opening and one close of an incident,
    in that order, whenever sending comes between; and of what is over in the end a close."""
    plan = alerts(AlertRule(("c",), group="none", most=100), kind="webhook", updates=True)
    book, heard = Book(), list[tuple[str, str]]()
    for number, (hour, well, test) in enumerate([*order, (0, False, "n/a")]):
        body = observe(book, seen(hour, well=well, test=test), 0.0)
        if body is not None:
            book = due(fold([(book.head + 1, body)], book), "c")
        if number in sends or number == len(order):
            for one in owed(book, plan, START):
                heard.append((one.incident.id, one.message))
                book = fold([(book.head + 1, delivered(one))], book)
    for name, incident in book.incidents.items():
        own = [message for i, message in heard if i == name]
        assert own.count("opened") <= 1
        assert own.count("closed") == (0 if incident.is_open else 1)
        assert own.index("opened") == 0 if "opened" in own else own in ([], ["closed"])
        assert "closed" not in own[:-1]
