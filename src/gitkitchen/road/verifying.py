"""Whether what the ledger says of environments is whole, and what Git says, too."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from gitkitchen import history
from gitkitchen.errors import GitKitchenError, Infrastructure, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.history import Commit
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.checking import check
from gitkitchen.ledger.viewing import compactions
from gitkitchen.model import Environment
from gitkitchen.promote.moves import Course, fold, landing_in, moves_of, trailers_in
from gitkitchen.promote.shapes import Evidence, Incident, Landing, Method, stream_of
from gitkitchen.road.acknowledging import Acknowledged, acknowledged, parted
from gitkitchen.road.audit import MOST, commits_since
from gitkitchen.road.ground import Ground, before

COMPARED = ("environment", "intent", "tree", "before", "source", "policy", "evidence")
"""What a landing's record and its commit's trailers say alike."""


@dataclass
class Verified:
    """What was looked at, and everything that is wrong."""

    streams: int = 0
    moves: int = 0
    landings: int = 0
    evidence: int = 0
    problems: list[Problem] = field(default_factory=list)
    known: list[Acknowledged] = field(default_factory=list)
    """What is wrong as well, and was acknowledged by somebody."""


def verify(ground: Ground, environments: Sequence[Environment]) -> Verified:
    """Look at the whole ledger, and at these environments in Git. Raises what hinders looking."""
    problems, streams = check(ground.ledger, ground.folder)
    found = Verified(streams=streams, problems=problems)
    tips = ground.tips(e.branch for e in environments)
    for environment in environments:
        try:
            moves = list(moves_of(ground.ledger.read(stream_of(environment.name))))
        except GitKitchenError as error:
            found.problems += error.problems
            continue
        course = fold(environment.name, moves)
        found.moves += len(moves)
        found.landings += len(course.landings)
        found.problems += _odd(course, first=before(ground.project, environment) is None)
        told = frozenset(m.commit for m in moves if isinstance(m, Incident))
        found.problems += _landings(ground, environment, course, tips.get(environment.branch, ""), told)
        found.evidence += len({e.record for landing in course.landings for e in landing.evidence})
    found.problems += _evidence(ground, environments, found.problems)
    problems = list(dict.fromkeys(found.problems))
    try:
        found.problems, found.known = parted(problems, acknowledged(ground.ledger))
    except Infrastructure as error:  # what nobody can read excuses nothing
        found.problems = list(dict.fromkeys([*problems, *error.problems]))
    return found


def _odd(course: Course, *, first: bool) -> Iterator[Problem]:
    for number, text in course.odd:
        if first and text.startswith("it landed on"):
            continue  # nothing promotes to the first environment: its branch moves by itself
        yield Problem(
            f"record {number} of stream '{stream_of(course.environment)}' does not fit: {text}",
            hint="find out who wrote it; `gitkitchen audit` shows it",
            code="move-odd",
        )


# --- commits -----------------------------------------------------------------------------------------


def _landings(
    ground: Ground, environment: Environment, course: Course, tip: str, told: Container[str]
) -> Iterator[Problem]:
    """What is wrong between the recorded landings and the environment's branch. ``told``: the commits that
    incidents were about: what was landed on top of one is no secret any more, nor what came with it."""
    name = environment.name
    if not course.landings:
        return
    chain = {c.oid: c for c in history.line(ground.folder, tip)} if tip else {}
    for landing in course.landings:
        yield from _landing(ground, landing, chain)
        if landing.commit not in chain:
            yield Problem(
                f"commit {landing.commit[:12]}, which the ledger says landed on '{name}', "
                f"is not on branch '{environment.branch}'",
                hint="somebody took the branch back, or pushed another over it",
                code="landing-not-on-branch",
            )
    if before(ground.project, environment) is None:
        return
    for oid in commits_since(ground, course, tip):
        yield _without_record(environment, oid)
    for one, after in zip(course.landings, course.landings[1:], strict=False):
        if after.before not in ("", one.commit) and after.before not in told:
            for oid in history.first_parents(ground.folder, after.before, MOST):
                if oid == one.commit or oid not in chain:
                    break
                yield _without_record(environment, oid)


def _without_record(environment: Environment, oid: str) -> Problem:
    return Problem(
        f"commit {oid[:12]} of branch '{environment.branch}' has no record in the ledger",
        hint="`gitkitchen reconcile` completes it where its evidence is there, and says what it is otherwise",
        code="commit-without-record",
    )


def _landing(ground: Ground, landing: Landing, chain: Mapping[str, Commit]) -> Iterator[Problem]:
    where = f"the landing of {landing.commit[:12]} on '{landing.environment}'"
    try:
        commit = chain.get(landing.commit) or history.commit_of(ground.folder, landing.commit)
    except Mistake:
        yield Problem(
            f"{where}: its commit is not in this repository",
            hint="`git fetch` first; if no clone has it, it was removed",
            code="commit-missing",
        )
        return
    if commit.tree != landing.tree:
        text = f"{where}: the ledger says tree {landing.tree[:12]}, and Git has {commit.tree[:12]}"
        yield Problem(text, hint="it did not land what was tested", code="other-tree")
    if landing.before not in ("", *commit.parents[:1]):
        parent = commit.parents[0][:12] if commit.parents else "none"
        text = f"{where}: the ledger says it followed {landing.before[:12]}, and Git has {parent}"
        yield Problem(text, hint="it landed on another tip than it was tested against", code="other-base")
    if landing.method is Method.HAND:
        return
    try:
        told = landing_in(trailers_in(commit.message), landing.commit)
    except GitKitchenError as error:
        yield from error.problems
        return
    if told is None:
        yield Problem(
            f"{where}: its commit says nothing of it",
            hint="its message was edited, or the record is of another commit",
            code="trailers-missing",
        )
        return
    left = {name for name, _ in told.left_out}
    if landing.told == "trailers":
        left.add("evidence")  # its record was lost: it was proved again, and has the evidence of that
    for name in COMPARED:
        if name not in left and getattr(told.landing, name) != getattr(landing, name):
            text = f"{where}: its record and its commit's trailers differ in '{name}'"
            yield Problem(text, hint="one of them was written by somebody else", code="trailers-differ")
    if landing.told != "rebuilt" and landing.ledger and not _in_ledger(ground, landing.ledger):
        text = f"{where}: the ledger that it was judged by, {landing.ledger[:12]}, is no part of this one"
        yield Problem(text, hint="branch gitkitchen-ledger was rewritten", code="ledger-rewritten")


def _in_ledger(ground: Ground, tip: str) -> bool:
    if not isinstance(ground.ledger, BranchLedger) or ground.git.is_shallow():
        return True
    view = ground.ledger.view()
    if view.tip is not None and ground.git.is_ancestor(tip, view.tip):
        return True
    try:
        return any(one.vouches(tip) for one in compactions(view))
    except Infrastructure:  # which is told as what it is
        return True


# --- evidence ----------------------------------------------------------------------------------------


def _evidence(
    ground: Ground, environments: Sequence[Environment], known: Sequence[Problem]
) -> Iterator[Problem]:
    """Evidence whose record is missing, or says something else."""
    wanted: dict[str, list[tuple[Landing, Evidence]]] = {}
    for environment in environments:
        try:
            moves = list(moves_of(ground.ledger.read(stream_of(environment.name))))
        except GitKitchenError:
            continue
        for landing in moves:
            if isinstance(landing, Landing):
                for evidence in landing.evidence:
                    wanted.setdefault(evidence.record, []).append((landing, evidence))
    bodies = run_records(ground, {e.recipe for pairs in wanted.values() for _, e in pairs})
    damaged = {p.message for p in known}
    for record, pairs in sorted(wanted.items()):
        body = bodies.get(record)
        for landing, evidence in pairs:
            text = unlike(evidence, body) if landing.told != "rebuilt" or body is not None else ""
            if text and not (body is None and any(f"/{evidence.recipe}'" in m for m in damaged)):
                yield Problem(
                    f"the landing of {landing.commit[:12]} on '{landing.environment}': "
                    f"its evidence, run {evidence.run}, {text}",
                    hint=f"no record {record[:12]} of recipe '{evidence.recipe}' vouches for it",
                    code="evidence-missing",
                )


def run_records(ground: Ground, recipes: set[str]) -> Mapping[str, Mapping[str, Any]]:
    """The records of the runs of recipes, by their ids. Those of a damaged stream are left out from the
    first bad one on."""
    found: dict[str, Mapping[str, Any]] = {}
    for stream in ground.ledger.streams("runs") if recipes else ():
        if stream.rpartition("/")[2] not in recipes:
            continue
        try:
            for record in ground.ledger.read(stream):
                found[record.id] = record.body
        except GitKitchenError:
            continue
    return found


def unlike(evidence: Evidence, body: Mapping[str, Any] | None) -> str:
    """What a run's record says else than the evidence that names it; "" where they agree."""
    if body is None:
        return "is not in the ledger"
    subject = body.get("subject")
    tree = subject.get("tree") if isinstance(subject, Mapping) else None
    said = (body.get("run"), body.get("recipe"), body.get("variation"), tree, body.get("verdict"))
    stated = (evidence.run, evidence.recipe, evidence.variation, evidence.tree, evidence.verdict)
    for name, one, other in zip(("run", "recipe", "variation", "tree", "verdict"), stated, said, strict=True):
        if one != other:
            return f"says {name} {one!s:.40}, and its record {other!s:.40}"
    return ""
