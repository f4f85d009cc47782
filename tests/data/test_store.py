"""The store: whole files under their digests, zones, builds and verdicts, whatever dies in between."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.killing import kill_at_random

from gitkitchen.data import manifest
from gitkitchen.data import store as stores
from gitkitchen.data.manifest import build_from_json, build_to_json, version_from_json, version_to_json
from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Infrastructure, Place
from gitkitchen.files import digest_bytes, digest_file
from gitkitchen.model import (
    Build,
    Column,
    ColumnStats,
    FileEntry,
    Severity,
    TestResult,
    TestState,
    Version,
)

KEY = "ab" + "0" * 62
RESULT = TestResult(
    "n/outputs/rows", "n", "d", "outputs", "rows", Severity.WARN, TestState.FAILED, "3", "at least 4",
    message="too few", cause="a filter", failing=1, tested=3, sample=({"id": "1"},), metrics={"rows": 3.0},
    seconds=0.5, place=Place("recipes/r/recipe.yml", 3, 5), reproduce="select 1",
)  # fmt: skip


def put(store: FolderStore, data: bytes, suffix: str = ".parquet") -> FileEntry:
    """Keep some bytes as the engine does."""
    temporary = store.scratch(suffix)
    temporary.write_bytes(data)
    digest, size = store.keep(temporary, suffix=suffix)
    return FileEntry(digest, size, suffix=suffix)


def build(*files: FileEntry, fingerprint: str = KEY) -> Build:
    """A build of one table of these files."""
    version = Version("d", "table", fingerprint, "c" * 64, (Column("a", "INTEGER"),), files, 1)
    return Build("n", fingerprint, "definition", {"sql": "x"}, {"i": "y"}, {"d": version}, "run", "now", 0.5)


def sandbox(store: FolderStore, name: str = "k_feature_1") -> FolderStore:
    return FolderStore(store.root, namespace=name, zone="sandbox")


# --- files and builds -----------------------------------------------------------------------------


def test_a_build_that_was_met_and_damaged_since_is_written_again(store: FolderStore) -> None:
    """A store that has read a build's file does not take it for whole when somebody has changed it since."""
    made = build(put(store, b"abc"))
    for _ in range(3):
        store.save(made)
    (file,) = (store.root / "trusted/builds").glob("*/*.json")
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    store.save(made)
    assert file.read_bytes() == whole
    assert store.find(KEY) == made


def test_kept_files_lie_under_their_digest_and_are_read_only(store: FolderStore) -> None:
    """A kept file has its digest for a name, cannot be written, and its temporary name is gone."""
    entry = put(store, b"abc")
    path = store.path(entry)
    assert entry == FileEntry(digest_bytes(b"abc"), 3)
    assert path == store.root / "trusted/files" / entry.digest[:1] / f"{entry.digest}.parquet"
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mode & 0o222 == 0
    assert put(store, b"abc") == entry
    assert list((store.root / "tmp").iterdir()) == []


def test_a_file_that_is_there_already_is_left_in_place_and_mended_where_it_is_not_whole(
    store: FolderStore,
) -> None:
    """Keeping equal bytes again touches nothing; where other bytes of that size lie, they are replaced."""
    entry = put(store, b"abc")
    before = store.path(entry).stat()
    assert put(store, b"abc") == entry
    assert store.path(entry).stat().st_ino == before.st_ino
    store.path(entry).chmod(0o644)
    store.path(entry).write_bytes(b"xyz")
    assert put(store, b"abc") == entry
    assert store.path(entry).read_bytes() == b"abc"
    assert list((store.root / "tmp").iterdir()) == []


def test_a_build_is_written_again_only_where_it_says_something_new(store: FolderStore) -> None:
    """The same versions under the same fingerprint keep the record of the run that built them first."""
    first = build(put(store, b"abc"))
    store.save(first)
    store.save(replace(first, run="another", finished="later", seconds=9.0))
    assert store.find(KEY) == first
    second = replace(first, parts={"sql": "other"}, run="another")
    store.save(second)
    assert store.find(KEY) == second


