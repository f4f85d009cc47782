"""A store in an object store, through fsspec: the layout of a folder store under a prefix.

    <prefix>/{trusted | sandbox/<namespace>}/files/<a>/<sha256><suffix>
    <prefix>/{trusted | sandbox/<namespace>}/builds/<a>/<fingerprint>.json
    <prefix>/{trusted | sandbox/<namespace>}/verdicts/<namespace>.json.gz
    <prefix>/{trusted | sandbox/<namespace>}/notes/<name>

An object appears under its name when its upload ends, and never in part: that is the object store's
promise, and why a file system with halves of files (``file://``) does not come through here.
Credentials, region and endpoint (``AWS_ENDPOINT_URL``) are found as every AWS tool finds them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

from gitkitchen.data.stores.claims import MOST
from gitkitchen.data.stores.contract import FINGERPRINT, TRUSTED, Denied, Thing, relative, unreachable
from gitkitchen.data.stores.parallel import each
from gitkitchen.errors import Mistake, Problem
from gitkitchen.kitchen.stores import Address
from gitkitchen.model import FileEntry

T = TypeVar("T")

CONNECT, READ = 10, 60
"""Seconds to wait for a connection, and for the next bytes of an answer."""
ATTEMPTS = 3
"""Of one request, with growing pauses, by the AWS library's ``standard`` mode; s3fs repeats it five times
where the connection itself fails. Both repeat only what may be repeated."""
BLOCK = 8 << 20
SHELVES: Mapping[str, Literal["build", "file", "verdict", "note"]] = {
    "builds": "build", "files": "file", "verdicts": "verdict", "notes": "note",
}  # fmt: skip


class ObjectRemote:
    """The zones of a store below one prefix of an fsspec file system whose writes are atomic."""

    def __init__(
        self,
        files: Any,
        root: str,
        label: str,
        *,
        faults: tuple[type[Exception], ...] = (),
    ) -> None:
        """``files``: an ``fsspec.AbstractFileSystem``. ``root``: bucket and prefix. ``faults``: what its
        library raises beside OSError where the other side is not reached or refuses."""
        self._faults: tuple[type[Exception], ...] = (OSError, *faults)
        self._files, self._root, self.label = files, root.rstrip("/"), label

    # --- builds and verdicts -----------------------------------------------------------------------

    def build(self, zone: str, fingerprint: str) -> bytes | None:
        return self._read(self._name(zone, "builds", fingerprint, ".json"), "reading a build")

    def builds(self, zone: str) -> frozenset[str] | None:
        folder = f"{self._root}/{zone}/builds"
        names = self._do("listing its builds", lambda: self._files.find(folder), missing=[])
        found = (name.rpartition("/")[2].removesuffix(".json") for name in names)
        return frozenset(name for name in found if FINGERPRINT.fullmatch(name))

    def put_build(self, zone: str, fingerprint: str, data: bytes, files: Sequence[FileEntry]) -> None:  # noqa: ARG002
        name = self._name(zone, "builds", fingerprint, ".json")
        self._do("keeping a build", lambda: self._files.pipe_file(name, data))

    def verdicts(self, zone: str, name: str) -> bytes | None:
        return self._read(f"{self._root}/{zone}/verdicts/{name}.json.gz", "reading verdicts")

    def put_verdicts(self, zone: str, name: str, data: bytes) -> None:
        place = f"{self._root}/{zone}/verdicts/{name}.json.gz"
        self._do("keeping verdicts", lambda: self._files.pipe_file(place, data))

    # --- clearing up ---------------------------------------------------------------------------------

    def note(self, zone: str, name: str) -> bytes | None:
        return self._read(f"{self._root}/{zone}/notes/{name}", "reading a note")

    def put_note(self, zone: str, name: str, data: bytes) -> None:
        place = f"{self._root}/{zone}/notes/{name}"
        self._do("writing to it", lambda: self._files.pipe_file(place, data))

    def notes(self, zone: str) -> frozenset[str]:
        folder = f"{self._root}/{zone}/notes"
        names = self._do("listing its notes", lambda: self._files.find(folder), missing=[])
        return frozenset(name.rpartition("/")[2] for name in names)

    def inventory(self) -> Mapping[str, Sequence[Thing]]:
        found: dict[str, list[Thing]] = {}
        top = self._root.lstrip("/")  # how fsspec names what it lists, whatever the file system
        listed = self._do(
            "listing what it holds", lambda: self._files.find(self._root, detail=True), missing={}
        )
        if not listed:  # nothing yet, or no such bucket: a collector must not take one for the other
            self._do("listing what it holds", lambda: self._files.info(top.partition("/")[0]))
        for key, status in listed.items():
            parts = key.lstrip("/").removeprefix(f"{top}/").split("/")
            zone = parts[0] if parts[0] == TRUSTED else "/".join(parts[:2])
            shelf, *names = parts[1:] if zone == TRUSTED else parts[2:] or [""]
            what = SHELVES.get(shelf)
            if what is None or not names or (zone != TRUSTED and parts[0] != "sandbox"):
                continue  # nothing of ours
            name = names[-1] if what == "note" else names[-1].partition(".")[0]
            thing = Thing(what, name, key, int(status.get("size") or 0), _when(status))
            found.setdefault(zone, []).append(thing)
        return found

    def remove(self, zone: str, things: Sequence[Thing]) -> None:  # noqa: ARG002 - a place says its zone
        def take(thing: Thing) -> None:
            self._do("removing what is not needed", lambda: self._files.rm_file(thing.place), missing=None)

        each(take, things)

    def where(self, zone: str, thing: Thing) -> str:  # noqa: ARG002 - a place says its zone
        return f"{self.label.partition('://')[0]}://{thing.place.lstrip('/')}"

    # --- files -------------------------------------------------------------------------------------

    def fetch(self, zone: str, file: FileEntry, target: BinaryIO) -> bool:
        name = self._name(zone, "files", file.digest, file.suffix)
        done = 0

        def read() -> bool:
            nonlocal done
            size = self._files.info(name)["size"]
            if size != file.bytes:
                raise ValueError(f"has {size:,} bytes where {file.bytes:,} were written")
            while done < file.bytes:  # where an attempt before this one broke off
                block = self._files.cat_file(name, start=done, end=min(done + BLOCK, file.bytes))
                if not block:
                    raise ValueError("ends before its end")
                target.write(block)
                done += len(block)
            return True

        return bool(self._do("reading a file", read, missing=False))

    def put_file(self, zone: str, file: FileEntry, path: Path, *, again: bool) -> None:
        name = self._name(zone, "files", file.digest, file.suffix)
        if not again and self._bytes(name) == file.bytes:
            return

        def put() -> None:
            # Never over an object that someone else brought meanwhile, where the service can promise that.
            with contextlib.suppress(FileExistsError):
                self._files.put_file(str(path), name, mode="create")
                return
            if again or self._bytes(name) != file.bytes:
                self._files.put_file(str(path), name, mode="overwrite")

        self._do("keeping a file", put)

    def _bytes(self, name: str) -> int | None:
        def ask() -> int | None:
            found = self._files.info(name)
            return found["size"] if found["type"] == "file" else None

        found: int | None = self._do("looking for a file", ask, missing=None)
        return found

    # --- the object store --------------------------------------------------------------------------

    def _name(self, zone: str, shelf: str, name: str, suffix: str) -> str:
        return f"{self._root}/{zone}/{relative(shelf, name, suffix)}"

    def _read(self, name: str, what: str) -> bytes | None:
        def read() -> bytes | None:
            if self._files.info(name)["size"] > MOST:
                return None
            data: bytes = self._files.cat_file(name)
            return data

        found: bytes | None = self._do(what, read, missing=None)
        return found

    def _do(self, what: str, call: Callable[[], T], *, missing: Any = ...) -> Any:
        """Call, and turn what fails into words without what the other side wrote.

        ``missing`` is the answer where there is no such object. All calls may be repeated.
        """
        try:
            return call()
        except (FileNotFoundError, NotADirectoryError):
            if missing is ...:
                hint = "create the bucket, or set `store:` in kitchen.yml to one that exists"
                raise unreachable(self.label, f"{what}: there is no such bucket", hint) from None
            return missing
        except self._faults as error:
            reason, hint = _understood(error)
            if reason == DENIED:
                raise Denied(*unreachable(self.label, f"{what}: {reason}", hint).problems) from None
            raise unreachable(self.label, f"{what}: {reason}", hint) from None


DENIED = "access is denied"


def _when(status: Mapping[str, Any]) -> float | None:
    """When an object was written: what each file system calls by another name."""
    for key in ("LastModified", "last_modified", "mtime", "created"):
        moment = status.get(key)
        if isinstance(moment, datetime):
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _understood(error: Exception) -> tuple[str, str]:
    """Why the object store refused, and what to do. Told by names: the AWS libraries
    are imported only where they are used."""
    names = {kind.__name__ for kind in type(error).__mro__}
    login = "give the job credentials that may read and write this zone (see docs/stores.md)"
    if "PermissionError" in names:
        return DENIED, login
    if names & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
        return "there are no credentials", login
    if names & {
        "ConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "HTTPClientError",
        "TimeoutError",
    }:
        return "it cannot be reached in time", ""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno), ""
    return f"the request failed ({type(error).__name__})", ""


def open_s3(address: Address) -> ObjectRemote:
    """The store in an S3 bucket. Mistake where the package that speaks to it is not installed."""
    label = str(address)
    try:
        import s3fs
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise Mistake(
            Problem(
                f"the store {label} needs a package that is not installed",
                hint="pip install 'gitkitchen[s3]'",
                code="extra-missing",
            )
        ) from None
    config = {
        "connect_timeout": CONNECT,
        "read_timeout": READ,
        "retries": {"max_attempts": ATTEMPTS, "mode": "standard"},
    }
    files = s3fs.S3FileSystem(config_kwargs=config, use_listings_cache=False, skip_instance_cache=True)
    return ObjectRemote(files, f"{address.place}/{address.path}", label, faults=(BotoCoreError, ClientError))
