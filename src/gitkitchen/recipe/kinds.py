"""Kinds that installed packages add: a node's becomes a command, a test's becomes SQL.

So all that holds for ``run`` and ``no_rows`` (identity, isolation, limits, reports) holds for them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

from gitkitchen import plugins
from gitkitchen.document import Document, Extension, schema, schema_fault
from gitkitchen.errors import Mistake, Place
from gitkitchen.frozen import dataclass
from gitkitchen.plugins import NODES, TESTS, Plugin
from gitkitchen.recipe.desk import Desk, Keys, Unusable

_DEFINITIONS = {NODES: "node", TESTS: "test"}
_PHASES = ("inputs", "outputs", "logic")


@dataclass(frozen=True, slots=True)
class Use:
    """A key that is no built-in one, and where it stands first."""

    group: str
    name: str
    place: Place


def extend(document: Document) -> Extension | None:
    """The recipe's schema with the kinds of installed packages that a document names; None: it names none.

    Raises Mistake, at the place where the kind is used, where a package gives something broken.
    """
    found: dict[tuple[str, str], Plugin] = {}
    for use in _unknown(document):
        if (use.group, use.name) in found:
            continue
        try:
            plugin = find(use.group, use.name)
        except Mistake as error:
            raise Mistake(*(replace(p, place=use.place) for p in error.problems)) from error
        if plugin is not None:
            found[use.group, use.name] = plugin
    if not found:
        return None
    extended = schema("recipe")
    for (group, name), plugin in found.items():
        own = deepcopy(dict(plugin.schema))
        if group == TESTS:
            own["properties"] = {**own.get("properties", {}), "of": {"type": "string", "minLength": 1}}
        definition = extended["$defs"][_DEFINITIONS[group]]
        definition["properties"][name] = own
        definition["oneOf"].append({"required": [name]})
    return Extension(extended, {f"{g} {n}": p.offer.origin for (g, n), p in found.items()})


def same(used: Mapping[str, str]) -> bool:
    """Whether the kinds that a document named when it was checked still come from the same packages."""
    for key, origin in used.items():
        group, _, name = key.partition(" ")
        try:
            plugin = find(group, name)
        except Mistake:
            return False
        if plugin is None or plugin.offer.origin != origin:
            return False
    return True


@cache
def find(group: str, name: str) -> Plugin | None:
    """The kind of that name that an installed package adds. Raises Mistake where it cannot be used."""
    offer = plugins.offers(group, _built_in(group)).get(name)
    if offer is None:
        return None
    plugin = plugins.load(offer)
    fault = schema_fault(plugin.schema)
    if fault:
        raise plugins.broken(offer, f"has a schema that is none: {fault}")
    return plugin


@cache
def _built_in(group: str) -> frozenset[str]:
    """Every key that the schema knows there, also those of later versions."""
    return frozenset(schema("recipe")["$defs"][_DEFINITIONS[group]]["properties"])


def _unknown(document: Document) -> Iterator[Use]:
    nodes = document.value.get("nodes") if isinstance(document.value, dict) else None
    for node, value in (nodes or {}).items() if isinstance(nodes, dict) else ():
        if not isinstance(value, dict):
            continue
        for key in value.keys() - _built_in(NODES):
            yield Use(NODES, str(key), document.place("nodes", node, key))
        for path, test in _tests(value.get("tests")):
            for key in test.keys() - _built_in(TESTS):
                yield Use(TESTS, str(key), document.place("nodes", node, "tests", *path, key))


def _tests(value: Any) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    lists = {(phase,): value.get(phase) for phase in _PHASES} if isinstance(value, dict) else {(): value}
    for path, tests in lists.items():
        for index, test in enumerate(tests) if isinstance(tests, list) else ():
            if isinstance(test, dict):
                yield (*path, index), test


def kind_of(group: str, value: Mapping[str, Any]) -> str | None:
    """The key of a node or test that an installed package has added, or None."""
    return next((str(key) for key in value if key not in _built_in(group)), None)


def command(desk: Desk, value: Any, path: Keys) -> dict[str, Any]:
    """The configuration of a ``run`` node that a plugin's key, the last of ``path``, stands for.

    Raises Unusable.
    """
    plugin = find(NODES, str(path[-1]))
    assert plugin is not None, "its schema knows it"
    words = _called(desk, plugin, path, desk.value(value, path))
    good = isinstance(words, (list, tuple)) and words and all(isinstance(w, str) for w in words)
    if not good or any("\0" in word for word in words):
        desk.wrong(path, f"{plugin.offer.origin} must give the words of a command, not {words!r:.80}")
        raise Unusable
    origin = [plugin.offer.package, plugin.offer.version]
    return {"command": shlex.join(words), "shell": "bash", "plugin": origin}


def failing(desk: Desk, name: str, dataset: str, given: Mapping[str, Any], path: Keys) -> str:
    """The SELECT of a test's failing rows that a plugin's key stands for. Raises Unusable."""
    plugin = find(TESTS, name)
    assert plugin is not None, "its schema knows it"
    text = _called(desk, plugin, path, dataset, dict(given))
    if not isinstance(text, str) or not text.strip():
        desk.wrong(path, f"{plugin.offer.origin} must give the text of a SELECT, not {text!r:.80}")
        raise Unusable
    return text


def _called(desk: Desk, plugin: Plugin, path: Keys, *given: Any) -> Any:
    try:
        return plugins.call(plugin, *given)
    except ValueError as error:
        desk.wrong(path, str(error)[:300])
    except Mistake as error:
        desk.problems += [replace(p, place=desk.place(*path)) for p in error.problems]
    raise Unusable
