"""A ledger on the branch ``gitkitchen-ledger``: write-once files in Git, each push a compare-and-swap.

A command looks at the branch once, at its first question, and answers from what it saw. Where the remote
does not answer, it answers from what this clone saw last, and says so.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitkitchen.answers import Answer, Unreachable
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import canonical
from gitkitchen.ledger.apart import BESIDE, Apart, Beside
from gitkitchen.ledger.committing import TAKEN_ALONG, Committer, Guard, Limits, NotWon, Want
from gitkitchen.ledger.compacting import Compacted, Compactor
from gitkitchen.ledger.gaps import Gaps
from gitkitchen.ledger.gathering import is_gathering
from gitkitchen.ledger.layout import View, folder_of
from gitkitchen.ledger.outbox import WAITING, Outbox, Pending
from gitkitchen.ledger.protocol import Held, Kept, New, Newest, Unwritten
from gitkitchen.ledger.queue import turn
from gitkitchen.ledger.records import Record, seal
from gitkitchen.ledger.tip import Here, State, There, Tip
from gitkitchen.ledger.viewing import HINT, faults, gaps_of, records
from gitkitchen.objects import MOST
from gitkitchen.plumbing import Moves, Plumbing

Say = Callable[[Problem], None]
READING = 10.0
"""Seconds that a command which only reads spends on sending what waits."""


def _now() -> datetime:
    return datetime.now(UTC)


class BranchLedger:
    """Append-only streams of records on a branch of the repository around ``root``."""

    whole = True

    def __init__(
        self,
        root: Path,
        state: Path,
        *,
        say: Say,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = _now,
        beside: Apart | None = None,
    ) -> None:
        """``state``: the folder of local state; ``say``: told what a person should know; ``beside``: what
        may not be written to the branch is kept for this job alone."""
        self.state, self.clock, self.limits = state, clock, limits or Limits()
        self._say = say
        self._git = Plumbing(root, self.limits.call)
        objects = self._git.objects()
        remote = self._git.remote()
        tip: Tip = There(self._git, objects, remote) if remote else Here(self._git, objects)
        self._beside: Beside | None = None
        if beside is not None:
            tip = self._beside = Beside(self._git, objects, tip, f"{BESIDE}{beside.name}", beside.asks)
        # A job's own: what others left to be sent does not go where only this job looks.
        self._outbox = Outbox(state / "outbox" if beside is None else state / "beside" / beside.name)
        self._committer = Committer(self._git, objects, tip, self._outbox, self.limits, clock)
        self._lock = threading.RLock()
        self._known: State | None = None

    @property
    def private(self) -> bool:
        """Whether what is written is seen by this job alone."""
        return self._beside is not None and self._beside.begun

    # --- reading ------------------------------------------------------------------------------

    def head(self, stream: str) -> int:
        folder_of(stream)
        with self._lock:
            return self.view().head(stream)

    def read(self, stream: str, after: int = 0) -> Iterator[Record]:
        folder_of(stream)
        with self._lock:  # one process reads the objects for all threads
            found = list(records(self.view(), stream, after))
        yield from found

    def gaps(self, stream: str) -> Gaps:
        with self._lock:
            return gaps_of(self.view(), stream)

    def streams(self, prefix: str = "") -> list[str]:
        with self._lock:
            return sorted(self.view().streams(prefix))

    def verify(self, stream: str) -> list[Problem]:
        """Everything that is wrong with a stream: bad records, and files that a commit changed or removed."""
        with self._lock:
            view = self.view()
            problems = list(faults(view, stream))
            for commit, path in self._git.changed_files(view.tip, folder_of(stream)) if view.tip else ():
                text = f"{path} of the ledger was changed or removed by commit {commit[:12]}"
                problems.append(Problem(text, hint=HINT, code="ledger-record"))
            return list(dict.fromkeys(problems))

    def refresh(self) -> None:
        """Look at the branch again. Unreachable where the remote does not answer."""
        with self._lock:
            self._known = None
            self._committer.look()

    def now(self) -> View:
        """The state as this command saw it on the remote itself. Unreachable where it does not answer."""
        with self._lock:
            if self._committer.state is None:
                try:
                    self._committer.look()
                except Unreachable as error:
                    self._go_on(error)
                    raise
            assert self._committer.state is not None
            return self._committer.state.view

    def view(self) -> View:
        """The state that this command answers from."""
        with self._lock:
            state = self._committer.state or self._known
            return state.view if state else self._first_look()

    def _first_look(self) -> View:
        try:
            state = self._committer.look()
        except Unreachable as error:
            return self._go_on(error)
        if state.fallbacks or self._outbox.entries():
            self.settle(patience=READING)
            state = self._committer.state or state
        self._known = state
        return state.view

    def _go_on(self, error: Unreachable) -> View:
        """Answer from what was seen last, and say so once: a remote that hangs is not asked at every turn."""
        if self._known is None:
            self._known = self._committer.tip.last()
            self._say(_stale(error, self._known.view.tip))
        return self._known.view

    # --- writing ------------------------------------------------------------------------------

    def append(
        self, stream: str, body: Mapping[str, Any], *, expect: int | None = None, under: Held | None = None
    ) -> Record:
        guard: Guard | None = getattr(under, "guard", None)
        with self._lock:
            entry = self._entry(stream, body)
            if expect is not None or guard is not None or not stream.startswith(WAITING):
                try:
                    return self.commit([Want(entry, expect)], guard)[entry.mark]
                except Unreachable as error:
                    raise Unwritten(*error.problems) from error
            self._outbox.put(entry)
            try:
                return self.commit([Want(entry)])[entry.mark]
            except Infrastructure as error:
                raise self._kept(error, [entry]) from error

    def append_together(
        self,
        entries: Sequence[New],
        *,
        under: Held | None = None,
        beside: Moves | None = None,
        last: bool = False,
    ) -> list[Record]:
        guard: Guard | None = getattr(under, "ending" if last else "guard", None)
        with self._lock:
            wants = [Want(self._entry(e.stream, e.body, e.mark), e.expect) for e in entries]
            try:
                found = self.commit(wants, guard, beside=beside)
            except Unreachable as error:
                raise Unwritten(*error.problems) from error
            return [found[want.entry.mark] for want in wants]

    def deposit(self, stream: str, body: Mapping[str, Any], *, mark: str = "") -> None:
        if not stream.startswith(WAITING):
            raise ValueError(f"records of {stream!r} cannot wait")
        with self._lock:
            self._outbox.put(self._entry(stream, body, mark))

    def append_made(self, stream: str, make: Callable[[Newest], Mapping[str, Any]]) -> Record:
        with self._lock:
            entry = self._entry(stream, {})
            try:
                for _ in range(len(self._outbox.entries()) // TAKEN_ALONG):  # the last go along with it
                    self.commit([])
                return self.commit([Want(entry, make=make)])[entry.mark]
            except Unreachable as error:
                raise Unwritten(*error.problems) from error

    def settle(self, guard: Guard | None = None, *, patience: float | None = None) -> None:
        """Push what waits (and what ``guard`` adds); what cannot be pushed goes on waiting, and is told.

        Records that go ``together`` wait for each other."""
        if guard is None and is_gathering():
            return
        with self._lock:
            try:
                self.commit([], guard, patience=patience)
            except Infrastructure as error:
                waiting = self._outbox.entries()
                if waiting:
                    self._say(self._kept(error, waiting).problems[0])

    def lease(
        self,
        name: str,
        holder: str,
        seconds: float | None = None,
        *,
        publishes: bool = True,
        late: bool = False,
    ) -> AbstractContextManager[Held]:
        from gitkitchen.ledger.branch_lease import hold

        return hold(self, name, holder, seconds, publishes=publishes, late=late)

    def commit(
        self,
        wants: Sequence[Want],
        guard: Guard | None = None,
        *,
        patience: float | None = None,
        beside: Moves | None = None,
    ) -> dict[str, Record]:
        """Write records, and what ``guard`` adds, in one push: see Committer."""
        with self._lock, turn(self.state, self.limits.patience):
            try:
                return self._committer.commit(wants, guard, patience=patience, beside=beside)
            except Unreachable as error:
                self._go_on(error)
                raise
            finally:
                self._known = self._committer.state or self._known

    def compactor(self, by: str, keep: float | None, *, archived: bool = True) -> Compactor:
        """What a compaction of this branch is made with: see compacting.py. Of what waits here or on refs of
        its own, all that can be is brought home before."""
        self.settle()
        tip = self._committer.tip
        return Compactor(self._git, self._git.objects(), tip, self.limits, self.clock, by, keep, archived)

    def compact(self, by: str, keep: float | None, *, archived: bool = True) -> Compacted | None:
        """Let the branch begin anew with what is kept; None where there is nothing to gain."""
        maker = self.compactor(by, keep, archived=archived)
        with self._lock, turn(self.state, self.limits.patience):
            try:
                return maker.compact()
            finally:
                self._committer.state = self._known = None

    def fetch_archives(self) -> None:
        """Bring here what was before compactions, as far as the remote keeps it. Unreachable where it does
        not answer."""
        with self._lock:
            self._committer.tip.fetch_archives()

    def _entry(self, stream: str, body: Mapping[str, Any], mark: str = "") -> Pending:
        folder_of(stream)
        plain = seal(stream, 1, body, "").body  # TypeError or ValueError before anything is written
        if len(canonical(plain)) > MOST // 2:
            raise ValueError(f"a record of more than {MOST // 2} bytes is none that a ledger should hold")
        return Pending(stream, plain, mark or secrets.token_hex(8), self.view().head(stream))

    def _kept(self, error: Infrastructure, entries: Sequence[Pending]) -> Kept:
        """Put entries on a ref of their own where the branch was not to be had; else they stay here."""
        where = ""
        if isinstance(error, NotWon) and error.answer is not Answer.DENIED:
            with suppress(Infrastructure):
                where = self._committer.set_aside(entries)
        count = "a record is" if len(entries) == 1 else f"{len(entries)} records are"
        place = f"on branch {where}" if where else "in the outbox of this clone"
        return Kept(
            Problem(
                f"{error.problems[0].message}; {count} kept {place}",
                hint="the next command brings what is kept to the ledger",
                code="ledger-kept",
            )
        )


def _stale(error: Unreachable, tip: str | None) -> Problem:
    known = f"what it held at {tip[:12]} is used" if tip else "nothing of it is known here"
    return Problem(f"{error.problems[0].message}; {known}", hint=error.problems[0].hint, code="ledger-stale")
