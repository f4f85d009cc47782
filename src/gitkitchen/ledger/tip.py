"""Where the ledger's branch is: on a remote, or, in a repository without one, here.

Both are moved by compare-and-swap alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Protocol

from gitkitchen.answers import Answer, Pushed, unreachable
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.following import follows
from gitkitchen.ledger.layout import Absent, View
from gitkitchen.ledger.viewing import compactions
from gitkitchen.objects import Objects
from gitkitchen.plumbing import Moves, Plumbing

BRANCH = "refs/heads/gitkitchen-ledger"
FALLBACK = "refs/heads/gitkitchen-ledger-fallback/"
ARCHIVE = "refs/gitkitchen/archive/"
"""Below it, on the remote: what the branch was before a compaction. No clone fetches it by itself."""
SEEN = "refs/gitkitchen/ledger/"
"""Below it, by the name of the remote: the newest state that this repository has seen."""
BROUGHT = 20
"""Fallback refs that are looked at in one go."""


@dataclass(frozen=True, slots=True)
class State:
    """The branch at one moment: what it held, the commit at which it must be moved (None: it does not exist),
    and the fallback refs beside it, each with its commit."""

    view: View
    expected: str | None
    fallbacks: Mapping[str, str] = field(default_factory=dict)


class Tip(Protocol):
    """The branch, and how it is moved."""

    def last(self) -> State:
        """The newest state known without asking anybody."""
        ...

    def look(self) -> State:
        """The state now. Unreachable where nobody answers."""
        ...

    def move(self, new: str, expected: str | None, beside: Moves | None = None) -> Pushed:
        """Set the branch to ``new`` if it is at ``expected`` (None: does not exist); with it, all or none,
        the refs ``beside``."""
        ...

    def refs(self, names: Iterable[str]) -> Mapping[str, str]:
        """Where other refs are now. Unreachable where nobody answers."""
        ...

    def set_aside(self, commit: str, name: str) -> Pushed:
        """Put a commit on a fallback ref."""
        ...

    def clear(self, fallbacks: Mapping[str, str]) -> None:
        """Remove fallback refs, or archives, that are still what we saw; a fallback that stays is looked at
        again."""
        ...

    def archives(self) -> Mapping[str, str]:
        """The refs that keep what was before compactions, with their commits."""
        ...

    def archive(self, commit: str, name: str) -> Pushed:
        """Keep a commit under the ref ``name``."""
        ...

    def fetch_archives(self) -> None:
        """Bring the commits of the archives here."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """The branch of a repository without a remote."""

    git: Plumbing
    objects: Objects

    def last(self) -> State:
        tip = self.git.ref(BRANCH)
        return State(View(self.objects, tip), tip)

    def look(self) -> State:
        return self.last()

    def move(self, new: str, expected: str | None, beside: Moves | None = None) -> Pushed:
        moves = {BRANCH: (new, expected), **(beside or {})}
        if self.git.move_all(moves):
            return Pushed(Answer.APPLIED)
        overtaken = any(self.git.ref(name) != old for name, (_, old) in moves.items())
        return Pushed(Answer.OVERTAKEN if overtaken else Answer.REFUSED, "git could not move the branch")

    def refs(self, names: Iterable[str]) -> Mapping[str, str]:
        found = ((name, self.git.ref(name)) for name in names)
        return {name: oid for name, oid in found if oid}

    def set_aside(self, commit: str, name: str) -> Pushed:  # noqa: ARG002
        return Pushed(Answer.REFUSED, "there is no remote")

    def clear(self, fallbacks: Mapping[str, str]) -> None:
        for name, commit in fallbacks.items():
            self.git.move_all({name: ("", commit)})

    def archives(self) -> Mapping[str, str]:
        return self.git.refs(self.git.below(ARCHIVE))

    def archive(self, commit: str, name: str) -> Pushed:
        done = self.git.move(name, commit, None)
        return Pushed(Answer.APPLIED if done else Answer.OVERTAKEN, "git could not make the ref")

    def fetch_archives(self) -> None:
        """They are here."""


@dataclass(frozen=True, slots=True)
class There:
    """The branch on a remote."""

    git: Plumbing
    objects: Objects
    remote: str

    @property
    def _seen(self) -> str:
        return SEEN + self.remote

    def last(self) -> State:
        seen = self.git.ref(self._seen)
        # Before its first push a repository may have kept the ledger as a branch of its own: see Here.
        tip = seen or self.git.ref(BRANCH)
        try:
            return State(View(self.objects, tip), seen)
        except Absent:  # its objects were pruned: nothing is known
            return State(View(self.objects, None), None)

    def look(self) -> State:
        for _ in range(3):
            listed = self.git.list(self.remote, [BRANCH, f"{FALLBACK}*"])
            tip = listed.get(BRANCH)
            aside = [(n, c) for n, c in sorted(listed.items()) if n.startswith(FALLBACK)][:BROUGHT]
            wanted = {n: c for n, c in [(BRANCH, tip), *aside] if c and self.objects.read(c) is None}
            if wanted:
                self._bring(wanted)
            if not tip:  # nobody made it yet, or somebody removed it: it goes on from what we know
                return State(self.last().view, None, dict(aside))
            try:
                view = View(self.objects, tip)
            except Absent:
                continue  # it moved while we fetched
            self._remember(tip)
            return State(view, tip, dict(aside))
        raise unreachable(self.remote, "its branch moves faster than it can be fetched")

    def move(self, new: str, expected: str | None, beside: Moves | None = None) -> Pushed:
        moves = {BRANCH: (new, expected), **(beside or {})}
        pushed = self.git.push(self.remote, moves, atomic=bool(beside))
        if pushed.answer is Answer.APPLIED:
            self._remember(new)
        return pushed

    def refs(self, names: Iterable[str]) -> Mapping[str, str]:
        return self.git.list(self.remote, names)

    def set_aside(self, commit: str, name: str) -> Pushed:
        return self.git.push(self.remote, {FALLBACK + name: (commit, None)})

    def clear(self, fallbacks: Mapping[str, str]) -> None:
        self.git.push(self.remote, {name: ("", commit) for name, commit in fallbacks.items()})

    def archives(self) -> Mapping[str, str]:
        return self.git.list(self.remote, [f"{ARCHIVE}*"])

    def archive(self, commit: str, name: str) -> Pushed:
        return self.git.push(self.remote, {name: (commit, None)})

    def fetch_archives(self) -> None:
        refs = [name for name, commit in self.archives().items() if self.objects.read(commit) is None]
        if refs:
            self.git.fetch(self.remote, refs)

    def _bring(self, wanted: Mapping[str, str]) -> None:
        # Where all history is cut off (CI), so is the ledger's: its newest state holds every record.
        shallow = self.git.ref(self._seen) is None and self.git.is_shallow()
        self.git.fetch(self.remote, list(wanted), shallow=shallow)

    def _remember(self, tip: str) -> None:
        """Note how far the branch has been. Infrastructure where it no longer holds what it held."""
        seen = self.git.ref(self._seen)
        if seen == tip:
            return
        if seen and not self.git.is_ancestor(seen, tip):
            if self.git.is_ancestor(tip, seen) or not self._objection(tip, seen):
                return  # another command of this clone has seen more
            if self.git.lacks(tip, None):
                self.git.fetch(self.remote, [BRANCH], again=True)
            if objection := self._objection(seen, tip):
                raise _rewritten(self.remote, seen, tip, objection)
        if self.git.lacks(tip, seen):  # a partial clone's own fetch left out the content of files
            self.git.fetch(self.remote, [BRANCH], again=True)
        self.git.move(self._seen, tip, seen)  # where another command was faster, it did the same

    def _objection(self, old: str, new: str) -> str:
        """Why one commit is not what a compaction made of another; "" where it is."""
        try:
            before, after = View(self.objects, old), View(self.objects, new)
            made = compactions(after)[len(compactions(before)) :]
        except Infrastructure as error:
            return error.problems[0].message
        of = made[0].source if made else ""
        known = bool(of) and self.objects.read(of) is not None and not self.git.is_shallow()
        if known and not self.git.is_ancestor(old, of):
            return f"its compaction is of {of[:12]}, which does not follow it either"
        return follows(before, after)


def _rewritten(remote: str, seen: str, tip: str, why: str) -> Infrastructure:
    return Infrastructure(
        Problem(
            f"branch gitkitchen-ledger of '{remote}' was rewritten: {tip[:12]} does not follow {seen[:12]}, "
            f"which was there before ({why})",
            hint=f"find out by whom; commit {seen[:12]} is still here: `git push --force {remote} "
            f"{seen[:12]}:refs/heads/gitkitchen-ledger` brings it back, `git update-ref -d {SEEN}{remote}` "
            "accepts what is there",
            code="ledger-rewritten",
        )
    )
