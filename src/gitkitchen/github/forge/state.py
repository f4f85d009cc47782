"""What the forge remembers: people, tokens, repositories and what hangs on them, as GitHub does."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.frozen import dataclass
from gitkitchen.github.forge.bare import Bare

RIGHTS = ("none", "read", "triage", "write", "maintain", "admin")
"""The roles of a person in a repository, each with the rights of those before it."""

JOB_PERMISSIONS = (
    "actions", "attestations", "checks", "contents", "deployments", "discussions", "id-token", "issues",
    "packages", "pages", "pull-requests", "statuses",
)  # fmt: skip
"""What ``permissions:`` of a workflow can give. ``workflows`` and ``administration`` it never can.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions"""


class Ticking:
    """A clock that stands at a fixed moment and moves by a second whenever it is asked: for golden files."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self.now = start

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@dataclass
class User:
    id: int
    login: str
    type: str = "User"


@dataclass
class App:
    id: int
    slug: str
    name: str
    owner: User
    bot: User


@dataclass
class Token:
    """``repository``: the only one it may write to (None: whatever its user may). ``permissions``: of an
    App's or job's token, permission -> read or write; a person's token has the person's rights."""

    value: str
    user: User
    app: App | None = None
    repository: str | None = None
    permissions: dict[str, str] = field(default_factory=dict)
    is_job: bool = False
    valid: bool = True

    def grants(self, permission: str, level: str) -> bool:
        has = self.permissions.get(permission, "none")
        return has == "write" or (level == "read" and has == "read")


@dataclass
class Label:
    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass
class Reaction:
    id: int
    user: User
    content: str
    created: float


@dataclass
class Comment:
    id: int
    number: int
    user: User
    body: str
    created: float
    updated: float
    app: App | None = None
    reactions: list[Reaction] = field(default_factory=list)


@dataclass
class Review:
    id: int
    user: User
    state: str
    commit: str
    body: str
    submitted: float


@dataclass
class Pull:
    """A pull request. ``head_repository`` is None when the fork was deleted."""

    id: int
    number: int
    user: User
    title: str
    body: str | None
    base_ref: str
    base_sha: str
    head_ref: str
    head_sha: str
    head_repository: str | None
    head_owner: User
    created: float
    updated: float
    draft: bool = False
    state: str = "open"
    locked: bool = False
    merged_at: float | None = None
    merged_by: User | None = None
    closed_at: float | None = None
    merge_sha: str | None = None
    mergeable: bool | None = None
    labels: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    maintainer_can_modify: bool = False


@dataclass
class Issue:
    """An issue that is no pull request."""

    id: int
    number: int
    user: User
    title: str
    body: str | None
    created: float
    updated: float
    state: str = "open"
    state_reason: str | None = None
    closed_at: float | None = None
    locked: bool = False
    labels: list[str] = field(default_factory=list)
    app: App | None = None


@dataclass
class Suite:
    id: int
    app: App
    sha: str
    branch: str | None
    created: float
    updated: float


@dataclass
class Check:
    """A check run. ``job``: the run whose job it is; GitHub lets nobody else write to it."""

    id: int
    suite: Suite
    name: str
    sha: str
    status: str
    conclusion: str | None
    started: float | None
    completed: float | None
    details_url: str | None
    external_id: str
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)
    job: int | None = None


@dataclass
class CommitStatus:
    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: User
    created: float


@dataclass
class Workflow:
    id: int
    path: str
    name: str
    state: str = "active"


@dataclass
class Artifact:
    id: int
    run: int
    name: str
    data: bytes
    created: float
    expired: bool = False


@dataclass
class Job:
    id: int
    name: str
    check: Check


@dataclass
class Run:
    """A run of a workflow. ``pull``: the pull request of its event, where it has one."""

    id: int
    number: int
    workflow: Workflow
    event: str
    branch: str | None
    sha: str
    actor: User
    head_repository: str
    created: float
    updated: float
    attempt: int = 1
    status: str = "completed"
    conclusion: str | None = "success"
    pull: int | None = None
    title: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)


@dataclass
class DeploymentStatus:
    id: int
    state: str
    description: str
    environment_url: str
    log_url: str
    creator: User
    created: float


@dataclass
class Deployment:
    id: int
    ref: str
    sha: str
    task: str
    environment: str
    description: str | None
    payload: Any
    creator: User
    created: float
    transient: bool = False
    production: bool = False
    statuses: list[DeploymentStatus] = field(default_factory=list)


