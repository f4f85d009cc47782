"""How a collector and jobs on other machines keep out of each other's way, by notes in the store alone.

    marks              what a collector found that nothing refers to, each with the moment; and, while it
                       removes some of it, the names of those (``taking``), under a token of its own
    keep.<name>        a job relies on this build or file, although it is marked
    project.<digest>   a project publishes from this zone

A collector marks, and removes what was marked a grace period ago. A job relies on a build when it says so
before it publishes; it publishes within the grace period. So whoever relied on it before it was marked has
published by the time it could go, and its catalog keeps it. Whoever comes later sees the mark, and leaves a
``keep`` note. The two that meet in the same moment are told apart by the order of their writes and reads:
the collector writes ``taking`` before it lists the notes, the job writes its note before it looks at
``taking``. So at least one sees the other: the collector spares it, or the job waits until the removal is
over, looks whether it is still there, and else brings it again. It takes a store that shows what was written
at once, as S3 and registries do.
"""

from __future__ import annotations

import gzip
import io
import json
import secrets
import time
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import field

from gitkitchen.data.stores.contract import Remote, unreachable
from gitkitchen.data.stores.parallel import each
from gitkitchen.files import digest_bytes
from gitkitchen.frozen import dataclass

NAME = "marks"
KEEP = "keep."
TURN = 120.0
"""Seconds after which a collector removes nothing more under one token; it stops well before."""
PAUSE = 0.25
MOST = 512 << 20


@dataclass(frozen=True, slots=True)
class Marks:
    """``marked``: names, each with seconds since 1970. ``taking``: what is being removed under ``token``."""

    marked: Mapping[str, float] = field(default_factory=dict)
    taking: frozenset[str] = frozenset()
    token: str = ""
    begun: bool = False
    """Whether a collector was ever here: until then, what was there once is there."""


def read_marks(remote: Remote, zone: str) -> Marks:
    """The marks of a zone. Infrastructure where they cannot be read: what may be relied on is not known."""
    data = remote.note(zone, NAME)
    if data is None:
        return Marks()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            value = json.loads(file.read(MOST))
        return Marks(
            {str(name): float(moment) for name, moment in value["marked"].items()},
            frozenset(map(str, value["taking"])),
            str(value["token"]),
            begun=True,
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zlib.error):
        reason = f"its note '{NAME}' in {zone} cannot be read"
        raise unreachable(
            remote.label, reason, "remove that note; the next `gitkitchen gc` begins anew"
        ) from None


def write_marks(remote: Remote, zone: str, marked: Mapping[str, float], taking: Collection[str] = ()) -> None:
    """Put them in place of those of before. ``taking`` holds until the next time, at most ``TURN``."""
    value = {
        "version": 1,
        "marked": dict(sorted(marked.items())),
        "taking": sorted(taking),
        "token": secrets.token_hex(8) if taking else "",
    }
    text = json.dumps(value, separators=(",", ":")).encode()
    remote.put_note(zone, NAME, gzip.compress(text, 6, mtime=0))


def rely(
    remote: Remote,
    zone: str,
    names: Collection[str],
    marks: Marks | None = None,
    *,
    turn: float = TURN,
    pause: float = PAUSE,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Say that ``names`` of a zone are needed: what is there of them afterwards, and only then, stays there
    until this is published. ``marks``: as they were read last, if they were.

    Costs one question where nothing of them is marked. Waits at most ``turn`` seconds, for a collector that
    is just removing some of them; one that died is waited for as long.
    """
    marks = read_marks(remote, zone) if marks is None else marks
    needed = sorted(set(names) & marks.marked.keys())
    if not needed:
        return
    each(lambda name: remote.put_note(zone, KEEP + name, b"{}"), needed)
    marks = read_marks(remote, zone)
    doubtful = marks.taking.intersection(needed)
    token, since = marks.token, clock()
    while marks.taking.intersection(doubtful) and clock() - since < turn:
        time.sleep(pause)
        marks = read_marks(remote, zone)
        if marks.token != token:
            token, since = marks.token, clock()


def project_note(project: str) -> str:
    """The name of the note by which a project says that it publishes from a zone."""
    return f"project.{digest_bytes(project.encode())[:16]}"
