"""Whether a proved tree may land: what the target's policy asks of it, and what holds the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gitkitchen.files import digest
from gitkitchen.finding import PolicyFinding
from gitkitchen.model import Environment
from gitkitchen.promote.evidence import required, weigh
from gitkitchen.promote.moves import Course
from gitkitchen.promote.owners import FILES
from gitkitchen.promote.shapes import GateResult, Intent, Standing
from gitkitchen.recipe.waivers import Waiver, void
from gitkitchen.road.proving import Failed, Proof
from gitkitchen.trees import Reading

MOST = 20
"""Findings that one gate tells."""
_UNKNOWN = frozenset({"could-not-check", "unreadable"})


@dataclass(frozen=True, slots=True)
class Case:
    """All that is judged. ``target`` is the tip of the environment's branch, whose policy counts; of one that
    does not exist yet, the head itself. ``proof`` is None where nothing was run."""

    environment: Environment
    target: Reading
    head: Reading
    course: Course
    intent: Intent
    proof: Proof | None


def policy_of(reading: Reading, environment: str) -> str:
    """The digest of all that judges a promotion: policy, gate, code owners."""
    project = reading.project
    found = project.environment(environment) if project is not None else None
    texts = {name: reading.texts[name] for name in FILES if name in reading.texts}
    return digest(
        {
            "policy": repr(project.policy) if project is not None else "",
            "gate": repr(getattr(found, "gate", None)),
            "owners": texts,
        }
    )


def judge(case: Case, at: datetime) -> tuple[GateResult, ...]:
    """Every gate, as it stands at a moment."""
    return (_recipes(case, at), *_holds(case))


def _recipes(case: Case, at: datetime) -> GateResult:
    proof = case.proof
    again = f"gitkitchen promote {case.environment.name}"
    if proof is None:
        return GateResult(
            "recipes",
            Standing.PENDING,
            "no recipe was run on this tree as it would land now",
            "the promotion itself runs them",
            again,
        )
    found = list(_findings(case, proof, at))
    failed = [f for f in found if f.severity == "failure"]
    told = [_failure(f) for f in proof.failed] + [_said(f) for f in failed]
    if told:
        unknown = all(f.unknown for f in proof.failed) and all(f.code in _UNKNOWN for f in failed)
        more = f", and {len(told) - MOST} more" if told[MOST:] else ""
        standing = Standing.UNKNOWN if unknown else Standing.FAILED
        change = (
            "what could not be checked can be tried again" if unknown else "a change of the source mends it"
        )
        return GateResult("recipes", standing, "; ".join(told[:MOST]) + more, change, again)
    tests = sum(e.tests for e in proof.evidence)
    names = ", ".join(sorted({o.recipe for o in proof.outcomes}))
    return GateResult("recipes", Standing.PASSED, f"{names}: {tests} tests on this tree")


def _failure(failed: Failed) -> str:
    about = f"recipe '{failed.recipe}': " if failed.recipe else ""
    return about + "; ".join(str(p) for p in failed.problems[:3])


def _said(finding: PolicyFinding) -> str:
    return f"{finding.place}: {finding.message}" if finding.place else finding.message


def _findings(case: Case, proof: Proof, at: datetime) -> Iterator[PolicyFinding]:
    for problem in case.target.problems:
        if problem.code == "missing-file" and case.target.project is None:
            continue  # a branch that never had a kitchen.yml asks for nothing
        yield PolicyFinding("unreadable", "failure", f"the target's policy cannot be read: {problem}")
        return
    policy = case.target.project.policy if case.target.project is not None else None
    today = at.astimezone(UTC).date()
    counting = [w for w in case.head.waivers if not void(w, policy, case.environment.name, today)]
    accepted, said = weigh(case.head, proof.outcomes, covering(counting))
    yield from said
    missing = sorted(
        set(case.head.recipes) - {o.recipe for o in proof.outcomes} - {f.recipe for f in proof.failed}
    )
    for name in missing:
        yield PolicyFinding("missing-result", "failure", f"recipe '{name}' has no outcome")
    if policy is not None:
        yield from required(policy, case.head, accepted, covering(counting), {})


def covering(waivers: Iterable[Waiver]) -> Callable[[str, str, str], Waiver | None]:
    """Looks up the waiver that covers a test: by recipe, node, and the test's id."""
    known = tuple(waivers)

    def find(recipe: str, node: str, test_id: str) -> Waiver | None:
        return next((w for w in known if w.covers(recipe, node, test_id)), None)

    return find


def _holds(case: Case) -> Iterator[GateResult]:
    if case.intent is not Intent.FORWARD:
        return
    for hold in case.course.holds:
        yield GateResult(
            f"hold:{hold.id}",
            Standing.PENDING,
            f"held by {hold.by} since {hold.at:%Y-%m-%d %H:%M} UTC: {hold.reason}",
            "whoever answers for it releases the hold",
            f"gitkitchen hold {case.environment.name} --release",
        )
