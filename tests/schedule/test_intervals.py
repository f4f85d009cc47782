"""Cron and time zone become data intervals, and every interval one end, whatever becomes of the clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.model import Expect, Schedule, Wait
from gitkitchen.schedule.cron import after, before, problem
from gitkitchen.schedule.due import SHOWN, noticed, refusal, stopping, todo
from gitkitchen.schedule.shapes import ENDED, Due, Interval
from gitkitchen.schedule.standing import ATTEMPTS, Stands, Whose, stand
from gitkitchen.schedule.timeline import History, Ran, Told, coming, intervals, ran, told

WHOSE = Whose("prod", "delays", "daily")
NEW_YORK = "America/New_York"
DAILY = Schedule("17 5 * * *", NEW_YORK)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class World:
    """A ledger in memory, and a clock that is set by hand."""

    schedule: Schedule
    now: datetime
    history: History = field(default_factory=History)
    begun: list[Due] = field(default_factory=list)
    count: int = 0

    def look(self) -> tuple[Due, ...]:
        found = todo(WHOSE, self.schedule, self.history, self.now)
        self.history = self.history.adding([told(record.body()) for record in found.records])
        return found.begin

    def run(self, due: Due, verdict: str = "passed", seconds: float = 60) -> str:
        """A job for an interval: it begins nothing that has its end."""
        why = refusal(WHOSE, self.schedule, self.history, due.interval, self.now)
        if not why:
            self.count += 1
            self.begun.append(due)
            body = {
                "run": f"r{self.count}",
                "variation": "daily",
                "interval": due.interval.iso(),
                "verdict": verdict,
                "started": self.now.isoformat(),
                "finished": (self.now + timedelta(seconds=seconds)).isoformat(),
            }
            found = ran(body, "daily", self.count)
            assert found is not None
            self.history = self.history.adding(runs=[found])
        return why

    def tick(self, verdict: str = "passed") -> None:
        for due in self.look():
            self.run(due, verdict)

    def stands(self) -> list[Stands]:
        return stand(WHOSE, self.schedule, self.history, self.now)

    def states(self) -> list[str]:
        return [one.standing.state for one in self.stands()]

    def tell(self, kind: str, interval: Interval | None = None) -> None:
        self.history = self.history.adding([Told(kind, self.now, interval, by="ann")])


# --- cron -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "from_", "expected"),
    [
        pytest.param("30 2 * * *", "2026-03-07T12:00", ["08T07:00", "09T06:30"], id="skipped-hour"),
        pytest.param("0,30 2 * * *", "2026-03-07T12:00", ["08T07:00", "09T06:00"], id="skipped-twice"),
        pytest.param("30 1 * * *", "2026-10-31T12:00", ["01T05:30", "02T06:30"], id="doubled-hour"),
        pytest.param("0 * * * *", "2026-11-01T04:30", ["01T05:00", "01T06:00", "01T07:00"], id="hourly-back"),
        pytest.param("0 * * * *", "2026-03-08T05:30", ["08T06:00", "08T07:00", "08T08:00"], id="hourly-on"),
        pytest.param("30 1 * * *", "2026-11-01T06:10", ["02T06:30"], id="from-inside-the-doubled-hour"),
    ],
)
def test_cron_counts_on_a_clock_that_is_moved(cron: str, from_: str, expected: list[str]) -> None:
    """A fixed time that is skipped comes right behind the gap, a doubled one once; an hour is an hour."""
    found = [t.strftime("%dT%H:%M") for t in islice(after(cron, NEW_YORK, at(from_)), len(expected))]
    assert found == expected


ZONES = ("UTC", NEW_YORK, "Australia/Lord_Howe")
CRONS = (
    "17 5 * * *",
    "0 * * * *",
    "*/45 * * * *",
    "30 1,2 * * *",
    "0 0 1 * *",
    "15 2 * * SUN",
    "0 6-8 * * *",
)
MOMENTS = st.builds(
    lambda month, minutes: datetime(2026, month, 1, tzinfo=UTC) + timedelta(minutes=minutes),
    st.sampled_from([3, 4, 10, 11]),
    st.integers(0, 14 * 1440),
)
"""Around the days on which clocks are moved."""


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CRONS), st.sampled_from(ZONES), MOMENTS)
def test_times_are_the_same_from_wherever_they_are_counted(cron: str, zone: str, moment: datetime) -> None:
    """Counted from any moment, forwards or backwards, the same times stand there, in order, each once."""
    times = list(islice(after(cron, zone, moment), 30))
    assert all(a < b for a, b in pairwise((moment, *times)))
    half = times[14] - timedelta(seconds=1)
    assert list(islice(after(cron, zone, half), 10)) == times[14:24]
    for place in (3, 14, 28):
        assert before(cron, zone, times[place]) == times[place]
        assert before(cron, zone, times[place + 1] - timedelta(seconds=1)) == times[place]
    assert before(cron, zone, moment) <= moment


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        pytest.param("17 25 * * *", "is no cron expression", id="hour"),
        pytest.param("* * * *", "has 4 fields", id="four"),
        pytest.param("0 0 5 * * *", "has 6 fields", id="seconds"),
        pytest.param("0 0 31 2 *", "is no cron expression", id="no-day"),
        pytest.param("@daily", "is a nickname", id="nickname"),
    ],
)
def test_what_is_no_cron_expression_is_told_with_what_to_write(cron: str, said: str) -> None:
    """Each mistake has its words and a next step."""
    wrong, hint = problem(cron)
    assert said in wrong
    assert hint


# --- intervals --------------------------------------------------------------------------------------


def test_the_first_interval_is_the_one_in_which_the_schedule_was_seen() -> None:
    """Nothing of before is caught up without `since`; with it, everything from there on is."""
    world = World(DAILY, at("2026-01-10T12:00"))
    assert world.look() == ()
    world.now += DAY
    (due,) = world.look()
    assert due.interval.name == "2026-01-10T10:17Z--2026-01-11T10:17Z"
    assert due.scheduled_for == at("2026-01-11T10:17")
    since = World(replace(DAILY, since=at("2026-01-01T05:00"), most=100), at("2026-01-10T12:00"))
    assert [d.interval.name for d in since.look()][:2] == [
        "2026-01-01T05:00Z--2026-01-01T10:17Z",
        "2026-01-01T10:17Z--2026-01-02T10:17Z",
    ]


def test_intervals_of_days_that_a_clock_makes_longer_or_shorter() -> None:
    """The day of the change is an interval of 23 or 25 hours, and its neighbours touch it."""
    for start, hours in (("2026-03-07T12:00", 23), ("2026-10-31T12:00", 25)):
        world = World(DAILY, at(start))
        world.look()
        found = intervals(world.history, world.now + 3 * DAY)
        assert [(i.end - i.start) / HOUR for i in found] == [hours, 24, 24]


def test_another_cron_leaves_the_intervals_of_before_as_they_are() -> None:
    """Its first interval begins where the last one ended: nothing is lost and nothing doubled."""
    world = World(DAILY, at("2026-01-10T12:00"))
    world.look()
    world.now += DAY
    world.tick()
    world.schedule = Schedule("0 * * * *")
    world.tick()
    world.now += 2 * HOUR
    world.tick()
    names = [i.name for i in intervals(world.history, world.now)]
    assert names == [
        "2026-01-10T10:17Z--2026-01-11T10:17Z",
        "2026-01-11T10:17Z--2026-01-11T13:00Z",
        "2026-01-11T13:00Z--2026-01-11T14:00Z",
    ]
    assert coming(world.history, world.now) == Interval(at("2026-01-11T14:00"), at("2026-01-11T15:00"))


def test_a_schedule_that_is_taken_away_ends_its_open_intervals() -> None:
    """They are superseded, nothing counts any more, and one that comes back begins anew."""
    world = World(DAILY, at("2026-01-10T12:00"))
    world.look()
    world.now += 2 * DAY
    world.history = world.history.adding(stopping(world.history, world.now))
    assert world.states() == ["superseded", "superseded"]
    assert coming(world.history, world.now) is None
    assert stopping(world.history, world.now) == []
    world.now += 5 * DAY
    assert world.look() == ()
    assert len(world.stands()) == 2
    world.now += DAY
    assert len(world.look()) == 1


# --- what is due ------------------------------------------------------------------------------------


def test_after_an_outage_so_many_run_as_are_caught_up_and_the_others_are_superseded() -> None:
    """The newest run in their order; of the older ones one record says which run covers them."""
    world = World(replace(DAILY, most=2), at("2026-01-10T12:00"))
    world.look()
    world.now += 9 * DAY
    begin = world.look()
    assert [d.scheduled_for.day for d in begin] == [18, 19]
    (record,) = [t for t in world.history.told if t.kind == "superseded"]
    assert record.covered == begin[0].interval
    assert world.states() == ["superseded"] * 7 + ["missed", "due"]
    for due in begin:
        assert world.run(due) == ""
    assert world.states() == ["superseded"] * 7 + ["run", "run"]
    assert world.look() == ()


def test_in_order_an_older_interval_comes_first() -> None:
    """Oldest first, a younger one waits until the one before it has ended; in parallel it does not."""
    world = World(replace(DAILY, most=5), at("2026-01-10T12:00"))
    world.look()
    world.now += 2 * DAY
    first, second = world.look()
    assert "the interval before it" in world.run(second)
    assert world.run(first, "failed") == ""
    assert world.run(second) == ""
    other = World(replace(DAILY, most=5, order="parallel"), at("2026-01-10T12:00"))
    other.look()
    other.now += 2 * DAY
    assert other.run(other.look()[1]) == ""


def test_a_run_that_says_nothing_of_the_data_is_tried_again_and_not_for_ever() -> None:
    """After so many tries the interval is missed, with the number; what failed in its tests is not tried."""
    world = World(DAILY, at("2026-01-10T12:00"))
    world.look()
    world.now += DAY
    for _ in range(ATTEMPTS + 2):
        world.tick("could_not_check")
    assert len(world.begun) == ATTEMPTS
    assert world.states() == ["missed"]
    assert [t.kind for t in noticed(WHOSE, DAILY, world.history, world.now)] == ["missed"]
    world.now += DAY
    world.tick("failed")
    world.tick()
    assert world.states() == ["missed", "failed"]
    assert len(world.begun) == ATTEMPTS + 1


def test_a_paused_schedule_begins_nothing_and_catches_up_when_it_goes_on() -> None:
    """Nothing runs, nothing is missed or late meanwhile; behind it counts what catch-up says."""
    world = World(replace(DAILY, expect=Expect(start=60)), at("2026-01-10T12:00"))
    world.look()
    world.tell("paused")
    world.now += 3 * DAY
    assert world.look() == ()
    assert "paused by ann" in refusal(WHOSE, DAILY, world.history, world.stands()[-1].interval, world.now)
    assert noticed(WHOSE, DAILY, world.history, world.now) == []
    assert [one.broken for one in world.stands()] == [(), (), ()]
    world.tell("resumed")
    world.tick()
    assert world.states() == ["superseded", "superseded", "run"]


def test_whoever_looks_next_notices_a_schedule_that_stopped() -> None:
    """Each interval whose time passed is recorded as missed once, and may still be caught up."""
    world = World(replace(DAILY, most=3), at("2026-01-10T12:00"))
    assert noticed(WHOSE, world.schedule, world.history, world.now) == []
    world.look()
    world.now += 2 * DAY + 8 * HOUR
    records = noticed(WHOSE, world.schedule, world.history, world.now)
    assert [t.kind for t in records] == ["missed", "missed"]
    world.history = world.history.adding(records)
    assert noticed(WHOSE, world.schedule, world.history, world.now) == []
    world.tick()
    assert world.states() == ["run", "run"]


def missed(world: World) -> list[Told]:
    """What whoever looks now records as missed, once."""
    found = noticed(WHOSE, world.schedule, world.history, world.now)
    world.history = world.history.adding([told(one.body()) for one in found])
    return found


def test_what_was_due_before_the_schedule_was_seen_is_missed_where_nobody_catches_it_up() -> None:
    """With `since` in the past nothing is missed or late at once: so long after the schedule was seen, after
    a run of the catch-up, or after it was resumed, each interval without a run is told, once."""
    schedule = replace(DAILY, since=at("2026-01-01T05:00"), most=20, expect=Expect(start=60, end=60))
    world = World(schedule, at("2026-01-10T12:00"))
    first, second, *others = world.look()
    assert missed(world) == []
    world.now += 6 * HOUR
    assert missed(world) == []
    assert set(world.states()) == {"due"}
    assert broken(world) == []
    assert world.run(first) == ""
    world.now += 6 * HOUR
    assert missed(world) == []
    world.tell("waiting", second.interval)
    world.now += 5 * HOUR
    assert missed(world) == []
    world.tell("paused")
    world.now += 5 * HOUR
    world.tell("resumed")
    world.now += 6 * HOUR
    assert [t.interval for t in missed(world)] == []
    world.now += timedelta(minutes=1)
    assert [t.interval for t in missed(world)] == [due.interval for due in (second, *others)]
    assert missed(world) == []
    assert "the interval before it" in world.run(others[0])
    assert world.run(second) == ""


def test_what_was_due_in_a_pause_is_missed_where_nobody_catches_it_up() -> None:
    """When it goes on nothing is missed or late at once; so long after it does, what never ran is, once. What
    was missed before the pause stays so."""
    world = World(replace(DAILY, most=20, expect=Expect(start=60, end=60)), at("2026-01-10T12:00"))
    world.look()
    world.now = at("2026-01-11T17:00")
    before_it = [t.interval for t in missed(world)]
    assert len(before_it) == 1
    world.tell("paused")
    world.now += 3 * DAY
    world.tell("resumed")
    assert missed(world) == []
    assert world.states() == ["missed", "due", "due", "due"]
    assert broken(world) == ["late_start", "late_end"]
    world.now += 6 * HOUR + timedelta(minutes=1)
    assert [t.interval for t in missed(world)] == [one.interval for one in world.stands()[1:]]
    assert missed(world) == []


def test_what_is_asked_for_again_is_missed_where_nobody_runs_it() -> None:
    """However long ago it was due: whoever asks for another run gives it time."""
    world = World(replace(DAILY, expect=Expect(start=60, end=60)), at("2026-01-10T12:00"))
    world.look()
    world.now += DAY
    world.tick("failed")
    (due,) = world.begun
    world.now += 20 * HOUR
    world.tell("again", due.interval)
    assert missed(world) == []
    assert (world.states(), broken(world)) == (["due"], [])
    world.now += 6 * HOUR + timedelta(minutes=1)
    assert due.interval in [t.interval for t in missed(world)]
    assert world.run(due) == ""
    assert world.states()[0] == "run"


def test_what_is_due_after_the_schedule_was_seen_is_missed_as_ever() -> None:
    """The catch-up of the past excuses no interval that came later."""
    world = World(replace(DAILY, since=at("2026-01-01T05:00"), most=20), at("2026-01-10T10:00"))
    *_, last = world.look()
    world.now = at("2026-01-10T16:16")
    world.run(world.look()[0])
    assert missed(world) == []
    world.now = at("2026-01-10T16:18")
    assert [t.interval for t in missed(world)] == [Interval(last.interval.end, at("2026-01-10T10:17"))]


def test_a_schedule_that_an_earlier_release_began_in_the_past_is_read_as_then() -> None:
    """Its record does not say when it was seen: its intervals are due when they end."""
    schedule = replace(DAILY, since=at("2026-01-08T10:17"), most=20)
    world = World(schedule, at("2026-01-10T18:00"))
    world.look()
    assert missed(world) == []
    (begun,) = world.history.told
    body = begun.body()
    assert body.pop("seen") == world.now.isoformat()
    world.history = History((told(body),))
    assert len(missed(world)) == 2
    assert world.look() == tuple(WHOSE.due(i) for i in intervals(world.history, world.now))


def test_a_long_catch_up_that_is_settled_on_its_way_is_still_seen() -> None:
    """What settles the first hundred leaves the last run to be seen: nobody is told of what comes next."""
    seen = at("2026-01-10T12:00")
    world = World(replace(DAILY, since=at("2025-08-25T10:17"), most=150), seen)
    for _ in range(107):
        due = world.look()[0]
        settled = world.history.settled
        after = settled.runs if settled is not None else 0
        runs = tuple(r for r in world.history.runs if r.sequence > after)
        world.history = replace(world.history, runs=runs)  # as whoever comes next reads it
        assert [t for t in missed(world) if t.interval and t.interval.end <= seen] == []
        assert world.run(due) == ""
        world.now += 3 * HOUR
    assert world.history.settled is not None


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(CRONS[:3]),
    st.sampled_from(ZONES),
    st.sampled_from([1, 2, 12, 200]),
    st.sampled_from(["oldest_first", "parallel"]),
    MOMENTS,
    st.integers(1, 100),
)
def test_nothing_of_the_past_is_missed_while_it_is_caught_up(
    seed: int, cron: str, zone: str, most: int, order: str, seen: datetime, hours: int
) -> None:
    """However long it takes, in whatever order, whoever looks when: of what was due before the schedule was
    seen nothing is missed as long as a run ends every six hours; then all that is open is, once."""
    random = Random(seed)
    schedule = Schedule(cron, zone, since=seen - hours * HOUR, most=most, order=order)  # type: ignore[arg-type]
    world = World(schedule, seen)
    told_of: list[Told] = []
    for _ in range(random.randrange(1, 12)):
        due = [one for one in world.look() if one.interval.end <= seen]
        if due:
            assert world.run(due[0], random.choice(("passed", "failed", "passed"))) == ""
        for _ in range(2):
            told_of += missed(world)
            world.now += timedelta(minutes=random.randrange(180))
    told_of += missed(world)
    assert [t for t in told_of if t.interval and t.interval.end <= seen] == []
    open_ = [one.interval for one in world.stands() if one.open and one.interval.end <= seen]
    world.now += 7 * HOUR
    found = [t.interval for t in missed(world)]
    assert [i for i in found if i and i.end <= seen] == open_[-SHOWN:]
    assert missed(world) == []


# --- what is promised -------------------------------------------------------------------------------

PROMISED = replace(DAILY, most=2, expect=Expect(start=1800, end=3600, longest=1200, nodes=("report",)))


def broken(world: World) -> list[str]:
    return [b.state for one in world.stands() for b in one.broken]


def test_what_is_promised_and_not_kept_is_told() -> None:
    """Late start and end, before and after the run; too long; incomplete; out of order."""
    world = World(PROMISED, at("2026-01-11T09:00"))
    world.look()
    world.now = at("2026-01-11T10:30")
    assert broken(world) == []
    world.now = at("2026-01-11T10:50")
    assert broken(world) == ["late_start"]
    world.now = at("2026-01-11T11:20")
    assert broken(world) == ["late_start", "late_end"]
    (due,) = world.look()
    assert world.run(due, seconds=1500) == ""
    assert broken(world) == ["late_start", "late_end", "too_long"]
    (one,) = world.stands()
    assert one.standing.late == (at("2026-01-11T11:20") - at("2026-01-11T10:17")).total_seconds()
    run = replace(world.history.runs[0], left_out=("report", "other"))
    world.history = replace(world.history, runs=(run,))
    assert broken(world)[-1] == "incomplete"
    later = Ran(
        "r9", Interval(due.interval.end, due.interval.end + DAY), "passed", run.started - HOUR, run.started
    )
    world.history = world.history.adding(runs=[later])
    world.now += DAY
    assert "out_of_order" in broken(world)


def test_an_interval_waits_for_its_inputs_until_its_deadline() -> None:
    """It stays open as `waiting`; behind the deadline a job may record that they did not come."""
    wait = (Wait("file", "x"),)
    world = World(replace(DAILY, wait_for=wait, deadline=3600), at("2026-01-11T09:00"))
    world.look()
    world.now = at("2026-01-11T10:20")
    (due,) = world.look()
    world.tell("waiting", due.interval)
    assert world.states() == ["waiting"]
    assert world.look() == (due,)
    world.now += 2 * HOUR
    assert world.states() == ["due"]
    world.tell("input_not_ready", due.interval)
    assert world.states() == ["input_not_ready"]
    assert world.look() == ()


# --- whatever becomes of the clock ------------------------------------------------------------------


def lived(seed: int, schedule: Schedule, start: datetime, *, doubled: bool) -> World:
    """A while with a clock whose events are dropped, late, doubled, and jobs that fail or come again."""
    random = Random(seed)
    world = World(schedule, start)
    stale: list[Due] = []
    for step in range(30):
        world.now = start + step * timedelta(hours=9)
        if random.random() < 0.4:
            continue  # dropped
        world.now += timedelta(minutes=random.randrange(200))
        for _ in range(2 if doubled else 1):
            for due in world.look():
                stale.append(due)
                verdict = Random(f"{seed} {due.interval.name} {len(world.begun)}").choice(
                    ("passed", "passed", "failed", "cancelled")
                )
                world.run(due, verdict)
        if doubled and stale:
            world.run(stale[step % len(stale)])
    world.now = start + timedelta(days=14)
    for _ in range(ATTEMPTS + 1):
        world.tick()
    return world


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([*CRONS[:2], CRONS[3]]),
    st.sampled_from(ZONES),
    st.sampled_from([1, 3, 12]),
    st.sampled_from(["oldest_first", "parallel"]),
    MOMENTS,
    st.booleans(),
)
def test_every_interval_has_one_end(
    seed: int, cron: str, zone: str, most: int, order: str, start: datetime, doubled: bool
) -> None:
    """Dropped, late, doubled events, jobs that come twice: each interval ends, none is judged twice."""
    schedule = Schedule(cron, zone, most=most, order=order)  # type: ignore[arg-type]
    world = lived(seed, schedule, start, doubled=doubled)
    stands = world.stands()
    assert all(a.interval.end == b.interval.start for a, b in pairwise(stands))
    assert {one.standing.state for one in stands} <= ENDED
    assert not any(one.open for one in stands)
    judged = [r.interval for r in world.history.runs if r.judged]
    assert len(judged) == len(set(judged))
    covered = [t for t in world.history.told if t.kind == "superseded"]
    assert all(t.covered is not None and t.interval is not None for t in covered)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(CRONS[:2]), st.sampled_from([1, 40]), MOMENTS)
def test_doubled_events_change_no_end(seed: int, cron: str, most: int, start: datetime) -> None:
    """The same clock with every event twice begins the same runs, where none is tried again."""

    def ends(doubled: bool) -> list[tuple[str, str]]:
        world = World(Schedule(cron, NEW_YORK, most=most), start)
        random = Random(seed)
        for step in range(40):
            world.now = start + step * timedelta(hours=5)
            if random.random() < 0.3:
                continue
            for _ in range(2 if doubled else 1):
                world.tick("failed" if step % 9 == 4 else "passed")
        return [(one.interval.name, one.standing.state) for one in world.stands()]

    assert ends(doubled=True) == ends(doubled=False)


def test_what_is_settled_is_not_counted_again_and_ends_as_before() -> None:
    """After many intervals a record says so: the same are due with it as without it."""
    start = at("2026-01-01T00:30")
    world = World(Schedule("0 * * * *"), start)
    for hour in range(360):
        world.now = start + hour * HOUR
        world.tick()
    settled = [t for t in world.history.told if t.kind == "settled"]
    assert len(settled) == 3
    assert len(world.stands()) < 170
    assert len({r.interval for r in world.history.runs}) == len(world.history.runs) == 359
    tail = replace(world.history, runs=tuple(r for r in world.history.runs if r.sequence > settled[-1].runs))
    assert len(tail.runs) < 170
    assert stand(WHOSE, world.schedule, tail, world.now) == world.stands()
