"""What promoting and absorbing have in common: what goes in and comes out, and steps that both take."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.flow.beginning import new_run_id
from gitkitchen.frozen import dataclass
from gitkitchen.git import who
from gitkitchen.ledger.gathering import together
from gitkitchen.ledger.opening import open_ledger
from gitkitchen.ledger.protocol import Held, Ledger, Newest
from gitkitchen.merging import Merged
from gitkitchen.model import Event
from gitkitchen.promote.moves import Course
from gitkitchen.promote.protocol import End, Way
from gitkitchen.promote.shapes import Actor, GateResult, Incident, Intent, Landing, stream_of
from gitkitchen.road import asking, judging, publishing
from gitkitchen.road.asking import Wish
from gitkitchen.road.effects import effect
from gitkitchen.road.facts import gathered, seen, sources_of
from gitkitchen.road.ground import Ground
from gitkitchen.road.hub import Hub
from gitkitchen.road.incidents import course_of
from gitkitchen.road.looking import Moved, Stretch
from gitkitchen.road.proving import Bound, Proof, prove, with_evidence
from gitkitchen.road.shown import Shown
from gitkitchen.road.worktree import laid_out
from gitkitchen.workplace import Request, Workplace, at_work, enter

if TYPE_CHECKING:
    from gitkitchen.process import Cancel


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person or a job asked for. ``rev``: which commit of the source ("" the newest)."""

    environment: str
    request: Request
    cancel: Cancel
    intent: Intent = Intent.FORWARD
    rev: str = ""
    reason: str = ""
    clock: Callable[[], datetime] = _now
    on_event: Callable[[Event], None] = lambda _event: None
    say: Callable[[str], None] = lambda _text: None
    hub: Hub | None = None
    """The forge, where there is one."""
    method: str = "auto"
    """``push``, ``button``, or ``auto``: push, and the button where the branch may not be pushed."""
    over: tuple[str, ...] = ()
    """The open incidents, by their ids, over which it shall land all the same."""
    proved: Callable[[Proof], None] = lambda _proof: None
    """Told of each proof when it is recorded: whoever shows the outcomes has them from here."""


@dataclass(frozen=True, slots=True)
class Done:
    """How it ended. ``landing`` is what stands there now, where this command or an earlier one landed it;
    ``new`` says which."""

    end: End
    environment: str
    stretch: Stretch | None = None
    landing: Landing | None = None
    gates: tuple[GateResult, ...] = ()
    problems: tuple[Problem, ...] = ()
    new: bool = False
    said: tuple[str, ...] = ()

    def shown(self, *, dry: bool = False) -> Shown:
        """What is told of it."""
        stretch, landing = self.stretch, self.landing
        return Shown(
            end=self.end,
            environment=self.environment,
            source=stretch.label if stretch is not None else "",
            head=stretch.head if stretch is not None else "",
            tree=stretch.tree if stretch is not None else "",
            base=stretch.base if stretch is not None else "",
            landing=landing,
            gates=self.gates,
            problems=self.problems,
            said=self.said,
            new=self.new,
            dry=dry,
        )


def way_of(ground: Ground) -> Way:
    """How a landing is made where nobody merges by a button."""
    return Way.PUSH if ground.ledger.whole else Way.LOCAL


def actors(request: Request) -> tuple[Actor, ...]:
    """Who asked: the person that started the job, or whose name Git would write into a commit here."""
    job = request.environ.get("GITHUB_ACTOR", "")
    if job:
        return (Actor(job, "dispatched"),)
    try:
        return (Actor(who(request.start), "asked"),)
    except Mistake:  # Git knows no name: that of the account
        pass
    try:
        return (Actor(pwd.getpwuid(os.getuid()).pw_name, "asked"),)
    except KeyError:  # a container's user without a name
        return (Actor(f"uid {os.getuid()}", "asked"),)


def waived(proof: Proof) -> tuple[str, ...]:
    """The waivers that excused a failure in the evidence."""
    found = {
        f"{o.recipe}/{t.id}: {t.waived.approver} until {t.waived.expires}"
        for o in proof.outcomes
        for t in o.tests
        if t.waived is not None
    }
    return tuple(sorted(found))


@contextmanager
def site(ground: Ground, asked: Asked, commit: str, tree: str) -> Iterator[tuple[Path, Workplace]]:
    """The tree laid out, and the environment's kitchen entered from it, as long as the block lasts."""
    subject = Merged(commit, commit, tree, commit)
    with laid_out(ground.project, ground.folder, subject) as root:
        request = Request(
            start=root, kitchen=asked.environment, environ=asked.request.environ, say=asked.request.say
        )
        with at_work(enter(request), asked.clock()) as place:
            try:
                yield root, place
            finally:
                place.close()


