"""Bare spawning: the shell that a `run:` node has, so many times, so many at once. Arguments: count, jobs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def one(_: int) -> int:
    with subprocess.Popen(["bash", "-eo", "pipefail", "-c", "true"], stdin=subprocess.DEVNULL) as child:
        return child.wait()


def main() -> None:
    count, jobs = int(sys.argv[1]), int(sys.argv[2])
    with ThreadPoolExecutor(jobs) as pool:
        if any(pool.map(one, range(count))):
            sys.exit("a command failed")


main()
