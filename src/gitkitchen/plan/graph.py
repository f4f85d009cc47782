"""Who reads whom: the edges of a recipe, its order, and cycles spelled out."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping

from gitkitchen.errors import Place, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import NodeSpec, Recipe
from gitkitchen.plan.facts import NodeFacts


@dataclass(frozen=True, slots=True)
class Graph:
    """``reads``: node -> dataset -> the node that makes it, or None for the catalog's. ``after``:
    node -> nodes that must end before it, in the order of the recipe. ``order`` is topological and
    otherwise that of the recipe; it is empty where there is a cycle."""

    reads: Mapping[str, Mapping[str, str | None]]
    after: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]
    problems: tuple[Problem, ...]


def build_graph(recipe: Recipe, facts: Mapping[str, NodeFacts], known: Collection[str]) -> Graph:
    """The graph of a recipe. ``known`` are the datasets that exist outside of it (the catalog's)."""
    makers = recipe.datasets
    reads: dict[str, dict[str, str | None]] = {}
    edges: dict[str, dict[str, Place]] = {}
    problems: list[Problem] = []
    for node in recipe.nodes.values():
        edge = _Edges(recipe, node, makers, known)
        edge.needs()
        edge.inferred(facts[node.name])
        edge.tests(facts[node.name])
        reads[node.name], edges[node.name] = edge.reads, edge.befores
        problems += edge.problems
    places = {name: index for index, name in enumerate(recipe.nodes)}
    order = _topological(edges, places)
    if len(order) < len(edges):
        problems += _cycles(edges, set(edges) - set(order), recipe)
        order = ()
    after = {name: tuple(sorted(befores, key=places.__getitem__)) for name, befores in edges.items()}
    return Graph(reads, after, order, tuple(problems))


HANDLE = "kitchen"
"""The parameter by which a function takes the handle of its node (``run/child.py``): no input."""


class _Edges:
    """The edges of one node while they are found."""

    def __init__(
        self, recipe: Recipe, node: NodeSpec, makers: Mapping[str, str], known: Collection[str]
    ) -> None:
        self.recipe, self.node, self.makers, self.known = recipe, node, makers, known
        self.reads: dict[str, str | None] = {}
        self.befores: dict[str, Place] = {}
        self.problems: list[Problem] = []

    def needs(self) -> None:
        """What the node says it needs: nodes, datasets of this recipe, datasets of others."""
        for name in self.node.needs:
            if name in self.recipe.nodes:
                self._before(name, self.node.place)
                if self.node.kind not in ("sql", "source"):  # SQL reads what it names; the rest is order
                    self._read_all(name)
            elif name in self.makers:
                self._before(self.makers[name], self.node.place)
                if self.node.kind not in ("sql", "source"):
                    self.reads[name] = self.makers[name]
            elif name in self.known:
                if self.node.kind not in ("sql", "source"):
                    self.reads[name] = None
            else:
                self._unknown(name, f"node '{self.node.name}' needs", self.node.place)

    def _read_all(self, name: str) -> None:
        self.reads.update(dict.fromkeys(self.recipe.nodes[name].datasets, name))

    def inferred(self, facts: NodeFacts) -> None:
        """What the node's SQL reads, or its function takes by name."""
        if facts.sql is not None and not facts.sql.inferred:
            for name in self.node.needs:
                if name in self.recipe.nodes:
                    self._read_all(name)
                elif name in self.makers or name in self.known:
                    self.reads[name] = self.makers.get(name)
        elif facts.sql is not None:
            file = self.node.config.get("file") or self.node.place.file
            for table in facts.sql.tables:
                self._read(table.name, Place(file, table.line, table.column))
        elif facts.python is not None and self.node.kind == "python":
            self._parameters(facts)

    def _parameters(self, facts: NodeFacts) -> None:
        assert facts.python is not None
        file = str(self.node.config.get("file"))
        for name, line in facts.python.parameters.items():
            if name in self.node.params or name in self.reads or name == HANDLE:
                continue
            if name in self.makers or name in self.known:
                self._read(name, Place(file, line))
            elif name in facts.python.required:
                what = f"function '{self.node.config.get('function')}' takes"
                self._unknown(name, what, Place(file, line), extra=(*self.node.params,))

    def tests(self, facts: NodeFacts) -> None:
        """What the node's tests read besides it: it is judged after that is built."""
        for spec in facts.tests:
            place = spec.place or self.node.place
            for name in spec.reads:
                maker = self.makers.get(name)
                if maker is not None and maker != self.node.name:
                    self._before(maker, place)
                elif maker is None and name not in self.known:
                    self._unknown(name, f"a test of node '{self.node.name}' reads", place)

    def _read(self, name: str, place: Place) -> None:
        if name in self.makers:
            self.reads[name] = self.makers[name]
            self._before(self.makers[name], place)
        elif name in self.known:
            self.reads[name] = None
        else:
            self._unknown(name, f"node '{self.node.name}' reads", place)

    def _before(self, name: str, place: Place) -> None:
        self.befores.setdefault(name, place)
        if self.recipe.nodes[name].on == "publish" and self.node.on != "publish":
            message = f"node '{self.node.name}' waits for '{name}', which runs only after the publication"
            hint = f"say `on: publish` in '{self.node.name}' too, or leave it out of '{name}'"
            self.problems.append(Problem(message, place, hint, "publish-order"))

    def _unknown(self, name: str, what: str, place: Place, extra: Iterable[str] = ()) -> None:
        from difflib import get_close_matches

        names = [*self.recipe.nodes, *self.makers, *self.known, *extra]
        near = get_close_matches(name, dict.fromkeys(names), n=1, cutoff=0.6)
        hint = f"did you mean '{near[0]}'?" if near else _advice(self.node)
        message = f"{what} '{name}', which does not exist"
        self.problems.append(Problem(message, place, hint, "unknown-dataset"))


def _advice(node: NodeSpec) -> str:
    given = "or give it a value in `with:`, " if node.kind == "python" else ""
    return f"add a node of that name, {given}or run the recipe that makes it first"


# --- order --------------------------------------------------------------------------------------


def _topological(edges: Mapping[str, Mapping[str, Place]], places: Mapping[str, int]) -> tuple[str, ...]:
    """Nodes after all that they wait for; among those that could come next, the recipe's first."""
    waiting = {name: len(befores) for name, befores in edges.items()}
    followers: dict[str, list[str]] = {name: [] for name in edges}
    for name, befores in edges.items():
        for before in befores:
            followers[before].append(name)
    names = list(edges)
    ready = [places[name] for name, count in waiting.items() if not count]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for follower in followers[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, places[follower])
    return tuple(order)


def _cycles(edges: Mapping[str, Mapping[str, Place]], stuck: set[str], recipe: Recipe) -> Iterable[Problem]:
    """Each cycle once: following first edges among the nodes that cannot be ordered ends in one."""
    inner = {n: [b for b in edges[n] if b in stuck] for n in recipe.nodes if n in stuck}
    done: set[str] = set()
    for start in inner:
        path: dict[str, None] = {}
        name = start
        while name not in path and name not in done:
            path[name] = None
            name = inner[name][0]
        if name in path:
            names = list(path)
            yield _cycle_problem(names[names.index(name) :], edges, recipe)
        done.update(path)


def _cycle_problem(cycle: list[str], edges: Mapping[str, Mapping[str, Place]], recipe: Recipe) -> Problem:
    """``a -> b -> a``, beginning with the node that the recipe declares first, each edge with its line."""
    first = min(range(len(cycle)), key=lambda i: list(recipe.nodes).index(cycle[i]))
    turned = cycle[first:] + cycle[:first]
    if len(turned) == 1:
        name = turned[0]
        place = edges[name][name]
        hint = "a node reads what others make; its own last version is not an input"
        return Problem(f"node '{name}' reads itself", place, hint, "cycle")
    steps = zip(turned, [*turned[1:], turned[0]], strict=True)
    shown = [f"{a} waits for {b} at {edges[a][b]}" for a, b in steps]
    if len(shown) > 12:
        shown = [*shown[:6], f"… {len(shown) - 12} more …", *shown[-6:]]
    chain = " -> ".join([*(turned if len(turned) <= 20 else [*turned[:10], "…", *turned[-9:]]), turned[0]])
    return Problem(
        f"nodes wait for each other in a circle: {chain}",
        edges[turned[0]][turned[1]],
        "; ".join(shown) + "; take one of these away",
        "cycle",
    )
