"""``waivers/<name>.yml``: one failure that is known, of one test, excused until a day.

A waiver excuses only a *failed* ``stop`` test (what could not be evaluated is never excused), only where the
policy allows it, and only until it expires. Who judges a pull request decides itself which waivers count
there (``promote/policy.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gitkitchen.document import Document, read
from gitkitchen.document.words import near
from gitkitchen.errors import Place, Problem, in_order
from gitkitchen.files import inside
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.policy import pattern, test_name
from gitkitchen.model import Policy, Project, Severity, TestResult, TestState, Waived

FOLDER = "waivers"
Nodes = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]


@dataclass(frozen=True, slots=True)
class Waiver:
    """One file. ``expires`` is the last day (UTC) on which it counts."""

    file: str
    recipe: str
    node: str
    rule: str
    reason: str
    approver: str
    expires: date
    place: Place

    @property
    def waived(self) -> Waived:
        """What a result that it covers shows of it."""
        return Waived(self.reason, self.approver, self.expires.isoformat(), self.place)

    def covers(self, recipe: str, node: str, test_id: str) -> bool:
        return (self.recipe, self.node, self.rule) == (recipe, node, test_name(node, test_id))


def read_waivers(project: Project) -> tuple[list[Waiver], list[Problem]]:
    """All waivers, by file, and every mistake of their files. What they name is not looked up."""
    found: list[Waiver] = []
    problems: list[Problem] = []
    seen: dict[tuple[str, str, str], str] = {}
    for path in _files(project.root):
        label = f"{FOLDER}/{path.name}"
        if path.suffix != ".yml":
            hint = f"rename it to {path.stem}.yml"
            problems.append(Problem("a waiver's file ends in .yml", Place(label), hint, "bad-name"))
            continue
        try:
            inside(project.root, label)
        except ValueError as error:
            hint = "move it into the repository"
            problems.append(Problem(f"the waiver {error}", Place(label), hint, "bad-path"))
            continue
        document, wrong = read(path, label, "waiver", cache=project.state)
        problems += wrong
        if document is None or document.faults or wrong or not isinstance(document.value, dict):
            continue
        waiver, problem = _waiver(document, label)
        if waiver is None:
            problems += [problem] if problem else []
            continue
        about = (waiver.recipe, waiver.node, waiver.rule)
        if about in seen:
            message = f"'{waiver.rule}' of node '{waiver.node}' is waived in {seen[about]} too"
            problems.append(Problem(message, document.place("rule"), "keep one of them", "said-twice"))
            continue
        seen[about] = label
        found.append(waiver)
    return found, list(in_order(problems))


def _files(root: Path) -> Iterator[Path]:
    folder = root / FOLDER
    if folder.is_dir():
        yield from sorted(p for p in folder.iterdir() if p.suffix in (".yml", ".yaml"))


def _waiver(document: Document, label: str) -> tuple[Waiver | None, Problem | None]:
    value: Mapping[str, Any] = document.value
    try:
        expires = date.fromisoformat(value["expires"])
    except ValueError:
        message = f"expires: '{value['expires']}' is no day of the calendar"
        return None, Problem(message, document.place("expires"), "write it as 2026-12-31", "wrong-value")
    words = {key: str(value[key]) for key in ("recipe", "node", "rule", "reason", "approver")}
    return Waiver(label, **words, expires=expires, place=document.place("rule")), None


# --- whether it counts -------------------------------------------------------------------------------


def void(waiver: Waiver, policy: Policy | None, environment: str | None, today: date) -> str:
    """Why a waiver waives nothing in an environment (of a sandbox: its base's) on a day; "" if it counts."""
    reason = void_anywhere(waiver, policy, today)
    if reason or policy is None or policy.waivers is None:
        return reason
    if environment not in policy.waivers.environments:
        return f"policy.waivers.environments does not name '{environment}'" if environment else _NOWHERE
    return ""


_NOWHERE = "this kitchen has no environment that policy.waivers.environments could name"


def void_anywhere(waiver: Waiver, policy: Policy | None, today: date) -> str:
    """Why a waiver waives nothing in any environment."""
    rules = policy.waivers if policy is not None else None
    if rules is None:
        return "policy.waivers in kitchen.yml allows none"
    if today > waiver.expires:
        return f"it expired on {waiver.expires}"
    if not any(_allows(text, waiver) for text in rules.tests):
        return "policy.waivers.tests does not name this test"
    if waiver.expires - today > timedelta(seconds=rules.longest):
        days = int(rules.longest // 86400)
        return f"it ends on {waiver.expires}, and policy.waivers.longest allows {days} days from today"
    if not may_approve(rules.by, waiver.approver):
        return f"policy.waivers.by does not name {waiver.approver}"
    return ""


def _allows(text: str, waiver: Waiver) -> bool:
    wanted = pattern(text)
    kind = waiver.rule.partition("(")[0].rpartition("/")[2]
    return wanted.is_about(waiver.recipe, waiver.node) and wanted.means(kind, waiver.rule)


def may_approve(by: Iterable[str], login: str) -> bool:
    """Whether a login may stand for one of ``by``: of teams and code owners nobody knows offline who they
    are."""
    names = [name.lower() for name in by]
    return login.lower() in names or any("/" in name or name == "codeowners" for name in names)


def waive(recipe: str, results: Iterable[TestResult], waivers: Sequence[Waiver]) -> tuple[TestResult, ...]:
    """The results, of which failed ``stop`` tests are marked where one of ``waivers`` (which count) covers
    them."""
    return tuple(_marked(recipe, result, waivers) for result in results)


def _marked(recipe: str, result: TestResult, waivers: Sequence[Waiver]) -> TestResult:
    if result.state is not TestState.FAILED or result.severity is not Severity.STOP:
        return result
    found = next((w for w in waivers if w.covers(recipe, result.node, result.id)), None)
    return replace(result, waived=found.waived) if found is not None else result


# --- what it names ----------------------------------------------------------------------------------


def waiver_problems(waivers: Iterable[Waiver], policy: Policy | None, nodes: Nodes) -> Iterator[Problem]:
    """Waivers of what does not exist, or what the policy never allows. ``nodes`` as for ``name_problems``."""
    recipes = {name: own for name, own in nodes.items() if ":" not in name}
    for waiver in waivers:
        at = Place(waiver.file, waiver.place.line, waiver.place.column)
        own = recipes.get(waiver.recipe)
        if own is None:
            message = f"there is no recipe '{waiver.recipe[:80]}'"
            yield Problem(message, at, near(waiver.recipe, recipes), "unknown-name")
            continue
        if waiver.node not in own:
            message = f"recipe '{waiver.recipe}' has no node '{waiver.node[:80]}'"
            yield Problem(message, at, near(waiver.node, own), "unknown-name")
            continue
        names = [name for _, name in own[waiver.node] if name != "*"]
        if waiver.rule not in names:
            hint = near(waiver.rule, names) or (f"there are {', '.join(names[:8])}" if names else "")
            message = f"node '{waiver.node}' declares no test '{waiver.rule[:120]}'"
            yield Problem(message, at, hint or "only declared tests can be waived", "unknown-name")
            continue
        why = void_anywhere(waiver, policy, waiver.expires)
        if why:
            hint = "its policy says which tests may be waived, and by whom: docs/policy.md"
            yield Problem(f"it waives nothing: {why}", at, hint, "void-waiver")
