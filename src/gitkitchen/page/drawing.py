"""Lines and graphs as numbers: where everything stands in a drawing. Pure; templates make them SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from gitkitchen.frozen import dataclass

WIDTH, HEIGHT = 720.0, 120.0
PAD = 6.0
POINTS = 240
BOX_W, BOX_H = 190, 44
GAP_X, GAP_Y = 48, 16
LANE = 14


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

    # A site draws hundreds of thousands of points: as plain sums, and each series in one text.
    begin, across = start.timestamp(), (WIDTH - 2 * PAD) / span
    up = 0.0 if flat else (HEIGHT - 2 * PAD) / (high - low)
    floor = HEIGHT / 2 if flat else HEIGHT - PAD + low * up
    drawn = " ".join(
        f"{PAD + (at.timestamp() - begin) * across:.1f},{floor - v * up:.1f}" for at, v in _thinned(points)
    )
    shown = tuple((x(at), kind, words) for at, kind, words in marks if start <= at <= end)
    return Line((drawn,), (x(end), y(values[-1])), shown, least, most, start, end)


def _thinned(points: Sequence[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    if len(points) <= POINTS:
        return list(points)
    size = 2 * len(points) / POINTS
    values = [value for _, value in points]
    found: list[tuple[datetime, float]] = []
    for i in range(POINTS // 2):
        first, end = int(i * size), int((i + 1) * size)
        bucket = values[first:end]
        least, most = bucket.index(min(bucket)), bucket.index(max(bucket))
        found += [points[first + n] for n in sorted({least, most})]
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
    order of what it hangs on (Sugiyama's barycentres), from left to right. An edge over several layers
    keeps a lane free in each, so that it crosses no box. Circles are cut where they close."""
    layers: dict[Spot, int] = {}
    for name, layer in _layers(after).items():
        layers[name] = layer
    above: dict[Spot, list[Spot]] = {name: [] for name in after}
    chains: list[list[Spot]] = []
    for name, befores in after.items():
        for before in befores:
            if before not in layers or layers[before] >= layers[name]:
                continue
            lanes: list[Spot] = [(before, name, n) for n in range(layers[before] + 1, layers[name])]
            layers |= {lane: lane[2] for lane in lanes if isinstance(lane, tuple)}
            chain: list[Spot] = [before, *lanes, name]
            chains.append(chain)
            for start, end in pairwise(chain):
                above.setdefault(end, []).append(start)
    columns = _ordered(layers, above)
    tall = {n: sum(_height(s) for s in column) for n, column in columns.items()}
    height = max(tall.values(), default=0.0)
    spots: dict[Spot, tuple[float, float]] = {}
    for layer, column in columns.items():
        y = (height - tall[layer]) / 2
        for spot in column:
            spots[spot] = (layer * (BOX_W + GAP_X) + 2, y + _height(spot) / 2)
            y += _height(spot)
    boxes = tuple(Box(n, x, y - BOX_H / 2) for n, (x, y) in spots.items() if isinstance(n, str))
    width = (max(columns, default=0) + 1) * (BOX_W + GAP_X) - GAP_X + 4
    return Graph(
        boxes, tuple(_curve([spots[s] for s in chain]) for chain in chains), width, max(height, BOX_H)
    )


Spot = str | tuple[str, str, int]
"""A node, or the lane that an edge keeps free in a layer."""


def _height(spot: Spot) -> float:
    return BOX_H + GAP_Y if isinstance(spot, str) else LANE


def _ordered(layers: Mapping[Spot, int], above: Mapping[Spot, Sequence[Spot]]) -> dict[int, list[Spot]]:
    columns: dict[int, list[Spot]] = {}
    for spot, layer in layers.items():
        columns.setdefault(layer, []).append(spot)
    below: dict[Spot, list[Spot]] = {}
    for spot, befores in above.items():
        for before in befores:
            below.setdefault(before, []).append(spot)
    order = {spot: float(i) for column in columns.values() for i, spot in enumerate(column)}
    for turn in range(8):
        neighbours = below if turn % 2 else above
        for layer in sorted(columns, reverse=bool(turn % 2)):
            column = columns[layer]
            weights = {s: _centre([order[n] for n in neighbours.get(s, ())], order[s]) for s in column}
            column.sort(key=lambda s: (weights[s], order[s]))
            order |= {spot: float(i) for i, spot in enumerate(column)}
    return columns


def _centre(values: Sequence[float], own: float) -> float:
    return sum(values) / len(values) if values else own


def _curve(spots: Sequence[tuple[float, float]]) -> str:
    """From the right side of the first, through the lanes, to the left side of the last."""
    x, y = spots[0][0] + BOX_W, spots[0][1]
    drawn = [f"M{x:.0f} {y:.0f}"]
    for index, (left, middle) in enumerate(spots[1:], 1):
        bend = GAP_X / 2
        drawn.append(f"C{x + bend:.0f} {y:.0f} {left - bend:.0f} {middle:.0f} {left:.0f} {middle:.0f}")
        x, y = left, middle
        if index < len(spots) - 1:
            x += BOX_W
            drawn.append(f"H{x:.0f}")
    return "".join(drawn)


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
        ring = [
            m for n in ring for m in (*after.get(n, ()), *below.get(n, ())) if m in after and m not in kept
        ]
        for name in dict.fromkeys(ring):
            if len(kept) < most:
                kept[name] = None
    return {n: [b for b in befores if b in kept] for n, befores in after.items() if n in kept}
