"""Every remote store keeps one contract: whole, verified, lazy, in zones. Against a real registry and S3."""

from __future__ import annotations

import gzip
import json
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.shelves import FEATURE, MAIN, OTHER, Shelf, build, contents, kept, published, put

from gitkitchen.data.manifest import build_to_json
from gitkitchen.data.stores.cached import SINGLY, CachedStore
from gitkitchen.data.stores.objects import ObjectRemote
from gitkitchen.data.stores.verdicts import KEPT, pack, unpack
from gitkitchen.errors import Infrastructure
from gitkitchen.model import Severity, TestResult, TestState, Version

RESULT = TestResult(
    "n/outputs/rows", "n", "d", "outputs", "rows", Severity.WARN, TestState.FAILED, "3", "at least 4"
)


# --- there and back ---------------------------------------------------------------------------------


def test_another_machine_finds_a_build_and_fetches_only_what_it_reads(shelf: Shelf) -> None:
    """A machine with an empty disk knows the build at once; each file comes when its path is asked for."""
    made = published(shelf.machine(), b"one", b"two")
    other = shelf.machine()
    found = other.find(made.fingerprint)
    assert found == made
    assert kept(other) == set()
    file = found.versions["d"].files[1]
    path = other.path(file)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o222 == 0
    assert kept(other) == {f"{file.digest}.parquet"}
    assert contents(other, found) == {"d": [b"one", b"two"]}
    assert other.verify(found.versions["d"]) == []
    assert other.complete(found.versions["d"])


def test_what_is_not_there_is_none(shelf: Shelf) -> None:
    """A fingerprint that nobody built, and a text that is none, give None."""
    store = shelf.machine()
    assert store.find("0" * 64) is None
    assert store.find("../../etc/passwd") is None
    assert store.find("") is None
    assert store.find_verdict("0" * 64) is None


def test_nothing_is_there_before_it_was_synced(shelf: Shelf) -> None:
    """A build is another machine's only after its files and itself were brought there."""
    one = shelf.machine()
    made = build(put(one, b"x"))
    one.save(made)
    assert one.find(made.fingerprint) == made
    assert shelf.machine().find(made.fingerprint) is None
    one.finish([made])
    assert shelf.machine().find(made.fingerprint) == made


def test_files_of_any_ending_and_of_no_bytes(shelf: Shelf) -> None:
    """An output of any kind comes back under its ending; an empty file is a file."""
    one = shelf.machine()
    source = one.root / "report.html"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text("<p>")
    entries = [one.adopt(source, suffix=".html"), put(one, b"", ".txt")]
    version = replace(build(*entries).versions["d"], format="file")
    made = replace(build(*entries), versions={"d": version})
    one.save(made)
    one.sync([made])
    other = shelf.machine()
    assert contents(other, made) == {"d": [b"<p>", b""]}
    assert {p.suffix for p in other.paths(version)} == {".html", ".txt"}


def test_a_large_file_is_whole(shelf: Shelf) -> None:
    """Some megabytes go there and come back, byte for byte."""
    data = random.Random(1).randbytes(20_000_003)
    made = published(shelf.machine(), data)
    assert contents(shelf.machine(), made) == {"d": [data]}


def test_a_view_has_the_files_of_its_inputs(shelf: Shelf) -> None:
    """A sandbox's view over trusted and own versions is readable on another machine."""
    trusted = published(shelf.machine(), b"trusted")
    one = shelf.machine(FEATURE)
    base = one.find(trusted.fingerprint)
    assert base is not None
    own = build(put(one, b"own"), key="own")
    inputs = {"a": base.versions["d"], "b": own.versions["d"]}
    bare = build(key="view")
    view = Version("v", "view", bare.fingerprint, "c" * 64, sql="select 1", inputs=inputs)
    made = replace(bare, versions={"v": view})
    one.save(made)
    one.sync([made])
    other = shelf.machine(FEATURE)
    found = other.find(made.fingerprint)
    assert found == made
    for name, data in (("a", b"trusted"), ("b", b"own")):
        assert [p.read_bytes() for p in other.paths(found.versions["v"].inputs[name])] == [data]


def test_bringing_twice_is_bringing_once(shelf: Shelf) -> None:
    """The same command again, also on another machine with the same bytes, changes nothing."""
    one, two = shelf.machine(), shelf.machine()
    made = published(one, b"x")
    one.sync([made])
    assert published(two, b"x") == made
    assert contents(shelf.machine(), made) == {"d": [b"x"]}


def test_the_newest_content_of_a_fingerprint_stands(shelf: Shelf) -> None:
    """Built again with other content, the build names the new files; equal content leaves the first."""
    one = shelf.machine()
    published(one, b"old")
    again = replace(build(put(one, b"new"), content="e" * 64))
    one.save(again)
    one.sync([again])
    found = shelf.machine().find(again.fingerprint)
    assert found == again


