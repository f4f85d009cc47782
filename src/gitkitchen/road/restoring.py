"""What an environment showed before, and how its catalog comes back to it: entries alone, no byte of data.

Where a landing's publications end is told by the order of the ledger's records. A time is asked for only
where a person names one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gitkitchen import history
from gitkitchen.data.catalog import entries_at, time_of_run
from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.errors import Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.kitchen.settings import duration
from gitkitchen.ledger.protocol import LATEST, Ledger
from gitkitchen.model import Environment, Published
from gitkitchen.promote.bodies import EVIDENCE
from gitkitchen.promote.moves import Course
from gitkitchen.promote.shapes import Evidence, Intent, Landing
from gitkitchen.road.ground import Ground
from gitkitchen.road.proving import Patch, Proof
from gitkitchen.road.publishing import evidence_stream
from gitkitchen.workplace import Workplace

RUN = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{6}")
NEVER = "; ".join(
    (
        "`gitkitchen audit` shows what landed and when",
        "`gitkitchen log --kitchen ENVIRONMENT` which runs published",
    )
)


@dataclass(frozen=True, slots=True)
class Then:
    """What is gone back to: a landing, and the publication behind which its catalog is meant (0: none)."""

    landing: Landing
    sequence: int


def find_then(
    ground: Ground, environment: Environment, course: Course, base: str, to: str, now: datetime
) -> Then:
    """What ``to`` names: a commit that landed, a run that published, a moment; "": what was live before what
    stands on the branch at ``base``. Mistake where nothing is found."""
    if course.last is None:
        raise _nowhere(f"nothing was ever promoted to '{environment.name}'")
    ends = _ends(ground, environment, course)
    if not to:
        earlier = _before(ground, environment, course, base)
        return Then(earlier, ends[earlier.commit][1])
    if RUN.fullmatch(to):
        return _run(ground, environment, course, ends, to)
    landing = _commit(ground, course, to)
    if landing is not None:
        return Then(landing, ends[landing.commit][1])
    moment = _moment(to, now)
    if moment is None:
        raise _nowhere(f"{to[:60]!r} is no landing of '{environment.name}', no run and no moment")
    landing = course.live_at(moment)
    if landing is None:
        raise _nowhere(f"nothing had landed on '{environment.name}' at {moment:%Y-%m-%d %H:%M} UTC")
    first, last = ends[landing.commit]
    sequence = first
    for record in ground.ledger.read(_stream(ground, environment), after=first):
        when = time_of_run(str(record.body["run"]))
        if record.sequence > last or when is None or when > moment:
            break
        sequence = record.sequence
    return Then(landing, sequence)


def _before(ground: Ground, environment: Environment, course: Course, base: str) -> Landing:
    """What was live before what stands there. Asked again after a rollback: what that one went back to."""
    last = course.landings[-1]
    if last.commit != base:
        return last  # what stands there was never accepted
    if last.intent is Intent.ROLLBACK:
        kept = kept_rollback(ground.ledger, environment.name, last.tree, last.before)
        found = course.landed(str(kept["rollback"]["to"])) if kept is not None else None
        return found or course.landed(last.source) or last
    if len(course.landings) == 1:
        raise _nowhere(f"only one tree was ever promoted to '{environment.name}'")
    return course.landings[-2]


def _ends(ground: Ground, environment: Environment, course: Course) -> Mapping[str, tuple[int, int]]:
    """Landed commit -> the publication that came with it, and the last one before the next landing.

    A landing that published nothing ends where the one before it does. Runs are told by their tree.
    """
    number, places = -1, [0] * len(course.landings)
    begun = [0] * len(course.landings)
    by_commit = {landing.commit: n for n, landing in enumerate(course.landings)}
    last = 0
    for record in ground.ledger.read(_stream(ground, environment)):
        found = by_commit.get(str(record.body.get("landing", "")))
        if found is None and number >= 0:
            tree = (record.body.get("subject") or {}).get("tree")
            rest = range(number, len(course.landings))
            found = next((n for n in rest if course.landings[n].tree == tree), number)
        if found is not None and found >= 0:
            for skipped in range(number + 1, found):
                begun[skipped] = places[skipped] = last
            if found > number:
                begun[found] = record.sequence
            number = found
            places[found] = record.sequence
        last = record.sequence
    for skipped in range(number + 1, len(places)):
        begun[skipped] = places[skipped] = last
    return {commit: (begun[n], places[n]) for commit, n in by_commit.items()}


def _run(
    ground: Ground, environment: Environment, course: Course, ends: Mapping[str, tuple[int, int]], run: str
) -> Then:
    """The environment as a run's publication left it, or as the landing that a run proved began."""
    for record in ground.ledger.read(_stream(ground, environment)):
        if record.body["run"] == run:
            for landing in reversed(course.landings):
                if ends[landing.commit][0] <= record.sequence <= ends[landing.commit][1]:
                    return Then(landing, record.sequence)
            raise _nowhere(f"run {run} published before anything was promoted to '{environment.name}'")
    for landing in reversed(course.landings):
        if any(evidence.run == run for evidence in landing.evidence):
            return Then(landing, ends[landing.commit][0])
    raise _nowhere(f"run {run} published nothing to '{environment.name}'")