def test_adopting_copies_and_leaves_the_original(store: FolderStore, tmp_path: Path) -> None:
    """What a node wrote is copied under its digest with its ending; the node's file stays its own."""
    made = tmp_path / "report.html"
    made.write_text("<p>")
    entry = store.adopt(made, suffix=".html")
    made.write_text("changed")
    assert store.path(entry).read_text() == "<p>"
    assert store.path(entry).suffix == ".html"
    assert store.verify(Version("r", "file", "f", "c", files=(entry,))) == []


def test_a_build_is_found_whole_or_not_at_all(store: FolderStore) -> None:
    """A build comes back as it was saved; without a file, or with one of another size, it is unknown."""
    entry = put(store, b"abc")
    made = build(entry)
    store.save(made)
    assert store.find(KEY) == made
    path = store.path(entry)
    path.chmod(0o644)
    path.write_bytes(b"ab")
    assert store.find(KEY) is None
    path.unlink()
    assert store.find(KEY) is None
    put(store, b"abc")
    assert store.find(KEY) == made


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"node": 1}', "\0\0\0\0", '{"versions": {"d": 3}}']
)
def test_a_damaged_build_or_verdict_is_as_good_as_none(store: FolderStore, damage: str) -> None:
    """Torn or foreign JSON under a build's or verdict's name is unknown, and can be saved over."""
    made = build(put(store, b"abc"))
    store.save(made)
    store.save_verdict(KEY, RESULT)
    for name in (f"builds/a/{KEY}.json", f"verdicts/a/{KEY}.json"):
        (store.root / "trusted" / name).write_text(damage)
    assert store.find(KEY) is None
    assert store.find_verdict(KEY) is None
    store.save(made)
    store.save_verdict(KEY, RESULT)
    assert store.find(KEY) == made
    assert store.find_verdict(KEY) == RESULT


def test_a_build_under_another_fingerprint_is_not_believed(store: FolderStore) -> None:
    """A build's file that was copied to another name does not count there."""
    made = build(put(store, b"abc"))
    store.save(made)
    other = "ab" + "1" * 62
    text = (store.root / f"trusted/builds/a/{KEY}.json").read_text()
    (store.root / f"trusted/builds/a/{other}.json").write_text(text)
    assert store.find(other) is None


@pytest.mark.parametrize("digest", ["../../../../etc/passwd", "0" * 63, "G" * 64, ""])
def test_a_manifest_cannot_lead_out_of_the_store(store: FolderStore, digest: str) -> None:
    """A file's digest that is none makes the manifest unreadable."""
    value = build_to_json(build(FileEntry("0" * 64, 3)))
    value["versions"]["d"]["files"][0]["digest"] = digest
    with pytest.raises(ValueError, match="not a sha256"):
        build_from_json(value)


def test_verify_names_each_damaged_file(store: FolderStore) -> None:
    """Other bytes of the same size and a missing file are told apart, with dataset and path."""
    first, second = put(store, b"abc"), put(store, b"def")
    version = build(first, second).versions["d"]
    view = Version("v", "view", "f", "c", sql="from d", inputs={"d": version})
    assert store.verify(view) == []
    store.path(first).chmod(0o644)
    store.path(first).write_bytes(b"xyz")
    store.path(second).unlink()
    assert store.complete(replace(version, files=(first,)))
    damaged, missing = store.verify(view)
    assert f"dataset 'd': the store's file {store.path(first)} holds other bytes" in damaged.message
    assert "cannot be read: No such file" in missing.message


# --- zones ----------------------------------------------------------------------------------------


