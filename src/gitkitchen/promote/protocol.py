"""The protocol by which an environment moves, as data: its steps in order, and where each answer leads.

The code of ``road/`` walks these routes, the model in ``tests/protocol`` is written from them, and
``docs/protocol.md`` shows them; tests compare all three. A *route* is the order of steps of one purpose by
one way of landing. A step that is ``done`` leads to the next; every other answer is listed with where it
leads: another step of the route, or an *end*. From a route's ``take-lease`` to its ``give-back-lease`` the
lease ``promote/<environment>`` is held, and every end in between gives it back first (giving back none is
nothing, and where nobody answers it ends by itself).

A crash needs no entry of its own: it leaves what the steps before it have done, ``left`` says who ends it,
and whoever comes next begins with the route ``reconcile``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from enum import Enum
from types import MappingProxyType

from gitkitchen.frozen import dataclass
from gitkitchen.promote.shapes import Intent


class Way(Enum):
    """How a tree lands on the environment's branch."""

    PUSH = "push"
    """One atomic push of the branch and of the ledger's."""
    BUTTON = "button"
    """A merge of the pull request by the forge, which compares the head and not the base."""
    LOCAL = "local"
    """``ledger: folder``: the branch by compare-and-swap of a local ref, then the record."""


class Purpose(Enum):
    """Why somebody walks: the three intents of a promotion, and what keeps an environment whole."""

    FORWARD = Intent.FORWARD.value
    HOTFIX = Intent.HOTFIX.value
    ROLLBACK = Intent.ROLLBACK.value
    RECONCILE = "reconcile"
    """First step of every job: ends what died. It builds nothing."""
    ABSORB = "absorb"
    """By the job of a push to the branch: a tip that nobody recorded is proved, and published or not."""
    HOLD = "hold"
    RELEASE = "release"


class Does(Enum):
    READS = "reads"
    BUILDS = "builds"
    """Writes candidates to the store, which nobody sees before they are published."""
    WRITES = "writes"


DONE = "done"
MOVED = "moved"
"""Something that the step compares is not what it was. The step changed nothing."""
REFUSED = "refused"
"""The other side says no. The step changed nothing."""
UNKNOWN = "unknown"
"""No answer, or one that does not say whether it was done: it may have been, or may yet be."""

# What is compared. Each name is one condition, wherever it is listed.
BASE = "base"
"""The tip of the environment's branch is the commit that the candidate was made on and tested against."""
HEAD = "head"
"""The source still has the commit whose tree is promoted."""
CANDIDATE = "candidate"
"""The branch of candidates still points where this promotion left (or found) it."""
POLICY = "policy"
"""Policy and gates of the target are those that judged the evidence."""
VERSIONS = "versions"
"""Catalog and sources of the target are those that the candidate read: data does not go back in time."""
EVIDENCE = "evidence"
"""The ledger holds outcomes that passed, bound to tree, base, versions and policy."""
GATES = "gates"
"""Every gate has passed; among them: no hold, and no tip or loss of commits that nobody accounted for."""
MOVES = "moves"
"""The stream of the environment's moves ends where it did at the look that this step relies on."""
FENCE = "fence"
"""The lease is still this holder's."""
TREE = "tree"
"""The tree of the branch's tip is the proved one, and its first parent the tested base."""
STAMP = "stamp"
"""The views show no later move than the one to be shown."""


class End(Enum):
    """How a route ends. Only ``landed`` claims a landing; the others say what was not done, and why."""

    LANDED = "landed"
    CLEAN = "clean"
    """Of ``reconcile``: nothing is left to do."""
    UNPROVED = "unproved"
    """The candidate failed, or nothing was tested."""
    WAITING = "waiting"
    """A gate is pending or cannot be read: the same command later, or the next event, goes on."""
    LOST = "lost"
    """Another was first, or something moved; nothing was changed. Build, test, try again from ``look``."""
    BROKEN = "broken"
    """What stands on the branch was not proved: an incident is recorded, nothing is published."""
    UNFINISHED = "unfinished"
    """Something was done and the rest was not, or it cannot be told now: the same command again ends it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One external effect, or one look. ``name`` is the effect's name in the code, too."""

    name: str
    does: Does
    compares: tuple[str, ...] = ()
    """What the step itself compares, in one indivisible act with what it changes; else ``moved``."""
    answers: Mapping[str, str | End] = field(default_factory=dict)
    """Where each answer but ``done`` leads: the name of a step of the route, or an end."""
    left: str = ""
    """What a crash behind this step leaves, and who ends it."""


