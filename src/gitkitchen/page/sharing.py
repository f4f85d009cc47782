"""Much work of one kind, shared among the cores of this machine by forking."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from gitkitchen.process import cores

T = TypeVar("T")
R = TypeVar("R")
LEAST = 200
"""Pieces of work for which another process is worth its start."""
MOST = 4
"""Processes: each has a copy of what it touches."""


def share(work: Sequence[T], do: Callable[[T], R], *, least: int = LEAST) -> list[R]:
    """``do`` of each piece, in the order of ``work``. It is done in several processes, so it may have effects
    on files and none in memory, and doing a piece twice must be as doing it once: what another process does
    not finish is done here, and here an error of it is raised."""
    workers = min(MOST, cores(), len(work) // max(least, 1))
    # A fork copies the thread that asks for it alone: with others about, a lock of theirs would stay locked.
    if workers < 2 or not hasattr(os, "fork") or threading.active_count() > 1:
        return [do(piece) for piece in work]
    from multiprocessing import get_context

    context = get_context("fork")
    found: list[R | None] = [None] * len(work)
    found[0] = do(work[0])  # what it loads, the others have from their first moment on
    left = work[1:]
    others: list[tuple[Any, Any]] = []
    try:
        for number in range(1, workers):
            here, there = context.Pipe(duplex=False)
            other = context.Process(target=_work, args=(there, left[number::workers], do), daemon=True)
            with contextlib.suppress(OSError), warnings.catch_warnings():
                # Python 3.12 counts the threads of libraries, too; the copy touches none of these.
                warnings.simplefilter("ignore", DeprecationWarning)
                other.start()  # with too many processes it is none, and what it would do is done here
            there.close()
            others.append((other, here))
        found[1::workers] = [do(piece) for piece in left[0::workers]]
        for number, (_, here) in enumerate(others, 1):
            found[1 + number :: workers] = _received(here) or [do(piece) for piece in left[number::workers]]
    finally:
        for other, here in others:
            here.close()
            if other.pid is not None:
                other.terminate()
                other.join()
    return found  # type: ignore[return-value] # every place was filled


def _work(there: Any, pieces: Sequence[T], do: Callable[[T], R]) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    with contextlib.suppress(BaseException):  # the one that asked finds out, by doing it
        there.send([do(piece) for piece in pieces])


def _received(here: Any) -> list[Any]:
    """What another process did; nothing where it did not finish."""
    try:
        return list(here.recv())
    except (EOFError, OSError):
        return []
