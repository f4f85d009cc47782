"""A project whose year passes on a clock that is set: the real decisions of schedules, the real ledger on a
branch, the real incidents and page; what nodes do, and what GitHub does to jobs, is played.

Time goes from one happening to the next. The clock's events come every half hour, late, twice, in another
order, or not at all; jobs wait in the queue of their recipe, die without a word, or are dispatched twice; the
data is bad for hours or days; changes land every week. What is drawn is drawn from a seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.ledger import quick

from gitkitchen.alerts.channels.contract import Answer
from gitkitchen.alerts.message import Words
from gitkitchen.alerts.observing import Scene
from gitkitchen.alerts.sending import Office
from gitkitchen.data.catalog import load_catalog, publish
from gitkitchen.files import digest
from gitkitchen.flow.ending import occasion
from gitkitchen.git import Repository
from gitkitchen.github.facts import Started
from gitkitchen.kitchen.config import load_project
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.protocol import New
from gitkitchen.model import (
    Build,
    Channel,
    Event,
    Failure,
    Kitchen,
    NodeResult,
    Outcome,
    Publication,
    Published,
    Schedule,
    Severity,
    State,
    Subject,
    TestResult,
    TestState,
    Verdict,
    Version,
)
from gitkitchen.plumbing import Plumbing
from gitkitchen.premises import Premises
from gitkitchen.production import reading
from gitkitchen.production.alerting import Watch
from gitkitchen.production.clock import Watch as ClockWatch
from gitkitchen.production.clock import tick
from gitkitchen.promote.moves import body_of
from gitkitchen.promote.shapes import Intent, Landing, Method, stream_of
from gitkitchen.reading import read_recipes
from gitkitchen.road.ground import Ground
from gitkitchen.run.verdict import verdict as judge_run
from gitkitchen.schedule.due import refusal
from gitkitchen.schedule.shapes import Interval
from gitkitchen.schedule.standing import Whose
from gitkitchen.workplace import Request
from shop import Shop

HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
ZONE = "America/New_York"
KITCHEN_YML = """\
version: 1
project: {name: air, id: 7c1e2b90d4a84f36}
environments:
  staging: {branch: staging}
  prod: {branch: main, from: staging}
sandboxes: {base: prod}
store: .gitkitchen/store
ledger: branch
privacy: {default: public}
alerts:
  channels:
    pager: {type: webhook, url: "${{ secrets.PAGER }}", updates: true}
    chat: {type: slack, url: "${{ secrets.CHAT }}"}
  rules:
    - {channels: [pager]}
    - {channels: [chat], severity: stop}
  flapping: 6h
"""
HOURLY = ("hourly", "17 * * * *", "{most: 3}", "{start: 2h, end: 3h}")
DAILY = ("daily", "30 2 * * *", "{most: 2}", "{start: 3h, end: 4h, longest: 1h}")
"""02:30 is an hour that the clocks of New York skip on one day of the year, and show once on all others."""
NODES = {"hourly": 28, "daily": 12}
CHANGED = {"hourly": 1, "daily": 12}
"""So many datasets a run changes, and publishes; those of every hour in the hours of ``ASLEEP`` none."""
ASLEEP = range(1, 6)
"""The hours of the zone's night in which nothing new comes."""


def recipe_yml(name: str, cron: str, most: str, expect: str) -> str:
    nodes = [
        f"  {name}_{n:02d}: {{sql: select {n} as id, tests: [{{rows: {{min: 1}}}}, {{not_null: [id]}}]}}"
        for n in range(NODES[name])
    ]
    schedule = f'{{cron: "{cron}", timezone: {ZONE}, catch_up: {most}, expect: {expect}}}'
    variations = f"  clock:\n    environments: [prod]\n    schedule: {schedule}"
    return "\n".join(["version: 1", f"recipe: {name}", "variations:", variations, "nodes:", *nodes, ""])


@dataclass
class Fault:
    """What is wrong with a node for a while. ``kind``: ``test``, ``node``, ``outside``; ``storm``: a test of
    every node that runs."""

    recipe: str
    node: str
    kind: str
    start: datetime
    end: datetime


