"""``command``: programs that must end with 0 in a work tree of the candidate."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from gitkitchen.promote.gates.case import OWN_RUN, Case, failed, passed, pending, short, unknown
from gitkitchen.promote.gates.facts import CommandRun, Unread
from gitkitchen.promote.shapes import GateResult

NAME = "command"


def judge(case: Case) -> Iterator[GateResult]:
    """One result for each command: what ran on another tree is not there, two answers of one are an error."""
    runs = case.facts.commands
    for command in case.gate.commands:
        name = f"{NAME}:{command.name}"
        typed = shlex.join(command.run)
        if isinstance(runs, Unread):
            yield unknown(name, runs, case.promote())
            continue
        own = list(dict.fromkeys(r for r in runs if r.name == command.name and r.tree == case.facts.tree))
        if not own:
            reason = f"it was not run on tree {short(case.facts.tree)} yet"
            yield pending(name, reason, OWN_RUN, case.promote())
        elif len(own) > 1:
            reason = f"{len(own)} different results on tree {short(case.facts.tree)}: none of them counts"
            yield failed(name, reason, "whoever promotes: it is run once each time", case.promote())
        else:
            yield _ended(case, name, typed, own[0])


def _ended(case: Case, name: str, typed: str, run: CommandRun) -> GateResult:
    said = f": {' '.join(run.said.split())[-300:]}" if run.said else ""
    if run.code is None:
        return unknown(name, Unread(f"`{typed}` gave no answer{said}"), case.promote())
    if run.code:
        reason = f"`{typed}` ended with {run.code}{said}"
        change = "whoever changes the tree, so that it ends with 0"
        return failed(name, reason, change, typed)
    return passed(name, f"`{typed}` ended with 0 on tree {short(run.tree)}")
