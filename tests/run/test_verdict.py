"""From results to a verdict and to what may be published."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Place
from gitkitchen.model import (
    Action,
    Build,
    Catalog,
    Failure,
    Kitchen,
    NodeResult,
    NodeSpec,
    Plan,
    Published,
    Recipe,
    Severity,
    State,
    Step,
    Subject,
    TestResult,
    TestState,
    Verdict,
    Version,
)
from gitkitchen.run.publication import patch, withheld
from gitkitchen.run.verdict import verdict


def judged(state: TestState = TestState.PASSED, severity: Severity = Severity.STOP) -> TestResult:
    return TestResult("n/outputs/rows", "n", "n", "outputs", "rows", severity, state, "1", "1")


def node(state: State, *tests: TestResult, kind: str = "error", continued: bool = False) -> NodeResult:
    failure = None if state in (State.PASSED, State.REUSED) else Failure(kind, "why")
    return NodeResult("n", "sql", state, tests=tests, failure=failure, continued=continued)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], Verdict.NOTHING_TESTED),
        ([node(State.PASSED)], Verdict.NOTHING_TESTED),
        ([node(State.PASSED, judged(TestState.SKIPPED))], Verdict.NOTHING_TESTED),
        ([node(State.PASSED, judged(TestState.ERROR, Severity.WARN))], Verdict.NOTHING_TESTED),
        ([node(State.PASSED, judged())], Verdict.PASSED),
        ([node(State.REUSED, judged())], Verdict.PASSED),
        ([node(State.PASSED, judged(TestState.FAILED, Severity.WARN))], Verdict.PASSED),
        ([node(State.PASSED, judged()), node(State.SKIPPED)], Verdict.PASSED),
        ([node(State.FAILED, judged(TestState.FAILED), kind="test")], Verdict.FAILED),
        ([node(State.PASSED, judged()), node(State.ERROR)], Verdict.FAILED),
        ([node(State.PASSED, judged()), node(State.TIMED_OUT, kind="timeout")], Verdict.FAILED),
        ([node(State.PASSED, judged()), node(State.BLOCKED)], Verdict.FAILED),
        ([node(State.PASSED, judged()), node(State.ERROR, continued=True)], Verdict.PASSED),
        ([node(State.ERROR, judged(), continued=True)], Verdict.NOTHING_TESTED),
        ([node(State.ERROR, kind="infrastructure"), node(State.BLOCKED)], Verdict.INFRASTRUCTURE),
        ([node(State.ERROR, kind="infrastructure"), node(State.FAILED, kind="test")], Verdict.FAILED),
        ([node(State.FAILED, kind="test"), node(State.CANCELLED, kind="cancelled")], Verdict.CANCELLED),
    ],
)
def test_the_worst_node_decides_and_green_needs_evidence(nodes: list[NodeResult], expected: Verdict) -> None:
    """Each mixture of states has one verdict."""
    assert verdict(nodes) is expected


RESULTS = st.builds(
    node,
    st.sampled_from(State),
    st.builds(judged, st.sampled_from(TestState), st.sampled_from(Severity)),
    kind=st.sampled_from(["error", "infrastructure", "test"]),
    continued=st.booleans(),
)


@given(st.lists(RESULTS, max_size=6))
def test_green_means_that_all_went_well_and_something_was_tested(nodes: list[NodeResult]) -> None:
    """No mixture with an unexcused bad node, or without an evaluated test, is green."""
    if verdict(nodes) is Verdict.PASSED:
        good = {State.PASSED, State.REUSED, State.SKIPPED}
        assert all(n.state in good or n.continued for n in nodes)
        assert any(t.state in (TestState.PASSED, TestState.FAILED) for n in nodes for t in n.tests)


def plan_of(*datasets: str, environment: str | None = "prod", dirty: bool = False, **catalog: str) -> Plan:
    place = Place("recipes/r/recipe.yml", 1)
    nodes = {d: NodeSpec(d, "sql", {}, place, datasets={d: None}) for d in datasets}
    kitchen = Kitchen("p", "here", "main", "k_main_000000000000", environment)
    entries = {d: Published(d, f, f, "r", d, "old", 1) for d, f in catalog.items()}
    steps = tuple(Step(n, Action.RUN, (), {}, (), ()) for n in nodes.values())
    subject = Subject("c", "t", dirty)
    recipe = Recipe("r", "recipes/r", "recipes/r/recipe.yml", nodes)
    return Plan(kitchen, recipe, subject, steps, Catalog("k", 1, entries))


def built(dataset: str, fingerprint: str, state: State = State.PASSED, **more: bool) -> NodeResult:
    version = Version(dataset, "table", fingerprint, fingerprint)
    build = Build(dataset, fingerprint, "d", {}, {}, {dataset: version})
    return NodeResult(dataset, "sql", state, build=build, **more)


def test_a_patch_holds_what_changed_and_what_is_gone() -> None:
    """New and changed datasets are written, equal ones are not, abandoned ones are removed."""
    plan = plan_of("a", "b", "c", a="1", b="1", gone="1")
    changes = patch(plan, [built("a", "1", State.REUSED), built("b", "2"), built("c", "1")], "run")
    assert set(changes) == {"b", "c", "gone"}
    assert changes["gone"] is None
    new = changes["b"]
    assert new is not None
    assert (new.fingerprint, new.run, new.recipe, new.zone) == ("2", "run", "r", "trusted")


def test_what_failed_or_was_excused_is_never_in_a_patch() -> None:
    """Candidates of failed nodes, and of nodes whose failure was excused, stay candidates."""
    plan = plan_of("a", "b")
    bad = [built("a", "2", State.FAILED), built("b", "2", State.ERROR, continued=True)]
    assert patch(plan, bad, "run") == {}


@pytest.mark.parametrize(
    ("environment", "dirty", "found"), list(product([None, "prod"], [False, True], list(Verdict)))
)
def test_only_green_and_committed_trees_publish_to_environments(
    environment: str | None, dirty: bool, found: Verdict
) -> None:
    """Everything but green is withheld everywhere; a dirty tree is withheld from environments."""
    allowed = found is Verdict.PASSED and not (dirty and environment)
    assert (withheld(plan_of("a", environment=environment, dirty=dirty), found) == "") is allowed
