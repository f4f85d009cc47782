"""The view file: what consumers open shows the catalog, whole, at every moment and after every crash."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.killing import kill_at_random

from gitkitchen.data.consumers import refresh, stale, view_file
from gitkitchen.data.sql import literal
from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Infrastructure
from gitkitchen.model import Build, Catalog, FileEntry, Kitchen, Project, Published, Version
from lengths import some

PROD = Kitchen("id", "local", "main", "k_main_0", "prod")
SANDBOX = Kitchen("id", "local", "fix", "k_fix_1", None, "prod")


@dataclass
class Bar:
    """A store with small tables, views and files in it, and catalogs that name them."""

    root: Path
    made: dict[str, Version] = field(default_factory=dict)
    sequence: int = 0

    @property
    def project(self) -> Project:
        return Project(self.root, "shop", "id")

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.root / "store", namespace="k_main_0", zone="trusted")

    @property
    def path(self) -> Path:
        return view_file(self.project, PROD)

    def keep(self, version: Version) -> Version:
        self.made[version.fingerprint] = version
        self.store.save(Build("n", version.fingerprint, "", {}, {}, {version.dataset: version}))
        return version

    def table(self, name: str, value: int, key: str = "") -> Version:
        """A table of one row and column ``value``."""
        temporary = self.store.scratch(".parquet")
        with duckdb.connect() as connection:
            connection.execute(f"COPY (SELECT {value} AS value) TO {literal(temporary)} (FORMAT parquet)")
        digest, size = self.store.keep(temporary)
        return self.keep(
            Version(name, "table", key or f"{name}{value}", f"c{value}", files=(FileEntry(digest, size, 1),))
        )

    def view(self, name: str, sql: str, **inputs: Version) -> Version:
        return self.keep(Version(name, "view", f"{name}{len(self.made)}", "c", sql=sql, inputs=inputs))

    def file(self, name: str, text: str) -> Version:
        temporary = self.store.scratch(".html")
        temporary.write_text(text)
        digest, size = self.store.keep(temporary, suffix=".html")
        files = (FileEntry(digest, size, suffix=".html"),)
        return self.keep(Version(name, "file", f"{name}{text}", "c", files=files))

    def catalog(self, *versions: Version) -> Catalog:
        self.sequence += 1
        entries = {
            v.dataset: Published(v.dataset, v.fingerprint, v.content, "r", "n", "run", self.sequence)
            for v in versions
        }
        return Catalog("k_main_0", self.sequence, entries)

    def show(self, catalog: Catalog, kitchen: Kitchen = PROD) -> Path:
        return refresh(self.project, kitchen, catalog, self.store)


@pytest.fixture
def bar(tmp_path: Path) -> Bar:
    """An empty store."""
    return Bar(tmp_path)


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(str(path), read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def content(path: Path) -> dict[str, Any]:
    """Every view of a file with its rows, and the stamp, as a consumer reads them."""
    with opened(path) as connection:
        names = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        shown = {n: connection.execute(f'FROM main."{n}"').fetchall() for (n,) in names}
        return shown | {"": connection.execute("FROM main.gitkitchen_publication").fetchall()}


# --- what is shown --------------------------------------------------------------------------------


def test_environments_are_read_by_name_and_sandboxes_by_namespace(bar: Bar) -> None:
    """``prod`` is a file ``prod.duckdb``; a sandbox's file bears its unique namespace."""
    catalog = bar.catalog(bar.table("a", 1))
    assert bar.show(catalog) == bar.root / ".gitkitchen/views/prod.duckdb"
    assert bar.show(catalog, SANDBOX).name == "k_fix_1.duckdb"
    assert content(bar.path) == {"a": [(1,)], "": [(1, "k_main_0", "prod")]}
    assert content(view_file(bar.project, SANDBOX))[""] == [(1, "k_fix_1", "fix")]


@pytest.mark.parametrize("harm", ["none", "torn", "stale stamp"])
def test_a_sandbox_begins_with_its_bases_file(bar: Bar, harm: str) -> None:
    """A sandbox's first file shows its own catalog: what it has from the base, has changed, and lacks;
    also where the base's file is damaged, or is newer than the stamp beside it."""
    shared, changed, gone = bar.table("shared", 1), bar.table("changed", 2), bar.table("gone", 3)
    published = bar.catalog(shared, changed, gone)
    base = refresh(bar.project, PROD, published, bar.store)
    if harm == "torn":
        base.write_bytes(base.read_bytes()[:4096])
    elif harm == "stale stamp":
        stamp = base.with_suffix(".json").read_bytes()
        base = refresh(bar.project, PROD, bar.catalog(bar.table("shared", 9)), bar.store)
        base.with_suffix(".json").write_bytes(stamp)
    own = bar.catalog(shared, bar.table("changed", 20), bar.table("new", 4))
    path = refresh(bar.project, SANDBOX, own, bar.store)
    assert {name: content(path)[name] for name in ("shared", "changed", "new")} == {
        "shared": [(1,)], "changed": [(20,)], "new": [(4,)],
    }  # fmt: skip
    assert "gone" not in content(path)
    with opened(path) as connection:
        stamped = connection.execute("SELECT namespace FROM gitkitchen_publication").fetchall()
    assert stamped == [(SANDBOX.namespace,)]


