"""``contract``: the columns that readers of the target have stay as they are, or somebody named allows it."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from gitkitchen.model import Contract
from gitkitchen.promote.gates.ballot import among, count, review_command
from gitkitchen.promote.gates.case import Case, failed, listed, passed, pending, unknown
from gitkitchen.promote.gates.facts import Break, Unread
from gitkitchen.promote.owners import CODEOWNERS
from gitkitchen.promote.shapes import GateResult

NAME = "contract"


def judge(case: Case) -> Iterator[GateResult]:
    """Failed where nobody may allow what breaks; pending until somebody who may does."""
    rule = case.gate.contract
    if rule is None:
        return
    breaks = case.facts.breaks
    if isinstance(breaks, Unread):
        yield unknown(NAME, breaks, case.promote("--dry-run"))
        return
    found = [b for b in breaks if _is_held(rule, b)]
    if not found:
        kept = (
            "nothing that readers have is changed" if rule.changes == "additive" else "no column is changed"
        )
        where = "any dataset" if rule.datasets == ("*",) else listed(list(rule.datasets))
        yield passed(NAME, f"{kept} in {where}")
        return
    yield _judged(case, rule, found)


def _is_held(rule: Contract, change: Break) -> bool:
    held = any(fnmatchcase(change.dataset, pattern) for pattern in rule.datasets)
    return held and (change.breaking or rule.changes == "none")


def _judged(case: Case, rule: Contract, found: list[Break]) -> GateResult:
    said = listed([f"{b.dataset}: {b.change}" for b in found])
    if not rule.by:
        change = "whoever changes the tree: keep the old columns beside new ones; or name `contract.by`"
        return failed(
            NAME,
            f"readers of {case.facts.environment} would lose what they have: {said}",
            change,
            "gitkitchen diff --data",
        )
    reviews = case.facts.reviews
    if isinstance(reviews, Unread):
        return unknown(NAME, reviews, case.promote("--dry-run"))
    ballot = count(case, reviews)
    allowed: dict[str, None] = {}
    waiting: list[Break] = []
    doubts: list[Unread] = []
    for one in found:
        names = _names(rule, one)
        certain, unsure = among(case, ballot.certain, names)
        possible, more = among(case, ballot.maybe, names)
        if len(certain) > len(ballot.nameless):
            allowed |= dict.fromkeys(certain)
        elif len(certain) + len(unsure) + len(possible) + len(more) > len(ballot.nameless):
            doubts += [*unsure.values(), *more.values(), *(ballot.unread if possible else ())]
        else:
            waiting.append(one)
    if waiting:
        reason = f"it changes what readers have: {listed([f'{b.dataset}: {b.change}' for b in waiting])}"
        return pending(NAME, reason, f"an approval by {' or '.join(rule.by)}", review_command(case))
    if doubts:
        return unknown(NAME, doubts[0], review_command(case))
    return passed(NAME, f"it changes what readers have, allowed by {listed(list(allowed))}: {said}")


def _names(rule: Contract, change: Break) -> tuple[str, ...]:
    """Whose approval allows a change, the owners of its recipe's file in the place of ``codeowners``."""
    named = tuple(n for n in rule.by if n != CODEOWNERS)
    return (*named, *change.owners) if len(named) < len(rule.by) else named
