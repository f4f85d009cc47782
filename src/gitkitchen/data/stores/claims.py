"""What a sandbox's zone of a folder says, read by an environment: nothing in it is believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gitkitchen.data.manifest import build_from_json
from gitkitchen.data.stores.contract import FINGERPRINT, NAMESPACE, all_files, honest, relative
from gitkitchen.data.stores.copying import copied_from, received
from gitkitchen.files import read_bounded
from gitkitchen.model import Build, FileEntry

if TYPE_CHECKING:
    from gitkitchen.data.store import FolderStore

MOST = 64 << 20
"""Bytes of a build's JSON; more is refused."""


def offered(root: str, namespace: str, fingerprint: str) -> Build | None:
    """The build that a sandbox's zone names by a fingerprint; None for anything odd."""
    if not NAMESPACE.fullmatch(namespace) or not FINGERPRINT.fullmatch(fingerprint):
        return None
    name = f"{root}/sandbox/{namespace}/{relative('builds', fingerprint, '.json')}"
    try:
        return claimed(read_bounded(name, MOST), fingerprint)
    except OSError:
        return None


def claimed(data: bytes | None, fingerprint: str) -> Build | None:
    """The build in some JSON, if it is one of that fingerprint; else None."""
    if data is None or len(data) > MOST:
        return None
    try:
        build = build_from_json(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return build if honest(build, fingerprint) else None


def take(store: FolderStore, namespace: str, build: Build) -> Build:
    """Copy a claim's files into the own zone of ``store``. ValueError where one is not what it should be."""
    if not NAMESPACE.fullmatch(namespace):
        raise ValueError("comes from no sandbox")
    for file in all_files(build.versions.values()):
        source = f"{store.root}/sandbox/{namespace}/{relative('files', file.digest, file.suffix)}"
        if not accepted(store, file, source):
            raise ValueError(f"file sha256:{file.digest} is not there")
    return build


def accepted(store: FolderStore, file: FileEntry, source: str) -> bool:
    """Copy one file into the own zone under its verified digest; False where it is not there."""
    temporary = store.scratch(file.suffix)
    try:
        if not received(temporary, file, copied_from(source)):
            return False
    except ValueError as error:
        raise ValueError(f"file sha256:{file.digest} {error}") from None
    store.keep_verified(temporary, file)
    return True
