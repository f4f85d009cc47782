"""Validates projects one by one, each in a process of its own that may use little time and memory.

Called as ``python limited.py FOLDER…``; prints one JSON list, a result for each folder. What is measured
is the validation: Python and the libraries are loaded before, once for all.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from pathlib import Path

import gitkitchen.document.check
import gitkitchen.document.yaml12
import gitkitchen.recipe.validation  # noqa: F401
from gitkitchen.recipe.load import validate_project

CPU_SECONDS = 2
MEMORY = 256 * 2**20


def validated(folder: str) -> dict[str, object]:
    """The problems that a limited process finds, and what it cost."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        if sys.platform == "linux":  # elsewhere the limit is not enforced; the peak below is
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        result: dict[str, object] = {}
        try:
            result["problems"] = [
                [str(p.place or ""), p.message, p.hint, p.code] for p in validate_project(Path(folder))
            ]
        except BaseException:  # noqa: BLE001 - what a user would see as a traceback
            result["traceback"] = traceback.format_exc()
        with os.fdopen(writing, "w") as out:
            json.dump(result, out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status, usage = os.wait4(child, 0)
    known = json.loads(text) if text else {"traceback": f"killed by signal {os.WTERMSIG(status)}"}
    peak = usage.ru_maxrss * (1024 if sys.platform == "linux" else 1)
    return {**known, "peak": peak, "cpu": usage.ru_utime + usage.ru_stime}


if __name__ == "__main__":
    json.dump([validated(folder) for folder in sys.argv[1:]], sys.stdout)
