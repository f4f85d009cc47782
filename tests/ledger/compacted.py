"""A ledger with some years in it, and its compaction, honest or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.ledger.host import BRANCH, Clone, git

from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.grafting import graft
from gitkitchen.ledger.layout import View
from gitkitchen.ledger.protocol import New
from gitkitchen.ledger.records import Record
from gitkitchen.plumbing import Plumbing

RUNS, SHOWN, MOVES = "runs/k_main/delays", "publications/k_main", "promotions/prod"
DAY = 86400.0
NOW = datetime.now(UTC).replace(microsecond=0)


def run(days: float, **more: Any) -> dict[str, Any]:
    """A run's record of so many days ago."""
    at = NOW - timedelta(days=days)
    return {"run": f"{at:%Y%m%dT%H%M%S}000Z-abc", "recipe": "delays", "finished": at.isoformat(), **more}


def publication(days: float, *datasets: str, **more: Any) -> dict[str, Any]:
    values = {name: {"fingerprint": f"{name}-{days}"} for name in datasets}
    return {"run": run(days)["run"], "recipe": "delays", "datasets": values, **more}


def years(ledger: BranchLedger, days: Iterable[float] = (800, 700, 600, 500, 300, 100, 1)) -> list[Record]:
    """Runs and publications of so many days ago, in one commit; then a landing that names the second run."""
    entries = [New("kitchens/k_main", {"kind": "birth", "environment": "prod"})]
    for number, ago in enumerate(days):
        entries.append(New(SHOWN, publication(ago, "b", *(("a",) if number % 3 == 0 else ()))))
        entries.append(New(RUNS, run(ago)))
    made = ledger.append_together(entries)
    second = [r for r in made if r.stream == RUNS][1]
    tip = ledger.view().tip
    landing = {"move": "landing", "commit": "c" * 40, "ledger": tip, "evidence": [{"record": second.id}]}
    return [*made, *ledger.append_together([New(MOVES, landing)])]


def whole(ledger: BranchLedger) -> dict[str, list[Record]]:
    return {stream: list(ledger.read(stream)) for stream in ledger.streams()}


def forged(clone: Clone, base: str, files: Mapping[str, bytes | None]) -> str:
    """Push over the branch: a commit without a parent, that is ``base`` with these files changed."""
    plumbing = Plumbing(clone.root)
    commit = graft(plumbing, View(plumbing.objects(), base), files, "x\n", root=True)
    git(clone.root, "push", "-q", "--force", "origin", f"{commit}:refs/heads/{BRANCH}")
    return commit
