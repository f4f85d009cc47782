"""The file that consumers read: one small DuckDB database of views, replaced as a whole.

It is a cache of the catalog, stamped with the publication that it shows. It is built aside and renamed
over the old one, so that no reader ever blocks a publication, and none sees half of one. A crash
between a publication and its rename leaves the old file, whole; the next command makes the new one.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gitkitchen.data.store import writing
from gitkitchen.data.stores import Store
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import write_atomic
from gitkitchen.model import Build, Catalog, Kitchen, Project, Published, Version

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

JUST_NOW = 60.0
MANY = 50
# Consumers may have an older DuckDB than we; a file with blocks of this size is half as large as usual.
_FILE = "STORAGE_VERSION 'v1.2.0', BLOCK_SIZE 16384"
STAMP = "gitkitchen_publication"
"""The table in the file that says which publication it shows."""


def view_file(project: Project, kitchen: Kitchen) -> Path:
    """Where consumers of a kitchen read: environments by their plain name, sandboxes by namespace."""
    name = kitchen.environment or kitchen.namespace
    return project.state / "views" / f"{name}.duckdb"


def stale(project: Project, kitchen: Kitchen, catalog: Catalog, store: Store) -> bool:
    """Whether the view file shows something else than the catalog (or is not there)."""
    path = view_file(project, kitchen)
    return _stamp_of(path) != _stamp(project, kitchen, catalog, store, path)


def shown(project: Project, kitchen: Kitchen) -> tuple[int, dict[str, str]] | None:
    """What a kitchen's view file was last made to show: the publication, and dataset to fingerprint; None
    where nothing says it. The file itself may have been changed since."""
    try:
        stamp = json.loads(_sidecar(view_file(project, kitchen)).read_bytes())
        entries = {str(name): str(key) for name, key in stamp["entries"].items()}
        same = stamp["namespace"] == kitchen.namespace
        return (int(stamp["sequence"]), entries) if same else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _moved(project: Project, kitchen: Kitchen, store: Store) -> bool:
    """Whether the view file was made while the project or its store stood elsewhere: a view names files by
    their whole paths, and who moves or copies a folder has changed none."""
    try:
        stamp = json.loads(_sidecar(view_file(project, kitchen)).read_bytes())
        return (stamp["root"], stamp["store"]) != (str(project.state.parent), str(store.root))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def drift(project: Project, kitchen: Kitchen, catalog: Catalog, store: Store) -> list[str]:
    """What somebody else changed in the view file since it was made to show this very catalog.

    Nothing where it shows another publication, was made in another place, or is gone: then it is made anew
    anyway. A crash between the file and its stamp is no drift: what decides is what is in the file.
    """
    import duckdb

    path = view_file(project, kitchen)
    if not path.exists() or not stale(project, kitchen, catalog, store):
        return []
    if shown(project, kitchen) != (catalog.sequence, _wanted(catalog)) or _moved(project, kitchen, store):
        return []
    versions = {name: _version(store, entry, {}) for name, entry in catalog.entries.items()}
    aside = path.parent / f".{path.name}.{os.getpid()}.drift"
    try:
        aside.unlink(missing_ok=True)
        _write_views(aside, store, versions, _wanted(catalog), {}, kitchen, catalog)
        wanted, there = _inside(aside), _inside(path)
    except duckdb.Error as error:
        return [f"the view file cannot be read: {str(error).strip().splitlines()[0][:200]}"]
    finally:
        aside.unlink(missing_ok=True)
        Path(f"{aside}.wal").unlink(missing_ok=True)
    said = [f"'{name}' is gone" for name in sorted(wanted.keys() - there.keys())]
    said += [f"'{name}' was made by somebody else" for name in sorted(there.keys() - wanted.keys())]
    said += [f"'{n}' was changed" for n in sorted(wanted.keys() & there.keys()) if wanted[n] != there[n]]
    return said


def _inside(path: Path) -> dict[str, str]:
    """The views and tables of a DuckDB file, by name, with what they are."""
    import duckdb

    with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as connection:
        views = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal"
        tables = "SELECT table_name, sql || estimated_size FROM duckdb_tables() WHERE NOT internal"
        return {str(n): str(sql) for n, sql in connection.execute(f"{views} UNION ALL {tables}").fetchall()}


def refresh(
    project: Project,
    kitchen: Kitchen,
    catalog: Catalog,
    store: Store,
    *,
    missing_ok: bool = False,
    built: Iterable[Build] = (),
    asked: bool = True,
) -> Path:
    """Bring the view file to the catalog and return its path. Does nothing where it is there already.

    ``built`` are builds that the caller has just saved: they are not read from the store again.

    Not ``asked`` for, no file is made where there is none and its data lies on another machine: it would
    fetch all of it.

    Where a published version is not in the store, the old file stays and Infrastructure is raised; not so
    with ``missing_ok``, for commands that may bring the version back.
    """
    path = view_file(project, kitchen)
    if store.lazy and not asked and not path.exists():
        return path
    wanted = _wanted(catalog)
    stamp = _stamp_of(path)
    if stamp == _stamp(project, kitchen, catalog, store, path):
        return path
    try:
        known = {build.fingerprint: build for build in built}
        versions = {name: _version(store, entry, known) for name, entry in catalog.entries.items()}
    except Infrastructure as error:
        if missing_ok and error.problems[0].code == "version-missing":
            return path
        raise
    begin = _begin(path, store) or _begin_with_base(project, kitchen, store)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(path):
            if _overtaken(path, kitchen, catalog):
                return path
            _sweep(path)
            if begin is None or not _replace(path, store, versions, wanted, begin, kitchen, catalog):
                _replace(path, store, versions, wanted, None, kitchen, catalog)
            write_atomic(_sidecar(path), json.dumps(_stamp(project, kitchen, catalog, store, path)))
    return path


class _Begin(NamedTuple):
    """A whole view file to begin with, and its stamp."""

    file: Path
    stamp: Mapping[str, Any]


def _begin(path: Path, store: Store) -> _Begin | None:
    stamp = _stamp_of(path)
    return _Begin(path, stamp) if stamp is not None and stamp.get("store") == str(store.root) else None


def _begin_with_base(project: Project, kitchen: Kitchen, store: Store) -> _Begin | None:
    """A sandbox's first file begins with its base's: nearly all of its views are the same."""
    if not kitchen.is_sandbox or not kitchen.base:
        return None
    return _begin(project.state / "views" / f"{kitchen.base}.duckdb", store)


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Writers of one view file take turns; the system frees the lock of one that dies."""
    with path.with_suffix(".lock").open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sweep(path: Path) -> None:
    """Remove what writers left that died: whoever has the lock is the only one who builds."""
    for left in path.parent.glob(f".{path.name}.*.tmp*"):
        left.unlink(missing_ok=True)


