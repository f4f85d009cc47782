"""What nothing refers to goes from a store on another machine, and nothing goes that a job needs; S5."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.shelves import FEATURE, Shelf, build, contents, published, put

from gitkitchen.data.garbage import References
from gitkitchen.data.stores import marks
from gitkitchen.data.stores.cached import CachedStore
from gitkitchen.data.stores.marks import KEEP, read_marks, write_marks
from gitkitchen.data.stores.objects import ObjectRemote
from gitkitchen.errors import Infrastructure
from gitkitchen.model import Build
from gitkitchen.upkeep.remote import Visit, collect_zone

DAY = 86400.0
NOW = 4_000_000_000.0
"""Later than anything that the tests write."""


class Files(MemoryFileSystem):  # type: ignore[misc]
    """An object store in memory, of one test alone."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.pseudo_dirs = [""]


@pytest.fixture
def memory(tmp_path: Path) -> Shelf:
    """A remote store in memory: quick enough to be tried at every one of its calls."""
    return in_memory(tmp_path)


def in_memory(disks: Path) -> Shelf:
    files = Files()
    files.mkdir("/team")  # the bucket
    return Shelf("memory", disks, lambda: ObjectRemote(files, "/team", "memory://team"), lambda *_: None)


def visit(store: CachedStore, *wanted: Build, at: float = NOW, grace: float = DAY, zone: str = "") -> Visit:
    """One ``gc --apply``, with builds that catalogs name."""
    done = Visit()
    references = References({b.fingerprint for b in wanted})
    zone = zone or store.own
    things = store.remote.inventory().get(zone, ())
    collect_zone(store.remote, zone, things, references, done, now=at, grace=grace, apply=True)
    return done


def names(store: CachedStore, what: str, zone: str = "") -> set[str]:
    return {t.name for t in store.remote.inventory().get(zone or store.own, ()) if t.what == what}


def whole(shelf: Shelf, made: Build, *namespace: str) -> bool:
    """Whether a machine with an empty disk finds a build, and every byte of it."""
    fresh = shelf.machine(*namespace)
    found = fresh.find(made.fingerprint)
    return found is not None and not any(fresh.verify(v) for v in found.versions.values())


# --- two visits ------------------------------------------------------------------------------------------


def test_the_first_visit_marks_and_one_after_the_grace_period_removes(shelf: Shelf) -> None:
    """In a registry and a bucket: nothing goes at first; what is named stays; the rest goes a day on."""
    store = shelf.machine()
    stays, goes = published(store, b"1", b"both", key="1"), published(store, b"2", b"both", key="2")
    first = visit(store, stays)
    assert first.items == []
    assert {i.what for i in first.marked} >= {"build"}
    assert whole(shelf, goes)
    assert visit(store, stays, at=NOW + DAY - 1).items == []
    last = visit(store, stays, at=NOW + DAY)
    assert next(i.what for i in last.items) == "build"
    assert all(goes.fingerprint in i.address or "/files/" in i.address for i in last.items)
    assert sum(i.bytes for i in last.items) > 0
    assert shelf.machine().find(goes.fingerprint) is None
    assert whole(shelf, stays), "a file that both had is still there"
    assert read_marks(store.remote, "trusted").marked == {}
    assert visit(store, stays, at=NOW + 9 * DAY).items == []


def test_what_is_named_again_is_no_longer_marked(shelf: Shelf) -> None:
    """A catalog that names a marked build takes its mark away: it does not go with the next visit."""
    store = shelf.machine()
    made = published(store, b"1")
    visit(store)
    assert visit(store, made, at=NOW + DAY).items == []
    assert visit(store, at=NOW + 2 * DAY).items == [], "its time begins anew"
    assert whole(shelf, made)


def test_a_job_that_relies_on_a_marked_build_keeps_it(shelf: Shelf) -> None:
    """What a job on another machine reuses is spared, though its publication is not known yet."""
    made = published(shelf.machine(), b"1")
    collector = shelf.machine()
    visit(collector)
    job = shelf.machine()
    found = job.find(made.fingerprint)
    assert found == made
    job.sync([made])
    assert KEEP + made.fingerprint in collector.remote.notes("trusted")
    assert visit(collector, at=NOW + DAY).items == []
    assert whole(shelf, made)
    assert visit(collector, made, at=NOW + 9 * DAY).items == [], "by now it is published"
    assert not any(n.startswith(KEEP) for n in collector.remote.notes("trusted")), "heeded notes are removed"


