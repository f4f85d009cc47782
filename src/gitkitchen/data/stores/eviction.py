"""What may go from the local cache of a store on another machine: it can be fetched again."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from gitkitchen.data.garbage import Item, digests_of, zone_names
from gitkitchen.data.stores.claims import MOST, claimed
from gitkitchen.files import read_bounded


def evictable(root: Path, shown: Collection[str], *, before: float, most: int | None) -> list[Item]:
    """Data files of the cache in ``root`` that were read last before ``before`` (seconds since 1970), and
    those that were read longest ago until at most ``most`` bytes of data are left.

    Never one that the other machine was not seen to have, nor one of a build of ``shown``: fingerprints that
    the consumers' files name. So more than ``most`` bytes may have to stay.
    """
    sent, needed = _sent(root, shown)
    files = sorted(_files(root))
    total = sum(size for _, size, _ in files)
    items = []
    for used, size, path in files:
        digest = path.name.partition(".")[0]
        if digest in needed or digest not in sent:
            continue
        if used < before:
            items.append(Item("cache", path, size, "not read for a long time"))
        elif most is not None and total > most:
            items.append(Item("cache", path, size, "the cache is larger than --cache allows"))
        else:
            continue
        total -= size
    return items


def _files(root: Path) -> Iterator[tuple[float, int, Path]]:
    """(last use, bytes, path) of all data files."""
    for zone in zone_names(root):
        for path in (root / zone / "files").glob("*/*"):
            try:
                status = path.lstat()
            except OSError:
                continue
            yield max(status.st_atime, status.st_mtime), status.st_size, path


def _sent(root: Path, shown: Collection[str]) -> tuple[set[str], set[str]]:
    """The digests of all files of builds that the other machine was seen to have, and of those shown."""
    sent: set[str] = set()
    needed: set[str] = set()
    known = [Path(folder, name) for folder, _, names in os.walk(root / "known") for name in names]
    made = [path for zone in zone_names(root) for path in (root / zone / "builds").glob("*/*.json")]
    for path in [*known, *made]:
        try:
            build = claimed(read_bounded(path, MOST), path.stem)
        except OSError:
            continue
        if build is None:
            continue
        if build.fingerprint in shown:
            needed.update(digests_of(build))
        if path.is_relative_to(root / "known"):
            sent.update(digests_of(build))
    return sent, needed
