"""What a section gets (places, sizes, peers) and what it returns (tables, notes, promises)."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import Failed, Series, Stage
from benchmarks.peers import Installed, install
from benchmarks.stats import median, spread


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound that GitKitchen sets itself. ``measured`` is None where it could not be measured."""

    text: str
    bound: float
    unit: str
    measured: float | None

    @property
    def met(self) -> bool | None:
        return None if self.measured is None else self.measured <= self.bound


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are text; the first column is the label, the others are figures."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the report. ``raw`` keeps every sample for ``--json``."""

    letter: str
    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    promises: tuple[Promise, ...]
    skipped: dict[str, str]
    raw: dict[str, object]


@dataclass(slots=True)
class Context:
    """Places, sizes and peers of one run of the bench."""

    bench: Path
    """``.bench`` of the repository: peers and logs, kept from run to run."""
    work: Path
    """A temporary folder for everything generated, removed at the end."""
    rounds: int
    quick: bool
    with_peers: bool
    say: Callable[[str], None]
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)

    @property
    def cores(self) -> int:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def python(self) -> str:
        return sys.executable

    @property
    def gitkitchen(self) -> str:
        """The command as users run it, from the environment that runs the bench."""
        return str(Path(sys.executable).parent / "gitkitchen")

    @property
    def logs(self) -> Path:
        return self.bench / "logs"

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def peer(self, name: str) -> Installed | None:
        """The peer, installed; None (and the reason in ``unusable``) where that cannot be had."""
        if not self.with_peers:
            self.unusable[name] = "left out on the command line (--no-peers)"
        if name in self.unusable:
            return None
        try:
            found = install(name, self.bench, self.say)
        except Failed as error:
            self.unusable[name] = str(error)
            self.say(f"  {name}: {error}")
            return None
        self.versions[name] = found.versions
        return found

    def missing(self, *names: str) -> dict[str, str]:
        return {n: self.unusable[n] for n in names if n in self.unusable}


# --- GitKitchen as a contestant ------------------------------------------------------------


def forget(root: Path) -> None:
    """Put away everything that GitKitchen knows of this project: the next run is its first."""
    put_away(root / ".gitkitchen")


def put_away(folder: Path) -> None:
    """Move a folder out of its project, if it is there; it is deleted with the whole bench.

    Thousands of deletions just before a measurement would be part of it: the disk works on after them,
    and ext4 looks long for names of files that are free and were not only just given up.
    """
    for number in itertools.count():
        aside = folder.parent.with_name(f"{folder.parent.name}-{folder.name}-{number}")
        if not aside.exists():
            break
    if folder.exists():
        folder.rename(aside)


def outcome(root: Path) -> dict[str, Any]:
    """The outcome document of the newest run."""
    found = sorted((root / ".gitkitchen" / "runs").glob("*/outcome.json"), key=lambda p: p.stat().st_mtime_ns)
    if not found:
        raise Failed("the run left no outcome document")
    document: dict[str, Any] = json.loads(found[-1].read_text("utf-8"))
    return document


def states(root: Path) -> Counter[str]:
    """How many nodes ended how in the newest run."""
    return Counter(node["state"] for node in outcome(root)["nodes"])


def expect_states(root: Path, **wanted: int) -> Callable[[], None]:
    """A check for ``Stage.after``: so many nodes in each of these states and none in another."""

    def check() -> None:
        found = {state: count for state, count in states(root).items() if count}
        if found != {state: count for state, count in wanted.items() if count}:
            raise Failed(f"node states are {found}, wanted {wanted}")

    return check


# --- cells ---------------------------------------------------------------------------------


def seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def cells(series: Series, contestant: str, stage: str) -> tuple[str, ...]:
    """Median wall with its spread, median CPU, greatest peak memory, rounds; dashes where not measured."""
    walls = series.walls(contestant, stage)
    if not walls:
        return ("–",) * 5
    low, high = spread(walls)
    return (
        seconds(median(walls)),
        f"{seconds(low)}–{seconds(high)}",
        seconds(median(series.cpus(contestant, stage))),
        f"{series.peak(contestant, stage) / 2**20:.0f}",
        str(len(walls)),
    )


HEAD = ("wall s", "least–most", "CPU s", "peak MiB", "rounds")


def table(title: str, first: str, series: Series, lines: list[tuple[str, str, str]]) -> Table:
    """A table of measured stages; ``lines`` are (label, contestant, stage)."""
    rows = tuple((label, *cells(series, who, stage)) for label, who, stage in lines if series.of(who, stage))
    return Table(title, (first, *HEAD), rows)


def raw(series: Series) -> dict[str, object]:
    """Every sample as plain values."""
    return {
        who: {
            stage: [{"wall": s.wall, "cpu": s.cpu, "peak": s.peak} for s in samples]
            for stage, samples in stages.items()
        }
        for who, stages in series.samples.items()
    }


def paragraphs(text: str) -> tuple[str, ...]:
    """The paragraphs of a text, each on one line."""
    return tuple(" ".join(part.split()) for part in text.split("\n\n"))


def command(name: str, *argv: str) -> Stage:
    """A stage that needs no preparation."""
    return Stage(name, argv)
