"""What the rest of GitKitchen asks of a store, and what a store asks of the place that it keeps things in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Build, FileEntry, TestResult, Version

TRUSTED = "trusted"
"""The zone that environments write. A sandbox's is ``sandbox/<namespace>``."""

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
NAMESPACE = re.compile(r"k_[a-z0-9_]{1,46}")


def relative(shelf: str, name: str, suffix: str) -> str:
    """Where a zone keeps what has a digest for a name."""
    return f"{shelf}/{name[:1]}/{name}{suffix}"


class Store(Protocol):
    """One kitchen's view of a store: it writes its own zone, and reads that and, as a sandbox, ``trusted``.

    ``root`` is the folder in which every file that ``path`` names lies; engines may read it as a whole.
    All methods may be called from several threads. Infrastructure where the disk or the network fails.
    """

    root: Path
    zone: Literal["trusted", "sandbox"]
    lazy: bool
    """Whether a file is fetched when it is first read: nobody reads more than is needed."""

    def scratch(self, suffix: str = "") -> Path:
        """A new name for something that is being written, on the disk of ``root``. Not created."""

    def keep(self, temporary: Path, *, suffix: str = ".parquet") -> tuple[str, int]:
        """Move a complete file into the own zone; its digest and bytes."""

    def adopt(self, path: Path, *, suffix: str = "") -> FileEntry:
        """Copy a file that someone else made into the own zone."""

    def path(self, file: FileEntry) -> Path:
        """Where a file of a version can be read on this machine; a remote store fetches it first."""

    def owns(self, file: FileEntry) -> bool:
        """Whether a file is whole in the own zone on this machine; nothing is fetched."""

    def paths(self, version: Version) -> list[Path]:
        """The files of a version, in the manifest's order."""

    def complete(self, version: Version) -> bool:
        """Whether every file of a version is there."""

    def verify(self, version: Version) -> list[Problem]:
        """Every file of a version read again and compared with its digest."""

    def altered(self, version: Version) -> list[Problem]:
        """As ``verify``, for a version whose files are all on this machine; nothing is fetched."""

    def harmed(self, fingerprint: str, dataset: str, *, thoroughly: bool) -> list[Problem]:
        """What somebody did to a published version since it was made: what of its data is gone from this
        machine or the warehouse, or was written to. ``thoroughly``: all of it is read again; else what
        its sizes and the server's counts say. Nothing is fetched, and nothing said of what is not here."""

    def save(self, build: Build) -> None:
        """Keep a build in the own zone; its files are kept already."""

    def find(self, fingerprint: str) -> Build | None:
        """The build of a fingerprint, or None. No data is fetched."""

    def manifest(self, fingerprint: str) -> Build | None:
        """What a build says of itself on this machine, whether or not its data is there."""

    def expect(self, fingerprints: Iterable[str]) -> None:
        """Say which builds will be asked for, so that they are looked up together."""

    def save_verdict(self, key: str, result: TestResult) -> None:
        """Keep a test's result."""

    def find_verdict(self, key: str) -> TestResult | None:
        """The result kept under a key, or None."""

    def sync(self, builds: Iterable[Build]) -> None:
        """Return when builds and their files will outlive this process: called before a publication."""

    def finish(self, builds: Iterable[Build]) -> None:
        """Called once at the end of a run: candidates and verdicts go where other machines find them."""

    def offered(self, namespace: str, fingerprint: str) -> Build | None:
        """What a sandbox's zone says of a fingerprint: a claim, to be checked by whoever asks."""

    def take(self, namespace: str, build: Build) -> Build:
        """Copy the files of a claim into the own zone, each verified by its digest, and return the build.

        Nothing is saved under its fingerprint. ValueError, with the reason, where a byte differs.
        """


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that a remote store holds. ``name``: a fingerprint, digest, or name of verdicts or a note.

    ``place``: where it is, by which it is removed. ``bytes``: 0 where only reading it would tell.
    ``changed``: seconds since 1970 at which it was written last, by the other side's clock; None where the
    other side does not say.
    """

    what: Literal["build", "file", "verdict", "note"]
    name: str
    place: str
    bytes: int = 0
    changed: float | None = None


class Denied(Infrastructure):
    """The remote store does not let us read, write or remove there."""


class Undeletable(Denied):
    """The remote store lets nobody remove anything by this way."""


class Remote(Protocol):
    """A place on another machine that keeps the zones of a store. Threads share it.

    Nothing is visible under its name before it is whole. Every call has time limits, and ends with
    Infrastructure where the place cannot be reached or refuses. What it returns is not to be trusted:
    whoever asked compares digests.
    """

    label: str
    """Its address, for messages; no secret is in it."""

    def build(self, zone: str, fingerprint: str) -> bytes | None:
        """The JSON of a build, None where there is none."""

    def builds(self, zone: str) -> frozenset[str] | None:
        """All fingerprints of a zone in few calls, None where there are too many to list."""

    def fetch(self, zone: str, file: FileEntry, target: BinaryIO) -> bool:
        """Write a file's bytes into ``target``; False: not there. ValueError: it sees that they are wrong."""

    def put_file(self, zone: str, file: FileEntry, path: Path, *, again: bool) -> None:
        """Keep a file under its digest. Does nothing where it is there, unless ``again``."""

    def put_build(self, zone: str, fingerprint: str, data: bytes, files: Sequence[FileEntry]) -> None:
        """Keep the JSON of a build, in place of one of before. ``files`` lie in the same zone already."""

    def verdicts(self, zone: str, name: str) -> bytes | None:
        """The verdicts that a kitchen keeps together."""

    def put_verdicts(self, zone: str, name: str, data: bytes) -> None:
        """Keep them, in place of those of before."""

    def note(self, zone: str, name: str) -> bytes | None:
        """A note that commands leave each other beside the data (data/stores/marks.py), or None."""

    def put_note(self, zone: str, name: str, data: bytes) -> None:
        """Leave a note, in place of one of before. Denied where we may not write the zone."""

    def notes(self, zone: str) -> frozenset[str]:
        """The names of all notes in a zone."""

    def inventory(self) -> Mapping[str, Sequence[Thing]]:
        """All that is there, by zone. Files are left out where their builds' removal frees them."""

    def remove(self, zone: str, things: Sequence[Thing]) -> None:
        """Remove things, side by side; what is gone already is as it should be. Denied, or Undeletable,
        where we may not: some may be gone by then."""

    def where(self, zone: str, thing: Thing) -> str:
        """The address of a thing, for people."""


