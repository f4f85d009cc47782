"""Observations become incidents: one open at a time for each thing, opened once, closed once. Pure.

The records of stream ``alerts/<environment>`` are folded into a ``Book``; ``observe`` says which record an
observation adds to it, or none. Observations may come in any order, twice, or not at all: those of a thing
are ordered by ``at``, what is not newer than what is known says nothing, and of a failure and a recovery of
one moment the recovery counts.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from gitkitchen.alerts.shapes import Delivery, Happening, Incident, Told, What, incident_id
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Severity

KEEP = timedelta(days=7)
"""How long what is over is looked at: an observation that comes later than that may open a new incident."""
MOST_CHANGED = 12
TEXT = 600
"""Characters of one text in a record."""
RANK = {Severity.LOG: 0, Severity.WARN: 1, Severity.STOP: 2}


def stream_of(environment: str) -> str:
    """The stream of an environment's incidents."""
    return f"alerts/{environment}"


@dataclass(frozen=True, slots=True)
class Book:
    """The incidents of an environment that still matter, by id, in the order in which they were opened.
    ``head``: how many records the stream has."""

    incidents: Mapping[str, Incident] = field(default_factory=dict)
    head: int = 0

    def latest(self, key: str) -> Incident | None:
        """A thing's newest incident."""
        found = [i for i in self.incidents.values() if i.key == key]
        return found[-1] if found else None

    @property
    def open(self) -> tuple[Incident, ...]:
        return tuple(i for i in self.incidents.values() if i.is_open)


# --- records ----------------------------------------------------------------------------------


def written(happening: Happening) -> dict[str, Any]:
    """A happening as a record holds it: bounded, and without what says nothing."""
    found: dict[str, Any] = {}
    for one in fields(Happening):
        value = getattr(happening, one.name)
        if one.name == "at":
            found["at"] = value.isoformat()
        elif one.name == "interval" and value is not None:
            found["interval"] = [moment.isoformat() for moment in value]
        elif one.name == "changed" and value:
            found["changed"] = [_cut(text) for text in value[:MOST_CHANGED]]
        elif value:
            found[one.name] = _cut(str(value))
    return found


def read_happening(value: Mapping[str, Any]) -> Happening:
    """The reverse of ``written``. KeyError, TypeError or ValueError where it is none."""
    known = {one.name for one in fields(Happening)}
    given = {name: text for name, text in value.items() if name in known}
    given |= {"event": What(value["event"]), "severity": Severity(value["severity"])}
    given |= {"at": datetime.fromisoformat(value["at"]), "changed": tuple(value.get("changed", ()))}
    if value.get("interval"):
        start, end = value["interval"]
        given["interval"] = (datetime.fromisoformat(start), datetime.fromisoformat(end))
    return Happening(**given)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"


def fold(records: Iterable[tuple[int, Mapping[str, Any]]], book: Book | None = None) -> Book:
    """The book that (sequence, body) records make. A record of an incident whose opening is not among them,
    and one that was written twice, changes nothing. Infrastructure names a record that is none of ours."""
    book = book or Book()
    for sequence, body in records:
        try:
            book = _apply(book, sequence, body)
        except (KeyError, TypeError, ValueError) as error:
            raise Infrastructure(
                Problem(f"record {sequence} of the alerts cannot be read ({error})", code="ledger-record")
            ) from error
    return book