def test_many_threads_fetch_one_file_once_and_whole(shelf: Shelf) -> None:
    """Nodes that read one input at the same time get the same whole file."""
    made = published(shelf.machine(), b"x" * 100_000)
    other = shelf.machine()
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(other.paths(made.versions["d"])[0].read_bytes()))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [b"x" * 100_000] * 6
    assert list((other.root / "tmp").iterdir()) == []


# --- zones ------------------------------------------------------------------------------------------


def test_zones_are_read_as_on_disk(shelf: Shelf) -> None:
    """A sandbox reads trusted and its own zone; nobody else's; trusted reads no sandbox."""
    trusted, feature = published(shelf.machine(), b"t", key="t"), None
    feature = published(shelf.machine(FEATURE), b"f", key="f")
    assert shelf.machine(FEATURE).find(trusted.fingerprint) == trusted
    assert contents(shelf.machine(FEATURE), trusted) == {"d": [b"t"]}
    assert shelf.machine(OTHER).find(feature.fingerprint) is None
    main = shelf.machine()
    assert main.find(feature.fingerprint) is None
    main.expect([feature.fingerprint])
    assert main.find(feature.fingerprint) is None
    with pytest.raises(Infrastructure, match="is not there"):
        main.path(feature.versions["d"].files[0])


def test_verdicts_go_with_their_zone(shelf: Shelf) -> None:
    """Verdicts of environments are everybody's, those of a sandbox its own, and of all runs the last stay."""
    main, feature = shelf.machine(), shelf.machine(FEATURE)
    main.save_verdict("1" * 64, RESULT)
    main.finish([])
    feature.save_verdict("2" * 64, replace(RESULT, observed="9"))
    feature.finish([])
    again = shelf.machine()
    again.save_verdict("3" * 64, RESULT)
    again.finish([])
    reader = shelf.machine(FEATURE)
    assert reader.find_verdict("1" * 64) == RESULT
    assert reader.find_verdict("2" * 64) == replace(RESULT, observed="9")
    assert reader.find_verdict("3" * 64) == RESULT
    assert shelf.machine().find_verdict("2" * 64) is None
    assert shelf.machine(OTHER).find_verdict("2" * 64) is None


# --- what is wrong is never read ----------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"twO", b"tw", b"twoo", b""], ids=["swapped", "short", "long", "empty"])
def test_bytes_with_another_digest_are_never_read(shelf: Shelf, bad: bytes) -> None:
    """Swapped, cut or longer: exit code 3 with the digest, nothing in the cache, and the build is gone."""
    made = published(shelf.machine(), b"two")
    file = made.versions["d"].files[0]
    shelf.spoil("trusted", file, bad)
    other = shelf.machine()
    found = other.find(made.fingerprint)
    assert found is not None
    with pytest.raises(Infrastructure) as caught:
        other.paths(found.versions["d"])
    problem = caught.value.problems[0]
    assert problem.code == "damaged-file"
    assert file.digest in problem.message
    assert kept(other) == set()
    assert list((other.root / "tmp").iterdir()) == []
    assert other.find(made.fingerprint) is None, "it is built again"
    assert shelf.machine(FEATURE).offered(MAIN, made.fingerprint) is None


def test_a_damaged_file_is_mended_by_building_again(s3_shelf: Shelf) -> None:
    """What is built anew takes the damaged object's place: other machines read it."""
    made = published(s3_shelf.machine(), b"two")
    s3_shelf.spoil("trusted", made.versions["d"].files[0], b"owt")
    mender = s3_shelf.machine()
    with pytest.raises(Infrastructure):
        mender.paths(made.versions["d"])
    published(mender, b"two")
    assert contents(s3_shelf.machine(), made) == {"d": [b"two"]}


