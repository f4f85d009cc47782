"""Bringing records to the ledger's branch: each try is one commit and one push, a compare-and-swap.

A commit is made on the state that was seen last, and pushed only if the branch is still there. If it
has moved, we look again, see whether the conditions still hold, and make another. Whether a push whose
answer was lost has arrived is told by the marks of the records, so nothing is written twice.
"""

from __future__ import annotations

import itertools
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from gitkitchen.answers import Answer, Pushed, Unreachable
from gitkitchen.errors import Conflict, Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.ledger import outbox as boxes
from gitkitchen.ledger.folder import moved
from gitkitchen.ledger.grafting import graft
from gitkitchen.ledger.layout import Absent, Slot, View, file_of, month_of
from gitkitchen.ledger.outbox import Outbox, Pending
from gitkitchen.ledger.protocol import LATEST, Newest, Unwritten
from gitkitchen.ledger.records import Record, encode, seal
from gitkitchen.ledger.retention import moment_of
from gitkitchen.ledger.tip import State, Tip
from gitkitchen.ledger.viewing import gaps_of, record, records
from gitkitchen.objects import Objects
from gitkitchen.plumbing import Moves, Plumbing

Guard = Callable[[View], Mapping[str, bytes | None]]
"""Looks at the state on which a commit is made: further files of the commit, or Conflict."""

TAKEN_ALONG = 50
"""Waiting entries that one push takes along."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a ledger tries. Seconds."""

    call: float = 30.0
    """One question to the remote."""
    patience: float = 90.0
    """All tries of one commit while others are faster."""
    refusals: int = 4
    """Tries in a row that the remote refuses or does not answer."""


@dataclass(frozen=True, slots=True)
class Want:
    """A record that shall be written, and the head that its stream must have (None: any)."""

    entry: Pending
    expect: int | None = None
    make: Callable[[Newest], Mapping[str, Any]] | None = None
    """Makes the body, once all that waits has its place in the same commit."""


class RefMoved(Conflict):
    """A ref that should move with the ledger is elsewhere: nothing was changed."""

    def __init__(self, name: str, there: str | None) -> None:
        self.name, self.there = name, there
        short = name.removeprefix("refs/heads/")
        where = f"is at {there[:12]} by now" if there else "is gone"
        super().__init__(
            Problem(
                f"branch '{short}' {where}; nothing was changed",
                hint="run the command again: it begins from what is there",
                code="branch-moved",
            )
        )


class NotWon(Unwritten):
    """The branch could not be moved: others were faster, or the remote said no."""

    def __init__(self, pushed: Pushed) -> None:
        why = {
            Answer.OVERTAKEN: "others were faster, again and again",
            Answer.REFUSED: f"the remote refused it ({pushed.said})",
            Answer.DENIED: f"we may not write there ({pushed.said})",
        }
        text = why.get(pushed.answer, f"the remote did not say whether it was ({pushed.said})")
        hints = {
            Answer.OVERTAKEN: "run the command again",
            Answer.DENIED: "allow whoever runs this to push to it",
            Answer.REFUSED: "see which rule or hook of the remote guards branch gitkitchen-ledger",
        }
        hint = hints.get(pushed.answer, "run the command again: it sees what has arrived")
        super().__init__(Problem(f"the ledger was not written: {text}", hint=hint, code="ledger-push"))
        self.answer = pushed.answer


@dataclass
class _Draft:
    """A commit in the making: its files, and the records that are there or will be, by their marks."""

    view: View
    files: dict[str, bytes | None] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    last: dict[str, Record] = field(default_factory=dict)
    new: bool = True
    """Whether what was asked for is not there yet."""

    def head(self, stream: str) -> int:
        return self.last[stream].sequence if stream in self.last else self.view.head(stream)

    def newest(self, stream: str) -> Iterator[Record]:
        """The last records of a stream as they are with this commit, the newest first."""
        yield from reversed([r for r in self.records.values() if r.stream == stream])
        yield from reversed(list(records(self.view, stream, max(self.view.head(stream) - LATEST, 0))))

    def find(self, entry: Pending) -> bool:
        """Whether an entry's record is in its stream already: by an earlier try, ours or another clone's."""
        for slot in self.view.slots(entry.stream, entry.base):
            if slot.mark == entry.mark:
                self.records[entry.mark] = record(self.view, entry.stream, slot)
        return entry.mark in self.records

    def is_past(self, entry: Pending) -> bool:
        """Whether a record is so old that a compaction has removed it if it was ever there: whether it was,
        nobody can tell any more, and it would not be kept."""
        before, at = gaps_of(self.view, entry.stream).before, moment_of(entry.body)
        return before is not None and at is not None and at < before

    def add(self, entry: Pending, now: datetime) -> None:
        head = self.head(entry.stream)
        last = self.last.get(entry.stream)
        if last is None and head:
            last = next(records(self.view, entry.stream, head - 1))
        made = seal(entry.stream, head + 1, entry.body, last.id if last else "")
        month = month_of(now, self.view.last_month(entry.stream))
        self.files[file_of(entry.stream, Slot(made.sequence, entry.mark, ""), month)] = encode(made)
        self.last[entry.stream] = self.records[entry.mark] = made


