"""Facts that were read out of sources, kept by content: one file per recipe, read and written at once.

Five hundred small files would cost more to open than to parse; one file of them costs a few
milliseconds. The file carries a digest of itself: a torn or damaged one is as good as none.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitkitchen.files import digest_bytes, make_state, write_atomic

if TYPE_CHECKING:
    from gitkitchen.model import Project

FOLDER = "cache/plan"
"""Where the caches of plans lie in the folder of local state."""
FACTS_SCHEME = 2
"""The number of the rules by which facts are read; another number reads everything anew."""


def cache_folder(project: Project) -> Path:
    """Where the caches of plans lie in a project. Git ignores the folder of local
    state, which is made if need be."""
    return make_state(project.state) / FOLDER


class FactCache:
    """Facts by kind and content digest. Nothing is written before ``save``."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._facts: dict[str, Any] = _read(path) if path else {}
        self._used: set[str] = set()
        self._new = False

    def get(self, kind: str, content: str) -> Any:
        """What is known of content, as JSON values, or None."""
        key = f"{kind}:{content}"
        self._used.add(key)
        return self._facts.get(key)

    def put(self, kind: str, content: str, fact: Any) -> None:
        key = f"{kind}:{content}"
        self._used.add(key)
        if self._facts.get(key) != fact:
            self._facts[key] = fact
            self._new = True

    def save(self) -> None:
        """Write what was used since the cache was opened, if anything is new.

        A disk that is full or not writable costs time at the next plan and nothing else.
        """
        if not self._new or self._path is None:
            return
        kept = {key: fact for key, fact in self._facts.items() if key in self._used}
        body = json.dumps({"scheme": FACTS_SCHEME, "facts": kept}, separators=(",", ":")).encode()
        with contextlib.suppress(OSError):
            write_atomic(self._path, digest_bytes(body).encode() + b"\n" + body)
            self._new = False


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        seal, _, body = raw.partition(b"\n")
        if seal.decode("ascii", "replace") != digest_bytes(body):
            return {}
        document = json.loads(body)
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("scheme") != FACTS_SCHEME:
        return {}
    facts = document.get("facts")
    return facts if isinstance(facts, dict) else {}