def test_a_sandbox_copies_what_is_marked_in_the_trusted_zone(shelf: Shelf) -> None:
    """It may not write there: so what it relies on comes to its own zone, and outlives the removal."""
    made = published(shelf.machine(), b"1")
    collector = shelf.machine()
    visit(collector)
    job = shelf.machine(FEATURE)
    job.sync([made])
    assert visit(collector, at=NOW + DAY).items
    assert shelf.machine().find(made.fingerprint) is None
    assert whole(shelf, made, FEATURE)


def test_what_was_collected_since_it_was_looked_up_is_brought_again(shelf: Shelf) -> None:
    """A job found a build, a collector took it, the job publishes: the build is there."""
    job = shelf.machine()
    made = published(job, b"1")
    collector = shelf.machine()
    visit(collector)
    later = shelf.machine()
    found = later.find(made.fingerprint)
    assert found is not None
    assert contents(later, found) == {"d": [b"1"]}
    assert visit(collector, at=NOW + DAY).items
    later.sync([made])
    assert whole(shelf, made)


def test_a_file_stays_as_long_as_any_build_that_names_it(memory: Shelf) -> None:
    """A file that was marked long ago does not go before a build that was marked today."""
    store = memory.machine()
    made = published(store, b"1")
    digest = made.versions["d"].files[0].digest
    write_marks(store.remote, "trusted", {digest: NOW - 9 * DAY})
    things, shown = store.remote.inventory()["trusted"], Visit()
    collect_zone(store.remote, "trusted", things, References(), shown, now=NOW, grace=DAY, apply=False)
    assert shown.items == []
    assert len(shown.marked) == 2
    assert visit(store).items == []
    assert whole(memory, made)


def test_a_removal_that_was_killed_is_ended_by_the_next_visit(memory: Shelf) -> None:
    """The mark ``taking`` of a dead collector stops nobody for ever, and the next visit goes on."""
    store = memory.machine()
    made = published(store, b"1")
    visit(store)
    held = read_marks(store.remote, "trusted").marked
    write_marks(store.remote, "trusted", held, [made.fingerprint])
    waited = iter(itertools.count(step=70))
    marks.rely(store.remote, "trusted", {made.fingerprint}, pause=0.0, clock=lambda: next(waited))
    assert next(waited) >= 140
    assert visit(store, at=NOW + DAY).items == []
    visit(store, at=NOW + DAY)
    assert visit(store, at=NOW + 2 * DAY).items
    assert read_marks(store.remote, "trusted").taking == frozenset()


def test_marks_that_cannot_be_read_stop_collector_and_publication(memory: Shelf) -> None:
    """Nobody knows then what may be relied on: exit code 3, and the way out is said."""
    store = memory.machine()
    made = published(store, b"1")
    store.remote.put_note("trusted", marks.NAME, b"junk")
    with pytest.raises(Infrastructure, match="'marks' in trusted cannot be read"):
        visit(store)
    with pytest.raises(Infrastructure):
        memory.machine().sync([made])


# --- every moment ------------------------------------------------------------------------------------------


class Interrupted:
    """A remote at whose ``at``-th call something else happens first. ``seen`` counts the calls."""

    def __init__(self, inner: Any, at: int, act: Callable[[], None]) -> None:
        self._inner, self._at, self._act, self.seen = inner, at, act, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*words: Any, **more: Any) -> Any:
            self.seen += 1
            if self.seen == self._at:
                self._act()
            return found(*words, **more)

        return call