def _overtaken(path: Path, kitchen: Kitchen, catalog: Catalog) -> bool:
    """Whether another process has just shown a later publication, which must not be taken back.

    Only just: after a ledger was replaced by hand, its lower numbers must be shown in the end.
    """
    stamp = _stamp_of(path)
    return (
        stamp is not None
        and stamp.get("namespace") == kitchen.namespace
        and stamp.get("sequence", 0) > catalog.sequence
        and abs(time.time() - path.stat().st_mtime) < JUST_NOW
    )


def _replace(
    path: Path,
    store: Store,
    versions: Mapping[str, Version],
    wanted: Mapping[str, str],
    begin: _Begin | None,
    kitchen: Kitchen,
    catalog: Catalog,
) -> bool:
    """Build the file aside and rename it over the old one, beginning with a copy of ``begin``.

    False, and nothing has changed, where that turns out to be damaged, or was just replaced.
    """
    import duckdb

    aside = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        shown: Mapping[str, str] = {}
        if begin is not None:
            shutil.copyfile(begin.file, aside)
            if _stamp_of(begin.file) != begin.stamp:
                return False
            shown = begin.stamp.get("entries", {})
        _write_views(aside, store, versions, wanted, shown, kitchen, catalog)
        _sync(aside)
        os.replace(aside, path)  # noqa: PTH105 - the one moment at which readers change over
    except duckdb.Error as error:
        if begin is not None:
            return False
        reason = str(error).strip().splitlines()[0]
        raise Infrastructure(
            Problem(f"the view file {path} cannot be made: {reason}", code="views")
        ) from error
    finally:
        aside.unlink(missing_ok=True)
        Path(f"{aside}.wal").unlink(missing_ok=True)
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_views(
    file: Path,
    store: Store,
    versions: Mapping[str, Version],
    wanted: Mapping[str, str],
    shown: Mapping[str, str],
    kitchen: Kitchen,
    catalog: Catalog,
) -> None:
    """Make the views that changed, drop those that are gone, and stamp the file. It is nobody's yet."""
    from gitkitchen.data.engines.duckdb import relation
    from gitkitchen.data.engines.small import attached, small_cursor
    from gitkitchen.data.sql import literal, quote_identifier

    with attached(file, _FILE) as place, small_cursor() as connection:
        connection.execute(f"USE {place}")
        connection.execute("BEGIN")
        if STAMP in shown.keys() | wanted.keys():
            _make_room(connection)
            shown = {n: key for n, key in shown.items() if n != STAMP}
        for name in shown.keys() - wanted.keys():
            connection.execute(f"DROP VIEW IF EXISTS {quote_identifier(name)}")
        files = [name for name, version in versions.items() if version.format == "file"]
        for name in shown.keys() & files:
            connection.execute(f"DROP VIEW IF EXISTS {quote_identifier(name)}")
        connection.execute("COMMIT")
        # What the file does not show it does not hold: to look for what is replaced takes a quarter more.
        statements = [
            f"CREATE {'OR REPLACE ' if name in shown else ''}VIEW {quote_identifier(name)} "
            f"AS {relation(version, store)}"
            for name, version in versions.items()
            if version.format != "file" and shown.get(name) != wanted[name]
        ]
        _execute(place, statements)
        if STAMP not in wanted:
            connection.execute(
                f"CREATE OR REPLACE TABLE {STAMP} AS SELECT "
                f"{catalog.sequence} AS sequence, {literal(kitchen.namespace)} AS namespace, "
                f"{literal(kitchen.label)} AS kitchen"
            )
        connection.execute(f"CHECKPOINT {place}")


