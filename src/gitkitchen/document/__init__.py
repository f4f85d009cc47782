"""The files that users write, as plain values that remember their lines.

``read`` is what a stage calls: it parses, checks against the schema, and keeps the result by content,
so that an unchanged file costs neither PyYAML nor jsonschema (both are imported late).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import Any

from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.files import digest_bytes, make_state, read_bounded, write_atomic
from gitkitchen.frozen import dataclass

SCHEMAS = Path(__file__).parent.parent / "schemas"
CACHE_SCHEME = 1
"""The number of the cached form; a change of what a text means must raise it."""
CACHE_ENTRIES = 400

_COLUMN_BASE = 4096
_MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a file (dicts, lists, text, numbers, booleans, None) and where each part stands.

    ``file`` is the path for messages. ``positions`` is the compact tree that ``yaml12.Composer`` describes.
    """

    value: Any
    file: str
    positions: Any
    faults: tuple[tuple[str | int, ...], ...] = ()
    """The paths of the parts that its schema refuses; what reads on leaves them out."""

    def place(self, *path: str | int) -> Place:
        """Where a part stands (``document.place("nodes", "load", "needs", 0)``); its parent, if unknown."""
        position = self.positions
        for part in path:
            try:
                position = position[1][part]
            except (TypeError, KeyError, IndexError):
                break
        line, column = divmod(position if isinstance(position, int) else position[0], _COLUMN_BASE)
        return Place(self.file, line, column)

    def text_line(self, *path: str | int) -> int:
        """The line on which a text itself begins: for ``sql: |`` the line below its key."""
        position = self.positions
        for part in path:
            try:
                position = position[1][part]
            except (TypeError, KeyError, IndexError):
                return self.place(*path).line
        if isinstance(position, list) and isinstance(position[1], int):
            return int(position[1])
        return self.place(*path).line


@dataclass(frozen=True, slots=True)
class Extension:
    """A schema made wider for one document, and the origin of each part that was added."""

    schema: Mapping[str, Any]
    used: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extender:
    """Who makes a schema wider: ``extend`` for a document (it may raise Mistake); ``same`` says whether
    what a kept document used is still there."""

    extend: Callable[[Document], Extension | None]
    same: Callable[[Mapping[str, str]], bool]


def parse(text: str, label: str) -> Document:
    """A document from its text. Raises Mistake with every problem, sorted by line."""
    document, problems = _compose(text.encode("utf-8", "surrogatepass"), label)
    if document is None or problems:
        raise Mistake(*problems)
    return document


def load(path: Path, label: str) -> Document:
    """A document from a file; ``label`` is its path for messages. Raises Mistake."""
    raw, problems = _bytes_of(path, label)
    document = None
    if not problems:
        document, problems = _compose(raw, label)
    if document is None or problems:
        raise Mistake(*problems)
    return document


def read(
    path: Path, label: str, name: str, *, cache: Path | None = None, extender: Extender | None = None
) -> tuple[Document | None, list[Problem]]:
    """A document checked against schema ``name``, and every problem of the file at once.

    The document is None where the text could not be read at all. ``cache`` is the folder of local
    state (``.gitkitchen``): files without problems are kept there by content. ``extender`` is asked
    where the schema alone does not do.
    """
    raw, problems = _bytes_of(path, label)
    if problems:
        return None, problems
    entry = None
    if cache is not None:
        key = digest_bytes(b"%d\0%s\0%s\0" % (CACHE_SCHEME, name.encode(), _schema_bytes(name)) + raw)
        entry = cache / "cache" / "documents" / f"{key}.json"
        kept = _recall(entry, label, extender)
        if kept is not None:
            return kept, []
    document, problems = _compose(raw, label)
    if document is not None:
        found = _check(document, name)
        extension = None
        if found and extender is not None:
            try:
                extension = extender.extend(document)
            except Mistake as error:
                problems = [*problems, *error.problems]
        if extension is not None:
            from gitkitchen.document.check import check

            found = check(document, extension.schema)
        document = replace(document, faults=tuple(path for path, _ in found))
        unread = {p.place for p in problems if p.code in _UNREAD}
        problems = [
            *problems,
            *(p for _, p in found if Place(label, p.place.line if p.place else 0) not in unread),
        ]
        if entry is not None and cache is not None and not problems:
            _remember(cache, entry, document, extension.used if extension else {})
    return document, problems


def validate(document: Document, name: str) -> list[Problem]:
    """Every way in which a document departs from schema ``name``."""
    return [problem for _, problem in _check(document, name)]