@dataclass
class Job:
    """A run of the production workflow."""

    id: int
    title: str
    whose: Whose
    interval: Interval
    status: str = "queued"
    conclusion: str = ""


class Recorder:
    """A channel that takes every message and keeps it."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str, datetime]] = []
        """An entry for each incident that a message told of."""
        self.opened: dict[tuple[str, str], list[int]] = {}
        """(channel, run) -> of how many incidents each message told that opened some."""
        self.sent = 0

    def send(self, words: Words, channel: Channel, _about: object) -> Answer:
        kind = str(words.kind)
        self.sent += 1
        if kind == "opened":
            run = str((words.fields or {})["run"])
            self.opened.setdefault((channel.name, run), []).append(len(words.members))
        self.got += [(channel.name, incident, kind, quick.CLOCK.now) for incident in words.members]
        return Answer("sent", "200", f"m-{self.sent}")


@dataclass
class Counts:
    """What was done to the world."""

    late: int = 0
    dropped: int = 0
    doubled: int = 0
    evicted: int = 0
    twice: int = 0
    ticks: int = 0
    runs: int = 0
    refused: int = 0
    landed: int = 0
    turned_down: int = 0
    pushes: dict[int, int] = field(default_factory=dict)
    """How many runs that nobody had to be told of cost so many pushes."""


class World:
    """``folder`` is new; ``monkeypatch`` puts the quick plumbing in place."""

    def __init__(self, folder: Path, monkeypatch: Any, start: datetime, end: datetime, seed: int = 6) -> None:
        self.draw, self.start, self.end = random.Random(seed), start, end
        self.counts, self.recorder = Counts(), Recorder()
        shop = Shop(folder / "air")
        shop.root.mkdir(parents=True)
        shop.git("init", "-q", "-b", "main")
        files = {f"recipes/{r[0]}/recipe.yml": recipe_yml(*r) for r in (HOURLY, DAILY)}
        shop.commit({"kitchen.yml": KITCHEN_YML, ".gitignore": ".gitkitchen/\n", **files})
        shop.git("branch", "staging")
        self.shop = shop
        self.bare = folder / "ledger.git"
        quick.CLOCK.now = start
        self.ledger = quick.open_quick(self.bare, monkeypatch)
        self.project = load_project(shop.root)
        environment = self.project.environment("prod")
        assert environment is not None
        self.environment = environment
        self.namespace = environment_namespace(self.project, environment)
        self.kitchen = Kitchen(self.project.id, "", "main", self.namespace, "prod")
        repository = Repository.find(shop.root)
        git = Plumbing(shop.root)
        ground = Ground(self.project, self.ledger, shop.root, "", git, None, repository)
        self.premises = Premises(self.project, repository, self.ledger)
        self.schedules: Mapping[Whose, Schedule] = reading.declared(
            environment, read_recipes(self.project).recipes
        )
        self.clock_watch = ClockWatch(ground, {"prod": self.schedules, "staging": {}})
        environ = {"PAGER": "https://pager.example/x", "CHAT": "https://chat.example/y"}
        self.watch = Watch(self.project, environ, lambda: quick.CLOCK.now, _loud)
        senders = {"webhook": self.recorder, "slack": self.recorder}
        self.office = Office(
            self.project, self.ledger, environ, lambda: quick.CLOCK.now, _loud, senders=senders
        )
        self.jobs: list[Job] = []
        self.free: dict[str, datetime] = {}
        """When the queue of a recipe is through with what it has."""
        self.agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self.entries = 0
        self.subject = Subject(self.oid("commit", 0), self.oid("tree", 0))
        self.builds: dict[str, Build] = {}
        self.faults = list(self._faults())
        self.dark = list(self._dark())

    # --- what will happen -----------------------------------------------------------------------------

    def _faults(self) -> Iterator[Fault]:
        storm = self.start + 6 * DAY
        yield Fault("daily", "", "storm", storm, storm + 2 * DAY)
        at = self.start + 3 * DAY
        kinds = ("test", "test", "node", "outside")
        while at < self.end - 4 * DAY:
            recipe = self.draw.choice(("hourly", "hourly", "hourly", "daily"))
            long = timedelta(hours=self.draw.choice((1, 3, 8, 30)) if recipe == "hourly" else 60)
            node = f"{recipe}_{self.draw.randrange(3):02d}"
            yield Fault(recipe, node, self.draw.choice(kinds), at, at + long)
            at += long + timedelta(hours=self.draw.uniform(40, 200))

    def _dark(self) -> Iterator[tuple[datetime, datetime]]:
        """When no event of the clock comes at all."""
        at = self.start + 9 * DAY
        while at < self.end - 9 * DAY:
            yield at, at + timedelta(hours=self.draw.choice((5, 9, 26, 70)))
            at += timedelta(days=self.draw.uniform(12, 40))

    def _events(self) -> Iterator[datetime]:
        at = self.start + 7 * MINUTE
        while at < self.end:
            luck = self.draw.random()
            if any(a <= at < b for a, b in self.dark) or luck < 0.08:
                self.counts.dropped += 1
            elif luck < 0.28:
                self.counts.late += 1
                yield at + timedelta(minutes=self.draw.uniform(3, 170))
            else:
                yield at + timedelta(seconds=self.draw.uniform(1, 60))
                if luck < 0.31:
                    self.counts.doubled += 1
                    yield at + timedelta(seconds=self.draw.uniform(1, 300))
            at += 30 * MINUTE

    def at(self, moment: datetime, what: Callable[[], None]) -> None:
        self.entries += 1
        heapq.heappush(self.agenda, (moment, self.entries, what))

    def live(self) -> None:
        """From start to end, and on until everything that waits has been done."""
        for moment in self._events():
            self.at(moment, self.ticked)
        at, number = self.start + 2 * DAY + 15 * HOUR, 0
        while at < self.end - DAY:
            self.at(at, lambda n=number: self.promoted(n))  # type: ignore[misc]
            at, number = at + 7 * DAY, number + 1
        while self.agenda:
            moment, _, what = heapq.heappop(self.agenda)
            if moment > self.end:
                continue
            quick.CLOCK.now = max(quick.CLOCK.now, moment)
            what()

    # --- the clock, and the forge that it asks --------------------------------------------------------

    def ticked(self) -> None:
        self.counts.ticks += 1
        done = tick(self.clock_watch, self, quick.CLOCK.now)
        assert not done.problems
        self._look()

    def started(self, _workflow: str) -> tuple[Started, ...]:
        return tuple(Started(j.id, j.title, j.status, j.conclusion) for j in self.jobs[-400:])

    def dispatch_workflow(
        self, _workflow: str, _ref: str, inputs: Mapping[str, str], *, key: str = ""
    ) -> bool:
        if any(key in job.title for job in self.jobs[-400:]):
            return False
        whose = Whose("prod", inputs["recipe"], inputs["variation"])
        again = self.draw.random() < 0.01
        self.counts.twice += again
        for _ in range(2 if again else 1):  # the answer was lost, and somebody asked again at once
            job = Job(len(self.jobs) + 1, f"run {key}", whose, Interval.read(inputs["interval"]))
            self.jobs.append(job)
            wait = timedelta(minutes=self.draw.choice((0.2, 1, 3, 3, 8, 40)))
            begin = max(quick.CLOCK.now + wait, self.free.get(whose.recipe, self.start))
            took = timedelta(seconds=self.draw.uniform(60, 400))
            if self.draw.random() < 0.01:
                took += 2 * HOUR
            self.free[whose.recipe] = begin + took + MINUTE
            dies = self.draw.random() < 0.02
            self.counts.evicted += dies
            self.at(begin, lambda job=job, took=took, dies=dies: self.worked(job, took, dies))  # type: ignore[misc]
        return True

    # --- a job ----------------------------------------------------------------------------------------

    def worked(self, job: Job, took: timedelta, dies: bool) -> None:
        job.status = "in_progress"
        began = quick.CLOCK.now
        if dies:
            self.at(began + took, lambda: self._ended(job, "cancelled"))
            return
        schedule = self.schedules[job.whose]
        found = reading.scheduled(self.ledger, self.project, job.whose, schedule)
        if refusal(job.whose, schedule, found.history, job.interval, began):
            self.counts.refused += 1
            self._ended(job, "success")
            return
        self.at(began + took, lambda: self.finished(job, began, took))

    def _ended(self, job: Job, conclusion: str) -> None:
        job.status, job.conclusion = "completed", conclusion

    def finished(self, job: Job, began: datetime, took: timedelta) -> None:
        """The end of a run, as ``flow`` does it: judged, published with its record, or recorded alone."""
        recipe, now = job.whose.recipe, quick.CLOCK.now
        self.counts.runs += 1
        run = f"{began:%Y%m%dT%H%M%S}{began.microsecond // 1000:03}Z-{self.draw.randbytes(3).hex()}"
        request = Request(
            self.shop.root,
            interval=job.interval.pair,
            environ={"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "workflow_dispatch"},
        )
        url = f"https://github.com/acme/air/actions/runs/{17_000_000_000 + job.id * 977}/attempts/1"
        nodes = self._results(recipe, run, began, took)
        verdict = judge_run(nodes)
        pushed = quick.PUSHES[0]
        with self.ledger.lease(f"{self.namespace}/{recipe}", run, late=True) as held:
            catalog = load_catalog(self.ledger, self.project, self.kitchen)
            stream = f"runs/{self.namespace}/{recipe}"

            def body(outcome: Outcome) -> dict[str, Any]:
                from gitkitchen.report.essence import essence

                built = {} if outcome.verdict is Verdict.PASSED else self._built(outcome)
                about = {"outcome": self.draw.randbytes(32).hex(), "built": built}
                return essence(outcome, url) | about | occasion(request)

            outcome = Outcome(
                run, self.project.name, self.project.id, recipe, job.whose.variation, self.kitchen,
                self.subject, began, now, verdict, nodes, Publication("withheld", "tests failed"),
                public_columns={d: ("*",) for n in nodes if n.build for d in n.build.versions},
            )  # fmt: skip
            if verdict is Verdict.PASSED:
                patch = {
                    n.node: Published(n.node, n.build.fingerprint, n.build.versions[n.node].content, recipe,
                                      n.node, run, 0)
                    for n in nodes
                    if n.build is not None and n.state is State.PASSED
                }  # fmt: skip
                state = "published" if patch else "unchanged"
                said = "" if patch else "consumers already have these versions"
                number = None if patch else catalog.sequence
                outcome = replace(outcome, publication=Publication(state, said, number, tuple(patch)))

            if verdict is Verdict.PASSED and patch:

                def along(number: int) -> New:
                    nonlocal outcome
                    outcome = replace(outcome, publication=replace(outcome.publication, sequence=number))
                    return New(stream, body(outcome))

                publish(
                    self.ledger, self.project, self.kitchen, recipe=recipe, run=run, patch=patch,
                    read_sequence=catalog.sequence, fence=held.fence, subject=self.subject, under=held,
                    along=along,
                )  # fmt: skip
            else:
                self.ledger.deposit(stream, body(outcome))
        pushes = quick.PUSHES[0] - pushed
        self.counts.pushes[pushes] = self.counts.pushes.get(pushes, 0) + 1
        self._ended(job, "success" if verdict is Verdict.PASSED else "failure")
        self._told(outcome, job.interval)
        self._look()

    def _results(self, recipe: str, run: str, began: datetime, took: timedelta) -> tuple[NodeResult, ...]:
        """What the nodes did: as many as change are built, the others are as they were."""
        now = quick.CLOCK.now
        now_wrong = [f for f in self.faults if f.recipe == recipe and f.start <= began < f.end]
        wrong = {f.node: f.kind for f in now_wrong}
        storm = any(f.kind == "storm" for f in now_wrong)
        results = []
        seconds = took.total_seconds() / NODES[recipe]
        blocked = False
        asleep = recipe == "hourly" and began.astimezone(ZoneInfo(ZONE)).hour in ASLEEP
        for number in range(NODES[recipe]):
            node = f"{recipe}_{number:02d}"
            runs = (number < CHANGED[recipe] and not asleep) or node not in self.builds
            kind = ("test" if storm else wrong.get(node)) if runs else None
            state = State.PASSED if runs else State.REUSED
            failure, build = None, self.builds.get(node)
            if blocked and runs:
                state, build = State.BLOCKED, None
            elif kind in ("node", "outside"):
                state, build = State.ERROR, None
                failure = Failure(
                    "error" if kind == "node" else "infrastructure", f"{node} could not be read"
                )
                blocked = True
            elif runs:
                build = self._build(node, run, now)
                if kind == "test":
                    state, blocked = State.FAILED, not storm
                else:
                    self.builds[node] = build
            ran = state in (State.PASSED, State.FAILED, State.ERROR)
            results.append(
                NodeResult(
                    node,
                    "sql",
                    state,
                    began + timedelta(seconds=seconds * number) if ran else None,
                    round(seconds * self.draw.uniform(0.6, 1), 3) if ran else 0.0,
                    1 if ran else 0,
                    build,
                    tuple(self._tests(node, kind, state)) if build is not None else (),
                    failure,
                    owner="@analytics",
                )
            )
        if blocked:  # what was built beside what failed is nobody's yet
            for result in results:
                if result.state is State.PASSED and result.build is not None:
                    self.builds[result.node] = result.build
        return tuple(results)

    def _build(self, node: str, run: str, now: datetime) -> Build:
        fingerprint, content = self.draw.randbytes(32).hex(), self.draw.randbytes(32).hex()
        before = self.builds.get(node)
        rows = (before.versions[node].rows or 0) if before else 40_000
        version = Version(node, "table", fingerprint, content, rows=rows + self.draw.randrange(400))
        return Build(node, fingerprint, digest([node]), {}, {}, {node: version}, run, now.isoformat(), 1.0)

    def _tests(self, node: str, kind: str | None, state: State) -> Iterator[TestResult]:
        for number, name in enumerate(("rows(min=1)", "not_null(id)")):
            bad = kind == "test" and number == 0
            yield TestResult(
                f"{node}/outputs/{name}",
                node,
                node,
                "outputs",
                name.partition("(")[0],
                Severity.STOP,
                TestState.FAILED if bad else TestState.PASSED,
                "0 rows" if bad else "40000 rows",
                "at least 1 row",
                reused=state is State.REUSED,
            )

    def _built(self, outcome: Outcome) -> dict[str, Any]:
        good = [n for n in outcome.nodes if n.state is State.PASSED and n.build is not None]
        return {n.node: {"fingerprint": n.build.fingerprint} for n in good if n.build is not None}

    # --- alerts, promotions ---------------------------------------------------------------------------

    def _told(self, outcome: Outcome, interval: Interval) -> None:
        """As ``alerting.watched`` and ``both`` tell of a run while it goes on and when it has ended."""
        shell = replace(outcome, nodes=(), finished=outcome.started, publication=Publication("withheld"))
        self.watch.scene = Scene("prod", shell, interval=interval.pair)
        for result in outcome.nodes:
            self.watch.on_event(Event("finished", result.node, result=result))
        self.watch.ended(outcome)
        self._drained()

    def _look(self) -> None:
        self.watch.looked("prod", lambda: self.schedules)
        self._drained()

    def _drained(self) -> None:
        while not self.watch.waiting.empty():
            work = self.watch.waiting.get()
            assert work is not None
            work(self.office)

    def promoted(self, number: int) -> None:
        now = quick.CLOCK.now
        if self.draw.random() < 0.15:
            self.counts.turned_down += 1
            self.watch.moved("prod", "approvals: 1 of 2 approve this tree", now)
            self._drained()
            self.at(now + DAY, lambda: self.promoted(number))
            return
        self.counts.landed += 1
        before, commit, tree = (
            self.subject.commit,
            self.oid("commit", number + 1),
            self.oid("tree", number + 1),
        )
        landing = Landing(
            "prod", "main", Intent.FORWARD, Method.PUSH, tree, commit, before or "",
            self.oid("source", number), "staging", now, fence=number + 1,
        )  # fmt: skip
        self.ledger.append(stream_of("prod"), body_of(landing))
        self.subject = Subject(commit, tree)
        self.watch.moved("prod", "", now, commit)
        self._drained()

    def oid(self, *words: object) -> str:
        return sha256(" ".join(map(str, words)).encode()).hexdigest()[:40]


def _loud(problem: object) -> None:
    raise AssertionError(str(problem))
