"""Records as they stand on the ledger's branch, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.ledger import gaps
from gitkitchen.ledger.gaps import NONE, Compaction, Gaps
from gitkitchen.ledger.layout import Absent, Slot, View
from gitkitchen.ledger.records import Record, decode

HINT = "the history of branch gitkitchen-ledger has what was there"


def compactions(view: View) -> tuple[Compaction, ...]:
    """All compactions of the branch, the oldest first. Infrastructure where one cannot be read: then nobody
    can say which records may be missing."""
    return _stated(view)[0]


def gaps_of(view: View, stream: str) -> Gaps:
    """Which numbers of a stream were removed. Errors as of ``compactions``."""
    if stream == gaps.STREAM:
        return NONE
    return _stated(view)[1].get(stream, NONE)


def _stated(view: View) -> tuple[tuple[Compaction, ...], Mapping[str, Gaps]]:
    if view.stated is None:
        found: list[Compaction] = []
        number = 0
        try:
            for one in _records(view, gaps.STREAM, 0, NONE):
                number = one.sequence
                found.append(gaps.read(one.body))
            view.stated = (tuple(found), gaps.fold(found))
        except ValueError as error:
            raise bad(gaps.STREAM, number, f"is damaged: {error}") from None
    return view.stated


def records(view: View, stream: str, after: int) -> Iterator[Record]:
    """The records behind ``after``, in order, verified. Infrastructure names a bad or missing one."""
    yield from _records(view, stream, after, gaps_of(view, stream))


def _records(view: View, stream: str, after: int, gone: Gaps) -> Iterator[Record]:
    start = number = max(after - 1, 0)  # one earlier: what follows must follow it
    previous = "" if start == 0 else None
    for slot in view.slots(stream, start):
        while (span := gone.at(number + 1)) is not None:
            number, previous = span.last, span.id
        if slot.sequence != number + 1:
            missing = slot.sequence > number
            raise bad(stream, min(number + 1, slot.sequence), "is missing" if missing else _twice(gone, slot))
        number = slot.sequence
        found = record(view, stream, slot)
        if previous is not None and found.previous != previous:
            raise bad(stream, number, _BROKEN)
        previous = found.id
        if number > after:
            yield found
    if gone.last > number:  # no compaction removes the last of a stream
        raise bad(stream, gone.last + 1, "is missing")


def faults(view: View, stream: str) -> Iterator[Problem]:
    """Everything that is wrong with a stream, each bad record by name."""
    try:
        gone = gaps_of(view, stream)
    except Infrastructure as error:
        yield from error.problems
        return
    previous: str | None = ""
    expected = 1
    for slot in view.slots(stream):
        while expected < slot.sequence:
            span = gone.at(expected)
            if span is not None and span.last < slot.sequence:
                expected, previous = span.last + 1, span.id
                continue
            if span is None:
                yield from bad(stream, expected, "is missing").problems
                previous = None
            expected += 1
        if slot.sequence < expected or gone.at(slot.sequence) is not None:
            yield from bad(stream, slot.sequence, _twice(gone, slot)).problems
            expected = max(expected, slot.sequence + 1)
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
    if gone.last >= expected:
        yield from bad(stream, gone.last + 1, "is missing").problems


def _twice(gone: Gaps, slot: Slot) -> str:
    removed = gone.at(slot.sequence) is not None
    return "is there, and a compaction says that it was removed" if removed else "is there twice"


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
