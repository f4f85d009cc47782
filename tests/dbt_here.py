"""Where a real dbt is for tests: DBT_PYTHON names its Python, or `dbt` is on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest

VARIABLE = "DBT_PYTHON"
"""The Python of a virtual environment with dbt-core and dbt-duckdb."""


def required() -> bool:
    return "dbt" in os.environ.get("GITKITCHEN_REQUIRE", "").replace(",", " ").split()


@cache
def dbt_python() -> str | None:
    """A Python with dbt-core and dbt-duckdb; None where there is none."""
    command = shutil.which("dbt")
    beside = os.path.join(os.path.dirname(command), "python") if command else None  # noqa: PTH118, PTH120
    for python in filter(None, (os.environ.get(VARIABLE), beside)):
        words = [python, "-c", "import dbt.cli.main, dbt.adapters.duckdb"]
        if shutil.which(python) and not subprocess.run(words, capture_output=True, check=False).returncode:
            return python
    return None


def need_dbt() -> str:
    """The Python of a real dbt. Skips the test, visibly, where there is none and none is required."""
    python = dbt_python()
    if python is None:
        assert not required(), "GITKITCHEN_REQUIRE names dbt, and there is no dbt-core with dbt-duckdb"
        pytest.skip(f"no dbt-core with dbt-duckdb: put `dbt` on the PATH, or name its Python in {VARIABLE}")
    return python
