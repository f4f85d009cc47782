"""What happened in a run, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.model.data import Build
from gitkitchen.model.kitchen import Kitchen, Subject
from gitkitchen.model.recipe import Phase, Severity


class State(StrEnum):
    """How a node ended. ``BLOCKED``: something that it needs did not pass."""

    PASSED = "passed"
    REUSED = "reused"
    FAILED = "failed"  # a stop test failed; the candidate is kept
    ERROR = "error"  # the node itself failed
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"
    SKIPPED = "skipped"  # its condition was false


GOOD_STATES = frozenset({State.PASSED, State.REUSED})


class TestState(StrEnum):
    """What a test said. ``ERROR``: it could not be evaluated, which is never a pass."""

    __test__ = False

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Waived:
    """Why a failed ``stop`` test does not stop: who answers for it, and until when (a day, inclusive)."""

    reason: str
    approver: str
    expires: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test judged. ``failing``/``tested`` count rows where the kind counts rows.

    ``sample`` holds at most ten failing rows, keys first: ``({"carrier": "AA", "n": "2"}, …)``.
    Values are text, made safe for a terminal by whoever shows them.
    """

    __test__ = False

    id: str
    node: str
    dataset: str
    phase: Phase
    kind: str
    severity: Severity
    state: TestState
    observed: str
    expected: str
    message: str = ""
    cause: str = ""
    """What usually causes this failure and what to look at, one sentence."""
    failing: int | None = None
    tested: int | None = None
    sample: tuple[Mapping[str, str], ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    reused: bool = False
    seconds: float = 0.0
    place: Place | None = None
    reproduce: str = ""
    """A SQL statement that shows the failing rows, where there is one."""
    waived: Waived | None = None
    """Set for a failed ``stop`` test that a waiver covers; it is shown wherever the result is."""

    @property
    def stops(self) -> bool:
        """A failing or unevaluable ``stop`` test keeps data from consumers, unless its failure is waived."""
        bad = self.state is TestState.ERROR or (self.state is TestState.FAILED and self.waived is None)
        return self.severity is Severity.STOP and bad


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a node did not pass. ``kind``: ``error|timeout|cancelled|test|infrastructure``."""

    kind: str
    message: str
    place: Place | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class NodeResult:
    """How one step ended. ``build`` is what it made or reused; ``log`` is relative to the run's folder."""

    node: str
    kind: str
    state: State
    started: datetime | None = None
    seconds: float = 0.0
    attempts: int = 0
    build: Build | None = None
    tests: tuple[TestResult, ...] = ()
    failure: Failure | None = None
    reasons: tuple[str, ...] = ()
    log: str | None = None
    log_tail: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    continued: bool = False
    """It failed and ``continue-on-error`` lets the run go on; its datasets are not published."""
    place: Place | None = None
    owner: str = ""


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    INFRASTRUCTURE = "could_not_check"
    NOTHING_TESTED = "nothing_tested"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published, or why not. ``sequence`` is the catalog's number after it."""

    state: Literal["published", "unchanged", "withheld", "not_asked"]
    reason: str = ""
    sequence: int | None = None
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one document that says what happened; every report is a view of it."""

    run: str
    project: str
    project_id: str
    recipe: str
    variation: str | None
    kitchen: Kitchen
    subject: Subject
    started: datetime
    finished: datetime
    verdict: Verdict
    nodes: tuple[NodeResult, ...]
    publication: Publication
    candidate: bool = True
    signal: int | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    public_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Dataset -> columns whose values may leave for GitHub and the page (``("*",)``: all)."""
    complete: bool = True

    @property
    def tests(self) -> tuple[TestResult, ...]:
        return tuple(t for n in self.nodes for t in n.tests)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a running plan tells its watchers. ``kind`` is ``plan``, ``started``, ``retry``,
    ``tested``, ``finished`` or ``cancelling``; ``result`` is set for ``finished``."""

    kind: Literal["plan", "started", "retry", "tested", "finished", "cancelling"]
    node: str = ""
    total: int = 0
    message: str = ""
    result: NodeResult | None = None
