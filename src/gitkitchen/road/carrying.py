"""A proved tree lands: under the lease everything is judged again, one step moves branch and record, and what
consumers read follows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gitkitchen import history
from gitkitchen.answers import Answer
from gitkitchen.errors import Conflict, Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.github.trouble import Trouble
from gitkitchen.history import BRANCHES, Commit
from gitkitchen.ledger.committing import NotWon
from gitkitchen.ledger.protocol import Held, Unwritten
from gitkitchen.promote.gates import hold
from gitkitchen.promote.moves import Course, message_of
from gitkitchen.promote.protocol import End, Way
from gitkitchen.promote.shapes import GateResult, Incident, Intent, Landing, Method, Standing
from gitkitchen.road import publishing
from gitkitchen.road.absorbing import broken
from gitkitchen.road.effects import effect
from gitkitchen.road.ground import Ground, after
from gitkitchen.road.hotfix import bring_back
from gitkitchen.road.incidents import course_of
from gitkitchen.road.judging import judge, passed
from gitkitchen.road.looking import Moved, Stretch, moved_since
from gitkitchen.road.mending import refuse_broken
from gitkitchen.road.proving import Proof
from gitkitchen.road.unsure import press_is_void, push_is_void
from gitkitchen.road.walking import (
    Asked,
    Done,
    actors,
    case_of,
    ended,
    refuse_newer,
    tip_of_ledger,
    under_lease,
    waived,
    way_of,
)
from gitkitchen.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Walk:
    """A promotion from its first gates to its end."""

    ground: Ground
    asked: Asked
    stretch: Stretch
    proof: Proof
    place: Workplace
    checkout: Path | None
    prepare: Callable[[Held, Course], Course] = lambda _held, course: course
    """What must be done under the lease before it lands; returns the course behind it."""

    def land(self, gates: tuple[GateResult, ...]) -> Done:
        """Under the lease: everything again, the landing, its reading back; then what follows from it."""
        asked, stretch = self.asked, self.stretch
        with under_lease(self.place, asked) as held:
            with effect("judge-again"):
                now = replace(self.ground, ledger=self.place.ledger)  # as it is under the lease
                course = course_of(self.place.ledger, asked.environment)
                gates = judge(case_of(now, asked, stretch, course, self.proof), asked.clock())
                # A hold takes the candidate away: what is told is the hold, and who lets go of it.
                if not _held(gates):
                    self._refuse_moved(course)
            if not passed(gates):
                self._seal(gates)
                return Done(refusal(gates), asked.environment, stretch, gates=gates)
            course = self.prepare(held, course)
            self._seal(gates)
            landing = self._landing(gates, held)
            closed = ended(course, landing, asked.over)
            if way_of(self.ground) is Way.LOCAL:
                self._locally(landing, held, course, closed)
            else:
                landed = None if asked.method == "button" else self._push(landing, held, course, closed)
                landed = landed or self._press(landing, held, course, closed)
                if not isinstance(landed, Landing):
                    return landed
                landing = landed
            with effect("show-views"):
                said = self._shown()
        said += brought_back(self.ground, asked, landing)
        if asked.hub is not None:
            asked.hub.told(stretch, landing, gates)
            if stretch.intent is not Intent.ROLLBACK:
                names = [e.name for e in after(self.ground.project, stretch.environment)]
                asked.hub.next(names, landing.commit)
            said = (*said, *asked.hub.notes)
        return Done(End.LANDED, asked.environment, stretch, landing, gates, new=True, said=said)

    def _seal(self, gates: Sequence[GateResult]) -> None:
        """The required check of a candidate that the forge knows, as it is under the lease."""
        hub = self.asked.hub
        if hub is not None and hub.check is not None:
            hub.sealed(self.stretch, gates, self.proof.evidence)

    def _refuse_moved(self, course: Course) -> None:
        refuse_broken(course, self.stretch, self.asked.over)
        moved_since(self.ground, self.stretch)
        refuse_newer(self.place.ledger, self.proof, self.asked.environment, course.moves)
        if course.tip not in ("", self.stretch.base) and not course.broken:
            raise Moved(f"environment '{self.asked.environment}' has landed {course.tip[:12]}")

    def _landing(self, gates: tuple[GateResult, ...], held: Held) -> Landing:
        """The landing with its commit, which tells of it in its trailers."""
        stretch, proof = self.stretch, self.proof
        assert proof.patch is not None
        at = self.asked.clock()
        landing = Landing(
            environment=self.asked.environment,
            branch=stretch.environment.branch,
            intent=stretch.intent,
            method=Method.PUSH,
            tree=stretch.tree,
            commit=stretch.candidate,
            before=stretch.base,
            source=stretch.head,
            source_environment=stretch.source.name if stretch.source is not None else "",
            at=at,
            evidence=proof.evidence,
            gates=gates,
            actors=actors(self.asked.request),
            waivers=waived(proof),
            policy=stretch.policy,
            ledger=tip_of_ledger(self.place.ledger),
            fence=held.fence,
            data=stretch.data,
            published=tuple(sorted(proof.patch)),
            reason=self.asked.reason,
        )
        above = () if stretch.intent is Intent.ROLLBACK else (stretch.head,)
        parents = [oid for oid in (stretch.base, *above) if oid]
        message = message_of(landing)
        made = history.set_tree(self.ground.folder, stretch.tree, parents, message, int(at.timestamp()))
        return replace(landing, commit=made)

    def _push(
        self, landing: Landing, held: Held, course: Course, closed: Sequence[Incident]
    ) -> Landing | Done | None:
        """Branch, candidate and ledger in one step, all or nothing. None where the branch may not be pushed
        and there is a button: nothing has changed."""
        stretch = self.stretch
        beside = {
            BRANCHES + landing.branch: (landing.commit, stretch.base or None),
            BRANCHES + stretch.branch: (landing.commit, stretch.candidate),
        }
        new = publishing.records(self.place, landing, self.proof, held, course.moves, closed)
        try:
            with effect("atomic-push"):
                publishing.write(self.place, new, held, beside)
        except Unwritten as error:
            answer = error.answer if isinstance(error, NotWon) else Answer.UNKNOWN
            if answer is Answer.UNKNOWN:
                return self._pushed_unsure(landing, held, course, closed, error)
            denied = answer in (Answer.REFUSED, Answer.DENIED)
            if not denied or not self.asked.hub or not self.asked.hub.number or self.asked.method == "push":
                raise
            self.asked.say(f"{error.problems[0].message}; its pull request is merged instead")
            return None
        with effect("read-back"):
            self._read_back(landing)
        self._bring_along(landing)
        return landing

    def _pushed_unsure(
        self, landing: Landing, held: Held, course: Course, closed: Sequence[Incident], error: Unwritten
    ) -> Landing | Done:
        """The push had no answer: when it can no longer arrive, the ledger tells whether it has. Somebody may
        have pressed the button meanwhile, which is a landing like any other."""
        if not push_is_void(held):
            return self._unfinished(error.problems[0].message)
        with effect("read-back"):
            recorded = course_of(self.place.ledger, landing.environment).landed(landing.commit)
            made = None if recorded else self._merge_commit(landing.branch)
        if recorded is not None:
            self._bring_along(landing)
            return recorded
        if made is not None:
            return self._merged(made, landing, held, course, closed)
        return self._not_landed(f"branch '{landing.branch}' was not moved: {error.problems[0].message}")

    def _press(
        self, landing: Landing, held: Held, course: Course, closed: Sequence[Incident]
    ) -> Landing | Done:
        """Its pull request is merged by the button, which compares the head and not the base; then the ledger
        follows, if what stands there is what was proved."""
        hub, stretch = self.asked.hub, self.stretch
        if hub is None or not hub.number:
            raise Infrastructure(
                Problem(
                    f"there is no pull request to merge: {'; '.join(hub.notes) if hub else 'no forge'}",
                    hint="allow GitHub Actions to create pull requests, or let an App push the branch",
                    code="no-button",
                )
            )
        subject, _, message = message_of(replace(landing, method=Method.BUTTON)).partition("\n\n")
        held.check()
        problem: Problem | None = None
        unsure: Problem | None = None
        try:
            with effect("merge-button"):
                problem = hub.merged(stretch.candidate, subject, message)
        except Trouble as trouble:  # it may have been pressed, or may yet be
            unsure = trouble.problem()
            if not press_is_void(self.ground, stretch):
                return Done(End.UNFINISHED, self.asked.environment, stretch, problems=(unsure,))
        if problem is not None:
            if self.ground.tip(stretch.branch) != stretch.candidate:
                raise Moved(f"the candidate on '{stretch.branch}' is another by now")
            return Done(End.WAITING, self.asked.environment, stretch, problems=(problem,))
        with effect("read-back"):
            made = self._merge_commit(landing.branch)
        if made is None and unsure is not None:
            return self._not_landed(f"the pull request was not merged: {unsure.message}")
        if made is None:
            return self._unfinished(
                f"branch '{landing.branch}' does not show the merge that was asked for yet"
            )
        return self._merged(made, landing, held, course, closed)

    def _merged(
        self, made: Commit, landing: Landing, held: Held, course: Course, closed: Sequence[Incident]
    ) -> Landing | Done:
        """What a merge of the candidate is: a landing where it has the proved tree on the tested tip."""
        stretch = self.stretch
        if made.tree != landing.tree:
            said = (
                f"{made.oid[:12]} merges the candidate {stretch.candidate[:12]} and has tree "
                f"{made.tree[:12]} instead of {landing.tree[:12]}: nobody tested it"
            )
            return broken(self.place, self.asked, held, course, "wrong-tree", said, made.oid)
        if made.parents[0] != stretch.base:
            return self._unfinished(f"branch '{landing.branch}' had moved before the merge, to the same tree")
        landing = replace(landing, commit=made.oid, method=Method.BUTTON)
        with effect("record-move"):
            new = publishing.records(self.place, landing, self.proof, held, course.moves, closed)
            publishing.write(self.place, new, held)
        return landing

    def _not_landed(self, what: str) -> Done:
        hint = "run the same command again: it begins from what is there, and what is built is reused"
        problem = Problem(f"{what}; nothing was changed", hint=hint, code="not-landed")
        return Done(End.LOST, self.asked.environment, self.stretch, problems=(problem,))

    def _unfinished(self, what: str) -> Done:
        hint = "run the same command again: it proves what stands there, and records it"
        problem = Problem(f"{what}: nothing was published", hint=hint, code="unfinished")
        return Done(End.UNFINISHED, self.asked.environment, self.stretch, problems=(problem,))

    def _merge_commit(self, branch: str) -> Commit | None:
        """The merge of the candidate on a branch, which may have moved on since; None where there is none."""
        tip = self.ground.tip(branch)
        for oid in itertools.islice(history.first_parents(self.ground.folder, tip), 50) if tip else ():
            commit = history.commit_of(self.ground.folder, oid)
            if commit.parents[1:] == (self.stretch.candidate,):
                return commit
        return None

    def _locally(self, landing: Landing, held: Held, course: Course, closed: Sequence[Incident]) -> None:
        """The branch by compare-and-swap, then the records. The next command completes what a kill leaves."""
        stretch = self.stretch
        held.check()
        with effect("move-branch"):
            moves = {
                landing.branch: (landing.commit, stretch.base or None),
                stretch.branch: (landing.commit, stretch.candidate),
            }
            pushed = self.ground.move(moves)
        if pushed.answer is not Answer.APPLIED:
            raise Moved(f"branch '{landing.branch}' could not be moved ({pushed.said})")
        with effect("read-back"):
            self._read_back(landing)
        self._bring_along(landing)
        with effect("record-move"):
            new = publishing.records(self.place, landing, self.proof, held, course.moves, closed)
            publishing.write(self.place, new, held)

    def _read_back(self, landing: Landing) -> None:
        """The branch, as it is now, holds the tree that was proved; else nothing more is claimed.

        Somebody may have moved it further at once: then the landing is in its history.
        """
        tip = self.ground.tip(landing.branch)
        if tip == landing.commit and history.commit_of(self.ground.folder, tip).tree == landing.tree:
            return
        if tip and self.ground.is_ancestor(landing.commit, tip):
            self.asked.say(f"branch '{landing.branch}' has moved on to {tip[:12]} since it landed")
            return
        raise Infrastructure(
            Problem(
                f"branch '{landing.branch}' does not hold what landed: it is at {tip[:12] or 'nothing'}",
                hint=f"run `gitkitchen promote {landing.environment}` again: it finds out how it stands",
                code="read-back",
            )
        )

    def _bring_along(self, landing: Landing) -> None:
        if self.checkout is None or not landing.before:
            return
        if not history.bring_along(self.checkout, landing.before, landing.commit):
            self.asked.say(
                f"{self.checkout} still has the files of before: `git reset --keep` there brings them to "
                "where its branch is"
            )

    def _shown(self) -> tuple[str, ...]:
        """Consumers' views follow. They are a cache: where that fails now, the next command repairs it."""
        try:
            publishing.show(self.place, self.proof)
        except (Infrastructure, Conflict) as error:
            return (f"it has landed, and what consumers read could not follow yet: {error.problems[0]}",)
        return ()


def brought_back(ground: Ground, asked: Asked, landing: Landing) -> tuple[str, ...]:
    """A hotfix that landed is proposed to where people work. Nothing of it decides: its gate does."""
    if landing.intent is not Intent.HOTFIX:
        return ()
    try:
        made = bring_back(ground, landing)
    except Infrastructure as error:
        return (f"it has landed, and is not brought back yet: {error.problems[0]}",)
    if made.branch and made.into is not None and asked.hub is not None:
        number = asked.hub.backport(landing, made.branch, made.into.branch)
        if number:
            return (f"its back-port to '{made.into.branch}' is pull request #{number}", *asked.hub.notes)
    return (made.said,) if made.said else ()


def refusal(gates: Sequence[GateResult]) -> End:
    return End.UNPROVED if any(g.standing is Standing.FAILED for g in gates) else End.WAITING


def _held(gates: Sequence[GateResult]) -> bool:
    """Whether somebody holds the environment, for all who are no way out of what is wrong there."""
    return any(g.gate == hold.NAME and g.standing is Standing.FAILED for g in gates)
