"""The shape of a comparison: two sides, each dataset on both, and what that means to others. Pure values."""

from __future__ import annotations

from typing import Literal

from gitkitchen.data.diff_model import SchemaChange, TableDiff
from gitkitchen.frozen import dataclass
from gitkitchen.model import Version
from gitkitchen.plan.lineage import Hit

SideKind = Literal["environment", "sandbox", "run"]
State = Literal["identical", "changed", "added", "removed", "unreadable"]


@dataclass(frozen=True, slots=True)
class SideName:
    """One side, as people know it. ``tree``: the Git tree that its data came from, where it is known."""

    label: str
    kind: SideKind
    namespace: str
    run: str | None = None
    tree: str | None = None


@dataclass(frozen=True, slots=True)
class ControlChange:
    """A test, expectation or declaration that differs. ``weaker``: it now lets more pass than before."""

    what: str
    where: str
    change: str
    was: str = ""
    now: str = ""
    weaker: bool = False


@dataclass(frozen=True, slots=True)
class DatasetDiff:
    """One dataset on both sides. ``reasons`` say why it was built anew; ``data`` is None where not asked."""

    dataset: str
    state: State
    a: Version | None = None
    b: Version | None = None
    runs: tuple[str, str] = ("", "")
    node: str = ""
    owner: str = ""
    reasons: tuple[str, ...] = ()
    schema: tuple[SchemaChange, ...] = ()
    data: TableDiff | None = None
    public: tuple[str, ...] = ()
    key_change: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    note: str = ""

    @property
    def breaking(self) -> bool:
        return self.state == "removed" or self.key_change is not None or any(c.breaking for c in self.schema)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole answer. ``controls``: tests, expectations and declarations that are gone, new or weaker."""

    project: str
    a: SideName
    b: SideName
    datasets: tuple[DatasetDiff, ...]
    with_data: bool
    controls: tuple[ControlChange, ...] = ()
    reaches: tuple[Hit, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differing(self) -> tuple[DatasetDiff, ...]:
        return tuple(d for d in self.datasets if d.state != "identical")
