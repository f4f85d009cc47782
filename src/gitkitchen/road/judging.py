"""Whether a proved tree may land: the facts that the target's gates judge, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from gitkitchen.finding import PolicyFinding
from gitkitchen.frozen import dataclass
from gitkitchen.model import Environment, Gate
from gitkitchen.promote import gates
from gitkitchen.promote.evidence import required, weigh
from gitkitchen.promote.gates import may_move
from gitkitchen.promote.gates.binding import policy_digest
from gitkitchen.promote.gates.facts import Facts, Hotfix, Source, Unread, Wanted
from gitkitchen.promote.moves import Course
from gitkitchen.promote.shapes import GateResult, Intent, Landing, Standing
from gitkitchen.recipe.waivers import Waiver, void
from gitkitchen.road.proving import Failed, Proof
from gitkitchen.road.publishing import Kept
from gitkitchen.road.variations import names
from gitkitchen.trees import Reading

MOST = 20
"""Failures of recipes that are told."""
_TOLD_ELSEWHERE = frozenset({"nothing-tested", "not-green"})
"""Findings that the evidence tells better: its gate asks for a green run of each recipe."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that is judged. ``target`` is the tip of the environment's branch, whose policy counts; of one that
    does not exist yet, the head itself. ``proof`` is None where nothing was run."""

    environment: Environment
    target: Reading
    head: Reading
    base: str
    course: Course
    intent: Intent
    proof: Proof | None
    source: Source | None = None
    """What is known of the environment before; None where there is none."""
    contained: Callable[[Landing], bool] = lambda _landing: False
    """Whether the candidate has what a hotfix of the target changed."""
    dispatcher: str = ""
    kept: Kept | None = None
    """What the ledger tells of an earlier proof, where nothing is run now."""
    also: Callable[[Facts, datetime], Facts] = lambda known, _at: known
    """Adds what the forge, Git and the source's ledger tell (``road.facts``)."""


def policy_of(reading: Reading, environment: str) -> str:
    """The digest of all that judges a promotion, by a tree of the target."""
    return policy_digest(reading.project, environment, reading.texts)


def judge(case: Case, at: datetime) -> tuple[GateResult, ...]:
    """Every gate, as it stands at a moment."""
    found = gates.judge(_gate(case), case.also(facts(case, at), at), at, case.intent)
    return (*_failures(case), *found)


def judge_tree(case: Case, at: datetime) -> tuple[GateResult, ...]:
    """What a tree itself must show: where it stands on the branch already, nobody waits for people."""
    alone = replace(case, also=lambda known, _at: known)
    return tuple(r for r in judge(alone, at) if r.gate.partition(":")[0] in ("required", "recipe"))


passed = may_move


def _gate(case: Case) -> Gate:
    project = case.target.project
    found = project.environment(case.environment.name) if project is not None else None
    return found.gate if found is not None else case.environment.gate


def _failures(case: Case) -> Iterator[GateResult]:
    """Recipes of which there is no outcome at all."""
    again = f"gitkitchen promote {case.environment.name}"
    for name in case.kept.failed if case.kept is not None else ():
        reason = f"{_label(name)} had no outcome when it was run last" if name else "nothing could be run"
        yield GateResult(f"recipe:{name or 'all'}", Standing.UNKNOWN, reason, "it can be tried again", again)
    seen: dict[str, Failed] = {f.recipe: f for f in (case.proof.failed if case.proof is not None else ())}
    for failed in list(seen.values())[:MOST]:
        about = f"{_label(failed.recipe)}: " if failed.recipe else ""
        reason = about + "; ".join(str(p) for p in failed.problems[:3])
        change = (
            "what could not be checked can be tried again" if failed.unknown else "whoever owns the recipe"
        )
        standing = Standing.UNKNOWN if failed.unknown else Standing.FAILED
        yield GateResult(f"recipe:{failed.recipe or 'all'}", standing, reason, change, again)


def _label(name: str) -> str:
    recipe, _, variation = name.partition(":")
    return f"recipe '{recipe}'" + (f", variation '{variation}'" if variation else "")


def _wanted(case: Case) -> Iterator[Wanted]:
    """Each recipe, and each variation that the environment runs. What comes back as it was then shows what
    was asked of it then."""
    for name in sorted(case.head.recipes):
        yield Wanted(name)
    if case.proof is not None:
        again = bool(case.proof.outcomes or case.proof.failed)
    else:
        again = case.intent is not Intent.ROLLBACK
    if again:
        for recipe, variation in names(case.environment.name, case.head.recipes):
            yield Wanted(recipe, variation)


def facts(case: Case, at: datetime) -> Facts:
    """What the gates look at, as far as the ledger, the trees and the proof tell it."""
    proof = case.proof
    return Facts(
        environment=case.environment.name,
        tree=case.head.tree,
        base=case.base,
        policy=policy_of(case.target, case.environment.name),
        source=case.source.environment if case.source is not None else None,
        wanted=tuple(_wanted(case)),
        evidence=proof.evidence if proof is not None else case.kept.evidence if case.kept is not None else (),
        findings=tuple(_findings(case, at)),
        previous=case.source if case.source is not None else Unread("there is no environment before"),
        holds=case.course.holds,
        hotfixes=tuple(
            Hotfix(move.commit, case.contained(move), move.at, move.reason)
            for move in case.course.landings
            if move.intent is Intent.HOTFIX
        ),
        dispatchers=(case.dispatcher,) if case.dispatcher else Unread("it is not known who asked"),
    )


def against(case: Case, at: datetime) -> tuple[str, ...]:
    """What the target's policy says against a proof, as sentences."""
    return tuple(f.message for f in _findings(case, at) if f.blocks)


def _findings(case: Case, at: datetime) -> Iterator[PolicyFinding]:
    for problem in case.target.problems:
        if problem.code == "missing-file" and case.target.project is None:
            continue  # a branch that never had a kitchen.yml asks for nothing
        yield PolicyFinding("unreadable", "failure", f"the target's policy cannot be read: {problem}")
        return
    if case.proof is None:
        for text in case.kept.against if case.kept is not None else ():
            yield PolicyFinding("kept", "failure", text)
        return
    if case.intent is Intent.ROLLBACK and not case.proof.outcomes:
        return  # what comes back was judged when it landed
    policy = case.target.project.policy if case.target.project is not None else None
    today = at.astimezone(UTC).date()
    counting = [w for w in case.head.waivers if not void(w, policy, case.environment.name, today)]
    accepted, said = weigh(case.head, case.proof.outcomes, covering(counting))
    yield from (f for f in said if f.code not in _TOLD_ELSEWHERE)
    if policy is not None and case.intent is not Intent.ROLLBACK:  # whose tests it may be older than
        yield from required(policy, case.head, accepted, covering(counting), {})


def covering(waivers: Iterable[Waiver]) -> Callable[[str, str, str], Waiver | None]:
    """Looks up the waiver that covers a test: by recipe, node, and the test's id."""
    known = tuple(waivers)

    def find(recipe: str, node: str, test_id: str) -> Waiver | None:
        return next((w for w in known if w.covers(recipe, node, test_id)), None)

    return find
