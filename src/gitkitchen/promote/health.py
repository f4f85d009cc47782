"""How far a project is protected: what holds of its files and its repository, judged. Pure.

Three levels. *advice*: verdicts are shown and bind nobody. *guarded*: nobody passes them by accident.
*enforced*: all that settings of a forge can enforce is enforced. What could not be read is *unknown*, with
the right that is missing: it never counts as held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from gitkitchen.frozen import dataclass
from gitkitchen.promote.advice import ADVICE

Level = Literal["advice", "guarded", "enforced"]
LEVELS: tuple[Level, ...] = ("advice", "guarded", "enforced")
State = Literal["ok", "gap", "unknown"]
PROJECT_CHECK = "GitKitchen / (project)"
"""The check run of the trusted job, which is always there."""
JOB_CHECK = "GitKitchen"
"""The job of the workflow that tests: what is judged can change it."""
LEDGER = "gitkitchen-ledger"


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read: why, and the right, setting or means that is missing."""

    why: str
    right: str


@dataclass(frozen=True, slots=True)
class Required:
    """A required check. ``app``: whether only that of one App counts."""

    name: str
    app: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds of a branch, by all rulesets and the classic protection together.

    ``rest``: some of it could not be read, so that what is not seen here may hold nonetheless. ``methods``:
    how pull requests may be merged, as far as rules limit it (empty: they do not). ``passing``: people, roles
    and teams who pass some of the rules by, ``apps`` the Apps that do; ``we_pass``: whether the token at hand
    does, all of them.
    """

    pull_request: bool = False
    no_force: bool = False
    no_deletion: bool = False
    checks: tuple[Required, ...] = ()
    strict: bool = False
    code_owners: bool = False
    dismiss_stale: bool = False
    linear: bool = False
    signatures: bool = False
    queue: bool = False
    updates: bool = False
    methods: tuple[str, ...] = ()
    passing: tuple[str, ...] | Unread = ()
    apps: tuple[str, ...] = ()
    we_pass: bool | Unread = False
    rest: Unread | None = None

    @property
    def empty(self) -> bool:
        return replace(self, passing=(), apps=(), we_pass=False, rest=None) == Rules()


@dataclass(frozen=True, slots=True)
class Branch:
    """``environment``: of which it is the branch; "" for the ledger's and those that we make."""

    name: str
    environment: str
    exists: bool | Unread
    rules: Rules | Unread


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """A workflow that ``init`` writes. ``state``: same, edited, outdated, missing, removed, conflict or
    foreign. ``lacks``: rights that a job of it has no more, as ``job: permission``."""

    path: str
    state: str
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hosting:
    """The repository on the forge. ``methods``: how pull requests may be merged here. ``in_plan``: whether
    its plan has rules for branches at all. ``pulls``: whether jobs may open pull requests. ``default``: the
    rights of a job that names none (read, write). ``workflows``: path -> state of those that are known."""

    methods: tuple[str, ...] | Unread
    archived: bool | Unread
    in_plan: bool
    enabled: bool | Unread
    default: str | Unread
    pulls: bool | Unread
    workflows: Mapping[str, str] | Unread


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is judged. ``unowned``: files that decide what is tested, and nobody's by CODEOWNERS.
    ``remote``: whether there is one; ``name``: OWNER/NAME where it is a forge's. ``atomic``: whether the
    remote offers atomic pushes (None: it was not asked)."""

    environments: tuple[tuple[str, str], ...]
    policy: bool
    store: str
    folder_store: bool
    ledger: str
    unowned: tuple[str, ...]
    action: str
    workflows: tuple[WorkflowFile, ...]
    remote: bool
    name: str
    hosting: Hosting | Unread
    branches: tuple[Branch, ...]
    atomic: bool | Unread | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``level``: what cannot be claimed without it. ``about``: the branch,
    file or setting; ``said``: what was found there; ``right``: what is missing to read it."""

    code: str
    state: State
    about: str
    said: str
    right: str = ""

    @property
    def level(self) -> Level:
        return ADVICE[self.code].level

    @property
    def why(self) -> str:
        return ADVICE[self.code].why

    @property
    def fix(self) -> str:
        return ADVICE[self.code].fix

    @property
    def reached(self) -> Level:
        """The level that stays where this one is not held."""
        return LEVELS[LEVELS.index(self.level) - 1]


@dataclass(frozen=True, slots=True)
class Way:
    """Whether a tree can land by one method: yes, no or unknown. ``because``: what stands against it;
    ``right``: what is missing to know."""

    method: Literal["button", "push"]
    possible: Literal["yes", "no", "unknown"]
    because: tuple[str, ...] = ()
    right: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    findings: tuple[Finding, ...]
    landing: tuple[tuple[str, str, tuple[Way, Way]], ...]
    """Environment, branch, and both ways."""

    @property
    def level(self) -> Level:
        """The highest level of which everything is known to hold."""
        return _highest(f for f in self.findings if f.state != "ok")

    @property
    def at_most(self) -> Level:
        """The level that is reached if all that is unknown holds."""
        return _highest(f for f in self.findings if f.state == "gap")

    def against(self, wanted: Level) -> tuple[Finding, ...]:
        """What stands in the way of a level: gaps and unknowns."""
        most = LEVELS.index(wanted)
        return tuple(f for f in self.findings if f.state != "ok" and LEVELS.index(f.level) <= most)


def _highest(failing: Iterable[Finding]) -> Level:
    return min((f.reached for f in failing), key=LEVELS.index, default=LEVELS[-1])
