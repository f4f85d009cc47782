"""Records as they stand on the ledger's branch, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.ledger.layout import Absent, Slot, View
from gitkitchen.ledger.records import Record, decode

HINT = "the history of branch gitkitchen-ledger has what was there"


def records(view: View, stream: str, after: int) -> Iterator[Record]:
    """The records behind ``after``, in order, verified. Infrastructure names a bad or missing one."""
    start = max(after - 1, 0)  # one earlier: what follows must follow it
    previous = "" if start == 0 else None
    for number, slot in enumerate(view.slots(stream, start), start + 1):
        if slot.sequence != number:
            what = "is missing" if slot.sequence > number else "is there twice"
            raise bad(stream, min(number, slot.sequence), what)
        found = record(view, stream, slot)
        if previous is not None and found.previous != previous:
            raise bad(stream, number, _BROKEN)
        previous = found.id
        if number > after:
            yield found


def faults(view: View, stream: str) -> Iterator[Problem]:
    """Everything that is wrong with a stream, each bad record by name."""
    previous: str | None = ""
    expected = 1
    for slot in view.slots(stream):
        for number in range(expected, slot.sequence):
            yield from bad(stream, number, "is missing").problems
            previous = None
        if slot.sequence < expected:
            yield from bad(stream, slot.sequence, "is there twice").problems
            continue
        expected = slot.sequence + 1
        try:
            found = record(view, stream, slot)
        except Infrastructure as error:
            yield from error.problems
            previous = None
            continue
        if previous is not None and found.previous != previous:
            yield from bad(stream, slot.sequence, _BROKEN).problems
        previous = found.id


def record(view: View, stream: str, slot: Slot) -> Record:
    """The record of a place. Infrastructure where it is none, or not here."""
    try:
        return decode(view.content(slot.oid), stream, slot.sequence)
    except Absent:
        raise bad(stream, slot.sequence, "is not in this clone") from None
    except ValueError as error:
        raise bad(stream, slot.sequence, f"is damaged: {error}") from None


_BROKEN = "is damaged: it does not follow the record before it"


def bad(stream: str, sequence: int, what: str) -> Infrastructure:
    return Infrastructure(
        Problem(f"record {sequence} of stream '{stream}' {what}", hint=HINT, code="ledger-record")
    )
