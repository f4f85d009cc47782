"""The table of the protocol holds together: every answer leads somewhere, and every road to an end."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gitkitchen.promote.protocol import DONE, FORGE_ONLY, ROUTES, STEPS, Does, End, Purpose, Route, Way, route
from gitkitchen.promote.shapes import Intent

IDS = [f"{r.purpose.value}-{r.way.value}" for r in ROUTES]
LANDS = {"atomic-push", "merge-button", "move-branch"}


@pytest.mark.parametrize("path", ROUTES, ids=IDS)
def test_every_answer_leads_to_a_step_of_the_route_or_an_end(path: Route) -> None:
    """Whatever a step is answered, the route knows how to go on; what nobody expects is refused."""
    for step in (*path.steps, *path.aside):
        for answer in (DONE, *step.answers):
            to = path.after(step.name, answer)
            assert isinstance(to, End) or path.step(to)
        with pytest.raises(KeyError, match="does not expect"):
            path.after(step.name, "perhaps")


@pytest.mark.parametrize("path", ROUTES, ids=IDS)
def test_every_step_is_reached_and_every_step_can_end(path: Route) -> None:
    """No step is out of reach, and from each one some answers lead to an end."""
    names = [step.name for step in (*path.steps, *path.aside)]
    assert len(names) == len(set(names))
    leads = {n: {path.after(n, a) for a in (DONE, *path.step(n).answers)} for n in names}
    reached, new = {names[0]}, [names[0]]
    while new:
        fresh = {to for to in leads[new.pop()] if isinstance(to, str)} - reached
        reached |= fresh
        new += fresh
    assert reached == set(names)
    ending: set[str] = set()
    for _ in names:
        ending |= {n for n in names if any(isinstance(to, End) or to in ending for to in leads[n])}
    assert ending == set(names)


@pytest.mark.parametrize("path", ROUTES, ids=IDS)
def test_what_moves_an_environment_is_done_under_the_lease_and_behind_the_last_look(path: Route) -> None:
    """Every landing, record, hold and incident stands between taking the lease and giving it back."""
    order = [step.name for step in path.steps]
    for name in {"record-move", "record-hold", "record-release", *LANDS} & set(order):
        assert path.holds(name)
        assert order.index("take-lease") < order.index(name) < order.index("give-back-lease")
        if "judge-again" in order:
            assert order.index("judge-again") < order.index(name)
    assert path.holds("record-incident")
    assert not path.holds("take-lease")


@pytest.mark.parametrize("path", ROUTES, ids=IDS)
def test_nobody_is_told_before_it_is_recorded(path: Route) -> None:
    """Reports, closed pull requests and the next environment's dispatch come behind the record."""
    order = [step.name for step in path.steps]
    told = [order.index(name) for name in order if name in {"report-landed", "close-pull", "dispatch-next"}]
    recorded = [order.index(name) for name in order if name in {"record-move", "atomic-push"}]
    assert not told or (recorded and min(told) > max(recorded))


def test_there_is_a_route_for_every_intent_by_every_way() -> None:
    """The three intents of a promotion are purposes, and every way lands them by a step of its own."""
    for intent in Intent:
        for way in Way:
            path = route(Purpose(intent.value), way)
            assert len(LANDS & {step.name for step in path.steps}) == 1
            assert path.end is End.LANDED
    assert not FORGE_ONLY & {s.name for r in ROUTES if r.way is Way.LOCAL for s in r.steps}


def test_every_step_of_the_table_is_used_and_says_what_a_crash_leaves() -> None:
    """The table has no step that no route takes, and none that is silent about a crash behind it."""
    used = {step.name for path in ROUTES for step in (*path.steps, *path.aside)}
    assert used == set(STEPS)
    assert all(step.left for step in STEPS.values())
    assert not {s.name for s in STEPS.values() if s.does is Does.READS and s.left.startswith("a ")}


def test_a_rollback_takes_candidates_away_then_holds_then_shows_its_own_then_lands() -> None:
    """An older promotion that wakes up finds its candidate gone, and nobody lands a rollback without hold."""
    for way in Way:
        order = [step.name for step in route(Purpose.ROLLBACK, way).steps]
        wanted = ["take-lease", "clear-candidates", "record-hold", "push-candidate"]
        wanted.append(next(name for name in order if name in LANDS))
        assert all(a < b for a, b in pairwise(order.index(name) for name in wanted))
