"""A move as the body of a ledger's record, and back.

A body has a kind, a version, and every field of its shape, no more and no less. Nothing is guessed: what
is missing, unknown, of another type or in another spelling than ours makes the whole body a damaged one.
Texts that came from people or from a forge are cut to a bound when they are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import canonical
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.records import Record
from gitkitchen.promote.shapes import (
    Actor,
    Evidence,
    GateResult,
    Hold,
    Incident,
    Intent,
    Landing,
    Method,
    Move,
    Release,
    Standing,
)

VERSION = 1
LINE = 300
"""Characters of a name or a label; longer ones are cut."""
TEXT = 2000
"""Characters of a reason; longer ones are cut."""
MOST = 5000
"""Entries of a list; a landing with more is none that we made."""

OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
"""Of an environment: as in ``kitchen.yml``."""
WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Field:
    """How a field is written as JSON, and read again: ValueError, with the reason, where it is neither."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def cut(text: str, most: int) -> str:
    """The text as it can be kept: what UTF-8 cannot hold is replaced, what is too long ends in ``…``."""
    whole = text.encode("utf-8", "replace").decode()
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def _text(most: int) -> Field:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("is no text")  # noqa: TRY004 (of its kind: damage)
        if len(value) > most:
            raise ValueError(f"is longer than {most} characters")
        return value

    return Field(lambda value: cut(value, most), read)


def _matching(pattern: re.Pattern[str], what: str, *, empty: bool = False) -> Field:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not (pattern.fullmatch(value) or (empty and value == "")):
            raise ValueError(f"is no {what}")
        return value

    return Field(check, check)


def _one_of(kind: type[Enum]) -> Field:
    def read(value: Any) -> Enum:
        found = next((member for member in kind if member.value == value), None)
        if found is None or not isinstance(value, str):
            raise ValueError(f"is none of {', '.join(str(m.value) for m in kind)}")
        return found

    return Field(lambda value: kind(value).value, read)


def _number(least: int) -> Field:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= 2**53:
            raise ValueError(f"is no number from {least} on")
        return value

    return Field(check, check)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("is neither true nor false")
    return value


def _write_moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("is a time without a zone")
    return value.astimezone(UTC).isoformat()


def _read_moment(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value)
        same = found.tzinfo is not None and _write_moment(found) == value
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise ValueError("is no moment in UTC")
    return found


def _optional(field: Field) -> Field:
    return Field(
        lambda value: None if value is None else field.write(value),
        lambda value: None if value is None else field.read(value),
    )


def _many(field: Field) -> Field:
    def write(values: tuple[Any, ...]) -> list[Any]:
        if len(values) > MOST:
            raise ValueError(f"has more than {MOST} entries")
        return [field.write(value) for value in values]

    def read(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list) or len(values) > MOST:
            raise ValueError(f"is no list of at most {MOST} entries")
        return tuple(field.read(value) for value in values)

    return Field(write, read)


def _object(kind: type[Any], fields: Mapping[str, Field]) -> Field:
    def write(value: Any) -> dict[str, Any]:
        return _written(value, fields)

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("is no object")  # noqa: TRY004 (of its kind: damage)
        return kind(**_read(value, fields))

    return Field(write, read)


