"""What `kitchen.yml` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass


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
    ``group``: what of a run is told in one message: what fails with a node, with a recipe, or each thing by
    itself. ``most``: so many messages a run and channel; what is more is one message.
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
    group: Literal["node", "recipe", "none"] = "node"
    most: int = 5


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


LEAST_RETENTION = 30 * 86400.0
"""Seconds for which no record is removed from a ledger, whatever anybody declares."""


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
    retention: float | None = None
    """Seconds for which ``ledger compact`` keeps records of runs, and publications; None: for ever."""
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
