"""Alerts around a run: seconds after the failing node, in a thread of their own, and never in its way.

The run tells what happened; the thread records it, and sends. What goes wrong here is said and changes no
verdict; the end of a run waits for it a bounded time, and what is not sent by then, the next command sends.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.alerts.grouping import Going
from gitkitchen.alerts.observing import Scene, of_node, of_outcome, of_promotion, of_road, scene_of
from gitkitchen.alerts.shapes import Happening, What
from gitkitchen.errors import GitKitchenError, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.authority import refusal
from gitkitchen.kitchen.config import find_root, load_project
from gitkitchen.ledger.opening import open_ledger
from gitkitchen.model import Event, NodeResult, Outcome, Plan, Project, Severity, State, TestState
from gitkitchen.premises import find_project
from gitkitchen.production.changes import since_green
from gitkitchen.workplace import Request

if TYPE_CHECKING:
    from gitkitchen.alerts.channels.contract import Forge
    from gitkitchen.alerts.incidents import Book
    from gitkitchen.alerts.sending import Office
    from gitkitchen.production.missing import Declared
    from gitkitchen.road.shown import Shown

BOUND = 30.0
"""Seconds that the end of a run waits for its alerts."""
PATIENCE = timedelta(minutes=15)
"""How long from its beginning a run of another job may go on, as far as its late alerts are concerned."""
HURRY = 2.0
"""The same where the run was asked to end."""
_BAD = frozenset({State.FAILED, State.ERROR, State.TIMED_OUT})
_BAD_TESTS = frozenset({TestState.FAILED, TestState.ERROR})


def job_address(environ: Mapping[str, str]) -> str:
    """The page of the job that we are in; "" where we are in none."""
    server, repository, run = (environ.get(f"GITHUB_{n}", "") for n in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    if not (environ.get("GITHUB_ACTIONS") == "true" and repository and run):
        return ""
    return f"{server or 'https://github.com'}/{repository}/actions/runs/{run}"


def repository_address(environ: Mapping[str, str]) -> str:
    """The repository's page, as far as a job knows it."""
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    return f"{server or 'https://github.com'}/{repository}" if repository else ""


def forge_of(environ: Mapping[str, str]) -> Callable[[], Forge] | None:
    """What writes issues for the job that we are in. A person's token writes none: whose issues are ours is
    told by who wrote them."""
    if not (environ.get("GITHUB_ACTIONS") == "true" and environ.get("GITHUB_TOKEN")):
        return None

    def made() -> Forge:
        from gitkitchen.github.api import Client
        from gitkitchen.github.asking import Budget

        return Client.of_job(environ, budget=Budget(requests=60, seconds=25.0, timeout=10))

    return made


def office_of(
    project: Project,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    say: Callable[[Problem], None],
    *,
    forge: Callable[[], Forge] | None = None,
    **more: Any,
) -> Office:
    """Who sends the alerts of a project from here."""
    from gitkitchen.alerts.sending import Office

    return Office(
        project=project,
        ledger=open_ledger(project, say=say),
        environ=environ,
        now=now,
        say=say,
        forge=forge or forge_of(environ),
        repository=repository_address(environ),
        **more,
    )


