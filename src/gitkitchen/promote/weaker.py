"""What a change of a recipe takes away from its tests: those that are gone, that let more pass, that see
less.

Pure: two resolved recipes in, findings out. Nobody is named here who may allow them; ``promote.changes``
does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gitkitchen.finding import PolicyFinding, Severity
from gitkitchen.kitchen.policy import test_name
from gitkitchen.model import NodeSpec, Recipe, TestSpec, Tolerance
from gitkitchen.plumbing import Listed
from gitkitchen.promote.order import Order, compare, implies

Files = Mapping[str, Listed]
UNTESTED = ("source", "sql", "python", "run")
"""Kinds whose tests are all declared; those of others are code, or other tools': what changes cannot be
judged.
"""


def weaker_recipe(was: Recipe, now: Recipe, files_was: Files, files_now: Files) -> Iterator[PolicyFinding]:
    """All that ``now`` tests less than ``was``; both in the same kitchen and variation."""
    for name, node in was.nodes.items():
        other = now.nodes.get(name)
        if other is None:
            yield _gone(was, now, node)
        else:
            yield from weaker_node(node, other, now.file)
            yield from _code(node, other, now.file, files_was, files_now)


def _gone(was: Recipe, now: Recipe, node: NodeSpec) -> PolicyFinding:
    """A node that is there no more. Without a test of its own it takes no evidence away."""
    tested = len(node.tests)
    severity: Severity = "action" if tested or node.kind not in UNTESTED else "notice"
    tests = f" with its {tested} test{'s' if tested > 1 else ''}" if tested else ""
    if node.kind not in UNTESTED:
        tests = " with the tests of its module"
    message = f"recipe '{was.name}': node '{node.name}' is removed{tests}"
    return PolicyFinding("removed-node", severity, message, now.file)


def weaker_node(was: NodeSpec, now: NodeSpec, file: str) -> Iterator[PolicyFinding]:
    """What changed in a node so that its tests, or what they see, became less."""
    yield from _tests(was, now, file)
    tested = bool(was.tests) or was.kind not in UNTESTED
    for code, message in _node(was, now, tested=tested):
        yield PolicyFinding(code, "action", f"node '{now.name}': {message}", file, now.place.line)
    opened = [c for c in now.public if c not in was.public]
    if opened and "*" not in was.public:
        message = f"values of {', '.join(opened[:8])} become public"
        yield PolicyFinding("privacy-opened", "action", f"node '{now.name}': {message}", file, now.place.line)


def _node(was: NodeSpec, now: NodeSpec, *, tested: bool) -> Iterator[tuple[str, str]]:
    if now.continue_on_error and not was.continue_on_error:
        yield "weaker-node", "its failures are excused now (continue-on-error)"
    if now.volatile and not was.volatile:
        yield "weaker-node", "it is volatile now: its content may differ from what was tested"
    if now.on == "publish" and was.on != "publish":
        yield "weaker-node", "it runs after publication now, when its tests stop nothing any more"
    if now.environments and (not was.environments or not set(was.environments) <= set(now.environments)):
        yield "weaker-node", f"it runs only in {', '.join(now.environments)} now"
    if now.condition is not None and was.condition is None:
        yield "weaker-node", f"it runs only under a condition now: if: {now.condition[:200]}"
    elif now.condition != was.condition and now.condition is not None:
        words = f"if: {str(was.condition)[:200]} became {now.condition[:200]}"
        yield "changed-node", f"its condition is another one, which cannot be judged: {words}"
    if not tested:
        return
    missing = [n for n in was.needs if n not in now.needs]
    if missing:
        yield (
            "weaker-node",
            f"it needs {', '.join(missing[:8])} no more: its tests may see other data, or none",
        )
    if was.materialize != now.materialize:
        yield "changed-node", f"it is kept in another way, {_kept(was)} before and {_kept(now)} now"
    if was.matrix and (lost := [c for c in was.matrix if c not in now.matrix]):
        yield "weaker-node", f"{len(lost)} of {len(was.matrix)} combinations of its matrix are gone"
    elif now.matrix and not was.matrix:
        yield "changed-node", "it has a matrix now: whether its parts are the whole cannot be judged"
    if was.kind != now.kind and was.kind not in UNTESTED:
        yield "removed-test", f"it is of kind {now.kind} now, and its {was.kind} tests are gone"


def _kept(node: NodeSpec) -> str:
    mode = node.materialize
    return f"partitions by {mode.by}" if mode.mode == "partitions" else f"as a {mode.mode}"


def _code(
    was: NodeSpec, now: NodeSpec, file: str, files_was: Files, files_now: Files
) -> Iterator[PolicyFinding]:
    """Tests that are code: what they say of data nobody can read from a difference."""
    if was.kind != now.kind or was.kind in UNTESTED:
        return
    if was.kind != "pytest":
        if was.config != now.config:
            message = f"node '{now.name}': what tests it changed, which cannot be judged"
            yield PolicyFinding("changed-test", "action", message, file, now.place.line)
        return
    module, before = str(now.config.get("file", "")), str(was.config.get("file", ""))
    said = f"node '{now.name}': its tests changed, which cannot be judged"
    if before != module or _objects(was, before, files_was) != _objects(now, before, files_now):
        yield PolicyFinding("changed-test", "action", f"{said}: the module {module}", module)
    elif was.config.get("args") != now.config.get("args"):
        yield PolicyFinding(
            "changed-test", "action", f"{said}: the arguments of pytest", file, now.place.line
        )


def _objects(node: NodeSpec, module: str, files: Files) -> dict[str, str]:
    """The module with what pytest reads beside it and what the node names: path and object."""
    named = (module, f"{module.rpartition('/')[0]}/conftest.py".removeprefix("/"), *node.files)
    return {
        path: file.oid
        for path, file in files.items()
        if any(path == name or path.startswith(f"{name}/") for name in named)
    }


# --- declared tests ----------------------------------------------------------------------------------


def _tests(was: NodeSpec, now: NodeSpec, file: str) -> Iterator[PolicyFinding]:
    """Each old test that no new one is as strict as, beside the new one that took its place."""
    unmatched = [a for a in was.tests if not any(implies(b, a) for b in now.tests)]
    kept = {b.id for b in now.tests for a in was.tests if a not in unmatched and implies(b, a)}
    free = [b for b in now.tests if b.id not in kept] or []
    taken: set[str] = set()
    for a in unmatched:
        b = _counterpart(a, [t for t in free if t.id not in taken]) or _counterpart(a, now.tests, near=True)
        if b is None:
            message = f"node '{now.name}': the test {test_name(a.node, a.id)} ({a.severity.value}) is removed"
            yield PolicyFinding("removed-test", "action", message, file, now.place.line)
            continue
        taken.add(b.id)
        order = compare(a, b)
        about = f"node '{now.name}': the test {test_name(b.node, b.id)}"
        said = "; ".join(differences(a, b)) or f"{test_name(a.node, a.id)} before"
        line = b.place.line if b.place else now.place.line
        if order is Order.WEAKER:
            yield PolicyFinding("weaker-test", "action", f"{about} lets more pass: {said}", file, line)
        else:
            yield PolicyFinding(
                "changed-test", "action", f"{about} changed, which cannot be judged: {said}", file, line
            )


def _counterpart(
    a: TestSpec, tests: list[TestSpec] | tuple[TestSpec, ...], *, near: bool = False
) -> TestSpec | None:
    """The test that took the place of ``a``: of its kind, about the same; ``near``: only about the same."""
    alike = [b for b in tests if (b.kind, b.dataset, b.phase) == (a.kind, a.dataset, a.phase)]
    same = [b for b in alike if _about(a) == _about(b)]
    found = same if near else [*(b for b in alike if implies(a, b)), *same, *alike]
    return found[0] if found else None


def _about(spec: TestSpec) -> Any:
    keys = ("column", "columns", "value", "sql", "to_dataset", "relative_to", "of", "what")
    return [spec.args.get(k) for k in keys] if spec.kind != "schema" else []


def differences(was: TestSpec, now: TestSpec) -> list[str]:
    """What differs between two tests of a kind, in words: ``severity: stop before, warn now``."""
    pairs: list[tuple[str, Any, Any]] = [
        ("severity", was.severity.value, now.severity.value),
        ("where", was.where, now.where),
        ("tolerate", _tolerated(was.tolerate), _tolerated(now.tolerate)),
    ]
    names = dict.fromkeys([*was.args, *now.args])
    pairs += [(name, was.args.get(name), now.args.get(name)) for name in names]
    return [f"{name}: {_shown(old)} before, {_shown(new)} now" for name, old, new in pairs if old != new]


def _tolerated(tolerate: Tolerance) -> str | None:
    if tolerate.rows is not None:
        return f"{tolerate.rows} rows" if tolerate.rows else None
    return f"{tolerate.share * 100:g}%" if tolerate.share else None


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict) and "text" in value:
        return str(value["text"])
    if isinstance(value, (list, tuple)):
        text = ", ".join(_shown(v) for v in value)
    else:
        text = " ".join(str(value).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
