"""A remote store that is opened when it is first asked: who finds all in the cache imports nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from gitkitchen.data.stores.contract import Remote, Thing
from gitkitchen.model import FileEntry


class LazyRemote:
    """The calls of another remote, which is made by the first of them."""

    def __init__(self, label: str, make: Callable[[], Remote]) -> None:
        self.label, self._make, self._lock = label, make, threading.Lock()

    @cached_property
    def _made(self) -> Remote:
        return self._make()

    def _remote(self) -> Remote:
        with self._lock:
            return self._made

    def build(self, zone: str, fingerprint: str) -> bytes | None:
        return self._remote().build(zone, fingerprint)

    def builds(self, zone: str) -> frozenset[str] | None:
        return self._remote().builds(zone)

    def fetch(self, zone: str, file: FileEntry, target: BinaryIO) -> bool:
        return self._remote().fetch(zone, file, target)

    def put_file(self, zone: str, file: FileEntry, path: Path, *, again: bool) -> None:
        self._remote().put_file(zone, file, path, again=again)

    def put_build(self, zone: str, fingerprint: str, data: bytes, files: Sequence[FileEntry]) -> None:
        self._remote().put_build(zone, fingerprint, data, files)

    def verdicts(self, zone: str, name: str) -> bytes | None:
        return self._remote().verdicts(zone, name)

    def put_verdicts(self, zone: str, name: str, data: bytes) -> None:
        self._remote().put_verdicts(zone, name, data)

    def note(self, zone: str, name: str) -> bytes | None:
        return self._remote().note(zone, name)

    def put_note(self, zone: str, name: str, data: bytes) -> None:
        self._remote().put_note(zone, name, data)

    def notes(self, zone: str) -> frozenset[str]:
        return self._remote().notes(zone)

    def inventory(self) -> Mapping[str, Sequence[Thing]]:
        return self._remote().inventory()

    def remove(self, zone: str, things: Sequence[Thing]) -> None:
        self._remote().remove(zone, things)

    def where(self, zone: str, thing: Thing) -> str:
        return self._remote().where(zone, thing)
