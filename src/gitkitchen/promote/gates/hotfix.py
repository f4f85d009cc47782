"""``hotfix``: what was mended in the target alone must be in what replaces it, or the mend is lost."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.promote.gates.case import Case, listed, passed, pending, short, unknown
from gitkitchen.promote.gates.facts import Hotfix, Unread
from gitkitchen.promote.shapes import GateResult

NAME = "hotfix"


def judge(case: Case) -> Iterator[GateResult]:
    """Pending while a hotfix is not back-ported."""
    hotfixes = case.facts.hotfixes
    if isinstance(hotfixes, Unread):
        yield unknown(NAME, hotfixes, case.promote("--dry-run"))
        return
    lacking = [h for h in hotfixes if h.contained is False]
    if lacking:
        pulls = [f"#{h.pull}{f' ({h.url})' if h.url else ''}" for h in lacking if h.pull]
        branches = [f"branch {h.branch}" for h in lacking if h.branch]
        where = case.facts.source or "the source"
        change = f"whoever brings it to {where}"
        if pulls or branches:
            change = f"whoever merges the back-port {listed(pulls or branches)}"
        command = _command(next((h for h in lacking if h.pull or h.branch), lacking[0]))
        said = listed([_shown(h) for h in lacking])
        reason = f"the candidate lacks what was mended in {case.facts.environment}: {said}"
        yield pending(NAME, reason, f"{change}, then a promotion of the tree with it", command)
        return
    for hotfix in hotfixes:
        if isinstance(hotfix.contained, Unread):
            said = f"whether hotfix {short(hotfix.commit)} is in the candidate: {hotfix.contained.reason}"
            unread = Unread(said, hotfix.contained.permission, hotfix.contained.command)
            yield unknown(NAME, unread, case.promote("--dry-run"))
            return
    count = len(hotfixes)
    words = (
        f"{count} hotfix{'es' if count > 1 else ''} of {case.facts.environment} in it"
        if count
        else "no hotfix to bring back"
    )
    yield passed(NAME, words)


def _command(hotfix: Hotfix) -> str:
    if hotfix.pull:
        return f"gh pr view {hotfix.pull}"
    if hotfix.branch:
        return f"git merge {hotfix.branch}"
    return f"git cherry-pick -m 1 -x {short(hotfix.commit)}"


def _shown(hotfix: Hotfix) -> str:
    reason = " ".join(hotfix.reason.split())
    return f"hotfix {short(hotfix.commit)}{f' ({reason})' if reason else ''}"
