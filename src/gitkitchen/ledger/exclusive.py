"""The commit point of everything in a folder ledger: a complete file gets a name that nobody has yet."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import sync_folder

FORGOTTEN = 3600.0
"""Seconds after which a temporary file is a dead process's and is removed."""


def create(path: Path, data: bytes, scratch: Path, *, sync: bool) -> bool:
    """Give ``data`` the name ``path``, whole and on disk (``sync``); False when the name is taken.

    The file is written beside, in ``scratch`` (same file system), and linked: a kill at any moment leaves
    the whole file or none. Raises OSError.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=scratch)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            if sync:
                out.flush()
                os.fsync(out.fileno())
        temporary.chmod(0o444)
        created = _link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if created and sync:
        sync_folder(path.parent)
    _sweep(scratch)
    return created


def _link(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        # A network file system may do the link, lose the answer and be asked again: link(2), NOTES.
        return temporary.stat().st_nlink == 2
    except OSError as error:
        raise Infrastructure(
            Problem(
                f"{path.parent} cannot hold a ledger: {error.strerror or error}",
                hint="it needs a file system with hard links and room for a file",
                code="ledger-link",
            )
        ) from error
    return True


def _sweep(scratch: Path) -> None:
    """Remove what killed processes left behind."""
    with contextlib.suppress(OSError), os.scandir(scratch) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > FORGOTTEN:
                    Path(entry.path).unlink()
