"""Catalogs: folded from the ledger, overlaid on a base, moved by compare-and-swap alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.data.catalog import load_catalog, publish, stream_of
from gitkitchen.errors import Conflict, Infrastructure
from gitkitchen.kitchen.identity import namespace
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.model import Catalog, Environment, Kitchen, Project, Published, Subject

ID = "0123456789abcdef"
SUBJECT = Subject(None, "0" * 40)


def entry(dataset: str, version: int = 1, recipe: str = "r") -> Published:
    return Published(dataset, f"f{version}", f"c{version}", recipe, f"n_{dataset}", f"run{version}", 0)


@dataclass
class Desk:
    """A ledger with an environment and a sandbox on it."""

    root: Path
    project: Project = field(init=False)
    prod: Kitchen = field(init=False)
    branch: Kitchen = field(init=False)

    def __post_init__(self) -> None:
        self.project = Project(self.root, "shop", ID, (Environment("prod", "main"),), "prod")
        self.prod = Kitchen(ID, "", "main", namespace(ID, "", "main"), "prod")
        self.branch = Kitchen(ID, "", "fix", namespace(ID, "", "fix"), None, "prod")

    @property
    def ledger(self) -> FolderLedger:
        return FolderLedger(self.root / "ledger")

    def publish(self, patch: Mapping[str, Published | None], **more: Any) -> Catalog:
        kitchen = more.pop("kitchen", self.prod)
        values = {"recipe": "r", "run": "run1", "fence": 1, "subject": SUBJECT}
        values |= {"read_sequence": load_catalog(self.ledger, self.project, kitchen).sequence}
        return publish(self.ledger, self.project, kitchen, patch=patch, **(values | more))

    def load(self, kitchen: Kitchen | None = None) -> Catalog:
        return load_catalog(self.ledger, self.project, kitchen or self.prod)

    def cache(self) -> Path:
        return self.project.state / "cache/catalogs" / f"{self.prod.namespace}.json"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """An empty ledger and its project."""
    return Desk(tmp_path)


def shown(catalog: Catalog) -> dict[str, str]:
    return {name: e.fingerprint for name, e in catalog.entries.items()}


# --- folding --------------------------------------------------------------------------------------


def test_an_empty_ledger_is_an_empty_catalog(desk: Desk) -> None:
    """Before the first publication there is nothing, and nothing is written to find that out."""
    assert desk.load() == Catalog(desk.prod.namespace)
    assert not desk.project.state.exists()


def test_a_publication_is_a_patch(desk: Desk) -> None:
    """Each publication moves its own datasets; entries know their recipe, run and sequence."""
    desk.publish({"a": entry("a"), "b": entry("b")})
    desk.publish({"b": entry("b", 2, "other"), "c": entry("c", 2, "other")}, recipe="other", run="run2")
    made = desk.publish({"c": None}, recipe="other", run="run3")
    assert made == desk.load()
    assert made.sequence == 3
    assert shown(made) == {"a": "f1", "b": "f2"}
    assert made.entries["b"] == Published("b", "f2", "c2", "other", "n_b", "run2", 2)


def test_a_sandbox_overlays_its_base(desk: Desk) -> None:
    """A sandbox sees its base's datasets but for its own and those it removed; its base sees none of it."""
    desk.publish({"a": entry("a"), "b": entry("b"), "c": entry("c")})
    desk.publish({"b": entry("b", 2), "c": None, "d": entry("d", 2)}, kitchen=desk.branch)
    catalog = desk.load(desk.branch)
    assert shown(catalog) == {"a": "f1", "b": "f2", "d": "f2"}
    assert {name: e.fingerprint for name, e in catalog.pinned.items()} == {"a": "f1", "b": "f1", "c": "f1"}
    assert catalog.sequence == 1
    assert shown(desk.load()) == {"a": "f1", "b": "f1", "c": "f1"}
    desk.publish({"a": entry("a", 3), "b": entry("b", 3), "c": entry("c", 3)})
    assert shown(desk.load(desk.branch)) == {"a": "f3", "b": "f2", "d": "f2"}
    desk.publish({"c": entry("c", 4)}, kitchen=desk.branch)
    assert shown(desk.load(desk.branch))["c"] == "f4"


patches = st.lists(
    st.tuples(
        st.booleans(),
        st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 9), min_size=1),
        st.booleans(),
    ),
    max_size=8,
)


