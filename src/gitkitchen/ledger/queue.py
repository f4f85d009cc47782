"""Commands of one clone write to the ledger's branch in turn: together they would overtake themselves."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(state: Path, patience: float) -> Iterator[None]:
    """Wait for the commands before us, at most ``patience`` seconds: who comes first is decided elsewhere.

    A dead process gives its turn up by dying: the system closes its files.
    """
    state.mkdir(parents=True, exist_ok=True)
    handle = os.open(state / "ledger.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:  # somebody else's turn; or a file system that has no locks
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)
