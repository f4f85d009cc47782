"""Why a node runs: what differs between its last known build and what it would be now, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gitkitchen.model import Build, Definition, NodeSpec
from gitkitchen.plan.fingerprint import INFORMAL

NEVER_BUILT = "never built"
UNCHANGED = "unchanged"
ALREADY_BUILT = "already built"
NOT_IN_STORE = "not in the store"
VOLATILE = "volatile: runs each time"
READ = "its files are read each time"
FETCHED = "fetched each time: its source has no digest to compare"
_MOST = 6


def changes(
    node: NodeSpec, build: Build, definition: Definition, inputs: Mapping[str, str | None]
) -> tuple[str, ...]:
    """What differs from ``build``. Inputs whose content is not known yet (None) are not compared."""
    found = [*_own(node, build.parts, definition.parts), *_inputs(build.inputs, inputs)]
    if len(found) > _MOST:
        found = [*found[:_MOST], f"and {len(found) - _MOST} more changes"]
    return tuple(found)


def _own(node: NodeSpec, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    differing = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    given = sorted(n for n in differing if n.startswith(("with.", "env.")))
    variables = sorted(n.removeprefix(INFORMAL) for n in differing if n.startswith(INFORMAL))
    yield from _given(given, variables, old, new)
    for name in sorted(differing):
        if name == "with" and given:
            continue  # another name is another order: the name says it better
        if not name.startswith(("with.", "env.", INFORMAL)):
            yield _part(node, name, old.get(name), new.get(name))


def _given(
    names: list[str], variables: list[str], old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[str]:
    """Changed ``with:`` and ``env:`` values, by the variables that changed them where there are some."""
    if names and variables:
        noun = "variable" if len(variables) == 1 else "variables"
        plain = {n.partition(".")[2] for n in names} == set(variables)
        through = "" if plain else f" ({', '.join(names)})"
        yield f"{noun} {', '.join(variables)} changed{through}"
        return
    yield from (f"{name} {_how(old.get(name), new.get(name))}" for name in names)


def _how(old: str | None, new: str | None) -> str:
    return "is new" if old is None else "is gone" if new is None else "changed"


_SENTENCES = {
    "kind": "its kind changed",
    "outputs": "its outputs changed",
    "from": "its source is another one",
    "options": "its options changed",
    "source": "source changed",
    "command": "its command changed",
    "function": "its function is another one",
    "args": "its args changed",
    "secrets": "its secrets are others",
    "with": "the order of its values changed",
    "matrix": "its matrix changed",
}


def _part(node: NodeSpec, name: str, old: str | None, new: str | None) -> str:
    if name == "sql":
        file = node.config.get("file")
        return f"{str(file).rpartition('/')[2] if file else 'its SQL'} changed"
    if name == "materialize":
        return f"materialize changed from {old} to {new}" if old and new else "materialize changed"
    if name == "interval":
        return "volatile: another data interval" if old and new else "volatile changed"
    kind, colon, rest = name.partition(":")
    if colon and kind == "tool":
        shown = {"duckdb": "DuckDB", "python": "Python", "postgres": "PostgreSQL"}.get(rest, rest)
        return f"{shown} is now {new} (was {old})" if old and new else f"{shown} {_how(old, new)}"
    if colon and kind in ("file", "code"):
        return f"{rest} {_how(old, new)}"
    return _SENTENCES.get(name, f"{name} changed")


def _inputs(old: Mapping[str, str], new: Mapping[str, str | None]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in new:
            yield f"input {name} is gone"
        elif name not in old:
            yield f"input {name} is new"
        elif new[name] is not None and new[name] != old[name]:
            yield f"input {name} changed"
