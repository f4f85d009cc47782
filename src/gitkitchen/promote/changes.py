"""Every change that a pull request makes to what judges it, and what its recipes test less than before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace

from gitkitchen.errors import Place
from gitkitchen.finding import PolicyFinding
from gitkitchen.model import Environment, Policy, Project, Recipe, Variation
from gitkitchen.plumbing import Listed
from gitkitchen.promote.owners import FILES as CODEOWNERS
from gitkitchen.promote.weaker import weaker_recipe
from gitkitchen.recipe.waivers import Waiver
from gitkitchen.trees import Reading, Where

KITCHEN = "kitchen.yml"
_ANYWHERE = Place("")
_USES = re.compile(r"^\s*(?:-\s+)?[\"']?uses[\"']?\s*:\s*[\"']?([^\s\"'#]+)")
_MOST = 200
"""Findings of one sort that are listed; the last one counts the rest."""


def changes(target: Reading, head: Reading) -> list[PolicyFinding]:
    """All of them; who may allow each is for ``promote.policy`` to say. Waivers are not among them."""
    found: list[PolicyFinding] = []
    if target.project is not None:
        found += _of_project(target.project, head.project, head.folder)
    found += _cut(_of_files(target, head))
    found += _cut(_of_recipes(target, head))
    return found


def _cut(found: Iterable[PolicyFinding]) -> list[PolicyFinding]:
    every = list(dict.fromkeys(found))
    if len(every) <= _MOST:
        return every
    rest = len(every) - _MOST + 1
    last = replace(every[0], message=f"and {rest:,} more changes of this sort", path="", line=0)
    return [*every[: _MOST - 1], last]


# --- kitchen.yml -------------------------------------------------------------------------------------


def _of_project(was: Project, now: Project | None, folder: str) -> Iterator[PolicyFinding]:
    path = at(folder, KITCHEN)
    if now is None:
        if was.policy is not None:
            yield PolicyFinding("policy-changed", "action", "the policy is gone with kitchen.yml", path)
        return

    def finding(code: str, message: str, *keys: str) -> PolicyFinding:
        places = [now.places[key] for key in keys if key in now.places]
        return PolicyFinding(code, "action", message, path, places[0].line if places else 0)

    if was.policy != now.policy:
        keys = _policy_keys(was.policy, now.policy)
        said = "is removed" if now.policy is None else "is new" if was.policy is None else f"changed: {keys}"
        yield finding("policy-changed", f"the policy {said}", "policy")
    before = {e.name: replace(e, vars={}, place=None) for e in was.environments}
    after = {e.name: replace(e, vars={}, place=None) for e in now.environments}
    for name in dict.fromkeys([*before, *after]):
        key = f"environments.{name}"
        if name not in after:
            yield finding("gate-changed", f"environment '{name}' is removed", "environments")
        elif name not in before:
            yield finding("gate-changed", f"environment '{name}' is new", key)
        elif before[name] != after[name]:
            other = _environment_keys(before[name], after[name])
            yield finding("gate-changed", f"environment '{name}' changed: {other}", key)
    kept = [n for n in before if n in after]
    if kept != [n for n in after if n in before]:
        yield finding("gate-changed", "the order of the environments changed", "environments")
    sorts = (
        ("sandbox_base", "sandboxes.base", "the base of sandboxes"),
        ("ledger", "ledger", "the place of the ledger"),
        ("store", "store", "the place of the store"),
        ("connections", "connections", "the connections"),
        ("id", "project.id", "the project's id"),
    )
    for name, key, words in sorts:
        if getattr(was, name) != getattr(now, name):
            yield finding("gate-changed", f"{words} changed", key, key.partition(".")[0])
    if now.public_by_default and not was.public_by_default:
        yield finding("privacy-opened", "values of all columns become public", "privacy.default", "privacy")


def _environment_keys(was: Environment, now: Environment) -> str:
    names = [f.name for f in fields(Environment) if getattr(was, f.name) != getattr(now, f.name)]
    return ", ".join("from" if name == "source" else name for name in names)


def _policy_keys(was: Policy | None, now: Policy | None) -> str:
    words = {"changes_by": "changes.by", "recipes": "require.recipes", "tests": "require.tests"}
    words |= {"severity": "require.severity", "waivers": "waivers"}
    names = [f.name for f in fields(Policy) if getattr(was, f.name, None) != getattr(now, f.name, None)]
    return ", ".join(words.get(n, n) for n in names)


def at(folder: str, path: str) -> str:
    """A path of the project, relative to the repository."""
    return f"{folder}/{path}" if folder and path else path


# --- files -------------------------------------------------------------------------------------------


def _of_files(target: Reading, head: Reading) -> Iterator[PolicyFinding]:
    """Workflows, actions and CODEOWNERS that are new, changed or gone; actions that a file did not use
    before."""
    for path in sorted({*target.files, *head.files}):
        old, new = target.files.get(path), head.files.get(path)
        if old == new:
            continue
        done = "is new" if old is None else "is removed" if new is None else "changed"
        if path in CODEOWNERS:
            yield PolicyFinding("codeowners-changed", "action", f"{path} {done}", path)
        elif _is_workflow(path):
            yield PolicyFinding("workflow-changed", "action", f"{path} {done}", path)
            yield from _references(path, target.texts.get(path, ""), head.texts.get(path, ""))


def _is_workflow(path: str) -> bool:
    action = path.rpartition("/")[2] in ("action.yml", "action.yaml")
    folders = (".github/workflows/", ".github/actions/")
    return action or path == ".github" or f"{path}/".startswith(folders)


def _references(path: str, was: str, now: str) -> Iterator[PolicyFinding]:
    before = {m[1] for line in was.splitlines() if (m := _USES.match(line))}
    names = {reference.partition("@")[0]: reference for reference in before}
    for number, line in enumerate(now.splitlines(), 1):
        match = _USES.match(line)
        if match and match[1] not in before:
            old = names.get(match[1].partition("@")[0])
            said = f" instead of {old[:200]}" if old else ""
            yield PolicyFinding(
                "action-changed", "action", f"{path} uses {match[1][:200]}{said}", path, number
            )


# --- recipes -----------------------------------------------------------------------------------------


def _of_recipes(target: Reading, head: Reading) -> Iterator[PolicyFinding]:
    for name, raw in target.recipes.items():
        other = head.recipes.get(name)
        if other is None:
            if not any(p.place and p.place.file == raw.file for p in head.problems):
                yield PolicyFinding(
                    "removed-recipe", "action", f"recipe '{name}' is removed", at(head.folder, raw.file)
                )
            continue
        for one, variation in raw.variations.items():
            file = at(head.folder, other.file)
            yield from _variation(name, variation, other.variations.get(one), file)
    files_was, files_now = _inner(target), _inner(head)
    seen: set[tuple[int, int]] = set()
    for where, was in target.resolved.items():
        now = head.resolved.get(where) or _elsewhere(head, where)
        if now is None or (id(was.nodes), id(now.nodes)) in seen:
            continue
        seen.add((id(was.nodes), id(now.nodes)))
        for finding in weaker_recipe(was, now, files_was, files_now):
            yield replace(finding, path=at(head.folder, finding.path))
    if not (target.complete and head.complete):
        message = "the recipes have more variations than are compared: not all of their tests were looked at"
        yield PolicyFinding("changed-test", "action", message)


def _elsewhere(head: Reading, where: Where) -> Recipe | None:
    """A recipe in a kitchen that the head does not have: as it is in a sandbox."""
    return head.resolved.get(Where(where.recipe, "", where.variation))


def _inner(reading: Reading) -> Mapping[str, Listed]:
    """The files of the project by the paths that its recipes know."""
    if not reading.folder:
        return reading.files
    prefix = f"{reading.folder}/"
    return {p.removeprefix(prefix): f for p, f in reading.files.items() if p.startswith(prefix)}


def _variation(recipe: str, was: Variation, now: Variation | None, file: str) -> Iterator[PolicyFinding]:
    about = f"recipe '{recipe}': variation '{was.name}'"
    if now is None:
        yield PolicyFinding("removed-variation", "action", f"{about} is removed", file)
        return
    line = now.place.line if now.place else 0
    if was.nodes != now.nodes and now.nodes:
        message = f"{about} selects other nodes, which cannot be judged: {', '.join(now.nodes)[:200]}"
        yield PolicyFinding("changed-variation", "action", message, file, line)
    if now.environments and (not was.environments or not set(was.environments) <= set(now.environments)):
        message = f"{about} is only for {', '.join(now.environments)[:200]} now"
        yield PolicyFinding("weaker-variation", "action", message, file, line)


# --- waivers -----------------------------------------------------------------------------------------


def new_waivers(target: Reading, head: Reading) -> list[Waiver]:
    """Waivers that the head has and the target has not, word for word; where they stand in a file is no
    matter."""
    known = {replace(w, place=_ANYWHERE) for w in target.waivers}
    return [w for w in head.waivers if replace(w, place=_ANYWHERE) not in known]


def removed_waivers(target: Reading, head: Reading) -> Iterator[PolicyFinding]:
    """Waivers whose test is waived no more: stricter, and to be known."""
    kept = {(w.recipe, w.node, w.rule) for w in head.waivers}
    for waiver in target.waivers:
        if (waiver.recipe, waiver.node, waiver.rule) not in kept:
            message = f"the waiver of {waiver.recipe}/{waiver.node}/{waiver.rule} is removed"
            yield PolicyFinding("waiver-removed", "notice", message, at(head.folder, waiver.file))
