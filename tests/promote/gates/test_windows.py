"""Windows and freezes, against a clock that is asked minute by minute, through daylight saving both ways."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.kitchen.gates import DAYS, moment, window
from gitkitchen.model import Freeze, Gate, Window
from gitkitchen.promote.gates import earliest
from gitkitchen.promote.gates.clock import freezes, is_open, opening, thaw
from gitkitchen.promote.shapes import Intent, Standing
from road_facts import facts, results

MINUTE = timedelta(minutes=1)
LONDON = "Mon-Thu 08:00-16:00 Europe/London"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def reference(kept: Window, at: datetime) -> bool:
    """Whether a clock on the wall shows a time inside: written down minute by minute, and looked up."""
    local = at.astimezone(ZoneInfo(kept.timezone))
    shown = (local.date(), local.hour, local.minute)
    for back in (0, 1):
        day = local.date() - timedelta(days=back)
        if DAYS[day.weekday()] not in {DAYS[d] for d in kept.days} or (kept.expires and day > kept.expires):
            continue
        naive = datetime(day.year, day.month, day.day)
        first, last = naive + kept.start * MINUTE, naive + kept.end * MINUTE
        if first <= datetime(shown[0].year, shown[0].month, shown[0].day, shown[1], shown[2]) < last:
            return True
    return False


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/London",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Africa/Cairo",
    ]
)
HOURS = st.integers(0, 1439)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    days = draw(st.sampled_from(["daily", "Mon", "Sun", "Mon-Thu", "Fri-Mon", "Sat,Sun", "Tue,Thu"]))
    start, end = draw(HOURS), draw(HOURS)
    end = end if end != start else (end + 1) % 1440
    text = f"{days} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02} {draw(ZONES)}"
    return window(text, draw(st.sampled_from([None, None, date(2026, 3, 30), date(2026, 10, 26)])))


NEAR_JUMPS = st.sampled_from(
    [
        "2026-03-08",
        "2026-03-29",
        "2026-04-05",
        "2026-04-24",
        "2026-10-04",
        "2026-10-25",
        "2026-11-01",
        "2026-06-10",
    ]
)
MOMENTS = st.builds(lambda day, minutes: utc(day) + minutes * MINUTE, NEAR_JUMPS, st.integers(-1440, 2880))


@given(windows(), MOMENTS)
def test_a_window_is_open_when_the_clock_on_the_wall_says_so(kept: Window, at: datetime) -> None:
    """An hour that is shown twice is inside twice, one that is skipped never comes."""
    assert is_open(kept, at) == reference(kept, at)


@settings(max_examples=40)
@given(st.lists(windows(), min_size=1, max_size=3), MOMENTS)
def test_the_earliest_moment_is_that_of_a_search_minute_by_minute(kept: list[Window], at: datetime) -> None:
    """What is announced is the first minute at which one is open, neither earlier nor later."""
    found = opening(kept, at)
    span = 9 * 1440
    first = next(
        (at + n * MINUTE for n in range(span) if any(reference(w, at + n * MINUTE) for w in kept)), None
    )
    assert found == first or (first is None and (found is None or found >= at + span * MINUTE))


@settings(max_examples=40)
@given(windows(), MOMENTS)
def test_a_freeze_ends_at_its_first_free_minute(kept: Window, at: datetime) -> None:
    """The end of a frozen window is the first minute outside of it, over midnight and over jumps."""
    every = [Freeze("busy", window=kept)]
    span = 3 * 1440
    first = next((at + n * MINUTE for n in range(span) if not reference(kept, at + n * MINUTE)), None)
    assert thaw(every, at) == first or first is None


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-11-18T08:00", True),  # a Wednesday
        ("2026-11-18T07:59", False),
        ("2026-11-18T16:00", False),
        ("2026-11-20T12:00", False),  # a Friday
        ("2026-07-15T07:00", True),  # 08:00 in summer
        ("2026-07-15T15:00", False),
    ],
)
def test_a_window_of_working_hours(at: str, inside: bool) -> None:
    """The end is outside, and summer moves the window by the clock of its zone."""
    assert is_open(window(LONDON), utc(at)) is inside


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    """`Fri 22:00-02:00` is open on Saturday at one, and on Friday at one it is not."""
    night = window("Fri 22:00-02:00 UTC")
    assert is_open(night, utc("2026-11-21T01:59"))
    assert not is_open(night, utc("2026-11-20T01:00"))
    assert not is_open(night, utc("2026-11-21T02:00"))


def test_daylight_saving_both_ways() -> None:
    """A window in the hour that spring skips opens a week later; in autumn its hour lasts two."""
    early = window("Sun 01:15-01:45 Europe/London")
    assert opening([early], utc("2026-03-29T00:00")) == utc("2026-04-05T00:15")
    longer = window("Sun 01:00-02:00 Europe/London")
    open_ = [n for n in range(240) if is_open(longer, utc("2026-10-25T00:00") - 60 * MINUTE + n * MINUTE)]
    assert len(open_) == 120
    across = window("Sun 01:30-05:00 Europe/London")
    assert opening([across], utc("2026-03-29T00:30")) == utc("2026-03-29T01:00"), "the clock jumps into it"


def test_allow_says_when_it_opens_and_expires() -> None:
    """Outside it waits for the next opening; when every window has expired, only people can change that."""
    gate = Gate(allow=(window(LONDON),))
    waiting = results(gate, facts(), utc("2026-11-20T12:00"))["allow"]
    assert (waiting.standing, waiting.when) == (Standing.PENDING, utc("2026-11-23T08:00"))
    assert waiting.command == "gitkitchen promote prod --dry-run --at 2026-11-23T08:00Z"
    assert results(gate, facts(), utc("2026-11-23T08:00"))["allow"].standing is Standing.PASSED
    old = Gate(allow=(window(LONDON, date(2026, 11, 19)),))
    assert results(old, facts(), utc("2026-11-19T12:00"))["allow"].standing is Standing.PASSED
    over = results(old, facts(), utc("2026-11-20T12:00"))["allow"]
    assert (over.standing, over.when) == (Standing.FAILED, None)
    weekly = Gate(allow=(window("Mon 08:00-09:00 UTC", date(2026, 11, 20)),))
    assert results(weekly, facts(), utc("2026-11-18T12:00"))["allow"].standing is Standing.FAILED, (
        "never again"
    )
    night = Gate(allow=(window("Thu 22:00-02:00 UTC", date(2026, 11, 19)),))
    assert results(night, facts(), utc("2026-11-20T01:00"))["allow"].standing is Standing.PASSED


def test_a_freeze_holds_from_its_first_to_its_last_moment() -> None:
    """A day as `to` is meant with its whole length, by the clock of the freeze's zone."""
    zone = "America/New_York"
    freeze = Freeze("holidays", moment("2026-12-24", zone, last=False), moment("2026-12-26", zone, last=True))
    around = ("2026-12-24T04:59", "2026-12-24T05:00", "2026-12-27T04:59", "2026-12-27T05:00")
    assert [freezes(freeze, utc(t)) for t in around] == [False, True, True, False]
    gate = Gate(freeze=(freeze, Freeze("audit", utc("2026-12-27T03:00"), utc("2026-12-28T00:00"))))
    held = results(gate, facts(), utc("2026-12-25T00:00"))["freeze"]
    assert (held.standing, held.when) == (Standing.PENDING, utc("2026-12-28T00:00")), (
        "one follows on the other"
    )
    assert "holidays" in held.reason
    assert results(gate, facts(), utc("2026-12-28T00:00"))["freeze"].standing is Standing.PASSED
    expired = Gate(freeze=(Freeze("Fridays", window=window("Fri 12:00-24:00 UTC", date(2026, 11, 19))),))
    assert results(expired, facts(), utc("2026-11-20T13:00"))["freeze"].standing is Standing.PASSED
    endless = Gate(freeze=(Freeze("always", window=window("daily 00:00-24:00 UTC")),))
    assert results(endless, facts())["freeze"].when is None


