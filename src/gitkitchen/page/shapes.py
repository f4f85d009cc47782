"""What the status page shows, as frozen values: the ledger's records, folded, and the project as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import zip_longest
from typing import Any, Literal

from gitkitchen.frozen import dataclass
from gitkitchen.history import Commit
from gitkitchen.model import Environment
from gitkitchen.page.kept import Kept
from gitkitchen.promote.moves import Course
from gitkitchen.promote.shapes import Move

Tone = Literal["good", "warn", "bad", "unknown"]
"""How something is. What is not known is ``unknown``, and never ``good``."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CONTENT = 12
"""Digits of a content's digest that are shown."""


@dataclass(frozen=True, slots=True)
class Health:
    """A tone, its word, and why, a sentence."""

    tone: Tone
    word: str
    why: str = ""


@dataclass(frozen=True)
class Run:
    """A record of a run: its body as the ledger holds it, read with care, for older versions wrote less."""

    record: str
    """The id of its record."""
    namespace: str
    recipe: str
    body: Mapping[str, Any]

    def apart(self) -> Run:
        """The same run, for one look at all of it: what is parsed of its body goes with it."""
        body = self.body
        return Run(self.record, self.namespace, self.recipe, body.whole()) if isinstance(body, Kept) else self

    def _map(self, key: str) -> Mapping[str, Any]:
        value = self.body.get(key)
        return value if isinstance(value, dict) else {}

    @cached_property
    def id(self) -> str:
        return str(self.body.get("run") or self.record[:16])

    @cached_property
    def variation(self) -> str:
        return str(self.body.get("variation") or "")

    @property
    def label(self) -> str:
        return f"{self.recipe} ({self.variation})" if self.variation else self.recipe

    @cached_property
    def started(self) -> datetime:
        return moment(self.body.get("started")) or EPOCH

    @cached_property
    def finished(self) -> datetime:
        return moment(self.body.get("finished")) or self.started

    @property
    def seconds(self) -> float:
        return max(0.0, (self.finished - self.started).total_seconds())

    @property
    def verdict(self) -> str:
        return str(self.body.get("verdict") or "")

    @property
    def commit(self) -> str:
        return str(self._map("subject").get("commit") or "")

    @property
    def tree(self) -> str:
        return str(self._map("subject").get("tree") or "")

    @property
    def dirty(self) -> bool:
        return bool(self._map("subject").get("dirty"))

    @property
    def branch(self) -> str:
        return str(self._map("kitchen").get("branch") or "")

    @property
    def event(self) -> str:
        return str(self.body.get("event") or "")

    @cached_property
    def interval(self) -> tuple[datetime, datetime] | None:
        value = self.body.get("interval")
        if not isinstance(value, list) or len(value) != 2:
            return None
        start, end = moment(value[0]), moment(value[1])
        return (start, end) if start and end else None

    @property
    def late(self) -> float | None:
        """Seconds from the end of its interval to its start; None for a run of no interval."""
        return max(0.0, (self.started - self.interval[1]).total_seconds()) if self.interval else None

    @property
    def published(self) -> str:
        """``published``, ``unchanged``, ``withheld``, ``not_asked``, or "" where it is not told."""
        return str(self._map("publication").get("state") or "")

    @property
    def withheld(self) -> str:
        return str(self._map("publication").get("reason") or "")

    @property
    def sequence(self) -> int | None:
        value = self._map("publication").get("sequence")
        return value if isinstance(value, int) else None

    @cached_property
    def states(self) -> dict[str, str]:
        """Node -> state, in the order of the record's columns."""
        found: dict[str, str] = {}
        for state, names in sorted(self._map("nodes").items()):
            for name in names if isinstance(names, list) else ():
                found[str(name)] = str(state)
        return found

    @cached_property
    def times(self) -> dict[str, tuple[float, float]]:
        """Node -> seconds from the run's start, and seconds that it took; empty where it is not told."""
        at, took = self._numbers("at"), self._numbers("took")
        if not took:
            return {}
        pairs = zip_longest(self.states, at, took, fillvalue=0)
        return {str(n): (float(a), float(t)) for n, a, t in pairs if isinstance(n, str)}

    def _numbers(self, key: str) -> list[float]:
        value = self.body.get(key)
        return [v if isinstance(v, int | float) else 0 for v in value] if isinstance(value, list) else []

    @cached_property
    def tries(self) -> Mapping[str, int]:
        return {k: v for k, v in self._map("tries").items() if isinstance(v, int)}

    @cached_property
    def rows(self) -> Mapping[str, float]:
        return _figures(self._map("rows"))

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        return _figures(self._map("metrics"))

    @cached_property
    def tests(self) -> Mapping[str, int]:
        return {k: v for k, v in self._map("tests").items() if isinstance(v, int)}

    @cached_property
    def failing(self) -> tuple[Mapping[str, Any], ...]:
        """Tests that failed or could not be evaluated: ``id``, ``state``, ``severity``, what they said."""
        value = self.body.get("failing")
        return tuple(t for t in value if isinstance(t, dict)) if isinstance(value, list) else ()

    def node_of(self, test: str) -> str:
        """The node that a test is of, by its id: ``node/phase/kind(arguments)``."""
        first = test.partition("/")[0]
        if first in self.states:
            return first
        return max((n for n in self.states if test.startswith(f"{n}/")), key=len, default=first)

    @cached_property
    def failed(self) -> Mapping[str, Mapping[str, Any]]:
        """Node -> why it did not pass."""
        return {k: v for k, v in self._map("failed").items() if isinstance(v, dict)}

    @property
    def url(self) -> str:
        value = str(self.body.get("url") or "")
        return value if value.startswith(("https://", "http://")) else ""

    @property
    def whole(self) -> bool:
        """Whether all of the recipe was asked for."""
        return not self.body.get("parts")

    @property
    def green(self) -> bool:
        return self.verdict == "passed"

    @cached_property
    def warned(self) -> bool:
        """It passed, and a test warns, or a failure of one was waived."""
        return any(t.get("severity") == "warn" or t.get("waived") for t in self.failing)


