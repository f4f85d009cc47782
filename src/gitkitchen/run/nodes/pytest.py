"""``pytest``: a module of tests on the node's inputs; each of its tests is a test of the recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gitkitchen.errors import Place
from gitkitchen.model import Failure
from gitkitchen.printed import text_safe
from gitkitchen.process import Completed
from gitkitchen.run.context import Built, NodeFailed, Task
from gitkitchen.run.contract import Private, close_private, collect, ended_badly, open_private
from gitkitchen.run.nodes.python import converse, unanswered
from gitkitchen.run.report_file import read_tests

PLUGIN = Path(__file__).parent.parent / "pytest_plugin.py"
NO_TESTS = 5


def execute(task: Task) -> Built:
    """Run the module. A failing test is a result; a module that cannot be run, or has no test, an error."""
    private = open_private(task)
    try:
        done, answer = _run(task, private)
        if answer is None:
            raise unanswered(task, done)
        _refuse(task, done, answer)
        tests = [t if t["state"] is not None else {**t, "state": "error"} for t in answer["tests"]]
        built = collect(task, private, done)
        return replace(built, tests=(*read_tests(tests, task.node, task.secrets), *built.tests))
    finally:
        close_private(task, private)


def _run(task: Task, private: Private) -> tuple[Completed, dict[str, Any] | None]:
    config = task.node.config
    settings = private.top / "pytest.ini"
    settings.write_text("[pytest]\n", encoding="utf-8")
    module = str(private.top / str(config["file"]))
    options = ["-q", "--color=no", "--tb=short", "-p", "no:cacheprovider", "-c", str(settings)]
    words = [*options, f"--rootdir={private.top}", f"--confcutdir={private.top}"]
    words += [str(a) for a in config.get("args") or ()]
    asked = {"kind": "pytest", "plugin": str(PLUGIN), "args": [*words, module]}
    return converse(task, private, asked)


def _refuse(task: Task, done: Completed, answer: dict[str, Any]) -> None:
    """Raise NodeFailed where pytest could not do its work, or there was nothing to do."""
    errors = answer.get("errors") or ()
    code = answer.get("code")
    file = str(task.node.config["file"])
    if errors:
        lines = [text_safe(line) for line in str(errors[0].get("message", "")).splitlines()]
        said = next((line for line in reversed(lines) if line.startswith("E ")), lines[-1] if lines else "")
        message = f"pytest cannot read its tests: {said.removeprefix('E').strip()}"
    elif code == NO_TESTS or not answer["tests"]:
        message = f"pytest found no test in {file}: nothing was tested"
    elif code not in (0, 1):
        raise ended_badly(task, replace(done, code=code if isinstance(code, int) else 1))
    else:
        return
    hint = "" if errors else "name its functions test_…, or take the node out"
    failure = Failure("error", message, Place(file), hint)
    raise NodeFailed(failure, tail=done.tail, logged=done.logged)
