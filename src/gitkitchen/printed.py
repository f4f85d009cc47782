"""What a process prints, on its way to people: bounded, safe to show, without values of secrets."""

from __future__ import annotations

import os
from collections import deque
from functools import cache

TYPE_CHECKING = False  # `typing` itself takes as long to import as all of this
if TYPE_CHECKING:
    import re
    from collections.abc import Sequence
    from typing import BinaryIO

_LINE = 8192
_TAIL_BYTES = 65536
_TAIL_LINES = 40
_ESCAPES = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?"
_COMMANDS = r"^(\s*):(?=:)|#(?=#(?:vso)?\[)"
_JOINERS = "\u200c\u200d"  # they belong to words and emoji and move nothing


def text_safe(line: str) -> str:
    """One line that a terminal and a CI runner merely show: nothing in it is acted on.

    Escape sequences and control, format and direction characters go (tabs stay); ``::error::`` at the
    beginning, also after spaces, and ``##[error]`` anywhere are pulled apart.
    """
    if not line.isprintable():
        line = "".join(map(_printable, _pattern(_ESCAPES).sub("", line)))
    if "::" in line or "##" in line:
        line = _pattern(_COMMANDS).sub(lambda m: f"{m.group()} ", line)
    return line


@cache
def _pattern(text: str) -> re.Pattern[str]:
    import re  # late, as what else few lines need: a supervisor starts in half the time

    return re.compile(text)


def _printable(char: str) -> str:
    if char.isprintable() or char == "\t" or char in _JOINERS:
        return char
    import unicodedata

    if char == "\n" or unicodedata.category(char) in ("Zs", "Zl", "Zp"):
        return " "
    return ""


def mask(text: str, secrets: Sequence[str]) -> str:
    """The text with each of ``secrets`` (see ``masks``) replaced by ``***``."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "***")
    return text


def masks(values: Sequence[str]) -> tuple[str, ...]:
    """All texts under which secret values can show: as they are, by their lines, quoted by JSON or Python."""
    if not values:
        return ()
    import json

    found: set[str] = set()
    for value in values:
        for text in (value, value.strip(), *value.splitlines()):
            found |= {text, text.strip(), json.dumps(text)[1:-1], repr(text)[1:-1]}
    return tuple(sorted((f for f in found if f), key=len, reverse=True))


class Output:
    """Lines of a process on their way to a log file: the first ``limit_bytes`` and the last 64 KiB."""

    def __init__(self, log: str | None, *, secrets: Sequence[str] = (), limit_bytes: int = 1_000_000) -> None:
        self.lines = 0
        self._log, self._secrets, self._left = log, masks(secrets), limit_bytes
        self._file: BinaryIO | None = None
        self._rest = b""
        self._too_long = False
        self._skipped = 0
        self._ring: deque[bytes] = deque()
        self._ring_bytes = 0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def feed(self, data: bytes) -> None:
        """Take what was read; in whatever pieces it comes."""
        if self._left <= 0:
            self._keep_last(data)
            return
        *lines, rest = (self._rest + data).split(b"\n")
        for number, line in enumerate(lines):
            self._line(line)
            if self._left <= 0:
                self._keep_last(b"\n".join([*lines[number + 1 :], rest]))
                self._rest = b""
                return
        self._rest = rest
        if len(rest) > _TAIL_BYTES and b"\r" in rest:  # a progress bar: what it showed before is gone
            rest = self._rest = rest[max(rest.find(b"\r", len(rest) - _LINE), rest.rfind(b"\r", 0, -_LINE)) :]
        if len(rest) > _TAIL_BYTES:  # a line without an end: its beginning is shown
            self._line(rest)
            self._rest, self._too_long = b"", True

    def _keep_last(self, data: bytes) -> None:
        self._ring.append(data)
        self._ring_bytes += len(data)
        while self._ring and self._ring_bytes - len(self._ring[0]) >= _TAIL_BYTES:
            gone = len(self._ring.popleft())
            self._ring_bytes -= gone
            self._skipped += gone

    def _line(self, raw: bytes) -> None:
        if self._too_long:  # the end of a line whose beginning was shown
            self._too_long = False
            return
        text = mask(raw.decode(errors="replace"), self._secrets)
        cut = len(raw) > _TAIL_BYTES
        if cut and self._secrets:
            # What is cut could end within a secret: its longest is left out as well.
            text = text[: max(len(text) - len(self._secrets[0]), 0)]
        if "\r" in text:  # a progress bar: what it showed last
            text = next((part for part in reversed(text.split("\r")) if part.strip()), "")
        if cut or len(text) > _LINE:
            text = text[:_LINE] + " … (line cut)"
        self._write(text_safe(text))

    def _write(self, text: str) -> None:
        self.lines += 1
        self._tail.append(text)
        if self._log is None:
            self._left -= len(text) + 1
            return
        if self._file is None:
            os.makedirs(os.path.dirname(self._log), exist_ok=True)  # noqa: PTH103, PTH120
            self._file = open(self._log, "ab", buffering=0)  # noqa: PTH123, SIM115
        line = text.encode(errors="replace") + b"\n"
        self._left -= len(line)
        self._file.write(line)

    def close(self) -> None:
        """Write what is still held back."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        if self._ring:
            kept = b"".join(self._ring)
            last = kept[-_TAIL_BYTES:]
            skipped = self._skipped + len(kept) - len(last)
            self._ring.clear()
            if (
                skipped
            ):  # what is kept begins within a line: that line goes, with what it may have of a secret
                first = last.find(b"\n") + 1
                skipped += first or len(last)
                last = last[first:] if first else b""
                self._write(f"… {skipped:,} bytes left out …")
            for line in last.removesuffix(b"\n").split(b"\n") if last else ():
                self._line(line)
        if self._file is not None:
            self._file.close()
            self._file = None

    def tail(self) -> tuple[str, ...]:
        """The last lines, safe to show."""
        return tuple(self._tail)
