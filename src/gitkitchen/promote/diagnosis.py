"""What is found of a project and its repository: files, settings, branches, how trees land. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gitkitchen.promote.guarding import (
    branch_findings,
    can_land,
    existence,
    finding,
    merge_methods,
    unknown,
    ways,
)
from gitkitchen.promote.health import Facts, Finding, Health, Hosting, Unread


def judge(facts: Facts) -> Health:
    """All findings, in the order in which they are mended: files, repository, branches, landing."""
    found = [*_files(facts), *_workflows(facts), *_repository(facts)]
    if isinstance(facts.hosting, Unread):  # one thing is missing, and not one for each branch
        for branch in facts.branches:
            found += existence(branch)
        return Health((*found, *_atomic(facts)), ())
    for branch in facts.branches:
        found += branch_findings(branch)
    for branch in facts.branches:
        if branch.environment and facts.environments[0][0] != branch.environment:
            found += merge_methods(facts.hosting, branch)
    landing = tuple(ways(facts.hosting, branch) for branch in facts.branches if branch.environment)
    found += [can_land(*one) for one in landing]
    return Health((*found, *_atomic(facts)), landing)


def _hosted(facts: Facts) -> bool:
    return bool(facts.name)


# --- the files -----------------------------------------------------------------------------------


def _files(facts: Facts) -> Iterator[Finding]:
    names = ", ".join(name for name, _branch in facts.environments)
    yield finding(
        "no-environment", "kitchen.yml", bool(names), f"environments: {names}", "it names no environment"
    )
    yield finding("no-policy", "kitchen.yml", facts.policy, "it has a policy", "it has no policy")
    if not facts.action and not _hosted(facts):
        return
    yield finding(
        "store-on-runner",
        "store",
        not facts.folder_store,
        f"{facts.store} outlives a job",
        f"'{facts.store}' is a folder, and a hosted runner's disk is deleted with its job",
    )
    yield finding(
        "ledger-on-runner",
        "ledger",
        facts.ledger == "branch",
        "records are kept on a branch",
        "records are kept in a folder, which a hosted runner deletes with its job",
    )
    unowned = ", ".join(facts.unowned)
    yield finding(
        "no-code-owners",
        "CODEOWNERS",
        not unowned,
        "what decides what is tested has owners",
        f"nobody owns {unowned}",
    )


def _workflows(facts: Facts) -> Iterator[Finding]:
    if not facts.action:
        if _hosted(facts):
            yield Finding("no-workflows", "gap", ".github/workflows", "init has written no workflows")
        return
    yield Finding("no-workflows", "ok", ".github/workflows", f"by {facts.action}")
    words = {
        "missing": ("workflow-missing", "it is not there"),
        "removed": ("workflow-missing", "it was removed"),
        "outdated": ("workflow-outdated", "init would write another one now"),
        "conflict": ("workflow-conflict", "it holds two versions between marks"),
        "foreign": ("workflow-foreign", "init did not write it"),
        "edited": ("workflow-edited", "it was edited since init wrote it"),
    }
    for one in facts.workflows:
        code, said = words.get(one.state, ("workflow-outdated", "as init writes it"))
        yield Finding(code, "ok" if one.state == "same" else "gap", one.path, said)
        for lacking in one.lacks:
            job, _, right = lacking.partition(": ")
            yield Finding("workflow-rights", "gap", one.path, f"job `{job}` lacks `{right}`")


# --- the repository ------------------------------------------------------------------------------


def _repository(facts: Facts) -> Iterator[Finding]:
    if not facts.remote:
        yield Finding("no-forge", "gap", "remote", "this repository has no remote")
        return
    if not _hosted(facts):
        why = "its remote is no repository of the forge at GITHUB_SERVER_URL"
        yield Finding("no-forge", "unknown", "remote", why, "GITHUB_REPOSITORY (OWNER/NAME)")
        return
    hosting = facts.hosting
    if isinstance(hosting, Unread):
        yield unknown("forge-unread", facts.name, hosting)
        return
    yield Finding("forge-unread", "ok", facts.name, "it answers")
    if isinstance(hosting.archived, Unread):
        yield unknown("archived", facts.name, hosting.archived)
    else:
        yield finding("archived", facts.name, not hosting.archived, "it can be written", "it is archived")
    yield finding(
        "rules-not-in-plan",
        facts.name,
        hosting.in_plan,
        "branches can be protected",
        "its plan has no rules for branches of a private repository",
    )
    yield from _actions(facts, hosting)


def _actions(facts: Facts, hosting: Hosting) -> Iterator[Finding]:
    about = "Actions"
    if isinstance(hosting.enabled, Unread):
        yield unknown("actions-off", about, hosting.enabled)
    else:
        yield finding("actions-off", about, hosting.enabled, "workflows run", "workflows are switched off")
    if isinstance(hosting.pulls, Unread):
        yield unknown("actions-open-no-pulls", about, hosting.pulls)
    else:
        yield finding(
            "actions-open-no-pulls", about, hosting.pulls, "jobs may open pull requests",
            "jobs may not open pull requests",
        )  # fmt: skip
    if isinstance(hosting.default, Unread):
        yield unknown("default-write", about, hosting.default)
    else:
        yield finding(
            "default-write", about, hosting.default == "read", "a job that names no rights may read",
            "a job that names no rights may write",
        )  # fmt: skip
    paths = [one.path for one in facts.workflows]
    if isinstance(hosting.workflows, Unread):
        if paths:
            yield unknown("workflow-unknown", ".github/workflows", hosting.workflows)
        return
    for path in paths:
        state = hosting.workflows.get(path)
        if state is None:
            yield Finding("workflow-unknown", "gap", path, "the default branch does not have it")
        elif state != "active":
            words = state.replace("_", " ")
            yield Finding("workflow-disabled", "gap", path, f"GitHub does not start it: {words}")
        else:
            yield Finding("workflow-unknown", "ok", path, "GitHub knows it and starts it")


def _atomic(facts: Facts) -> Iterator[Finding]:
    if facts.atomic is None:
        return
    about = "git push --atomic"
    if isinstance(facts.atomic, Unread):
        yield unknown("not-atomic", about, facts.atomic)
    else:
        ok = "the remote offers it"
        yield finding("not-atomic", about, facts.atomic, ok, "the remote does not offer it")
