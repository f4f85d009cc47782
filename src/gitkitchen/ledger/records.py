"""What the ledger holds: records, each sealed by the digest of its content and tied to the one before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import Any

from gitkitchen.files import canonical, digest, digest_bytes
from gitkitchen.frozen import dataclass

SMALL = 4096
"""Bytes of a record that is kept in memory when it was read."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a stream. Sequences count from 1 without gaps; ``previous`` is the id before ("" for 1).

    ``id`` is the sha256 of the canonical JSON of everything else.
    """

    stream: str
    sequence: int
    id: str
    body: Mapping[str, Any] = field(hash=False)
    previous: str = ""


def seal(stream: str, sequence: int, body: Mapping[str, Any], previous: str) -> Record:
    """A record of ``body`` (a JSON object). Raises TypeError or ValueError for what JSON cannot hold."""
    # Through JSON and back, so that the record in hand is the one that a reader will see.
    plain = json.loads(canonical(body))
    return Record(stream, sequence, digest(_content(stream, sequence, plain, previous)), plain, previous)


def encode(record: Record) -> bytes:
    """The bytes of a record's file: one line of canonical JSON."""
    content = _content(record.stream, record.sequence, record.body, record.previous)
    return canonical(content | {"id": record.id}) + b"\n"


def decode(raw: bytes, stream: str, sequence: int) -> Record:
    """The record that a file should hold. Raises ValueError, with the reason, when it does not."""
    return _small(raw, stream, sequence) if len(raw) <= SMALL else _decoded(raw, stream, sequence)


@lru_cache(maxsize=4096)  # moves and publications are read again and again: the same bytes are checked once
def _small(raw: bytes, stream: str, sequence: int) -> Record:
    return _decoded(raw, stream, sequence)


def _decoded(raw: bytes, stream: str, sequence: int) -> Record:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("body"), dict):
        raise ValueError("it is not a record")  # noqa: TRY004 (of its kind: damage)
    if (found.get("stream"), found.get("sequence")) != (stream, sequence):
        raise ValueError(f"it holds record {found.get('sequence')} of stream '{found.get('stream')}'")
    previous = str(found.get("previous"))
    # The body is what is large. It is written once for both: the content that has the digest, and the file,
    # in which the id stands behind the body.
    written = b'{"body":' + canonical(found["body"])
    rest = canonical({"version": 1, "stream": stream, "sequence": sequence, "previous": previous})[1:]
    name = digest_bytes(b"%b,%b" % (written, rest))
    if found.get("id") != name:
        raise ValueError("its content does not have the digest that it states")
    if b'%b,"id":"%b",%b\n' % (written, name.encode(), rest) != raw:
        raise ValueError("its bytes are not those that were written")
    return Record(stream, sequence, name, found["body"], previous)


def _content(stream: str, sequence: int, body: Mapping[str, Any], previous: str) -> dict[str, Any]:
    return {"version": 1, "stream": stream, "sequence": sequence, "previous": previous, "body": body}
