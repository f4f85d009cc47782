"""Variables in layers: the later layer wins, dictionaries merge deeply, each value keeps its origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitkitchen.document import scalar
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.model import Setting

Layer = tuple[str, Mapping[str, Any], Mapping[str, Place]]
"""Where it comes from (``environment prod``, ``--set``), nested values, and the place of each dotted key."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = re.compile(r"([0-9]{1,9})(B|kB|KB|MB|GB|TB)")
_DURATION = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([smhdw])\s*\Z")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")


def resolve(layers: Sequence[Layer]) -> dict[str, Setting]:
    """The winning value of every dotted key, lowest layer first.

    A mapping over a mapping merges; anything else replaces what stood there with all below it.
    An empty mapping is a value of its own (``{}``) until something merges into it.
    """
    tree: dict[str, Any] = {}
    for origin, given, places in layers:
        _merge(tree, given, "", origin, places)
    return flatten(tree)


def _merge(
    tree: dict[str, Any],
    given: Mapping[str, Any],
    prefix: str,
    origin: str,
    places: Mapping[str, Place],
) -> None:
    """Lay a layer over a tree, whose leaves are settings."""
    for name, value in given.items():
        key, below = f"{prefix}{name}", tree.get(name)
        if isinstance(value, Mapping) and (value or isinstance(below, dict)):
            if not isinstance(below, dict):
                below = tree[name] = {}
            _merge(below, value, f"{key}.", origin, places)
        else:
            place = places.get(key)
            tree[name] = Setting(value, str(place) if place else origin, place)


def values(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """The nested values of resolved settings, as expressions read them."""
    nested: dict[str, Any] = {}
    for key, setting in settings.items():
        *parents, last = key.split(".")
        at = nested
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = dict(setting.value) if isinstance(setting.value, Mapping) else setting.value
    return nested


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key; lists and empty mappings are values."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{key}."))
        else:
            flat[key] = value
    return flat


def texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text in a nested value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from texts(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from texts(part, (*path, index))


def parse_set(text: str) -> dict[str, Any]:
    """``a.b=3`` as ``{"a": {"b": 3}}``, the value typed as YAML types it. Raises Mistake."""
    name, sign, raw = text.partition("=")
    parts = name.strip().split(".")
    if not sign or not all(_NAME.match(part) for part in parts):
        hint = "write --set name=value or --set group.name=value"
        raise Mistake(Problem(f"--set {text[:80]} names no variable", None, hint, "bad-set"))
    raw = raw.strip()
    try:
        value: Any = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "'\"" else scalar(raw)
    except ValueError as error:
        raise Mistake(Problem(f"--set {name}: {error}", None, "", "bad-set")) from None
    for part in reversed(parts):
        value = {part: value}
    return dict(value)


def duration(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``36h``, ``14d``, ``2w``. Raises ValueError."""
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"'{text[:40]}' is not a duration such as 36h or 14d")
    return float(match.group(1)) * _UNITS[match.group(2)]


def size(text: str) -> int:
    """Bytes of ``500MB``, ``10GB``, ``2TB``, ``0B``: powers of 1000. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text[:40]}' is not a size such as 500MB or 10GB")
    power: int = 1000 ** ["B", "KB", "MB", "GB", "TB"].index(match[2].upper())
    return int(match[1]) * power
