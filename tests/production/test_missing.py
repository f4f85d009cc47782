"""What schedules missed is read from the ledger by whoever comes next, and is over when a run passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.alerts.incidents import Book, fold, observe
from gitkitchen.alerts.shapes import Happening, What
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.model import Environment, Expect, Project, Schedule
from gitkitchen.production import reading
from gitkitchen.production.missing import schedules_seen
from gitkitchen.schedule.due import noticed, todo
from gitkitchen.schedule.standing import Whose

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
PROD = Environment("prod", "main")
DAILY = Whose("prod", "r", "daily")
HOUR = timedelta(hours=1)


class World:
    def __init__(self, folder: Path) -> None:
        self.ledger = FolderLedger(folder)
        self.project = Project(folder, "shop", "0123456789abcdef", (PROD,))

    def told(self, kind: str, days: int) -> None:
        body = {"kind": kind, "at": NOW.isoformat(), "interval": self.day(days), "reason": f"{kind}!"}
        self.ledger.append("schedules/prod/r.daily", body)

    def ran(self, days: int, **more: Any) -> None:
        body = {"run": f"run-{days}", "variation": "daily", "verdict": "passed", "interval": self.day(days)}
        body["started"] = body["finished"] = (NOW - timedelta(days=days)).isoformat()
        body["publication"] = {"state": "published"}
        namespace = environment_namespace(self.project, PROD)
        self.ledger.append(f"runs/{namespace}/r", {**body, **more})

    def day(self, days: int) -> list[str]:
        return [(NOW - timedelta(days=days + n)).isoformat() for n in (1, 0)]

    def began(self, days: int) -> None:
        """The schedule is known since so many days; it is due at nine."""
        body = {"kind": "begun", "at": (NOW - timedelta(days=days)).isoformat(), "cron": "0 9 * * *"}
        self.ledger.append("schedules/prod/r.daily", {**body, "timezone": "UTC"})

    def took(self, days: int, begin: timedelta, end: timedelta) -> None:
        """A run for a day that began and ended so long after it was due."""
        due = NOW - timedelta(days=days)
        self.ran(days, started=(due + begin).isoformat(), finished=(due + end).isoformat())

    def happenings(self, expect: Expect | None = None, now: datetime = NOW) -> tuple[Happening, ...]:
        schedules = {} if expect is None else {DAILY: Schedule("0 9 * * *", expect=expect)}
        return schedules_seen(self.ledger, self.project, "prod", now, declared=lambda: schedules)

    def seen(self, expect: Expect | None = None, now: datetime = NOW) -> list[tuple[What, datetime]]:
        return [(h.event, h.at) for h in self.happenings(expect, now)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_is_scheduled_and_nothing_is_said(world: World) -> None:
    """Without a stream of schedules no record of a run is read."""
    world.ran(1)
    assert world.seen() == []


def test_what_was_missed_is_told_and_the_run_after_it_ends_it(world: World) -> None:
    """A missed interval and inputs that did not come, each at its time; the newest run that readers got."""
    world.told("begun", 5)
    world.told("missed", 3)
    world.told("input_not_ready", 2)
    world.ran(4)
    world.ran(1)
    assert world.seen() == [
        (What.SCHEDULE_MISSED, NOW - timedelta(days=3)),
        (What.INPUT_NOT_READY, NOW - timedelta(days=2)),
        (What.RECOVERED, NOW - timedelta(days=1)),
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"verdict": "failed"},
        {"variation": "strict"},
        {"interval": None},
        {"publication": {"state": "not_asked"}},
    ],
    ids=["failed", "another", "no-interval", "candidate"],
)
def test_only_a_run_of_its_own_ends_it(world: World, more: dict[str, Any]) -> None:
    """A run that failed, of another variation, for no interval, or that nobody reads, ends nothing."""
    world.told("missed", 3)
    world.ran(1, **more)
    assert [event for event, _ in world.seen()] == [What.SCHEDULE_MISSED]


def test_what_is_long_ago_is_not_told_again(world: World) -> None:
    """The records of last month are still there; who reads them tells nobody anew."""
    world.told("missed", 30)
    world.ran(20)
    assert world.seen() == []


def test_a_promise_that_was_not_kept_is_told_until_a_run_is_in_time(world: World) -> None:
    """A run that began late, or took too long, passed and is no recovery; the next in time is."""
    world.began(4)
    world.took(3, timedelta(minutes=5), timedelta(minutes=10))
    world.took(2, 2 * HOUR, 3 * HOUR)
    expect = Expect(start=3600, longest=1800)
    late = (What.SCHEDULE_LATE, NOW - timedelta(days=2))
    before = (What.RECOVERED, NOW - timedelta(days=3))
    found = world.happenings(expect, NOW - timedelta(days=1, minutes=1))
    assert [(h.event, h.at) for h in found] == [late, before]
    assert found[0].run == "run-2"
    assert "2 h after it was due; 60 min were allowed" in found[0].said
    assert "run-2 took 60 min; 30 min were allowed" in found[0].said
    world.took(1, timedelta(minutes=5), timedelta(minutes=10))
    after = NOW - timedelta(minutes=1)
    assert world.seen(expect, after) == [late, (What.RECOVERED, NOW - timedelta(days=1))]


def test_what_was_not_promised_is_not_late(world: World) -> None:
    """The same runs under a schedule that says nothing of it, and under none that is known."""
    world.began(4)
    world.took(1, 2 * HOUR, 3 * HOUR)
    after = NOW - timedelta(minutes=1)
    for expect in (Expect(), None):
        assert (What.RECOVERED, NOW - timedelta(days=1)) in world.seen(expect, after)
        assert What.SCHEDULE_LATE not in [event for event, _ in world.seen(expect, after)]


def test_what_is_late_and_then_missed_is_told_as_both_and_looking_again_tells_nothing(world: World) -> None:
    """One incident: late, then missed, then run behind time; each is an update once, however often it is
    looked at, and the next run in time closes it."""
    world.began(2)
    expect, at, book = Expect(start=3600), NOW - timedelta(days=1), Book()
    kinds: list[str] = []

    def looked(now: datetime) -> None:
        nonlocal book
        for _ in range(3):
            for happening in sorted(world.happenings(expect, now), key=lambda h: (h.at, not h.bad)):
                body = observe(book, happening, 0)
                if body is not None:
                    kinds.append(f"{body['kind']} {body.get('what', {}).get('event', '')}".strip())
                    book = fold([(book.head + 1, body)], book)

    looked(at + 2 * HOUR)
    world.told("missed", 1)
    looked(at + 8 * HOUR)
    world.took(1, 9 * HOUR, 10 * HOUR)
    looked(at + 11 * HOUR)
    assert kinds == ["opened schedule_late", "updated schedule_missed"]
    world.took(0, HOUR / 2, HOUR)
    looked(NOW + 2 * HOUR)
    assert kinds[2:] == ["closed"]


def test_the_newest_interval_counts_and_not_the_newest_record(world: World) -> None:
    """Caught up in parallel, an older interval's run may be recorded last: what is well again stays so."""
    world.told("missed", 2)
    world.ran(1)
    world.ran(3)
    assert (What.RECOVERED, NOW - timedelta(days=1)) in world.seen()


def test_what_a_new_schedule_is_to_catch_up_is_told_only_if_nobody_does(world: World) -> None:
    """With `since` days ago: no alert at the first look, nor at a push right behind it; hours later, without
    any run, one of each interval that was to run, and none that it is late."""
    schedule = Schedule("0 9 * * *", since=NOW - timedelta(days=4), most=3, expect=Expect(start=3600))

    def looked(now: datetime) -> list[tuple[What, datetime]]:
        found = reading.scheduled(world.ledger, world.project, DAILY, schedule)
        found = reading.append(world.ledger, found, noticed(DAILY, schedule, found.history, now))
        reading.append(world.ledger, found, todo(DAILY, schedule, found.history, now).records)
        told = schedules_seen(world.ledger, world.project, "prod", now, declared=lambda: {DAILY: schedule})
        return [(h.event, h.at) for h in told]

    for later in (timedelta(), timedelta(minutes=5), 6 * HOUR):
        assert looked(NOW + later) == []
    missed = [(What.SCHEDULE_MISSED, NOW - timedelta(days=days)) for days in (2, 1, 0)]
    assert looked(NOW + 7 * HOUR) == missed
    assert looked(NOW + 8 * HOUR) == missed
