"""What rules refuse of a change to a branch, in GitHub's words: of a push, and of a ref set by the API.

GH006 is a protected branch's refusal, GH013 a ruleset's, which names all that is violated.
https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets
"""

from __future__ import annotations

from collections.abc import Sequence

from gitkitchen.github.forge import render
from gitkitchen.github.forge.bare import EMPTY
from gitkitchen.github.forge.render_pulls import is_satisfied
from gitkitchen.github.forge.routing import Refused
from gitkitchen.github.forge.state import Protection, Repository, State, Token

ZERO = "0" * 40
HEADS = "refs/heads/"
PULL = "Changes must be made through a pull request."
QUEUE = "Changes must be made through the merge queue"
UPDATES = "Cannot update this protected ref."
FORCE = "Cannot force-push to this branch"
DELETION = "Cannot delete this branch"
LINEAR = "This branch must not contain merge commits."
SIGNED = "Commits must have verified signatures."
WORKFLOWS = ".github/workflows/"

Violation = tuple[Protection, str]


def bound(repo: Repository, login: str, branch: str) -> list[Protection]:
    """The rules of a branch that bind this login."""
    return [one for one in repo.protections_of(branch) if login not in one.bypass]


def expected(names: Sequence[str], of: int) -> str:
    """The words for required checks that are not green."""
    if len(names) == 1:
        return f'Required status check "{names[0]}" is expected.'
    return f"{len(names)} of {of} required status checks are expected."


def violations(repo: Repository, login: str, branch: str, sha: str) -> list[Violation]:
    """What is wrong with setting a branch to a commit, whatever the commit holds. A commit whose required
    checks are green already may be pushed."""
    found: list[Violation] = []
    for rule in bound(repo, login, branch):
        if rule.updates:
            found.append((rule, UPDATES))
        if rule.queue:
            found.append((rule, QUEUE))
        if rule.pull_request:
            found.append((rule, PULL))
        missing = [name for name in rule.checks if not is_satisfied(repo, sha, name, rule.app)]
        if missing:
            found.append((rule, expected(missing, len(rule.checks))))
    return found


def said(s: State, repo: Repository, ref: str, broken: Sequence[Violation]) -> list[str]:
    """The lines of a refusal: of the rulesets, where one is violated, else of the protected branch."""
    rulesets = list(dict.fromkeys(words for rule, words in broken if rule.ruleset))
    if rulesets:
        page = f"{render.page_url(s, repo)}/rules?ref={ref.replace('/', '%2F')}"
        head = f"error: GH013: Repository rule violations found for {ref}."
        return [head, f"Review all repository rules at {page}", *(f"- {words}" for words in rulesets)]
    words = list(dict.fromkeys(words for _rule, words in broken))
    return [f"error: GH006: Protected branch update failed for {ref}.", *(f"error: {one}" for one in words)]


def for_the_hook(
    s: State, repo: Repository, token: Token | None, moves: Sequence[tuple[str, str, str]]
) -> dict[str, str]:
    """What the update hook refuses of a push, a line each: the ref, a tab, and the lines of the message
    with tabs between them. Some it refuses by what the commits are, which only the hook can see."""
    login = token.user.login if token is not None else ""
    lines: dict[str, list[str]] = {
        "DENIED": [],
        "NO_FORCE": [],
        "NO_DELETION": [],
        "LINEAR": [],
        "SIGNED": [],
    }

    def keep(kind: str, ref: str, broken: list[Violation]) -> None:
        if broken:
            lines[kind].append("\t".join([ref, *said(s, repo, ref, broken)]))

    for _old, new, ref in moves:
        if not ref.startswith(HEADS):
            continue
        branch = ref.removeprefix(HEADS)
        rules = bound(repo, login, branch)
        if new != ZERO:
            keep("DENIED", ref, violations(repo, login, branch, new))
        keep("NO_FORCE", ref, [(rule, FORCE) for rule in rules if rule.no_force])
        keep("NO_DELETION", ref, [(rule, DELETION) for rule in rules if rule.no_deletion or rule.updates])
        keep("LINEAR", ref, [(rule, LINEAR) for rule in rules if rule.linear])
        keep("SIGNED", ref, [(rule, SIGNED) for rule in rules if rule.signatures])
    made = {f"FORGE_{name}": "\n".join(kept) for name, kept in lines.items()}
    return {**made, "FORGE_NO_WORKFLOWS": "" if may_change_workflows(token) else "1"}


def may_change_workflows(token: Token | None) -> bool:
    """A person may; an App with the right may; a job's token never."""
    return token is None or token.app is None or token.grants("workflows", "write")


def refuse_workflows(repo: Repository, token: Token | None, old: str | None, new: str) -> None:
    """Refused (403) where a change carries workflow files that the token may not write."""
    if may_change_workflows(token):
        return
    base = (repo.bare.merge_base(old, new) or old) if old else EMPTY
    for one in repo.bare.changed(base, new):
        if one.path.startswith(WORKFLOWS) or (one.previous or "").startswith(WORKFLOWS):
            words = f"refusing to allow a GitHub App to create or update workflow `{one.path}`"
            raise Refused(403, f"{words} without `workflows` permission")


def refuse_ref(
    repo: Repository, token: Token | None, ref: str, old: str | None, new: str | None, *, force: bool
) -> None:
    """Refused (422) where rules forbid to set (None: delete) a ref through the API."""
    login = token.user.login if token is not None else ""
    if not ref.startswith(HEADS):
        return
    branch = ref.removeprefix(HEADS)
    rules = bound(repo, login, branch)
    if new is None:
        broken = [(rule, DELETION) for rule in rules if rule.no_deletion or rule.updates]
    else:
        broken = violations(repo, login, branch, new)
        range_ = (new, f"^{old}") if old else (new,)
        merges = any(len(facts.parents) > 1 for facts in repo.bare.log(*range_))
        broken += [(rule, FORCE) for rule in rules if force and rule.no_force]
        broken += [(rule, LINEAR) for rule in rules if rule.linear and merges]
        broken += [(rule, SIGNED) for rule in rules if rule.signatures]
    if broken:
        rulesets = [words for rule, words in broken if rule.ruleset]
        if rulesets:
            raise Refused(422, "Repository rule violations found\n\n" + "\n\n".join(dict.fromkeys(rulesets)))
        raise Refused(422, " ".join(dict.fromkeys(words for _rule, words in broken)))
    if new is not None:
        refuse_workflows(repo, token, old, new)
