"""The table of runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gitkitchen.report.history import as_document, as_text

ROW: dict[str, Any] = {
    "run": "20261121T051703Z-4f2a9c",
    "recipe": "delays",
    "variation": "daily",
    "subject": {"commit": "a1b2c3d4e5", "tree": "ffff", "dirty": True},
    "verdict": "failed",
    "started": "2026-11-21T05:17:03+00:00",
    "finished": "2026-11-21T05:19:08.5+00:00",
    "publication": {"state": "withheld", "sequence": None},
    "nodes": {"passed": ["a", "b"], "failed": ["c"], "reused": ["d"] * 1200},
    "tests": {"passed": 20, "failed": 1, "error": 1},
}


def test_a_run_is_a_line(golden: Callable[[str, str], None]) -> None:
    """When, what, how it ended, how long, and what consumers got."""
    good = ROW | {
        "verdict": "passed",
        "variation": None,
        "publication": {"state": "published", "sequence": 4},
    }
    golden("history.txt", as_text([ROW, good]) + "\n")
    first, second = as_text([ROW, good]).splitlines()[1:]
    assert "delays (daily)  ✗ failed  1,203 (1 failed)  22 (2 failed)   2 min 06 s  no" in first
    assert second.endswith("yes, 4     a1b2c3d+")


def test_no_runs_say_how_to_make_one() -> None:
    """An empty ledger is no empty screen."""
    assert as_text([]) == "no runs yet: gitkitchen run makes the first"


def test_records_of_another_time_are_shown_as_far_as_they_go() -> None:
    """A record that lacks fields or holds odd ones is a line all the same, and safe for the terminal."""
    odd = {
        "run": "r\x1b[2J",
        "verdict": "splendid",
        "started": "soon",
        "nodes": 3,
        "tests": [],
        "subject": None,
    }
    line = as_text([odd, {}]).splitlines()[1]
    assert line.split() == ["r\\x1b[2J", "-", "splendid", "-", "-", "-", "-", "-"]
    assert len(as_text([ROW], width=60).splitlines()[1]) == 60


def test_history_as_a_document() -> None:
    """Machines get the records as the ledger holds them."""
    assert as_document([ROW]) == {"version": 1, "runs": [ROW]}
