"""Who may execute: at most so many nodes at once, and which processes come before their turn."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

EARLY = 2
"""Processes that may wait at the bell before their turn: as one ends, the thread that asked for it has its
record to write before it asks for the next, and another may end meanwhile."""


class Turns(AbstractContextManager[None]):
    """At most ``most`` nodes execute at once; each holds a turn while it does."""

    def __init__(self, most: int) -> None:
        self.most = most
        # A semaphore, as quick as C: Python's own takes its locks and conditions in Python.
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(most):
            self._turns.put(None)
        self._lock = threading.Lock()
        self._processes = self._early = 0

    def __enter__(self) -> None:
        self._turns.get()

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        self._turns.put(None)

    def take_at_once(self) -> bool:
        """Take a turn if one is free; whoever has it must give it back."""
        try:
            self._turns.get_nowait()
        except queue.Empty:
            return False
        return True

    def of_process(self) -> _ProcessTurn:
        """The turn of a process that supervisors start. What it gives is called when the bell was rung.

        Where every turn is such a process's, ``EARLY`` more may come before their turn: they wait at the
        bell, behind all that have one, and the supervisor whose process ends goes on with the first of them
        at once, which has the turn of the one that ended.
        """
        return _ProcessTurn(self)

    def _begin(self) -> bool:
        """Wait for a turn. True: it came before its turn, and waits at the bell."""
        if self.take_at_once():
            return False
        with self._lock:
            early = self._processes == self.most and self._early < EARLY
            self._early += early
        if not early:
            self._turns.get()
        return early

    def _count(self) -> None:
        """A process has its turn."""
        with self._lock:
            self._processes += 1

    def _end(self, counted: bool) -> None:
        passed_on = False
        if counted:
            with self._lock:
                passed_on = self._early > 0
                self._early -= passed_on
                self._processes -= not passed_on
        if not passed_on:
            self._turns.put(None)


class _ProcessTurn:
    """One turn of a process, from before it is begun to its end."""

    __slots__ = ("_counts", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns, self._counts = turns, False

    def __enter__(self) -> Callable[[], None]:
        self._counts = self._turns._begin()
        return self._rung

    def _rung(self) -> None:
        if not self._counts:
            self._turns._count()
            self._counts = True

    def __exit__(self, *_: object) -> None:
        self._turns._end(self._counts)
