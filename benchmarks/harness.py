"""Runs contestants in turn and measures each command: wall, CPU and peak memory.

The figures come from ``wait4``: they are the kernel's account (the one behind
``resource.getrusage(RUSAGE_CHILDREN)``) of that one command and of every process it waited for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Failed(Exception):
    """A command that was to be measured did not do its work; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One command measured. ``peak`` is the largest resident size of any one of its processes, in bytes."""

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One timed command of a contestant; ``before`` prepares it and is not timed.

    ``expect`` are the exit codes that mean that the work was done; ``after`` looks at what it left
    and raises ``Failed`` where that is not the wanted result.
    """

    name: str
    argv: tuple[str, ...]
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    expect: tuple[int, ...] = (0,)
    repeat: int = 1


@dataclass(frozen=True, slots=True)
class Contestant:
    """A tool with the stages that it goes through in each round, in order, in one folder."""

    name: str
    folder: Path
    stages: tuple[Stage, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    rounds: int | None = None
    """At most this many rounds (None: as many as the section has)."""
    timeout: float = 900.0


@dataclass(slots=True)
class Series:
    """All samples of one section: ``samples[contestant][stage]``, and why a contestant is missing."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def of(self, contestant: str, stage: str) -> list[Sample]:
        return self.samples.get(contestant, {}).get(stage, [])

    def walls(self, contestant: str, stage: str) -> list[float]:
        return [s.wall for s in self.of(contestant, stage)]

    def cpus(self, contestant: str, stage: str) -> list[float]:
        return [s.cpu for s in self.of(contestant, stage)]

    def peak(self, contestant: str, stage: str) -> int:
        return max((s.peak for s in self.of(contestant, stage)), default=0)


def compete(contestants: Sequence[Contestant], rounds: int, logs: Path, say: Callable[[str], None]) -> Series:
    """Measure all contestants, interleaved round by round; the order turns by one each round.

    A contestant that fails is named with the reason and sits out from then on; what it had
    measured is dropped, so that no table shows half of it.
    """
    series = Series()
    for number in range(rounds):
        turn = number % max(1, len(contestants))
        for one in [*contestants[turn:], *contestants[:turn]]:
            if one.name in series.skipped or (one.rounds is not None and number >= one.rounds):
                continue
            try:
                _round(one, number, logs, series, say)
            except Failed as error:
                series.samples.pop(one.name, None)
                series.skipped[one.name] = str(error)
                say(f"    {one.name}: left out: {error}")
    return series


def _round(one: Contestant, number: int, logs: Path, series: Series, say: Callable[[str], None]) -> None:
    stages = series.samples.setdefault(one.name, {})
    for stage in one.stages:
        for _ in range(stage.repeat):
            if stage.before is not None:
                stage.before()
            os.sync()  # nobody's leavings are written while somebody else is measured
            log = logs / f"{_slug(one.name)}-{_slug(stage.name)}.log"
            sample = measure(stage.argv, cwd=one.folder, env=one.env, log=log, expect=stage.expect,
                             timeout=one.timeout)  # fmt: skip
            if stage.after is not None:
                stage.after()
            stages.setdefault(stage.name, []).append(sample)
        say(f"    round {number + 1}  {one.name:28} {stage.name:10} {sample.wall:8.3f} s")


def measure(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    log: Path,
    expect: Sequence[int] = (0,),
    timeout: float = 900.0,
) -> Sample:
    """Run one command to its end, its output going to ``log``, and return what it took.

    Raises ``Failed`` with the last lines of its output if it cannot be started, does not end in
    ``timeout`` seconds, or ends with a code that is not in ``expect``.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        started = time.perf_counter()
        try:
            child = subprocess.Popen(
                argv, cwd=cwd, env=environment(env), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Failed(f"cannot start {argv[0]}: {error.strerror}") from error
        late = threading.Event()
        timer = threading.Timer(timeout, _kill, (child.pid, late))
        timer.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # an interrupt must not leave the command behind
            _kill(child.pid, late)
            child.wait()
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    if late.is_set():
        raise Failed(f"not done in {timeout:.0f} s")
    if child.returncode not in expect:
        raise Failed(f"exit code {child.returncode}: {tail(log)}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * MAXRSS_UNIT)


def _kill(group: int, late: threading.Event) -> None:
    late.set()
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended at the same moment


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """A small environment, the same for everybody; peers are told to send nothing home."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LANG", "USER")}
    quiet = {
        "DO_NOT_TRACK": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "true",
        "DAGSTER_DISABLE_TELEMETRY": "true",
        "GX_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    return {**kept, **quiet, **(extra or {})}


def tail(log: Path, characters: int = 300) -> str:
    """The end of a command's output on one line, for a reason that people can read."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words[-characters:] or "no output"


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")
