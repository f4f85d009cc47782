"""What gates judge: facts as plain values, each of which may be ``Unread``.

Whoever gathers them (``road.facts``) reads the ledger, Git and the forge; nothing is read here. A fact that
could not be read is no fact: its gate is unknown, which is neither passed nor failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.promote.shapes import Evidence, Hold


@dataclass(frozen=True, slots=True)
class Unread:
    """A fact that could not be read: why, and the permission or step that would let it be read."""

    reason: str
    permission: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recipe (and variation) that must be proved. ``plan``: the digest its evidence must be of; "": any."""

    recipe: str
    variation: str | None = None
    plan: str = ""

    @property
    def label(self) -> str:
        return f"{self.recipe}:{self.variation}" if self.variation else self.recipe


@dataclass(frozen=True, slots=True)
class Review:
    """A review of the pull request of a step. ``state`` as GitHub writes it, in any case.

    ``tree``: of the commit that was reviewed; ``policy``: the digest of the target's policy that stood below
    that commit. Both "" where Git cannot tell. ``environment``: the step's target.
    """

    login: str
    state: str
    tree: str
    policy: str
    environment: str
    at: datetime
    id: int = 0
    bot: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of the range. ``author`` and ``committer`` are logins; "" where the forge knows no account.

    ``unknown``: the addresses without an account. ``others``: logins of co-authors, where known.
    """

    id: str
    author: str
    committer: str
    unknown: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceRun:
    """A run in the source environment, on one tree. ``scheduled``: the clock asked for it."""

    recipe: str
    variation: str | None
    tree: str
    run: str
    at: datetime
    verdict: str
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The environment before, as the ledger tells it.

    ``stood``: when the candidate's tree stood there, from and to (None: it stands there now), oldest first.
    ``runs`` oldest first, of any tree. ``scheduled``: what runs by a schedule there. ``trouble``: why it
    is broken, a sentence for each open incident.
    """

    environment: str
    tree: str
    stood: tuple[tuple[datetime, datetime | None], ...] = ()
    runs: tuple[SourceRun, ...] = ()
    scheduled: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()
    incidents: tuple[datetime, ...] = ()
    """When incidents there began, closed ones too: what stood before one has not soaked."""


@dataclass(frozen=True, slots=True)
class Hotfix:
    """A hotfix that landed in the target. ``contained``: whether the candidate has what it changed."""

    commit: str
    contained: bool | Unread
    at: datetime
    reason: str = ""
    pull: int = 0
    """The pull request that brings it back; 0 where there is none yet."""
    url: str = ""
    """Of that pull request, where it is known."""
    branch: str = ""
    """The branch that brings it back; "" where there is none yet."""
    environment: str = ""
    """Where it landed."""


@dataclass(frozen=True, slots=True)
class Break:
    """A change of a published dataset's columns. ``breaking``: readers may fail over it."""

    dataset: str
    change: str
    breaking: bool = True
    file: str = ""
    """Its recipe's file."""
    owners: tuple[str, ...] = ()
    """Of that file, by the target's CODEOWNERS."""


@dataclass(frozen=True, slots=True)
class CommandRun:
    """How a command of the gate ended on ``tree``: its exit code, or why there is none."""

    name: str
    tree: str
    code: int | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that ``judge`` looks at. Logins are compared without case; trees and commits are whole names.

    What is left at its default was not gathered, which is ``Unread``: forgetting a fact opens no gate.
    """

    environment: str
    tree: str
    """Of the candidate."""
    base: str
    """The tip of the target's branch."""
    policy: str
    """The digest of the target's policy and gates at ``base`` (``binding.policy_digest``)."""
    source: str | None = None
    """The environment that promotes here; None for the first of the road."""
    pull: int = 0
    """The pull request of this step; 0 where there is none."""
    wanted: tuple[Wanted, ...] | Unread = Unread("it was not asked which recipes the tree has")
    evidence: tuple[Evidence, ...] | Unread = Unread("no evidence was looked for")
    """In the order of the ledger."""
    findings: tuple[PolicyFinding, ...] | Unread = ()
    """What the target's policy says of the tree: required tests, changes that somebody must allow."""
    previous: Source | Unread = Unread("the environment before was not looked at")
    holds: tuple[Hold, ...] | Unread = Unread("holds were not looked for")
    """Open ones of the target."""
    hotfixes: tuple[Hotfix, ...] | Unread = Unread("hotfixes were not looked for")
    reviews: tuple[Review, ...] | Unread = Unread("reviews were not read")
    commits: tuple[Commit, ...] | Unread = Unread("the commits of the range were not read")
    dispatchers: tuple[str, ...] | Unread = Unread("it is not known who asked")
    """The logins of whoever asks for the promotion, and ran it again."""
    permissions: Mapping[str, str | Unread] = field(default_factory=dict)
    """Login in lower case -> role: none, read, triage, write, maintain, admin."""
    teams: Mapping[str, frozenset[str] | Unread] = field(default_factory=dict)
    """``organisation/team`` in lower case -> those of the reviewers who are in it, in lower case."""
    owners: Mapping[str, tuple[str, ...]] | Unread = Unread("CODEOWNERS was not read")
    """Changed path -> its owners by the target's CODEOWNERS (``@login``, ``@organisation/team``)."""
    breaks: tuple[Break, ...] | Unread = Unread("the columns were not compared")
    commands: tuple[CommandRun, ...] | Unread = Unread("no command was run")
