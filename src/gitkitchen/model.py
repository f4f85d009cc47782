"""The words of GitKitchen as frozen values; each stage takes one and returns the next.

``Project -> Kitchen -> Recipe -> Plan -> Run results -> Outcome``. Counts are derived, never stored.
Nothing here reads a file, a clock or a database. All times are timezone-aware UTC; all durations
are seconds; all digests are lower-case hexadecimal sha256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from gitkitchen.errors import Place

FINGERPRINT_SCHEME = 1
"""The number of the fingerprint scheme; changing it is a stated mass rebuild (docs/identity.md)."""


# --- kitchen.yml ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Approvals:
    """How many people must approve a promotion, and who of them counts (nobody named: all who may write)."""

    count: int = 1
    users: tuple[str, ...] = ()
    """Logins, without ``@``."""
    teams: tuple[str, ...] = ()
    """``organisation/team``, without ``@``."""
    codeowners: bool = False
    """Each changed file that has owners needs one of them, too."""


@dataclass(frozen=True, slots=True)
class Soak:
    """How long, and through how many green scheduled runs in a row, a tree stands in the source first."""

    hours: float = 0.0
    green_runs: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of a week by the clocks of a time zone. ``days``: 0 is Monday; an empty one means no day.

    ``start`` and ``end`` are minutes of the day on which it begins: an end beyond 1440 is on the next day.
    ``expires``: the last day on which it may begin.
    """

    text: str
    days: tuple[int, ...]
    start: int
    end: int
    timezone: str
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """When nothing moves forward, and why: from ``start`` until before ``end`` (UTC), or in a window."""

    reason: str
    start: datetime | None = None
    end: datetime | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """What may change of the columns of published datasets without somebody's leave.

    ``changes``: ``additive`` (what readers have stays as it is) or ``none``. ``datasets``: names or patterns.
    ``by``: whose approval allows more: ``@login``, ``@organisation/team``, ``codeowners``.
    """

    changes: Literal["additive", "none"] = "additive"
    datasets: tuple[str, ...] = ("*",)
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateCommand:
    """A program that must end with 0 in a work tree of the candidate. No shell; ``timeout`` in seconds."""

    name: str
    run: tuple[str, ...]
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class Gate:
    """``gate:`` of an environment: what must be true before a tree moves there. The *target's* counts."""

    approvals: Approvals | None = None
    soak: Soak | None = None
    allow: tuple[Window, ...] = ()
    freeze: tuple[Freeze, ...] = ()
    previous: Literal["landed", "healthy"] = "landed"
    contract: Contract | None = None
    commands: tuple[GateCommand, ...] = ()
    hotfix: Gate | None = None
    """The shorter list that a hotfix passes; None: all of these but what is asked of the source."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where alerts go. ``config``: the channel's other keys as written; what is secret in it is a name."""

    name: str
    kind: Literal["github_issue", "slack", "teams", "smtp", "webhook"]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Which incidents a channel is told of: all that is said must be true of one.

    Nothing said of events, environments, recipes or owner: any. ``recipes`` are names or patterns.
    ``quiet``: hours in which nothing is sent but what ``but`` names; it is sent when they are over.
    """

    channels: tuple[str, ...]
    events: tuple[str, ...] = ()
    severity: str = "warn"
    consecutive: int = 1
    environments: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    owner: str = ""
    quiet: tuple[Window, ...] = ()
    but: str = ""


@dataclass(frozen=True, slots=True)
class Alerts:
    """``alerts:``: whom to tell of what. ``flapping``: what fails again within so many seconds of being well
    must stay well as long before that is told again."""

    channels: Mapping[str, Channel] = field(default_factory=dict)
    rules: tuple[AlertRule, ...] = ()
    flapping: float = 21_600.0


@dataclass(frozen=True, slots=True)
class Environment:
    """A kitchen of a named long-lived branch."""

    name: str
    branch: str
    vars: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None
    adopt: Literal["retest", "rebuild"] = "retest"
    """What it does with a version that a sandbox built: test it again and take it, or build its own."""
    source: str | None = None
    """The environment that promotes to it: that of ``from:``, else the one before; None for the first."""
    gate: Gate = Gate()


@dataclass(frozen=True, slots=True)
class WaiverRules:
    """Which tests may be waived (patterns ``recipe/node/test``), by whom, where, and for how long."""

    tests: tuple[str, ...]
    by: tuple[str, ...]
    environments: tuple[str, ...]
    longest: float
    """Seconds from today to the last day of a waiver, at most."""


@dataclass(frozen=True, slots=True)
class Policy:
    """``policy:`` of ``kitchen.yml``. Of a pull request the *target's* counts, never its own."""

    changes_by: tuple[str, ...]
    """Who may allow changes of what judges: ``@login``, ``@organisation/team``, ``codeowners``."""
    recipes: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    severity: str = "stop"
    waivers: WaiverRules | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """Another tool that runs are told to: at ``url``, or for OpenLineage in a ``file`` below the project's
    folder. ``secret``: the variable whose value is sent as a bearer's token; ``seconds``: how long it is
    waited for."""

    kind: Literal["openlineage", "opentelemetry"]
    url: str = ""
    file: str = ""
    secret: str = ""
    sandboxes: bool = False
    seconds: float = 10.0
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class PageSettings:
    """``page:``: the status page. ``recent`` and ``stale_after`` are seconds: how far back lists and
    histories go, and after how long a page that was not made again says that it is old."""

    title: str = ""
    url: str = ""
    """Where it is served; "" where nobody said."""
    recent: float = 90 * 86400.0
    stale_after: float = 86400.0


