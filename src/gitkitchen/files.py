"""Plain helpers on the local disk: atomic writes, digests, paths that stay inside a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any


def write_atomic(path: Path, data: bytes | str, *, sync: bool = False) -> None:
    """Write a file so that a reader sees the whole old or the whole new one.

    Missing folders are made. ``sync`` also waits until the disk has it. Raises OSError.
    """
    import tempfile  # late: commands that only read do not pay for it

    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode("utf-8") if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(raw)
            if sync:
                out.flush()
                os.fsync(out.fileno())
        Path(temporary).chmod(0o644)  # mkstemp's 0600 would lock out other readers
        Path(temporary).replace(path)
    except BaseException:  # also on Ctrl-C: nothing half-written stays behind
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    if sync:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk (a rename is durable only then)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


MANY = 200
"""From so many files on, asking a Linux file system to write all that it holds is the quicker way."""


def sync_files(names: Sequence[str]) -> None:
    """Wait until files and folders are on the disk. Raises OSError, as for a file that is not there."""
    left = list(names)
    if len(left) >= MANY and sys.platform == "linux":
        left = _sync_filesystems(left)
    for name in left:
        sync_folder(Path(name))


def _sync_filesystems(names: Sequence[str]) -> list[str]:
    """Write out every file system that holds many of ``names``; the names that this did not cover.

    syncfs(2): since Linux 5.8 it tells of errors in writing any file; before, it is not asked.
    """
    import ctypes

    release = [int(part) for part in re.findall(r"\d+", os.uname().release)[:2]]
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None or release < [5, 8]:
        return list(names)
    devices: dict[int, list[str]] = {}
    for name in names:
        devices.setdefault(os.stat(name).st_dev, []).append(name)  # noqa: PTH116 - thousands of names
    left: list[str] = []
    for held in devices.values():
        if len(held) < MANY:
            left += held
            continue
        handle = os.open(held[0], os.O_RDONLY)
        try:
            if call(handle):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), held[0])
        finally:
            os.close(handle)
    return left


def make_state(path: Path) -> Path:
    """Make the folder of local state (``.gitkitchen``); Git ignores it by a file of its own inside."""
    ignore = path / ".gitignore"
    if not ignore.exists():
        write_atomic(ignore, "*\n")
    return path


_FIRST, _BLOCK = 1 << 16, 1 << 20
"""Bytes that are read of a file at first, and then at once."""


def digest_bytes(data: bytes) -> str:
    """Lower-case hexadecimal sha256."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path | str) -> str:
    """The sha256 of a file's content, read in blocks. Raises OSError."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - many are small, and opening is most of it
        found = hashlib.sha256()
        size = _FIRST
        while block := file.read(size):
            found.update(block)
            size = _BLOCK
        return found.hexdigest()


def read_bounded(path: Path | str, most: int) -> bytes:
    """The content of a regular file, cut after ``most + 1`` bytes. Raises OSError.

    Asking for the size first saves the buffer of ``most`` bytes, which costs more than a small file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hang
    try:
        return os.read(handle, min(os.fstat(handle).st_size, most) + 1)
    finally:
        os.close(handle)


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode  # made once: ``json.dumps`` makes one for each value


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8. Raises ValueError for NaN and infinities.

    Lone surrogates (from odd file names) are escaped, so that any text has a digest.
    """
    return _CANONICAL(value).encode("utf-8", "backslashreplace")


def digest(value: Any) -> str:
    """The sha256 of a value's canonical JSON."""
    return digest_bytes(canonical(value))


def matching(root: Path, pattern: str) -> Iterator[Path]:
    """What a pattern finds below a folder, in no order, and the same on every Python.

    ``**`` between slashes is folders of any depth, and at the end all that lies below, as in ``.gitignore``;
    elsewhere stars in a row are one. ``Path.glob`` before 3.13 finds folders alone for the first, and refuses
    the second. Raises ValueError or NotImplementedError for what is no pattern below a folder.
    """
    if "\0" in pattern:
        raise ValueError("a path holds no NUL")
    parts = [part if part == "**" else re.sub(r"\*+", "*", part) for part in pattern.split("/")]
    return root.glob("/".join([*parts, "*"] if parts[-1] == "**" else parts))


def inside(root: Path, relative: str, *, base: str = "") -> str:
    """The path from ``root`` of what folder ``base`` calls ``relative``, with ``/`` between its parts.

    ``inside(root, "../data/a.csv", base="recipes/x")`` is ``recipes/data/a.csv``. Raises ValueError,
    with the reason, for what leaves ``root``: too many ``..``, absolute paths, links pointing out.
    """
    if not relative or "\0" in relative:
        raise ValueError("is not a path")
    if relative.startswith(("/", "~", "\\")) or relative[1:2] == ":":
        raise ValueError("is absolute; write it relative to the file that names it")
    parts: list[str] = []
    for part in f"{base}/{relative}".split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if not parts:
                raise ValueError("leaves the repository")
            parts.pop()
        else:
            parts.append(part)
    if parts[:1] == [".git"]:
        raise ValueError("is inside .git")
    top = str(root)
    path = "/".join([top, *parts])
    try:
        real = _real_folder(path.rpartition("/")[0]) if parts else path
        if os.path.islink(path):  # noqa: PTH114 - called for each file of a recipe, Path costs more than the call
            real = os.path.realpath(path)
    except OSError as error:  # a name too long
        raise ValueError(f"cannot be followed ({error.strerror})") from error
    if parts and not f"{real}/".startswith(f"{_real_folder(top).rstrip('/')}/"):
        raise ValueError("leaves the repository through a link")
    return "/".join(parts) or "."


@lru_cache(maxsize=4096)
def _real_folder(path: str) -> str:
    """A folder with its links followed; remembered, because every file of a recipe asks for it."""
    return os.path.realpath(path)
