"""``python``: a function ``file.py:function`` in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitkitchen.model import Failure
from gitkitchen.printed import mask, masks, text_safe
from gitkitchen.process import Completed
from gitkitchen.run.context import Built, NodeFailed, Task
from gitkitchen.run.contract import (
    Private,
    close_private,
    collect,
    ended_badly,
    open_private,
    output_path,
    run_process,
    user_place,
)

CHILD = Path(__file__).parent.parent / "child.py"


def execute(task: Task) -> Built:
    """Call the function; what it returns are the node's tables."""
    private = open_private(task)
    try:
        done = call(task, private)
        return collect(task, private, done)
    finally:
        close_private(task, private)


def call(task: Task, private: Private) -> Completed:
    """Call the node's function. Raises NodeFailed for whatever it does but return."""
    datasets = task.node.datasets
    tables = {d: str(output_path(private, datasets, d)) for d, file in datasets.items() if file is None}
    config = task.node.config
    done, answer = converse(
        task,
        private,
        {
            "kind": "python",
            "file": config["file"],
            "function": config["function"],
            "tables": tables,
        },
    )
    if answer is None:
        raise unanswered(task, done)
    return done


def converse(
    task: Task, private: Private, words: Mapping[str, Any]
) -> tuple[Completed, dict[str, Any] | None]:
    """Run the child process and read its answer; None where it left none. Raises NodeFailed."""
    asked, answered = private.top / "task.json", private.top / "answer.json"
    inputs = {n: [str(p) for p in task.tables.files(n, v)] for n, v in task.inputs.items()}
    whole = {
        "top": str(private.top),
        "answer": str(answered),
        "inputs": inputs,
        "params": task.params,
        **words,
    }
    asked.write_text(json.dumps(whole, default=str), encoding="utf-8")
    done = run_process(task, private, [sys.executable, "-P", "-s", "-B", str(CHILD), str(asked)])
    try:
        answer = json.loads(answered.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return done, None
    _raise_complaints(task, private, done, answer)
    return done, answer


def unanswered(task: Task, done: Completed) -> NodeFailed:
    """The failure of a process that ended without saying how."""
    if done.code:
        return ended_badly(task, done)
    names = ", ".join(task.node.datasets) or "result"
    message = f"its process ended with exit code 0 and without its output ({names})"
    hint = "it must return; does it call os._exit()?"
    return NodeFailed(Failure("error", message, task.node.place, hint), tail=done.tail, logged=done.logged)


def _raise_complaints(task: Task, private: Private, done: Completed, answer: dict[str, Any]) -> None:
    said = answer.get("error") or answer.get("complaint")
    if said is None:
        return
    message = mask(str(said), masks(tuple(task.secrets.values())))
    message = "\n".join(text_safe(line) for line in message.splitlines())[:4000]
    place = task.node.place
    file, line = answer.get("place") or ("", 0)
    if file:
        place = user_place(task, private, file, line)
    elif answer.get("line"):
        place = user_place(task, private, str(private.top / str(task.node.config["file"])), answer["line"])
    raise NodeFailed(Failure("error", message, place), tail=done.tail, logged=done.logged)
