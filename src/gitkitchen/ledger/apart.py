"""The ledger's branch as one job keeps it for itself: begun from what others see, moved here alone.

For jobs that may not write the branch, and for rehearsals that must not: what they publish in their own
kitchen is seen by what they do next, and by nobody else. What of it counts, others find out for themselves.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from gitkitchen.answers import Answer, Pushed, unreachable
from gitkitchen.errors import Conflict
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.layout import View
from gitkitchen.ledger.tip import State, Tip
from gitkitchen.locks import alone
from gitkitchen.objects import Objects
from gitkitchen.plumbing import Moves, Plumbing

BESIDE = "refs/gitkitchen/beside/"
"""Below it, one ref for each job that keeps the branch for itself. Its end removes it."""
_NAME = re.compile(r"[a-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Apart:
    """How a job keeps the ledger for itself. ``name``: its own, [a-z0-9]. ``asks``: whether the branch is
    asked, and written where the job may; else what was seen of it last is the beginning. ``closed``: why
    nothing is asked of a remote store either, "" where it is."""

    name: str
    asks: bool = True
    closed: str = ""


@contextmanager
def kept(folder: Path, common: Path, state: Path, apart: Apart) -> Iterator[None]:
    """What a job keeps for itself, for the length of a block; that of jobs which were killed goes, too.

    ``folder``: of the repository, whose git folder is ``common``; ``state``: the project's. The system frees
    a job's lock when it dies, however it dies.
    """
    lock = _lock(common, apart.name)
    with alone(lock):
        sweep(folder, common, state)
        try:
            yield
        finally:
            _forget(folder, state, apart.name)
            lock.unlink(missing_ok=True)


def sweep(folder: Path, common: Path, state: Path) -> tuple[str, ...]:
    """Remove what jobs kept for themselves that have ended without doing so; the names of these."""
    refs = {ref.removeprefix(BESIDE) for ref in Plumbing(folder).below(BESIDE)}
    locks = {p.name.removesuffix(".lock") for p in (common / "gitkitchen-beside").glob("*.lock")}
    folders = {p.name for p in (state / "beside").glob("*")}
    gone = []
    for name in sorted(n for n in refs | locks | folders if _NAME.fullmatch(n)):
        lock = _lock(common, name)
        with suppress(Conflict), alone(lock, patience=0):
            _forget(folder, state, name)
            lock.unlink(missing_ok=True)
            gone.append(name)
    return tuple(gone)


def _lock(common: Path, name: str) -> Path:
    return common / "gitkitchen-beside" / f"{name}.lock"


def _forget(folder: Path, state: Path, name: str) -> None:
    git = Plumbing(folder)
    if git.ref(f"{BESIDE}{name}"):
        git.drop(f"{BESIDE}{name}")
    shutil.rmtree(state / "beside" / name, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Beside:
    """A tip that is moved on another one as long as that one lets us, and then on a ref of its own.

    ``asks``: whether the other is asked and moved at all; else what was seen of it last is the beginning.
    """

    git: Plumbing
    objects: Objects
    other: Tip
    ref: str
    asks: bool

    @property
    def begun(self) -> bool:
        """Whether the branch is kept here, and nothing reaches the other."""
        return not self.asks or self.git.ref(self.ref) is not None

    def last(self) -> State:
        return self._own() or self._began(self.other.last())

    def look(self) -> State:
        own = self._own()
        if own is not None:
            return own
        return self.other.look() if self.asks else self._began(self.other.last())

    def move(self, new: str, expected: str | None, beside: Moves | None = None) -> Pushed:
        if not self.begun:
            pushed = self.other.move(new, expected, beside)
            if beside or pushed.answer not in (Answer.DENIED, Answer.REFUSED):
                return pushed
            expected = None
        elif beside:
            return Pushed(Answer.REFUSED, "the ledger is kept here alone, and branches do not move with it")
        if self.git.move(self.ref, new, expected):
            return Pushed(Answer.APPLIED)
        return Pushed(Answer.OVERTAKEN, "git could not move the ref")

    def refs(self, names: Iterable[str]) -> Mapping[str, str]:
        if not self.asks:
            raise unreachable("the remote", "a rehearsal asks nobody")
        return self.other.refs(names)

    def set_aside(self, commit: str, name: str) -> Pushed:  # noqa: ARG002
        return Pushed(Answer.REFUSED, "it is kept here alone")

    def clear(self, fallbacks: Mapping[str, str]) -> None:
        if not self.begun:
            self.other.clear(fallbacks)

    def archives(self) -> Mapping[str, str]:
        return self.other.archives() if self.asks else {}

    def archive(self, commit: str, name: str) -> Pushed:  # noqa: ARG002
        return Pushed(Answer.REFUSED, "it is kept here alone")

    def fetch_archives(self) -> None:
        if self.asks:
            self.other.fetch_archives()

    def _own(self) -> State | None:
        tip = self.git.ref(self.ref)
        return State(View(self.objects, tip), tip) if tip else None

    def _began(self, state: State) -> State:
        return replace(state, expected=None, fallbacks={}) if not self.asks else state
