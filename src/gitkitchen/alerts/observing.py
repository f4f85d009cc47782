"""What a run, a schedule or a promotion shows of things: that they failed, or that they are well again. Pure.

Nothing of it is a row's value: what tests say is cut to what GitHub may see (``report/redaction.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from gitkitchen.alerts.incidents import RANK, Book
from gitkitchen.alerts.shapes import Happening, Incident, What, severity_of
from gitkitchen.frozen import dataclass
from gitkitchen.model import (
    GOOD_STATES,
    NodeResult,
    Outcome,
    Plan,
    Publication,
    Severity,
    State,
    TestResult,
    TestState,
    Verdict,
)
from gitkitchen.promote.shapes import Incident as RoadIncident
from gitkitchen.report import facts
from gitkitchen.report.redaction import public
from gitkitchen.report.text import one_line

MOST = 500
"""Things of one run, the heaviest first, that become incidents."""
_TELLING = ("changed", " is new", " is gone", " is now ")
"""Of a node's reasons to run, those that say what is different."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A run of a recipe in an environment: what every observation of it says alike."""

    environment: str
    shell: Outcome
    """The outcome as far as it is known when the run begins: no nodes."""
    runbooks: Mapping[str, str] = field(default_factory=dict)
    interval: tuple[datetime, datetime] | None = None
    job: str = ""
    changed: Callable[[], tuple[str, ...]] = tuple
    """What changed since the last green run, asked once something failed."""
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Node -> the nodes that it waits for, in topological order."""

    def above(self, node: str) -> frozenset[str]:
        """Every node that a node comes after."""
        found, waiting = set[str](), list(self.after.get(node, ()))
        while waiting:
            if (one := waiting.pop()) not in found:
                found.add(one)
                waiting += self.after.get(one, ())
        return frozenset(found)

    def seen(self, event: What, severity: Severity, said: str, **more: object) -> Happening:
        made = Happening(
            event,
            severity,
            self.environment,
            self.shell.recipe,
            said=said,
            at=self.shell.started,
            run=self.shell.run,
            commit=self.shell.subject.commit or "",
            interval=self.interval,
            job=self.job,
        )
        return replace(made, **more)  # type: ignore[arg-type]


def scene_of(
    plan: Plan,
    run: str,
    started: datetime,
    *,
    project: tuple[str, str],
    everywhere: bool,
    job: str = "",
    changed: Callable[[], tuple[str, ...]] = tuple,
) -> Scene:
    """The scene of a plan that is about to run. ``project``: its name and id; ``everywhere``: all columns of
    it are public."""
    shell = Outcome(
        run=run,
        project=project[0],
        project_id=project[1],
        recipe=plan.recipe.name,
        variation=plan.recipe.variation,
        kitchen=plan.kitchen,
        subject=plan.subject,
        started=started,
        finished=started,
        verdict=Verdict.FAILED,
        nodes=(),
        publication=Publication("withheld"),
        public_columns={
            d: ("*",) if everywhere else s.node.public for s in plan.steps for d in s.node.datasets
        },
        complete=plan.complete,
    )
    runbooks = {s.node.name: s.node.runbook for s in plan.steps if s.node.runbook}
    after = {s.node.name: s.after for s in plan.steps}
    return Scene(plan.kitchen.environment or "", shell, runbooks, plan.interval, job, changed, after)


NOTHING = Book()


def of_node(scene: Scene, result: NodeResult, book: Book = NOTHING) -> tuple[Happening, ...]:
    """What a node that ended shows of itself and of its tests, as far as it is bad."""
    outcome = public(replace(scene.shell, nodes=(result,)))
    return _rooted(scene, book, tuple(_of_findings(scene, outcome)))


def of_outcome(scene: Scene, outcome: Outcome, book: Book) -> tuple[Happening, ...]:
    """All that a run shows that ended: what is bad, and what is well again of what ``book`` has open."""
    bad = _rooted(scene, book, tuple(_of_findings(scene, public(outcome))))
    whole = _of_run(scene, outcome, bad)
    well = (_well(scene, outcome, i) for i in book.open if i.last.recipe == outcome.recipe and not _other(i))
    return (*bad, *whole, *(w for w in well if w is not None))


def _rooted(scene: Scene, book: Book, seen: tuple[Happening, ...]) -> tuple[Happening, ...]:
    """With each happening the first node above it that fails in the same run and is as heavy."""
    failing: dict[str, int] = {}
    known = (
        i.last for i in book.open if i.last.run == scene.shell.run and i.last.recipe == scene.shell.recipe
    )
    for one in (*known, *seen):
        failing[one.node] = max(failing.get(one.node, 0), RANK[one.severity])
    order = {node: place for place, node in enumerate(scene.after)}
    found = []
    for one in seen:
        above = [n for n in scene.above(one.node) if failing.get(n, -1) >= RANK[one.severity]]
        found.append(replace(one, root=min(above, key=lambda n: order.get(n, 0))) if above else one)
    return tuple(found)


def _other(incident: Incident) -> bool:
    """Whether a thing is none that runs show: a schedule, the environment."""
    return bool(incident.last.variation or incident.last.about)


def _of_findings(scene: Scene, outcome: Outcome) -> Iterator[Happening]:
    for finding in facts.findings(outcome)[:MOST]:
        if finding.weight == "log":
            continue
        stops = finding.weight == "stop"
        node, test = finding.node, finding.test
        severity = Severity.STOP if stops else Severity.WARN
        event = _event(node, test, stops=stops)
        yield scene.seen(
            event,
            severity,
            _said(finding),
            node=node.node,
            test=test.id if test else "",
            owner=node.owner,
            observed=one_line(test.observed) if test else "",
            expected=one_line(test.expected) if test else "",
            reproduce=facts.reproduce(outcome, finding),
            runbook=scene.runbooks.get(node.node, ""),
            changed=(*_reasons(node), *scene.changed()),
        )


def _event(node: NodeResult, test: TestResult | None, *, stops: bool) -> What:
    if test is None:
        outside = node.failure is not None and node.failure.kind == "infrastructure"
        return What.COULD_NOT_CHECK if outside else What.NODE_FAILED
    if test.state is TestState.ERROR:
        return What.COULD_NOT_CHECK
    return What.TEST_FAILED if stops else What.TEST_WARNED


def _said(finding: facts.Finding) -> str:
    if finding.test is None:
        why = finding.node.failure.message if finding.node.failure else ""
        return one_line(f"{finding.word}: {why}" if why else finding.word)
    more = facts.why(finding.test)
    said = f"a test of {finding.test.dataset}: {finding.word}"
    return one_line(f"{said}: {more}" if more else said)


def _reasons(node: NodeResult) -> tuple[str, ...]:
    return tuple(one_line(r) for r in node.reasons if any(word in r for word in _TELLING))


def _of_run(scene: Scene, outcome: Outcome, bad: Sequence[Happening]) -> Iterator[Happening]:
    """What is no node's."""
    again = facts.run_command(outcome)
    if outcome.verdict is Verdict.CANCELLED:
        yield scene.seen(What.RUN_CANCELLED, Severity.WARN, "the run was cancelled", reproduce=again)
    elif outcome.verdict is Verdict.NOTHING_TESTED:
        said = "nothing was tested, so that nothing was published"
        yield scene.seen(What.COULD_NOT_CHECK, Severity.STOP, said, reproduce=again)
    elif outcome.verdict is Verdict.INFRASTRUCTURE and not bad:
        said = one_line(outcome.publication.reason) or "it could not be checked"
        yield scene.seen(What.COULD_NOT_CHECK, Severity.STOP, said, reproduce=again)


