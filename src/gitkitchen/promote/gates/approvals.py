"""``approvals``: enough people approve this tree under this policy, and nobody who may write objects.

An author or committer of any commit that moves, who asked for the move, and bots never count. A commit whose
address belongs to no known account may be anybody's: for each such address one approval more is needed, so
that as many as asked for are certainly of others.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.model import Approvals
from gitkitchen.promote.gates.ballot import Ballot, among, count, review_command
from gitkitchen.promote.gates.case import Case, failed, listed, passed, pending, short, unknown
from gitkitchen.promote.gates.facts import Unread
from gitkitchen.promote.shapes import GateResult

NAME = "approvals"


def judge(case: Case) -> Iterator[GateResult]:
    """One result for the number, one for the owners of what changed."""
    rule = case.gate.approvals
    if rule is None:
        return
    reviews = case.facts.reviews
    if isinstance(reviews, Unread):
        yield unknown(NAME, reviews, case.promote("--dry-run"))
        if rule.codeowners:
            yield unknown(f"{NAME}:codeowners", reviews, case.promote("--dry-run"))
        return
    ballot = count(case, reviews)
    yield _number(case, rule, ballot)
    if rule.codeowners:
        yield _owners(case, ballot)


def _number(case: Case, rule: Approvals, ballot: Ballot) -> GateResult:
    if ballot.objecting:
        who = listed(list(ballot.objecting))
        change = f"{who}, by approving, or whoever may dismiss a review"
        return failed(NAME, f"changes are requested by {who}", change, review_command(case))
    names = [*rule.users, *rule.teams]
    certain, maybe = list(ballot.certain), list(ballot.maybe)
    why = list(ballot.unread) if maybe else []
    if names:
        certain, doubts = among(case, ballot.certain, names)
        possible, more = among(case, ballot.maybe, names)
        maybe = [*possible, *more, *doubts]
        why = [*(ballot.unread if possible or more else ()), *doubts.values(), *more.values()]
    needed = rule.count + len(ballot.nameless)
    if len(certain) >= needed and not ballot.doubts:
        by = f"approved by {listed(certain)}"
        return passed(NAME, f"{len(certain)} of {needed} on tree {short(case.facts.tree)}: {by}")
    if len(certain) + len(maybe) >= needed:
        first = (why or list(ballot.unread) or [Unread("a review could not be judged")])[0]
        return unknown(NAME, first, review_command(case))
    return _lacking(case, names, ballot, certain, needed)


def _lacking(case: Case, names: list[str], ballot: Ballot, certain: list[str], needed: int) -> GateResult:
    reason = f"{len(certain)} of {needed} approvals of tree {short(case.facts.tree)}"
    reason += f" (by {listed(certain)})" if certain else ""
    others = [
        f"{n}'s does not count: not one of those who are named" for n in ballot.certain if n not in certain
    ]
    void = [*ballot.void, *others]
    reason += f"; {listed(void)}" if void else ""
    if ballot.nameless:
        unknown_to_all = listed(list(ballot.nameless))
        reason += (
            f"; {len(ballot.nameless)} more than the gate says: no account is known for {unknown_to_all}"
        )
    more = needed - len(certain)
    who = " or ".join(f"@{n}" for n in names) if names else "people who may write"
    change = f"{more} more of {who}, with no commit in it, who did not ask for it"
    return pending(NAME, reason, change, review_command(case))


def _owners(case: Case, ballot: Ballot) -> GateResult:
    name, owners = f"{NAME}:codeowners", case.facts.owners
    if isinstance(owners, Unread):
        return unknown(name, owners, case.promote("--dry-run"))
    lacking: dict[tuple[str, ...], list[str]] = {}
    doubts: list[Unread] = []
    needed = 1 + len(ballot.nameless)
    for path, by in owners.items():
        if not by:
            continue
        certain, unsure = among(case, ballot.certain, by)
        if len(certain) >= needed:
            continue
        possible, more = among(case, ballot.maybe, by)
        if len(certain) + len(unsure) + len(possible) + len(more) >= needed:
            doubts += [*unsure.values(), *more.values(), *(ballot.unread if possible else ())]
        else:
            lacking.setdefault(by, []).append(path)
    if lacking:
        said = [
            f"{paths[0]}{f' and {len(paths) - 1} more' if paths[1:] else ''}" for paths in lacking.values()
        ]
        reason = f"no owner approves {listed(said)} on tree {short(case.facts.tree)}"
        reason += f"; {listed(list(ballot.void))}" if ballot.void else ""
        if ballot.nameless:
            reason += (
                f"; {needed} owners are needed, since no account is known for {listed(list(ballot.nameless))}"
            )
        who = listed(list(dict.fromkeys(n for by in lacking for n in by)))
        return pending(name, reason, f"one of the owners: {who}", review_command(case))
    if doubts:
        return unknown(name, doubts[0], review_command(case))
    owned = sum(bool(by) for by in owners.values())
    words = (
        f"an owner of each of {owned:,} changed files approves" if owned else "no changed file has an owner"
    )
    return passed(name, words)
