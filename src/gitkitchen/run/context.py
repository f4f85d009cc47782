"""What a run works with, and the shapes that pass between the engine and the kinds of nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.controls.base import Base
from gitkitchen.data.stores import Store
from gitkitchen.frozen import dataclass
from gitkitchen.model import (
    Definition,
    Failure,
    FileEntry,
    Kitchen,
    NodeResult,
    NodeSpec,
    Project,
    State,
    Subject,
    TestResult,
    Version,
)
from gitkitchen.process import Cancel
from gitkitchen.run.journal import Journal
from gitkitchen.supervision import Supervisors
from gitkitchen.turns import Turns

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Engine
    from gitkitchen.run.ahead import Begun
    from gitkitchen.run.sealing import Claim
    from gitkitchen.run.tables import Tables


@dataclass(slots=True)
class RunContext:
    """All that a run touches. ``supervisors`` start and watch the processes of nodes.

    ``engine_factory`` is called once something executes. ``secrets`` is where a node's named secrets are
    looked up (the environment); ``masks`` are values that no result may show. ``previous`` holds the
    journal of the run that is resumed.
    ``results`` is filled by ``execute`` and read by ``effects``.
    """

    project: Project
    kitchen: Kitchen
    store: Store
    engine_factory: Callable[[], Engine]
    run_id: str
    folder: Path
    supervisors: Supervisors
    journal: Journal
    version_of: Callable[[str], Version]
    clock: Callable[[], datetime]
    secrets: Mapping[str, str] = field(default_factory=dict)
    interval: tuple[datetime, datetime] | None = None
    period: tuple[datetime, datetime] | None = None
    """Of nodes that keep partitions only those of this time are built."""
    published: Callable[[str], Version | None] = lambda _dataset: None
    """What the catalog that the run read has of a dataset."""
    previous: Sequence[Mapping[str, Any]] = ()
    masks: Sequence[str] = ()
    base_of: Callable[[str], Base] = lambda _dataset: Base()
    """What the base has published of a dataset, for expectations."""
    results: dict[str, NodeResult] = field(default_factory=dict)
    claims: Callable[[str], Sequence[Claim]] = lambda _fingerprint: ()
    """Which sandboxes say in the ledger that they built a fingerprint; nobody, where nothing is adopted."""
    subject: Subject | None = None
    """What is run, for evidence that says what it is about."""
    waive: Callable[[Sequence[TestResult]], tuple[TestResult, ...]] = tuple
    """Marks failures that a waiver excuses here; what the store keeps of verdicts knows none."""
    prepare: Callable[[], None] = lambda: None
    """Imports what the engine needs, while the first processes run. Nothing depends on it."""
    elsewhere: bool = False
    """Whether a warehouse does the engine's work, and this process waits for it."""
    spare_folders: list[Any] = field(default_factory=list)
    """Private folders that nodes left untouched: the next node takes one."""
    turns: Turns = field(init=False)
    """As many nodes execute at the same time as there are supervisors."""

    def __post_init__(self) -> None:
        self.turns = Turns(self.supervisors.most)


@dataclass(frozen=True, slots=True)
class Task:
    """One execution of a node: of one combination of its matrix, in one attempt.

    ``name`` tells the parts of a matrix apart.
    """

    node: NodeSpec
    name: str
    recipe_folder: str
    definition: Definition
    fingerprint: str
    inputs: Mapping[str, Version]
    params: Mapping[str, Any]
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    log: str
    """Where what it prints is kept."""
    context: RunContext
    tables: Tables
    cancel: Cancel
    begun: Begun | None = None
    """Its query, where another thread executes it already."""
    kept: Callable[[Sequence[FileEntry]], None] | None = None
    """Told the files of its table as soon as they are there."""


@dataclass(frozen=True, slots=True)
class Built:
    """What an execution gave. ``logged``: it printed something, which is in its log."""

    versions: Mapping[str, Version]
    tests: tuple[TestResult, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    tail: tuple[str, ...] = ()
    logged: bool = False


class NodeFailed(Exception):
    """An execution that gave nothing; the engine turns it into a result."""

    def __init__(
        self,
        failure: Failure,
        *,
        state: State = State.ERROR,
        tail: tuple[str, ...] = (),
        logged: bool = False,
        built: Built | None = None,
    ) -> None:
        super().__init__(failure.message)
        self.failure, self.state, self.tail, self.logged, self.built = failure, state, tail, logged, built