def proved(
    asked: Asked,
    ground: Ground,
    stretch: Stretch,
    root: Path,
    place: Workplace,
    more: Mapping[str, Any] | None = None,
) -> Proof:
    """Candidate runs of the stretch's tree, laid out in ``root``, and what they came to as a record, which
    says ``more``."""
    environment = stretch.environment
    bound = Bound(stretch.base, stretch.policy)
    made: list[Proof] = []
    wish = Wish(_askers(asked, ground, stretch), asked.intent, asked.rev, asked.reason)

    def body(newest: Newest) -> Mapping[str, Any]:
        made[:] = [with_evidence(proof, newest)]
        said = judging.against(case_of(ground, asked, stretch, stretch.course, made[0]), at)
        found = publishing.evidence_body(environment.name, made[0], stretch.candidate, at, said)
        return found | {"asked": asking.body_of(wish)} | dict(more or {})

    with together(lambda: open_ledger(ground.project, say=asked.request.say)):
        with effect("prove"):
            proof = prove(
                root,
                environment,
                bound,
                asked.request,
                on_event=asked.on_event,
                cancel=asked.cancel,
                clock=asked.clock,
                beside=place,
            )
            proof = seen(proof, place, environment.gate, root, asked.request.environ)
        with effect("record-evidence"):  # with the records of the runs in one push
            at = asked.clock()
            ledger = open_ledger(ground.project, say=asked.request.say)
            ledger.append_made(publishing.evidence_stream(environment.name), body)
    asked.proved(made[0])
    return made[0]


def _askers(asked: Asked, ground: Ground, stretch: Stretch) -> tuple[str, ...]:
    """Who asked, as the record of the proof keeps it for a job that goes on with it."""
    names = asking.names_of(asked.request.environ)
    return asking.with_earlier(names, ground.ledger, stretch.environment.name, stretch.tree)


def refuse_newer(ledger: Ledger, proof: Proof, environment: str, moves: int) -> None:
    """Raise Moved where versions or moves are not those that the proof and the gates saw."""
    if ledger.head(publications_of(proof.kitchen.namespace)) != proof.sequence:
        raise Moved(f"environment '{environment}' was published meanwhile by a run")
    if ledger.head(stream_of(environment)) != moves:
        holds = course_of(ledger, environment).holds
        if holds:
            by = f"by {holds[-1].by} since {holds[-1].at:%Y-%m-%d %H:%M} UTC: {holds[-1].reason}"
            ends = f"`gitkitchen hold {environment} --release` ends it"
            raise Moved(f"environment '{environment}' is held {by} ({holds[-1].id}; {ends})")
        raise Moved(f"environment '{environment}' has moved since its gates were judged")


def tip_of_ledger(ledger: Ledger) -> str:
    """The commit of the ledger that was read last; "" for a ledger in a folder."""
    view = getattr(ledger, "view", None)
    return (view().tip or "") if view is not None else ""


def case_of(
    ground: Ground, asked: Asked, stretch: Stretch, course: Course, proof: Proof | None
) -> judging.Case:
    """What is judged of a stretch, by what the ledger says of the environment."""
    client = asked.hub.client if asked.hub is not None else None
    sources = sources_of(ground, stretch, asked.request.environ, client)
    also = partial(gathered, ground=ground, stretch=stretch, course=course, proof=proof, sources=sources)
    return judging.Case(
        stretch.environment,
        stretch.ruling,
        stretch.reading,
        stretch.base,
        course,
        stretch.intent,
        proof,
        also=also,
    )


@contextmanager
def under_lease(place: Workplace, asked: Asked) -> Iterator[Held]:
    """The lease of an environment for the length of a block. Conflict, naming the holder, where it is taken;
    Infrastructure where the ledger cannot be written."""
    with ExitStack() as stack:
        with effect("take-lease"):
            holder = f"promotion {new_run_id(asked.clock())}"
            held = stack.enter_context(place.ledger.lease(f"promote/{asked.environment}", holder))
        if held.withheld:
            hint = "run the command again when the ledger can be written"
            raise Infrastructure(
                Problem(f"nothing was changed: {held.withheld}", hint=hint, code="ledger-withheld")
            )
        yield held
        with effect("give-back-lease"):
            stack.close()


MENDED = frozenset({"wrong-tree", "torn", "drift-branch"})
"""Kinds of incidents that end when a proved tree lands. That of a rollback ends when something lands that is
none."""


def ended(course: Course, landing: Landing, over: tuple[str, ...] = ()) -> tuple[Incident, ...]:
    """The incidents that a landing of a proved tree ends, closed: those of a branch that it replaces, and
    those that it is landed ``over``."""
    why = f": {landing.reason}" if landing.reason else ""
    return tuple(
        replace(incident, at=landing.at, closed=True, said=f"ended by {landing.commit[:12]}{why}")
        for incident in course.incidents
        if incident.id in over
        or incident.kind in MENDED
        or (incident.kind == "rollback" and landing.intent is not Intent.ROLLBACK)
    )
