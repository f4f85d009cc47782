"""Bytes that others wrote become files of ours: copied with a limit, kept only if their digest is right."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from gitkitchen.model import FileEntry

BLOCK = 1 << 20


class Hashing:
    """A file that is written, counted and hashed at once; more than ``limit`` bytes are refused."""

    def __init__(self, target: BinaryIO, limit: int) -> None:
        self._target, self._limit = target, limit
        self._hash = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        if self.bytes > self._limit:
            raise ValueError("is longer than it should be")
        self._hash.update(data)
        return self._target.write(data)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def received(temporary: Path, file: FileEntry, copy: Callable[[Hashing], bool]) -> bool:
    """Let ``copy`` write a file's bytes to ``temporary``, which is there afterwards only if they are right.

    False where ``copy`` says that there is no such file. ValueError, with the reason, for other bytes.
    """
    good = False
    try:
        with temporary.open("xb") as target:
            hashing = Hashing(target, file.bytes)
            if not copy(hashing):
                return False
        if hashing.bytes != file.bytes:
            raise ValueError(f"has {hashing.bytes:,} bytes where {file.bytes:,} were written")
        if hashing.digest != file.digest:
            raise ValueError("holds other bytes than were written")
        good = True
    finally:
        if not good:
            temporary.unlink(missing_ok=True)
    return True


def copied_from(source: str) -> Callable[[Hashing], bool]:
    """What copies a file of this disk that somebody else could write. A link, pipe or device is no file."""

    def copy(target: Hashing) -> bool:
        try:
            handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return False
            while block := file.read(BLOCK):
                target.write(block)
        return True

    return copy
