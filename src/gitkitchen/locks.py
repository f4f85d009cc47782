"""Who works and who clears up: locks of the system, which it frees when their holder dies.

Many may share a lock (runs), or one has it alone (what removes). Nobody waits for ever, and nothing is left
locked: the lock is on an open file and goes with the process.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitkitchen.errors import Conflict, Problem

PATIENCE = 60.0
"""Seconds to wait for a lock: who holds one alone does so for moments."""

PAUSE = 0.05


@contextmanager
def shared(path: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Share the lock for the length of a block. Conflict where somebody keeps it alone for too long."""
    with _locked(path, fcntl.LOCK_SH, patience):
        yield


@contextmanager
def alone(path: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Have the lock alone for the length of a block. Conflict where others do not let go in time."""
    with _locked(path, fcntl.LOCK_EX, patience):
        yield


@contextmanager
def _locked(path: Path, how: int, patience: float) -> Iterator[None]:
    end = time.monotonic() + patience
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take(handle, how, path, end)
            if _same(handle, path):
                yield
                return
        finally:
            os.close(handle)


def _take(handle: int, how: int, path: Path, end: float) -> None:
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                what = "being cleared up" if how == fcntl.LOCK_SH else "in use"
                raise Conflict(
                    Problem(
                        f"{path.stem} is {what} by another command",
                        hint="wait for it to end and run the same command again",
                        code="busy",
                    )
                ) from None
            time.sleep(PAUSE)


def _same(handle: int, path: Path) -> bool:
    """Whether the file that was locked still bears its name: who cleared up may have removed it."""
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(handle)
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)