def _written(value: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    body = {}
    for name, field in fields.items():
        try:
            body[name] = field.write(getattr(value, name))
        except (TypeError, ValueError) as error:
            raise ValueError(f"'{name}' {error}") from None
    return body


def _read(value: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    for name in sorted(fields.keys() - value.keys()):
        raise ValueError(f"'{name}' is missing")
    for name in sorted(value.keys() - fields.keys()):
        raise ValueError(f"it has a field '{cut(name, 60)}' that none of ours has")
    found = {}
    for name, field in fields.items():
        try:
            found[name] = field.read(value[name])
        except ValueError as error:
            raise ValueError(f"'{name}' {error}") from None
    return found


_line, _long, _moment = _text(LINE), _text(TEXT), Field(_write_moment, _read_moment)
_oid, _no_oid = _matching(OID, "object name"), _matching(OID, "object name", empty=True)
_digest, _no_digest = _matching(DIGEST, "digest"), _matching(DIGEST, "digest", empty=True)
_name, _word = _matching(NAME, "name of an environment"), _matching(WORD, "word")

EVIDENCE: Mapping[str, Field] = {
    "recipe": _line,
    "variation": _optional(_line),
    "run": _line,
    "record": _digest,
    "tree": _oid,
    "plan": _no_digest,
    "base": _no_oid,
    "versions": _no_digest,
    "policy": _no_digest,
    "verdict": _word,
    "tests": _number(1),
}
GATE: Mapping[str, Field] = {
    "gate": _line,
    "standing": _one_of(Standing),
    "reason": _long,
    "change": _long,
    "command": _long,
    "when": _optional(_moment),
}
ACTOR: Mapping[str, Field] = {"name": _line, "role": _word, "about": _line}
LANDING: Mapping[str, Field] = {
    "environment": _name,
    "branch": _line,
    "intent": _one_of(Intent),
    "method": _one_of(Method),
    "tree": _oid,
    "commit": _oid,
    "before": _no_oid,
    "source": _no_oid,
    "source_environment": _matching(NAME, "name of an environment", empty=True),
    "at": _moment,
    "evidence": _many(_object(Evidence, EVIDENCE)),
    "gates": _many(_object(GateResult, GATE)),
    "actors": _many(_object(Actor, ACTOR)),
    "waivers": _many(_line),
    "policy": _no_digest,
    "ledger": _no_oid,
    "fence": _number(0),
    "data": _word,
    "published": _many(_line),
    "reason": _long,
    "told": _matching(WORD, "word", empty=True),
}
HOLD: Mapping[str, Field] = {
    "environment": _name,
    "id": _word,
    "by": _line,
    "at": _moment,
    "reason": _long,
    "incident": _matching(WORD, "word", empty=True),
}
RELEASE: Mapping[str, Field] = {
    "environment": _name,
    "hold": _word,
    "by": _line,
    "at": _moment,
    "reason": _long,
}
INCIDENT: Mapping[str, Field] = {
    "environment": _name,
    "id": _word,
    "kind": _word,
    "at": _moment,
    "said": _long,
    "commit": _no_oid,
    "closed": Field(_flag, _flag),
}
KINDS: Mapping[str, tuple[type[Any], Mapping[str, Field]]] = {
    "landing": (Landing, LANDING),
    "hold": (Hold, HOLD),
    "release": (Release, RELEASE),
    "incident": (Incident, INCIDENT),
}
_KIND_OF = {shape: kind for kind, (shape, _) in KINDS.items()}


def body_of(move: Move) -> dict[str, Any]:
    """The body of a move's record, as JSON holds it; texts that are too long are cut.

    Raises ValueError, naming the field, for a move that is none: a tree that is no object's name, evidence
    without a test, a time without a zone.
    """
    kind = _KIND_OF[type(move)]
    return {"move": kind, "version": VERSION, **_written(move, KINDS[kind][1])}


def move_of(body: Mapping[str, Any], name: str) -> Move:
    """The move that a record's body tells of. ``name``: what a refusal calls the record.

    Raises Infrastructure (``move-damaged``), naming the record and the field, for any other body than one
    that ``body_of`` made.
    """
    try:
        return _parsed(body)
    except ValueError as error:
        raise Infrastructure(
            Problem(
                f"{name} is no move of an environment: {error}",
                hint="`gitkitchen audit --verify` says what else is wrong with the ledger",
                code="move-damaged",
            )
        ) from None


def _parsed(body: Mapping[str, Any]) -> Move:
    kind = body.get("move")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"its kind is none of {', '.join(KINDS)}")
    if type(body.get("version")) is not int or body["version"] != VERSION:
        raise ValueError(f"its version is not {VERSION}, the one that is understood here")
    shape, fields = KINDS[kind]
    rest = {key: value for key, value in body.items() if key not in ("move", "version")}
    move: Move = shape(**_read(rest, fields))
    if canonical(body_of(move)) != canonical(body):
        raise ValueError("it is spelled in another way than it would be written")
    return move


def bounded(move: Move) -> Move:
    """The move as its record will give it back. ValueError as for ``body_of``."""
    return move_of(body_of(move), "it")


def moves_of(records: Iterable[Record]) -> Iterator[Move]:
    """The moves of a stream's records, in order. Infrastructure names the first that is none, or another
    environment's."""
    return map(_move, records)


@lru_cache(maxsize=4096)  # a promotion folds its environment's moves a dozen times; a record never changes
def _move(record: Record) -> Move:
    name = f"record {record.sequence} of stream '{record.stream}'"
    move = move_of(record.body, name)
    if record.stream.partition("/")[2] != move.environment:
        raise Infrastructure(
            Problem(
                f"{name} is no move of an environment: it is one of '{move.environment}'",
                hint="`gitkitchen audit --verify` says what else is wrong with the ledger",
                code="move-damaged",
            )
        )
    return move
