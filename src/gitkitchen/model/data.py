"""What the store and the catalogs hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from gitkitchen.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: ``type`` is the engine's word for it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One immutable file of a version, found in the store by its digest."""

    digest: str
    bytes: int
    rows: int | None = None
    partition: Mapping[str, str | None] = field(default_factory=dict)
    suffix: str = ".parquet"


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """Exact figures of one column; ``minimum``/``maximum`` as the engine prints them, or None."""

    nulls: int
    minimum: str | None = None
    maximum: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable state of a dataset: the manifest that the store keeps.

    ``content`` is the content digest: equal content, equal digest, however it was made and in
    whatever order the rows lie. ``format`` is ``table`` (Parquet files, or ``relation``: a physical
    table of a warehouse's store schema), ``view`` (``sql`` over the versions in ``inputs``; no files) or
    ``file`` (one file of any kind).
    """

    dataset: str
    format: Literal["table", "view", "file"]
    fingerprint: str
    content: str
    columns: tuple[Column, ...] = ()
    files: tuple[FileEntry, ...] = ()
    rows: int | None = None
    stats: Mapping[str, ColumnStats] = field(default_factory=dict)
    sql: str | None = None
    inputs: Mapping[str, Version] = field(default_factory=dict)
    """For a view: the versions that its names stand for."""
    relation: str | None = None

    @property
    def bytes(self) -> int:
        return sum(f.bytes for f in self.files)


@dataclass(frozen=True, slots=True)
class Build:
    """What one node built under one fingerprint: a version of each of its datasets.

    ``definition`` is the digest of the node's own meaning; ``parts`` names its components' digests
    (``sql``, ``with.late_minutes``, ``file:report.py``, ``tool:duckdb``, …) and ``inputs`` the
    content digests of what it read, so that a later plan can say why something runs.
    """

    node: str
    fingerprint: str
    definition: str
    parts: Mapping[str, str]
    inputs: Mapping[str, str]
    versions: Mapping[str, Version]
    run: str = ""
    finished: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Published:
    """An entry of a catalog: the version that a kitchen's readers see, and who published it."""

    dataset: str
    fingerprint: str
    content: str
    recipe: str
    node: str
    run: str
    sequence: int
    zone: str = "trusted"


@dataclass(frozen=True, slots=True)
class Catalog:
    """For one kitchen: dataset -> version. ``sequence`` counts its publications (0: none yet).

    For a sandbox ``entries`` holds its base's entries overlaid with its own.
    """

    namespace: str
    sequence: int = 0
    entries: Mapping[str, Published] = field(default_factory=dict)
    pinned: Mapping[str, Published] = field(default_factory=dict)
    """For a sandbox: its base's entries (sources are pinned to them)."""
