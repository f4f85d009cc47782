"""What is due is sent: in turn with others who would send it, each message until its channel has it.

The order that a kill cannot upset: observations on the disk, incidents in the ledger with the channels that
are due, under a lease the message, a mark on the disk that it left, the ledger's record of it. So what is
lost is sent again by whoever comes next, and what may be sent twice is only what left without a mark: GitHub
is asked whether it has the issue, a webhook is given the same ``Idempotency-Key``, and in Slack, Teams and
mail the repetition has the same id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from importlib import import_module
from typing import Any, cast

from gitkitchen.alerts import keeping
from gitkitchen.alerts.channels.contract import Answer, Forge, Sender, Surroundings, tried
from gitkitchen.alerts.grouping import ENDED, Going, owed
from gitkitchen.alerts.incidents import Book, delivered
from gitkitchen.alerts.message import Words, test_words, words_of
from gitkitchen.alerts.shapes import Delivery, Happening
from gitkitchen.alerts.spool import Spool
from gitkitchen.errors import Conflict, GitKitchenError, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.alerting import secret_names
from gitkitchen.ledger.protocol import Held, Ledger
from gitkitchen.model import Alerts, Channel, Project
from gitkitchen.printed import masks, text_safe

CHANNELS: Mapping[str, str] = {
    "github_issue": "gitkitchen.alerts.channels.github_issue",
    "slack": "gitkitchen.alerts.channels.slack",
    "teams": "gitkitchen.alerts.channels.teams",
    "smtp": "gitkitchen.alerts.channels.smtp",
    "webhook": "gitkitchen.alerts.channels.webhook",
}
"""Kind -> its module."""
LEASE = 90.0
"""Seconds that the lease lasts after its last renewal: longer than one message takes."""
TURNS = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between looks whether another who sends is done."""