def _step(name: str, does: Does, *compares: str, left: str, **answers: str | End) -> Step:
    named = {answer.replace("_", "-"): to for answer, to in answers.items()}
    return Step(name, does, compares, MappingProxyType(named), left)


R, B, W = Does.READS, Does.BUILDS, Does.WRITES
LOST, WAITING, UNFINISHED = End.LOST, End.WAITING, End.UNFINISHED
BOUND = (BASE, HEAD, POLICY, VERSIONS, EVIDENCE, GATES)
_ALL = (
    # --- before the lease: what is proved, and for what ---------------------------------------------------
    _step("reconcile", W, left="what the route of that name leaves"),
    _step("look", R, left="nothing", refused=WAITING),
    _step(
        *("push-candidate", W, CANDIDATE),
        left="a candidate that nobody lands: the next promotion replaces it",
        moved=LOST,
        unknown=LOST,
    ),
    _step("open-pull", W, left="an open pull request: the next promotion takes it over", unknown=WAITING),
    _step("prove", B, left="versions in the store: used again, or collected", refused=End.UNPROVED),
    _step("record-evidence", W, left="evidence: good while all that it is bound to stands", unknown=WAITING),
    _step("judge", R, *BOUND, left="nothing", moved=LOST, refused=WAITING),
    # --- under the lease ----------------------------------------------------------------------------------
    _step(
        *("take-lease", W),
        left="a lease: it ends with its holder's process, or by expiry",
        refused=LOST,
        unknown=LOST,
    ),
    _step("judge-again", R, *BOUND, FENCE, left="nothing", moved=LOST, refused=WAITING),
    _step("clear-candidates", W, left="nothing that a late button could land", unknown=LOST),
    _step(
        *("record-hold", W, FENCE, MOVES),
        left="an environment that is held: the same command goes on, or a person releases it",
        moved=LOST,
        unknown=UNFINISHED,
    ),
    _step("record-release", W, FENCE, MOVES, left="nothing", moved=LOST, unknown=UNFINISHED),
    _step(
        *("atomic-push", W, BASE, FENCE, MOVES, VERSIONS),
        left="a landing that is whole, and views behind it: reconcile shows them",
        moved=LOST,
        unknown="renew-lease",
    ),
    _step(
        *("renew-lease", W, FENCE),  # moves the ledger's branch: a push that is still under way is refused
        left="a lease: it ends with its holder's process, or by expiry",
        moved="read-back",
        unknown=UNFINISHED,
    ),
    _step(
        *("merge-button", W, CANDIDATE),
        left="a tip that nobody recorded: reconcile records it, or an incident",
        moved=LOST,
        refused=WAITING,
        unknown="void-candidate",
    ),
    _step(
        *("move-branch", W, BASE, CANDIDATE),  # one transaction of refs: what a hold took away does not land
        left="a tip that nobody recorded: reconcile records it, or an incident",
        moved=LOST,
        unknown="read-back",
    ),
    _step(
        *("void-candidate", W, CANDIDATE),  # where another's stands there, ours cannot be pressed any more
        left="nothing that a late button could land",
        moved="read-back",
        unknown=UNFINISHED,
    ),
    _step(
        *("read-back", R, TREE),
        left="nothing more",
        not_landed=LOST,
        recorded="show-views",
        moved="record-incident",
        unknown=UNFINISHED,
    ),
    _step(
        *("record-move", W, FENCE, MOVES, VERSIONS),
        left="a landing that is whole, and views behind it: reconcile shows them",
        moved=UNFINISHED,
        unknown=UNFINISHED,
    ),
    _step(
        *("show-views", W, STAMP),
        left="a landing that nobody was told of: reconcile tells it",
        moved="give-back-lease",
        unknown="give-back-lease",
    ),
    _step("give-back-lease", W, left="a landing that nobody was told of: reconcile tells it"),
    _step(
        *("record-incident", W, FENCE, MOVES),
        left="an environment that is broken, and nobody alerted: reconcile alerts",
        moved=UNFINISHED,
        unknown=UNFINISHED,
    ),
    # --- after it: telling. Each can be done twice, and reconcile does it again ----------------------------
    _step("report-landed", W, left="a landing that not everybody was told of: reconcile tells it"),
    _step("open-backport", W, left="a landing that not everybody was told of: reconcile tells it"),
    _step("close-pull", W, left="a landing that not everybody was told of: reconcile tells it"),
    _step("dispatch-next", W, left="nothing"),
    _step("alert", W, left="nothing"),
    # --- of reconcile --------------------------------------------------------------------------------------
    _step(
        *("look-for-work", R),
        left="nothing",
        clean=End.CLEAN,
        unproved=WAITING,
        unshown="show-views",
        untold="report-landed",
    ),
)
STEPS: Mapping[str, Step] = MappingProxyType({step.name: step for step in _ALL})
"""Every step there is, by name: one external effect or one look. ``route`` says what differs in a route."""

