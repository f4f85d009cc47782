"""``run``: a shell command under the node contract."""

from __future__ import annotations

from gitkitchen.run.context import Built, Task
from gitkitchen.run.contract import close_private, collect, ended_badly, found, open_private, run_process

SHELLS = {"bash": ("bash", "-eo", "pipefail", "-c"), "sh": ("sh", "-e", "-c")}


def execute(task: Task) -> Built:
    """Run the command; its outputs are what it left in its files."""
    private = open_private(task)
    try:
        shell = SHELLS[task.node.config.get("shell") or "bash"]
        argv = [found(shell[0]), *shell[1:], str(task.node.config["command"])]
        done = run_process(task, private, argv, turns=task.context.turns)
        if done.code:
            raise ended_badly(task, done)
        return collect(task, private, done)
    finally:
        close_private(task, private)
