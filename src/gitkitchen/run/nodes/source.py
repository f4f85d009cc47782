"""``source``: data from outside becomes a table."""

from __future__ import annotations

import shutil

from gitkitchen.model import Failure, State
from gitkitchen.printed import text_safe
from gitkitchen.run.context import Built, NodeFailed, Task
from gitkitchen.run.contract import close_private, collect, new_folder, open_private, timed_out


def execute(task: Task) -> Built:
    """Fetch and load the source in this thread; a Python source runs in a process of its own."""
    if task.node.config.get("from") == "python":
        from gitkitchen.run.nodes.python import call

        private = open_private(task)
        try:
            return collect(task, private, call(task, private))
        finally:
            close_private(task, private)
    return _load(task)


def _load(task: Task) -> Built:
    from gitkitchen.data.engines.errors import Interrupted, SqlError
    from gitkitchen.data.sources import open_source

    node = task.node
    (dataset,) = node.datasets
    scratch = new_folder(task)
    scratch.mkdir(parents=True, exist_ok=True)
    cursor = task.tables.cursor({})
    try:
        with task.tables.busy(cursor, task.cancel, node.timeout) as busy:
            if node.config.get("from") == "table":
                written = task.tables.engine.import_table(dataset, node.config)
            else:
                paths = open_source(task.context.project, node, scratch)
                written = task.tables.engine.import_file(node.config, paths, dataset=dataset)
    except Interrupted as error:
        if busy.timed_out:
            raise NodeFailed(timed_out(task), state=State.TIMED_OUT) from error
        failure = Failure("cancelled", "cancelled while it was loaded", node.place)
        raise NodeFailed(failure, state=State.CANCELLED) from error
    except SqlError as error:
        config = node.config
        name = config.get("file") or config.get("url") or config.get("table") or node.name
        message = f"the source '{name}' cannot be loaded: {text_safe(error.message)}"
        raise NodeFailed(Failure("error", message, node.place)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if busy.timed_out:  # also where the engine could not be interrupted
        raise NodeFailed(timed_out(task), state=State.TIMED_OUT)
    return Built({dataset: task.tables.version(task, dataset, written)})
