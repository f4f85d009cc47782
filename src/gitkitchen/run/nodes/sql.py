"""``sql``: one SELECT, whose answer becomes the node's table (or stays a view)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitkitchen.errors import Place
from gitkitchen.model import Failure, NodeSpec, State, Version
from gitkitchen.plan.decide import by_partitions
from gitkitchen.printed import text_safe
from gitkitchen.run.context import Built, NodeFailed, Task
from gitkitchen.run.contract import timed_out
from gitkitchen.run.partitions import touched
from gitkitchen.run.tables import partitions_of

if TYPE_CHECKING:
    from gitkitchen.data.engines.contract import Draft
    from gitkitchen.data.engines.errors import SqlError
    from gitkitchen.run.tables import Busy, Tables


def execute(task: Task) -> Built:
    """Run the query in this thread; a time limit or a cancel interrupts it."""
    from gitkitchen.data.engines.errors import Interrupted, SqlError

    node = task.node
    (dataset,) = node.datasets
    text = str(node.config["text"])
    # A table names its inputs in its own statement; only a view needs them to stand on the cursor.
    cursor = task.tables.cursor(task.inputs if node.materialize.mode == "view" else {})
    with task.tables.busy(cursor, task.cancel, node.timeout) as busy:
        try:
            version = _make(task, dataset, text, cursor, _begun(task, busy))
        except Interrupted as error:
            if busy.timed_out:
                raise NodeFailed(timed_out(task), state=State.TIMED_OUT) from error
            failure = Failure("cancelled", "cancelled while it ran", node.place)
            raise NodeFailed(failure, state=State.CANCELLED) from error
        except SqlError as error:
            raise NodeFailed(_failure(task, error)) from error
    return Built({dataset: version})


def draft(node: NodeSpec, inputs: Mapping[str, Version], tables: Tables, cursor: Any) -> Draft | None:
    """Execute the query of a node whose values are all known, and keep nothing."""
    engine, text = tables.engine, str(node.config["text"])
    params = _used(node.params, text, engine.parameters) if node.params else {}
    return engine.draft(text, params=params, inputs=inputs, cursor=cursor)


def _begun(task: Task, busy: Busy) -> Draft | None:
    """The rows of what was begun ahead. It ends when this node's time is over, too."""
    if task.begun is None:
        return None
    busy.also = task.begun.end_early
    try:
        return task.begun.rows()
    finally:
        busy.also = None


def _make(task: Task, dataset: str, text: str, cursor: Any, draft: Draft | None) -> Version:
    node, engine = task.node, task.tables.engine
    params = _used(task.params, text, engine.parameters) if task.params else {}
    if node.materialize.mode == "view":
        view = engine.make_view(dataset, text, task.inputs, params=params, cursor=cursor)
        return replace(view, fingerprint=task.fingerprint)
    if task.context.period is not None and by_partitions(node):
        return touched(task, dataset, text, params, cursor, task.context.period)
    written = engine.write_table(
        dataset,
        text,
        params=params,
        partitions=partitions_of(node.materialize),
        inputs=task.inputs,
        cursor=cursor,
        seconds=node.timeout,
        draft=draft,
        kept=task.kept,
    )
    return task.tables.version(task, dataset, written)


def _used(params: Mapping[str, Any], text: str, named: Callable[[str], frozenset[str]]) -> dict[str, Any]:
    """The values that the query names; the engine refuses others. A bad query is refused later, in words."""
    from gitkitchen.data.engines.errors import SqlError

    try:
        names = named(text)
    except SqlError:
        return dict(params)
    return {name: value for name, value in params.items() if name in names}


def _failure(task: Task, error: SqlError) -> Failure:
    """The engine's message at its line of the user's file."""
    config = task.node.config
    first = int(config.get("line") or task.node.place.line or 1)
    place = Place(str(config.get("file") or task.node.place.file), first + max(error.line, 1) - 1)
    return Failure("error", text_safe(error.message), place)
