"""The rules of one branch, read from the forge: rulesets and the classic protection as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from gitkitchen.github.settings import Ruleset, Settings
from gitkitchen.github.trouble import Trouble
from gitkitchen.promote.health import Required, Rules, Unread

ROLES = {
    1: "the owners of the organization",
    2: "the role maintain",
    4: "the role write",
    5: "administrators",
}
"""The numbers of GitHub's own roles, as rulesets name them."""
AGAIN = "an answer of the forge: try again later"
PLAN = "Upgrade to GitHub"
"""What GitHub answers where a plan has no rules for branches."""
ADMIN = "administration: read (of an administrator's token; a job's never has it)"
BYPASS = "administration: write (of an administrator's token; a job's never has it)"


def unread(trouble: Trouble) -> Unread:
    """What was not answered: why, and what would help."""
    why = f"not read: {trouble.reason}"
    if trouble.kind == "denied" and trouble.status == 401:
        return Unread(why, "a token that is valid (GITHUB_TOKEN)")
    if trouble.kind in ("denied", "missing"):
        words = ", ".join(f"{name}: {level}" for name, level in trouble.permissions.items())
        return Unread(
            why, ADMIN if "administration" in words else words or "a token that may see it (GITHUB_TOKEN)"
        )
    return Unread(why, AGAIN)


def is_plan(trouble: Trouble) -> bool:
    """Whether the repository's plan has no rules at all."""
    return trouble.kind == "denied" and PLAN in trouble.reason


def rules_of(settings: Settings, branch: str, known: dict[int, Ruleset | Unread]) -> Rules | Unread:
    """What holds of a branch. ``known`` keeps rulesets between branches. Trouble only where the plan has no
    rules."""
    try:
        return _rules_of(settings, branch, known)
    except Trouble as trouble:
        if is_plan(trouble):
            raise
        return unread(trouble)
    except (AttributeError, KeyError, TypeError, ValueError):
        return Unread("not read: the answer is not what GitHub describes", AGAIN)


def _rules_of(settings: Settings, branch: str, known: dict[int, Ruleset | Unread]) -> Rules:
    given = settings.rules(branch)
    found = _of_rulesets(given)
    numbers = dict.fromkeys(one["ruleset_id"] for one in given if isinstance(one.get("ruleset_id"), int))
    for number in numbers:
        if number not in known:
            try:
                known[number] = settings.ruleset(number)
            except Trouble as trouble:
                known[number] = unread(trouble)
    found = _passing(found, [known[number] for number in numbers])
    return _with_classic(settings, branch, found)


def _of_rulesets(given: Iterable[Mapping[str, Any]]) -> Rules:
    found = Rules()
    for rule in given:
        about = rule.get("parameters")
        about = about if isinstance(about, dict) else {}
        match rule.get("type"):
            case "pull_request":
                found = replace(
                    found,
                    pull_request=True,
                    code_owners=found.code_owners or bool(about.get("require_code_owner_review")),
                    dismiss_stale=found.dismiss_stale or bool(about.get("dismiss_stale_reviews_on_push")),
                    methods=_narrowed(found.methods, about.get("allowed_merge_methods")),
                )
            case "required_status_checks":
                named = about.get("required_status_checks")
                checks = [
                    Required(str(one.get("context")), one.get("integration_id") is not None)
                    for one in (named if isinstance(named, list) else ())
                    if isinstance(one, dict)
                ]
                strict = found.strict or bool(about.get("strict_required_status_checks_policy"))
                found = replace(found, checks=(*found.checks, *checks), strict=strict)
            case "non_fast_forward":
                found = replace(found, no_force=True)
            case "deletion":
                found = replace(found, no_deletion=True)
            case "required_linear_history":
                found = replace(found, linear=True)
            case "required_signatures":
                found = replace(found, signatures=True)
            case "merge_queue":
                found = replace(found, queue=True)
            case "update":
                found = replace(found, updates=True)
    return found


