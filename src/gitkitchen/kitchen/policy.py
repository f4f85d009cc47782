"""``policy:`` of ``kitchen.yml``: read, its names checked, its patterns understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gitkitchen.document import Document
from gitkitchen.document.words import near
from gitkitchen.errors import Problem
from gitkitchen.frozen import dataclass
from gitkitchen.kitchen.settings import duration
from gitkitchen.model import Policy, Severity, WaiverRules

LONGEST = "30d"
RANK = {Severity.LOG: 0, Severity.WARN: 1, Severity.STOP: 2}
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Pattern:
    """``recipe/node/test``. Each part is a name or a pattern in the way of shells."""

    text: str
    recipe: str
    node: str
    test: str

    @property
    def names_node(self) -> bool:
        """Whether it means one node of one recipe, which then must exist."""
        return not _WILD & {*self.recipe, *self.node}

    def is_about(self, recipe: str, node: str) -> bool:
        return _same(self.recipe, recipe) and _same(self.node, node)

    def means(self, kind: str, name: str) -> bool:
        """Whether it names a test of that kind and name."""
        return _same(self.test, kind) or _same(self.test, name)


def pattern(text: str) -> Pattern:
    """``recipe/node/test``; what stands behind the second slash is the test, with slashes of its own."""
    recipe, node, test = text.split("/", 2)
    return Pattern(text, recipe, node, test)


def _same(wanted: str, word: str) -> bool:
    return wanted == word or fnmatchcase(word, wanted)


def test_name(node: str, test_id: str) -> str:
    """A test's id without its node, and without ``outputs``, which goes without saying."""
    return test_id.removeprefix(f"{node}/").removeprefix("outputs/")


test_name.__test__ = False  # type: ignore[attr-defined]


def read_policy(value: Mapping[str, Any]) -> Policy | None:
    """The policy of a ``kitchen.yml`` whose shape is right; None where there is none."""
    said = value.get("policy")
    if not said:
        return None
    require, waivers = said.get("require") or {}, said.get("waivers")
    return Policy(
        changes_by=tuple((said.get("changes") or {}).get("by") or ()),
        recipes=tuple(require.get("recipes") or ()),
        tests=tuple(require.get("tests") or ()),
        severity=require.get("severity", "stop"),
        waivers=_waivers(waivers) if waivers else None,
    )


def _waivers(said: Mapping[str, Any]) -> WaiverRules:
    try:
        longest = duration(said.get("longest", LONGEST))
    except (ValueError, TypeError):  # the schema has said so
        longest = 0.0
    return WaiverRules(
        tests=tuple(said.get("tests") or ()),
        by=tuple(said.get("by") or ()),
        environments=tuple(said.get("environments") or ()),
        longest=longest,
    )


def own_problems(
    document: Document, value: Mapping[str, Any], environments: Sequence[str]
) -> Iterator[Problem]:
    """What the schema cannot say of a policy without looking at recipes: names of environments."""
    waivers = (value.get("policy") or {}).get("waivers") or {}
    for index, name in enumerate(waivers.get("environments") or ()):
        if isinstance(name, str) and name not in environments:
            place = document.place("policy", "waivers", "environments", index)
            hint = near(name, environments) or (
                f"there are {', '.join(environments)}" if environments else ""
            )
            message = f"policy.waivers.environments: there is no environment '{name[:80]}'"
            yield Problem(message, place, hint, "unknown-name")


def name_problems(
    policy: Policy, document: Document, nodes: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]
) -> Iterator[Problem]:
    """Required recipes, and tests that are required or may be waived, that exist nowhere.

    ``nodes``: recipe (and ``recipe:variation``) -> node -> (kind, name) of its tests, in any kitchen. A node
    of a kind that reports its own tests has the pair ``("*", "*")``.
    """
    for index, name in enumerate(policy.recipes):
        if name not in nodes:
            place = document.place("policy", "require", "recipes", index)
            hint = near(name, nodes) or (f"there are {', '.join(list(nodes)[:20])}" if nodes else "")
            yield Problem(f"policy.require.recipes: there is no '{name}'", place, hint, "unknown-name")
    recipes = {name: own for name, own in nodes.items() if ":" not in name}
    groups = [(("require", "tests"), policy.tests)]
    groups += [(("waivers", "tests"), policy.waivers.tests)] if policy.waivers else []
    for keys, texts in groups:
        for index, text in enumerate(texts):
            said = _unmet(pattern(text), recipes)
            if said:
                place = document.place("policy", *keys, index)
                message = f"policy.{'.'.join(keys)}: '{text[:120]}' means nothing: {said[0]}"
                yield Problem(message, place, said[1], "unknown-name")


def _unmet(
    wanted: Pattern, recipes: Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]
) -> tuple[str, str] | None:
    """Why a pattern means no test at all, and what may have been meant; None where it means one."""
    there = [name for name in recipes if _same(wanted.recipe, name)]
    if not there:
        return f"there is no recipe '{wanted.recipe[:80]}'", near(wanted.recipe, recipes)
    own = {node: tests for name in there for node, tests in recipes[name].items()}
    met = [tests for node, tests in own.items() if _same(wanted.node, node)]
    if not met:
        return f"there is no node '{wanted.node[:80]}'", near(wanted.node, own)
    tests = [pair for each in met for pair in each]
    if any(pair == ("*", "*") or wanted.means(*pair) for pair in tests):
        return None
    known = [word for pair in tests for word in pair]
    shown = f"there are {', '.join(sorted({name for _, name in tests})[:8])}" if tests else "it has no test"
    return f"there is no such test as '{wanted.test[:80]}'", near(wanted.test, known) or shown