def test_a_sandbox_reads_trusted_and_never_the_reverse(store: FolderStore) -> None:
    """A sandbox finds what is trusted; trusted, and another sandbox, never find what a sandbox built."""
    mine, other = sandbox(store), sandbox(store, "k_other_2")
    made = build(put(store, b"abc"))
    store.save(made)
    store.save_verdict(KEY, RESULT)
    assert mine.find(KEY) == made
    assert mine.find_verdict(KEY) == RESULT
    key = "cd" + "0" * 62
    entry = put(mine, b"mine")
    mine.save(build(entry, fingerprint=key))
    mine.save_verdict(key, RESULT)
    assert mine.find(key) is not None
    assert (store.root / "sandbox/k_feature_1/files" / entry.digest[:1]).is_dir()
    for stranger in (store, other):
        assert stranger.find(key) is None
        assert stranger.find_verdict(key) is None
        assert not stranger.complete(build(entry).versions["d"])


def test_a_torn_file_of_a_sandbox_does_not_hide_the_trusted_one(store: FolderStore) -> None:
    """Where the own zone's file has the wrong size, the trusted one is read."""
    entry = put(store, b"abc")
    mine = sandbox(store)
    put(mine, b"abc")
    torn = mine.path(entry)
    torn.chmod(0o644)
    torn.write_bytes(b"a")
    assert mine.path(entry).read_bytes() == b"abc"
    assert mine.verify(build(entry).versions["d"]) == []


# --- codecs ---------------------------------------------------------------------------------------

words = st.text(st.characters(codec=None), max_size=8)
entries = st.builds(
    FileEntry, st.binary(max_size=4).map(digest_bytes), st.integers(0, 2**60), st.none() | st.integers(0),
    st.dictionaries(words, words, max_size=2), st.sampled_from([".parquet", ".html", ""]),
)  # fmt: skip
figures = st.builds(ColumnStats, st.integers(0), st.none() | words, st.none() | words)
tables = st.builds(
    Version, words, st.sampled_from(["table", "file"]), words, words,
    st.lists(st.builds(Column, words, words), max_size=3).map(tuple),
    st.lists(entries, max_size=3).map(tuple),
    st.none() | st.integers(0), st.dictionaries(words, figures, max_size=3),
)  # fmt: skip
versions = tables | st.builds(
    Version,
    words,
    st.just("view"),
    words,
    words,
    sql=words,
    inputs=st.dictionaries(words, tables, max_size=2),
)
builds = st.builds(
    Build, words, words, words, st.dictionaries(words, words, max_size=2),
    st.dictionaries(words, words, max_size=2), st.dictionaries(words, versions, max_size=2), words, words,
    st.floats(0, 1e9),
)  # fmt: skip


@given(builds)
def test_manifests_come_back_from_json_as_they_were(made: Build) -> None:
    """Any build survives its JSON, also with lone surrogates; fields of later versions are ignored."""
    text = json.dumps(build_to_json(made)).encode()
    value = json.loads(text)
    assert build_from_json(value) == made
    assert build_from_json({**value, "later": 1}) == made
    for version in made.versions.values():
        assert version_from_json({**version_to_json(version), "later": 1}) == version


def test_a_verdict_comes_back_from_json_as_it_was() -> None:
    """Every field of a test's result survives, and so does a result without a place."""
    assert (
        manifest.test_result_from_json(json.loads(json.dumps(manifest.test_result_to_json(RESULT)))) == RESULT
    )
    bare = replace(RESULT, place=None, sample=(), failing=None)
    assert manifest.test_result_from_json({**manifest.test_result_to_json(bare), "later": 1}) == bare


# --- what may happen to disks and processes -------------------------------------------------------

WRITER = """
import random, sys
from pathlib import Path
from gitkitchen.data.store import FolderStore
from gitkitchen.model import Build, FileEntry, Version
store = FolderStore(Path(sys.argv[1]), namespace="k", zone="trusted")
chance = random.Random(int(sys.argv[2]))
print("go", flush=True)
while True:
    data = chance.randbytes(chance.choice([10, 1_000, 3_000_000]))
    temporary = store.scratch(".parquet")
    temporary.write_bytes(data)
    digest, size = store.keep(temporary)
    key = chance.randbytes(32).hex()
    version = Version("d", "table", key, "c" * 64, files=(FileEntry(digest, size),), rows=1)
    store.save(Build("n", key, "x" * chance.choice([1, 100_000]), {}, {}, {"d": version}))
"""