PROVING = ("prove", "record-evidence")
TELLING = ("report-landed", "close-pull", "dispatch-next")
LANDING: Mapping[Way, tuple[str, ...]] = MappingProxyType(
    {
        # Behind a push, `recorded` is the rule. But its pull request is open: somebody may have pressed the
        # button while the push was refused or had no answer, and that landing is recorded like any other.
        Way.PUSH: ("atomic-push", "read-back", "record-move"),
        Way.BUTTON: ("merge-button", "read-back", "record-move"),
        Way.LOCAL: ("move-branch", "read-back", "record-move"),
    }
)
_SHOWING = ("show-views", "give-back-lease")
_BEGIN = ("reconcile", "look")
_CANDIDATE = ("push-candidate", "open-pull")
_LEASED = ("judge", "take-lease", "judge-again")
_RECORDING = ("take-lease", "judge-again", "record-move", *_SHOWING, *TELLING)
FORGE_ONLY = frozenset({"open-pull", "close-pull", "open-backport", "dispatch-next"})
"""Steps of routes that a project without a forge leaves out."""


LEASED_ASIDE = frozenset({"record-incident", "alert", "void-candidate", "renew-lease"})


@dataclass(frozen=True, slots=True)
class Route:
    """The steps of one purpose by one way, in order, and those that only an answer leads to."""

    purpose: Purpose
    way: Way
    steps: tuple[Step, ...]
    aside: tuple[Step, ...] = ()
    """Each leads to its own ``done``, which its answers list."""
    end: End = End.LANDED
    """Where the last step's ``done`` leads."""

    def step(self, name: str) -> Step:
        """The step of that name. KeyError where the route has none."""
        for step in (*self.steps, *self.aside):
            if step.name == name:
                return step
        raise KeyError(f"{self.purpose.value} by {self.way.value} has no step {name!r}")

    def after(self, name: str, answer: str = DONE) -> str | End:
        """Where an answer leads: the next step's name, or the end. KeyError where nobody expects it."""
        step = self.step(name)
        if answer in step.answers:
            return step.answers[answer]
        if answer != DONE:
            raise KeyError(f"{name!r} of {self.purpose.value} does not expect {answer!r}")
        names = [other.name for other in self.steps]
        follow = names[names.index(name) + 1 :]
        return follow[0] if follow else self.end

    def holds(self, name: str) -> bool:
        """Whether the lease is held when the step begins: its ends give it back."""
        names = [step.name for step in self.steps]
        if name not in names:
            return name in LEASED_ASIDE
        first, last = names.index("take-lease"), names.index("give-back-lease")
        return first < names.index(name) <= last