def _well(scene: Scene, outcome: Outcome, incident: Incident) -> Happening | None:
    """That what is open is well, as this run shows; None where it does not show it."""
    last = incident.last
    if outcome.verdict is Verdict.CANCELLED:
        return None
    node = next((n for n in outcome.nodes if n.node == last.node), None) if last.node else None
    if not last.node:
        fine = outcome.verdict in (Verdict.PASSED, Verdict.FAILED)
        said = "the recipe runs again"
    elif node is None:
        fine, said = outcome.complete, "it is no part of the recipe any more"
    elif last.test:
        fine, said = _test_is_well(node, last.test)
    else:
        tests_alone = node.state is State.FAILED and any(t.stops for t in node.tests)
        fine, said = node.state in GOOD_STATES or tests_alone, "it runs again"
    if not fine:
        return None
    names = {"node": last.node, "test": last.test, "owner": last.owner}
    return scene.seen(What.RECOVERED, last.severity, said, **names)


def _test_is_well(node: NodeResult, test: str) -> tuple[bool, str]:
    found = next((t for t in node.tests if t.id == test), None)
    if found is None:
        return node.state in GOOD_STATES, "the test is gone"
    if found.severity is Severity.LOG and found.state is TestState.FAILED:
        return True, "it is only noted now"
    return found.state is TestState.PASSED, "the test passes again"


