"""What files say of datasets: keys, owners, tests, expectations; here, and in any tree of the repository.

Nothing is rendered and no variable has a value: what is compared is what people wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from gitkitchen.document import parse
from gitkitchen.errors import Mistake
from gitkitchen.files import canonical
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.model import Project
from gitkitchen.recipe.limits import limit
from gitkitchen.recipe.raw import dataset_paths
from gitkitchen.report.comparison import ControlChange

_BESIDE = frozenset({"severity", "where", "tolerate", "description"})
_SEVERITIES = {"stop": 2, "warn": 1, "log": 0}


@dataclass(frozen=True, slots=True)
class DeclaredDataset:
    """What a recipe says of a dataset."""

    recipe: str
    node: str
    owner: str = ""
    key: tuple[str, ...] = ()
    public: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declared:
    """Datasets by name; tests and expectations of each ``recipe/node`` as written; effects by branch."""

    datasets: Mapping[str, DeclaredDataset] = field(default_factory=dict)
    tests: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    expects: Mapping[str, Any] = field(default_factory=dict)
    effects: Mapping[str, Any] = field(default_factory=dict)


def declared_here(project: Project) -> Declared:
    """What the files that are checked out say; those with mistakes are left out."""
    files: dict[str, bytes] = {}
    for pattern in ("recipes/*/recipe.yml", "effects/*.yml"):
        for path in sorted(project.root.glob(pattern)):
            if path.is_file() and path.stat().st_size < 2_000_000:
                files[path.relative_to(project.root).as_posix()] = path.read_bytes()
    return _declared(files, project.public_by_default)


def declared_at(project: Project, repository: Repository, tree: str | None) -> Declared | None:
    """What the files of a tree say; None where the repository does not have it."""
    if tree is None:
        return None
    recipes = repository.blobs(tree, "recipes")
    effects = repository.blobs(tree, "effects")
    if recipes is None or effects is None:
        return None
    wanted = {p: b for p, b in recipes.items() if p.count("/") == 2 and p.endswith("/recipe.yml")}
    wanted |= {p: b for p, b in effects.items() if p.count("/") == 1 and p.endswith(".yml")}
    return _declared(wanted, project.public_by_default)


def _declared(files: Mapping[str, bytes], everything_public: bool) -> Declared:
    datasets: dict[str, DeclaredDataset] = {}
    tests: dict[str, tuple[Mapping[str, Any], ...]] = {}
    expects: dict[str, Any] = {}
    effects: dict[str, Any] = {}
    for path, raw in files.items():
        try:
            value = parse(raw.decode("utf-8", "replace"), path).value
        except Mistake:
            continue
        if not isinstance(value, dict):
            continue
        if path.startswith("effects/"):
            effects[str(value.get("branch"))] = value.get("datasets")
            continue
        recipe = str(value.get("recipe") or path.split("/")[1])
        for node, each in _nodes(value):
            where = f"{recipe}/{node}"
            owner = str(each.get("owner") or value.get("owner") or "")
            public = ("*",) if everything_public else _words(each.get("public"))
            one = DeclaredDataset(recipe, node, owner, _words(each.get("key")), public)
            datasets |= dict.fromkeys(dataset_paths(node, each), one)
            tests[where] = tuple(_tests(each.get("tests")))
            if each.get("expect") is not None:
                expects[where] = each["expect"]
    return Declared(datasets, tests, expects, effects)


def _nodes(value: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    nodes = value.get("nodes")
    if isinstance(nodes, dict):
        yield from ((str(n), v) for n, v in nodes.items() if isinstance(v, dict))


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(v) for v in value) if isinstance(value, list) else ()


def _tests(value: Any) -> Iterator[Mapping[str, Any]]:
    lists = value.values() if isinstance(value, dict) else [value]
    for each in lists:
        yield from (t for t in each or () if isinstance(t, dict)) if isinstance(each, list) else ()


# --- what became weaker --------------------------------------------------------------------------------


def changes_of_controls(was: Declared, now: Declared) -> list[ControlChange]:
    """Tests, expectations and declarations that are gone, new, or changed; what lets more pass is marked."""
    found: list[ControlChange] = []
    for where in sorted({*was.tests, *now.tests}):
        if where in now.tests:  # with the whole node gone, its datasets are told as removed
            found += _test_changes(where, was.tests.get(where, ()), now.tests[where])
        if where in now.tests or where not in was.tests:
            found += _expect_changes("expect", where, was.expects.get(where), now.expects.get(where))
    for branch in sorted({*was.effects, *now.effects}):
        found += _expect_changes(
            "effects", f"branch {branch}", was.effects.get(branch), now.effects.get(branch)
        )
    return found


def _test_changes(
    where: str, was: tuple[Mapping[str, Any], ...], now: tuple[Mapping[str, Any], ...]
) -> Iterator[ControlChange]:
    gone = [t for t in was if t not in now]
    new = [t for t in now if t not in was]
    for test in gone:
        other = next((n for n in new if _kind(n) == _kind(test) and _about(n) == _about(test)), None)
        other = other or next((n for n in new if _kind(n) == _kind(test)), None)
        if other is None:
            yield ControlChange("test", where, "removed", _shown(test), weaker=True)
            continue
        new.remove(other)
        weaker = _severity(other) < _severity(test) or _grown(test.get("tolerate"), other.get("tolerate"))
        yield ControlChange("test", where, "changed", _shown(test), _shown(other), weaker)
    yield from (ControlChange("test", where, "added", now=_shown(t)) for t in new)


def _kind(test: Mapping[str, Any]) -> str:
    """The one key that says what is tested: packages add kinds, so it is what the others are not."""
    return next((k for k in test if k not in _BESIDE), "")


def _about(test: Mapping[str, Any]) -> Any:
    value = test.get(_kind(test))
    return (value.get("column"), value.get("columns"), value.get("sql")) if isinstance(value, dict) else value


def _severity(value: Any) -> int:
    return _SEVERITIES.get(str(value.get("severity", "stop")), 2) if isinstance(value, dict) else 2


def _expect_changes(what: str, where: str, was: Any, now: Any) -> Iterator[ControlChange]:
    if was == now:
        return
    if was is None:
        yield ControlChange(what, where, "added", now=_shown(now), weaker=False)
    elif now is None:
        # A declaration that is gone lets everything pass; so does an expectation.
        yield ControlChange(what, where, "removed", _shown(was), weaker=True)
    else:
        yield ControlChange(what, where, "changed", _shown(was), _shown(now), _weaker(what, was, now))


def _weaker(what: str, was: Any, now: Any) -> bool:
    """Whether ``now`` says less or allows more. What is not named is free in ``expect``, fixed in effects."""
    if isinstance(was, dict) and isinstance(now, dict):
        free = what == "expect"
        lost = any(k not in now for k in was if k not in ("severity", "description")) if free else False
        grown = any(k not in was for k in now) if not free else False
        inner = (_weaker("effects" if k == "columns" else what, was[k], now[k]) for k in was if k in now)
        return lost or grown or _severity(now) < _severity(was) or any(inner)
    if isinstance(was, list) and isinstance(now, list) and any(isinstance(v, dict) for v in (*was, *now)):
        return len(now) < len(was) or any(_weaker(what, x, y) for x, y in zip(was, now, strict=False))
    return was != now and _grown(was, now)


def _grown(was: Any, now: Any) -> bool:
    """Whether a limit lets more pass than before; what cannot be compared is taken to."""
    if was == now:
        return False
    try:
        before, after = limit(was if was is not None else 0), limit(now if now is not None else 0)
    except (ValueError, TypeError):
        return True
    if after.high is None and after.low is None:
        return True
    if before.high is None or before.low is None:
        return False
    if before.share != after.share and before.high and after.high:
        return True
    assert after.high is not None
    assert after.low is not None
    return after.high > before.high or after.low < before.low


def _shown(value: Any) -> str:
    text = canonical(value).decode("utf-8", "replace")
    return text if len(text) <= 300 else text[:299] + "…"
