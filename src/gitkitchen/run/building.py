"""One node while it is built: its parts, their attempts, and the build that they become."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from gitkitchen.errors import GitKitchenError, Infrastructure
from gitkitchen.frozen import dataclass
from gitkitchen.model import Build, Definition, Failure, FileEntry, State, Step, TestResult, Version
from gitkitchen.plan.fingerprint import fingerprint, whole
from gitkitchen.process import Cancel
from gitkitchen.run import checks, late
from gitkitchen.run.context import Built, NodeFailed, RunContext, Task
from gitkitchen.run.nodes import execute
from gitkitchen.run.parts import compose
from gitkitchen.run.tables import Tables

if TYPE_CHECKING:
    from gitkitchen.run.ahead import Begun


@dataclass(slots=True)
class Building:
    """A node on its way to a build. Its parts (one, without a matrix) may run in several threads.

    ``known`` is what its expressions can name; ``on_retry`` is told why an attempt is repeated.
    """

    step: Step
    recipe_folder: str
    inputs: Mapping[str, Version]
    known: Mapping[str, Any]
    context: RunContext
    tables: Tables
    cancel: Cancel
    on_retry: Callable[[str], None]
    begun: Begun | None = None
    """Its query, which is executed already; the first attempt takes it."""
    kept: Callable[[Sequence[FileEntry]], None] | None = None
    contents: dict[str, str] = field(init=False)
    definition: Definition = field(init=False)
    fingerprint: str = field(init=False)
    built: dict[int, Built] = field(default_factory=dict)
    failed: dict[int, NodeFailed] = field(default_factory=dict)
    attempts: int = 0
    left: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.contents = {name: version.content for name, version in self.inputs.items()}
        self.definition = whole(self.step.definitions)
        self.fingerprint = self.step.fingerprint or fingerprint(self.definition, self.contents)
        self.left = len(self.step.definitions)

    @property
    def log_name(self) -> str:
        """The node's log, relative to the run's folder."""
        return self._log(min(self.failed, default=0))

    def _log(self, number: int) -> str:
        return f"logs/{self._name(number)}.log"

    def _name(self, number: int) -> str:
        return f"{self.step.node.name}.{number}" if self.step.node.matrix else self.step.node.name

    # --- parts -----------------------------------------------------------------------------------

    def run_part(self, number: int) -> bool:
        """Build one part; True where it was the last of the node's parts to end."""
        try:
            built = self._part(number)
        except NodeFailed as error:
            with self.lock:
                self.failed[number] = error
                if self.step.node.fail_fast and error.state is not State.CANCELLED:
                    self.cancel.set()
        else:
            with self.lock:
                self.built[number] = built
        with self.lock:
            self.left -= 1
            return self.left == 0

    def _part(self, number: int) -> Built:
        if self.cancel.is_set:
            raise NodeFailed(
                Failure("cancelled", "cancelled before it began", self.step.node.place), state=State.CANCELLED
            )
        if not self.step.node.matrix:
            return self._attempt(number, self.fingerprint)
        key = fingerprint(self.step.definitions[number], self.contents)
        known = None if self.step.forced else self.context.store.find(key)
        if known is not None:
            return Built(known.versions, checks.own(key, self.context))
        built = self._attempt(number, key)
        if not any(t.stops for t in built.tests):
            checks.keep_own(key, built.tests, self.context)
            self.context.store.save(self._build(key, self.step.definitions[number], built.versions, 0.0))
        return built

    def _attempt(self, number: int, key: str) -> Built:
        """Try as often as the node allows, waiting longer each time."""
        retry = self.step.node.retry
        for attempt in range(1, max(retry.attempts, 1) + 1):
            with self.lock:
                self.attempts = max(self.attempts, attempt)
            try:
                return execute(self._task(number, key))
            except NodeFailed as error:
                if error.state is State.CANCELLED or attempt >= retry.attempts:
                    raise
                why = error
            except Exception as error:
                why = self._explained(error)
                if attempt >= retry.attempts or self.cancel.is_set:
                    raise why from error
            pause = min(retry.backoff * retry.factor ** (attempt - 1), 3600.0)
            self.on_retry(f"attempt {attempt} of {retry.attempts} failed: {why.failure.message}")
            _sleep(pause, self.cancel)
            if self.cancel.is_set:
                failure = Failure("cancelled", "cancelled while it waited for its next attempt")
                raise NodeFailed(replace(failure, place=self.step.node.place), state=State.CANCELLED)
        raise AssertionError("the last attempt returns or raises")

    def _explained(self, error: Exception) -> NodeFailed:
        """An error of the rooms below as a failure; what is a bug of ours is raised."""
        if isinstance(error, (GitKitchenError, OSError)):
            return understood(error, self.step)
        if not (self.cancel.is_set and is_interrupt(error)):
            raise error
        failure = Failure("cancelled", "cancelled while it ran", self.step.node.place)
        return NodeFailed(failure, state=State.CANCELLED)

    def _task(self, number: int, key: str) -> Task:
        node, name = self.step.node, self._name(number)
        combination = node.matrix[number] if node.matrix else {}
        begun, self.begun = self.begun, None
        known = {**self.known, "matrix": combination}
        return Task(
            node=node,
            name=name,
            recipe_folder=self.recipe_folder,
            definition=self.step.definitions[number],
            fingerprint=key,
            inputs=self.inputs,
            params=late.render(node.params, known, node),
            env=late.environment(node, known),
            secrets=late.secrets_of(node, self.context),
            log=f"{self.context.folder}/{self._log(number)}",
            context=self.context,
            tables=self.tables,
            cancel=self.cancel,
            begun=begun,
            kept=self.kept,
        )

    # --- the whole -------------------------------------------------------------------------------

    def trouble(self) -> NodeFailed | None:
        """The failure of the first part that failed by itself, or None."""
        own = [e for _, e in sorted(self.failed.items()) if e.state is not State.CANCELLED]
        return next(iter([*own, *self.failed.values()]), None)

    def finish(self, seconds: float) -> tuple[Build, Built]:
        """All parts as one build. Raises NodeFailed where they do not fit together."""
        parts = [self.built[number] for number in sorted(self.built)]
        node = self.step.node
        if len(self.step.definitions) == 1:
            together = parts[0]
            versions = dict(together.versions)
            if node.matrix:
                versions = {d: replace(v, fingerprint=self.fingerprint) for d, v in versions.items()}
        else:
            versions = {
                d: compose(
                    d,
                    [p.versions[d] for p in parts],
                    self.fingerprint,
                    node.place,
                    self.tables.content,
                    self.tables.joined,
                )
                for d in node.datasets
            }
            together = Built(
                versions,
                tuple(_numbered(t, i) for i, p in enumerate(parts) for t in p.tests),
                {f"{k}[{i}]": v for i, p in enumerate(parts) for k, v in p.metrics.items()},
                {f"{k}[{i}]": v for i, p in enumerate(parts) for k, v in p.links.items()},
                parts[0].tail,
                parts[0].logged,
            )
        return self._build(self.fingerprint, self.definition, versions, seconds), together

    def _build(
        self, key: str, definition: Definition, versions: Mapping[str, Version], seconds: float
    ) -> Build:
        return Build(
            node=self.step.node.name,
            fingerprint=key,
            definition=definition.digest,
            parts=definition.parts,
            inputs=self.contents,
            versions=versions,
            run=self.context.run_id,
            finished=self.context.clock().isoformat(),
            seconds=seconds,
        )


def is_interrupt(error: Exception) -> bool:
    """Whether an error is the engine's answer to our own interrupt. Its class is told by its name: the
    engine's module is imported only where something executes."""
    return "Interrupt" in type(error).__name__


def understood(error: GitKitchenError | OSError, step: Step) -> NodeFailed:
    """An error of the rooms below as the failure of a node."""
    if isinstance(error, GitKitchenError):
        problem = error.problems[0]
        kind = "infrastructure" if isinstance(error, Infrastructure) else "error"
        return NodeFailed(Failure(kind, problem.message, problem.place or step.node.place, problem.hint))
    name = f" ({error.filename})" if error.filename else ""
    message = f"the machine refused: {error.strerror or error}{name}"
    return NodeFailed(Failure("infrastructure", message, step.node.place))


def _numbered(test: TestResult, part: int) -> TestResult:
    return replace(test, id=f"{test.id}[{part}]")


def _sleep(seconds: float, cancel: Cancel) -> None:
    end = time.monotonic() + seconds
    while not cancel.is_set and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