# --- what is no run ---------------------------------------------------------------------------

_STANDINGS: Mapping[str, What] = {
    "run": What.RECOVERED,
    "missed": What.SCHEDULE_MISSED,
    "incomplete": What.SCHEDULE_MISSED,
    "late_start": What.SCHEDULE_LATE,
    "late_end": What.SCHEDULE_LATE,
    "too_long": What.SCHEDULE_LATE,
    "out_of_order": What.SCHEDULE_LATE,
    "input_not_ready": What.INPUT_NOT_READY,
}
"""What becomes of a ``Standing``'s state; of others nothing: a failed run tells of itself."""


def of_schedule(
    environment: str,
    recipe: str,
    variation: str,
    state: str,
    *,
    scheduled_for: datetime,
    interval: tuple[datetime, datetime] | None = None,
    said: str = "",
    run: str = "",
    owner: str = "",
    job: str = "",
    runbook: str = "",
) -> Happening | None:
    """What the standing of an interval shows of its schedule; None where nothing."""
    event = _STANDINGS.get(state)
    if event is None:
        return None
    words = said or ("it runs in time again" if event is What.RECOVERED else state.replace("_", " "))
    command = ""
    if interval is not None and event is not What.RECOVERED:
        start, end = (moment.strftime("%Y-%m-%dT%H:%MZ") for moment in interval)
        command = f"gitkitchen backfill {recipe} {start} {end} --variation {variation}"
    return Happening(
        event,
        severity_of(event),
        environment,
        recipe,
        owner=owner,
        said=one_line(words),
        at=scheduled_for,
        run=run,
        interval=interval,
        reproduce=command,
        runbook=runbook,
        variation=variation,
        job=job,
    )


def of_promotion(
    environment: str, refused: str, at: datetime, *, run: str = "", commit: str = "", job: str = ""
) -> Happening:
    """A promotion into an environment: refused, in these words, or ("") landed."""
    event = What.PROMOTION_REFUSED if refused else What.RECOVERED
    return Happening(
        event,
        severity_of(event),
        environment,
        said=one_line(refused) or "a promotion landed",
        at=at,
        run=run or at.isoformat(),
        commit=commit,
        reproduce=f"gitkitchen promote {environment} --dry-run" if refused else "",
        about="promotion",
        job=job,
    )


def of_road(
    environment: str, incidents: Iterable[RoadIncident], book: Book, now: datetime, *, job: str = ""
) -> tuple[Happening, ...]:
    """The incidents of an environment's road that are open, and that others which were told are over."""
    found = []
    still = {one.id: one for one in incidents}
    for one in still.values():
        event = What.DRIFT if "drift" in one.kind else What.ENVIRONMENT_BROKEN
        made = Happening(event, severity_of(event), environment, said=one_line(one.said), at=one.at)
        command = f"gitkitchen audit {environment} --verify"
        found.append(replace(made, run=one.id, commit=one.commit, reproduce=command, about=one.id, job=job))
    for told in book.open:
        if told.last.event in (What.ENVIRONMENT_BROKEN, What.DRIFT) and told.last.about not in still:
            over = Happening(
                What.RECOVERED, told.severity, environment, said="the incident is closed", at=now
            )
            found.append(replace(over, about=told.last.about, job=job))
    return tuple(found)
