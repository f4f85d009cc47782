"""Run a script in a process of its own and kill it with -9 at a random moment of its work."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path


def kill_at_random(script: str, *words: str | Path, seed: int, within: float) -> None:
    """Start ``script``; once it has printed a line, wait a random while and kill it without warning."""
    chance = random.Random(seed)
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words), str(seed)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "go\n"
        time.sleep(chance.uniform(0, within))
        process.kill()
        code = process.wait()
    assert code == -signal.SIGKILL, f"it ended before it was killed: {code}"