def route(purpose: Purpose, way: Way) -> Route:
    """The route of a purpose by a way. There is one for each pair."""
    land = LANDING[way]
    names: dict[Purpose, tuple[str, ...]] = {
        Purpose.FORWARD: (*_BEGIN, *_CANDIDATE, *PROVING, *_LEASED, *land, *_SHOWING, *TELLING),
        Purpose.HOTFIX: (
            *(*_BEGIN, *_CANDIDATE, *PROVING, *_LEASED, *land, *_SHOWING),
            *("report-landed", "open-backport", "close-pull", "dispatch-next"),
        ),
        # Under the lease every candidate is taken away, then it is held, and only then there is a new one:
        # an older promotion that wakes up later finds neither its candidate nor an open door, and whoever
        # presses the rollback's own button cannot do it without the hold.
        Purpose.ROLLBACK: (
            *(*_BEGIN, *PROVING, *_LEASED, "clear-candidates", "record-hold", *_CANDIDATE, *land, *_SHOWING),
            *("report-landed", "close-pull"),
        ),
        Purpose.RECONCILE: ("look-for-work", *_RECORDING),
        Purpose.ABSORB: ("look-for-work", *PROVING, *_RECORDING),
        Purpose.HOLD: ("take-lease", "clear-candidates", "record-hold", "give-back-lease"),
        Purpose.RELEASE: ("take-lease", "record-release", "give-back-lease"),
    }
    order = names[purpose]
    if way is Way.LOCAL:
        order = tuple(name for name in order if name not in FORGE_ONLY)
    steps = tuple(_fitted(STEPS[name], purpose, way) for name in order)
    reached = {to for step in steps for to in step.answers.values() if isinstance(to, str)} - set(order)
    aside = tuple(_aside(STEPS[name]) for name in sorted(reached))
    if "record-incident" in reached:
        aside = (*aside, _aside(STEPS["alert"]))
    keeping = purpose not in {Purpose.FORWARD, Purpose.HOTFIX, Purpose.ROLLBACK}
    return Route(purpose, way, steps, aside, End.CLEAN if keeping else End.LANDED)


def _fitted(step: Step, purpose: Purpose, way: Way) -> Step:
    """The step as this route has it."""
    answers = dict(step.answers)
    compares = step.compares
    if purpose in {Purpose.RECONCILE, Purpose.ABSORB}:
        # The commit stands on the branch already: what is not proved or not allowed is an incident, and
        # nobody asks whether its source still has it.
        compares = tuple(name for name in compares if name != HEAD)
        if step.name == "judge-again":
            compares = (*compares, MOVES)  # whose landing it is may have recorded it since we looked
            answers |= {"refused": "record-incident"}
        if step.name == "prove":
            answers.pop("refused")  # its outcome is recorded, whatever it is, and judged under the lease
        if step.name == "look-for-work" and purpose is Purpose.ABSORB:
            answers.pop("unproved")
    if purpose is Purpose.ROLLBACK:
        if step.name == "push-candidate":
            compares = ()  # it replaces whatever stands there
        # The hold is recorded by now, and stays: "nothing was changed" would not be true.
        if step.name in {"push-candidate", "open-pull", *LANDING[way]}:
            over = {End.LOST, End.WAITING}
            answers = {a: End.UNFINISHED if to in over else to for a, to in answers.items()}
    return replace(step, answers=MappingProxyType(answers), compares=compares)


def _aside(step: Step) -> Step:
    """A step beside the order, with the way on from it."""
    on: dict[str, str | End] = {
        "record-incident": "alert",
        "alert": End.BROKEN,
        "void-candidate": "read-back",
        "renew-lease": "read-back",
    }
    return replace(step, answers=MappingProxyType({**step.answers, DONE: on[step.name]}))


ROUTES: tuple[Route, ...] = tuple(route(purpose, way) for purpose in Purpose for way in Way)
"""All routes, for whoever goes through them."""
