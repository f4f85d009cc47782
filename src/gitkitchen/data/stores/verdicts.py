"""Verdicts of a kitchen, kept together: one object that is read and written as a whole.

A verdict that is lost is judged again, so that of two writers at once the later may win. All of a run are
in one object: the tests that a node ran itself are there together or not at all.
"""

from __future__ import annotations

import gzip
import io
import json
import threading
import zlib
from collections.abc import Sequence
from typing import Any

from gitkitchen.data.manifest import test_result_from_json, test_result_to_json
from gitkitchen.data.stores.contract import TRUSTED, Remote
from gitkitchen.data.stores.parallel import each
from gitkitchen.model import TestResult

KEPT = 20_000
"""Verdicts of one kitchen: those that were used last stay."""
MOST = 256 << 20


class Verdicts:
    """What kitchens of the readable zones remember, read when first asked for."""

    def __init__(
        self, remote: Remote, zones: Sequence[str], namespace: str, environments: Sequence[str]
    ) -> None:
        """``environments``: whose verdicts of the trusted zone are read."""
        self._remote, self._own = remote, zones[0]
        self._name = namespace
        names = [(zones[0], namespace)]
        if TRUSTED in zones:
            names += [(TRUSTED, name) for name in environments]
        self._places = list(dict.fromkeys(names))
        self._read: dict[str, Any] | None = None
        self._new: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        self._lock = threading.Lock()

    def add(self, key: str, result: TestResult) -> None:
        with self._lock:
            self._new[key] = test_result_to_json(result)

    def find(self, key: str) -> TestResult | None:
        """The result under a key; None where there is none that can be read."""
        with self._lock:
            if self._read is None:
                self._read = self._load()
            value = self._read.get(key)
            if value is None:
                return None
            try:
                result = test_result_from_json(value)
            except (ValueError, KeyError, TypeError, AttributeError):
                return None
            self._used[key] = value
            return result

    def flush(self) -> None:
        """Write what is new, and keep what this run used, behind what the object holds by now."""
        with self._lock:
            fresh = {**self._used, **self._new}
            if not self._new:
                return
            held = unpack(self._remote.verdicts(self._own, self._name))
            together = {**{k: v for k, v in held.items() if k not in fresh}, **fresh}
            self._remote.put_verdicts(self._own, self._name, pack(together))
            self._new = {}

    def _load(self) -> dict[str, Any]:
        found: dict[tuple[str, str], dict[str, Any]] = {}

        def load(place: tuple[str, str]) -> None:
            found[place] = unpack(self._remote.verdicts(*place))

        each(load, self._places)
        return {k: v for place in reversed(self._places) for k, v in found[place].items()}


def pack(verdicts: dict[str, Any]) -> bytes:
    """Verdicts as compressed JSON; the last ``KEPT`` of them."""
    last = dict(list(verdicts.items())[-KEPT:])
    text = json.dumps({"version": 1, "verdicts": last}, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode("utf-8", "backslashreplace"), 6, mtime=0)


def unpack(data: bytes | None) -> dict[str, Any]:
    """The verdicts in some bytes; none where they are damaged or too many."""
    if data is None:
        return {}
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(MOST + 1)
        value = json.loads(text) if len(text) <= MOST else {}
        found = value["verdicts"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zlib.error):
        return {}
    return found if isinstance(found, dict) else {}