@dataclass(frozen=True)
class Office:
    """Who sends, and with what. ``now`` gives the time of the world that is watched, ``monotonic`` seconds
    that really pass; ``bound`` is how many of these may be spent in all."""

    project: Project
    ledger: Ledger
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    say: Callable[[Problem], None] = lambda _problem: None
    forge: Callable[[], Forge] | None = None
    repository: str = ""
    """The address of the repository's page, for links to its files."""
    secrets: tuple[str, ...] = ()
    """Values that no message may show, beside those that the channels name."""
    bound: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    senders: Mapping[str, Sender] = field(default_factory=dict)
    """In place of the modules of ``CHANNELS``."""
    going: Going = ENDED
    """The runs whose end is waited for with what is told at their end."""

    @property
    def alerts(self) -> Alerts:
        return self.project.alerts

    @property
    def spool(self) -> Spool:
        return Spool(self.project.state / "alerts")

    @property
    def masks(self) -> tuple[str, ...]:
        named = (self.environ.get(name, "") for name in secret_names(self.alerts))
        token = self.environ.get("GITHUB_TOKEN", "")
        return masks([value for value in (*named, *self.secrets, token) if len(value) > 3])


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message."""

    delivery: Delivery
    answer: Answer


def observed(
    office: Office, environment: str, seen: Callable[[Book], Iterable[Happening]] | Sequence[Happening]
) -> Book:
    """Record observations of an environment, and those that wait on this machine. Infrastructure where the
    ledger cannot be written; observations that were given as values then wait."""
    given = () if callable(seen) else tuple(seen)
    own = office.spool.put(given)
    waiting = [w for w in office.spool.waiting() if any(h.environment == environment for h in w[1])]

    def all_seen(book: Book) -> Iterable[Happening]:
        more = tuple(seen(book)) if callable(seen) else ()
        kept = [h for _, happenings in waiting for h in happenings if h.environment == environment]
        return (*kept, *more)

    book = keeping.note(office.ledger, environment, office.alerts, all_seen, office.now())
    for path, _ in waiting:
        office.spool.drop(path)
    office.spool.drop(own)
    return book


def send_due(office: Office, environment: str, book: Book | None = None) -> tuple[Sent, ...]:
    """Send all that is due now in an environment, within the office's bound. Raises nothing: what cannot be
    sent is said, and waits."""
    started = office.monotonic()

    def left() -> float:
        return office.bound - (office.monotonic() - started)

    try:
        book = book or keeping.load(office.ledger, environment)
        if not owed(book, office.alerts, office.now(), going=office.going):
            return ()
        return _in_turn(office, environment, left)
    except GitKitchenError as error:
        for problem in error.problems:
            office.say(replace(problem, message=f"alerts of '{environment}' wait: {problem.message}"))
        return ()


def _in_turn(office: Office, environment: str, left: Callable[[], float]) -> tuple[Sent, ...]:
    holder = f"alerts-{office.now():%Y%m%dT%H%M%S}"
    pauses = iter(TURNS)
    while True:
        try:
            with office.ledger.lease(f"alerts/{environment}", holder, LEASE, publishes=False) as held:
                return _send_all(office, environment, held, left)
        except Conflict:
            pause = next(pauses, None)
            if pause is None or pause > left():
                raise
            office.sleep(pause)


def _send_all(office: Office, environment: str, held: Held, left: Callable[[], float]) -> tuple[Sent, ...]:
    """Every message that is due, under the lease. What left is recorded, also where the rest could not."""
    refresh = getattr(office.ledger, "refresh", None)
    if refresh is not None:
        refresh()  # another may have sent since we looked
    book = keeping.load(office.ledger, environment)
    done: list[Sent] = []
    for _ in range(2):  # what joined a message that had left already is told after it
        bodies: list[Mapping[str, Any]] = []
        narrowed = False
        try:
            tried = office.spool.tried()
            for planned in owed(book, office.alerts, office.now(), going=office.going, tried=tried):
                if left() <= 0:
                    office.say(Problem(f"alerts of '{environment}' wait: no time is left", code="alert-time"))
                    break
                held.check()
                again = (planned.channel, planned.incident.id) in tried
                delivery = _as_begun(office, planned)
                answer = _send_one(office, delivery, left)
                done.append(Sent(delivery, answer))
                if answer.end == "sent":
                    narrowed = narrowed or again or delivery is not planned
                    bodies.append(delivered(delivery, answer.ref))
        finally:
            if bodies:
                book = keeping.record(office.ledger, environment, office.alerts, bodies, office.now())
        if not narrowed:
            break
    office.spool.tidy(office.now())
    return tuple(done)


def _as_begun(office: Office, delivery: Delivery) -> Delivery:
    """The delivery as it was when it was tried first: a repetition tells of the same things; what failed
    since is told after it. Kept before it is sent."""
    if delivery.message == "updated":  # its name says how much it tells
        return delivery
    begun = office.spool.begun(delivery)
    if begun is None:
        office.spool.begin(delivery)
        return delivery
    more = tuple(incident for incident in delivery.more if incident.id in begun)
    return delivery if len(more) == len(delivery.more) else replace(delivery, more=more)


def _send_one(office: Office, delivery: Delivery, left: Callable[[], float]) -> Answer:
    channel = office.alerts.channels[delivery.channel]
    before = office.spool.left(delivery)
    if before is not None:
        return Answer("sent", "it had left before", before)
    told = delivery.incident.told.get(channel.name)
    words = words_of(delivery, project=office.project.name, repository=office.repository, masks=office.masks)
    since = delivery.incident.first.at
    answer = _try(office, channel, words, left, told.ref if told else "", since)
    if answer.end == "sent":
        office.spool.mark(delivery, answer.ref)
    else:
        if answer.end != "unanswered":
            office.spool.forget(delivery)  # nobody has it: the next may tell of more
        office.say(waits(channel, answer))
    return answer


def test(office: Office, channel: Channel) -> Answer:
    """Send a message that says that it is a test, once more than once where the channel asks to wait."""
    started = office.monotonic()

    def left() -> float:
        return office.bound - (office.monotonic() - started)

    words = test_words(channel.name, office.now(), project=office.project.name)
    return _try(office, channel, words, left, "", office.now())


test.__test__ = False  # type: ignore[attr-defined]


def _try(
    office: Office,
    channel: Channel,
    words: Words,
    left: Callable[[], float],
    ref: str,
    since: datetime,
) -> Answer:
    """Whatever goes wrong with a channel is an answer: one that fails keeps no other from its message."""
    sender = office.senders.get(channel.kind) or cast("Sender", import_module(CHANNELS[channel.kind]))
    about = Surroundings(office.environ, office.sleep, left, office.forge, ref, since)
    try:
        answer = tried(lambda: sender.send(words, channel, about), about)
    except GitKitchenError as error:
        problem = error.problems[0]
        return Answer("refused", f"{problem.message}; {problem.hint}" if problem.hint else problem.message)
    except Exception as error:  # noqa: BLE001 (a server's odd answer, a library's surprise: never a verdict's)
        return Answer("unanswered", f"{type(error).__name__}")
    said = answer.said
    for secret in office.masks:
        said = said.replace(secret, "***")
    return replace(answer, said=text_safe(said))


def waits(channel: Channel, answer: Answer) -> Problem:
    """What a person should know of a message that did not go."""
    how = {"refused": "was refused", "busy": "could not be taken", "unanswered": "had no answer"}[answer.end]
    hint = f"`gitkitchen alerts test {channel.name}` tries the channel" if answer.end == "refused" else ""
    return Problem(
        f"alerts.channels.{channel.name}: a message {how} ({answer.said}); the next command tries again",
        hint=hint,
        code="alert-waits",
    )
