"""``previous``: the tree has stood in the environment before (``landed``), and well (``healthy``).

Healthy: no open incident, and the newest run there of each recipe on this tree is green. Which landed when is
the ledger's to say, never a label's.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.model import Verdict
from gitkitchen.promote.gates.case import Case, failed, listed, passed, pending, short, unknown
from gitkitchen.promote.gates.facts import Source, SourceRun, Unread
from gitkitchen.promote.shapes import GateResult

NAME = "previous"


def judge(case: Case) -> Iterator[GateResult]:
    """Nothing where the environment has none before it."""
    if case.facts.source is None:
        return
    source = case.facts.previous
    if isinstance(source, Unread):
        yield unknown(NAME, source, case.promote("--dry-run"))
        return
    tree = short(case.facts.tree)
    if not source.stood:
        reason = f"tree {tree} has not landed in {source.environment}, whose tree is {short(source.tree)}"
        yield pending(
            NAME, reason, f"a promotion into {source.environment}", f"gitkitchen promote {source.environment}"
        )
    elif case.gate.previous == "healthy":
        yield _healthy(case, source)
    else:
        yield passed(NAME, f"tree {tree} has landed in {source.environment}")


def _healthy(case: Case, source: Source) -> GateResult:
    tree, where = short(case.facts.tree), source.environment
    if source.trouble:
        change = f"whoever mends {where}: a rollback, a fix, and its incident is closed"
        return failed(
            NAME,
            f"{where} is not healthy: {listed(list(source.trouble))}",
            change,
            f"gitkitchen audit {where}",
        )
    newest: dict[tuple[str, str | None], SourceRun] = {}
    for run in source.runs:
        if run.tree == case.facts.tree:
            newest[run.recipe, run.variation] = run
    if not newest:
        reason = f"nothing was run in {where} on tree {tree} since it landed"
        return pending(
            NAME,
            reason,
            f"a run in {where}, where its branch is checked out",
            f"gitkitchen run --kitchen {where}",
        )
    silent = frozenset({Verdict.INFRASTRUCTURE.value, Verdict.CANCELLED.value})
    red = [r for r in newest.values() if r.verdict != Verdict.PASSED.value and r.verdict not in silent]
    if red:
        change = f"whoever owns {listed([r.recipe for r in red])}: mend it in {where}, and promote that tree"
        said = [f"{r.recipe} ({r.verdict.replace('_', ' ')}, run {r.run})" for r in red]
        return failed(
            NAME,
            f"not green in {where} on tree {tree}: {listed(said)}",
            change,
            f"gitkitchen show {red[0].run}",
        )
    unsure = [r for r in newest.values() if r.verdict in silent]
    if unsure:
        silence = Unread(f"the newest runs in {where} could not check: {listed([r.recipe for r in unsure])}")
        return unknown(NAME, silence, f"gitkitchen run --kitchen {where}")
    return passed(
        NAME, f"{where} is healthy on tree {tree}: {listed([r.recipe for r in newest.values()])} green"
    )
