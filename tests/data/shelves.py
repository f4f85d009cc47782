"""Remote stores of the tests: machines with empty disks that share a registry or a bucket."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitkitchen.data.stores.cached import CachedStore
from gitkitchen.data.stores.contract import Remote
from gitkitchen.files import digest_bytes
from gitkitchen.model import Build, Column, FileEntry, Version

MAIN, FEATURE, OTHER = "k_main_000000000000", "k_feature_000000000001", "k_other_000000000002"


@dataclass
class Shelf:
    """A remote store. ``remote`` is the other end; every ``machine`` has an empty disk of its own."""

    kind: str
    disks: Path
    connect: Callable[[], Remote]
    spoil: Callable[[str, FileEntry, bytes], None]
    """Put other bytes in a file's place, behind the store's back."""
    numbers: Any = field(default_factory=itertools.count)

    def machine(self, namespace: str = MAIN) -> CachedStore:
        zone: Any = "trusted" if namespace == MAIN else "sandbox"
        cache = self.disks / f"machine{next(self.numbers)}"
        return CachedStore(cache, self.connect(), namespace=namespace, zone=zone, environments=[MAIN])


def put(store: CachedStore, data: bytes, suffix: str = ".parquet") -> FileEntry:
    """Keep some bytes as the engine does."""
    temporary = store.scratch(suffix)
    temporary.write_bytes(data)
    digest, size = store.keep(temporary, suffix=suffix)
    return FileEntry(digest, size, suffix=suffix)


def build(*files: FileEntry, key: str = "a", dataset: str = "d", content: str = "c" * 64) -> Build:
    """A build of one table of these files, under a fingerprint made from ``key``."""
    fingerprint = digest_bytes(key.encode())
    version = Version(dataset, "table", fingerprint, content, (Column("a", "INTEGER"),), files, 1)
    return Build("n", fingerprint, "definition", {"sql": "x"}, {"i": "y"}, {dataset: version}, "run", "now")


def kept(store: CachedStore) -> set[str]:
    """The names of all files of data in a machine's cache."""
    return {p.name for p in store.root.rglob("files/*/*")}


def published(store: CachedStore, *blobs: bytes, key: str = "a") -> Build:
    """A build of some bytes, brought to the other machine."""
    made = build(*[put(store, b) for b in blobs], key=key)
    store.save(made)
    store.sync([made])
    return made


def contents(store: CachedStore, made: Build) -> Mapping[str, list[bytes]]:
    return {name: [p.read_bytes() for p in store.paths(v)] for name, v in made.versions.items()}
