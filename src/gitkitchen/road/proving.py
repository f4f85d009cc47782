"""Candidate runs: every recipe of a tree is run in the target's kitchen, and nothing is published.

What the trusted store has under the same fingerprint is used again, what moved on is built on the target's
own inputs, and tests are run or taken over on identical content; each recipe sees what those before it would
publish. The outcome is evidence, bound to the tree, the plan, the tip that it would land on, the versions
and the policy that judges it.

A variation that the environment runs is a candidate too, as its next run would be, on what the recipes would
publish. That is evidence and nothing else: what its own runs publish later does not land with the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen import flow
from gitkitchen.data.catalog import load_catalog
from gitkitchen.data.catalog import stream_of as publications_of
from gitkitchen.errors import INFRASTRUCTURE, Conflict, GitKitchenError, Infrastructure, Problem
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.opening import open_ledger
from gitkitchen.ledger.protocol import Newest
from gitkitchen.ledger.records import Record
from gitkitchen.model import (
    Build,
    Catalog,
    Environment,
    Event,
    Kitchen,
    NodeResult,
    Outcome,
    Plan,
    Published,
    TestState,
    Verdict,
)
from gitkitchen.promote.gates.facts import Break, CommandRun, Unread
from gitkitchen.promote.shapes import Evidence
from gitkitchen.reading import read_recipes
from gitkitchen.road.order import Reader, in_order
from gitkitchen.road.variations import Variant, variants
from gitkitchen.workplace import Request, Workplace, enter

if TYPE_CHECKING:
    from gitkitchen.process import Cancel

PASSES = 3
"""How often recipes that read each other in a circle are run, until nothing changes any more."""
UNASKED = Unread("no gate asks for the columns")
Patch = Mapping[str, Published | None]
About = Callable[[Plan, Sequence[NodeResult]], dict[str, Any]]
"""What the record of a candidate run tells beyond the usual."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A recipe (or ``recipe:variation``) without an outcome ("" for the tree as a whole), and why."""

    recipe: str
    problems: tuple[Problem, ...]
    unknown: bool
    """It could not be found out; else the tree itself is wrong."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the candidate runs of a tree came to. ``patch`` is what their landing publishes, against the
    catalog at publication ``sequence``; ``read`` the datasets and contents that were read and built."""

    tree: str
    base: str
    policy: str
    kitchen: Kitchen
    sequence: int
    outcomes: tuple[Outcome, ...] = ()
    failed: tuple[Failed, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    patch: Patch | None = None
    """None where something did not pass: then nothing may be published."""
    breaks: tuple[Break, ...] | Unread = UNASKED
    commands: tuple[CommandRun, ...] = ()

    @property
    def builds(self) -> list[Build]:
        """What the recipes built that would be published: nothing of a variation."""
        plain = [o for o in self.outcomes if o.variation is None]
        return [n.build for o in plain for n in o.nodes if n.build is not None and not n.continued]


@dataclass(frozen=True, slots=True)
class Bound:
    """What evidence is bound to beyond the tree: the tip to land on, the digest of the target's policy."""

    base: str
    policy: str


def prove(
    root: Path,
    environment: Environment,
    bound: Bound,
    request: Request,
    *,
    on_event: Callable[[Event], None],
    cancel: Cancel,
    clock: Callable[[], datetime],
    beside: Workplace | None = None,
) -> Proof:
    """Run every recipe of the tree in ``root`` as a candidate of an environment. ``beside``: its kitchen,
    where it was entered from there just now.

    Failures of recipes become part of the proof. GitKitchenError where it could not begin, Conflict where
    somebody else is at work on a recipe.
    """
    # What may be adopted is the target's to say, and not the tree's that wants to get there.
    rebuild = environment.adopt == "rebuild"
    request = replace(
        request, start=root, kitchen=environment.name, recipe=None, publish=False, rebuild=rebuild
    )
    place = enter(request, beside=beside)
    try:
        sequence = place.ledger.head(publications_of(place.kitchen.namespace))
        proof = Proof(place.subject.tree, bound.base, bound.policy, place.kitchen, sequence)
        catalog = load_catalog(place.ledger, place.project, place.kitchen)
        try:
            readers = in_order(place.project)
            recipes = read_recipes(place.project).recipes
        except GitKitchenError as error:
            return replace(proof, failed=(_failed("", error),))
    finally:
        place.close()
    runs = _Runs(place, request, _about(bound, environment), on_event, cancel, clock)
    ran = _settled(runs, readers)
    outcomes, failed = list(ran.found.values()), list(ran.failed)
    if not failed and _all_passed(outcomes):
        order = [reader.name for reader in readers]
        for found in _varied(runs, variants(environment.name, recipes, order, clock()), ran.over):
            if isinstance(found, Failed):
                failed.append(found)
            else:
                outcomes.append(found)
    if cancel.is_set:
        failed.append(Failed("", (Problem("it was cancelled", code="cancelled"),), unknown=True))
    good = bool(outcomes) and not failed and _all_passed(outcomes)
    patch = _whole(ran.over, catalog, readers) if good else None
    return replace(proof, outcomes=tuple(outcomes), failed=tuple(failed), patch=patch)


@dataclass(frozen=True, slots=True)
class _Runs:
    """What the candidate runs of one tree have in common."""

    place: Workplace
    request: Request
    about: About
    on_event: Callable[[Event], None]
    cancel: Cancel
    clock: Callable[[], datetime]

    def run(self, name: str, request: Request, over: Patch) -> flow.Candidate | Failed:
        """One candidate, ``name`` in the proof, on what those before it would publish. Conflict where another
        promotion, or a run, is at work on it: nothing is known, and no proof."""
        try:
            return flow.candidate(
                request,
                over=over,
                about=self.about,
                on_event=self.on_event,
                cancel=self.cancel,
                now=self.clock(),
                beside=self._again(),
            )
        except Conflict:
            raise
        except GitKitchenError as error:
            return _failed(name, error)

    def _again(self) -> Workplace:
        """The kitchen as the next recipe finds it: the ledger is looked at anew, and so are the files, which
        the recipe before may have changed: what runs on those is no evidence of the tree."""
        place, request = self.place, self.request
        ledger = open_ledger(place.project, say=request.say, apart=request.apart)
        return replace(place, ledger=ledger, subject=place.repository.subject(place.subject))


@dataclass(frozen=True, slots=True)
class _Ran:
    """What the recipes came to: the newest outcome of each, what they would publish together, and which of
    them had none in the last pass."""

    found: Mapping[str, Outcome] = field(default_factory=dict)
    over: Patch = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()


def _settled(runs: _Runs, readers: Sequence[Reader]) -> _Ran:
    """Every recipe, and those that read each other in a circle again until nothing changes any more."""
    ran = _Ran()
    for _ in range(PASSES):
        begun, ran = ran, _pass(runs, readers, ran)
        if runs.cancel.is_set or ran.failed or not _in_circles(readers, ran.over, begun.over):
            return ran
    return replace(ran, failed=(Failed("", (_circle(),), unknown=True),))


def _pass(runs: _Runs, readers: Sequence[Reader], begun: _Ran) -> _Ran:
    """Every recipe once, each on what those before it would publish."""
    found, over, failed = dict(begun.found), dict(begun.over), list[Failed]()
    for reader in readers:
        if runs.cancel.is_set:
            break
        blind = sorted(reader.reads & {d for r in readers for d in r.makes if r.name in _unknown(failed)})
        if blind:  # what it would find there now says nothing about this tree
            failed.append(Failed(reader.name, (_blind(blind),), unknown=True))
            continue
        ran = runs.run(reader.name, replace(runs.request, recipe=reader.name), over)
        if isinstance(ran, Failed):
            failed.append(ran)
            continue
        found[reader.name] = ran.outcome
        over |= ran.patch
    return _Ran(found, over, tuple(failed))


def _varied(runs: _Runs, variants: Iterable[Variant], over: Patch) -> Iterator[Outcome | Failed]:
    """Each variation on what the recipes would publish; of what its own run would publish nothing is kept."""
    for variant in variants:
        if runs.cancel.is_set:
            return
        interval = variant.interval.pair if variant.interval is not None else None
        request = replace(runs.request, recipe=variant.recipe, variation=variant.variation, interval=interval)
        ran = runs.run(variant.label, request, over)
        yield ran if isinstance(ran, Failed) else ran.outcome


def _all_passed(outcomes: Iterable[Outcome]) -> bool:
    return all(outcome.verdict is Verdict.PASSED for outcome in outcomes)


def _whole(over: Patch, catalog: Catalog, readers: Sequence[Reader]) -> Patch:
    """What the landing publishes: also that the datasets of recipes which the tree lacks are gone."""
    names = {reader.name for reader in readers}
    gone = {d: None for d, e in catalog.entries.items() if e.recipe not in names and d not in over}
    return {**gone, **over}


def with_evidence(proof: Proof, newest: Newest) -> Proof:
    """The proof with its outcomes as evidence, each by its record in the ledger: ``newest`` reads them.

    Infrastructure where the ledger has none: what could not be recorded is no evidence.
    """
    found = []
    for outcome in proof.outcomes:
        record = _record(newest, outcome)
        said = record.body.get("candidate") or {}
        found.append(
            Evidence(
                recipe=outcome.recipe,
                variation=outcome.variation,
                run=outcome.run,
                record=record.id,
                tree=outcome.subject.tree,
                plan=str(said.get("plan", "")),
                base=proof.base,
                versions=str(said.get("versions", "")),
                policy=proof.policy,
                verdict=outcome.verdict.value,
                tests=sum(t.state in (TestState.PASSED, TestState.FAILED) for t in outcome.tests),
            )
        )
    return replace(proof, evidence=tuple(found))


def _record(newest: Newest, outcome: Outcome) -> Record:
    for record in newest(f"runs/{outcome.kitchen.namespace}/{outcome.recipe}"):
        if record.body.get("run") == outcome.run:
            return record
    raise Infrastructure(
        Problem(
            f"the outcome of run {outcome.run} is not in the ledger yet, so that it is no evidence",
            hint="run the command again when the ledger can be written",
            code="no-record",
        )
    )


def _about(bound: Bound, environment: Environment) -> About:
    def about(plan: Plan, results: Sequence[NodeResult]) -> dict[str, Any]:
        builds = {r.node: r.build for r in results if r.build is not None}
        meaning = [
            [
                s.node.name,
                [d.digest for d in s.definitions],
                getattr(builds.get(s.node.name), "fingerprint", ""),
            ]
            for s in plan.steps
        ]
        made = {d: [v.fingerprint, v.content] for b in builds.values() for d, v in b.versions.items()}
        read = {d for step in plan.steps for d in step.reads}
        entries = plan.catalog.entries
        versions = {d: [entries[d].fingerprint, entries[d].content] for d in read if d in entries} | made
        said = {
            "environment": environment.name,
            "base": bound.base,
            "policy": bound.policy,
            "plan": digest(meaning),
            "versions": digest(versions),
        }
        return {"candidate": said}

    return about


def _failed(recipe: str, error: GitKitchenError) -> Failed:
    return Failed(recipe, error.problems, error.exit_code == INFRASTRUCTURE)


def _unknown(failed: Sequence[Failed]) -> set[str]:
    return {f.recipe for f in failed if f.unknown}


def _blind(datasets: Sequence[str]) -> Problem:
    names = ", ".join(datasets[:5])
    return Problem(f"it reads {names}, and whether that can be made is not known", code="not-known")


def _in_circles(readers: Sequence[Reader], over: Patch, begun: Patch) -> bool:
    """Whether a recipe ran before another that then changed, in this pass, what it reads."""
    new = {d for d, e in over.items() if d not in begun or begun[d] != e}
    for index, reader in enumerate(readers):
        if reader.reads & new & {d for other in readers[index + 1 :] for d in other.makes}:
            return True
    return False


def _circle() -> Problem:
    return Problem(
        f"recipes read each other in a circle, and after {PASSES} runs of them all still change",
        hint="break the circle",
        code="circle",
    )
