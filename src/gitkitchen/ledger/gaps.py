"""What compactions say is not in the ledger any more: of each stream the numbers that were removed.

Each compaction is a record of the stream ``compactions``, which none ever removes. It names the commit that
it was made from, the moment before which records were no longer kept, and of every stream that lost records
the runs of numbers (*spans*), each with the id of its last, how many they are, and a digest over the ids of
all of them. What is missing and is in no span is missing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gitkitchen.files import digest_bytes
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.records import Record

STREAM = "compactions"
REMOVABLE = ("runs/", "publications/")
"""Below these alone records are ever removed. What was allowed, moved, held or told is kept for good."""

_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{64}")
_BEGINNING = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers that follow each other and were removed, and the id of the record that was the last of them."""

    first: int
    last: int
    id: str


@dataclass(frozen=True, slots=True)
class Gaps:
    """What of one stream was removed, in order. ``through``: up to there a fold of the stream may lack
    something, from there on it is what it was. ``before``: what was dated earlier may have been removed."""

    spans: tuple[Span, ...] = ()
    through: int = 0
    before: datetime | None = None

    @property
    def last(self) -> int:
        """The greatest number that was removed; 0 where none was."""
        return self.spans[-1].last if self.spans else 0

    def at(self, number: int) -> Span | None:
        """The span that a number is in."""
        found = bisect_right(self.spans, number, key=lambda span: span.first)
        span = self.spans[found - 1] if found else None
        return span if span is not None and number <= span.last else None

    def kept(self, head: int) -> list[int]:
        """The numbers up to ``head`` that are in the stream."""
        found: list[int] = []
        at = 1
        for span in self.spans:
            found += range(at, min(span.first, head + 1))
            at = span.last + 1
        return [*found, *range(at, head + 1)]


NONE = Gaps()


@dataclass(frozen=True, slots=True)
class Removed:
    """What one compaction removed from one stream."""

    spans: tuple[Span, ...]
    records: int
    digest: str
    through: int

    def body(self) -> dict[str, Any]:
        spans = [[span.first, span.last, span.id] for span in self.spans]
        return {"spans": spans, "records": self.records, "digest": self.digest, "through": self.through}


@dataclass(frozen=True, slots=True)
class Compaction:
    """One compaction. ``source``: the commit of the branch that it was made from. ``before``: None where no
    record was removed. ``archive``: the ref that keeps what was before ("": none). ``vouched``: commits of
    the ledger that landings name, which were in the history of ``source``; ``recent``: the first 12 digits of
    its last ones, which what lands later may name."""

    at: datetime
    by: str
    source: str
    before: datetime | None = None
    archive: str = ""
    vouched: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    streams: Mapping[str, Removed] | None = None

    @property
    def records(self) -> int:
        return sum(removed.records for removed in (self.streams or {}).values())

    def vouches(self, commit: str) -> bool:
        """Whether a commit was part of the ledger that was compacted, as far as that is said."""
        return commit == self.source or commit in self.vouched or commit[:12] in self.recent

    def body(self) -> dict[str, Any]:
        return {
            "kind": "compaction",
            "at": self.at.isoformat(),
            "by": self.by,
            "from": self.source,
            "before": self.before.isoformat() if self.before else None,
            "archive": self.archive,
            "vouched": list(self.vouched),
            "recent": list(self.recent),
            "streams": {name: one.body() for name, one in sorted((self.streams or {}).items())},
        }


def removed(records: Sequence[Record], through: int) -> Removed:
    """What is said of records of one stream that are removed, in order."""
    spans: list[Span] = []
    for one in records:
        if spans and spans[-1].last + 1 == one.sequence:
            spans[-1] = Span(spans[-1].first, one.sequence, one.id)
        else:
            spans.append(Span(one.sequence, one.sequence, one.id))
    return Removed(tuple(spans), len(records), digest_of(one.id for one in records), through)


def digest_of(ids: Iterable[str]) -> str:
    """The digest over the ids of removed records, in order."""
    return digest_bytes("".join(f"{one}\n" for one in ids).encode())


def read(body: Mapping[str, Any]) -> Compaction:
    """A compaction's record read back. ValueError, with the reason, for one that none of ours wrote."""
    try:
        if body["kind"] != "compaction":
            raise ValueError(f"it is a {body['kind']!s:.40}")
        found = Compaction(
            at=_moment(body["at"]),
            by=str(body["by"]),
            source=_matching(_OID, body["from"]),
            before=None if body["before"] is None else _moment(body["before"]),
            archive=str(body["archive"]),
            vouched=tuple(_matching(_OID, oid) for oid in body["vouched"]),
            recent=tuple(_matching(_BEGINNING, oid) for oid in body["recent"]),
            streams={str(name): _removed(name, value) for name, value in body["streams"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it does not say what a compaction says: {error!s:.80}") from None
    if found.before is None and found.streams:
        raise ValueError("it removed records, and does not say how old they were")
    return found


def fold(compactions: Iterable[Compaction]) -> dict[str, Gaps]:
    """What all compactions together removed, by stream. ValueError where two removed the same."""
    spans: dict[str, list[Span]] = {}
    through: dict[str, int] = {}
    before: dict[str, datetime] = {}
    for one in compactions:
        for name, gone in (one.streams or {}).items():
            assert one.before is not None
            spans.setdefault(name, []).extend(gone.spans)
            through[name] = max(through.get(name, 0), gone.through)
            before[name] = max(before.get(name, one.before), one.before)
    return {name: Gaps(_joined(name, found), through[name], before[name]) for name, found in spans.items()}


def _joined(name: str, spans: list[Span]) -> tuple[Span, ...]:
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: one.first):
        if found and span.first <= found[-1].last:
            raise ValueError(f"record {span.first} of stream '{name}' was removed twice")
        if found and span.first == found[-1].last + 1:
            found[-1] = Span(found[-1].first, span.last, span.id)
        else:
            found.append(span)
    return tuple(found)


def _removed(name: str, value: Mapping[str, Any]) -> Removed:
    if not name.startswith(REMOVABLE):
        raise ValueError(f"nothing may be removed from stream '{name:.80}'")
    spans = tuple(Span(int(first), int(last), _matching(_ID, id)) for first, last, id in value["spans"])
    ends = [0, *(number for span in spans for number in (span.first, span.last))]
    rising = all(one < other for one, other in zip(ends[0:-1:2], ends[1::2], strict=True))
    if not spans or not rising or any(span.first > span.last for span in spans):
        raise ValueError(f"its numbers of stream '{name:.80}' are not in order")
    found = Removed(spans, int(value["records"]), _matching(_ID, value["digest"]), int(value["through"]))
    if found.records != sum(span.last - span.first + 1 for span in spans) or found.through < spans[-1].last:
        raise ValueError(f"its count of stream '{name:.80}' does not fit its numbers")
    return found


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time of it has no zone")
    return found


def _matching(pattern: re.Pattern[str], text: object) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ValueError(f"{text!s:.80} is no object and no digest")
    return text