@dataclass
class Watch:
    """What is told of runs while they are under way. Made by ``watching``; its methods take no time."""

    project: Project
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    say: Callable[[Problem], None]
    forge: Callable[[], Forge] | None = None
    on: bool = True
    scene: Scene | None = None
    secrets: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    """The runs that ended here."""
    waiting: queue.Queue[Callable[[Office], None] | None] = field(default_factory=queue.Queue)

    def begun(self, plan: Plan, run: str, started: datetime) -> None:
        """A run begins: what its nodes end with is its own from now on."""
        self.scene = None
        barred = refusal(self.project.ledger, self.project.store, plan.kitchen, self.environ)
        if not self.on or plan.kitchen.environment is None or barred:
            return
        for step in plan.steps:
            self.secrets |= {self.environ.get(name, "") for name in step.node.secrets}
        known: list[tuple[str, ...]] = []

        def changed() -> tuple[str, ...]:
            if not known:
                ledger = open_ledger(self.project, say=lambda _problem: None)
                where = (plan.kitchen.namespace, plan.recipe.name, run)
                known.append(since_green(ledger, self.project.root, *where, plan.subject))
            return known[0]

        self.scene = scene_of(
            plan,
            run,
            started,
            project=(self.project.name, self.project.id),
            everywhere=self.project.public_by_default,
            job=job_address(self.environ),
            changed=changed,
        )

    def on_event(self, event: Event) -> None:
        """A node ended: if badly, who is to know learns it now."""
        scene, result = self.scene, event.result
        if scene is not None and result is not None and _is_bad(result):
            going = self._going(scene)
            self._later(scene.environment, lambda book: of_node(scene, result, book), going)

    def ended(self, outcome: Outcome) -> None:
        """A run ended, with all that it shows; one that was to publish nothing shows nothing."""
        scene = self.scene
        self.over.add(outcome.run)
        if scene is not None and outcome.publication.state != "not_asked":
            self._later(scene.environment, lambda book: of_outcome(scene, outcome, book))

    def unable(self, environment: str, recipe: str, said: str, at: datetime) -> None:
        """A run could not even begin."""
        scene = self.scene
        self.over |= {scene.shell.run} if scene is not None else set()
        made = Happening(
            What.COULD_NOT_CHECK,
            Severity.STOP,
            environment,
            recipe,
            said=said,
            at=at,
            run=scene.shell.run if scene is not None and scene.shell.recipe == recipe else at.isoformat(),
            reproduce=f"gitkitchen run {recipe}",
            job=job_address(self.environ),
        )
        self._later(environment, lambda _book: (made,))

    def moved(self, environment: str, refused: str, at: datetime, commit: str = "") -> None:
        """A promotion into an environment landed, or ("refused") did not."""
        about = {"commit": commit, "job": job_address(self.environ)}
        run = "/".join(filter(None, (self.environ.get(f"GITHUB_RUN_{n}", "") for n in ("ID", "ATTEMPT"))))
        made = of_promotion(environment, refused, at, run=run, **about)
        self._later(environment, lambda _book: (made,))

    def dropped(self, environment: str, said: str, at: datetime, commit: str, key: str) -> None:
        """A promotion that followed the landing of ``commit`` never ran. ``key``: of the job that was to."""
        made = of_promotion(environment, said, at, run=key, commit=commit)
        self._later(environment, lambda _book: (made,))

    def looked(self, environment: str, declared: Declared = dict) -> None:
        """Somebody looks after an environment: its own incidents are told, what its schedules (``declared``,
        as far as the caller knows them) missed or were late with, and that either is over."""
        job = job_address(self.environ)

        def seen(office: Office) -> None:
            from gitkitchen.production.missing import schedules_seen
            from gitkitchen.road.incidents import course_of

            now = office.now()
            if (refresh := getattr(office.ledger, "refresh", None)) is not None:
                refresh()  # what the run itself recorded since its alerts were sent counts
            course = course_of(office.ledger, environment)
            late = schedules_seen(office.ledger, self.project, environment, now, declared=declared, job=job)
            _tell(
                replace(office, going=self._going()),
                environment,
                lambda book: (*of_road(environment, course.incidents, book, now, job=job), *late),
            )

        if self.on:
            self.waiting.put(seen)

    def send(self, environment: str, happenings: Sequence[Happening] = ()) -> None:
        """Tell of what is given, and send whatever is due."""
        self._later(environment, lambda _book: happenings)

    def _later(
        self, environment: str, seen: Callable[[Book], Iterable[Happening]], going: Going | None = None
    ) -> None:
        going = going or self._going()
        if self.on:
            self.waiting.put(lambda office: _tell(replace(office, going=going), environment, seen))

    def _going(self, scene: Scene | None = None) -> Going:
        """What may go on: the run of a scene, and what other jobs do."""
        shell = scene.shell if scene is not None else None
        run, recipe = (shell.run, shell.recipe) if shell is not None else ("", "")
        return Going(run, recipe, frozenset(self.over), PATIENCE)


def _is_bad(result: NodeResult) -> bool:
    return result.state in _BAD or any(t.state in _BAD_TESTS for t in result.tests)


