"""Values that only a run knows: expressions over the matrix, secrets, other nodes and the run itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gitkitchen.errors import Mistake
from gitkitchen.model import Failure, NodeResult, NodeSpec, Plan, State, Template, TestState
from gitkitchen.run.context import NodeFailed, RunContext

_BAD = frozenset({State.FAILED, State.ERROR, State.TIMED_OUT, State.BLOCKED})


def names(
    plan: Plan, context: RunContext, node: NodeSpec, results: Mapping[str, NodeResult]
) -> dict[str, Any]:
    """What expressions of one node can name, without its matrix. ``results``: of all nodes above it."""
    kitchen, interval = plan.kitchen, context.interval or (None, None)
    return {
        "vars": plan.recipe.vars,
        "matrix": {},
        "secrets": {n: context.secrets[n] for n in node.secrets if n in context.secrets},
        "nodes": _Nodes(results),
        "needs": _Nodes({n: results[n] for n in node.needs if n in results}),
        "kitchen": {
            "branch": kitchen.branch,
            "environment": kitchen.environment,
            "namespace": kitchen.namespace,
            "label": kitchen.label,
            "is_sandbox": kitchen.is_sandbox,
        },
        "run": {
            "id": context.run_id,
            "interval_start": interval[0].isoformat() if interval[0] else None,
            "interval_end": interval[1].isoformat() if interval[1] else None,
            "commit": plan.subject.commit,
            "tree": plan.subject.tree,
        },
    }


def status(above: Iterable[NodeResult], direct: Iterable[NodeResult], *, cancelled: bool) -> dict[str, bool]:
    """What ``success()``, ``failure()`` and ``cancelled()`` say, from the nodes above a node."""
    good = all(r.state in (State.PASSED, State.REUSED) or r.continued for r in direct)
    return {
        "success": good and not cancelled,
        "failure": any(r.state in _BAD and not r.continued for r in above),
        "cancelled": cancelled,
    }


class _Nodes(Mapping[str, Any]):
    """Results as expressions see them; each is made only when it is asked for."""

    def __init__(self, results: Mapping[str, NodeResult]) -> None:
        self._results = results

    def __getitem__(self, name: str) -> Any:
        return seen(self._results[name])

    def __iter__(self) -> Any:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)


def seen(result: NodeResult) -> dict[str, Any]:
    """One node's result for expressions: state, rows, tests (counts and the state of each), metrics."""
    versions = result.build.versions if result.build else {}
    counts = {state.value: 0 for state in TestState}
    for test in result.tests:
        counts[test.state.value] += 1
    rows = {name: version.rows for name, version in versions.items()}
    return {
        "state": result.state.value,
        "seconds": result.seconds,
        "rows": next(iter(rows.values()), None),
        "datasets": {name: {"rows": count} for name, count in rows.items()},
        "tests": {**counts, "states": {t.id: t.state.value for t in result.tests}},
        "metrics": dict(result.metrics),
        "links": dict(result.links),
    }


def has_expressions(node: NodeSpec) -> bool:
    """Whether something of a node is left to be evaluated here."""
    return any(_is_late(value) for value in (*node.params.values(), *node.env.values()))


def _is_late(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_is_late(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(_is_late(v) for v in value)
    return isinstance(value, Template)


def render(value: Any, known: Mapping[str, Any], node: NodeSpec) -> Any:
    """A value with its expressions evaluated. Raises NodeFailed with the place of what cannot be."""
    if isinstance(value, Template):
        from gitkitchen.recipe.render import evaluate

        try:
            return evaluate(value, known)
        except Mistake as error:
            problem = error.problems[0]
            failure = Failure("error", problem.message, problem.place or node.place, problem.hint)
            raise NodeFailed(failure) from error
    if isinstance(value, Mapping):
        return {k: render(v, known, node) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [render(v, known, node) for v in value]
    return value


def environment(node: NodeSpec, known: Mapping[str, Any]) -> dict[str, str]:
    """The node's ``env:`` as text."""
    if not node.env:
        return {}
    from gitkitchen.recipe.render import as_text

    return {name: as_text(render(value, known, node)) for name, value in node.env.items()}


def secrets_of(node: NodeSpec, context: RunContext) -> dict[str, str]:
    """The secrets that a node names. Raises NodeFailed for one that is not set."""
    missing = [name for name in node.secrets if not context.secrets.get(name)]
    if missing:
        message = f"the secret {missing[0]} is not set"
        hint = f"set the environment variable {missing[0]} where gitkitchen runs"
        raise NodeFailed(Failure("error", message, node.place, hint))
    return {name: context.secrets[name] for name in node.secrets}
