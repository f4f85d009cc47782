"""Promoters that race: processes that stay, so that a race costs what its promotions cost, and no start.

Each is told where to promote and at which step of the protocol to wait for the others, so that races are
decided at every step, and not by whose interpreter started first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

EARLY, LATE = ("reconcile", "look", "prove"), ("record-evidence", "judge", "take-lease")
"""Steps at which promoters meet. Of those who prove at once all but one give up; so before a late one they
prove in turn. Whoever is not there after a second is not waited for."""
END = "end"
"""All are proved and judged, and the others take the lease when the first has come to its end."""
MEETINGS = (*EARLY, *LATE, END)
PROMOTER = """
import contextlib, io, json, os, sys, time
from pathlib import Path
from gitkitchen.cli.main import main
from gitkitchen.road import effects

told = sys.stdin.readline
race = {}

def come(place, wanted, seconds=1):
    end = time.monotonic() + seconds
    while len(os.listdir(place)) < wanted and time.monotonic() < end:
        time.sleep(0.002)

def meet(step, when):
    proved = Path(race["place"]) / "proved"
    if step == "prove" and race["late"]:
        if when == "before":
            come(proved, race["turn"])
        else:
            (proved / str(race["turn"])).touch()
    if (step, when, race["step"]) == ("take-lease", "before", "end") and race["turn"] and not race["met"]:
        race["met"] = True
        come(Path(race["place"]) / "ended", 1, 30)
    if (step, when) == (race["step"], "before") and not race["met"]:
        race["met"] = True
        met = Path(race["place"]) / "met"
        (met / str(race["turn"])).touch()
        come(met, race["promoters"])

effects.watchers.append(meet)
for line in iter(told, ""):
    race = {**json.loads(line), "met": False}
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["-C", race["root"], "promote", "staging", "--quiet"])
    (Path(race["place"]) / "ended" / str(race["turn"])).touch()
    print(json.dumps([code, said.getvalue()]), flush=True)
"""


@dataclass(frozen=True)
class Promoters:
    """Processes, each with the folder in which it promotes."""

    folder: Path
    roots: Sequence[Path]
    processes: Sequence[subprocess.Popen[str]]

    def race(self, number: int) -> list[tuple[int, str]]:
        """All promote `staging` at once: how each ended and what it said. ``number`` says where they meet."""
        place = self.folder / f"race-{number}"
        for name in ("met", "proved", "ended"):
            (place / name).mkdir(parents=True)
        step = MEETINGS[number % len(MEETINGS)]
        told = {"step": step, "late": step in (*LATE, END), "place": str(place), "promoters": len(self.roots)}
        for turn, (root, process) in enumerate(zip(self.roots, self.processes, strict=True)):
            assert process.stdin is not None
            process.stdin.write(json.dumps({**told, "root": str(root), "turn": turn}) + "\n")
            process.stdin.flush()
        ended = []
        for process in self.processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"a promoter ended with {process.wait()}: race {number}, at {step}"
            code, said = json.loads(line)
            ended.append((int(code), str(said)))
        return ended


@contextmanager
def promoters(folder: Path, roots: Sequence[Path], environ: Mapping[str, str]) -> Iterator[Promoters]:
    """As many promoters as there are ``roots``. ``folder``: where they meet."""
    folder.mkdir()
    with ExitStack() as stack:
        started = []
        for number, _ in enumerate(roots):
            log = stack.enter_context((folder.parent / f"promoter-{number}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-c", PROMOTER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=dict(environ),
            )
            started.append(stack.enter_context(process))
        try:
            yield Promoters(folder, roots, started)
        finally:
            for process in started:
                process.kill()
