"""Compressed files become plain ones, bounded: what a name or a length in an archive says is not believed."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

LARGEST = 64 * 2**30
"""The most bytes that the compressed files of one source may grow to."""
CHUNK = 1 << 20
DATA = {".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet"}
PACKED = {".gz", ".zip"}
BROKEN = (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError)
"""What the standard library raises for archives that are cut, damaged, encrypted or of another kind."""


class Unreadable(Exception):
    """A file cannot be unpacked; the message continues a sentence that begins with its name."""


def is_data(name: str) -> bool:
    """Whether a file found in a folder or an archive is taken for data: by its ending, not hidden."""
    endings = {s.lower() for s in PurePosixPath(name).suffixes[-2:]}
    return not name.startswith((".", "_")) and bool(endings & (DATA | PACKED))


def unpack(path: Path, folder: Path, bounded: Callable[[int], None]) -> Iterator[Path]:
    """The data files in an archive, or the file itself. Raises Unreadable.

    ``bounded`` is told of each number of bytes written, and raises where they are too many.
    """
    ending = path.suffix.lower()
    if ending not in PACKED:
        yield path
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if ending == ".gz":
            target = folder / f"data{Path(path.stem).suffix}"
            with gzip.open(path, "rb") as packed, target.open("wb") as out:
                _copy(packed, out, bounded)
            yield target
        else:
            with zipfile.ZipFile(path) as archive:
                yield from _members(archive, folder, bounded)
    except BROKEN as error:
        raise Unreadable(f"is not a whole {ending[1:]} file ({error})") from None
    except gzip.BadGzipFile as error:
        raise Unreadable(f"is not a whole gz file ({error})") from None


def _members(archive: zipfile.ZipFile, folder: Path, bounded: Callable[[int], None]) -> Iterator[Path]:
    """The data files of an archive by name. Their names choose nothing but order and format."""
    for number, member in enumerate(sorted(archive.infolist(), key=lambda m: m.filename)):
        parts = PurePosixPath(member.filename).parts
        if member.is_dir() or not parts or parts[0] == "__MACOSX" or not is_data(parts[-1]):
            continue
        ending = PurePosixPath(parts[-1]).suffix.lower()
        if ending == ".zip":
            raise Unreadable(f"holds another archive ({parts[-1][:80]})")
        inner = PurePosixPath(PurePosixPath(parts[-1]).stem).suffix.lower() if ending == ".gz" else ""
        target = folder / f"{number:05}{inner if inner in DATA else ''}{ending if len(ending) < 10 else ''}"
        with archive.open(member) as packed, target.open("wb") as out:
            _copy(packed, out, bounded)
        yield from unpack(target, folder / f"{number:05}", bounded)


def _copy(packed: IO[bytes] | gzip.GzipFile, out: IO[bytes], bounded: Callable[[int], None]) -> None:
    while chunk := packed.read(CHUNK):
        bounded(len(chunk))
        out.write(chunk)
