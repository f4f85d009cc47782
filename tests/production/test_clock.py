"""The clock on a forge: what is due is started on the environment's branch, each interval once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.automation import PRODUCTION
from gitkitchen.github.forge.faults import Fault
from gitkitchen.github.forge.state import Run
from gitkitchen.shipped import find
from shop import Said
from stage import Time
from town import LEDGER, Town, towned

PATH = f".github/workflows/{PRODUCTION}"
RECIPE = """\
version: 1
recipe: delays
variations:
  daily:
    environments: [prod]
    schedule: {cron: "17 5 * * *", timezone: America/New_York, catch_up: {most: 2}}
nodes:
  flights: {source: {file: data/flights.csv}, tests: [{not_null: [carrier]}]}
  late: {sql: late.sql, key: [carrier], tests: [{rows: {min: 1}}]}
"""
START = datetime(2026, 3, 6, 12, tzinfo=UTC)
HOUR, DAY = 3600, 86400


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    shipped = find("workflows/production.yml").read_text(encoding="utf-8")
    files = {PATH: shipped, "recipes/delays/recipe.yml": RECIPE}
    with towned(tmp_path, files, Time(now=START.timestamp())) as found:
        found.repo.workflow(PATH)
        yield found


def ticked(town: Town) -> Said:
    """An event of the clock on the default branch."""
    return town.job("schedule", town.repo.event("schedule", cron="7,37 * * * *"), "refs/heads/main")


def started(town: Town) -> list[Run]:
    """The runs that the clock started, the oldest first."""
    return [r for r in town.repo.repo.runs.values() if r.workflow.path == PATH]


def worked(town: Town, run: Run) -> Said:
    """A run that was started, to its end."""
    inputs = {name: str(value) for name, value in run.inputs.items()}
    ref = f"refs/heads/{run.branch}"
    event = town.repo.event("workflow_dispatch", workflow=PATH, ref=ref, inputs=inputs)
    said = town.job("workflow_dispatch", event, ref)
    run.status, run.conclusion = "completed", "success" if said.code == 0 else "failure"
    return said


def records(town: Town, prefix: str) -> list[dict[str, Any]]:
    if not town.git("for-each-ref", f"refs/heads/{LEDGER}"):
        return []
    listed = town.git("ls-tree", "-r", "--name-only", LEDGER).splitlines()
    found = [json.loads(town.git("show", f"{LEDGER}:{p}")) for p in listed if p.startswith(prefix)]
    return [r["body"] for r in sorted(found, key=lambda r: (r["stream"], r["sequence"]))]


def kinds(town: Town) -> list[str]:
    return [body["kind"] for body in records(town, "schedules/")]


def runs(town: Town) -> list[dict[str, Any]]:
    return [b for b in records(town, "runs/") if b.get("interval")]


def test_an_interval_is_started_once_and_runs_once(town: Town) -> None:
    """Events and dispatches that come twice, before and after the run: one start, one run."""
    assert ticked(town).code == 0
    assert kinds(town) == ["begun"]
    assert started(town) == []
    town.time.now += DAY
    assert "is started" in ticked(town).out
    assert ticked(town).code == 0
    (run,) = started(town)
    assert (run.branch, run.inputs["interval"]) == ("main", "2026-03-06T10:17Z--2026-03-07T10:17Z")
    assert worked(town, run).code == 0
    assert "it has ended" in worked(town, run).out
    assert ticked(town).code == 0
    assert len(started(town)) == 1
    (record,) = runs(town)
    assert record["verdict"] == "passed"
    assert record["variation"] == "daily"
    assert town.rows("prod", "select count(*) from late") == [(2,)]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["502-after", "reset-after", "503"])
def test_s10_a_lost_answer_starts_nothing_twice(town: Town, kind: str) -> None:
    """S10 (one dispatch became dozens of runs): a start without an answer is found by the key in its title,
    at once or by the next event."""
    ticked(town)
    town.time.now += DAY
    town.forge.desk.faults.append(Fault(kind, "POST", r"/dispatches$", times=1))
    ticked(town)
    assert ticked(town).code == 0
    assert len(started(town)) == 1


@pytest.mark.long
def test_s13_a_run_that_was_evicted_is_told_and_started_again(town: Town) -> None:
    """S13 (an evicted run never ended): the job that ended without a record is `died`, and a next one starts;
    after three the interval is missed."""
    ticked(town)
    town.time.now += DAY
    for number in (1, 2, 3, 3):
        ticked(town)
        assert len(started(town)) == number
        started(town)[-1].status, started(town)[-1].conclusion = "completed", "cancelled"
        town.time.now += HOUR
    assert kinds(town) == ["begun", "died", "died", "died", "missed"]


@pytest.mark.long
def test_s18_no_trigger_is_lost_silently(town: Town) -> None:
    """S18 (the queue dropped a run): intervals whose events never came are run, or superseded by a run that
    is named; every one has its end."""
    ticked(town)
    town.time.now += 5 * DAY
    ticked(town)
    first, second = started(town)
    assert worked(town, second).code == 0  # out of its turn: it waits for the one before
    assert runs(town) == []
    assert worked(town, first).code == 0
    ticked(town)
    assert [r.inputs["interval"][5:10] for r in started(town)] == ["03-09", "03-10", "03-10"]
    assert worked(town, started(town)[-1]).code == 0
    (over,) = [b for b in records(town, "schedules/") if b["kind"] == "superseded"]
    assert over["covered"] == runs(town)[0]["interval"]
    assert len(runs(town)) == 2


@pytest.mark.long
def test_whatever_comes_next_notices_a_clock_that_stopped(town: Town) -> None:
    """A push records the intervals as missed, each once; the clock that is back runs the newest."""
    ticked(town)
    town.time.now += 2 * DAY
    before = town.repo.head("develop")
    town.repo.commit("develop", {"b.txt": "b"}, author="olga")
    assert town.pushed("develop", before).code == 0
    assert kinds(town) == ["begun", "missed"]
    assert town.pushed("develop", before).code == 0
    assert kinds(town) == ["begun", "missed"]
    ticked(town)
    for run in list(started(town)):
        assert worked(town, run).code == 0
    assert [b["verdict"] for b in runs(town)] == ["passed", "passed"]


@pytest.mark.long
def test_the_clock_without_its_workflow_says_so(town: Town) -> None:
    """A branch that has no production workflow is named as what cannot be started; nothing is lost."""
    ticked(town)
    town.time.now += DAY
    town.repo.commit("main", {PATH: None}, author="olga")
    said = ticked(town)
    assert said.code == 3
    assert started(town) == []
    assert kinds(town) == ["begun"]