@given(patches)
@settings(max_examples=30)
def test_any_history_folds_as_the_obvious_reference(tmp_path_factory: Any, history: Any) -> None:
    """Base and sandbox, with and without the cache, equal dictionaries that are updated in order."""
    desk = Desk(tmp_path_factory.mktemp("catalog"))
    base: dict[str, int | None] = {}
    own: dict[str, int | None] = {}
    for in_base, patch, forget in history:
        (base if in_base else own).update(patch)
        values = {d: None if v is None else entry(d, v) for d, v in patch.items()}
        run = f"run{len(list(desk.root.rglob('0*.json')))}"
        desk.publish(values, kitchen=desk.prod if in_base else desk.branch, run=run)
        if forget:
            desk.cache().unlink(missing_ok=True)
    assert shown(desk.load()) == {d: f"f{v}" for d, v in base.items() if v is not None}
    assert shown(desk.load(desk.branch)) == {d: f"f{v}" for d, v in {**base, **own}.items() if v is not None}


# --- the cache ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"version": 1, "sequence": 1, "entries": {"a": {"x": 1}}}',
        b'{"version": 1, "sequence": "x", "last": "", "entries": {}}',
        b'{"version": 1, "sequence": 7, "last": "", "entries": {}}',
        b'{"version": 1, "sequence": 2, "last": "", "entries": {}}',
        b'{"version": 1, "sequence": -1, "last": "", "entries": {}}',
        b'{"version": 1, "sequence": 2, "entries": {}}',
        json.dumps({"sequence": 0, "last": "", "entries": {"z": asdict(entry("z"))}}).encode(),
    ],
)  # fmt: skip
def test_a_damaged_cache_is_ignored(desk: Desk, damage: bytes) -> None:
    """Whatever lies in the cache, the catalog is what the ledger says."""
    desk.publish({"a": entry("a")})
    expected = desk.publish({"b": entry("b", 2)}, run="run2")
    desk.cache().write_bytes(damage)
    assert desk.load() == expected
    assert desk.load() == expected


@pytest.mark.parametrize("longer", [False, True])
def test_a_cache_of_another_ledger_is_ignored(desk: Desk, longer: bool) -> None:
    """After the ledger was replaced, shorter, equal or longer, nothing of the old one is seen."""
    desk.publish({"a": entry("a")})
    desk.publish({"b": entry("b")}, run="run2")
    (desk.root / "ledger").rename(desk.root / "old")
    for number in range(3 if longer else 2):
        other = Desk(desk.root / "elsewhere")
        other.publish({"c": entry("c", number)}, run=f"other{number}")
    (desk.root / "elsewhere/ledger").rename(desk.root / "ledger")
    assert set(desk.load().entries) == {"c"}


def test_the_cache_saves_reading(desk: Desk) -> None:
    """What was folded is not read again: only the last folded record and what follows must be sound."""
    for number in range(5):
        desk.publish({"a": entry("a", number)}, run=f"run{number}")
    first = next((desk.root / "ledger").rglob("000000001.json"))
    first.chmod(0o644)
    first.write_text("damaged")
    assert shown(desk.load()) == {"a": "f4"}
    desk.cache().unlink()
    with pytest.raises(Infrastructure, match=r"record 1 of stream .* is damaged"):
        desk.load()


# --- compare and swap -----------------------------------------------------------------------------


def test_a_publication_in_between_of_the_same_dataset_is_a_conflict(desk: Desk) -> None:
    """Who started before another published the same dataset changes nothing, and is told who did."""
    desk.publish({"a": entry("a", 2)}, run="winner")
    before = {p: p.read_bytes() for p in (desk.root / "ledger").rglob("*") if p.is_file()}
    with pytest.raises(Conflict, match="run winner published a since this run of 'r' began") as caught:
        desk.publish({"a": entry("a", 3), "b": entry("b", 3)}, run="loser", read_sequence=0)
    assert caught.value.problems[0].hint
    assert {p: p.read_bytes() for p in (desk.root / "ledger").rglob("*") if p.is_file()} == before
    assert shown(desk.load()) == {"a": "f2"}


def test_a_publication_in_between_of_other_datasets_is_fine(desk: Desk) -> None:
    """Recipes run side by side: only what is written is compared."""
    desk.publish({"a": entry("a", 2)}, run="first", recipe="one")
    made = desk.publish({"b": entry("b", 3)}, run="second", recipe="two", read_sequence=0)
    assert shown(made) == {"a": "f2", "b": "f3"}


def test_removing_counts_as_writing(desk: Desk) -> None:
    """A dataset that somebody removed meanwhile is not silently put back."""
    desk.publish({"a": entry("a")})
    desk.publish({"a": None}, run="remover")
    with pytest.raises(Conflict, match="run remover published a"):
        desk.publish({"a": entry("a", 2)}, run="loser", read_sequence=1)


def test_publishing_again_commits_nothing_more(desk: Desk) -> None:
    """A publication that was committed, and whose answer was lost, is not a second record."""
    made = desk.publish({"a": entry("a")}, run="run1")
    again = desk.publish({"a": entry("a")}, run="run1", read_sequence=0)
    assert again == made
    assert desk.ledger.head(stream_of(desk.prod.namespace)) == 1


