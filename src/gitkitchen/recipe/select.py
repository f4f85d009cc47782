"""Selectors of nodes: ``late``, ``late_*``, ``+late``, ``late+``, ``tag:daily``, ``kind:sql``, ``!late``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from gitkitchen.document.words import near
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import NodeSpec

MAX_SELECTORS = 200
METHODS = ("tag", "kind", "owner")


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector: what it matches, and whether what is above or below comes with it."""

    text: str
    pattern: str
    method: str = ""
    above: bool = False
    below: bool = False
    excludes: bool = False

    def matches(self, node: NodeSpec) -> bool:
        from fnmatch import fnmatchcase

        values: Collection[str] = (node.name,)
        if self.method:
            values = {"tag": node.tags, "kind": (node.kind,), "owner": (node.owner,)}[self.method]
        return any(fnmatchcase(value, self.pattern) for value in values)


def parse(text: str) -> Selector:
    """Read one selector. Raises ValueError with the reason."""
    rest = text.strip()
    excludes = rest.startswith("!")
    rest = rest.removeprefix("!").strip()
    above, below = rest.startswith("+"), rest.endswith("+") and len(rest) > 1
    rest = rest.removeprefix("+").removesuffix("+")
    method, sign, pattern = rest.rpartition(":") if not rest.startswith(METHODS) else rest.partition(":")
    if sign and method not in METHODS:
        raise ValueError(f"'{method[:40]}:' is not known; known are {', '.join(f'{m}:' for m in METHODS)}")
    if not pattern or len(pattern) > 200 or any(c.isspace() for c in pattern):
        raise ValueError("it names no node")
    return Selector(text, pattern, method if sign else "", above, below, excludes)


def select(
    selectors: Sequence[str], nodes: Mapping[str, NodeSpec], edges: Mapping[str, Iterable[str]]
) -> set[str]:
    """The names of the selected nodes. ``edges``: node -> the nodes that it reads.

    Selectors add up from left to right; ``!`` takes away from what is selected so far (from all nodes,
    where it comes first). Raises Mistake for each selector that is malformed or matches nothing.
    """
    problems = list(mistakes(selectors, nodes))
    if problems:
        raise Mistake(*problems)
    chosen: set[str] = set()
    for index, text in enumerate(selectors):
        selector = parse(text)
        if selector.excludes and not index:
            chosen = set(nodes)
        found = {n.name for n in nodes.values() if selector.matches(n)}
        reached = set(found)
        if selector.above:
            reached |= _reached(found, edges)
        if selector.below:
            reached |= _reached(found, _turned(edges))
        reached &= nodes.keys()
        chosen = chosen - reached if selector.excludes else chosen | reached
    return chosen


def mistakes(
    selectors: Sequence[str], nodes: Mapping[str, NodeSpec], places: Sequence[Place] = ()
) -> Iterator[Problem]:
    """What is wrong with selectors, each with its place: malformed, or nothing has that name."""
    if len(selectors) > MAX_SELECTORS:
        message = f"{len(selectors):,} selectors are too many, at most {MAX_SELECTORS} can be"
        yield Problem(message, places[0] if places else None, "use tags or patterns", "too-large")
        return
    for index, text in enumerate(selectors):
        place = places[index] if places else None
        try:
            selector = parse(text)
        except ValueError as error:
            hint = "write a node's name, name_*, +name, name+, tag:x, kind:x, owner:x, or ! and one of these"
            yield Problem(f"the selector '{text[:80]}' cannot be read: {error}", place, hint, "bad-selector")
            continue
        if not any(selector.matches(node) for node in nodes.values()):
            hint = _near(selector, nodes)
            yield Problem(f"the selector '{text[:80]}' matches no node", place, hint, "empty-selection")


def _near(selector: Selector, nodes: Mapping[str, NodeSpec]) -> str:
    words: dict[str, None] = {}
    for node in nodes.values():
        offered = {"tag": node.tags, "kind": (node.kind,), "owner": (node.owner,)}
        words.update(dict.fromkeys(w for w in offered.get(selector.method, (node.name,)) if w))

    hint = near(selector.pattern, words)
    if hint:
        return hint.replace("'", f"'{selector.method}:", 1) if selector.method else hint
    return f"there are {', '.join(list(words)[:20])}" if words else ""


def _reached(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """All that can be reached from ``start`` along edges, without the start itself unless it is reached."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        for name in edges.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _turned(edges: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    turned: dict[str, list[str]] = {}
    for name, targets in edges.items():
        for target in targets:
            turned.setdefault(target, []).append(name)
    return turned
