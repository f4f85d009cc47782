"""SQL texts that are not known yet, read by processes of their own.

To read a text takes half a millisecond, and a tenth of a second to load the library that does it. A first
run has both before it, and only one of the cores at work: another one loads and reads meanwhile. Where no
process starts or one dies, what it should have read is read here, by whoever needs it.
"""

from __future__ import annotations

import contextlib
import marshal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from gitkitchen.plan.cache import FOLDER
from gitkitchen.process import Offshoot, cores

LEAST = 500
"""Texts for which a process is worth its start, beside another one."""
MOST = 8
"""Processes: each has the library in memory."""


def _answers() -> Callable[[bytes], bytes]:
    from gitkitchen.plan.sql_reading import read

    def answer(question: bytes) -> bytes:
        dialect, texts = marshal.loads(question)  # noqa: S302 - our own
        return marshal.dumps([read(text, dialect) for text in texts])

    return answer


class SqlReaders(AbstractContextManager["SqlReaders"]):
    """Processes that read SQL; none before they are worth it."""

    def __init__(self) -> None:
        self._processes: list[Offshoot] = []
        self._threads: list[threading.Thread] = []
        self._read: dict[str, Any] = {}

    def start(self, count: int = 1) -> None:
        """Have so many processes, which load what they need beside whatever happens here."""
        most = min(count, MOST, cores()) if cores() > 1 else 0
        with contextlib.suppress(OSError):  # it is read here
            while len(self._processes) < most:
                self._processes.append(Offshoot(_answers))

    def begin(self, texts: Sequence[str], dialect: str) -> None:
        """Let ``texts`` be read: by the processes that are there, and by more where that is worth it."""
        if len(texts) >= 2 * LEAST:
            self.start(len(texts) // LEAST)
        count = len(self._processes)
        for number, process in enumerate(self._processes):
            share = texts[number::count]
            if share:
                thread = threading.Thread(target=self._ask, args=(process, share, dialect), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _ask(self, process: Offshoot, texts: Sequence[str], dialect: str) -> None:
        try:
            answer = process.ask(marshal.dumps((dialect, list(texts))))
        except (EOFError, OSError):
            return
        self._read.update(zip(texts, marshal.loads(answer), strict=True))  # noqa: S302 - our own

    def finish(self) -> dict[str, Any]:
        """What ``sql_reading.read`` says of each text that was begun, but for those that no process read."""
        for thread in self._threads:
            thread.join()
        found, self._read, self._threads = self._read, {}, []
        return found

    def __exit__(self, *_exception: object) -> None:
        for process in self._processes:
            process.close()
        self._processes = []


def early(start: Path, recipe: str | None) -> SqlReaders:
    """Readers for the project at or above ``start``; one begins to load where nothing was ever read of
    ``recipe``. To be called before all that a command must load itself."""
    readers = SqlReaders()
    at = start.absolute()
    root = next((folder for folder in (at, *at.parents) if (folder / "kitchen.yml").is_file()), None)
    if root is not None:
        known = root / ".gitkitchen" / FOLDER
        if not (known / f"{recipe}.json").exists() if recipe else not any(known.glob("*.json")):
            readers.start()
    return readers
