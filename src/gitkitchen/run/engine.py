"""The engine: a plan becomes results. Each node is built or reused, tested, and recorded as it ends."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any

from gitkitchen.errors import GitKitchenError
from gitkitchen.model import (
    GOOD_STATES,
    Action,
    Build,
    Event,
    Failure,
    NodeResult,
    Plan,
    State,
    Step,
    TestResult,
    TestSpec,
    Version,
)
from gitkitchen.printed import mask, masks
from gitkitchen.process import Cancel
from gitkitchen.run import adoption, checks, gate, late
from gitkitchen.run.building import Building, is_interrupt, understood
from gitkitchen.run.context import NodeFailed, RunContext
from gitkitchen.run.nodes import KINDS, PROCESSES
from gitkitchen.run.ready import Queue, Unit
from gitkitchen.run.results import (
    cancelled_while_tested,
    ended_too_late,
    failed,
    journal_entry,
    judged,
    result_of,
    same_meaning,
    with_log,
)
from gitkitchen.run.tables import Tables

__all__ = ["RunContext", "effects", "execute"]

Watcher = Callable[[Event], None]
SELF_TESTING = ("run", "pytest", "results", "dbt")
"""Kinds that can report tests of their own."""
ALL_TESTS = ("pytest", "results")
"""Those that are nothing but their tests."""
TAKE_TURNS = ("run",)
"""Kinds that take a turn only while their process runs (contract.run_process)."""
_PREPARING = 5.0
"""Seconds that the end of a run waits for what was made ready and nobody needed."""
RESUMED = "finished before the interruption"


def execute(plan: Plan, context: RunContext, *, on_event: Watcher, cancel: Cancel) -> tuple[NodeResult, ...]:
    """Carry out a plan but for its ``on: publish`` nodes; one result for each of its other steps, in order.

    Raises what is no node's fault: a journal or store that cannot be written, a bug of ours.
    """
    late_names = _published_later(plan)
    steps = [s for s in plan.steps if s.node.name not in late_names]
    on_event(Event("plan", total=len(steps)))
    return _Run(plan, steps, context, on_event, cancel).run()


def effects(
    plan: Plan,
    context: RunContext,
    sequence: int | None,
    *,
    on_event: Watcher,
    cancel: Cancel,
) -> tuple[NodeResult, ...]:
    """Carry out the ``on: publish`` nodes after publication ``sequence``; ``execute`` went before.

    Each runs until it succeeded once for the newest publication of this recipe; that is kept on record.
    """
    late_names = _published_later(plan)
    steps = [s for s in plan.steps if s.node.name in late_names]
    if not steps:
        return ()
    from gitkitchen.run.effects import Effects

    on_event(Event("plan", total=len(steps)))
    return _Run(plan, steps, context, on_event, cancel, Effects(plan, context, sequence)).run()


def _published_later(plan: Plan) -> set[str]:
    """The nodes that wait for the publication: ``on: publish`` and what needs those."""
    found: set[str] = set()
    for step in plan.steps:
        if step.node.on == "publish" or any(name in found for name in gate.befores(step)):
            found.add(step.node.name)
    return found


class _Run:
    """One run over some steps of a plan."""

    def __init__(
        self,
        plan: Plan,
        steps: Sequence[Step],
        context: RunContext,
        on_event: Watcher,
        cancel: Cancel,
        done_before: Any = None,
    ) -> None:
        self.plan, self.context, self.on_event = plan, context, on_event
        self.asked, self.cancel = cancel, Cancel(cancel)
        self.done_before = done_before
        self.steps = {s.node.name: s for s in steps}
        self.every = {s.node.name: s for s in plan.steps}
        self.order = {name: number for number, name in enumerate(self.steps)}
        self.results = context.results
        self.tables = Tables(context.engine_factory, context.store)
        jobs = context.turns.most
        # One thread more than nodes may execute: what a node leaves is written down while others execute.
        self.queue = Queue(jobs + (jobs > 1), self.cancel, self.tables.interrupt_due)
        self.tables.on_deadline = self.queue.wake
        self.lock = threading.Lock()
        self.given_up = False
        self.unfinished = len(self.steps)
        self.below: dict[str, list[str]] = {name: [] for name in self.steps}
        self.waits: dict[str, int] = {}
        for name, step in self.steps.items():
            before = [b for b in gate.befores(step) if b in self.steps]
            self.waits[name] = len(before)
            for b in before:
                self.below[b].append(name)
        self.keys = {d: s.node.key for s in plan.steps if s.node.key for d in s.node.datasets}
        self.makers = plan.recipe.datasets
        self.finished_before = {
            str(e["node"]): str(e["fingerprint"])
            for e in context.previous
            if e.get("kind") == "node" and e.get("fingerprint")
        }

    def run(self) -> tuple[NodeResult, ...]:
        self.context.journal.write(
            {"version": 1, "kind": "run", "run": self.context.run_id, "nodes": len(self.steps)}
        )
        work = self.context.folder / "work"
        if work.exists():  # of a run that was killed
            shutil.rmtree(work, ignore_errors=True)
        if self.steps:
            listener = self._pass_on
            self.asked.listen(listener)
            early = self._prepare()
            try:
                self.queue.add([self._unit(n) for n in self.steps if not self.waits[n]])
                if not self.queue.run(lambda: self.on_event(Event("cancelling"))):
                    self._give_up()
            finally:
                self.asked.forget(listener)
                if early is not None:
                    early.join(_PREPARING)
                if not self.given_up:
                    self.tables.close()
                    self.context.spare_folders.clear()
                    shutil.rmtree(work, ignore_errors=True)
        return tuple(self.results[name] for name in self.steps)

    def _prepare(self) -> threading.Thread | None:
        """Make ready what the nodes of this process will need while the others' processes keep the machine
        busy: the last node would wait for it alone."""
        will_run = [s.node for s in self.steps.values() if s.action is Action.RUN]
        kinds = {node.kind for node in will_run}
        if not kinds & PROCESSES or not (kinds - PROCESSES or any(node.tests for node in will_run)):
            return None

        def work() -> None:
            with contextlib.suppress(Exception):  # who needs it meets the same again, and says it
                self.context.prepare()
                for name in (*sorted(KINDS[k] for k in kinds if k in KINDS), checks.JUDGE):
                    import_module(name)
                if "sql" in kinds:
                    _ = self.tables.engine

        thread = threading.Thread(target=work, name="gitkitchen-prepares", daemon=True)
        thread.start()
        return thread

    def _pass_on(self) -> None:
        self.queue.wake()

    def _unit(self, name: str) -> Unit:
        step = self.steps[name]
        light = step.action in (Action.REUSE, Action.SKIP)
        limits = () if light or step.node.matrix else self._pool(step)
        return Unit((self.order[name], 0), lambda: self._begin(step), light, limits)

    def _pool(self, step: Step) -> tuple[tuple[str, int], ...]:
        pool = step.node.pool
        return () if pool is None else ((f"pool {pool}", max(self.context.project.pools.get(pool, 1), 1)),)

    # --- one node --------------------------------------------------------------------------------

    def _begin(self, step: Step) -> None:
        """From a node whose turn it is to its result; or to its parts, the last of which ends it."""
        started, begun = self.context.clock(), time.perf_counter()
        parts: list[Unit] = []

        def work() -> NodeResult | None:
            result = self._without_building(step)
            if result is not None:
                return result
            building = self._building(step)
            result = self._taken(step, building) or self._inputs_refused(step, building)
            result = result or self._adopted(step, building)
            if result is None:
                self.on_event(Event("started", step.node.name))
            if result is None and step.node.matrix:
                parts.extend(self._parts(step, building, started, begun))
            elif result is None:
                with self._turn(step):
                    building.run_part(0)
                result = self._built(step, building, started, begun)
            return result

        self._to_its_end(step, work, started, begun)
        self.queue.add(parts)

    def _parts(self, step: Step, building: Building, started: datetime, begun: float) -> Iterable[Unit]:
        limits = self._pool(step)
        if step.node.max_parallel:
            limits = (*limits, (f"node {step.node.name}", step.node.max_parallel))
        for number in range(len(step.definitions)):
            work = partial(self._part, step, building, number, started, begun)
            yield Unit((self.order[step.node.name], number), work, False, limits)

    def _part(self, step: Step, building: Building, number: int, started: datetime, begun: float) -> None:
        with self._turn(step):
            last = building.run_part(number)
        if building.cancel.is_set:
            self.queue.wake()
        if last:
            self._to_its_end(step, lambda: self._built(step, building, started, begun), started, begun)

    def _to_its_end(
        self, step: Step, work: Callable[[], NodeResult | None], started: datetime, begun: float
    ) -> None:
        """End a node with what ``work`` gives, or with the failure that it raises. None: not yet."""
        try:
            result = work()
            if result is None:
                return
        except NodeFailed as error:
            result = failed(step, error)
        except (GitKitchenError, OSError) as error:
            result = failed(step, understood(error, step))
        except Exception as error:
            if not (self.cancel.is_set and is_interrupt(error)):
                raise
            result = failed(step, cancelled_while_tested(step))
        if result.started is None and (result.build is not None or result.failure is None or result.attempts):
            result = replace(result, started=started, seconds=time.perf_counter() - begun)
        self._end(step, result)

    def _without_building(self, step: Step) -> NodeResult | None:
        """The result of a node that is skipped, blocked, done already, or reused by the plan."""
        if step.action is Action.SKIP:
            return result_of(step, State.SKIPPED)
        closed = gate.closed(
            step, self.plan, self.context, self.every, self.results, cancelled=self.asked.is_set
        )
        if closed is not None:
            return closed
        if self.done_before is not None and step.node.on == "publish":
            why = self.done_before.done(step.node)
            if why:
                return result_of(step, State.REUSED, reasons=(why,))
        if step.action is Action.REUSE and step.build is not None:
            return self._reused(step, step.build, step.reasons)
        return None

    def _building(self, step: Step) -> Building:
        name = step.node.name
        known: dict[str, Any] = {}
        if late.has_expressions(step.node):
            over = {n: self.results[n] for n in gate.above(step, self.every) if n in self.results}
            known = late.names(self.plan, self.context, step.node, over)
        inputs: dict[str, Version] = {}
        for dataset in step.reads:
            version = self._version(dataset)
            if version is not None:
                inputs[dataset] = version
        return Building(
            step=step,
            recipe_folder=self.plan.recipe.folder,
            inputs=inputs,
            known=known,
            context=self.context,
            tables=self.tables,
            cancel=Cancel(self.cancel),
            on_retry=lambda why: self.on_event(Event("retry", name, message=why)),
        )

    def _version(self, dataset: str) -> Version | None:
        """The version of a dataset in this run: what its node made, else what the catalog has."""
        maker = self.makers.get(dataset)
        made = self.results.get(maker) if maker else None
        if made is not None and made.build is not None and dataset in made.build.versions:
            return made.build.versions[dataset]
        if made is not None and made.state is not State.SKIPPED:
            return None
        if dataset not in self.plan.catalog.entries:
            return None
        return self.context.version_of(dataset)

    # --- reuse -----------------------------------------------------------------------------------

    def _taken(self, step: Step, building: Building) -> NodeResult | None:
        """The result of a node that was built before: by the interrupted run, or by any run."""
        if step.node.on == "publish":
            return None
        earlier = self._resumed(step, building)
        if earlier is not None:
            return self._reused(step, earlier, (RESUMED,))
        if step.forced or (step.action is Action.RUN and step.fingerprint is not None):
            return None  # the plan has looked
        found = self.context.store.find(building.fingerprint)
        if found is None:
            return None
        reason = "its inputs came out equal" if step.action is Action.MAYBE else "already built"
        return self._reused(step, found, (reason,))

    def _turn(self, step: Step) -> AbstractContextManager[None]:
        """The turn that a node has while it executes; a command's process takes its own."""
        return nullcontext() if step.node.kind in TAKE_TURNS else self.context.turns

    def _adopted(self, step: Step, building: Building) -> NodeResult | None:
        """The result of a node that a sandbox built from the same inputs, tested on those very bytes."""
        if not adoption.may_be(step):
            return None
        with self.context.turns:
            found = adoption.adopted(step, building, self.context, self.tables)
        if found is None:
            return None
        build, label = found
        tests = self._check(step, step.node.tests, build.versions, anew=True)
        if any(t.stops for t in tests):
            return None  # what is built here may say the same, and then says it for itself
        self.context.store.save(build)
        reason = f"adopted from {label}" + (", tested again" if tests else "; it has no tests")
        return judged(step, State.REUSED, build, tests, reasons=(reason,))

    def _resumed(self, step: Step, building: Building) -> Build | None:
        key = self.finished_before.get(step.node.name)
        build = self.context.store.find(key) if key else None
        if build is None or dict(build.inputs) != building.contents:
            return None
        return build if same_meaning(build.parts, building.definition.parts) else None

    def _reused(self, step: Step, build: Build, reasons: tuple[str, ...]) -> NodeResult | None:
        """A node that need not be built: its tests are judged all the same, or their verdicts reused."""
        own: tuple[TestResult, ...] = ()
        if step.node.kind in SELF_TESTING:
            own = checks.own(build.fingerprint, self.context)
            if step.node.kind in ALL_TESTS and not own:
                return None  # a verdict that is not on record is no evidence: run it
        tests = (*own, *self._check(step, step.node.tests, build.versions))
        return judged(step, State.REUSED, build, tests, reasons=reasons)

    # --- tests -----------------------------------------------------------------------------------

    def _check(
        self,
        step: Step,
        specs: Iterable[TestSpec],
        versions: Mapping[str, Version],
        *,
        anew: bool = False,
    ) -> tuple[TestResult, ...]:
        def find(name: str) -> Version | None:
            return versions.get(name) or self._version(name)

        specs = tuple(specs)
        if not specs:
            return ()
        with self.context.turns:
            judged = checks.check(specs, find, self.context, self.tables, self.cancel, self.keys, anew=anew)
            results = self.context.waive(judged)
            self.on_event(Event("tested", step.node.name, total=len(results)))
        return results

    def _inputs_refused(self, step: Step, building: Building) -> NodeResult | None:
        """Failed before it is built, where a test of its inputs stops it."""
        specs = [s for s in step.node.tests if s.phase == "inputs"]
        if not specs:
            return None
        tests = self._check(step, specs, building.inputs)
        if not any(t.stops for t in tests):
            return None
        return judged(step, State.FAILED, None, tests)

    # --- results ---------------------------------------------------------------------------------

    def _built(self, step: Step, building: Building, started: datetime, begun: float) -> NodeResult:
        """The result of a node whose parts have all ended."""
        trouble = building.trouble()
        if trouble is not None:
            return replace(failed(step, trouble, building.log_name), attempts=building.attempts)
        build, built = building.finish(time.perf_counter() - begun)
        if not any(t.stops for t in built.tests):
            if step.node.kind != "results":  # they are read again each time
                checks.keep_own(build.fingerprint, built.tests, self.context)
            self.context.store.save(build)
        tests = (*built.tests, *self._check(step, step.node.tests, build.versions))
        result = judged(step, State.PASSED, build, tests)
        if self.done_before is not None and step.node.on == "publish" and result.state is State.PASSED:
            self.done_before.record(step.node)
        seconds = time.perf_counter() - begun
        return with_log(result, built, building.log_name, building.attempts, started, seconds)

    # --- the end of a node --------------------------------------------------------------------------

    def _end(self, step: Step, result: NodeResult) -> None:
        """Record a result, then let the nodes begin that waited for it."""
        node = step.node
        if node.continue_on_error and result.failure is not None and result.state is not State.CANCELLED:
            result = replace(result, continued=True)
        if self.asked.is_set and result.state in GOOD_STATES:
            result = ended_too_late(result)
        if node.secrets and result.failure is not None:
            hidden = masks([self.context.secrets.get(n, "") for n in node.secrets])
            failure = replace(result.failure, message=mask(result.failure.message, hidden))
            result = replace(result, failure=failure)
        with self.lock:
            if self.given_up:
                return
            self.context.journal.write(journal_entry(result))
            self.results[node.name] = result
            self.unfinished -= 1
            over = self.unfinished == 0
            free = []
            for name in self.below[node.name]:
                self.waits[name] -= 1
                if not self.waits[name]:
                    free.append(name)
        self.on_event(Event("finished", node.name, result=result))
        self.queue.add([self._unit(name) for name in free])
        if over:
            self.queue.finish()

    def _give_up(self) -> None:
        """Something did not end in time after a cancel: it is left behind, and said to be cancelled."""
        with self.lock:
            self.given_up = True
            for name, step in self.steps.items():
                if name not in self.results:
                    failure = Failure("cancelled", "it did not end in time when the run was cancelled")
                    result = result_of(step, State.CANCELLED, failure=replace(failure, place=step.node.place))
                    self.context.journal.write(journal_entry(result))
                    self.results[name] = result
