"""What `recipe.yml` says: nodes, tests, variations, schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass


class Severity(StrEnum):
    STOP = "stop"
    WARN = "warn"
    LOG = "log"


Phase = Literal["inputs", "outputs", "logic"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many failing rows a test lets pass: so many rows, or a share (0..1) of the rows tested."""

    rows: int | None = None
    share: float | None = None

    def allows(self, failing: int, tested: int) -> bool:
        if self.rows is not None:
            return failing <= self.rows
        if self.share is not None:
            return failing <= self.share * tested
        return failing == 0


@dataclass(frozen=True, slots=True)
class TestSpec:
    """One declared test. ``dataset`` is what it is about; ``reads`` all datasets that it reads.

    ``id`` is unique in the recipe and stable while the test's meaning is: ``node/phase/kind(args)``.
    ``args`` are the normalised arguments of the kind (see ``controls/kinds.py``).
    """

    __test__ = False  # not a pytest class

    id: str
    node: str
    phase: Phase
    kind: str
    dataset: str
    args: Mapping[str, Any]
    reads: tuple[str, ...]
    severity: Severity = Severity.STOP
    where: str | None = None
    tolerate: Tolerance = Tolerance()
    description: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Materialize:
    """How a dataset is kept; ``by`` and ``grain`` are the column and step of its partitions."""

    mode: Literal["table", "view", "partitions"] = "table"
    by: str | None = None
    grain: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """``attempts`` in all (1: no retry); waits ``backoff * factor ** n`` seconds between them."""

    attempts: int = 1
    backoff: float = 1.0
    factor: float = 2.0


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions that only a later stage can evaluate (matrix, secrets, nodes, run)."""

    text: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One step of a recipe as declared, its ``vars`` expressions already rendered.

    ``config`` is the normalised value of the kind's key (a mapping; each kind documents its own).
    ``datasets`` maps each dataset that the node makes to its file in the working directory
    (``None``: the node's one table). A node that makes nothing has an empty mapping.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    place: Place
    needs: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    datasets: Mapping[str, str | None] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    tests: tuple[TestSpec, ...] = ()
    materialize: Materialize = Materialize()
    retry: Retry = Retry()
    timeout: float | None = None
    condition: str | None = None
    matrix: tuple[Mapping[str, Any], ...] = ()
    max_parallel: int | None = None
    fail_fast: bool = True
    pool: str | None = None
    continue_on_error: bool = False
    on: Literal["run", "publish"] = "run"
    environments: tuple[str, ...] = ()
    volatile: bool = False
    files: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    owner: str = ""
    description: str = ""
    runbook: str = ""
    vars_used: Mapping[str, Any] = field(default_factory=dict)
    """The variables that this node's expressions read, with their values (for reasons)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that a scheduled run waits for. ``kind`` says what ``what`` is: ``fresh`` a dataset, ``file``
    a path or pattern, ``url`` an address, ``query`` a SELECT. ``within``: seconds, of ``fresh``."""

    kind: Literal["fresh", "file", "url", "query"]
    what: str
    within: float | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """What is promised of scheduled runs, in seconds: after the time at which one is due (``start``, ``end``,
    ``missing``), or from its start (``longest``). ``nodes``: those that no run leaves out."""

    start: float | None = None
    end: float | None = None
    longest: float | None = None
    missing: float = 6 * 3600.0
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a variation runs. ``most`` intervals at once are caught up; ``deadline``: seconds after an
    interval's end for which ``wait_for`` is waited for. ``since``: where the data begins (UTC)."""

    cron: str
    timezone: str = "UTC"
    since: datetime | None = None
    most: int = 1
    order: Literal["oldest_first", "parallel"] = "oldest_first"
    wait_for: tuple[Wait, ...] = ()
    deadline: float = 6 * 3600.0
    expect: Expect = Expect()
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Variation:
    """A recipe run with other variables, or only some of its nodes."""

    name: str
    vars: Mapping[str, Any] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    """Selectors (``+late_by_carrier``, ``tag:daily``); empty selects all nodes."""
    environments: tuple[str, ...] = ()
    schedule: Schedule | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A DAG of nodes. ``folder`` and ``file`` are relative to the repository's top."""

    name: str
    folder: str
    file: str
    nodes: Mapping[str, NodeSpec]
    description: str = ""
    owner: str = ""
    vars: Mapping[str, Any] = field(default_factory=dict)
    variations: Mapping[str, Variation] = field(default_factory=dict)
    variation: str | None = None

    @property
    def datasets(self) -> dict[str, str]:
        """Each dataset of the recipe with the node that makes it."""
        return {d: n.name for n in self.nodes.values() for d in n.datasets}
