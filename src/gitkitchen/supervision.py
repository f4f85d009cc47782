"""The run's side of its supervisors: small processes that start those of nodes, and watch them.

A node's process is not started from the run itself: the interpreter stands still while a program is
started, so that every other node would wait. And a run that is killed could end nothing any more: a
supervisor sees that its run is gone, and ends what it watches.
"""

from __future__ import annotations

import marshal
import os
import resource
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from gitkitchen.process import Cancel, Completed
from gitkitchen.switchboard import LOST, Lost, Switchboard
from gitkitchen.turns import Turns


class BrokenOutput(OSError):
    """A process was ended because its log cannot be written: the disk is full."""


class Supervisors(AbstractContextManager["Supervisors"]):
    """As many as processes may run at once; started with the first of them, or before it by ``start``."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._switchboard: Switchboard | None = None
        self._closed = False

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str,
        timeout: float | None = None,
        cancel: Cancel | None = None,
        log: Path | str | None = None,
        secrets: Sequence[str] = (),
        limit_bytes: int = 1_000_000,
        turns: Turns | None = None,
    ) -> Completed:
        """Run a process to its end and keep what it prints, bounded, in ``log``.

        It ends early after ``timeout`` seconds or when ``cancel`` is set: its group gets SIGTERM, and
        SIGKILL after ``GRACE`` seconds. What it left running in its group is killed when it ends itself.
        ``secrets`` are values that become ``***``. ``turns``: the process takes one of them, else its caller
        has it. Raises OSError where it cannot start, Lost where its supervisor goes, and BrokenOutput where
        what it prints cannot be written.
        """
        question = marshal.dumps(
            [
                [str(word) for word in argv],
                {str(name): str(value) for name, value in env.items()},
                str(cwd),
                timeout,
                str(log) if log else None,
                [str(secret) for secret in secrets],
                limit_bytes,
            ]
        )
        switchboard = self.start()
        with turns.of_process() if turns else nullcontext(_nothing) as rung:
            kind, *values = marshal.loads(switchboard.ask(question, cancel, rung))  # noqa: S302 - our own
        if kind == "system":
            raise OSError(*values)
        if kind == "output":
            raise BrokenOutput(*values)
        if kind == "value":
            raise ValueError(*values)
        code, timed_out, cancelled, tail, logged = values
        return Completed(code, timed_out, cancelled, tuple(tail), logged)

    def start(self) -> Switchboard:
        """Start the supervisors, which takes them a moment, if they are not there yet."""
        with self._lock:
            if self._closed:  # by a run that gave this thread up
                raise Lost(None, LOST)
            if self._switchboard is None:
                self._switchboard = Switchboard(_affordable(self.most))
            return self._switchboard

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the supervisors, and all that they still watch."""
        with self._lock:
            self._closed = True
            switchboard, self._switchboard = self._switchboard, None
        if switchboard is not None:
            switchboard.close()


def _affordable(most: int) -> int:
    """How many supervisors the limit of open files has room for; what is more waits for a line.

    Each takes four handles of the run while they start; the run keeps a part for data.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return most
    try:
        used = len(os.listdir("/dev/fd"))  # noqa: PTH208 - handles, not a folder
    except OSError:  # a bare container
        used = 32
    room = limit - limit // 4 - used
    return max(1, min(most, room // 4 - 4))


def _nothing() -> None:
    """What is called where nobody counts."""