@dataclass(frozen=True, slots=True)
class Project:
    """What ``kitchen.yml`` says. ``root`` is the work tree's top; other paths are relative to it."""

    root: Path
    name: str
    id: str
    environments: tuple[Environment, ...] = ()
    sandbox_base: str | None = None
    sandbox_ttl: float | None = None
    """Seconds without a run after which a sandbox may be collected; None: never for its age."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    store: str = ".gitkitchen/store"
    ledger: str = "folder"
    pools: Mapping[str, int] = field(default_factory=dict)
    exports: tuple[Export, ...] = ()
    public_by_default: bool = False
    policy: Policy | None = None
    alerts: Alerts = field(default_factory=Alerts)
    page: PageSettings | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where each dotted key of the file stands, for messages: ``{"vars.region": Place(...)}``."""
    home: Path | None = None
    """Of a linked work tree: the same folder in the main one, whose state all of them share."""

    @property
    def state(self) -> Path:
        """The folder of everything local: runs, ledger, cache, views."""
        return (self.home or self.root) / ".gitkitchen"

    @property
    def store_root(self) -> Path:
        """The folder of the store; of one on another machine, that of its cache on this one."""
        scheme, colon, _ = self.store.partition("://")
        if not colon:
            return (self.home or self.root) / self.store
        if scheme.lower() == "file":
            return Path(unquote(urlsplit(self.store).path))
        # Another store has another cache: what the one has says nothing of the other.
        return self.state / "cache" / "store" / sha256(self.store.encode()).hexdigest()[:12]

    def environment(self, name: str) -> Environment | None:
        return next((e for e in self.environments if e.name == name), None)

    def environment_of(self, branch: str) -> Environment | None:
        return next((e for e in self.environments if e.branch == branch), None)


# --- kitchen -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kitchen:
    """A branch and all that it runs with. ``environment`` is None for a sandbox.

    ``base`` names the environment whose catalog a sandbox starts from (None for environments).
    ``namespace`` is ``k_<slug>_<12 hex>``, ASCII, at most 48 bytes. ``repository`` is "" for the
    project's own. ``birth`` counts how often a branch of this name was made: each has its own namespace.
    """

    project_id: str
    repository: str
    branch: str
    namespace: str
    environment: str | None = None
    base: str | None = None
    birth: int = 1
    fork: bool = False

    @property
    def is_sandbox(self) -> bool:
        return self.environment is None

    @property
    def zone(self) -> Literal["trusted", "sandbox"]:
        """The zone of the store that this kitchen writes."""
        return "sandbox" if self.is_sandbox else "trusted"

    @property
    def label(self) -> str:
        """What people call it, and what ``--kitchen`` takes."""
        return self.environment or (f"{self.repository}:{self.branch}" if self.fork else self.branch)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is run: a Git tree. A dirty work tree is never evidence."""

    commit: str | None
    tree: str
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One resolved variable with where its value came from (``kitchen.yml:12`` or ``--set``)."""

    value: Any
    origin: str
    place: Place | None = None


