"""A remote store that may not let us in: what its refusal means depends on who asks, and on the ledger.

Registries that keep names to themselves (ghcr.io among them) refuse a repository that does not exist as
they refuse a stranger. So a refusal to read a zone in which, by the ledger, nothing was ever published is
taken as "there is nothing". Any other is an error, unless the command may go on alone: then the store is
as empty, a person is told once, and what is built stays on this machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from gitkitchen.data.stores.contract import Denied, Remote, Thing
from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import FileEntry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Door:
    """What a command does where the store lets it not in.

    ``published``: whether something of a zone is published, by the ledger. ``alone``: whether the command
    may go on without the store. ``closed``: nobody is asked at all, and why. ``say``: told what a person
    should know.
    """

    published: Callable[[str], bool] = lambda _zone: True
    alone: bool = False
    closed: str = ""
    say: Callable[[Problem], None] = lambda _problem: None


class GuardedRemote:
    """The calls of another remote, with refusals weighed. Threads share it."""

    def __init__(self, remote: Remote, door: Door) -> None:
        self.label = remote.label
        self._remote, self._door = remote, door
        self._shut: dict[str, Denied] = {}
        self._kept_out: dict[str, Denied] = {}
        self._said = False
        self._lock = threading.Lock()

    # --- reading -------------------------------------------------------------------------------------

    def build(self, zone: str, fingerprint: str) -> bytes | None:
        return self._read(zone, lambda: self._remote.build(zone, fingerprint), None)

    def builds(self, zone: str) -> frozenset[str] | None:
        nothing: frozenset[str] | None = frozenset()
        return self._read(zone, lambda: self._remote.builds(zone), nothing)

    def verdicts(self, zone: str, name: str) -> bytes | None:
        return self._read(zone, lambda: self._remote.verdicts(zone, name), None)

    def note(self, zone: str, name: str) -> bytes | None:
        return self._read(zone, lambda: self._remote.note(zone, name), None)

    def notes(self, zone: str) -> frozenset[str]:
        return self._read(zone, lambda: self._remote.notes(zone), frozenset())

    def fetch(self, zone: str, file: FileEntry, target: BinaryIO) -> bool:
        """Of a zone that is as empty nothing can be fetched; who needs a file of another learns why not."""
        try:
            return self._asked(zone, lambda: self._remote.fetch(zone, file, target))
        except Denied:
            if self._door.published(zone):
                raise
            return False

    def _read(self, zone: str, ask: Callable[[], T], nothing: T) -> T:
        try:
            return self._asked(zone, ask)
        except Denied as error:
            if not self._door.published(zone):
                return nothing
            if not self._door.alone:
                raise
            self._tell(error)
            return nothing

    def _asked(self, zone: str, ask: Callable[[], T]) -> T:
        """The answer. Denied; of a zone that refused once, without asking again."""
        if zone in self._shut:
            raise self._shut[zone]
        try:
            return self._tried(ask)
        except Denied as error:
            self._shut[zone] = error
            raise

    def _tried(self, call: Callable[[], T]) -> T:
        """A package that is missing here is a refusal, too, to who may go on alone."""
        if self._door.closed:
            raise Denied(Problem(f"the store {self.label} is not asked: {self._door.closed}", code="store"))
        try:
            return call()
        except Mistake as error:
            if not self._door.alone or error.problems[0].code != "extra-missing":
                raise
            raise Denied(*error.problems) from None

    def _tell(self, error: Denied) -> None:
        with self._lock:
            told, self._said = self._said, True
        if told or self._door.closed:
            return
        problem = error.problems[0]
        self._door.say(
            Problem(
                f"{problem.message}: what others built is not seen, and what is built stays on this machine",
                hint=problem.hint,
                code="store-shut",
            )
        )

    # --- writing -------------------------------------------------------------------------------------

    def put_file(self, zone: str, file: FileEntry, path: Path, *, again: bool) -> None:
        self._write(zone, lambda: self._remote.put_file(zone, file, path, again=again))

    def put_build(self, zone: str, fingerprint: str, data: bytes, files: Sequence[FileEntry]) -> None:
        self._write(zone, lambda: self._remote.put_build(zone, fingerprint, data, files))

    def put_verdicts(self, zone: str, name: str, data: bytes) -> None:
        self._write(zone, lambda: self._remote.put_verdicts(zone, name, data))

    def put_note(self, zone: str, name: str, data: bytes) -> None:
        self._write(zone, lambda: self._remote.put_note(zone, name, data))

    def _write(self, zone: str, write: Callable[[], None]) -> None:
        """What may not be read may be written still: a repository that does not exist yet, above all."""
        if zone in self._kept_out:
            raise self._kept_out[zone]
        try:
            self._tried(write)
        except Denied as error:
            self._kept_out[zone] = error
            raise
        self._shut.pop(zone, None)

    # --- clearing up ---------------------------------------------------------------------------------

    def inventory(self) -> Mapping[str, Sequence[Thing]]:
        return self._remote.inventory()

    def remove(self, zone: str, things: Sequence[Thing]) -> None:
        self._remote.remove(zone, things)

    def where(self, zone: str, thing: Thing) -> str:
        return self._remote.where(zone, thing)
