"""``run``: a shell command under the node contract."""

from __future__ import annotations

import shutil
from functools import cache

from gitkitchen.run.context import Built, Task
from gitkitchen.run.contract import close_private, collect, ended_badly, open_private, run_process

SHELLS = {"bash": ("bash", "-eo", "pipefail", "-c"), "sh": ("sh", "-e", "-c")}


def execute(task: Task) -> Built:
    """Run the command; its outputs are what it left in its files."""
    private = open_private(task)
    try:
        shell = SHELLS[task.node.config.get("shell") or "bash"]
        argv = [_found(shell[0]), *shell[1:], str(task.node.config["command"])]
        done = run_process(task, private, argv, turns=task.context.turns)
        if done.code:
            raise ended_badly(task, done)
        return collect(task, private, done)
    finally:
        close_private(task, private)


@cache
def _found(shell: str) -> str:
    """Where a shell is: looked for once, not along PATH for each node."""
    return shutil.which(shell) or shell
