"""Whether a state of the ledger's branch is what a compaction made of another one, and nothing else.

A commit that does not follow the one that was seen is a rewrite, unless every record that was known is still
there byte for byte, or a compaction says that it was removed and the rule allows just that. Landings, and all
that no compaction may touch, can so be taken away by nobody who has not the same unseen as we. What was
written after the state that we know and before the compaction is not seen by this; the numbers of its stream
must be there or be stated, and whoever saw it, or has the archive, finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from gitkitchen.errors import Infrastructure
from gitkitchen.ledger import gaps
from gitkitchen.ledger.gaps import Compaction
from gitkitchen.ledger.layout import View, sequence_of
from gitkitchen.ledger.records import Record, decode
from gitkitchen.ledger.retention import LEAST, Streams, moment_of, removable
from gitkitchen.ledger.viewing import compactions, faults, gaps_of, records

SKEW = timedelta(days=2)
"""So far a clock may be ahead of ours."""


def objections(old: View, new: View) -> Iterator[str]:
    """Why ``new`` is not what compactions made of ``old``, and what was added behind them; nothing where it
    is. Infrastructure where either cannot be read."""
    before, after = compactions(old), compactions(new)
    made = after[len(before) :]
    if not made or after[: len(before)] != before:
        yield "it says of no compaction that was made of it"
        return
    for problem in faults(new, gaps.STREAM):
        yield problem.message
    for one in made:
        if one.at > datetime.now(UTC) + SKEW:
            yield f"its compaction is of {one.at:%Y-%m-%d}"
        if one.before is not None and one.before > one.at - LEAST:
            yield f"its compaction removed what is younger than {LEAST.days} days"
    lost: dict[str, list[Record]] = {}
    for stream in sorted({*old.streams(), *new.streams()}):
        if old.folder_oid(stream) == new.folder_oid(stream):
            continue  # the same folder: nothing was removed from it
        for path, oid in sorted(_missing(old, new, stream).items()):
            number = sequence_of(path)
            if gaps_of(new, stream).at(number) is None:
                yield f"record {number} of stream '{stream}' is gone or altered"
                continue
            found = decode(old.content(oid), stream, number)  # what was damaged is no excuse to lose it
            lost.setdefault(stream, []).append(found)
        for problem in faults(new, stream):
            yield problem.message
    if lost:
        yield from _not_allowed(new, made, lost)


def follows(old: View, new: View) -> str:
    """ "" where ``new`` is what compactions made of ``old``; else the first reason why it is not."""
    try:
        return next(objections(old, new), "")
    except ValueError as error:
        return f"what it lacks was damaged: {error}"
    except Infrastructure as error:
        return error.problems[0].message


def _missing(old: View, new: View, stream: str) -> dict[str, str]:
    there = new.paths(stream)
    return {path: oid for path, oid in old.paths(stream).items() if there.get(path) != oid}


def _not_allowed(new: View, made: tuple[Compaction, ...], lost: Streams) -> Iterator[str]:
    """What of the records that are gone no rule lets go, judged by what is kept and what we knew of the rest;
    and what is said of them falsely."""
    before = max(one.before for one in made if one.before is not None)
    streams = {name: list(records(new, name, 0)) for name in new.streams()}
    whole = {
        name: sorted([*found, *lost.get(name, ())], key=lambda r: r.sequence)
        for name, found in streams.items()
    }
    allowed = {name: {r.id for r in found} for name, found in removable(whole, before, once=True).items()}
    for name, gone in lost.items():
        for one in gone:
            if one.id not in allowed.get(name, ()):
                yield f"record {one.sequence} of stream '{name}' was removed, and no rule lets it go"
        for compaction in made:
            yield from _untrue(compaction, name, gone)


def _untrue(compaction: Compaction, name: str, gone: Sequence[Record]) -> Iterator[str]:
    """What a compaction says of records that it removed and that they themselves say otherwise."""
    said = (compaction.streams or {}).get(name)
    if said is None:
        return
    mine = [r for r in gone if any(span.first <= r.sequence <= span.last for span in said.spans)]
    by_number = {r.sequence: r for r in mine}
    for span in said.spans:
        if span.last in by_number and by_number[span.last].id != span.id:
            yield f"the compaction names another record {span.last} of stream '{name}' than was there"
    assert compaction.before is not None
    for one in mine:
        at = moment_of(one.body)
        if at is None or at >= compaction.before:
            yield f"record {one.sequence} of stream '{name}' was younger than what the compaction removed"
    if len(mine) == said.records and gaps.digest_of(r.id for r in mine) != said.digest:
        yield f"the digest of what was removed from stream '{name}' is not that of what was there"
