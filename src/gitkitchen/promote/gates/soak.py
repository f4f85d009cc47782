"""``soak``: a tree stands in the environment before for some hours, and through some green scheduled runs.

Hours count while the tree stood there; what stood before an incident has not soaked. Runs count in a row: a
red one begins the row anew, one that could not check neither counts nor breaks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from gitkitchen.model import Soak, Verdict
from gitkitchen.promote.gates.case import Case, later, length, listed, passed, pending, short, unknown
from gitkitchen.promote.gates.facts import Source, SourceRun, Unread
from gitkitchen.promote.shapes import GateResult

NAME = "soak"
_SILENT = frozenset({Verdict.INFRASTRUCTURE.value, Verdict.CANCELLED.value})


def judge(case: Case) -> Iterator[GateResult]:
    """One result for hours, one for runs: they are waited for by others."""
    soak, source = case.gate.soak, case.facts.previous
    if soak is None:
        return
    if isinstance(source, Unread):
        if soak.hours:
            yield unknown(f"{NAME}:hours", source, case.promote("--dry-run"))
        if soak.green_runs:
            yield unknown(f"{NAME}:green_runs", source, case.promote("--dry-run"))
        return
    if soak.hours:
        yield _hours(case, soak, source)
    if soak.green_runs:
        yield _runs(case, soak, source)


def stood(source: Source, at: datetime) -> float:
    """Seconds for which the tree stood there until ``at`` without an incident since."""
    clean = max((i for i in source.incidents if i <= at), default=None)
    total = 0.0
    for start, end in source.stood:
        begin = start if clean is None else max(start, clean)
        total += max((min(end or at, at) - begin).total_seconds(), 0.0)
    return total


def _hours(case: Case, soak: Soak, source: Source) -> GateResult:
    name, where, tree = f"{NAME}:hours", source.environment, short(case.facts.tree)
    wanted, done = soak.hours * 3600, stood(source, case.at)
    if done >= wanted:
        return passed(name, f"tree {tree} stood in {where} for {length(done)} of {length(wanted)}")
    standing = any(end is None and start <= case.at for start, end in source.stood)
    if not standing:
        reason = (
            f"tree {tree} stood in {where} for {length(done)} of {length(wanted)}, and stands there no more"
        )
        change = f"whoever promotes it to {where} again, or promotes the tree that stands there"
        return pending(name, reason, change, case.promote())
    when = case.at + timedelta(seconds=wanted - done)
    reason = f"tree {tree} has stood in {where} for {length(done)} of {length(wanted)}"
    return pending(name, reason, "time alone", case.promote("--dry-run", *later(when)), when)


def _runs(case: Case, soak: Soak, source: Source) -> GateResult:
    name, where = f"{NAME}:green_runs", source.environment
    if not source.scheduled:
        reason = f"nothing has run by a schedule in {where} yet"
        change = f"whoever gives a variation a schedule in {where}, or takes green_runs out of the gate"
        return pending(name, reason, change, "gitkitchen validate")
    short_of, red = [], []
    for label in source.scheduled:
        own = [r for r in source.runs if _is_counted(case, r) and _label(r) == label]
        row, broken = _row(own)
        if row < soak.green_runs:
            short_of.append(f"{label} {row} of {soak.green_runs}")
            red += [f"{label} was {broken.verdict.replace('_', ' ')} in run {broken.run}"] if broken else []
    if not short_of:
        many = (
            f"{soak.green_runs} green scheduled runs in a row"
            if soak.green_runs > 1
            else "a green scheduled run"
        )
        return passed(name, f"{many} in {where}: {listed(list(source.scheduled))}")
    reason = f"green scheduled runs in a row in {where} on tree {short(case.facts.tree)}: {listed(short_of)}"
    reason += f" ({listed(red)})" if red else ""
    return pending(name, reason, f"the schedule of {where}", f"gitkitchen log --kitchen {where}")


def _is_counted(case: Case, run: SourceRun) -> bool:
    return run.scheduled and run.tree == case.facts.tree and run.at <= case.at and run.verdict not in _SILENT


def _label(run: SourceRun) -> str:
    return f"{run.recipe}:{run.variation}" if run.variation else run.recipe


def _row(runs: list[SourceRun]) -> tuple[int, SourceRun | None]:
    """How many at the end are green, and what broke the row before them."""
    count = 0
    for run in reversed(runs):
        if run.verdict != Verdict.PASSED.value:
            return count, run
        count += 1
    return count, None