def _narrowed(methods: tuple[str, ...], given: object) -> tuple[str, ...]:
    """What all rules allow; none left is told as one that does not exist."""
    if not isinstance(given, list) or not given:
        return methods
    words = tuple(str(one) for one in given)
    return (tuple(one for one in methods if one in words) or ("none",)) if methods else words


def _passing(found: Rules, rulesets: Iterable[Ruleset | Unread]) -> Rules:
    people: list[str] = []
    apps: list[str] = []
    missing: Unread | None = None
    ours: list[bool | Unread] = []
    for one in rulesets:
        if isinstance(one, Unread):
            missing = missing or one
            ours.append(one)
            continue
        ours.append(one.ours in ("always", "exempt") if one.ours else Unread("not told", BYPASS))
        if one.actors is None:
            missing = missing or Unread("not read: only administrators are shown the bypass list", BYPASS)
        for kind, number in one.actors or ():
            if kind == "Integration":
                apps.append(f"App {number}")
            else:
                people.append(_actor(kind, number))
    we_pass: bool | Unread = bool(ours) and all(one is True for one in ours)
    if not we_pass and not any(one is False for one in ours):
        we_pass = next((one for one in ours if isinstance(one, Unread)), False)
    passing = tuple(dict.fromkeys(people)) or missing or ()
    return replace(found, passing=passing, apps=tuple(dict.fromkeys(apps)), we_pass=we_pass)


def _actor(kind: str, number: int) -> str:
    if kind == "RepositoryRole":
        return ROLES.get(number, f"the role {number}")
    words = {"OrganizationAdmin": ROLES[1], "DeployKey": "deploy keys"}
    return words.get(kind, f"the {kind.lower()} {number}")


def _with_classic(settings: Settings, branch: str, found: Rules) -> Rules:
    """And what the classic protection adds. Where only that there is one can be seen, all that it may hold
    is open."""
    try:
        given = settings.protection(branch)
    except Trouble as trouble:
        if is_plan(trouble):
            raise
        try:
            if not settings.branch(branch):
                return found
        except Trouble as second:
            return replace(found, rest=unread(second))
        return replace(found, rest=unread(trouble), we_pass=unread(trouble))
    return found if given is None else _joined(found, given)


def _joined(found: Rules, given: Mapping[str, Any]) -> Rules:
    def on(key: str) -> bool:
        return bool((given.get(key) or {}).get("enabled"))

    reviews = given.get("required_pull_request_reviews")
    asked = reviews or {}
    checks = given.get("required_status_checks") or {}
    closed = on("lock_branch") or isinstance(given.get("restrictions"), dict)
    passing = found.passing if not isinstance(found.passing, Unread) else ()
    people = [*passing, *([] if on("enforce_admins") else ["administrators"])]
    allowed = asked.get("bypass_pull_request_allowances") or {}
    people += [str(one.get("login")) for one in allowed.get("users", ())]
    people += [f"the team {one.get('slug')}" for one in allowed.get("teams", ())]
    apps = [*found.apps, *(f"App {one.get('slug')}" for one in allowed.get("apps", ()))]
    required = tuple(
        Required(str(one.get("context")), (one.get("app_id") or -1) > 0) for one in checks.get("checks", ())
    )
    return replace(
        found,
        pull_request=found.pull_request or reviews is not None,
        no_force=found.no_force or not on("allow_force_pushes"),
        no_deletion=found.no_deletion or not on("allow_deletions"),
        checks=(*found.checks, *required),
        strict=found.strict or bool(checks.get("strict")),
        code_owners=found.code_owners or bool(asked.get("require_code_owner_reviews")),
        dismiss_stale=found.dismiss_stale or bool(asked.get("dismiss_stale_reviews")),
        linear=found.linear or on("required_linear_history"),
        signatures=found.signatures or on("required_signatures"),
        updates=found.updates or closed,
        passing=tuple(dict.fromkeys(people)) or found.passing,
        apps=tuple(dict.fromkeys(apps)),
        we_pass=Unread("a classic protection does not tell whom it binds", ADMIN),
    )
