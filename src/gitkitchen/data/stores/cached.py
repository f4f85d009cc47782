"""A store on another machine behind a local cache, which is a folder store. The rest is fetched when read.

    <cache>/{trusted | sandbox/<namespace>}/…     as in a folder store: what was built or fetched here
    <cache>/known/<zone>/<fingerprint>.json       builds that the other machine has, fetched or brought there
    <cache>/lost/<sha256>                         files that it should have and has not, or has damaged

Looking up a build fetches its JSON and no data. Data is fetched when its path is asked for, verified by
size and digest, and renamed last. What was built here is brought there by ``sync``, before a publication,
and by ``finish``, at the end of a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from gitkitchen.data.manifest import build_to_json
from gitkitchen.data.store import FolderStore, writing
from gitkitchen.data.stores.claims import accepted, claimed
from gitkitchen.data.stores.contract import (
    FINGERPRINT,
    NAMESPACE,
    TRUSTED,
    Remote,
    all_files,
    own_zone,
    refused_file,
    relative,
    same_content,
)
from gitkitchen.data.stores.copying import received
from gitkitchen.data.stores.marks import project_note, read_marks, rely
from gitkitchen.data.stores.parallel import each
from gitkitchen.data.stores.verdicts import Verdicts
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import digest_file, read_bounded, write_atomic
from gitkitchen.model import Build, FileEntry, TestResult, Version

SINGLY = 16
"""After so many builds that were not there, the whole list is asked for once."""
MOST = 64 << 20
BELIEVED = 6 * 3600.0
"""Seconds for which a build that the other machine had is taken to be there still."""


class CachedStore(FolderStore):
    """One kitchen's view of a remote store. Threads may share it."""

    lazy = True

    def __init__(
        self,
        cache: Path,
        remote: Remote,
        *,
        namespace: str,
        zone: Literal["trusted", "sandbox"],
        environments: Sequence[str] = (),
        project: str = "",
    ) -> None:
        """``environments``: the namespaces whose verdicts in the trusted zone may be read. ``project``: whose
        builds these are, for who clears up."""
        super().__init__(cache, namespace=namespace, zone=zone)
        self.remote = remote
        self._project = project
        self.own = own_zone(zone, namespace)
        self.zones = (self.own,) if zone == TRUSTED else (self.own, TRUSTED)
        self._verdicts = Verdicts(remote, self.zones, namespace, environments)
        self._absent: set[tuple[str, str]] = set()
        self._listed: dict[str, frozenset[str] | None] = {}
        self._misses = 0
        self._away = False
        self._confirmed: set[str] = set()
        self._relied: set[str] = set()
        self._expected: set[str] = set()
        self._fetching: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    # --- files -------------------------------------------------------------------------------------

    def path(self, file: FileEntry) -> Path:
        """Where a file can be read; fetched first where it is not here yet."""
        if not self._is_here(file):
            with self._guard:
                turn = self._fetching.setdefault(file.digest, threading.Lock())
            with turn:
                if not self._is_here(file):
                    self._fetch(file)
        return super().path(file)

    def paths(self, version: Version) -> list[Path]:
        """The files of a version, fetched side by side where they are not here yet."""
        missing = [f for f in all_files([version]) if not self._is_here(f)]
        each(self.path, missing)
        return [self.path(f) for f in version.files]

    def complete(self, version: Version) -> bool:
        """Whether every file is here, or belongs to a build that the other machine has. A table of a
        warehouse is looked for there."""
        files = all_files([version])
        if not files:
            return version.format == "view" or (self.elsewhere and version.relation is not None)
        return version.format == "view" or not any(self._lost(f) for f in files)

    def _is_here(self, file: FileEntry) -> bool:
        name = relative("files", file.digest, file.suffix)
        for zone in self.zones:
            with contextlib.suppress(OSError):
                status = os.lstat(f"{self.root}/{zone}/{name}")
                if stat.S_ISREG(status.st_mode) and status.st_size == file.bytes:
                    return True
        return False

    def _fetch(self, file: FileEntry) -> None:
        """Bring a file into the cache. Infrastructure where no zone has it whole; it is marked as lost."""
        reason = "is not there"
        for zone in self.zones:
            temporary = self.scratch(file.suffix)
            try:
                with writing(self.root):
                    found = received(temporary, file, self._stream(zone, file))
            except ValueError as error:
                reason = str(error)
                continue
            if found:
                self.keep_verified(temporary, file, zone)
                return
        with writing(self.root):
            write_atomic(self._mark(file), "")
        raise refused_file(self.remote.label, file, reason)

    def _stream(self, zone: str, file: FileEntry) -> Callable[[Any], bool]:
        return lambda target: self.remote.fetch(zone, file, target)

    def _mark(self, file: FileEntry) -> Path:
        return self.root / "lost" / file.digest

    def _lost(self, file: FileEntry) -> bool:
        return not self._is_here(file) and self._mark(file).exists()

    # --- builds ------------------------------------------------------------------------------------

    def save(self, build: Build) -> None:
        super().save(build)
        with self._guard:
            self._confirmed.discard(build.fingerprint)
            self._relied.discard(build.fingerprint)

    def find(self, fingerprint: str) -> Build | None:
        """The build of a fingerprint, from the cache or the other machine. No data is fetched."""
        if not FINGERPRINT.fullmatch(fingerprint):
            return None
        return self._here(fingerprint) or self._known(fingerprint) or self._asked(fingerprint)

    def expect(self, fingerprints: Iterable[str]) -> None:
        """Look builds up side by side, so that ``find`` answers from memory and disk."""
        named = set(fingerprints) - self._expected
        self._expected |= named
        wanted = sorted(f for f in named if FINGERPRINT.fullmatch(f))
        each(self._asked, [f for f in wanted if self._here(f) is None and self._known(f) is None])

    def _here(self, fingerprint: str) -> Build | None:
        """A build of which the cache has everything."""
        build = super().find(fingerprint)
        whole = build is not None and all(self._is_here(f) for f in all_files(build.versions.values()))
        return build if whole else None

    def _known(self, fingerprint: str) -> Build | None:
        for zone in self.zones:
            with contextlib.suppress(OSError):
                name = self._known_name(zone, fingerprint)
                build = claimed(read_bounded(name, MOST), fingerprint)
                if build is not None and self._usable(build) and self._still(zone, fingerprint, name):
                    return build
        return None

    def _still(self, zone: str, fingerprint: str, name: Path) -> bool:
        """Whether the other machine has a build that it had once: asked again after some hours, since what
        nothing refers to is collected. Where nobody answers, it is taken to be there."""
        if time.time() - name.stat().st_mtime < BELIEVED or self._away:
            return True
        try:
            with self._guard:
                if zone not in self._listed:
                    self._listed[zone] = self.remote.builds(zone)
                listed = self._listed[zone]
            there = fingerprint in listed if listed is not None else self.remote.build(zone, fingerprint)
        except Infrastructure:
            self._away = True
            return True
        if there:
            os.utime(name)
        else:
            name.unlink(missing_ok=True)
        return bool(there)

    def _usable(self, build: Build) -> bool:
        return all(self.complete(v) for v in build.versions.values())

    def _asked(self, fingerprint: str) -> Build | None:
        for zone in self.zones:
            if (zone, fingerprint) in self._absent or not self._may_have(zone, fingerprint):
                continue
            data = self.remote.build(zone, fingerprint)
            build = claimed(data, fingerprint)
            if build is None or data is None or not self._usable(build):
                with self._guard:
                    self._absent.add((zone, fingerprint))
                    self._misses += 1
                continue
            self._remember(zone, fingerprint, data)
            return build
        return None

    def _may_have(self, zone: str, fingerprint: str) -> bool:
        """False where the list of all builds says that there is none. It is asked for after some misses."""
        if self._misses < SINGLY:
            return True
        with self._guard:
            if zone not in self._listed:
                self._listed[zone] = self.remote.builds(zone)
            known = self._listed[zone]
        return known is None or fingerprint in known

    def _known_name(self, zone: str, fingerprint: str) -> Path:
        return self.root / "known" / zone / relative("", fingerprint, ".json").lstrip("/")

    def _remember(self, zone: str, fingerprint: str, data: bytes) -> None:
        with writing(self.root):
            write_atomic(self._known_name(zone, fingerprint), data)
        with self._guard:
            self._confirmed.add(fingerprint)
            self._absent.discard((zone, fingerprint))

    # --- verdicts ----------------------------------------------------------------------------------

    def save_verdict(self, key: str, result: TestResult) -> None:
        super().save_verdict(key, result)
        self._verdicts.add(key, result)

    def find_verdict(self, key: str) -> TestResult | None:
        return super().find_verdict(key) or self._verdicts.find(key)

    # --- there and back ------------------------------------------------------------------------------

    def sync(self, builds: Iterable[Build]) -> None:
        """Bring builds and their files to the other machine: a publication names only what is there.

        Files first, each once, side by side; then the builds. What is there already is left alone.
        """
        wanted = {b.fingerprint: b for b in builds if b.fingerprint not in self._relied}
        if not wanted:
            return
        if self.own == TRUSTED and self._project:
            note = project_note(self._project)
            if self.remote.note(TRUSTED, note) is None:
                self.remote.put_note(TRUSTED, note, b"{}")
        missing = self._relied_on(wanted)
        files = all_files(v for b in missing for v in b.versions.values())
        each(self._bring, [f for f in files if self._in_own(f)])
        each(self._bring_build, missing)
        self._relied |= wanted.keys()

    def _relied_on(self, wanted: Mapping[str, Build]) -> list[Build]:
        """Say of builds that they are needed, and then look what is there: see data/stores/marks.py.
        Those that have to be brought."""
        marks = {zone: read_marks(self.remote, zone) for zone in self.zones}
        rely(self.remote, self.own, wanted.keys(), marks[self.own])
        if any(found.begun for found in marks.values()):
            self._confirmed -= wanted.keys()  # it may have been collected since it was looked up
        unsure = {f: b for f, b in wanted.items() if f not in self._confirmed}
        if len(unsure) > SINGLY:
            self._confirm_listed(unsure)
        absent: set[str] = set()
        each(lambda b: None if self._is_there(b) else absent.add(b.fingerprint), list(unsure.values()))
        if self.own != TRUSTED:
            # What is trusted we cannot keep from being collected: of what is marked there we make a copy.
            for fingerprint in (wanted.keys() & marks[TRUSTED].marked.keys()) - absent:
                if self.remote.build(self.own, fingerprint) is None:
                    each(self._copy_to_own, all_files(wanted[fingerprint].versions.values()))
                    absent.add(fingerprint)
        if absent:
            files = all_files(v for f in absent for v in wanted[f].versions.values())
            rely(self.remote, self.own, {f.digest for f in files})
        return [wanted[fingerprint] for fingerprint in sorted(absent)]

    def _copy_to_own(self, file: FileEntry) -> None:
        if not self._own_file(file).exists():
            accepted(self, file, str(self.path(file)))

    def finish(self, builds: Iterable[Build]) -> None:
        """Bring candidates and verdicts to the other machine. What a crash left out is brought next time."""
        self.sync(b for b in builds if not self._was_there(b))
        with contextlib.suppress(Infrastructure):  # what is lost is judged again
            self._verdicts.flush()

    def _was_there(self, build: Build) -> bool:
        known = self._known(build.fingerprint)
        return known is not None and same_content(known, build)

    def _confirm_listed(self, wanted: dict[str, Build]) -> None:
        """Take those out of ``wanted`` that the other machine lists, and that were known to be there."""
        listed = {zone: self.remote.builds(zone) or frozenset() for zone in self.zones}
        for fingerprint, build in list(wanted.items()):
            if self._was_there(build) and any(fingerprint in names for names in listed.values()):
                self._confirmed.add(fingerprint)
                del wanted[fingerprint]

    def _is_there(self, build: Build) -> bool:
        """Whether the other machine has this content under this fingerprint, with no file that it lost."""
        if any(self._mark(f).exists() for f in all_files(build.versions.values())):
            return False
        for zone in self.zones:
            data = self.remote.build(zone, build.fingerprint)
            there = claimed(data, build.fingerprint)
            if there is not None and data is not None and same_content(there, build):
                self._remember(zone, build.fingerprint, data)
                return True
        return False

    def _in_own(self, file: FileEntry) -> bool:
        """Whether the own zone must hold a file: a view's inputs may lie in ``trusted``."""
        return self._own_file(file).exists() or not self._is_here(file)

    def _own_file(self, file: FileEntry) -> Path:
        return self.root / self.own / relative("files", file.digest, file.suffix)

    def _bring(self, file: FileEntry) -> None:
        """Bring one file, after its bytes were compared with its digest once more."""
        path = self.path(file)
        with writing(self.root):
            found = digest_file(path)
        if found != file.digest:
            raise refused_file(str(path), file, "holds other bytes than were written")
        mark = self._mark(file)
        self.remote.put_file(self.own, file, path, again=mark.exists())
        mark.unlink(missing_ok=True)

    def _bring_build(self, build: Build) -> None:
        data = json.dumps(build_to_json(build), separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "backslashreplace"
        )
        files = [f for f in all_files(build.versions.values()) if self._in_own(f)]
        self.remote.put_build(self.own, build.fingerprint, data, files)
        self._remember(self.own, build.fingerprint, data)

    # --- what sandboxes claim --------------------------------------------------------------------------

    def offered(self, namespace: str, fingerprint: str) -> Build | None:
        """What a sandbox's zone says of a fingerprint, here or on the other machine: a claim."""
        if not NAMESPACE.fullmatch(namespace) or not FINGERPRINT.fullmatch(fingerprint):
            return None
        here = super().offered(namespace, fingerprint)
        return here or claimed(self.remote.build(f"sandbox/{namespace}", fingerprint), fingerprint)

    def take(self, namespace: str, build: Build) -> Build:
        """Bring a claim's files into the own zone, each verified. ValueError says what differs."""
        if not NAMESPACE.fullmatch(namespace):
            raise ValueError("comes from no sandbox")
        each(lambda f: self._take_file(namespace, f), all_files(build.versions.values()))
        return build

    def _take_file(self, namespace: str, file: FileEntry) -> None:
        zone = f"sandbox/{namespace}"
        here = f"{self.root}/{zone}/{relative('files', file.digest, file.suffix)}"
        with contextlib.suppress(ValueError):  # damaged in the cache: the other machine may have it whole
            if accepted(self, file, here):
                return
        temporary = self.scratch(file.suffix)
        try:
            with writing(self.root):
                found = received(temporary, file, self._stream(zone, file))
        except ValueError as error:
            raise ValueError(f"file sha256:{file.digest} {error}") from None
        if not found:
            raise ValueError(f"file sha256:{file.digest} is not there")
        self.keep_verified(temporary, file)

    def verify(self, version: Version) -> list[Problem]:
        """Every file of a version, fetched where it is not here, compared with its digest."""
        self.paths(version)
        return super().verify(version)
