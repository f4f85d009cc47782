"""What alerts are made of: something happens to a thing, an incident of the thing is open until it recovers.

    run, promotion, schedule -> Happening -> Incident (in the ledger) -> Delivery (a message on a channel)

Frozen values; all times are UTC; no value of a row and no secret is in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Literal

from gitkitchen.frozen import dataclass
from gitkitchen.model import Severity

Message = Literal["opened", "updated", "closed"]


class What(StrEnum):
    """What can happen to a thing."""

    NODE_FAILED = "node_failed"
    TEST_FAILED = "test_failed"
    TEST_WARNED = "test_warned"
    COULD_NOT_CHECK = "could_not_check"
    RUN_CANCELLED = "run_cancelled"
    SCHEDULE_LATE = "schedule_late"
    SCHEDULE_MISSED = "schedule_missed"
    INPUT_NOT_READY = "input_not_ready"
    PROMOTION_REFUSED = "promotion_refused"
    ENVIRONMENT_BROKEN = "environment_broken"
    DRIFT = "drift"
    RECOVERED = "recovered"


STOPS = frozenset(
    {
        What.NODE_FAILED,
        What.TEST_FAILED,
        What.COULD_NOT_CHECK,
        What.SCHEDULE_MISSED,
        What.ENVIRONMENT_BROKEN,
    }
)
"""What has severity ``stop`` unless its test says otherwise; the rest has ``warn``."""


def severity_of(what: What) -> Severity:
    """The severity of what has no test's own."""
    return Severity.STOP if what in STOPS else Severity.WARN


@dataclass(frozen=True, slots=True)
class Happening:
    """One observation of one thing: that it failed, or (``recovered``) that it is well.

    The thing is a test of a node, a node, a schedule (``variation``: how it runs), or, with none of these,
    the recipe as a whole; without a recipe it is the environment (``about`` says which side of it:
    ``promotion``, an incident's id). ``at`` orders the observations of a thing: when its run began.
    ``run`` and ``event`` name an observation: the same one told twice counts once.
    """

    event: What
    severity: Severity
    environment: str
    recipe: str = ""
    node: str = ""
    test: str = ""
    owner: str = ""
    said: str = ""
    """What failed, in one sentence that may be shown to everybody."""
    at: datetime = field(kw_only=True)
    run: str = ""
    commit: str = ""
    interval: tuple[datetime, datetime] | None = None
    reproduce: str = ""
    """The command that shows the same again."""
    runbook: str = ""
    variation: str = ""
    about: str = ""
    observed: str = ""
    expected: str = ""
    job: str = ""
    """The address of the job."""
    changed: tuple[str, ...] = ()
    """What changed since the last green run, one sentence each."""
    root: str = ""
    """The node above that failed first, where one did and is as heavy: what is told of it tells of this."""

    @property
    def key(self) -> str:
        """The failing thing: an environment's incidents of one key follow each other, one open at a time."""
        return key_of(self.environment, self.recipe, self.node, self.test, self.variation, self.about)

    @property
    def name(self) -> str:
        """Which observation of the thing it is."""
        return f"{self.at.isoformat()} {self.run} {self.event.value}"

    @property
    def bad(self) -> bool:
        return self.event is not What.RECOVERED


def key_of(
    environment: str, recipe: str = "", node: str = "", test: str = "", variation: str = "", about: str = ""
) -> str:
    """The name of a thing: of its parts the finest that are given."""
    if test:
        return f"{environment}/{recipe}/test:{test}"
    if node:
        return f"{environment}/{recipe}/node:{node}"
    if variation:
        return f"{environment}/{recipe}/schedule:{variation}"
    return f"{environment}/{recipe}/run" if recipe else f"{environment}/{about or 'environment'}"


def incident_id(key: str, first: str) -> str:
    """The id of a thing's incident that begins with the observation ``first`` (``Happening.name``): the same
    wherever it is made."""
    return f"a-{sha256(f'{key} {first}'.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Told:
    """What a channel was told last of an incident. ``ref``: what it called that (an issue's number);
    ``group``: the incident whose name the message has, where that is another."""

    message: Message
    state: int
    ref: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """A thing that fails, from the first observation of it until it recovered.

    ``first`` and ``last``: its failing observations, ``count`` of them in a row. ``closed``: when it was seen
    well again, by ``well``. ``flaps``: how many incidents of the thing went before it in quick succession.
    """

    id: str
    key: str
    first: Happening
    last: Happening
    count: int = 1
    closed: datetime | None = None
    well: str = ""
    """The run, or the words, by which it was seen well."""
    flaps: int = 0
    severity: Severity = Severity.WARN
    """The heaviest that it had."""
    state: int = 1
    """Grows with every observation that counts: messages of one state are the same message."""
    due: frozenset[str] = frozenset()
    """The channels that shall be told of it."""
    told: Mapping[str, Told] = field(default_factory=dict)
    sequence: int = 0
    """The record that opened it."""

    @property
    def is_open(self) -> bool:
        return self.closed is None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that is to be sent: this state of this incident, and of others (``more``) that are told
    with it, on this channel. ``digest``: of all that is more than is told of a run one by one."""

    incident: Incident
    channel: str
    message: Message
    more: tuple[Incident, ...] = ()
    digest: bool = False

    @property
    def incidents(self) -> tuple[Incident, ...]:
        return (self.incident, *self.more)

    @property
    def id(self) -> str:
        """The same however often it is sent, and whatever was seen since it was sent first: what is shown,
        and what receivers may know a repetition by."""
        # States only grow and members only join: their sum is no other update's.
        number = f".{sum(i.state for i in self.incidents)}" if self.message == "updated" else ""
        return f"{self.incident.id}{number}.{self.message}"