def _execute(place: str, statements: Sequence[str]) -> None:
    """Execute statements that do not depend on each other in an attached file; many in two threads.

    A view's files are opened to learn its columns: that is nearly all of the work.
    """
    from gitkitchen.data.engines.small import small_cursor

    threads = 2 if len(statements) >= MANY else 1

    def execute(number: int) -> None:
        with small_cursor() as cursor:
            cursor.execute(f"USE {place}")
            cursor.execute("BEGIN")
            for statement in statements[number::threads]:
                cursor.execute(statement)
            cursor.execute("COMMIT")

    if threads == 1:
        execute(0)
        return
    from concurrent.futures import ThreadPoolExecutor  # late: it brings `logging`

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(execute, range(threads)))


def _make_room(connection: DuckDBPyConnection) -> None:
    """Take the stamp away, or the view of a dataset that bears its name: the dataset comes first."""
    found = connection.execute(
        "SELECT table_type FROM information_schema.tables "
        "WHERE table_name = $1 AND table_catalog = current_database()",
        [STAMP],
    )
    for (kind,) in found.fetchall():
        connection.execute(f"DROP {'VIEW' if kind == 'VIEW' else 'TABLE'} {STAMP}")


def _version(store: Store, entry: Published, known: Mapping[str, Build]) -> Version:
    build = known.get(entry.fingerprint) or store.find(entry.fingerprint)
    version = build.versions.get(entry.dataset) if build else None
    if version is None:
        raise Infrastructure(
            Problem(
                f"the published version of '{entry.dataset}' is not in the store {store.root}",
                hint=f"run recipe '{entry.recipe}' again",
                code="version-missing",
            )
        )
    return version


# --- stamps ------------------------------------------------------------------------------------------


def _wanted(catalog: Catalog) -> dict[str, str]:
    return {name: entry.fingerprint for name, entry in sorted(catalog.entries.items())}


def _stamp(project: Project, kitchen: Kitchen, catalog: Catalog, store: Store, path: Path) -> dict[str, Any]:
    """What a fresh view file is stamped with; its inode and size tell that it is the very file."""
    try:
        status = path.stat()
    except OSError:
        identity = None
    else:
        identity = [status.st_ino, status.st_size, status.st_mtime_ns]
    return {
        "version": 1,
        "sequence": catalog.sequence,
        "namespace": kitchen.namespace,
        "root": str(project.state.parent),
        "store": str(store.root),
        "entries": _wanted(catalog),
        "file": identity,
    }


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")


def _stamp_of(path: Path) -> dict[str, Any] | None:
    """The stamp beside a view file; None where either is missing or damaged.

    A file that was replaced after its stamp was written has another identity: it is made again.
    """
    try:
        stamp = json.loads(_sidecar(path).read_bytes())
        status = path.stat()
    except (OSError, ValueError):
        return None
    same = isinstance(stamp, dict) and stamp.get("file") == [
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
    ]
    return stamp if same else None
