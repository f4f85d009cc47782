"""YAML 1.2 core read safely: from the parser's events to plain values and their lines.

The parser is libyaml's (through PyYAML); what its events mean is decided here, because PyYAML reads
YAML 1.1 (``on`` is true, ``22:22`` is 1342), runs merge keys of exponential cost and keeps the last
of two equal keys. The work and memory that a text can ask for are bounded before they are spent.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from gitkitchen.errors import Place, Problem

MAX_BYTES = 2_000_000
MAX_DEPTH = 40
MAX_VALUES = 60_000
MAX_DIGITS = 100
MAX_PROBLEMS = 100

COLUMN_BASE = 4096
"""A position is one integer, ``line * COLUMN_BASE + column``: small in memory and in the cache."""

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML built without libyaml: slower, same events."""

_BAD_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_MAY_BE_NUMBER = frozenset("-+.0123456789")


class _TooMuch(Exception):
    """A bound is passed; the problem is already noted, reading on would only cost."""


def scalar(text: str) -> Any:
    """What a plain scalar means in YAML 1.2's core schema. Raises ValueError with the reason."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    if _INTEGER.match(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits is too long; quote it if it is text")
        return int(text)
    if _BASED.match(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits is too long; quote it if it is text")
        return int(text, 0)
    if _FLOAT.match(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"the number {text[:40]} is too large; quote it if it is text")
        return value
    if _NOT_FINITE.match(text):
        raise ValueError(f"{text} is not a finite number; quote it if it is text")
    return text


def decode(raw: bytes, label: str) -> tuple[str, list[Problem]]:
    """The text of a file, or why it is none: too large, not UTF-8, control characters."""
    if len(raw) > MAX_BYTES:
        message = f"the file has more than {MAX_BYTES:,} bytes"
        return "", [Problem(message, Place(label), "split it", "too-large")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        hint = "save the file as UTF-8"
        return "", [Problem("this is not text in UTF-8", Place(label, line), hint, "not-text")]
    bad = _BAD_CHARACTER.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        message = f"the character U+{ord(bad.group()):04X} is not allowed in YAML"
        return "", [Problem(message, Place(label, line), "remove it; is this a binary file?", "not-text")]
    return text, []


class _Frame:
    """A collection that is still open. ``at`` is the position of a key that waits for its value."""

    __slots__ = ("anchor", "at", "before", "children", "key", "position", "value")

    def __init__(self, value: Any, children: Any, position: int, anchor: str | None, before: int) -> None:
        self.value, self.children, self.position = value, children, position
        self.anchor, self.before = anchor, before
        self.key: str | None = None
        self.at: int | None = None


class Composer:
    """Builds the value of one document; ``problems`` holds all mistakes found on the way.

    Beside each value stands its *position*: an integer for a scalar, ``[integer, first line of its
    text]`` for text of several lines, ``[integer, {key: position} | [position, …]]`` for a collection.
    The position of a mapping's value is that of its key, where people look for it.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.problems: list[Problem] = []
        self.value: Any = None
        self.position: Any = COLUMN_BASE
        self._count = 0
        self._anchors: dict[str, tuple[Any, Any, int] | None] = {}
        self._open: list[_Frame] = []
        self._documents = 0
        self._text = ""

    def compose(self, text: str) -> None:
        """Read all of ``text``. Never raises for what a text can hold."""
        self._text = text
        parser = _PARSER(text)
        try:
            self._read(parser)
            if not self._documents:
                self._problem("the file is empty", 0, "", "empty")
        except _TooMuch:
            pass
        finally:
            parser.dispose()

    def _read(self, parser: Any) -> None:
        handlers = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
            yaml.MappingStartEvent: self._mapping,
            yaml.SequenceStartEvent: self._sequence,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
        }
        try:
            while (event := parser.get_event()) is not None:
                handler = handlers.get(type(event))
                if handler is not None:
                    handler(event)
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except (yaml.YAMLError, UnicodeError) as error:
            self._problem(f"this is not YAML: {str(error).splitlines()[0]}", 0, "", "syntax")

    # --- events ---

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._problem(
                "a file holds one document", event.start_mark.line + 1, "remove this `---`", "syntax"
            )
            raise _TooMuch

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        position = (mark.line + 1) * COLUMN_BASE + min(mark.column + 1, COLUMN_BASE - 1)
        text = event.value
        if event.tag is not None and event.tag != "!":
            self._tag(event)
        if event.implicit[0] and not event.style:
            try:
                value = scalar(text)
            except ValueError as error:
                self._problem(str(error), mark.line + 1, "", "bad-number")
                value = 1  # what needs a number goes on with one, and says nothing more
        else:
            value = text
            escaped = _NO_TEXT.search(text) if event.style == '"' else None
            if escaped:
                what = f"a text must not hold the character U+{ord(escaped.group()):04X}"
                self._problem(what, mark.line + 1, "", "not-text")
                value = ""
        if event.end_mark.line != mark.line:
            position = [position, mark.line + (2 if event.style in ("|", ">") else 1)]
        self._place(value, position, event.anchor, 1, mark)

    def _alias(self, event: Any) -> None:
        known = self._anchors.get(event.anchor)
        line = event.start_mark.line + 1
        if known is None:
            what = "contains itself" if event.anchor in self._anchors else "is not defined above"
            self._problem(f"the alias *{event.anchor} {what}", line, "", "bad-alias")
            known = (None, 0, 1)
        value, position, size = known
        own = line * COLUMN_BASE + min(event.start_mark.column + 1, COLUMN_BASE - 1)
        self._place(
            value, [own, position[1]] if isinstance(position, list) else own, None, size, event.start_mark
        )

    def _mapping(self, event: Any) -> None:
        self._start({}, {}, event)

    def _sequence(self, event: Any) -> None:
        self._start([], [], event)

    def _start(self, value: Any, children: Any, event: Any) -> None:
        line = event.start_mark.line + 1
        if event.tag is not None and event.tag != "!":
            self._tag(event)
        if len(self._open) >= MAX_DEPTH:
            self._problem(f"nested more than {MAX_DEPTH} levels deep", line, "", "too-deep")
            raise _TooMuch
        if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].at is None:
            hint = 'quote an expression: "${{ … }}"'
            self._problem("a key is a text, not a list or mapping", line, hint, "bad-key")
            raise _TooMuch
        if event.anchor:
            self._anchors[event.anchor] = None
        position = line * COLUMN_BASE + min(event.start_mark.column + 1, COLUMN_BASE - 1)
        self._open.append(_Frame(value, children, position, event.anchor, self._count))
        self._count += 1

    def _end(self, event: Any) -> None:
        frame = self._open.pop()
        size = self._count - frame.before
        self._count = frame.before
        self._place(frame.value, [frame.position, frame.children], frame.anchor, size, event.start_mark)

    # --- placing ---

    def _place(self, value: Any, position: Any, anchor: str | None, size: int, mark: Any) -> None:
        self._count += size
        if self._count > MAX_VALUES:
            self._problem(
                f"more than {MAX_VALUES:,} values, aliases counted in full", mark.line + 1, "", "too-large"
            )
            raise _TooMuch
        if anchor:
            self._anchors[anchor] = (value, position, size)
        if not self._open:
            self.value, self.position = value, position
            return
        frame = self._open[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
            frame.children.append(position)
        elif frame.at is None:
            frame.key = self._key(value, frame, mark)
            frame.at = position if isinstance(position, int) else position[0]
        else:
            at, frame.at = frame.at, None
            if frame.key is not None:
                frame.value[frame.key] = value
                frame.children[frame.key] = _at_key(at, value, position)

    def _key(self, key: Any, frame: _Frame, mark: Any) -> str | None:
        """The key to use, or None for one that is refused (its value is then read and dropped)."""
        line = mark.line + 1
        if key == "<<":
            self._problem("merge keys (<<) are not available", line, "write the keys out", "merge-key")
            return None
        if not isinstance(key, str):
            self._problem(f"the key {key!r:.60} is not a text", line, "quote it", "bad-key")
            return None
        if key in frame.value:
            known = frame.children[key]
            first = (known if isinstance(known, int) else known[0]) // COLUMN_BASE
            self._problem(
                f"the key '{key:.60}' stands here again (first in line {first})", line, "", "duplicate-key"
            )
            return None
        return key

    # --- problems ---

    def _tag(self, event: Any) -> None:
        tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
        self._problem(f"the tag {tag:.60} is not available", event.start_mark.line + 1, "remove it", "tag")

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        lines = self._text.split("\n")
        context = error.context_mark.line + 1 if error.context_mark else line
        for number in dict.fromkeys((line, line - 1, context)):
            if 0 < number <= len(lines) and "${{" in _QUOTED.sub("", lines[number - 1]):
                self._problem(
                    "an expression inside { } or [ ] must be quoted", number,
                    'write "${{ … }}" with the quotes', "unquoted-expression",
                )  # fmt: skip
                return
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        indent = lines[line - 1][: mark.column + 1] if mark and line <= len(lines) else ""
        hint = "indent with spaces, not tabs" if "\t" in indent else ""
        self._problem(f"this is not YAML: {what}", line, hint, "syntax")

    def _problem(self, message: str, line: int, hint: str, code: str) -> None:
        self.problems.append(Problem(message, Place(self.label, line), hint, code))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooMuch


def _at_key(at: int, value: Any, position: Any) -> Any:
    """The position of a mapping's value: where its key stands, and what its own position tells beside."""
    if not isinstance(position, int):
        return [at, position[1]]
    # A text on a line below its key keeps its own line, for messages inside the text.
    line = position // COLUMN_BASE
    return [at, line] if isinstance(value, str) and line != at // COLUMN_BASE else at