def _figures(value: Mapping[str, Any]) -> dict[str, float]:
    return {k: v for k, v in value.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def moment(value: object) -> datetime | None:
    """A time of a record; None where it is none. One without a zone is UTC."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KitchenEntry:
    """A kitchen of the registry. ``environment`` is "" for a sandbox; ``ended`` why it ended, or ""."""

    namespace: str
    label: str
    branch: str
    environment: str = ""
    born: datetime | None = None
    ended: str = ""


GONE = "-"
"""Stands for the content of a dataset that was removed."""


@dataclass(frozen=True, slots=True)
class Contents(Mapping[str, str | None]):
    """Dataset -> content (None: removed), as two texts that are taken apart where somebody asks: publications
    of a recipe name the same datasets over and over."""

    names: tuple[str, ...]
    said: str

    @classmethod
    def of(cls, names: str, said: str) -> Contents:
        return cls(_names(names), said)

    @property
    def removes(self) -> bool:
        return f"\n{GONE}\n" in f"\n{self.said}\n"

    def __getitem__(self, dataset: str) -> str | None:
        try:
            found = self.said.split("\n")[self.names.index(dataset)]
        except ValueError:
            raise KeyError(dataset) from None
        return None if found == GONE else found

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@lru_cache(maxsize=10_000)
def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication of a kitchen: the datasets that moved, with their content (None: removed)."""

    sequence: int
    run: str
    at: datetime
    recipe: str
    datasets: Mapping[str, str | None]
    landing: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        found = self.datasets
        return found.names if isinstance(found, Contents) else tuple(found)

    @property
    def removes(self) -> bool:
        """Whether it takes a dataset away."""
        found = self.datasets
        return found.removes if isinstance(found, Contents) else None in found.values()


@dataclass(frozen=True, slots=True)
class Moved:
    """A move of an environment, and the number of its record."""

    number: int
    record: str
    move: Move


@dataclass(frozen=True, slots=True)
class Way:
    """What stands in the source of an environment and not yet in it. ``known`` False: Git could not tell."""

    source: str
    commits: tuple[Commit, ...] = ()
    more: int = 0
    known: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """An environment as it is: its course by the ledger, and its branch by Git ("" where there is none)."""

    environment: Environment
    namespace: str
    course: Course
    moves: tuple[Moved, ...] = ()
    tip: str = ""
    subject: str = ""
    """The first line of the live commit's message."""
    way: Way | None = None
    publications: tuple[Publication, ...] = ()

    @property
    def name(self) -> str:
        return self.environment.name

    @property
    def live(self) -> str:
        """The commit that is live."""
        return self.course.tip or self.tip


@dataclass(frozen=True, slots=True)
class Alert:
    """An incident of the alerts, folded: one failing thing, from its opening to its end."""

    id: str
    environment: str
    recipe: str
    about: str
    event: str
    severity: str
    owner: str
    said: str
    opened: datetime
    updated: datetime
    closed: datetime | None = None
    updates: int = 0
    run: str = ""
    last: str = ""
    """The run that it was seen in last."""
    commit: str = ""
    reproduce: str = ""
    runbook: str = ""
    told: tuple[str, ...] = ()
    """The channels that were told."""


@dataclass(frozen=True, slots=True)
class Said:
    """A record of a schedule: an interval was missed or superseded, somebody paused it, and so on."""

    environment: str
    recipe: str
    variation: str
    kind: str
    at: datetime
    by: str
    reason: str
    interval: str


@dataclass(frozen=True, slots=True)
class TestFact:
    """A declared test, in words."""

    __test__ = False

    id: str
    name: str
    kind: str
    severity: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class NodeFact:
    """A node as declared. ``reads``: dataset -> the node of the recipe that makes it, or None (another's)."""

    name: str
    kind: str
    owner: str
    description: str
    runbook: str
    file: str
    datasets: tuple[str, ...]
    reads: Mapping[str, str | None]
    after: tuple[str, ...]
    tests: tuple[TestFact, ...]
    key: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    lineage: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """dataset -> column -> ``dataset.column`` that it comes from; empty where that cannot be told."""
    unknown: str = ""
    """Why the lineage of its columns cannot be told."""


@dataclass(frozen=True, slots=True)
class RecipeFact:
    """A recipe as it is checked out. ``problem``: why it cannot be read; its nodes are then not known."""

    name: str
    description: str = ""
    owner: str = ""
    file: str = ""
    nodes: tuple[NodeFact, ...] = ()
    variations: Mapping[str, str] = field(default_factory=dict)
    """Name -> what its schedule says, or ""."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Excuse:
    """A waiver of the checked-out tree. ``void``: why it does not count today, or ""."""

    file: str
    recipe: str
    node: str
    rule: str
    reason: str
    approver: str
    expires: str
    void: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """All that the page shows, at one moment. ``made``: when; ``stale``: from when on it is not to be
    trusted. ``runs``: of every kitchen, the oldest first."""

    project: str
    title: str
    url: str
    made: datetime
    stale: datetime
    since: datetime
    """What began before it is no more shown in lists and histories; its own page stays."""
    commit: str
    places: tuple[Place, ...]
    runs: tuple[Run, ...]
    recipes: tuple[RecipeFact, ...]
    kitchens: tuple[KitchenEntry, ...] = ()
    alerts: tuple[Alert, ...] = ()
    schedules: tuple[Said, ...] = ()
    waivers: tuple[Excuse, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    """Incident -> what people wrote of it, as Markdown."""
    columns: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Dataset -> columns with their types, as published last, where the store could tell."""
    log: Mapping[str, tuple[Commit, ...]] = field(default_factory=dict)
    """Environment -> what its branch stood on, the newest first, as far as this clone has it."""
    written: Mapping[str, datetime] = field(default_factory=dict)
    """Commit -> when it was written, of those that landed."""
    lacks: tuple[str, ...] = ()
    """What could not be read, a sentence each."""
    removed: Mapping[str, datetime] = field(default_factory=dict)
    """Stream that compactions removed records from -> the moment before which these were dated."""
    version: str = ""
