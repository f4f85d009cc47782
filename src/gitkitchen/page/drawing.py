"""Lines and graphs as numbers: where everything stands in a drawing. Pure; templates make them SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH, HEIGHT = 720.0, 120.0
PAD = 6.0
POINTS = 240
BOX_W, BOX_H = 190, 44
GAP_X, GAP_Y = 56, 16


@dataclass(frozen=True, slots=True)
class Line:
    """A series in a box of ``WIDTH`` by ``HEIGHT``. ``parts``: polylines; ``dots``: its points; ``marks``:
    (x, kind, words)."""

    parts: tuple[str, ...]
    last: tuple[float, float]
    marks: tuple[tuple[float, str, str], ...]
    least: float
    most: float
    first: datetime
    end: datetime


def line(
    points: Sequence[tuple[datetime, float]], marks: Sequence[tuple[datetime, str, str]] = ()
) -> Line | None:
    """A series of figures over time, with what happened meanwhile; None for less than two points. Of more
    than ``POINTS`` each bucket shows its least and its most, so that no peak is lost."""
    if len(points) < 2:
        return None
    start, end = points[0][0], points[-1][0]
    span = max((end - start).total_seconds(), 1.0)
    values = [v for _, v in points]
    least, most = min(values), max(values)
    # A line that never moves lies in the middle; one that starts near 0 is drawn from 0.
    low = 0.0 if 0 <= least <= 0.5 * most else least
    high = most if most > low else low + 1
    flat = least == most

    def x(at: datetime) -> float:
        share = (at - start).total_seconds() / span
        return round(PAD + (WIDTH - 2 * PAD) * min(1.0, max(0.0, share)), 1)

    def y(value: float) -> float:
        if flat:
            return HEIGHT / 2
        return round(HEIGHT - PAD - (HEIGHT - 2 * PAD) * (value - low) / (high - low), 1)

    kept = _thinned(points)
    drawn = " ".join(f"{x(at)},{y(v)}" for at, v in kept)
    shown = tuple((x(at), kind, words) for at, kind, words in marks if start <= at <= end)
    return Line((drawn,), (x(end), y(values[-1])), shown, least, most, start, end)


def _thinned(points: Sequence[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    if len(points) <= POINTS:
        return list(points)
    size = 2 * len(points) / POINTS
    found: list[tuple[datetime, float]] = []
    for i in range(POINTS // 2):
        bucket = points[int(i * size) : int((i + 1) * size)]
        if bucket:
            pair = {min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])}
            found += sorted(pair)
    return [*found, points[-1]]


@dataclass(frozen=True, slots=True)
class Box:
    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes of ``BOX_W`` by ``BOX_H`` and the curves between them, from left to right."""

    boxes: tuple[Box, ...]
    curves: tuple[str, ...]
    width: float
    height: float
    left_out: int = 0


def graph(after: Mapping[str, Sequence[str]]) -> Graph:
    """A layout of nodes, each with those that it comes after: layers by the longest way, each layer in the
    order of what it hangs on (Sugiyama's barycentres), from left to right. Circles are cut where they close."""
    layers = _layers(after)
    columns: dict[int, list[str]] = {}
    for name, layer in layers.items():
        columns.setdefault(layer, []).append(name)
    below: dict[str, list[str]] = {name: [] for name in after}
    for name, befores in after.items():
        for before in befores:
            if before in below:
                below[before].append(name)
    order = {name: float(i) for column in columns.values() for i, name in enumerate(column)}
    for turn in range(6):
        neighbours = after if turn % 2 == 0 else below
        for layer in sorted(columns, reverse=bool(turn % 2)):
            column = columns[layer]
            weights = {n: _centre([order[m] for m in neighbours[n] if m in order], order[n]) for n in column}
            column.sort(key=lambda n: (weights[n], order[n]))
            order |= {name: float(i) for i, name in enumerate(column)}
    tallest = max((len(c) for c in columns.values()), default=0)
    height = tallest * (BOX_H + GAP_Y)
    spots: dict[str, tuple[float, float]] = {}
    for layer, column in columns.items():
        top = (height - len(column) * (BOX_H + GAP_Y)) / 2
        for i, name in enumerate(column):
            spots[name] = (layer * (BOX_W + GAP_X) + 2, top + i * (BOX_H + GAP_Y) + GAP_Y / 2)
    curves = tuple(
        _curve(spots[before], spots[name])
        for name, befores in after.items()
        for before in befores
        if before in spots and layers[before] < layers[name]
    )
    width = (max(columns, default=0) + 1) * (BOX_W + GAP_X) - GAP_X + 4
    boxes = tuple(Box(name, x, y) for name, (x, y) in spots.items())
    return Graph(boxes, curves, width, max(height, BOX_H))


def _centre(values: Sequence[float], own: float) -> float:
    return sum(values) / len(values) if values else own


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + BOX_W, start[1] + BOX_H / 2
    x2, y2 = end[0], end[1] + BOX_H / 2
    bend = min(GAP_X, (x2 - x1)) / 2 + 8
    return f"M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"


def _layers(after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for first in after:
        stack = [(first, False)]
        path: set[str] = set()
        while stack:
            name, done = stack.pop()
            if done:
                path.discard(name)
                befores = [found[b] + 1 for b in after[name] if b in found]
                found[name] = max(befores, default=0)
            elif name not in found and name not in path:
                path.add(name)
                stack.append((name, True))
                stack += [(b, False) for b in after[name] if b in after and b not in found and b not in path]
    return {name: found[name] for name in after}


def neighbourhood(
    after: Mapping[str, Sequence[str]], centres: Sequence[str], *, most: int = 24, steps: int = 2
) -> dict[str, list[str]]:
    """What stands around some nodes: at most ``most``, the nearest first, at most ``steps`` away."""
    below: dict[str, list[str]] = {}
    for name, befores in after.items():
        for before in befores:
            below.setdefault(before, []).append(name)
    kept = dict.fromkeys(c for c in list(centres)[:most] if c in after)
    ring = list(kept)
    for _ in range(steps):
        ring = [m for n in ring for m in (*after.get(n, ()), *below.get(n, ())) if m in after and m not in kept]
        for name in dict.fromkeys(ring):
            if len(kept) < most:
                kept[name] = None
    return {n: [b for b in befores if b in kept] for n, befores in after.items() if n in kept}
