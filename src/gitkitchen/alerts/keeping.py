"""Incidents in the ledger: read as a book, and written on that very book. The ledger is the outbox: what is
due is on record before anything is sent, and what was sent is recorded after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gitkitchen.alerts.grouping import unsettled
from gitkitchen.alerts.incidents import Book, base, fold, observe, stream_of
from gitkitchen.alerts.rules import channels, matching
from gitkitchen.alerts.shapes import Happening, Incident
from gitkitchen.errors import Conflict, Infrastructure, Problem
from gitkitchen.ledger.lease import LeaseLost
from gitkitchen.ledger.protocol import Held, Ledger, New
from gitkitchen.model import Alerts

ATTEMPTS = 20


def load(ledger: Ledger, environment: str) -> Book:
    """What matters of an environment's incidents: the last record says from where on to read."""
    stream = stream_of(environment)
    head = ledger.head(stream)
    if not head:
        return Book()
    last = next(iter(ledger.read(stream, head - 1)))
    start = last.body.get("base", 1)
    start = start if isinstance(start, int) and 1 <= start <= head else 1
    book = fold((record.sequence, record.body) for record in ledger.read(stream, start - 1))
    return Book(book.incidents, max(book.head, head))


def history(ledger: Ledger, environment: str) -> tuple[Incident, ...]:
    """Every incident that an environment ever had, in the order in which they were opened."""
    records = ledger.read(stream_of(environment))
    return tuple(fold((record.sequence, record.body) for record in records).incidents.values())


def note(
    ledger: Ledger,
    environment: str,
    alerts: Alerts,
    seen: Callable[[Book], Iterable[Happening]],
    now: datetime,
    *,
    under: Held | None = None,
) -> Book:
    """Record what observations add, and what is due by them; the book with it. ``seen`` is given the book on
    which it is written, and may be asked again where somebody else wrote meanwhile.

    Infrastructure where the ledger cannot be written: nothing is then recorded, and nothing may be sent.
    """

    def entries(book: Book) -> Sequence[Mapping[str, Any]]:
        made: list[Mapping[str, Any]] = []
        for happening in sorted(seen(book), key=lambda h: (h.at, not h.bad)):
            body = observe(book, happening, alerts.flapping)
            if body is None:
                continue
            if body["kind"] != "closed":
                before = book.latest(happening.key)
                count = before.count + 1 if before is not None and before.is_open else 1
                due = channels(matching(alerts, happening, count))
                body = {**body, "due": list(due)} if due else body
            book = fold([(book.head + 1, body)], book)
            made.append(body)
        return made

    return _write(ledger, environment, alerts, entries, now, under)


def record(
    ledger: Ledger,
    environment: str,
    alerts: Alerts,
    bodies: Sequence[Mapping[str, Any]],
    now: datetime,
    *,
    under: Held | None = None,
) -> Book:
    """Record what was sent."""
    return _write(ledger, environment, alerts, lambda _book: bodies, now, under)


def _write(
    ledger: Ledger,
    environment: str,
    alerts: Alerts,
    entries: Callable[[Book], Sequence[Mapping[str, Any]]],
    now: datetime,
    under: Held | None,
) -> Book:
    stream = stream_of(environment)
    for _ in range(ATTEMPTS):
        book = load(ledger, environment)
        bodies = entries(book)
        if not bodies:
            return book
        after = fold(((book.head + n, body) for n, body in enumerate(bodies, 1)), book)
        start = base(after, now, unsettled(after, alerts))
        new = [
            New(stream, {**body, "base": min(start, book.head + n)}, expect=book.head if n == 1 else None)
            for n, body in enumerate(bodies, 1)
        ]
        try:
            ledger.append_together(new, under=under)
        except LeaseLost:
            raise
        except Conflict:
            continue
        return load(ledger, environment)
    raise Infrastructure(
        Problem(
            f"{ATTEMPTS} others wrote to the alerts of '{environment}' first",
            hint="the next command sends what waits",
            code="ledger-moved",
        )
    )
