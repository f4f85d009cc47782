"""XML from strangers as a stream of events: no document type, no entity, nothing fetched, all bounded.

expat (https://docs.python.org/3/library/pyexpat.html) never fetches by itself; a document type is refused
before any entity of it can be declared, so that none is ever expanded. Nothing is kept but what the
receiver keeps: memory does not grow with the file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol
from xml.parsers import expat

MOST_BYTES = 64_000_000
MOST_DEPTH = 64
MOST_ELEMENTS = 2_000_000
MOST_TOKEN = 8_000_000
"""The longest single tag: expat reads an unfinished one again with each block."""
_BLOCK = 1_000_000


class Unreadable(ValueError):
    """A file that cannot be taken for what it should be; the message goes after its name."""


class Receiver(Protocol):
    """Who is told of elements. Raises Unreadable where the document is not the one that is wanted."""

    def start(self, name: str, attributes: dict[str, str], line: int) -> None: ...

    def text(self, data: str) -> None: ...

    def end(self, name: str) -> None: ...


def read_xml(path: Path, receiver: Receiver, most: int = MOST_BYTES) -> int:
    """Tell ``receiver`` all of a file's elements; its size in bytes. Raises Unreadable.

    Names come without their prefix. ``most``: bytes that are read at all.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hang
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise Unreadable("is no regular file")
    with os.fdopen(handle, "rb") as file:
        if status.st_size > most:
            raise Unreadable(f"is larger than {most:,} bytes")
        stream = _Stream(receiver)
        size = 0
        while block := file.read(_BLOCK):
            size += len(block)
            if size > most:  # it grew while it was read
                raise Unreadable(f"is larger than {most:,} bytes")
            stream.feed(block, size)
        if not size:
            raise Unreadable("is empty")
        stream.close()
        return size


class _Stream:
    """One document on its way through expat."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.depth = self.elements = 0
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = receiver.text

    def feed(self, block: bytes, size: int) -> None:
        try:
            self.parser.Parse(block, False)
        except expat.ExpatError as error:
            said = expat.ErrorString(error.code)
            raise Unreadable(f"is not well-formed XML: {said} (line {error.lineno})") from error
        except (LookupError, ValueError) as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable("is in an encoding that is not known here; write UTF-8") from error
        if size - max(self.parser.CurrentByteIndex, 0) > MOST_TOKEN + _BLOCK:
            raise Unreadable(f"has a tag of more than {MOST_TOKEN:,} bytes")

    def close(self) -> None:
        try:
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            line = error.lineno
            raise Unreadable(f"ends in the middle (line {line}): what wrote it did not finish") from error

    def _doctype(self, *_said: object) -> None:
        raise Unreadable("has a document type declaration (DOCTYPE), which no report needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > MOST_DEPTH:
            raise Unreadable(f"is nested deeper than {MOST_DEPTH} elements")
        if self.elements > MOST_ELEMENTS:
            raise Unreadable(f"has more than {MOST_ELEMENTS:,} elements")
        self.receiver.start(name.rpartition(":")[2], attributes, self.parser.CurrentLineNumber)

    def _end(self, name: str) -> None:
        self.depth -= 1
        self.receiver.end(name.rpartition(":")[2])