def test_nothing_is_done_where_nothing_changed(bar: Bar) -> None:
    """The same catalog leaves the very same file, and is told not to be stale."""
    catalog = bar.catalog(bar.table("a", 1))
    assert stale(bar.project, PROD, catalog, bar.store)
    before = bar.show(catalog).stat()
    assert not stale(bar.project, PROD, catalog, bar.store)
    assert bar.show(catalog).stat() == before
    later = bar.catalog(bar.table("a", 2))
    assert stale(bar.project, PROD, later, bar.store)


UNCHANGED = """
import pickle, sys
from gitkitchen.data.consumers import refresh
refresh(*pickle.load(sys.stdin.buffer))
print("duckdb" in sys.modules)
"""


def test_an_unchanged_file_needs_no_database(bar: Bar) -> None:
    """Finding that nothing changed imports no DuckDB: a warm run pays nothing."""
    catalog = bar.catalog(bar.table("a", 1))
    bar.show(catalog)
    store = bar.store
    vars(store).pop("_lock")  # a lock does not travel; nothing is written there
    sent = pickle.dumps((bar.project, PROD, catalog, store))
    done = subprocess.run([sys.executable, "-c", UNCHANGED], input=sent, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"False\n", b"")


def test_views_of_views_read_the_versions_they_were_built_on(bar: Bar) -> None:
    """A view keeps the versions of its inputs, also through another view, whatever is published beside it."""
    old = bar.table("a", 1)
    middle = bar.view("m", "-- a comment\nselect value * 10 as value from a -- and another", a=old)
    top = bar.view("top", "with a as (select 5 as five) select value + five as value from m, a", m=middle)
    new = bar.table("a", 2)
    assert content(bar.show(bar.catalog(new, middle, top))) == {
        "a": [(2,)], "m": [(10,)], "top": [(15,)], "": [(1, "k_main_0", "prod")],
    }  # fmt: skip


def test_file_datasets_are_left_out(bar: Bar) -> None:
    """A report is no table; a dataset that becomes a file leaves the views, and may come back."""
    page, table = bar.file("a", "<p>"), bar.table("a", 1)
    for versions, expected in (((table,), {"a"}), ((page,), set()), ((table,), {"a"})):
        assert set(content(bar.show(bar.catalog(*versions)))) == {"", *expected}


HOSTILE = ["select", "order", "main", "prod", "table", "group", "sqlite_master", "duckdb_tables", "a" * 63,
           "information_schema", "pg_class", "temp", "system", "sequence", "all", "k_main_0"]  # fmt: skip


def test_hostile_but_legal_names_work(bar: Bar) -> None:
    """Keywords, names of schemas, of the file and of the engine's own tables are names like others."""
    versions = [bar.table(name, number) for number, name in enumerate(HOSTILE)]
    versions.append(bar.view("v", 'select value from "select"', select=versions[0]))
    shown = content(bar.show(bar.catalog(*versions)))
    assert {n: rows[0][0] for n, rows in shown.items() if n not in ("", "v")} == {
        name: number for number, name in enumerate(HOSTILE)
    }
    assert shown["v"] == [(0,)]


def test_a_dataset_named_like_the_stamp_is_shown(bar: Bar) -> None:
    """A dataset ``gitkitchen_publication`` is shown itself; the stamp gives way, and comes back after it."""
    for versions, column in (
        ((), "sequence"),
        ((bar.table("gitkitchen_publication", 7),), "value"),
        ((), "sequence"),
    ):
        path = bar.show(bar.catalog(bar.table("a", 1), *versions))
        with opened(path) as connection:
            described = connection.execute("DESCRIBE gitkitchen_publication").fetchall()
        assert described[0][0] == column