@dataclass
class Protection:
    """What a branch (or, with ``*`` at the end, all branches of a beginning) refuses.

    ``ruleset``: whether it is a ruleset, whose refusals read GH013, or a classic protection (GH006).
    ``bypass``: logins that it does not bind (an App's is ``slug[bot]``). ``methods``: how pull requests may
    be merged here, none named: as the repository says. ``app``: the number of the App whose check of a name
    counts, None: anybody's. ``queue``: only the merge queue merges; ``updates``: nobody who is not in
    ``bypass`` changes the branch at all. ``enforcement``: ``active``, ``evaluate`` or ``disabled``.
    """

    id: int
    pattern: str
    pull_request: bool = True
    approvals: int = 0
    code_owners: bool = False
    checks: tuple[str, ...] = ()
    strict: bool = False
    no_force: bool = True
    no_deletion: bool = True
    ruleset: bool = False
    bypass: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    dismiss_stale: bool = False
    app: int | None = None
    linear: bool = False
    signatures: bool = False
    queue: bool = False
    updates: bool = False
    enforcement: str = "active"

    def covers(self, branch: str) -> bool:
        if self.pattern.endswith("*"):
            return branch.startswith(self.pattern[:-1])
        return branch == self.pattern


@dataclass
class Team:
    id: int
    organization: str
    slug: str
    permission: str
    members: list[str] = field(default_factory=list)


@dataclass
class Repository:
    id: int
    owner: User
    name: str
    bare: Bare
    created: float
    default_branch: str = "main"
    private: bool = False
    parent: Repository | None = None
    people: dict[str, str] = field(default_factory=dict)
    """Login -> role."""
    pulls: dict[int, Pull] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    suites: dict[int, Suite] = field(default_factory=dict)
    checks: dict[int, Check] = field(default_factory=dict)
    statuses: list[CommitStatus] = field(default_factory=list)
    labels: dict[str, Label] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    artifacts: dict[int, Artifact] = field(default_factory=dict)
    deployments: dict[int, Deployment] = field(default_factory=dict)
    environments: dict[str, int] = field(default_factory=dict)
    protections: list[Protection] = field(default_factory=list)
    teams: list[Team] = field(default_factory=list)
    merge_methods: tuple[str, ...] = ("merge", "squash", "rebase")
    actions_enabled: bool = True
    actions_pulls: bool = False
    """"Allow GitHub Actions to create and approve pull requests": off, as in a new repository."""
    default_permission: str = "read"
    """Of a workflow that names no ``permissions:``."""
    rules_in_plan: bool = True
    """Whether branches can be protected: private repositories of free plans have no rules."""
    atomic: str = "honoured"
    """What becomes of ``git push --atomic``: ``honoured``; ``absent``: the server does not offer it;
    ``ignored``: it says that it does, and moves each ref by itself."""
    archived: bool = False
    numbers: int = 0

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    def role(self, login: str) -> str:
        """What a person may do here: the strongest of owner, collaborator and team."""
        if login == self.owner.login:
            return "admin"
        roles = [self.people.get(login, "none" if self.private else "read")]
        roles += [team.permission for team in self.teams if login in team.members]
        return max(roles, key=RIGHTS.index)

    def may(self, login: str, role: str) -> bool:
        return RIGHTS.index(self.role(login)) >= RIGHTS.index(role)

    def protections_of(self, branch: str) -> list[Protection]:
        """Those that count; one that only evaluates, or is switched off, does not."""
        if not self.rules_in_plan:
            return []
        return [one for one in self.protections if one.covers(branch) and one.enforcement == "active"]


@dataclass(frozen=True)
class Delivery:
    """An event that happened: what GitHub would send. ``starts``: whether it may start workflows; what a
    job's token does starts none, but for the two dispatches. ``waits``: it would start workflows once a
    person allows it, as of a pull request that a job's token opens; ``Hosted.approve`` does."""

    name: str
    repository: str
    payload: dict[str, Any]
    starts: bool
    waits: bool = False


@dataclass
class State:
    """Everything. ``clock`` gives seconds since the epoch; ``folder`` holds the bare repositories."""

    folder: Path
    clock: Callable[[], float] = time.time
    server_url: str = ""
    api_url: str = ""
    storage_url: str = ""
    users: dict[str, User] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    def id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    def user(self, login: str, kind: str = "User") -> User:
        """The user of that login, made where there is none."""
        if login not in self.users:
            self.users[login] = User(self.id(), login, kind)
        return self.users[login]

    def app(self, slug: str, name: str = "") -> App:
        """The App of that slug, made where there is none; its bot is the user ``slug[bot]``."""
        if slug not in self.apps:
            bot = self.user(f"{slug}[bot]", "Bot")
            owner = self.user("github" if slug == "github-actions" else f"{slug}-owner", "Organization")
            self.apps[slug] = App(self.id(), slug, name or slug, owner, bot)
        return self.apps[slug]


def moment(seconds: float) -> str:
    """A time as GitHub writes it: UTC, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