class Committer:
    """The branch as one command sees it and moves it. Not for two threads at once."""

    def __init__(
        self,
        git: Plumbing,
        objects: Objects,
        tip: Tip,
        outbox: Outbox,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self.tip, self.outbox, self.limits = tip, outbox, limits
        self.state: State | None = None
        """What was seen last; None where that cannot be the branch any more."""
        self._git, self._objects, self._clock = git, objects, clock
        self._pace = 0.05

    def look(self) -> State:
        """Ask where the branch is. Unreachable where nobody answers."""
        self.state = self.tip.look()
        return self.state

    def commit(
        self,
        wants: Sequence[Want],
        guard: Guard | None = None,
        *,
        patience: float | None = None,
        beside: Moves | None = None,
    ) -> dict[str, Record]:
        """Bring records to the branch, with what waits here or on fallback refs; the records by mark.

        ``beside``: refs that move with the branch, all or none. Conflict where a condition does not hold or
        one of these refs is elsewhere, Unreachable or NotWon where it could not be done: then what was
        pushed without an answer may still arrive.
        """
        deadline = time.monotonic() + (self.limits.patience if patience is None else patience)
        failures, pushed, unsure = 0, Pushed(Answer.OVERTAKEN), False
        for attempt in itertools.count():
            looked = self.state is None
            if looked and not self._looked(deadline, failures):
                failures += 1
                continue
            assert self.state is not None
            try:
                draft, waiting = self._draft(self.state, wants, guard)
            except Conflict:
                if looked:
                    raise
                self.state = None  # what we saw may be old news
                continue
            if draft.files:
                pushed = self._push(self.state, draft, beside if draft.new else None)
            if not draft.files or pushed.answer is Answer.APPLIED:
                self._done(waiting, draft)
                return draft.records
            self.state = None
            unsure = unsure or pushed.answer is Answer.UNKNOWN
            if pushed.answer is Answer.OVERTAKEN and beside:
                try:
                    self._refuse_moved(beside)
                except RefMoved:
                    if not unsure:
                        raise
                    break  # perhaps by ourselves, and others moved it on
            failures = 0 if pushed.answer is Answer.OVERTAKEN else failures + 1
            if pushed.answer is Answer.DENIED or failures >= self.limits.refusals:
                break
            if time.monotonic() > deadline:
                break
            # A random wait, in the measure of what a push takes here, so that many do not march in step.
            time.sleep(random.uniform(0, self._pace * min(2 ** min(attempt, 4), 16)))  # noqa: S311
        # What had no answer may have arrived, or may yet, whatever was said to the tries behind it.
        arrived = self._arrived(wants, guard) if unsure else None
        if arrived is None:
            raise NotWon(Pushed(Answer.UNKNOWN, pushed.said) if unsure else pushed)
        return arrived

    def _arrived(self, wants: Sequence[Want], guard: Guard | None) -> dict[str, Record] | None:
        """What the last push brought, if it was applied and only its answer was lost; else None."""
        try:
            draft = _Draft(self.look().view)
        except Unreachable:
            return None
        if not all(draft.find(want.entry) for want in wants):
            return None
        if not wants and (guard is None or guard(draft.view)):
            return None
        self._done([], draft)
        return draft.records

    def _looked(self, deadline: float, failures: int) -> bool:
        """Look, and bear with a remote that drops a connection; one that hangs has been waited for enough."""
        begun = time.monotonic()
        try:
            self.look()
        except Unreachable:
            now = time.monotonic()
            if failures + 1 >= self.limits.refusals or now > deadline or now - begun >= self.limits.call:
                raise
            time.sleep(random.uniform(0, 0.2 * 2**failures))  # noqa: S311
            return False
        return True

    def _refuse_moved(self, beside: Moves) -> None:
        """Raise RefMoved where a ref is neither where it must be nor where it should go."""
        there = self.tip.refs(beside)
        for name, (new, old) in beside.items():
            if there.get(name) not in (old, new or None):
                raise RefMoved(name, there.get(name))

    def _push(self, state: State, draft: _Draft, beside: Moves | None) -> Pushed:
        message = _message(draft)
        commit = graft(self._git, state.view, draft.files, message)
        begun = time.monotonic()
        pushed = self.tip.move(commit, state.expected, beside)
        self._pace = max(0.02, min(time.monotonic() - begun, 5.0))
        if pushed.answer is Answer.APPLIED:
            self.state = State(View(self._objects, commit), commit, state.fallbacks)
        return pushed

    def _draft(
        self, state: State, wants: Sequence[Want], guard: Guard | None
    ) -> tuple[_Draft, list[Pending]]:
        """The next commit, and the waiting entries whose records are in their streams with it."""
        draft = _Draft(state.view)
        missing = [want for want in wants if not draft.find(want.entry)]
        draft.new = bool(missing)
        for want in missing:
            head = draft.head(want.entry.stream)
            if want.expect is not None and head != want.expect:
                raise moved(want.entry.stream, want.expect, head)
        if guard and (missing or not wants):
            draft.files.update(guard(state.view))
        for want in missing:
            if want.make is None:
                draft.add(want.entry, self._clock())
        there = []
        for entry in [*self.outbox.entries(), *self._aside(state)][:TAKEN_ALONG]:
            with suppress(Infrastructure):  # a damaged stream must not keep others from being written
                known = entry.mark in draft.records or draft.find(entry)
                if not known and not draft.is_past(entry):
                    draft.add(entry, self._clock())
                there.append(entry)
        for want in missing:
            if want.make is not None:
                draft.add(replace(want.entry, body=want.make(draft.newest)), self._clock())
        return draft, there

    def _done(self, there: Sequence[Pending], draft: _Draft) -> None:
        assert self.state is not None
        marks = {entry.mark for entry in there}
        for mark in {*draft.records, *marks}:
            self.outbox.drop(mark)
        spent = {}
        for name, commit in self.state.fallbacks.items():
            entries = self._entries_of(commit)
            if entries and {e.mark for e in entries} <= marks:
                spent[name] = commit
        if spent:
            self.tip.clear(spent)
            self.state = State(self.state.view, self.state.expected)

    # --- refs of their own ----------------------------------------------------------------------

    def set_aside(self, entries: Sequence[Pending]) -> str:
        """Put waiting entries on a fallback ref and return its name; "" where that is refused, too."""
        name = secrets.token_hex(8)
        files = {f"{e.mark}.json": boxes.encode(e) for e in entries[:TAKEN_ALONG]}
        commit = graft(self._git, View(self._objects, None), files, "Records that wait\n")
        if self.tip.set_aside(commit, name).answer is not Answer.APPLIED:
            return ""
        for entry in entries[:TAKEN_ALONG]:
            self.outbox.drop(entry.mark)
        return f"gitkitchen-ledger-fallback/{name}"

    def _aside(self, state: State) -> Iterator[Pending]:
        for commit in state.fallbacks.values():
            yield from self._entries_of(commit)

    def _entries_of(self, commit: str) -> list[Pending]:
        """The entries on a fallback ref; none where it is not one of ours."""
        try:
            view = View(self._objects, commit)
            files = list(view.folder("").items())
            if len(files) > TAKEN_ALONG:
                return []
            found = [boxes.decode(view.content(e.oid)) for _, e in files if not e.is_folder]
        except Absent:
            return []
        entries = [entry for entry in found if entry is not None]
        return entries if len(entries) == len(files) else []


def _message(draft: _Draft) -> str:
    """What a commit says to people who look at the branch: the streams that it adds to and the number of the
    last record of each, or the files of leases. The files of records are not named: ``git log --stat`` does,
    and each draws a number that would cost its bytes twice."""
    lines = [f"{stream} {made.sequence}" for stream, made in draft.last.items()]
    return "\n".join(sorted(lines or draft.files)) + "\n"