def test_what_was_changed_in_the_cache_is_not_brought(shelf: Shelf) -> None:
    """A file whose bytes are not its digest's any more leaves this machine never."""
    one = shelf.machine()
    made = build(put(one, b"abc"))
    one.save(made)
    path = one.path(made.versions["d"].files[0])
    path.chmod(0o644)
    path.write_bytes(b"abd")
    with pytest.raises(Infrastructure, match="other bytes than were written"):
        one.sync([made])
    assert shelf.machine().find(made.fingerprint) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda b: replace(b, fingerprint="9" * 64),
        lambda b: replace(b, versions={"other": b.versions["d"]}),
    ],
    ids=["fingerprint", "dataset"],
)
def test_a_build_that_says_something_else_than_its_name_is_none(
    shelf: Shelf, change: Callable[..., object]
) -> None:
    """Under a fingerprint lies the build of that fingerprint, which names its datasets as itself."""
    one = shelf.machine()
    file = put(one, b"x")
    made = build(file)
    one.remote.put_file("trusted", file, one.path(file), again=False)
    lie = json.dumps(build_to_json(change(made))).encode()  # type: ignore[arg-type]
    one.remote.put_build("trusted", made.fingerprint, lie, [file])
    assert shelf.machine().find(made.fingerprint) is None


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"node": 3}', b"[" * 100_000])
def test_any_bytes_in_a_builds_place_are_none(shelf: Shelf, junk: bytes) -> None:
    """What is no build is as if it were not there, and what is no pack of verdicts holds none."""
    store = shelf.machine()
    fingerprint = "ab" * 32
    store.remote.put_build("trusted", fingerprint, junk, [])
    store.remote.put_verdicts("trusted", MAIN, junk)
    fresh = shelf.machine()
    assert fresh.find(fingerprint) is None
    assert fresh.find_verdict("1" * 64) is None


# --- few questions ------------------------------------------------------------------------------------


class Counting:
    """A remote that counts what it is asked."""

    def __init__(self, inner: object) -> None:
        self.inner, self.asked = inner, list[str]()

    def __getattr__(self, name: str) -> object:
        found = getattr(self.inner, name)
        if callable(found):
            self.asked.append(name)
        return found


def test_builds_that_are_expected_are_asked_for_once(shelf: Shelf) -> None:
    """After `expect`, finding asks nobody, not even on the next day."""
    first = shelf.machine()
    made = [published(first, str(n).encode(), key=str(n)) for n in range(5)]
    store = shelf.machine()
    store.remote = counting = Counting(store.remote)  # type: ignore[assignment]
    store.expect([m.fingerprint for m in made])
    assert counting.asked == ["build"] * 5
    assert [store.find(m.fingerprint) for m in made] == made
    later = CachedStore(store.root, counting, namespace=MAIN, zone="trusted")  # type: ignore[arg-type]
    assert [later.find(m.fingerprint) for m in made] == made
    assert counting.asked == ["build"] * 5


def test_after_some_that_are_missing_the_list_is_asked_for(shelf: Shelf) -> None:
    """A thousand nodes that nobody built cost a few questions, and what is there is still found."""
    made = published(shelf.machine(), b"x")
    store = shelf.machine()
    store.remote = counting = Counting(store.remote)  # type: ignore[assignment]
    assert all(store.find(f"{n:064x}") is None for n in range(1000))
    assert store.find(made.fingerprint) == made
    assert len(counting.asked) == SINGLY + 2


# --- properties ---------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(st.lists(st.binary(max_size=40), max_size=4), min_size=1, max_size=5), st.randoms())
def test_any_builds_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, blobs: list[list[bytes]], chance: random.Random
) -> None:
    """Whatever was built, in whatever order it is read: the same builds, the same bytes."""
    files = MemoryFileSystem()
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    disks = tmp_path_factory.mktemp("disks")
    shelf = Shelf("memory", disks, lambda: ObjectRemote(files, "/team", "memory"), lambda *_: None)
    one = shelf.machine()
    made = [build(*[put(one, b) for b in group], key=str(n)) for n, group in enumerate(blobs)]
    made = [b for b in made if b.versions["d"].files]
    for each in made:
        one.save(each)
    one.sync(made)
    other = shelf.machine()
    chance.shuffle(made)
    for each in made:
        found = other.find(each.fingerprint)
        assert found == each
        assert contents(other, found) == contents(one, each)


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=20))
def test_packs_hold_what_was_packed(values: dict[str, int]) -> None:
    """Verdicts are packed and unpacked without loss."""
    assert unpack(pack(values)) == values


def test_a_pack_keeps_the_last_and_a_bomb_is_empty() -> None:
    """No pack grows without end, and none is unpacked without end."""
    many = {str(n): 0 for n in range(KEPT + 10)}
    assert list(unpack(pack(many))) == [str(n) for n in range(10, KEPT + 10)]
    assert unpack(gzip.compress(b" " * (260 << 20), 1)) == {}
    assert unpack(None) == unpack(b"junk") == unpack(gzip.compress(b"[]")) == {}


def test_a_build_whose_files_the_cache_lost_is_found_and_fetched(shelf: Shelf, tmp_path: Path) -> None:
    """The cache may be deleted in part at any time: what the other machine has comes again."""
    one = shelf.machine()
    made = published(one, b"x")
    one.path(made.versions["d"].files[0]).unlink()
    assert one.find(made.fingerprint) == made
    assert contents(one, made) == {"d": [b"x"]}
