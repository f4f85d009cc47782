"""What runs, schedules and the road show of things: what is bad, what is well, and what says nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gitkitchen.alerts.incidents import Book, fold, observe
from gitkitchen.alerts.observing import Scene, of_node, of_outcome, of_promotion, of_road, of_schedule
from gitkitchen.alerts.shapes import Happening, What
from gitkitchen.model import (
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
    Waived,
)
from gitkitchen.promote.shapes import Incident as RoadIncident

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = (START - timedelta(days=1), START)


def outcome(verdict: Verdict, *nodes: NodeResult, hour: float = 0, complete: bool = True) -> Outcome:
    return Outcome(
        run=f"run-{hour}",
        project="shop",
        project_id="7c1e",
        recipe="r",
        variation=None,
        kitchen=Kitchen("k_x", "", "main", "main", environment="prod"),
        subject=Subject("c" * 40, "t" * 40),
        started=START + timedelta(hours=hour),
        finished=START + timedelta(hours=hour),
        verdict=verdict,
        nodes=nodes,
        publication=Publication("withheld", "the ledger is away"),
        complete=complete,
    )


def scene(found: Outcome) -> Scene:
    return Scene("prod", replace(found, nodes=()), {"n": "do this"})


def judged(state: TestState, severity: Severity = Severity.STOP, **more: object) -> TestResult:
    made = TestResult("n/outputs/rows", "n", "n", "outputs", "rows", severity, state, "1 row", "2 rows")
    return replace(made, **more)  # type: ignore[arg-type]


def node(state: State, *tests: TestResult, kind: str = "error", **more: object) -> NodeResult:
    failure = Failure(kind, "it broke 'eve@secret.example'") if state in (State.ERROR, State.FAILED) else None
    made = NodeResult("n", "sql", state, tests=tests, failure=failure, owner="@ana")
    return replace(made, **more)  # type: ignore[arg-type]


WAIVED = Waived("late feed", "@ana", "2026-12-31")


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        (node(State.FAILED, judged(TestState.FAILED)), [("test_failed", "stop")]),
        (node(State.PASSED, judged(TestState.FAILED, Severity.WARN)), [("test_warned", "warn")]),
        (node(State.PASSED, judged(TestState.FAILED, Severity.LOG)), []),
        (node(State.PASSED, judged(TestState.FAILED, waived=WAIVED)), [("test_warned", "warn")]),
        (node(State.FAILED, judged(TestState.ERROR)), [("could_not_check", "stop")]),
        (node(State.ERROR), [("node_failed", "stop")]),
        (node(State.ERROR, kind="infrastructure"), [("could_not_check", "stop")]),
        (node(State.TIMED_OUT), [("node_failed", "stop")]),
        (node(State.ERROR, continued=True), [("node_failed", "warn")]),
        (node(State.BLOCKED), []),
        (node(State.CANCELLED), []),
        (node(State.SKIPPED), []),
        (node(State.PASSED, judged(TestState.PASSED)), []),
    ],
    ids=[
        "stop", "warn", "log", "waived", "unevaluable", "error", "around", "late", "excused", "blocked",
        "cancelled", "skipped", "passed",
    ],
)  # fmt: skip
def test_what_a_node_shows(result: NodeResult, wanted: list[tuple[str, str]]) -> None:
    """Each end of a node and its tests, as an event with its severity; no quoted value of a row."""
    found = of_node(scene(outcome(Verdict.FAILED)), result)
    assert [(h.event.value, h.severity.value) for h in found] == wanted
    assert all("eve@secret" not in h.said for h in found)
    assert all((h.runbook, h.owner) == ("do this", "@ana") for h in found)


def opened(*happenings: Happening) -> Book:
    book = Book()
    for happening in happenings:
        body = observe(book, happening, 0.0)
        assert body is not None
        book = fold([(book.head + 1, body)], book)
    return book


FAILED = node(State.FAILED, judged(TestState.FAILED))


@pytest.mark.parametrize(
    ("later", "verdict", "well"),
    [
        ([node(State.PASSED, judged(TestState.PASSED))], Verdict.PASSED, True),
        ([node(State.REUSED, judged(TestState.PASSED, reused=True))], Verdict.PASSED, True),
        ([node(State.PASSED)], Verdict.PASSED, True),
        ([], Verdict.PASSED, True),
        ([node(State.PASSED, judged(TestState.FAILED, Severity.LOG))], Verdict.PASSED, True),
        ([node(State.PASSED, judged(TestState.SKIPPED))], Verdict.PASSED, False),
        ([node(State.BLOCKED)], Verdict.FAILED, False),
        ([node(State.SKIPPED)], Verdict.PASSED, False),
        ([node(State.ERROR)], Verdict.FAILED, False),
        ([node(State.PASSED, judged(TestState.PASSED))], Verdict.CANCELLED, False),
        ([FAILED], Verdict.FAILED, False),
    ],
    ids=[
        "passes", "reused", "test-gone", "node-gone", "only-noted", "test-skipped", "blocked", "skipped",
        "error", "cancelled", "fails",
    ],
)  # fmt: skip
def test_a_test_recovers_only_on_evidence(later: list[NodeResult], verdict: Verdict, well: bool) -> None:
    """A test that passed, or that the recipe has no more, is well; what was not judged says nothing."""
    book = opened(*of_node(scene(outcome(Verdict.FAILED)), FAILED))
    after = outcome(verdict, *later, hour=1)
    found = of_outcome(scene(after), after, book)
    assert any(h.event is What.RECOVERED and h.test for h in found) == well


def test_a_part_of_a_recipe_says_nothing_of_the_rest() -> None:
    """A run of selected nodes does not close what it left out."""
    book = opened(*of_node(scene(outcome(Verdict.FAILED)), FAILED))
    part = outcome(Verdict.PASSED, hour=1, complete=False)
    assert of_outcome(scene(part), part, book) == ()


@pytest.mark.parametrize(
    ("verdict", "event"),
    [
        (Verdict.CANCELLED, What.RUN_CANCELLED),
        (Verdict.NOTHING_TESTED, What.COULD_NOT_CHECK),
        (Verdict.INFRASTRUCTURE, What.COULD_NOT_CHECK),
    ],
    ids=["cancelled", "nothing", "around"],
)
def test_what_is_no_nodes_is_the_runs(verdict: Verdict, event: What) -> None:
    """A verdict that no node explains is an incident of the recipe, which the next judged run ends."""
    first = outcome(verdict)
    (seen,) = of_outcome(scene(first), first, Book())
    assert (seen.event, seen.node, seen.key) == (event, "", "prod/r/run")
    after = outcome(Verdict.PASSED, hour=1)
    (well,) = of_outcome(scene(after), after, opened(seen))
    assert (well.event, well.key) == (What.RECOVERED, seen.key)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        ("run", What.RECOVERED),
        ("missed", What.SCHEDULE_MISSED),
        ("incomplete", What.SCHEDULE_MISSED),
        ("late_start", What.SCHEDULE_LATE),
        ("late_end", What.SCHEDULE_LATE),
        ("too_long", What.SCHEDULE_LATE),
        ("out_of_order", What.SCHEDULE_LATE),
        ("input_not_ready", What.INPUT_NOT_READY),
        ("failed", None),
        ("superseded", None),
        ("waiting", None),
    ],
    ids=str,
)
def test_what_a_schedule_shows(state: str, event: What | None) -> None:
    """Each standing of an interval: what is late or missing is an incident of the schedule, a run ends it."""
    seen = of_schedule("prod", "r", "daily", state, scheduled_for=START, interval=DAY)
    assert (seen.event if seen else None) == event
    if seen is not None:
        assert seen.key == "prod/r/schedule:daily"
        wanted = "gitkitchen backfill r 2026-03-01T09:00Z 2026-03-02T09:00Z --variation daily"
        assert seen.reproduce == (wanted if seen.bad else "")


def test_a_late_run_that_ran_is_over() -> None:
    """Late at its time and run for the same interval: one incident, closed."""
    late = of_schedule("prod", "r", "daily", "late_start", scheduled_for=START, interval=DAY)
    ran = of_schedule("prod", "r", "daily", "run", scheduled_for=START, interval=DAY)
    assert late is not None
    assert ran is not None
    body = observe(opened(late), ran, 0.0)
    assert body is not None
    assert body["kind"] == "closed"


def test_the_road_is_told_by_what_is_open_there() -> None:
    """An open incident of an environment is told, drift as such; one that is closed there is over here."""
    wrong = RoadIncident("prod", "wrong-tree-1", "wrong-tree", START, "another tree landed", "c" * 40)
    drift = RoadIncident("prod", "i-2", "drift-grants", START, "somebody granted")
    found = of_road("prod", [wrong, drift], Book(), START)
    assert [(h.event, h.severity) for h in found] == [
        (What.ENVIRONMENT_BROKEN, Severity.STOP),
        (What.DRIFT, Severity.WARN),
    ]
    over = of_road("prod", [drift], opened(*found), START + timedelta(hours=1))
    assert [h.key for h in over if not h.bad] == ["prod/wrong-tree-1"]


def test_a_promotion_that_lands_ends_a_refusal() -> None:
    """Refusals of one environment are one thing."""
    refused = of_promotion("prod", "gate: no", START)
    landed = of_promotion("prod", "", START + timedelta(hours=1))
    assert refused.key == landed.key == "prod/promotion"
    assert observe(opened(refused), landed, 0.0) is not None