@pytest.mark.parametrize("folder", ["it's", "a[b]", "k=v", "sp ace", "ünï"])
def test_the_store_may_lie_anywhere(tmp_path: Path, folder: str) -> None:
    """Odd characters in the project's path do no harm."""
    bar = Bar(tmp_path / folder)
    assert content(bar.show(bar.catalog(bar.table("a", 1))))["a"] == [(1,)]


def test_a_lost_store_does_not_stop_who_may_fill_it_again(bar: Bar) -> None:
    """With ``missing_ok`` the old file stays as it is, and nothing is raised, until the versions are back."""
    shown = bar.show(bar.catalog(bar.table("a", 1)))
    before, catalog = shown.read_bytes(), bar.catalog(bar.table("a", 2))
    shutil.rmtree(bar.store.root)
    with pytest.raises(Infrastructure):
        refresh(bar.project, PROD, catalog, bar.store)
    assert refresh(bar.project, PROD, catalog, bar.store, missing_ok=True) == shown
    assert shown.read_bytes() == before
    assert stale(bar.project, PROD, catalog, bar.store)
    bar.table("a", 2)
    refresh(bar.project, PROD, catalog, bar.store, missing_ok=True)
    assert content(shown)["a"] == [(2,)]


def test_a_version_that_the_store_lost_is_said(bar: Bar) -> None:
    """Where a published version is gone the old file stays, and the way out is named."""
    bar.show(bar.catalog(bar.table("a", 1)))
    lost = bar.table("a", 2)
    bar.store.path(lost.files[0]).unlink()
    with pytest.raises(Infrastructure, match=r"'a' is not in the store .*; run recipe 'r' again"):
        bar.show(bar.catalog(lost))
    assert content(bar.path)["a"] == [(1,)]


# --- readers --------------------------------------------------------------------------------------

READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print(connection.execute("FROM a").fetchall(), flush=True)
sys.stdin.readline()
print(connection.execute("FROM a").fetchall(), connection.execute("FROM gitkitchen_publication").fetchall())
"""


def test_readers_never_block_a_publication(bar: Bar) -> None:
    """While this process and another hold the file open it is replaced; they read the old, others the new."""
    path = bar.show(bar.catalog(bar.table("a", 1)))
    words = [sys.executable, "-c", READER, str(path)]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "[(1,)]\n"
    with opened(path) as mine:
        assert mine.execute("FROM a").fetchall() == [(1,)]
        bar.show(bar.catalog(bar.table("a", 2)))
        assert mine.execute("FROM a").fetchall() == [(1,)]
    assert other.communicate("\n")[0] == "[(1,)] [(1, 'k_main_0', 'prod')]\n"
    assert content(path)["a"] == [(2,)]


# --- any sequence of changes ----------------------------------------------------------------------

states = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6), max_size=4), min_size=1, max_size=5
)


@given(states)
@settings(max_examples=4 if settings().max_examples < 1000 else 40)
def test_any_sequence_of_changes_equals_a_full_rebuild(tmp_path_factory: Any, history: Any) -> None:
    """After tables, views and files came, changed kind and went, the file is what a fresh one would be."""
    bar = Bar(tmp_path_factory.mktemp("bar"))
    base = bar.table("base", 100)
    for wanted in history:
        catalog = bar.catalog(*(version(bar, base, name, value) for name, value in wanted.items()))
        stepwise = content(bar.show(catalog))
    fresh = Bar(bar.root)
    shutil.rmtree(bar.path.parent)
    assert content(fresh.show(catalog)) == stepwise
    assert set(stepwise) - {""} == {name for name, value in history[-1].items() if value != 6}


def version(bar: Bar, base: Version, name: str, value: int) -> Version:
    """A dataset of the kind that its value says: a table, a view (4, 5), a file (6)."""
    if value == 6:
        return bar.file(name, "<p>")
    if value > 3:
        return bar.view(name, f"select value + {value} as v from base", base=base)
    return bar.table(name, value)


# --- damage and crashes ---------------------------------------------------------------------------


def damage_nothing(_path: Path) -> None:
    """The file is as it was left."""


def damage_torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def damage_gone(path: Path) -> None:
    path.unlink()


def damage_junk(path: Path) -> None:
    path.write_bytes(b"not a database")


def damage_silently(path: Path) -> None:
    """Junk of the same size, time and inode, as a failing disk leaves it."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"\xff" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def damage_stamp(path: Path) -> None:
    path.with_suffix(".json").write_text('{"version": 1')


def damage_by_hand(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE OR REPLACE VIEW a AS SELECT 666 AS value")


def damage_other(path: Path) -> None:
    """The stamp lists other entries than the catalog has."""
    stamp = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(stamp | {"entries": {"a": "x", "zz": "y"}}))


