"""The durable record of a run: one JSON line as each node ends, written before anything follows from it.

A line is one ``write`` to a file opened for appending, so it survives the death of all our processes;
``sync`` makes it survive the machine's. A line torn by a crash is left out by readers and closed by the
next writer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gitkitchen.errors import Infrastructure, Problem

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Journal:
    """The journal of one run, opened for writing. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open (or make) the file. Raises Infrastructure where the disk refuses."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            size = os.fstat(self._handle).st_size
            if size and os.pread(self._handle, 1, size - 1) != b"\n":
                os.write(self._handle, b"\n")
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry. Raises Infrastructure where the disk refuses it (disk full)."""
        data = _ENCODE(entry).encode("utf-8", "backslashreplace") + b"\n"
        try:
            written = os.write(self._handle, data)
            while written < len(data):  # a disk that is nearly full; the next write says why
                written += os.write(self._handle, data[written:])
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def sync(self) -> None:
        """Wait until the disk has all entries, and the file's name."""
        try:
            os.fsync(self._handle)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> tuple[dict[str, Any], ...]:
    """All whole entries of a journal, in their order; () where there is no file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Infrastructure(Problem(f"the journal {path} cannot be read: {error.strerror}")) from error
    entries: list[dict[str, Any]] = []
    for line in data.split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn by a crash: what it said did not happen
        if isinstance(entry, dict):
            entries.append(entry)
    return tuple(entries)


def _unwritable(path: Path, error: OSError) -> Infrastructure:
    reason = error.strerror or str(error)
    hint = "free some space or make the folder writable, then run the same command again"
    return Infrastructure(Problem(f"the journal {path} cannot be written: {reason}", hint=hint))