def _check(document: Document, name: str) -> list[tuple[tuple[str | int, ...], Problem]]:
    accepts = _accepting(name)
    if accepts is not None and accepts(document.value):
        return []
    from gitkitchen.document.check import check

    return check(document, schema(name))


@cache
def _accepting(name: str) -> Callable[[Any], bool] | None:
    from gitkitchen.document.quick import accepting

    return accepting(schema(name))


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of that name as it ships (``kitchen``, ``recipe``, …)."""
    value: dict[str, Any] = json.loads(_schema_bytes(name))
    return value


def departures(value: Any, name: str) -> list[str]:
    """In what a machine's document departs from schema ``name``: sentences, none where it does not."""
    accepts = _accepting(name)
    if accepts is not None and accepts(value):
        return []
    from gitkitchen.document.check import departures as found

    return found(value, schema(name))


def schema_fault(value: Mapping[str, Any]) -> str:
    """Why a value is no JSON Schema; empty where it is one."""
    from gitkitchen.document.check import fault

    return fault(value)


def schema_names() -> list[str]:
    """The names of all schemas that ship, sorted."""
    return sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))


def sound(
    document: Document, cut: Callable[[tuple[str | int, ...]], tuple[str | int, ...]]
) -> dict[str, Any]:
    """A document's value without what its schema refuses, so that the rest can be read on.

    ``cut`` says for the path of a fault which part is then of no use. In a list an empty mapping
    takes the place of what is left out.
    """
    value: dict[str, Any] = document.value if isinstance(document.value, dict) else {}
    for fault in document.faults:
        value = _without(value, cut(fault)) if fault else value
    return value


def _without(value: Any, path: tuple[str | int, ...]) -> Any:
    if not path:
        return {}
    key, rest = path[0], path[1:]
    if isinstance(value, dict) and key in value:
        if rest:
            return {**value, key: _without(value[key], rest)}
        return {k: v for k, v in value.items() if k != key}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return [*value[:key], _without(value[key], rest) if rest else {}, *value[key + 1 :]]
    return value


def scalar(text: str) -> Any:
    """What a plain YAML scalar means: ``"3"`` is 3, ``"on"`` is text. Raises ValueError."""
    from gitkitchen.document.yaml12 import scalar as core

    return core(text)


def _schema_bytes(name: str) -> bytes:
    return (SCHEMAS / f"{name}.schema.json").read_bytes()


def _bytes_of(path: Path, label: str) -> tuple[bytes, list[Problem]]:
    try:
        if not path.is_file():
            return b"", [Problem("there is no such file", Place(label), "", "missing-file")]
        return read_bounded(path, _MAX_BYTES), []
    except OSError as error:
        return b"", [Problem(f"cannot be read: {error.strerror}", Place(label), "", "unreadable")]


def _compose(raw: bytes, label: str) -> tuple[Document | None, list[Problem]]:
    from gitkitchen.document.yaml12 import Composer, decode

    text, problems = decode(raw, label)
    if problems:
        return None, problems
    composer = Composer(label)
    composer.compose(text)
    fatal = any(p.code in _FATAL for p in composer.problems)
    document = None if fatal else Document(composer.value, label, composer.position)
    return document, composer.problems


_UNREAD = {"bad-number", "bad-alias", "not-text"}
"""After these a value is a stand-in: what the schema says of its line would only confuse."""
_FATAL = {"syntax", "too-large", "too-deep", "empty", "unquoted-expression", "bad-key"}
"""After these the value is incomplete: checking it would report what is not wrong."""


def _recall(entry: Path, label: str, extender: Extender | None) -> Document | None:
    try:
        value, positions, *used = json.loads(entry.read_bytes())
    except (OSError, ValueError, TypeError, RecursionError):  # absent or damaged: read the file itself
        return None
    if used and not (extender is not None and extender.same(used[0])):
        return None
    return Document(value, label, positions)


def _remember(state: Path, entry: Path, document: Document, used: Mapping[str, str]) -> None:
    """Keep a good document; a cache that cannot be written is no error."""
    try:
        make_state(state)
        parts = [document.value, document.positions, *([dict(used)] if used else [])]
        write_atomic(entry, json.dumps(parts, separators=(",", ":")))
        kept = list(entry.parent.iterdir())
        if len(kept) > CACHE_ENTRIES:
            oldest = sorted(kept, key=lambda p: p.stat().st_mtime)
            for path in oldest[: CACHE_ENTRIES // 2]:
                path.unlink(missing_ok=True)
    except OSError:
        return
