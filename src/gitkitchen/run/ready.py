"""The ready queue: units of work that wait for each other, taken by threads as soon as they may run.

Whoever ends a unit takes the next one itself, so that a chain never changes threads. The thread that
calls ``run`` only watches: signals reach it at once, time limits and interrupts are its work.
"""

from __future__ import annotations

import contextlib
import heapq
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable

from gitkitchen.frozen import dataclass
from gitkitchen.process import Cancel

PATIENCE = 7.0
"""Seconds that a cancelled run waits for what is running; then it ends without it."""
NAP = 0.25
"""Seconds that the waiting thread sleeps at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A piece of work. ``order``, which no other has, decides between units that may run; ``light``: no
    thread is started for it.

    At most as many units run at once as each of ``limits`` (name, number) allows.
    """

    order: tuple[int, int]
    work: Callable[[], None]
    light: bool = False
    limits: tuple[tuple[str, int], ...] = ()


class Queue:
    """Runs units on at most ``jobs`` threads until ``finish`` is called."""

    def __init__(self, jobs: int, cancel: Cancel, watch: Callable[[], float | None]) -> None:
        """``watch`` is called at least as often as it asks: it returns seconds, or None for no need."""
        self._jobs, self._cancel, self._watch = jobs, cancel, watch
        self._ready: list[tuple[tuple[int, int], Unit]] = []
        self._running: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._over = False
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._error: BaseException | None = None

    def add(self, units: list[Unit]) -> None:
        """Let units run."""
        if not units:
            return
        with self._changed:
            for unit in units:
                heapq.heappush(self._ready, (unit.order, unit))
            heavy = sum(1 for _, unit in self._ready if not unit.light)
            if len(self._ready) > 1:
                self._changed.notify(len(self._ready))
            # Whoever adds takes one itself when it is done; the first unit of all has nobody.
            wanted = heavy - self._idle - (1 if threading.current_thread() in self._threads else 0)
            if not self._threads:
                wanted = max(wanted, 1)
            for _ in range(min(wanted, self._jobs - len(self._threads))):
                thread = threading.Thread(target=self._work, name="gitkitchen-node", daemon=True)
                self._threads.append(thread)
                thread.start()

    @property
    def is_empty(self) -> bool:
        """Whether no unit waits for a thread or a limit."""
        return not self._ready

    def wake(self) -> None:
        """Have ``watch`` called soon: there is a new time limit."""
        self._news.put(None)

    def finish(self) -> None:
        """There is no more to do."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._news.put(None)

    def run(self, cancelling: Callable[[], None]) -> bool:
        """Wait for the end. False: it was cancelled and something did not end in time.

        ``cancelling`` is called once when the run is asked to end. What a unit raised is raised here.
        """
        listener = self.wake
        self._cancel.listen(listener)
        give_up: float | None = None
        wait = 0.0
        try:
            while not self._over:
                with contextlib.suppress(queue.Empty):
                    self._news.get(timeout=wait)
                if self._cancel.is_set and give_up is None:
                    give_up = time.monotonic() + PATIENCE
                    cancelling()
                # A signal that the system gives to another thread wakes nobody here: Python's handler runs
                # when this thread next does, so it never sleeps for long.
                due = self._watch()
                wait = NAP if due is None else min(due, NAP)
                if give_up is not None:
                    if time.monotonic() > give_up:
                        return False
                    wait = min(wait, 0.1)
        finally:
            self._cancel.forget(listener)
        for thread in self._threads:
            thread.join(PATIENCE)
        if self._error is not None:
            raise self._error
        return True

    # --- threads ---------------------------------------------------------------------------------

    def _work(self) -> None:
        done: Unit | None = None
        try:
            while (unit := self._next(done)) is not None:
                unit.work()
                done = unit
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = self._error or error
            self._cancel.set()
            self.finish()

    def _next(self, done: Unit | None) -> Unit | None:
        """Give back what ``done`` held, then wait for a unit that may run; None at the end."""
        with self._changed:
            if done is not None:
                for name, _ in done.limits:
                    self._running[name] -= 1
                if done.limits and self._idle:
                    self._changed.notify()  # another may run now, and this thread may take a third
            while not self._over:
                unit = self._allowed()
                if unit is not None:
                    return unit
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return None

    def _allowed(self) -> Unit | None:
        passed: list[Unit] = []
        found: Unit | None = None
        while self._ready and found is None:
            _, unit = heapq.heappop(self._ready)
            if all(self._running[name] < most for name, most in unit.limits):
                found = unit
            else:
                passed.append(unit)
        for unit in passed:
            heapq.heappush(self._ready, (unit.order, unit))
        if found is not None:
            for name, _ in found.limits:
                self._running[name] += 1
        return found