def _apply(book: Book, sequence: int, body: Mapping[str, Any]) -> Book:
    kind, name = body["kind"], str(body["incident"])
    now = book.incidents.get(name)
    changed: Incident | None = None
    if kind == "opened" and now is None:
        what = read_happening(body["what"])
        changed = Incident(
            id=name,
            key=str(body["key"]),
            first=what,
            last=what,
            flaps=int(body.get("flaps", 0)),
            severity=what.severity,
            due=frozenset(body.get("due", ())),
            sequence=sequence,
        )
    elif kind == "updated" and now is not None and now.is_open:
        what = read_happening(body["what"])
        changed = replace(
            now,
            last=what,
            count=now.count + 1,
            severity=max(now.severity, what.severity, key=RANK.__getitem__),
            state=now.state + 1,
            due=now.due | frozenset(body.get("due", ())),
        )
    elif kind == "closed" and now is not None and now.is_open:
        at = datetime.fromisoformat(body["at"])
        changed = replace(now, closed=at, well=str(body.get("well", "")), state=now.state + 1)
    elif kind == "delivered":
        return _told(book, sequence, body)
    incidents = book.incidents if changed is None else {**book.incidents, name: changed}
    return Book(incidents, max(book.head, sequence))


def _told(book: Book, sequence: int, body: Mapping[str, Any]) -> Book:
    """What a message told of: its own incident, and those that were told with it."""
    name, channel = str(body["incident"]), body["channel"]
    states = {name: body["state"], **body.get("with", {})}
    incidents = dict(book.incidents)
    for one, state in states.items():
        now = incidents.get(one)
        before = now.told.get(channel) if now is not None else None
        if now is None or (before is not None and before.message == "closed"):
            continue
        group = "" if one == name else name
        told = Told(body["message"], int(state), str(body.get("ref", "")), group)
        incidents[one] = replace(now, told={**now.told, channel: told})
    return Book(incidents, max(book.head, sequence))


# --- observations -----------------------------------------------------------------------------


def observe(book: Book, seen: Happening, flapping: float) -> dict[str, Any] | None:
    """The record that an observation adds, without the channels that are due; None where it says nothing new.

    ``flapping`` (seconds): a thing that fails again so soon after it was well opens an incident once more,
    which then is not over before the thing was well for as long.
    """
    latest = book.latest(seen.key)
    quick = timedelta(seconds=flapping)
    if not seen.bad:
        if latest is None or not latest.is_open or seen.at < latest.last.at:
            return None
        if latest.flaps and seen.at < latest.last.at + quick:
            return None
        well = seen.said or seen.run
        return {"kind": "closed", "incident": latest.id, "at": seen.at.isoformat(), "well": _cut(well)}
    if latest is not None and latest.is_open:
        if seen.at < latest.last.at or seen.name == latest.last.name:
            return None
        return {"kind": "updated", "incident": latest.id, "what": written(_without(seen, latest.last))}
    if latest is not None and latest.closed is not None and seen.at <= latest.closed:
        return None
    soon = latest is not None and latest.closed is not None and seen.at <= latest.closed + quick
    record = {"kind": "opened", "incident": incident_id(seen.key, seen.name), "key": seen.key}
    flaps = {"flaps": latest.flaps + 1} if soon and latest is not None else {}
    return {**record, **flaps, "what": written(seen)}


def _without(seen: Happening, last: Happening) -> Happening:
    """What changed since the last green is told when it opens; again only where it is something else."""
    return replace(seen, changed=()) if seen.changed == last.changed else seen


def delivered(delivery: Delivery, ref: str = "") -> dict[str, Any]:
    """The record that a message was sent."""
    body: dict[str, Any] = {
        "kind": "delivered",
        "incident": delivery.incident.id,
        "channel": delivery.channel,
    }
    body |= {"message": delivery.message, "state": delivery.incident.state}
    if delivery.more:
        body["with"] = {incident.id: incident.state for incident in delivery.more}
    return {**body, "ref": ref} if ref else body


def base(book: Book, now: datetime, waiting: Container[str]) -> int:
    """From which record on a reader must read to know all that matters at ``now``: the oldest opening of what
    is open, waits for a message (these ids), or was closed lately."""
    kept = [
        i.sequence
        for i in book.incidents.values()
        if i.is_open or i.id in waiting or (i.closed is not None and i.closed > now - KEEP)
    ]
    return min(kept, default=book.head + 1)