def _commit(ground: Ground, course: Course, to: str) -> Landing | None:
    try:
        oid = history.commit_of(ground.folder, to).oid
    except Mistake:
        return None
    found = course.landed(oid)
    if found is None:  # the commit of the source, as people know it
        found = next((one for one in reversed(course.landings) if one.source == oid), None)
    if found is None:
        raise _nowhere(f"{oid[:12]} never landed on '{course.environment}'")
    return found


def _moment(text: str, now: datetime) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=duration(text))
    except (ValueError, OverflowError):
        return None


def _nowhere(said: str) -> Mistake:
    return Mistake(Problem(f"{said}: there is nothing to go back to", hint=NEVER, code="no-then"))


def _stream(ground: Ground, environment: Environment) -> str:
    return publications_of(environment_namespace(ground.project, environment))


# --- the catalog of then -----------------------------------------------------------------------------


def patch_to(ledger: Ledger, namespace: str, sequence: int) -> tuple[Patch, int]:
    """What brings a catalog back to what it was behind publication ``sequence``, and the publication that it
    is made on: entries that differ, and None for what was not there."""
    head = ledger.head(publications_of(namespace))
    now = entries_at(ledger, namespace, head)
    then = {d: e for d, e in entries_at(ledger, namespace, sequence).items() if e.zone == "trusted"}
    patch: dict[str, Published | None] = {d: None for d in now if d not in then}
    patch |= {d: e for d, e in then.items() if d not in now or _said(now[d]) != _said(e)}
    return dict(sorted(patch.items())), head


def _said(entry: Published) -> tuple[str, str, str, str, str]:
    return entry.fingerprint, entry.content, entry.recipe, entry.node, entry.zone


def refuse_collected(place: Workplace, patch: Patch) -> None:
    """Mistake, naming them, where versions that shall be shown again are not in the store any more."""
    wanted = {d: e for d, e in patch.items() if e is not None}
    place.store.expect(e.fingerprint for e in wanted.values())
    gone = []
    for dataset, entry in wanted.items():
        build = place.store.find(entry.fingerprint)
        if build is None or dataset not in build.versions:
            gone.append(dataset)
    if gone:
        more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
        raise Mistake(
            Problem(
                f"versions of then are not in the store any more: {', '.join(gone[:5])}{more}",
                hint="`--data current` builds what the tree of then makes of today's sources; `gc --keep` "
                "says for how long environments can go back",
                code="collected",
            )
        )


def proof_of_then(
    place: Workplace, evidence: tuple[Evidence, ...], bound: tuple[str, str, str], sequence: int
) -> Proof:
    """The proof that a catalog of then was shown with passed tests: nothing is run. ``bound``: tree, tip and
    policy. Mistake where its versions are gone."""
    patch, head = patch_to(place.ledger, place.kitchen.namespace, sequence)
    refuse_collected(place, patch)
    return Proof(*bound, place.kitchen, head, evidence=evidence, patch=patch)


def kept_rollback(ledger: Ledger, environment: str, tree: str, base: str) -> Mapping[str, Any] | None:
    """The newest record of what a rollback to a tree, on a tip, goes back to; None where there is none."""
    stream = evidence_stream(environment)
    head = ledger.head(stream)
    for record in reversed(list(ledger.read(stream, after=max(head - LATEST, 0)))):
        body = record.body
        if "rollback" in body and (body["tree"], body["base"]) == (tree, base):
            return body
    return None


def evidence_in(body: Mapping[str, Any]) -> tuple[Evidence, ...]:
    """The evidence that a record of it names."""
    return tuple(Evidence(**{n: f.read(run[n]) for n, f in EVIDENCE.items()}) for run in body["runs"])
