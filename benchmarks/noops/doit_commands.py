"""doit: shell commands. Arguments: the number of tasks, how many at once."""

import sys
from collections.abc import Iterator

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

COUNT, JOBS = int(sys.argv[1]), sys.argv[2]


def task_node() -> Iterator[dict[str, object]]:
    for index in range(COUNT):
        yield {"name": str(index), "actions": ["true"]}


options = ["run", "--verbosity", "0", "--process", JOBS, "--parallel-type", "thread"]
sys.exit(DoitMain(ModuleTaskLoader(globals())).run(options))