def _tell(office: Office, environment: str, seen: Callable[[Book], Iterable[Happening]]) -> None:
    """Record, then send. What could not be recorded waits on this machine's disk."""
    from gitkitchen.alerts.incidents import Book
    from gitkitchen.alerts.sending import observed, send_due

    made: list[Happening] = []

    def noted(book: Book) -> Iterable[Happening]:
        made[:] = seen(book)
        return made

    try:
        book = observed(office, environment, noted)
    except GitKitchenError as error:
        bad = [h for h in made or seen(Book()) if h.bad]
        office.spool.put(bad)
        problem = error.problems[0]
        office.say(replace(problem, message=f"alerts of '{environment}' wait: {problem.message}"))
        return
    send_due(office, environment, book)


@contextmanager
def watching(
    start: Path,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    say: Callable[[Problem], None],
    *,
    forge: Callable[[], Forge] | None = None,
    hurried: Callable[[], bool] = lambda: False,
    bound: float = BOUND,
) -> Iterator[Watch]:
    """Watch what happens in the block, and send what is due. ``hurried``: whether its end may not wait.

    Where ``kitchen.yml`` has no rule, nothing is started.
    """
    try:
        project = load_project(find_root(start))
        if project.alerts.rules:
            project, _ = find_project(start)
    except GitKitchenError:
        project = Project(start, "", "")  # whoever runs says what is wrong
    watch = Watch(project, environ, now, say, forge, on=bool(project.alerts.rules))
    if not watch.on:
        yield watch
        return
    thread = threading.Thread(target=_work, args=(watch, bound), name="gitkitchen-alerts", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.waiting.put(None)
        thread.join(min(bound, HURRY) if hurried() else bound)
        if thread.is_alive():
            say(
                Problem("alerts were not sent in time", hint="the next command sends them", code="alert-time")
            )


def _work(watch: Watch, bound: float) -> None:
    """All that waits, one after the other. Whatever happens here is said, and ends nothing."""
    office: Office | None = None
    while True:
        work = watch.waiting.get()
        if work is None:
            return
        try:
            office = office or office_of(
                watch.project, watch.environ, watch.now, watch.say, forge=watch.forge, bound=bound
            )
            secrets = tuple(sorted(filter(None, set(watch.secrets))))
            work(replace(office, secrets=secrets) if secrets else office)
        except GitKitchenError as error:
            for problem in error.problems:
                watch.say(replace(problem, message=f"an alert could not be sent: {problem.message}"))
        except Exception as error:  # noqa: BLE001 (never a verdict's business)
            watch.say(Problem(f"an alert could not be sent: {type(error).__name__}", code="alert-failed"))


def watched(request: Request, watch: Watch) -> Request:
    """A request whose run tells a watch that it begins. What publishes nothing is nobody's business."""
    watch.scene = None
    return replace(request, begun=watch.begun) if watch.on and request.publish else request


def both(on_event: Callable[[Event], None], watch: Watch) -> Callable[[Event], None]:
    """Who shows progress, and who tells of failures."""
    if not watch.on:
        return on_event

    def told(event: Event) -> None:
        on_event(event)
        watch.on_event(event)

    return told


def refusal_of(shown: Shown) -> str | None:
    """Why a move did not land, in a line; "" where it did, None where that says nothing to anybody: it waits
    for its gates, there was nothing to do, another was faster."""
    from gitkitchen.promote.protocol import End

    if shown.end is End.LANDED:
        return ""
    if shown.end not in (End.UNPROVED, End.BROKEN):
        return None
    failed = [f"{g.gate}: {g.reason}" for g in shown.gates if g.standing.value == "failed"]
    problems = [p.message for p in shown.problems]
    return "; ".join([*failed, *problems, *shown.said][:4]) or "it may not land"


def drain(office: Office, environments: Iterable[str]) -> int:
    """Send all that is due now; how many messages went."""
    from gitkitchen.alerts.sending import observed, send_due

    sent = 0
    for environment in environments:
        book = observed(office, environment, ())
        sent += sum(1 for one in send_due(office, environment, book) if one.answer.end == "sent")
    return sent
