"""The frozen values that promotion, rollback, hotfix, audit and gates share.

A *move* is one change of what an environment stands on: a landed tree with the versions that go with it, a
hold, its release, an incident. Moves of an environment are the records of one stream of the ledger, in order.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from gitkitchen.frozen import dataclass


class Intent(Enum):
    """Why an environment shall move. It is said by whoever asks and never guessed from the trees."""

    FORWARD = "forward"
    ROLLBACK = "rollback"
    HOTFIX = "hotfix"


class Method(Enum):
    """How a commit came to an environment's branch."""

    PUSH = "push"
    """Ours: the branch and the ledger, in one atomic push."""
    BUTTON = "button"
    """A merge of its pull request, by the API with the head's ``sha`` or by a person's hand."""
    HAND = "hand"
    """Not ours: a merge or push that nobody asked us for, checked afterwards."""


class Standing(Enum):
    """How a gate stands. What is missing is pending; what cannot be read is unknown; neither is passed."""

    PASSED = "passed"
    PENDING = "pending"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate says at one moment. Every field is text for people, ready to be escaped by its sink."""

    gate: str
    """Its name in ``gate:`` of ``kitchen.yml``, and what tells it from others of it (``command:lint``)."""
    standing: Standing
    reason: str
    change: str = ""
    """Who or what changes it ("" where it has passed)."""
    command: str = ""
    """What to type for it, where there is such a thing."""
    when: datetime | None = None
    """The earliest moment at which it can pass by the clock alone; None where time does not change it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run that a gate accepts, bound to all that it was true of."""

    recipe: str
    variation: str | None
    run: str
    record: str
    """Id of the ledger's record of the run's outcome: the sha256 of its canonical JSON."""
    tree: str
    """The Git tree that was run."""
    plan: str
    """Digest of the plan: nodes with their fingerprints."""
    base: str
    """The tip of the environment's branch that it was tested against."""
    versions: str
    """Digest of the versions, dataset to fingerprint and content, that it read and built."""
    policy: str
    """Digest of the policy and gates of the target that judged it."""
    verdict: str
    tests: int
    """How many tests were evaluated, those reused on identical content included. Never 0 in evidence."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did or allowed something, as the forge or Git told it (login, or name of an author)."""

    name: str
    role: str
    """``asked``, ``approved``, ``dispatched``, ``merged``, ``waived``, ``author``, ``committer``."""
    about: str = ""
    """What ties it down: the tree that was approved, the id of a review, the file of a waiver."""


@dataclass(frozen=True, slots=True)
class Landing:
    """A tree landed on an environment's branch. Commits and trees are full object names."""

    environment: str
    branch: str
    intent: Intent
    method: Method
    tree: str
    commit: str
    before: str
    """The tip of the branch before ("" for a branch that was made)."""
    source: str
    """The commit of the source that the tree is of."""
    source_environment: str
    """"" where it is none (a hotfix branch, a rollback)."""
    at: datetime
    evidence: tuple[Evidence, ...] = ()
    gates: tuple[GateResult, ...] = ()
    actors: tuple[Actor, ...] = ()
    waivers: tuple[str, ...] = ()
    policy: str = ""
    ledger: str = ""
    """The ledger's tip when the gates were evaluated for the last time."""
    fence: int = 0
    """Of the lease under which it was done; 0 for a hand's."""
    data: str = "adopt"
    """What happened to the data: ``adopt``, or of a rollback ``restore``, ``current``, ``keep-tree``."""
    published: tuple[str, ...] = ()
    """The datasets whose catalog entries moved with it, sorted."""
    reason: str = ""
    """What the person who asked gave as reason."""
    told: str = ""
    """Where the record has it from: "" of who landed it; ``trailers`` of its commit, because the record had
    not been written; ``rebuilt`` after the ledger was lost."""


@dataclass(frozen=True, slots=True)
class Hold:
    """An environment takes no forward promotion until the hold of this id is released."""

    environment: str
    id: str
    by: str
    at: datetime
    reason: str
    incident: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    environment: str
    hold: str
    by: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something went wrong with an environment: a rollback, a wrong tree, drift, a torn publication."""

    environment: str
    id: str
    kind: str
    at: datetime
    said: str
    commit: str = ""
    closed: bool = False


Move = Landing | Hold | Release | Incident


def stream_of(environment: str) -> str:
    """The ledger's stream of an environment's moves."""
    return f"promotions/{environment}"
