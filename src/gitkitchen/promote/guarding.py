"""Branches of environments and of the ledger: what protects them, and how trees land on them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from gitkitchen.promote.health import (
    JOB_CHECK,
    LEDGER,
    PROJECT_CHECK,
    Branch,
    Finding,
    Hosting,
    Rules,
    Unread,
    Way,
)


def finding(code: str, about: str, held: bool, ok: str, gap: str) -> Finding:
    """What is known: held, or a gap."""
    return Finding(code, "ok" if held else "gap", about, ok if held else gap)


def unknown(code: str, about: str, unread: Unread) -> Finding:
    """What could not be read."""
    return Finding(code, "unknown", about, unread.why, unread.right)


def _holds(code: str, about: str, rules: Rules, held: bool, ok: str, gap: str) -> Finding:
    """A rule that must hold: one that is not seen may be among what could not be read."""
    if not held and rules.rest is not None:
        return unknown(code, about, rules.rest)
    return finding(code, about, held, ok, gap)


def existence(branch: Branch) -> Iterator[Finding]:
    """Whether the branch of an environment is there."""
    if branch.environment:
        about = _about(branch)
        if isinstance(branch.exists, Unread):
            yield unknown("branch-missing", about, branch.exists)
        else:
            yield finding("branch-missing", about, branch.exists, "it exists", "there is no such branch")


def _about(branch: Branch) -> str:
    return f"{branch.name} ({branch.environment})" if branch.environment else branch.name


def branch_findings(branch: Branch) -> Iterator[Finding]:
    """What holds of one branch, and what does not."""
    about = _about(branch)
    yield from existence(branch)
    if isinstance(branch.rules, Unread):
        codes = {LEDGER: "ledger-unprotected"}
        code = "unprotected" if branch.environment else codes.get(branch.name, "own-branch-refused")
        yield unknown(code, about, branch.rules)
    elif branch.environment:
        yield from _environment(about, branch.rules)
    elif branch.name == LEDGER:
        yield from _ledger(about, branch.rules)
    else:
        yield _pushable("own-branch-refused", about, branch.rules)


def _environment(about: str, rules: Rules) -> Iterator[Finding]:
    yield _holds(
        "unprotected", about, rules, held=not rules.empty, ok="rules protect it", gap="no rule protects it"
    )
    if rules.empty:
        return
    yield _holds(
        "pull-request-optional",
        about,
        rules,
        rules.pull_request or rules.queue,
        "changes come by pull request",
        "anybody who may push changes it without a pull request",
    )
    yield _holds("force-push", about, rules, rules.no_force, "no pushes are forced", "pushes may be forced")
    yield _holds("deletion", about, rules, rules.no_deletion, "nobody deletes it", "it may be deleted")
    yield from _checks(about, rules)
    yield _holds(
        "base-may-move",
        about,
        rules,
        rules.strict or rules.queue,
        "what is merged was tested on its tip",
        "a pull request is merged though the branch has moved since it was tested",
    )
    yield _holds(
        "owners-not-asked",
        about,
        rules,
        rules.code_owners,
        "code owners must approve",
        "no owner of a file has to approve its change",
    )
    yield _holds(
        "stale-approvals",
        about,
        rules,
        rules.dismiss_stale,
        "new commits void approvals",
        "an approval stays when other commits are pushed",
    )
    yield _passing(about, rules)


def _checks(about: str, rules: Rules) -> Iterator[Finding]:
    ours = [check for check in rules.checks if check.name == PROJECT_CHECK]
    if not ours and any(check.name == JOB_CHECK for check in rules.checks):
        gap = f"it requires `{JOB_CHECK}`, a job of the pull request itself, and not `{PROJECT_CHECK}`"
        yield _holds("check-of-the-judged", about, rules, held=False, ok="", gap=gap)
        return
    ok, gap = f"`{PROJECT_CHECK}` must be green", f"`{PROJECT_CHECK}` is not required"
    yield _holds("check-not-required", about, rules, bool(ours), ok, gap)
    if ours:
        gap = f"whoever may write checks can give a green `{PROJECT_CHECK}`"
        held = any(check.app for check in ours)
        yield finding("check-of-anybody", about, held, "only the named App can give it", gap)


def merge_methods(hosting: Hosting, branch: Branch) -> Iterator[Finding]:
    """Of a branch that promotions land on (the first environment's takes the changes of people, too): that
    a pull request is merged as it stands, or not at all."""
    about, rules, ours = _about(branch), branch.rules, hosting.methods
    if isinstance(rules, Unread):
        return
    by_rule = set(rules.methods or ("merge", "squash", "rebase"))
    if rules.queue or "merge" not in by_rule:
        return  # told elsewhere
    if isinstance(ours, Unread):
        others = sorted(by_rule - {"merge"})
        if others:
            yield unknown("other-merges", about, rules.rest or ours)
            return
    else:
        others = sorted(by_rule & set(ours) - {"merge"})
    gap = f"pull requests may be merged by {_and(others)}"
    yield _holds("other-merges", about, rules, not others, "pull requests are merged by merge commits", gap)


def _passing(about: str, rules: Rules) -> Finding:
    if isinstance(rules.passing, Unread):
        return unknown("bypass", about, rules.passing)
    ok = f"only Apps pass the rules by: {_and(rules.apps)}" if rules.apps else "nobody passes the rules by"
    if not rules.passing and rules.rest is not None:
        return unknown("bypass", about, rules.rest)
    return finding("bypass", about, not rules.passing, ok, f"may pass the rules by: {_and(rules.passing)}")


def _ledger(about: str, rules: Rules) -> Iterator[Finding]:
    open_to = ["rewritten"] * (not rules.no_force) + ["deleted"] * (not rules.no_deletion)
    ok = "it is never rewritten nor deleted"
    yield _holds("ledger-unprotected", about, rules, not open_to, ok, f"it can be {_and(open_to)}")
    yield _pushable("ledger-refused", about, rules)
    ok, gap = "only those on a list write to it", "everybody who may push can write records"
    yield _holds("ledger-open", about, rules, rules.updates, ok, gap)


def _pushable(code: str, about: str, rules: Rules) -> Finding:
    """That a job's push is taken. What only Apps may update is left to those who set it up so."""
    against = [*_pull_only(rules), *(["required signatures"] if rules.signatures else [])]
    against += ["required checks"] if rules.checks else []
    closed = rules.updates and not rules.apps and rules.we_pass is not True
    against += ["restricted updates"] if closed and not isinstance(rules.passing, Unread) else []
    if not against:
        hidden = rules.passing if closed and isinstance(rules.passing, Unread) else rules.rest
        if hidden is not None:
            return unknown(code, about, hidden)
    return finding(
        code, about, not against, "jobs may push to it", f"jobs cannot push to it: {_and(against)}"
    )


def _pull_only(rules: Rules) -> list[str]:
    found = ["a required pull request"] if rules.pull_request else []
    return found + (["a required merge queue"] if rules.queue else [])


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 2 else words)