def test_of_two_that_were_late_with_one_lease_the_first_publishes(desk: Desk) -> None:
    """Under the same fence a recipe is published once after what was read, whichever datasets it moves."""
    desk.publish({"a": entry("a")}, run="first")
    with pytest.raises(Conflict, match="run first published datasets of 'r' since"):
        desk.publish({"b": entry("b")}, run="second", read_sequence=0)
    desk.publish({"c": entry("c")}, run="third", recipe="other", read_sequence=0)


def test_what_a_record_does_not_say_is_the_usual(desk: Desk) -> None:
    """Records say what is not the usual of their recipe; those that say all are read as ever."""
    own = replace(entry("a"), recipe="r", run="run1", node="a")
    desk.publish({"a": own, "b": replace(own, dataset="b", fingerprint="g", run="before", zone="sandbox")})
    (record,) = desk.ledger.read(stream_of(desk.prod.namespace))
    assert record.body["datasets"]["a"] == {"fingerprint": own.fingerprint, "content": own.content}
    assert set(record.body["datasets"]["b"]) == {"fingerprint", "content", "run", "node", "zone"}
    assert desk.load().entries["a"] == replace(own, sequence=1)
    whole = {"recipe": "r", "run": "old", "node": "made_a", "zone": "trusted"}
    said = {"a": {"fingerprint": "f9", "content": "c9", **whole}}
    body = {**record.body, "run": "run2", "datasets": said}
    desk.ledger.append(stream_of(desk.prod.namespace), body)
    assert desk.load().entries["a"] == Published("a", "f9", "c9", sequence=2, **whole)


def test_a_stale_holder_of_a_lease_is_refused(desk: Desk) -> None:
    """A run whose lease was taken over cannot publish after its successor, whatever it writes."""
    desk.publish({"a": entry("a")}, run="new", fence=5)
    with pytest.raises(Conflict, match="nothing was published"):
        desk.publish({"b": entry("b")}, run="old", fence=4, read_sequence=0)


PUBLISHER = """
import sys
from pathlib import Path
from gitkitchen.data.catalog import publish
from gitkitchen.errors import Conflict
from gitkitchen.kitchen.identity import namespace
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.model import Environment, Kitchen, Project, Published, Subject
root, dataset, run = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
project = Project(root, "shop", "0123456789abcdef", (Environment("prod", "main"),), "prod")
kitchen = Kitchen(project.id, "", "main", namespace(project.id, "", "main"), "prod")
print("go", flush=True)
sys.stdin.readline()
patch = {dataset: Published(dataset, run, run, dataset, dataset, run, 0)}
try:
    publish(FolderLedger(root / "ledger"), project, kitchen, recipe=dataset, run=run, patch=patch,
            read_sequence=0, fence=1, subject=Subject(None, "0" * 40))
except Conflict as error:
    print("conflict:", error)
else:
    print("published")
"""


def race(desk: Desk, asks: list[tuple[str, str]]) -> list[str]:
    """Publish (dataset, run) pairs from a process each, all let go at once; what each said."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, desk.root, *ask],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for ask in asks
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[0].strip() for process in processes]
    assert [p.returncode for p in processes] == [0] * len(asks)
    return said


def test_eight_processes_publish_different_recipes_and_all_land(desk: Desk) -> None:
    """Of eight publications of different recipes at once none is lost and none is doubled."""
    said = race(desk, [(f"d{i}", f"run{i}") for i in range(8)])
    assert said == ["published"] * 8
    assert shown(desk.load()) == {f"d{i}": f"run{i}" for i in range(8)}
    assert desk.load().sequence == 8


def test_of_two_processes_with_one_dataset_one_wins(desk: Desk) -> None:
    """Of several publications of one dataset at once one lands; the others change nothing."""
    said = race(desk, [("d", f"run{i}") for i in range(4)])
    (winner,) = [i for i, words in enumerate(said) if words == "published"]
    for loser in (words for i, words in enumerate(said) if i != winner):
        assert loser.startswith(f"conflict: run run{winner} published d since")
    assert shown(desk.load()) == {"d": f"run{winner}"}
    assert desk.load().sequence == 1


def test_what_was_read_is_recorded(desk: Desk) -> None:
    """The record says what was published by which run, from which state, under which fence and tree."""
    desk.publish({"a": entry("a")})
    desk.publish({"b": None, "c": entry("c", 2)}, run="run2", fence=7)
    *_, record = desk.ledger.read(stream_of(desk.prod.namespace))
    body = json.loads(json.dumps(record.body))
    assert {k: body[k] for k in ("kind", "recipe", "run", "fence", "read")} == {
        "kind": "publication", "recipe": "r", "run": "run2", "fence": 7, "read": 1,
    }  # fmt: skip
    assert body["subject"]["tree"] == "0" * 40
    assert body["datasets"]["b"] is None
    assert body["datasets"]["c"] == {"fingerprint": "f2", "content": "c2", "node": "n_c"}
