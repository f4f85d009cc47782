"""doit: Python actions, in process. Argument: the number of tasks. Its state goes to the working folder."""

import sys
from collections.abc import Iterator

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

COUNT = int(sys.argv[1])


def nothing() -> None:
    """Do nothing and succeed."""


def task_node() -> Iterator[dict[str, object]]:
    for index in range(COUNT):
        yield {"name": str(index), "actions": [nothing]}


sys.exit(DoitMain(ModuleTaskLoader(globals())).run(["run", "--verbosity", "0"]))
