"""What becomes of one node: it is skipped, blocked, reused, adopted or built, and tested.

Nothing here waits for other nodes or records anything: when a node begins, and what its end lets begin, is
the engine's matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitkitchen.frozen import dataclass
from gitkitchen.model import (
    Action,
    Build,
    Event,
    NodeResult,
    Plan,
    State,
    Step,
    TestResult,
    TestSpec,
    Version,
)
from gitkitchen.process import Cancel
from gitkitchen.run import adoption, checks, gate, late
from gitkitchen.run.building import Building
from gitkitchen.run.context import RunContext
from gitkitchen.run.results import failed, judged, result_of, same_meaning, with_log
from gitkitchen.run.tables import Tables

if TYPE_CHECKING:
    from gitkitchen.run.effects import Effects

SELF_TESTING = ("run", "pytest", "results", "dbt")
"""Kinds that can report tests of their own."""
ALL_TESTS = ("pytest", "results")
"""Those that are nothing but their tests."""
TAKE_TURNS = ("run",)
"""Kinds that take a turn only while their process runs (contract.run_process)."""
RESUMED = "finished before the interruption"


@dataclass(slots=True)
class Settling:
    """What the nodes of one run have in common when they are settled.

    ``asked`` is what cancels the run for people, ``cancel`` for all reasons. ``done_before``: the effects of
    a publication that are done already.
    """

    plan: Plan
    context: RunContext
    tables: Tables
    on_event: Callable[[Event], None]
    asked: Cancel
    cancel: Cancel
    done_before: Effects | None
    results: Mapping[str, NodeResult]
    every: Mapping[str, Step] = field(init=False)
    keys: Mapping[str, tuple[str, ...]] = field(init=False)
    makers: Mapping[str, str] = field(init=False)
    finished_before: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        steps = self.plan.steps
        self.every = {s.node.name: s for s in steps}
        self.keys = {d: s.node.key for s in steps if s.node.key for d in s.node.datasets}
        self.makers = self.plan.recipe.datasets
        self.finished_before = {
            str(e["node"]): str(e["fingerprint"])
            for e in self.context.previous
            if e.get("kind") == "node" and e.get("fingerprint")
        }

    def without_building(self, step: Step) -> NodeResult | None:
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

    def building(self, step: Step) -> Building:
        """A node on its way to a build."""
        name = step.node.name
        known: dict[str, Any] = {}
        if late.has_expressions(step.node):
            over = {n: self.results[n] for n in gate.above(step, self.every) if n in self.results}
            known = late.names(self.plan, self.context, step.node, over)
        inputs = {dataset: self._version(dataset) for dataset in step.reads}
        return Building(
            step=step,
            recipe_folder=self.plan.recipe.folder,
            inputs={dataset: version for dataset, version in inputs.items() if version is not None},
            known=known,
            context=self.context,
            tables=self.tables,
            cancel=Cancel(self.cancel),
            on_retry=lambda why: self.on_event(Event("retry", name, message=why)),
        )

    def inputs_with(self, step: Step, made: Version) -> dict[str, Version] | None:
        """What a node will read, with the version of one input that has no result yet; None where another
        one is not there."""
        inputs: dict[str, Version] = {}
        for dataset in step.reads:
            version = made if dataset == made.dataset else self._version(dataset)
            if version is None:
                return None
            inputs[dataset] = version
        return inputs

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

    def unbuilt(self, step: Step, building: Building) -> NodeResult | None:
        """The result of a node that need not, or must not, be built now that its inputs are known."""
        found = self._taken(step, building) or self._inputs_refused(step, building)
        return found or self._adopted(step, building)

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

    def turn(self, step: Step) -> AbstractContextManager[None]:
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

    def built(self, step: Step, building: Building, started: datetime, begun: float) -> NodeResult:
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
