"""Compaction: the ledger's branch begins anew with all that is kept, and says what it left behind.

The new commit has no parent. Its tree is that of the old tip without the records that may go
(``retention.py``), and with one more record, of the stream ``compactions`` (``gaps.py``). It is put on the
branch by the same compare-and-swap as everything: who was faster is seen, and the compaction made again on
top of that. What was before is kept, if that is wanted, under a ref that no clone fetches by itself; it is
written first, so that a kill leaves either the old branch, or the new one with all that it promises.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from gitkitchen.answers import Answer, Pushed, Unreachable
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.ledger import gaps
from gitkitchen.ledger.committing import Limits, NotWon
from gitkitchen.ledger.following import follows
from gitkitchen.ledger.gaps import Compaction
from gitkitchen.ledger.grafting import graft
from gitkitchen.ledger.layout import Slot, View, file_of, month_of, sequence_of
from gitkitchen.ledger.protocol import Unwritten
from gitkitchen.ledger.records import Record, encode, seal
from gitkitchen.ledger.retention import statements
from gitkitchen.ledger.tip import ARCHIVE, Tip
from gitkitchen.ledger.viewing import compactions, faults, records
from gitkitchen.objects import Objects
from gitkitchen.plumbing import Plumbing

FORCED = (
    "a compaction replaces the branch: whoever makes it needs the right to force-push gitkitchen-ledger "
    "(a ruleset that blocks force pushes: its bypass list)"
)

RECENT = timedelta(days=30)
"""A promotion that is judged on one state of the ledger may land so much later: these commits are named."""
MOST = 5_000
"""So many of them at most."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """A compaction that was made, or would be. ``commit``: the new root of the branch. ``commits``: how many
    the branch had. ``kept``: how many records are in it."""

    compaction: Compaction
    commit: str
    commits: int
    kept: int


@dataclass(frozen=True, slots=True)
class Compactor:
    """What a compaction is made with. Not for two threads at once."""

    git: Plumbing
    objects: Objects
    tip: Tip
    limits: Limits
    clock: Callable[[], datetime]
    by: str
    keep: float | None
    """Seconds for which records are kept; None: no record is removed, only history closed."""
    archived: bool

    def propose(self, view: View) -> Compacted | None:
        """The compaction of a state, whose objects are written and which nothing points to; None where there
        is nothing to gain. Mistake in a shallow clone, Infrastructure where the ledger is damaged."""
        if view.tip is None:
            return None
        if self.git.is_shallow():
            raise Mistake(
                Problem(
                    "this clone is shallow: it has not the history that a compaction vouches for",
                    hint="`git fetch --unshallow`, then run the same command again",
                    code="shallow",
                )
            )
        streams = _whole(view)
        at = self.clock()
        before = datetime.fromtimestamp(at.timestamp() - self.keep, at.tzinfo) if self.keep else None
        said = statements(streams, before) if before is not None else {}
        commits = set(self.git.commits(view.tip))
        if not said and len(commits) == 1:
            return None
        known = {oid for one in compactions(view) for oid in one.vouched}
        judged = {
            str(r.body.get("ledger"))
            for name in streams
            if name.startswith("promotions/")
            for r in streams[name]
        }
        compaction = Compaction(
            at=at,
            by=self.by,
            source=view.tip,
            before=before if said else None,
            vouched=tuple(sorted((judged & commits) - known)),
            recent=tuple(oid[:12] for oid in self._recent(view.tip, at)),
            streams=said,
        )
        if self.archived:
            compaction = replace(compaction, archive=self._archive_of(view.tip, at))
        kept = sum(map(len, streams.values())) - compaction.records + 1
        return Compacted(compaction, self._commit(view, compaction), len(commits), kept)

    def compact(self) -> Compacted | None:
        """Make it; None where there is nothing to gain. Unwritten where it could not be put on the branch."""
        deadline = time.monotonic() + self.limits.patience
        refused = 0
        while True:
            state = self.tip.look()
            made = self.propose(state.view)
            if made is None:
                return None
            kept = self._keep(made.compaction)
            pushed = self.tip.move(made.commit, state.expected)
            if pushed.answer is Answer.APPLIED or self._arrived(pushed, made):
                return made
            if kept and pushed.answer is not Answer.UNKNOWN:  # nothing was made of what it keeps
                self.tip.clear({made.compaction.archive: made.compaction.source})
            refused += pushed.answer is not Answer.OVERTAKEN
            if (
                pushed.answer is Answer.DENIED
                or refused >= self.limits.refusals
                or time.monotonic() > deadline
            ):
                raise _refused(pushed)
            time.sleep(random.uniform(0, 0.2))  # noqa: S311 (no secret)

    def _recent(self, tip: str, at: datetime) -> list[str]:
        return self.git.commits(tip, since=int((at - RECENT).timestamp()))[:MOST]

    def _arrived(self, pushed: Pushed, made: Compacted) -> bool:
        """Whether a push that had no answer was applied."""
        if pushed.answer is not Answer.UNKNOWN:
            return False
        try:
            return made.compaction in compactions(self.tip.look().view)
        except Unreachable:
            return False

    # --- the commit -----------------------------------------------------------------------------

    def _commit(self, view: View, compaction: Compaction) -> str:
        files: dict[str, bytes | None] = {}
        for stream, removed in (compaction.streams or {}).items():
            there = gaps.Gaps(removed.spans)
            files |= {path: None for path in view.paths(stream) if there.at(sequence_of(path))}
        head = view.head(gaps.STREAM)
        last = next(records(view, gaps.STREAM, head - 1)).id if head else ""
        made = seal(gaps.STREAM, head + 1, compaction.body(), last)
        month = month_of(compaction.at, view.last_month(gaps.STREAM))
        files[file_of(gaps.STREAM, Slot(made.sequence, secrets.token_hex(8), ""), month)] = encode(made)
        what = f"{compaction.records} records removed" if compaction.records else "no record removed"
        message = f"Compaction {made.sequence} of {view.tip}: {what}\n"
        commit = graft(self.git, view, files, message, root=True)
        # What others will ask of it is asked before it is shown to anybody.
        if objection := follows(view, View(self.objects, commit)):
            raise Infrastructure(
                Problem(
                    f"the compaction would not be accepted by other clones: {objection}; nothing was changed",
                    hint="this is a mistake of GitKitchen's: please report it",
                    code="ledger-compaction",
                )
            )
        return commit

    # --- the archive ----------------------------------------------------------------------------

    def _archive_of(self, source: str, at: datetime) -> str:
        """The ref that keeps a commit: the one that does so already, or a new one."""
        for name, commit in sorted(self.tip.archives().items()):
            if commit == source:
                return name
        return f"{ARCHIVE}{at:%Y-%m-%d}-{source[:12]}"

    def _keep(self, compaction: Compaction) -> bool:
        """See that the archive is there; whether it was made now. Infrastructure where it cannot be."""
        name, source = compaction.archive, compaction.source
        if not name:
            return False
        pushed = Pushed(Answer.OVERTAKEN)
        for _ in range(self.limits.refusals):
            if self.tip.archives().get(name) == source:
                return False
            pushed = self.tip.archive(source, name)
            if pushed.answer is Answer.APPLIED:
                return True
            if pushed.answer is Answer.DENIED:
                break
        problem = NotWon(pushed).problems[0]
        hint = "let whoever runs this push it, or give --no-archive: then what is removed is gone"
        raise Infrastructure(replace(problem, message=f"{name} was not made: {problem.message}", hint=hint))


def _whole(view: View) -> dict[str, list[Record]]:
    """All records. Infrastructure where anything is wrong with one: what is damaged is mended first."""
    found = {}
    for stream in sorted(view.streams()):
        problems = list(faults(view, stream))
        if problems:
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise Infrastructure(
                Problem(
                    f"{problems[0].message}{more}: a ledger with faults is not compacted",
                    hint="`gitkitchen audit --verify` names all; the history, which a compaction closes, has "
                    "what was there",
                    code="ledger-record",
                )
            )
        found[stream] = list(records(view, stream, 0))
    return found


def _refused(pushed: Pushed) -> Unwritten:
    error = NotWon(pushed)
    if pushed.answer not in (Answer.REFUSED, Answer.DENIED):
        return error
    return Unwritten(*(replace(problem, hint=FORCED) for problem in error.problems))
