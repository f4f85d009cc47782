"""What a ledger on a branch costs: bytes of its objects once Git has packed them, and how fast they grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from gitkitchen.frozen import dataclass
from gitkitchen.ledger.gaps import Compaction
from gitkitchen.ledger.layout import View
from gitkitchen.ledger.viewing import compactions
from gitkitchen.plumbing import Plumbing

BUDGET = 12_000_000
"""Bytes that a ledger is meant to grow by in a year of hourly runs, once `git gc` has packed it."""
YEAR = 365.25 * 86400.0
LEAST = 7 * 86400.0
"""Seconds that a branch must have grown for before anything is said of a year."""


@dataclass(frozen=True, slots=True)
class Size:
    """``records`` and ``bytes`` by the first part of their streams' names; of ``bytes`` also ``folders``,
    ``commits`` and ``leases``. ``since``: when the branch began, or began anew. ``growth``: bytes a year,
    None where it has not grown for long enough to say so."""

    records: Mapping[str, int]
    bytes: Mapping[str, int]
    commits: int
    since: datetime | None
    growth: float | None
    compactions: tuple[Compaction, ...]

    @property
    def total(self) -> int:
        return sum(self.bytes.values())

    @property
    def over(self) -> bool:
        """Whether it grows faster than it is meant to."""
        return self.growth is not None and self.growth > BUDGET


def left(git: Plumbing, commit: str) -> int:
    """The bytes of what a commit holds."""
    return sum(size for _, size in git.packed(commit).values())


def measure(git: Plumbing, view: View, now: datetime) -> Size:
    """The size of a state whose objects are here."""
    if view.tip is None:
        return Size({}, {}, 0, None, None, ())
    records: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    commits = 0
    packed, paths = git.packed(view.tip), git.reached(view.tip)
    for oid, (kind, size) in packed.items():
        first = paths.get(oid, "").partition("/")[0]
        if kind == "blob" and not first.startswith("@"):
            records[first] += 1
        commits += kind == "commit"
        sizes[{"commit": "commits", "tree": "folders"}.get(kind, first.lstrip("@"))] += size
    roots, _ = git.odd_commits(view.tip)
    since = datetime.fromtimestamp(git.time_of(roots[-1]), UTC)
    span = (now - since).total_seconds()
    begun = git.reached(roots[-1])
    grown = sum(size for oid, (_, size) in packed.items() if oid not in begun)
    growth = grown / span * YEAR if span >= LEAST else None
    return Size(dict(records), dict(sizes), commits, since, growth, compactions(view))