def unreachable(label: str, reason: str, hint: str = "") -> Infrastructure:
    """The error for a remote store that does not do what it is asked."""
    hint = hint or "run the same command again when it works; what is built is kept in the local cache"
    return Infrastructure(Problem(f"the store {label}: {reason}", hint=hint, code="store"))


def refused_file(label: str, file: FileEntry, reason: str) -> Infrastructure:
    """The error for a file that is not what its name says: it is never read."""
    return Infrastructure(
        Problem(
            f"the store {label}: file sha256:{file.digest} {reason}; it was not kept",
            hint="run the recipe again: what it belongs to is built anew",
            code="damaged-file",
        )
    )


def own_zone(zone: Literal["trusted", "sandbox"], namespace: str) -> str:
    """The name of the zone that a kitchen writes."""
    return TRUSTED if zone == TRUSTED else f"sandbox/{namespace}"


def honest(build: Build, fingerprint: str) -> bool:
    """Whether a build that was read is of the fingerprint asked for, and names its datasets as itself."""
    return build.fingerprint == fingerprint and all(
        version.dataset == name for name, version in build.versions.items()
    )


def all_files(versions: Iterable[Version]) -> list[FileEntry]:
    """Each file of versions once, those of a view's inputs too."""
    found: dict[tuple[str, str], FileEntry] = {}
    open_versions = list(versions)
    while open_versions:
        version = open_versions.pop(0)
        found.update({(f.digest, f.suffix): f for f in version.files})
        open_versions += version.inputs.values()
    return list(found.values())


def same_content(one: Build, other: Build) -> bool:
    """Whether two builds of one fingerprint hold the same content in each dataset."""
    return {n: v.content for n, v in one.versions.items()} == {
        n: v.content for n, v in other.versions.items()
    }
