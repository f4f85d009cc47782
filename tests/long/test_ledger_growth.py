"""What a year of hourly runs costs in a packed repository: the figures of docs/ledger.md, with a bound."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.ledger import quick

from gitkitchen.data.catalog import FILLED
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.protocol import New

pytestmark = pytest.mark.long
RUNS = 1000
COMPACTED = 480
KITCHEN = "k_main_0123456789ab"


def run(ledger: BranchLedger, number: int, nodes: int, changed: int, draw: random.Random) -> None:
    """One hour's run, as `flow` writes it: its publication and its record in one commit, under no lease."""
    begun = quick.CLOCK.now
    name = f"{begun:%Y%m%dT%H%M%S}123Z-{draw.randbytes(3).hex()}"
    names = [f"dataset_{n:02d}" for n in range(nodes)]
    days = random.Random(begun.toordinal())  # a new tree every day
    subject = {"commit": days.randbytes(20).hex(), "tree": days.randbytes(20).hex(), "dirty": False}
    ended = begun + timedelta(seconds=round(draw.random() * 60, 6))
    digests = {d: {k: draw.randbytes(32).hex() for k in ("content", "fingerprint")} for d in names[:changed]}
    publication = {
        "kind": "publication",
        "recipe": "delays",
        "run": name,
        "fence": 0,
        "read": number,
        "subject": {"branch": "main", "repository": "", **subject},
        "datasets": digests,
        "filling": "." * (300 + 80 * min(changed, FILLED)),
    }
    record = {
        "run": name,
        "recipe": "delays",
        "variation": None,
        "kitchen": {"repository": "", "branch": "main", "birth": 1},
        "subject": subject,
        "verdict": "passed",
        "started": begun.isoformat(),
        "finished": ended.isoformat(),
        "publication": {"state": "published" if changed else "unchanged", "sequence": number + 1},
        "nodes": {"passed": names[:changed], "reused": names[changed:]},
        "tests": {"passed": nodes * 3},
        "failing": [],
        "outcome": draw.randbytes(32).hex(),
        "event": "workflow_dispatch",
        "interval": [begun.isoformat(), (begun + timedelta(hours=1)).isoformat()],
        "built": {},
    }
    with ledger.lease(f"{KITCHEN}/delays", name, late=True) as held:
        if changed:
            entries = [
                New(f"publications/{KITCHEN}", publication, number),
                New(f"runs/{KITCHEN}/delays", record),
            ]
            ledger.append_together(entries, under=held, last=True)
        else:
            ledger.deposit(f"runs/{KITCHEN}/delays", record)


@pytest.mark.parametrize(
    ("nodes", "changed", "most"),
    [(12, 12, 2450), (12, 3, 1750), (12, 0, 900), (40, 10, 2300)],
    ids=["12 of 12", "3 of 12", "none of 12", "10 of 40"],
)
def test_a_run_costs_what_the_docs_say(
    tmp_path: Path, monkeypatch: Any, nodes: int, changed: int, most: int
) -> None:
    """After `git gc`, with history: bytes a run, of records, folders and commits; one commit a run."""
    draw = random.Random(nodes * 100 + changed)
    runs = RUNS if (nodes, changed) == (12, 12) else RUNS // 4
    folder = tmp_path / "repo"
    ledger = quick.open_quick(folder, monkeypatch)
    for number in range(runs):
        quick.CLOCK.now = quick.START + timedelta(hours=number)
        run(ledger, number, nodes, changed, draw)
    assert ledger.head(f"runs/{KITCHEN}/delays") == runs
    cost = quick.packed(folder) / runs
    print(f"{nodes} nodes, {changed} changed: {cost:.0f} bytes a run")
    assert cost <= most, f"{cost:.0f} bytes a run: {quick.where(folder)}"


@pytest.mark.parametrize(
    ("changed", "closed", "kept"),
    [(12, 1800, 1800), (3, 800, 850), (0, 350, 350)],
    ids=["12 of 12", "3 of 12", "none of 12"],
)
def test_a_run_costs_less_once_it_is_compacted(
    tmp_path: Path, monkeypatch: Any, changed: int, closed: int, kept: int
) -> None:
    """Bytes a run that is kept, after `git gc`: with history closed, and where the older ones were removed,
    too. What was written before the moment of retention costs nothing but its statement."""
    draw = random.Random(changed)
    folder = tmp_path / "repo"
    ledger = quick.open_quick(folder, monkeypatch)
    for number in range(COMPACTED):
        quick.CLOCK.now = quick.START + timedelta(hours=number)
        run(ledger, number, 12, changed, draw)
    grown = quick.packed(folder) / COMPACTED
    ledger.compact("ada", None, archived=False)
    alone = quick.packed(folder) / COMPACTED
    quick.CLOCK.now = quick.START + timedelta(hours=COMPACTED + 480)
    made = ledger.compact("ada", 30 * 86400.0, archived=False)
    assert made is not None
    left = len(list(ledger.read(f"runs/{KITCHEN}/delays")))
    assert left == 240, "ten days of the thirty are those of the runs, the rest came after them"
    after = quick.packed(folder) / left
    print(f"{changed} changed: {grown:.0f} bytes a run, closed {alone:.0f}, {left} kept {after:.0f} each")
    assert alone <= closed
    assert after <= kept