@pytest.mark.long
def test_a_job_at_any_moment_of_a_removal_loses_nothing(tmp_path: Path) -> None:
    """Whichever call of the collector a whole publication falls before: what it names is there afterwards."""
    for at in itertools.count(1):
        shelf = in_memory(tmp_path / str(at))
        first = shelf.machine()
        old = published(first, b"1", b"shared", key="old")
        visit(first)
        job = CachedStore(first.root, shelf.connect(), namespace="k_main_000000000000", zone="trusted")
        fresh = build(put(job, b"shared"), put(job, b"3"), key="fresh")
        job.save(fresh)
        threads: list[threading.Thread] = []

        def publish(
            job: CachedStore = job, made: Any = (old, fresh), threads: list[threading.Thread] = threads
        ) -> None:
            threads.append(threading.Thread(target=job.sync, args=(made,)))
            threads[0].start()
            threads[0].join(0.1)  # it may have to wait for the collector

        collector = shelf.machine()
        collector.remote = remote = Interrupted(collector.remote, at, publish)  # type: ignore[assignment]
        visit(collector, at=NOW + DAY)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        if not threads:
            assert remote.seen >= 8
            break
        assert whole(shelf, old), at
        assert whole(shelf, fresh), at


def test_a_removal_at_any_moment_of_a_publication_loses_nothing(tmp_path: Path) -> None:
    """Whichever call of a publication a whole removal falls before: what it names is there afterwards."""
    for at in itertools.count(1):
        shelf = in_memory(tmp_path / str(at))
        first = shelf.machine()
        old = published(first, b"1", b"shared", key="old")
        collector = shelf.machine()
        visit(collector)
        job = CachedStore(first.root, shelf.connect(), namespace="k_main_000000000000", zone="trusted")
        fresh = build(put(job, b"shared"), put(job, b"3"), key="fresh")
        job.save(fresh)
        came: list[Visit] = []

        def remove(collector: CachedStore = collector, came: list[Visit] = came) -> None:
            came.append(visit(collector, at=NOW + DAY))

        job.remote = Interrupted(job.remote, at, remove)  # type: ignore[assignment]
        job.sync([old, fresh])
        assert whole(shelf, old), at
        assert whole(shelf, fresh), at
        if not came:
            break


def test_a_collector_that_is_killed_at_any_moment_leaves_whole_builds(tmp_path: Path) -> None:
    """Before whichever call it ends: what is named is whole, no build stands without its files, and the next
    visits end the work."""

    class Killed(Exception):
        pass

    def die() -> None:
        raise Killed

    for at in itertools.count(1):
        shelf = in_memory(tmp_path / str(at))
        store = shelf.machine()
        stays = published(store, b"1", b"shared", key="stays")
        published(store, b"2", b"shared", key="goes")
        visit(store, stays)
        collector = shelf.machine()
        collector.remote = remote = Interrupted(collector.remote, at, die)  # type: ignore[assignment]
        try:
            visit(collector, stays, at=NOW + DAY)
        except Killed:
            pass
        else:
            assert remote.seen >= 8
            break
        for name in names(store, "build"):
            found = shelf.machine().find(name)
            assert found is not None
            assert whole(shelf, found), at
        visit(store, stays, at=NOW + 3 * DAY)
        visit(store, stays, at=NOW + 5 * DAY)
        assert names(store, "build") == {stays.fingerprint}
        assert len(names(store, "file")) == 2


# --- any history ------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("build"), st.integers(0, 5), st.sets(st.integers(0, 4), min_size=1, max_size=3)),
        st.tuples(st.just("publish"), st.integers(0, 5)),
        st.tuples(st.just("retire"), st.integers(0, 5)),
        st.tuples(st.just("gc"), st.sampled_from([0.0, 0.4, 1.0, 2.0])),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_after_any_history_what_is_published_is_whole(
    steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Builds, publications and collectors in any order: a published build is never missed, by anybody."""
    shelf = in_memory(tmp_path_factory.mktemp("history"))
    job, made, shown, clock = shelf.machine(), dict[int, Build](), dict[int, Build](), NOW
    for step in steps:
        match step:
            case ("build", int(key), blobs):
                if key not in made:
                    made[key] = build(*[put(job, bytes([b])) for b in sorted(blobs)], key=str(key))
                    job.save(made[key])
                    job.finish([made[key]])
            case ("publish", int(key)) if key in made:
                again = CachedStore(
                    job.root, shelf.connect(), namespace="k_main_000000000000", zone="trusted"
                )
                again.sync([made[key]])
                shown[key] = made[key]
            case ("retire", int(key)):
                shown.pop(key, None)
            case ("gc", float(days)):
                clock += days * DAY
                visit(shelf.machine(), *shown.values(), at=clock)
        for published_build in shown.values():
            assert whole(shelf, published_build)
