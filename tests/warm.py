"""Commands of GitKitchen in processes that are forked from a warm one, to be killed where a test says.

A test that kills at forty places pays for the imports once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = r"""
import json, os, signal, sys, traceback
import duckdb, sqlglot  # what every command needs; loading starts no thread
from gitkitchen.cli.main import main
from gitkitchen.road import effects
import gitkitchen.road.landing, gitkitchen.road.holding, gitkitchen.road.rebuilding, gitkitchen.run.engine

def child(job):
    out = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1); os.dup2(out, 2)
    os.environ.clear(); os.environ.update(job["environ"])
    log = open(job["seen"], "w")
    count = 0
    def watch(name, when):
        nonlocal count
        print(name, when, file=log, flush=True)
        count += 1
        if count == job["at"]:
            os.kill(os.getpid(), signal.SIGKILL)
    effects.watchers.append(watch)
    if job["after"]:
        signal.setitimer(signal.ITIMER_REAL, job["after"])  # SIGALRM no cleaning up
    code = 70
    try:
        code = main(job["words"])
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)

for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        child(job)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """``code`` is negative for a signal. ``points``: (effect, before or after) in order."""

    code: int
    said: str
    points: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Warm:
    process: subprocess.Popen[str]
    folder: Path

    def run(
        self,
        root: Path,
        *words: str,
        at: int = 0,
        after: float = 0.0,
        environ: Mapping[str, str] | None = None,
    ) -> Ended:
        """A command in ``root``; killed at its ``at``-th point, or ``after`` some seconds (0: not)."""
        seen, out = self.folder / "seen", self.folder / "out"
        job = {
            "words": ["-C", str(root), *words],
            "at": at,
            "after": after,
            "seen": str(seen),
            "out": str(out),
            "environ": {**os.environ, **(environ or {})},
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        points = [tuple(line.split()) for line in seen.read_text().splitlines()]
        return Ended(code, out.read_text(errors="replace"), tuple((p[0], p[1]) for p in points))


@contextmanager
def warm(folder: Path) -> Iterator[Warm]:
    """A warm process for the length of a block; what it needs lies in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield Warm(process, folder)
        assert process.stdin is not None
        process.stdin.close()


def kept(source: Path, target: Path) -> None:
    """A whole copy of a folder in place of another: the state from which every case begins."""
    subprocess.run(["rm", "-rf", str(target)], check=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def every(points: Sequence[tuple[str, str]], only: Sequence[tuple[str, str]] = ()) -> list[int]:
    """The numbers of the points at which to kill: of all, or of the first of each of some."""
    if not only:
        return list(range(1, len(points) + 1))
    return [points.index(point) + 1 for point in only]