# --- recipe --------------------------------------------------------------------------------


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


# --- data ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One immutable file of a version, found in the store by its digest."""

    digest: str
    bytes: int
    rows: int | None = None
    partition: Mapping[str, str | None] = field(default_factory=dict)
    suffix: str = ".parquet"


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """Exact figures of one column; ``minimum``/``maximum`` as the engine prints them, or None."""

    nulls: int
    minimum: str | None = None
    maximum: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable state of a dataset: the manifest that the store keeps.

    ``content`` is the content digest: equal content, equal digest, however it was made and in
    whatever order the rows lie. ``format`` is ``table`` (Parquet files, or ``relation``: a physical
    table of a warehouse's store schema), ``view`` (``sql`` over the versions in ``inputs``; no files) or
    ``file`` (one file of any kind).
    """

    dataset: str
    format: Literal["table", "view", "file"]
    fingerprint: str
    content: str
    columns: tuple[Column, ...] = ()
    files: tuple[FileEntry, ...] = ()
    rows: int | None = None
    stats: Mapping[str, ColumnStats] = field(default_factory=dict)
    sql: str | None = None
    inputs: Mapping[str, Version] = field(default_factory=dict)
    """For a view: the versions that its names stand for."""
    relation: str | None = None

    @property
    def bytes(self) -> int:
        return sum(f.bytes for f in self.files)


@dataclass(frozen=True, slots=True)
class Build:
    """What one node built under one fingerprint: a version of each of its datasets.

    ``definition`` is the digest of the node's own meaning; ``parts`` names its components' digests
    (``sql``, ``with.late_minutes``, ``file:report.py``, ``tool:duckdb``, …) and ``inputs`` the
    content digests of what it read, so that a later plan can say why something runs.
    """

    node: str
    fingerprint: str
    definition: str
    parts: Mapping[str, str]
    inputs: Mapping[str, str]
    versions: Mapping[str, Version]
    run: str = ""
    finished: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Published:
    """An entry of a catalog: the version that a kitchen's readers see, and who published it."""

    dataset: str
    fingerprint: str
    content: str
    recipe: str
    node: str
    run: str
    sequence: int
    zone: str = "trusted"


@dataclass(frozen=True, slots=True)
class Catalog:
    """For one kitchen: dataset -> version. ``sequence`` counts its publications (0: none yet).

    For a sandbox ``entries`` holds its base's entries overlaid with its own.
    """

    namespace: str
    sequence: int = 0
    entries: Mapping[str, Published] = field(default_factory=dict)
    pinned: Mapping[str, Published] = field(default_factory=dict)
    """For a sandbox: its base's entries (sources are pinned to them)."""


# --- plan ----------------------------------------------------------------------------------


class Action(StrEnum):
    RUN = "run"
    REUSE = "reuse"
    MAYBE = "maybe"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Definition:
    """A node's meaning without its inputs: ``digest`` over the named ``parts``."""

    digest: str
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan: what will be done and why.

    ``reads`` maps each dataset that the node reads to the node of this plan that makes it, or to
    None where it comes from the catalog. ``definitions`` has one entry per matrix combination
    (one, without a matrix). ``build`` is what a ``reuse`` step takes. ``sql`` is the text to run,
    parameters in place, for a SQL node without a matrix.
    """

    node: NodeSpec
    action: Action
    reasons: tuple[str, ...]
    reads: Mapping[str, str | None]
    after: tuple[str, ...]
    definitions: tuple[Definition, ...]
    build: Build | None = None
    fingerprint: str | None = None
    pinned: bool = False
    forced: bool = False
    """It runs although the store may hold its fingerprint (``--force``): the store is not asked."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in topological order. ``catalog`` is what the plan read; a run starts from it."""

    kitchen: Kitchen
    recipe: Recipe
    subject: Subject
    steps: tuple[Step, ...]
    catalog: Catalog
    interval: tuple[datetime, datetime] | None = None
    complete: bool = True
    """False where a selection left nodes of the recipe out."""

    def step(self, node: str) -> Step:
        return next(s for s in self.steps if s.node.name == node)


# --- run -----------------------------------------------------------------------------------


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
