"""The engine: a plan becomes results. Each node is built or reused, tested, and recorded as it ends."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any

from gitkitchen.errors import GitKitchenError
from gitkitchen.model import (
    GOOD_STATES,
    Action,
    Event,
    Failure,
    FileEntry,
    NodeResult,
    Plan,
    State,
    Step,
    Version,
)
from gitkitchen.printed import mask, masks
from gitkitchen.process import Cancel
from gitkitchen.run import checks, gate
from gitkitchen.run.ahead import Ahead, may_lead
from gitkitchen.run.building import Building, is_interrupt, understood
from gitkitchen.run.context import NodeFailed, RunContext
from gitkitchen.run.nodes import KINDS, PROCESSES
from gitkitchen.run.ready import Queue, Unit
from gitkitchen.run.results import (
    cancelled_while_tested,
    ended_too_late,
    failed,
    journal_entry,
    result_of,
)
from gitkitchen.run.settling import TAKE_TURNS, Settling
from gitkitchen.run.tables import Tables
from gitkitchen.turns import EARLY

__all__ = ["RunContext", "effects", "execute"]

Watcher = Callable[[Event], None]
_PREPARING = 5.0
"""Seconds that the end of a run waits for what was made ready and nobody needed."""
_SHARE = 0.0005
"""Seconds after which an import gives way to the threads that start processes: Python's usual ten times as
many would leave the other cores idle meanwhile."""


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
        self.context, self.on_event = context, on_event
        self.asked, self.cancel = cancel, Cancel(cancel)
        self.steps = {s.node.name: s for s in steps}
        self.order = {name: number for number, name in enumerate(self.steps)}
        self.results = context.results
        self.tables = Tables(context.engine_factory, context.store)
        jobs = context.turns.most
        # More threads than nodes may execute: what a node leaves is written down while others execute, and
        # commands may wait at the bell of the supervisors.
        waiting = any(s.node.kind in TAKE_TURNS for s in self.steps.values())
        more = 0 if jobs == 1 else EARLY if waiting else 1
        self.queue = Queue(jobs + more, self.cancel, self.tables.interrupt_due)
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
        self.settling = Settling(
            plan, context, self.tables, on_event, self.asked, self.cancel, done_before, self.results
        )
        self.ahead = Ahead(
            self.tables, context.turns, self.cancel, context.clock, lambda: self.queue.is_empty
        )

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
            early = None
            try:
                self.queue.add([self._unit(n) for n in self.steps if not self.waits[n]])
                early = self._prepare()  # not before the first processes are on their way
                if not self.queue.run(lambda: self.on_event(Event("cancelling"))):
                    self._give_up()
            finally:
                self.asked.forget(listener)
                if early is not None:
                    early.join(_PREPARING)
                if not self.given_up:
                    self.ahead.close()
                    self.tables.close()
                    self.context.spare_folders.clear()
                    shutil.rmtree(work, ignore_errors=True)
        return tuple(self.results[name] for name in self.steps)

    def _prepare(self) -> threading.Thread | None:
        """Make ready what the nodes of this process will need while others work, processes or a warehouse:
        the last node would wait for it alone."""
        will_run = [s.node for s in self.steps.values() if s.action is Action.RUN]
        kinds = {node.kind for node in will_run}
        others_work = bool(kinds & PROCESSES) or self.context.elsewhere
        if not others_work or not (kinds - PROCESSES or any(node.tests for node in will_run)):
            return None

        def work() -> None:
            before = sys.getswitchinterval()
            sys.setswitchinterval(_SHARE)
            with contextlib.suppress(Exception):  # who needs it meets the same again, and says it
                self.context.prepare()
                for name in (*sorted(KINDS[k] for k in kinds if k in KINDS), checks.JUDGE):
                    import_module(name)
                if "sql" in kinds and not self.context.elsewhere:
                    self.tables.engine.describe("SELECT 1")  # the first statement takes ten times as long
            sys.setswitchinterval(before)

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
        ahead = self.ahead.of(step.node.name)
        started, begun = (
            (self.context.clock(), time.perf_counter()) if ahead is None else (ahead.started, ahead.begun)
        )
        parts: list[Unit] = []

        def work() -> NodeResult | None:
            result = self.settling.without_building(step)
            if result is not None:
                return result
            building = self.settling.building(step)
            result = self.settling.unbuilt(step, building)
            if result is not None:
                return result
            self.on_event(Event("started", step.node.name))
            if step.node.matrix:
                parts.extend(self._parts(step, building, started, begun))
                return None
            building.begun = ahead
            if may_lead(step) and self.below[step.node.name]:
                building.kept = partial(self._kept, step)
            with self.settling.turn(step):
                building.run_part(0)
            return self.settling.built(step, building, started, begun)

        self._to_its_end(step, work, started, begun)
        self.queue.add(parts)

    def _kept(self, step: Step, files: Sequence[FileEntry]) -> None:
        """The files of a step's table are there, whose digest is not known yet."""
        (dataset,) = step.node.datasets
        made = Version(dataset, "table", "", "", files=tuple(files))
        next_steps = (self.steps[n] for n in self.below[step.node.name] if self.waits[n] == 1)
        self.ahead.begin(next_steps, lambda follower: self.settling.inputs_with(follower, made))

    def _parts(self, step: Step, building: Building, started: datetime, begun: float) -> Iterable[Unit]:
        limits = self._pool(step)
        if step.node.max_parallel:
            limits = (*limits, (f"node {step.node.name}", step.node.max_parallel))
        for number in range(len(step.definitions)):
            work = partial(self._part, step, building, number, started, begun)
            yield Unit((self.order[step.node.name], number), work, False, limits)

    def _part(self, step: Step, building: Building, number: int, started: datetime, begun: float) -> None:
        with self.settling.turn(step):
            last = building.run_part(number)
        if building.cancel.is_set:
            self.queue.wake()
        if last:
            self._to_its_end(
                step, lambda: self.settling.built(step, building, started, begun), started, begun
            )

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
        self.ahead.forget(node.name)
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
