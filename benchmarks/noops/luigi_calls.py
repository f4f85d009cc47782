"""luigi: tasks in process under its local scheduler. Argument: the number of tasks."""

import sys
from collections.abc import Iterator

import luigi

COUNT = int(sys.argv[1])
DONE: set[int] = set()


class Node(luigi.Task):
    index = luigi.IntParameter()

    def complete(self) -> bool:
        return self.index in DONE

    def run(self) -> None:
        DONE.add(self.index)


class Everything(luigi.WrapperTask):
    def requires(self) -> Iterator[Node]:
        return (Node(index=i) for i in range(COUNT))


passed = luigi.build([Everything()], local_scheduler=True, workers=1, log_level="WARNING")
if not passed or len(DONE) != COUNT:
    sys.exit(f"{len(DONE)} of {COUNT} tasks ran")
