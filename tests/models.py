"""Repositories that many tests begin with: made once by git in a session, and copied for each test."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

_MADE: dict[str, Path] = {}


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gitkitchen-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def copied(name: str, make: Callable[[Path], object], place: Path) -> None:
    """What ``make`` makes in a folder of its own, at its first call by ``name``, as the new folder ``place``.

    A repository without remotes, linked work trees and hooks is the same wherever it lies.
    """
    model = _MADE.get(name)
    if model is None:
        model = _folder() / str(len(_MADE))
        model.mkdir()
        make(model)
        for sample in model.rglob("hooks/*.sample"):
            sample.unlink()
        _MADE[name] = model
    shutil.copytree(model, place, symlinks=True)
