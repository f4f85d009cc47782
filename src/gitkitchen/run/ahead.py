"""A node's query, executed while the node that it waits for is still being measured and recorded.

In a chain of tables each node waits for the one before it. Of that one the files are in place before their
content digest is taken, its build is saved and its end is recorded, and none of these can change what the
next query reads: files are named by their sha256 and never change. So where the plan is certain that a node
runs, and nothing else wants the machine, another thread executes its query then, into a temporary file.

Nothing else changes: fingerprints, reuse, tests, records and events come in their order, and the node takes
the rows only if it asks for the very same query on the very same files. Otherwise they are dropped.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from gitkitchen.model import Action, Step, Version
from gitkitchen.process import Cancel
from gitkitchen.run import late
from gitkitchen.turns import Turns

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Draft
    from gitkitchen.run.tables import Tables

_ENDING = 7.0
"""Seconds that a run waits at its end for a query that nobody wants any more."""
_NAP = 0.05
LATE = 0.001
"""Seconds after which a thread that was woken should be at work; else the machine has enough to do."""
_SHY = (8, 256)
"""So many queries are not begun ahead after one that was late, and at most: twice as many each time."""


class Begun:
    """A query that another thread executes. ``started`` and ``begun``: since when, by both clocks."""

    def __init__(
        self, step: Step, inputs: Mapping[str, Version], tables: Tables, cancel: Cancel, now: datetime
    ) -> None:
        self._step, self._inputs, self._tables = step, inputs, tables
        self._cancel = Cancel(cancel)
        self._executes = threading.Lock()
        """Whose it is to execute: the thread's that began it, or the node's own. Never given back."""
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._dropped = False
        self._answer: Draft | Exception | None = None
        self.started, self.begun = now, time.perf_counter()

    @property
    def is_late(self) -> bool:
        """Whether nobody was at hand to execute it at once."""
        return time.perf_counter() - self.begun > LATE

    def execute(self) -> None:
        """Execute it, unless its node does so meanwhile or needs it no more."""
        if not self._executes.acquire(blocking=False):
            return
        from gitkitchen.run.nodes import sql  # late, as each kind's module

        answer: Draft | Exception | None
        try:
            cursor = self._tables.cursor({})
            with self._tables.busy(cursor, self._cancel, None):
                answer = sql.draft(self._step.node, self._inputs, self._tables, cursor)
        except Exception as error:  # noqa: BLE001 - raised where the node asks for it
            answer = error
        with self._lock:
            self._answer, dropped = answer, self._dropped
        if dropped:
            _discard(answer)
        self._ended.put(None)

    def rows(self) -> Draft | None:
        """What came of it, once it has ended; None where nobody has begun, and nobody will.

        Raises what the query raised: it is the node's own, begun early.
        """
        if self._executes.acquire(blocking=False):
            return None
        self._ended.get()
        answer, self._answer = self._answer, None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end_early(self) -> None:
        """Have it interrupted, for the node that waits for it: its time is over."""
        self._cancel.set()

    def drop(self) -> None:
        """Its node wants it no more: it is interrupted, and what came of it is removed."""
        if self._executes.acquire(blocking=False):
            return
        self._cancel.set()
        with self._lock:
            self._dropped = True
            answer, self._answer = self._answer, None
        _discard(answer)


class Ahead:
    """What is begun ahead in one run. ``is_idle``: whether no other node could use the machine."""

    def __init__(
        self,
        tables: Tables,
        turns: Turns,
        cancel: Cancel,
        clock: Callable[[], datetime],
        is_idle: Callable[[], bool],
    ) -> None:
        self._tables, self._turns, self._cancel, self._clock = tables, turns, cancel, clock
        self._is_idle = is_idle
        self._begun: dict[str, Begun] = {}
        self._asked: queue.SimpleQueue[Begun | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._shy = self._skip = 0

    def begin(self, steps: Iterable[Step], inputs: Callable[[Step], Mapping[str, Version] | None]) -> None:
        """Begin with the first of ``steps``, which wait for nothing more, if one can be begun ahead.

        ``inputs``: the versions that a step reads, of which the files must be there; None where one is not.
        """
        if self._cancel.is_set or not self._is_idle():
            return
        if self._skip:
            self._skip -= 1
            return
        step = next((step for step in steps if _may_follow(step)), None)
        if step is None or not self._turns.take_at_once():
            return
        given = inputs(step)
        if given is None:
            self._turns.give_back()
            return
        begun = Begun(step, given, self._tables, self._cancel, self._clock())
        self._begun[step.node.name] = begun
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="gitkitchen-ahead", daemon=True)
            self._thread.start()
        self._asked.put(begun)

    def of(self, name: str) -> Begun | None:
        """What was begun of a node."""
        return self._begun.get(name)

    def forget(self, name: str) -> None:
        """A node has ended, whether or not it asked for what was begun."""
        begun = self._begun.pop(name, None)
        if begun is not None:
            begun.drop()

    def close(self) -> None:
        """End all that is still begun. Nobody watches the time by now: it is interrupted from here."""
        for name in tuple(self._begun):
            self.forget(name)
        if self._thread is None:
            return
        self._asked.put(None)
        last = time.monotonic() + _ENDING
        while self._thread.is_alive() and time.monotonic() < last:
            self._tables.interrupt_due()
            self._thread.join(_NAP)

    def _work(self) -> None:
        while (begun := self._asked.get()) is not None:
            # Where others want the machine too, each hand-over waits for its turn there, and nothing is won.
            self._shy = min(max(2 * self._shy, _SHY[0]), _SHY[1]) if begun.is_late else 0
            self._skip = self._shy
            try:
                begun.execute()
            finally:
                self._turns.give_back()


def may_lead(step: Step) -> bool:
    """Whether the nodes after it are sure to begin once its files are there: no test of it can stop them."""
    node = step.node
    return (
        node.kind == "sql"
        and node.materialize.mode == "table"
        and node.on == "run"
        and not node.matrix
        and all(test.phase == "inputs" for test in node.tests)
    )


def _may_follow(step: Step) -> bool:
    """Whether it runs whatever its inputs hold, and its query is all that it does then."""
    node = step.node
    return (
        step.action is Action.RUN
        and node.kind == "sql"
        and node.materialize.mode == "table"
        and node.on == "run"
        and not (node.matrix or node.volatile or node.condition or node.pool)
        and not any(test.phase == "inputs" for test in node.tests)
        and not late.has_expressions(node)
    )


def _discard(answer: Draft | Exception | None) -> None:
    if answer is not None and not isinstance(answer, Exception):
        answer.discard()
