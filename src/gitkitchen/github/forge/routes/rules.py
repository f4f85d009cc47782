"""Branch protection and rulesets, as they are read. https://docs.github.com/en/rest/repos/rules"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from gitkitchen.github.forge import render
from gitkitchen.github.forge.routing import Answer, Call, Refused, route
from gitkitchen.github.forge.state import Protection


@route("repos/get-branch-protection", "administration:read", role="admin", always=True)
def protection(call: Call) -> Answer:
    """The classic protection. A job's token can never read it; ``rules/branches`` it can."""
    name = call.path["branch"]
    _in_plan(call)
    if f"refs/heads/{name}" not in call.repo.bare.refs():
        raise Refused(404, "Branch not found")
    found = [one for one in call.repo.protections_of(name) if not one.ruleset]
    if not found:
        raise Refused(404, "Branch not protected")
    one = found[0]
    url = f"{render.repo_url(call.state, call.repo)}/branches/{quote(name, safe='')}/protection"
    body: dict[str, Any] = {
        "url": url,
        "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": not one.bypass},
        "required_linear_history": {"enabled": one.linear},
        "required_signatures": {"url": f"{url}/required_signatures", "enabled": one.signatures},
        "lock_branch": {"enabled": one.updates},
        "allow_force_pushes": {"enabled": not one.no_force},
        "allow_deletions": {"enabled": not one.no_deletion},
    }
    if one.checks:
        body["required_status_checks"] = {
            "url": f"{url}/required_status_checks",
            "strict": one.strict,
            "contexts": list(one.checks),
            "contexts_url": f"{url}/required_status_checks/contexts",
            "checks": [{"context": context, "app_id": one.app} for context in one.checks],
        }
    if one.pull_request:
        body["required_pull_request_reviews"] = {
            "url": f"{url}/required_pull_request_reviews",
            "dismiss_stale_reviews": one.dismiss_stale,
            "require_code_owner_reviews": one.code_owners,
            "required_approving_review_count": one.approvals,
            "require_last_push_approval": False,
        }
    return Answer(200, body)


@route("repos/get-branch-rules", "metadata:read")
def of_branch(call: Call) -> Answer:
    """The rules of rulesets that are active for a branch; a classic protection is not among them."""
    _in_plan(call)
    found = []
    for one in call.repo.protections_of(call.path["branch"]):
        if one.ruleset:
            about = {
                "ruleset_source_type": "Repository",
                "ruleset_source": call.repo.full_name,
                "ruleset_id": one.id,
            }
            found += [{**rule, **about} for rule in _rules(one)]
    items, headers = call.paged(found)
    return Answer(200, list(items), headers)


@route("repos/get-repo-rulesets", "metadata:read")
def rulesets(call: Call) -> Answer:
    _in_plan(call)
    items, headers = call.paged([one for one in call.repo.protections if one.ruleset])
    return Answer(200, [_ruleset(call, one) for one in items], headers)


@route("repos/get-repo-ruleset", "metadata:read")
def ruleset(call: Call) -> Answer:
    one = call.number("ruleset_id", {one.id: one for one in call.repo.protections if one.ruleset})
    made = _ruleset(call, one)
    token = call.token
    if token is not None and (
        token.grants("administration", "write") if token.app else call.repo.may(call.login, "admin")
    ):
        # Only who may change a ruleset is shown who may pass it by.
        made["bypass_actors"] = [_actor(call, login) for login in one.bypass]
    conditions = {"ref_name": {"include": [f"refs/heads/{one.pattern}"], "exclude": []}}
    return Answer(200, {**made, "conditions": conditions, "rules": _rules(one)})


def _actor(call: Call, login: str) -> dict[str, Any]:
    app = call.state.apps.get(login.removesuffix("[bot]"))
    who = ("Integration", app.id) if app is not None else ("User", call.state.user(login).id)
    return {"actor_type": who[0], "actor_id": who[1], "bypass_mode": "always"}


def _in_plan(call: Call) -> None:
    if not call.repo.rules_in_plan:
        raise Refused(403, "Upgrade to GitHub Pro or make this repository public to enable this feature.")


def _ruleset(call: Call, one: Protection) -> dict[str, Any]:
    url = f"{render.repo_url(call.state, call.repo)}/rulesets/{one.id}"
    return {
        "id": one.id,
        "name": one.pattern,
        "target": "branch",
        "source_type": "Repository",
        "source": call.repo.full_name,
        "enforcement": one.enforcement,
        "current_user_can_bypass": "always" if call.login in one.bypass else "never",
        "node_id": render.node_id("RRS", one.id),
        "_links": {
            "self": {"href": url},
            "html": {"href": f"{render.page_url(call.state, call.repo)}/rules/{one.id}"},
        },
    }


def _rules(one: Protection) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    if one.no_deletion:
        rules.append({"type": "deletion"})
    if one.no_force:
        rules.append({"type": "non_fast_forward"})
    if one.linear:
        rules.append({"type": "required_linear_history"})
    if one.signatures:
        rules.append({"type": "required_signatures"})
    if one.updates:
        rules.append({"type": "update"})
    if one.queue:
        rules.append({"type": "merge_queue"})
    if one.pull_request:
        told: dict[str, Any] = {
            "required_approving_review_count": one.approvals,
            "dismiss_stale_reviews_on_push": one.dismiss_stale,
            "require_code_owner_review": one.code_owners,
            "require_last_push_approval": False,
            "required_review_thread_resolution": False,
        }
        if one.methods:
            told["allowed_merge_methods"] = list(one.methods)
        rules.append({"type": "pull_request", "parameters": told})
    if one.checks:
        app = {"integration_id": one.app} if one.app is not None else {}
        checks = [{"context": context, **app} for context in one.checks]
        told = {"strict_required_status_checks_policy": one.strict, "required_status_checks": checks}
        rules.append({"type": "required_status_checks", "parameters": told})
    return rules