# --- landing -------------------------------------------------------------------------------------


def ways(hosting: Hosting, branch: Branch) -> tuple[str, str, tuple[Way, Way]]:
    """How trees can land on the branch of an environment."""
    return branch.environment, branch.name, (_button(hosting, branch), _push(branch))


def _button(hosting: Hosting, branch: Branch) -> Way:
    """A merge commit by the API, or by a person, of the set-tree commit."""
    against: list[str] = []
    unread: list[str] = []
    rules = branch.rules
    if isinstance(hosting.methods, Unread):
        unread.append(hosting.methods.right)
    elif "merge" not in hosting.methods:
        against.append("the repository allows no merge commits")
    if isinstance(rules, Unread):
        unread.append(rules.right)
    else:
        against += (
            ["a rule allows no merge commits"] if rules.methods and "merge" not in rules.methods else []
        )
        against += _whatever(rules)
        against += ["a required merge queue"] if rules.queue else []
        unread += [rules.rest.right] if rules.rest is not None else []
    return _way("button", against, unread)


def _push(branch: Branch) -> Way:
    """An atomic push of the branch and of the ledger's, by whoever holds the token at hand."""
    rules = branch.rules
    if isinstance(rules, Unread):
        return _way("push", [], [rules.right])
    against = [*_pull_only(rules), *_whatever(rules)]
    unread = [rules.rest.right] if rules.rest is not None else []
    if against and rules.we_pass is True:
        against = []
    elif against and isinstance(rules.we_pass, Unread):
        return Way("push", "unknown", (*against, "unless this token passes it by"), rules.we_pass.right)
    return _way("push", against, unread)


def _whatever(rules: Rules) -> list[str]:
    """What stands against a commit with two parents that Git made, however it comes."""
    found = ["a required linear history"] if rules.linear else []
    found += ["restricted updates"] if rules.updates and rules.we_pass is not True else []
    return found + (["required signatures"] if rules.signatures else [])


def _way(method: Literal["button", "push"], against: list[str], unread: list[str]) -> Way:
    if against:
        return Way(method, "no", tuple(dict.fromkeys(against)))
    if unread:
        return Way(method, "unknown", (), "; ".join(dict.fromkeys(unread)))
    return Way(method, "yes")


def can_land(environment: str, branch: str, both: tuple[Way, Way]) -> Finding:
    """Whether there is a way at all."""
    about = f"{branch} ({environment})"
    able = [way.method for way in both if way.possible == "yes"]
    if able:
        return Finding("no-landing", "ok", about, f"trees land by {_and(able)}")
    reasons = "; ".join(f"{way.method}: {', '.join(way.because)}" for way in both if way.because)
    if all(way.possible == "no" for way in both):
        return Finding("no-landing", "gap", about, f"nothing lands: {reasons}")
    said = f"it is not known how trees land ({reasons})" if reasons else "it is not known how trees land"
    right = "; ".join(dict.fromkeys(way.right for way in both if way.right))
    return Finding("no-landing", "unknown", about, said, right)
