"""Spin, run on a model: how many states it has, or which property fails and by which steps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

SPIN, GCC = shutil.which("spin"), shutil.which("gcc")
MEGABYTES = 1900
needs_spin = pytest.mark.skipif(
    None in (SPIN, GCC) and "spin" not in os.environ.get("GITKITCHEN_REQUIRE", "").split(","),
    reason="spin (and gcc, which it needs) is not installed",
)


@dataclass(frozen=True, slots=True)
class Explored:
    """What a search found. ``broken``: the property, "" where none; ``trail``: the steps that break it."""

    states: int
    broken: str
    trail: str
    seconds: float
    megabytes: float
    said: str


def explore(model: str, folder: Path, *, large: bool = False, seconds: int = 300) -> Explored:
    """Every state of the model, or the way to the first that breaks a property.

    ``large``: worth the time of a compiler that optimises.
    """
    missing = "GITKITCHEN_REQUIRE names spin, and spin or gcc is not installed"
    assert SPIN is not None, missing
    assert GCC is not None, missing
    (folder / "model.pml").write_text(model, encoding="utf-8")
    (folder / "model.pml.trail").unlink(missing_ok=True)

    def run(*argv: str) -> str:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == 0, f"{argv}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout + done.stderr

    written = run(SPIN, "-a", "model.pml")
    assert "Error" not in written, written
    flags = ["-O1" if large else "-O0", "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOCLAIM", f"-DMEMLIM={MEGABYTES}"]
    run(GCC, *flags, "-o", "pan", "pan.c")
    said = run("./pan", "-m20000", "-w22")
    assert "search depth too small" not in said, said
    assert "out of memory" not in said, said
    trail = ""
    if (folder / "model.pml.trail").exists():
        trail = run(SPIN, "-t", "-T", "model.pml")
    broken = re.search(r"assertion violated \(?(\w+)", said)
    if broken is None:
        broken = re.search(r"invalid (end) state \(at depth", said)
    states = re.search(r"([\d.e+]+) states, stored", said)
    megabytes = re.search(r"([\d.]+)\s+total actual memory usage", said)
    took = re.search(r"elapsed time ([\d.]+)", said)
    assert states, said
    assert bool(trail) == (broken is not None), said
    return Explored(
        int(float(states[1])),
        broken[1] if broken else "",
        trail,
        float(took[1]) if took else 0.0,
        float(megabytes[1]) if megabytes else 0.0,
        said,
    )
