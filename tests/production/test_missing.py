"""What schedules missed is read from the ledger by whoever comes next, and is over when a run passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.alerts.shapes import What
from gitkitchen.kitchen.identity import environment_namespace
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.model import Environment, Project
from gitkitchen.production.missing import schedules_seen

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
PROD = Environment("prod", "main")


class World:
    def __init__(self, folder: Path) -> None:
        self.ledger = FolderLedger(folder)
        self.project = Project(folder, "shop", "0123456789abcdef", (PROD,))

    def told(self, kind: str, days: int) -> None:
        body = {"kind": kind, "at": NOW.isoformat(), "interval": self.day(days), "reason": f"{kind}!"}
        self.ledger.append("schedules/prod/r.daily", body)

    def ran(self, days: int, **more: Any) -> None:
        body = {"run": f"run-{days}", "variation": "daily", "verdict": "passed", "interval": self.day(days)}
        body["publication"] = {"state": "published"}
        namespace = environment_namespace(self.project, PROD)
        self.ledger.append(f"runs/{namespace}/r", {**body, **more})

    def day(self, days: int) -> list[str]:
        return [(NOW - timedelta(days=days + n)).isoformat() for n in (1, 0)]

    def seen(self) -> list[tuple[What, datetime]]:
        found = schedules_seen(self.ledger, self.project, "prod", NOW)
        return [(h.event, h.at) for h in found]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_is_scheduled_and_nothing_is_said(world: World) -> None:
    """Without a stream of schedules no record of a run is read."""
    world.ran(1)
    assert world.seen() == []


def test_what_was_missed_is_told_and_the_run_after_it_ends_it(world: World) -> None:
    """A missed interval and inputs that did not come, each at its time; the newest run that readers got."""
    world.told("begun", 5)
    world.told("missed", 3)
    world.told("input_not_ready", 2)
    world.ran(4)
    world.ran(1)
    assert world.seen() == [
        (What.SCHEDULE_MISSED, NOW - timedelta(days=3)),
        (What.INPUT_NOT_READY, NOW - timedelta(days=2)),
        (What.RECOVERED, NOW - timedelta(days=1)),
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"verdict": "failed"},
        {"variation": "strict"},
        {"interval": None},
        {"publication": {"state": "not_asked"}},
    ],
    ids=["failed", "another", "no-interval", "candidate"],
)
def test_only_a_run_of_its_own_ends_it(world: World, more: dict[str, Any]) -> None:
    """A run that failed, of another variation, for no interval, or that nobody reads, ends nothing."""
    world.told("missed", 3)
    world.ran(1, **more)
    assert [event for event, _ in world.seen()] == [What.SCHEDULE_MISSED]


def test_what_is_long_ago_is_not_told_again(world: World) -> None:
    """The records of last month are still there; who reads them tells nobody anew."""
    world.told("missed", 30)
    world.ran(20)
    assert world.seen() == []