def test_an_ambiguous_moment_makes_a_freeze_longer_never_shorter() -> None:
    """Of an hour that the clock shows twice a freeze begins with the first and ends with the second."""
    assert moment("2026-10-25 01:30", "Europe/London", last=False) == utc("2026-10-25T00:30")
    assert moment("2026-10-25 01:30", "Europe/London", last=True) == utc("2026-10-25T01:30")


def test_the_earliest_moment_of_all_gates_together() -> None:
    """Window, freeze and soak together: the first moment at which all three let it through."""
    gate = Gate(
        allow=(window(LONDON),),
        freeze=(Freeze("stocktaking", utc("2026-11-23T00:00"), utc("2026-11-24T12:00")),),
    )
    assert earliest(gate, facts(), utc("2026-11-20T12:00"), Intent.FORWARD) == utc("2026-11-24T12:00")
    closed = Gate(freeze=(Freeze("x", utc("2026-11-24T12:00"), utc("2026-11-26T20:00")),), allow=gate.allow)
    assert earliest(closed, facts(), utc("2026-11-24T12:00"), Intent.FORWARD) == utc("2026-11-30T08:00")
    assert earliest(gate, facts(evidence=()), utc("2026-11-20T12:00"), Intent.FORWARD) is None, (
        "time builds nothing"
    )