DAMAGES = [damage_torn, damage_gone, damage_junk, damage_stamp, damage_by_hand, damage_other]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_repaired_by_the_next_command(bar: Bar, damage: Any) -> None:
    """Torn, missing, overwritten, edited, or its stamp damaged: refresh makes it right, twice over."""
    catalog = bar.catalog(bar.table("a", 1), bar.table("b", 2))
    expected = content(bar.show(catalog))
    damage(bar.path)
    assert stale(bar.project, PROD, catalog, bar.store)
    assert content(bar.show(catalog)) == expected
    assert not stale(bar.project, PROD, catalog, bar.store)


@pytest.mark.parametrize("damage", some([*DAMAGES, damage_silently], *DAMAGES[:2], damage_silently))
def test_a_damaged_file_does_not_stop_the_next_publication(bar: Bar, damage: Any) -> None:
    """The next publication builds on nothing that is broken."""
    table = bar.table("b", 2)
    bar.show(bar.catalog(bar.table("a", 1), table))
    damage(bar.path)
    assert content(bar.show(bar.catalog(bar.table("a", 3), table))) == {
        "a": [(3,)], "b": [(2,)], "": [(2, "k_main_0", "prod")],
    }  # fmt: skip


def test_a_moved_project_gets_a_new_file(bar: Bar, tmp_path: Path) -> None:
    """After the project's folder was moved, views name the files where they now are."""
    catalog = bar.catalog(bar.table("a", 1))
    bar.show(catalog)
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    shutil.copytree(tmp_path, moved, copy_function=shutil.copy2)
    shutil.rmtree(bar.store.root)
    again = Bar(moved)
    assert stale(again.project, PROD, catalog, again.store)
    assert content(again.show(catalog))["a"] == [(1,)]


def test_what_a_dead_writer_left_is_no_harm(bar: Bar) -> None:
    """Half-built files and a lock of a process that died do not stop the next one, and are no view file."""
    path = bar.path
    path.parent.mkdir(parents=True)
    (path.parent / f".prod.duckdb.{os.getpid()}.tmp").write_bytes(b"half")
    (path.parent / f".prod.duckdb.{os.getpid()}.tmp.wal").write_bytes(b"half")
    assert content(bar.show(bar.catalog(bar.table("a", 1))))["a"] == [(1,)]


REFRESHER = """
import json, sys
from pathlib import Path
from gitkitchen.data.consumers import refresh
from gitkitchen.data.store import FolderStore
from gitkitchen.model import Catalog, Kitchen, Project, Published
import duckdb
root, first = Path(sys.argv[1]), int(sys.argv[2])
store = FolderStore(root / "store", namespace="k_main_0", zone="trusted")
kitchen = Kitchen("id", "local", "main", "k_main_0", "prod")
project = Project(root, "shop", "id")
print("go", flush=True)
sequence = 1000 * (first + 1)
while True:
    sequence += 1
    keys = {name: f"{name}{sequence % 3}" for name in "abcd"}
    entries = {n: Published(n, k, "c", "r", "n", "run", sequence) for n, k in keys.items()}
    refresh(project, kitchen, Catalog("k_main_0", sequence, entries), store)
"""


@pytest.mark.long
def test_killing_a_refresh_leaves_the_old_file_or_the_new(bar: Bar) -> None:
    """After kill -9 at random moments the file is one whole publication, and the next command goes on."""
    for name in "abcd":
        for value in range(3):
            bar.table(name, value)
    seen = set()
    for seed in range(40):
        if seed >= 5 and len(seen) > 1:
            break
        kill_at_random(REFRESHER, bar.root, seed=seed, within=0.6 * (1 + seed // 5))  # on a slow machine
        if not bar.path.exists():
            continue
        shown = content(bar.path)
        ((sequence, _, _),) = shown.pop("")
        assert shown == {name: [(sequence % 3,)] for name in "abcd"}
        seen.add(sequence)
    assert len(seen) > 1
    bar.sequence = 50_000
    assert content(bar.show(bar.catalog(bar.made["a1"])))["a"] == [(1,)]
    assert set(content(bar.path)) == {"", "a"}


def test_two_processes_refreshing_leave_one_whole_file(bar: Bar) -> None:
    """Writers of one view file take turns; a later publication is not taken back by a slow earlier one."""
    first, second = bar.catalog(bar.table("a", 1)), bar.catalog(bar.table("a", 2))
    bar.show(second)
    bar.show(first)
    assert content(bar.path)["a"] == [(2,)]
    assert not stale(bar.project, PROD, second, bar.store)