def test_killing_a_writer_leaves_whole_files_or_none(store: FolderStore) -> None:
    """After kill -9 at random moments each file has its name's digest; a build that was torn is as good as
    none, and is whole when it is saved again."""
    for seed in range(8):
        kill_at_random(WRITER, store.root, seed=seed, within=0.12)
    files = list((store.root / "trusted/files").glob("*/*"))
    assert len(files) > 5
    assert [p.name for p in files if digest_file(p) != p.stem] == []
    found = {p.stem: store.find(p.stem) for p in (store.root / "trusted/builds").glob("*/*")}
    torn = [key for key, whole in found.items() if whole is None]
    assert len(found) - len(torn) > 5
    assert len(torn) <= 8  # one for each kill: a build is written in place
    for key in torn:
        whole = build(put(store, b"data"), fingerprint=key)
        store.save(whole)
        assert store.find(key) == whole


FULL = """
import resource, signal, sys
from pathlib import Path
from gitkitchen.data.engines.duckdb import Engine
from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Infrastructure
from gitkitchen.model import Build, Materialize
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = FolderStore(Path(sys.argv[1]), namespace="k", zone="trusted")
made = Path(sys.argv[1]).parent / "made"
made.write_bytes(b"x" * 300_000)
engine = Engine(store)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
many = "select range i, hash(range) h from range(100000)"
acts = {
    "write": lambda: engine.write_table("d", many),
    "partitions": lambda: engine.write_table(
        "d", "select i % 2 as p, * from (" + many + ")", partitions=Materialize("partitions", "p")),
    "adopt": lambda: store.adopt(made),
    "save": lambda: store.save(Build("n", "ab" * 32, "x" * 300_000, {}, {}, {})),
}
try:
    acts[sys.argv[2]]()
except Infrastructure as error:
    print(error)
"""


@pytest.mark.parametrize("act", ["write", "partitions", "adopt", "save"])
def test_a_full_disk_is_infrastructure_and_leaves_nothing(store: FolderStore, act: str) -> None:
    """Where the disk takes no more, the store says so with its path, and what is left is empty."""
    words = [sys.executable, "-c", FULL, str(store.root), act]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert f"the store {store.root} cannot be written" in done.stdout
    assert [p for p in store.root.rglob("*") if p.is_file() and p.stat().st_size] == []
    assert store.find("ab" * 32) is None


def test_a_writer_that_fails_leaves_the_file_of_another(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for one run after another kept the same build: it stays (Nessie #2881)."""
    whole = build(put(store, b"data"))

    class Full(io.FileIO):
        def write(self, data: object) -> int:
            monkeypatch.undo()
            FolderStore(store.root, namespace="k", zone="trusted").save(whole)
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores, "open", lambda name, *_, **__: Full(name, "x"), raising=False)
    with pytest.raises(Infrastructure, match="No space left"):
        store.save(whole)
    assert store.find(whole.fingerprint) == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_without_rights_is_infrastructure(store: FolderStore) -> None:
    """A folder that may not be written is said with what to do."""
    store.root.mkdir()
    store.root.chmod(0o555)
    with pytest.raises(Infrastructure, match="make the folder writable"):
        store.save(build())


def test_a_file_in_the_way_of_the_store_is_infrastructure(store: FolderStore) -> None:
    """A store whose folder is a file cannot be written, and says which."""
    store.root.write_text("in the way")
    with pytest.raises(Infrastructure, match=f"the store {store.root} cannot be written"):
        store.save(build())
    assert store.find(KEY) is None


def test_sync_waits_for_builds_and_their_files_once(store: FolderStore) -> None:
    """What is synced twice is asked of the disk once; a missing file is infrastructure, not silence."""
    made = build(put(store, b"abc"))
    store.save(made)
    store.sync([made])
    store.path(made.versions["d"].files[0]).unlink()
    store.sync([made])
    again = FolderStore(store.root, namespace="k", zone="trusted")
    with pytest.raises(Infrastructure, match="No such file"):
        again.sync([made])
