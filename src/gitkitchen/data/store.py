"""The store of a folder: immutable files under their digest, and the builds that refer to them.

    <root>/{trusted | sandbox/<namespace>}/files/<a>/<sha256><suffix>
    <root>/{trusted | sandbox/<namespace>}/builds/<a>/<fingerprint>.json
    <root>/{trusted | sandbox/<namespace>}/verdicts/<a>/<key>.json
    <root>/tmp/                                      what is being written

A file gets its final name by one rename, so a crash leaves whole files or nothing under that name.
A kitchen writes its own zone; a sandbox also reads ``trusted``; ``trusted`` never reads a sandbox.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from gitkitchen.data.manifest import (
    build_from_json,
    build_to_json,
    test_result_from_json,
    test_result_to_json,
)
from gitkitchen.data.stores.claims import offered, take
from gitkitchen.data.stores.contract import relative as _relative
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import digest_file, sync_files
from gitkitchen.model import Build, FileEntry, TestResult, Version

T = TypeVar("T")

_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

SMALL = 1_000_000
"""Bytes up to which a file that seems to be there already is read to see whether it is whole."""

_HINTS = {
    errno.ENOSPC: "free some space on that disk, then run the same command again",
    errno.EDQUOT: "raise the quota or free some space, then run the same command again",
    errno.EROFS: "the disk is read-only; set `store:` in kitchen.yml to a folder that can be written",
    errno.EACCES: "make the folder writable for this user, then run the same command again",
    errno.EPERM: "make the folder writable for this user, then run the same command again",
}


def unwritable(root: Path, error: OSError) -> Infrastructure:
    """The error for a store that cannot be written, with what to do about it."""
    reason = error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0, "run the same command again when the disk works")
    return Infrastructure(Problem(f"the store {root} cannot be written: {reason}", hint=hint, code="store"))


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """OSError inside becomes Infrastructure that names the store."""
    try:
        yield
    except OSError as error:
        raise unwritable(root, error) from error


class FolderStore:
    """One kitchen's view of a store in a folder. Threads may share it."""

    lazy = False
    """Whether a file is fetched when it is first read."""

    def __init__(self, root: Path, *, namespace: str, zone: Literal["trusted", "sandbox"]) -> None:
        """``root`` need not exist yet; nothing is made until something is written."""
        self.root = Path(os.path.realpath(root))
        self.zone = zone
        self._trusted = f"{self.root}/trusted"
        self._own = self._trusted if zone == "trusted" else f"{self.root}/sandbox/{namespace}"
        self._read = (self._own,) if zone == "trusted" else (self._own, self._trusted)
        self._scratch = f"{self.root}/tmp"  # noqa: S108 - a folder of the store, not of the system
        self.elsewhere = False
        """Whether tables may be in a warehouse, where another store looks for them."""
        self._ready = False
        self._synced: set[str] = set()
        self._read_before: dict[str, tuple[int, int, int, dict[str, Any]]] = {}
        """Of the files of builds that were met and said what was to be said: which they were, and that."""
        self._lock = threading.Lock()

    # --- files -------------------------------------------------------------------------------

    def scratch(self, suffix: str = "") -> Path:
        """A new name in the store's temporary folder: same disk as the final names. Not created."""
        return Path(self._temporary(suffix))

    def _temporary(self, suffix: str = "") -> str:
        if not self._ready:
            with writing(self.root):
                os.makedirs(self._scratch, exist_ok=True)  # noqa: PTH103 - text paths on the hot path
            self._ready = True
        return f"{self._scratch}/{os.getpid()}-{secrets.token_hex(8)}{suffix}"

    def keep(self, temporary: Path, *, suffix: str = ".parquet") -> tuple[str, int]:
        """Move a complete file to its final name; returns its digest and its bytes.

        The temporary name is gone afterwards, also where the store had the content already.
        """
        with writing(self.root):
            name = str(temporary)
            digest = digest_file(name)
            size = os.stat(name).st_size  # noqa: PTH116 - text paths on the hot path
            final = self._name("files", digest, suffix)
            if _size(final) == size and size <= SMALL and digest_file(final) == digest:
                # A rename over a file would make the disk write at once: ext4(5), auto_da_alloc.
                os.unlink(name)  # noqa: PTH108
            else:
                os.chmod(name, 0o444)  # noqa: PTH101 - versions are immutable: an accident says so
                self._rename(name, final)
        return digest, size

    def keep_verified(self, temporary: Path, file: FileEntry, zone: str | None = None) -> None:
        """Move a file whose digest was computed from these very bytes to its final name in a zone."""
        with writing(self.root):
            temporary.chmod(0o444)
            folder = self._own if zone is None else f"{self.root}/{zone}"
            self._rename(str(temporary), f"{folder}/{_relative('files', file.digest, file.suffix)}")

    def adopt(self, path: Path, *, suffix: str = "") -> FileEntry:
        """Copy a file that someone else made (a node's output) into the store."""
        temporary = self.scratch(suffix)
        try:
            with writing(self.root):
                shutil.copyfile(path, temporary)
            digest, size = self.keep(temporary, suffix=suffix)
        finally:
            temporary.unlink(missing_ok=True)
        return FileEntry(digest, size, suffix=suffix)

    def path(self, file: FileEntry) -> Path:
        """Where a file is: whole in the own zone, else where a trusted one is or would be."""
        relative = _relative("files", file.digest, file.suffix)
        for zone in self._read[:-1]:
            if _size(f"{zone}/{relative}") == file.bytes:
                return Path(f"{zone}/{relative}")
        return Path(f"{self._read[-1]}/{relative}")

    def owns(self, file: FileEntry) -> bool:
        """Whether a file is whole in the own zone on this machine."""
        return _size(f"{self._own}/{_relative('files', file.digest, file.suffix)}") == file.bytes

    def paths(self, version: Version) -> list[Path]:
        """The files of a table or file version, in the manifest's order."""
        return [self.path(f) for f in version.files]

    def complete(self, version: Version) -> bool:
        """Whether all files of a version are there with their sizes (a view: those of its inputs)."""
        if not all(self.complete(v) for v in version.inputs.values()):
            return False
        if not version.files:
            # A table of a warehouse is looked for there (data/engines/postgres_store.py).
            return version.format == "view" or (self.elsewhere and version.relation is not None)
        return all(self._has(f) for f in version.files)

    def _has(self, file: FileEntry) -> bool:
        relative = _relative("files", file.digest, file.suffix)
        return any(_size(f"{zone}/{relative}") == file.bytes for zone in self._read)

    def verify(self, version: Version) -> list[Problem]:
        """Every file of a version read again and compared with its digest; empty when all is well."""
        problems: list[Problem] = []
        for file in version.files:
            path = self.path(file)
            try:
                found = digest_file(path)
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
            else:
                reason = "" if found == file.digest else "holds other bytes than were written"
            if reason:
                message = f"dataset '{version.dataset}': the store's file {path} {reason}"
                hint = "remove the file and run the recipe again"
                problems.append(Problem(message, hint=hint, code="damaged-file"))
        for inner in version.inputs.values():
            problems += self.verify(inner)
        return problems

    def altered(self, version: Version) -> list[Problem]:
        """As ``verify``, for a version whose files are all on this machine; others were not read here."""
        return FolderStore.verify(self, version) if FolderStore.complete(self, version) else []

    def harmed(self, fingerprint: str, dataset: str, *, thoroughly: bool) -> list[Problem]:
        """What somebody did to the files of a version since it was made (see ``stores.contract``). A cache
        is not what others read."""
        build = None if self.lazy else self.manifest(fingerprint)
        version = build.versions.get(dataset) if build is not None else None
        return [] if version is None else self._harm(version, thoroughly=thoroughly)

    def _harm(self, version: Version, *, thoroughly: bool) -> list[Problem]:
        """Of a version's own files and of those of the versions under it."""
        problems: list[Problem] = []
        for file in version.files:
            path = self.path(file)
            try:
                status = os.stat(path)  # noqa: PTH116 - text paths on the hot path
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
            else:
                same = status.st_size == file.bytes
                if same and (thoroughly or status.st_mode & 0o222):  # it was made read-only
                    same = digest_file(path) == file.digest
                reason = "" if same else "holds other bytes than were written"
            if reason:
                named = f"{file.digest[:12]}{file.suffix}"  # not where it is: this is told to others
                message = f"dataset '{version.dataset}': the store's file {named} {reason}"
                hint = "run the recipe again: it is built anew"
                problems.append(Problem(message, hint=hint, code="damaged-file"))
        for inner in version.inputs.values():
            problems += self._harm(inner, thoroughly=thoroughly)
        return problems

    # --- builds and verdicts -----------------------------------------------------------------

    def save(self, build: Build) -> None:
        """Keep a build; its files must be kept already. Overwrites one of the same fingerprint that says
        something else than when, by which run and for which node the same versions were built.
        """
        name = self._name("builds", build.fingerprint, ".json")
        value = build_to_json(build)
        if not self._says(name, _said(value)):
            self._write(name, value)

    def _says(self, name: str, said: dict[str, Any]) -> bool:
        """Whether a build's file says this already. One that was read before and is the same is not read
        again: many nodes with one command have one build."""
        try:
            status = os.stat(name)  # noqa: PTH116 - text paths on the hot path
        except OSError:
            return False
        now = (status.st_ino, status.st_size, status.st_mtime_ns, said)
        if self._read_before.get(name) == now:
            return True
        if _read(name, _said) != said:
            return False
        self._read_before[name] = now
        return True

    def find(self, fingerprint: str) -> Build | None:
        """The build of a fingerprint, or None where it is unknown, unreadable or lacks a file."""
        for zone in self._read:
            build = _read(f"{zone}/{_relative('builds', fingerprint, '.json')}", build_from_json)
            if (
                build is not None
                and build.fingerprint == fingerprint
                and all(self.complete(v) for v in build.versions.values())
            ):
                return build
        return None

    def manifest(self, fingerprint: str) -> Build | None:
        """What a build says of itself, whether or not its files are there."""
        for zone in self._read:
            build = _read(f"{zone}/{_relative('builds', fingerprint, '.json')}", build_from_json)
            if build is not None and build.fingerprint == fingerprint:
                return build
        return None

    def save_verdict(self, key: str, result: TestResult) -> None:
        """Keep a test's result under its key (the test's meaning and the content that it judged)."""
        self._write(self._name("verdicts", key, ".json"), test_result_to_json(result))

    def find_verdict(self, key: str) -> TestResult | None:
        """The result kept under a key, or None where there is none that can be read."""
        for zone in self._read:
            result = _read(f"{zone}/{_relative('verdicts', key, '.json')}", test_result_from_json)
            if result is not None:
                return result
        return None

    # --- what a store on another machine does more (data/stores/) --------------------------------

    def expect(self, fingerprints: Iterable[str]) -> None:
        """A folder is asked one by one."""

    def finish(self, builds: Iterable[Build]) -> None:
        """What a folder keeps is where others find it."""

    def offered(self, namespace: str, fingerprint: str) -> Build | None:
        """What a sandbox's zone says of a fingerprint: a claim, to be checked by whoever asks."""
        return offered(str(self.root), namespace, fingerprint)

    def take(self, namespace: str, build: Build) -> Build:
        """Copy a claim's files into the own zone, each verified by its digest. ValueError: they differ."""
        return take(self, namespace, build)

    # --- durability --------------------------------------------------------------------------

    def sync(self, builds: Iterable[Build]) -> None:
        """Wait until builds and all their files are on the disk. Called once, before publication."""
        names: set[str] = set()
        for build in builds:
            names.add(self._find_name("builds", build.fingerprint, ".json"))
            for version in build.versions.values():
                names |= {str(self.path(f)) for f in _files(version)}
        with self._lock:
            names -= self._synced
        folders = {os.path.dirname(n) for n in names}  # noqa: PTH120
        folders |= {os.path.dirname(f) for f in folders}  # noqa: PTH120
        with writing(self.root):
            sync_files(sorted(names) + sorted(folders))
        with self._lock:
            self._synced |= names

    # --- the disk ----------------------------------------------------------------------------

    def _name(self, shelf: str, name: str, suffix: str) -> str:
        return f"{self._own}/{_relative(shelf, name, suffix)}"

    def _find_name(self, shelf: str, name: str, suffix: str) -> str:
        own = self._name(shelf, name, suffix)
        if os.path.exists(own):  # noqa: PTH110
            return own
        return f"{self._read[-1]}/{_relative(shelf, name, suffix)}"

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file. A new one is written in place, which is half the work of renaming it: a reader
        that meets it unfinished, or torn by a crash, takes it for missing. One that is there is replaced.
        """
        data = _ENCODE(value).encode("utf-8", "backslashreplace")
        with writing(self.root):
            try:
                self._create(name, data)
            except FileExistsError:
                temporary = self._temporary(".json")
                try:
                    self._create(temporary, data)
                    self._rename(temporary, name)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary)  # noqa: PTH108
                    raise

    def _create(self, name: str, data: bytes) -> None:
        try:
            file = open(name, "xb", buffering=0)  # noqa: PTH123, SIM115
        except FileNotFoundError:
            os.makedirs(os.path.dirname(name), exist_ok=True)  # noqa: PTH103, PTH120
            file = open(name, "xb", buffering=0)  # noqa: PTH123, SIM115
        with file:
            try:
                rest = data[file.write(data) :]
                while rest:  # a disk that is nearly full: the next write says why
                    rest = rest[file.write(rest) :]
            except BaseException:  # also on Ctrl-C
                # Not unlinked: by now the name may be that of a whole file, which another run has put there.
                with contextlib.suppress(OSError):
                    file.truncate(0)
                raise

    def _rename(self, temporary: str, final: str) -> None:
        try:
            os.replace(temporary, final)  # noqa: PTH105
        except FileNotFoundError:
            os.makedirs(os.path.dirname(final), exist_ok=True)  # noqa: PTH103, PTH120
            os.replace(temporary, final)  # noqa: PTH105
        with self._lock:
            self._synced.discard(final)


def _size(name: str) -> int | None:
    """The bytes of a file that is one: a link in its place is somebody else's doing."""
    try:
        status = os.lstat(name)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _said(build: Mapping[str, Any]) -> dict[str, Any]:
    """What a build's file says but for the circumstances."""
    return {k: v for k, v in build.items() if k not in ("node", "run", "finished", "seconds")}


def _files(version: Version) -> Iterator[FileEntry]:
    yield from version.files
    for inner in version.inputs.values():
        yield from _files(inner)


def _read(name: str, decode: Callable[[Any], T]) -> T | None:
    """A JSON file decoded; None for what is missing, torn or of another shape: it is built again."""
    try:
        with open(name, "rb") as file:  # noqa: PTH123
            return decode(json.loads(file.read()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
