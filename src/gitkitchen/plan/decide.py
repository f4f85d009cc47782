"""One node after the other: run, reuse, maybe or skip, and the reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any, NamedTuple

from gitkitchen.data.stores import Store
from gitkitchen.errors import Mistake, Problem
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.model import (
    Action,
    Build,
    Catalog,
    Definition,
    Kitchen,
    NodeSpec,
    Project,
    Recipe,
    Step,
    Template,
    Version,
)
from gitkitchen.plan import reasons
from gitkitchen.plan.facts import NodeFacts, source_digest_part
from gitkitchen.plan.fingerprint import INFORMAL, define, fingerprint, whole
from gitkitchen.plan.graph import Graph
from gitkitchen.plan.memory import Memory


class Choice(NamedTuple):
    """What is decided of one step."""

    action: Action
    reasons: tuple[str, ...]
    definitions: tuple[Definition, ...] = ()
    build: Build | None = None
    fingerprint: str | None = None
    pinned: bool = False
    forced: bool = False


@dataclass
class Planner:
    """Decides one node after the other, in topological order; knows what the decided ones give."""

    project: Project
    kitchen: Kitchen
    recipe: Recipe
    catalog: Catalog
    store: Store
    facts: Mapping[str, NodeFacts]
    graph: Graph
    chosen: set[str]
    memory: Memory
    fresh: bool
    force: bool
    interval: tuple[datetime, datetime] | None
    period: tuple[datetime, datetime] | None
    nonce: str
    probe: Callable[[Project, NodeSpec], str | None]
    versions: Callable[[str], Version | None] | None = None
    probes: dict[str, dict[str, str]] = field(default_factory=dict)
    contents: dict[str, str | None] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.makers = self.recipe.datasets

    def step(self, spec: NodeSpec) -> Step:
        """The step of one node; what it gives is known to the nodes after it."""
        facts = self.facts[spec.name]
        node = replace(spec, tests=facts.tests) if facts.tests != spec.tests else spec
        reads = {d: m if m in self.chosen else None for d, m in self.graph.reads[node.name].items()}
        why = self._why_skipped(node, reads)
        if why:
            self.skipped.add(node.name)
            choice = Choice(Action.SKIP, (why,))
        else:
            choice = self._decided(node, reads)
            for dataset in node.datasets:
                version = choice.build.versions.get(dataset) if choice.build else None
                self.contents[dataset] = version.content if version else None
        # A skipped node that this one waits for is only read by its tests: no reason to wait.
        after = tuple(n for n in self.graph.after[node.name] if n in self.chosen and n not in self.skipped)
        return Step(
            node,
            choice.action,
            (*choice.reasons, *facts.notes, *self._absent(choice.action, reads)),
            reads,
            after,
            choice.definitions,
            choice.build,
            choice.fingerprint,
            choice.pinned,
            choice.forced,
        )

    def _absent(self, action: Action, reads: Mapping[str, str | None]) -> Iterator[str]:
        """What a step must read and the store has lost."""
        if action is not Action.RUN or self.versions is None:
            return
        for dataset, maker in reads.items():
            if maker is None and self.versions(dataset) is None:
                recipe = self.catalog.entries[dataset].recipe
                yield f"{dataset} is published and not in the store: run recipe {recipe} again"

    # --- skip -----------------------------------------------------------------------------------

    def _why_skipped(self, node: NodeSpec, reads: Mapping[str, str | None]) -> str:
        if node.environments and self.kitchen.environment not in node.environments:
            return f"only in {', '.join(node.environments)}"
        if node.on == "publish" and self.kitchen.is_sandbox:
            return "only after a publication of an environment"
        if node.condition is not None and self._is_false(node.condition):
            return f"its condition is false: {node.condition}"
        for name in dict.fromkeys([*(m for m in reads.values() if m), *self._needed(node)]):
            if name in self.skipped:
                return f"needs {name}, which is skipped"
        return ""

    def _needed(self, node: NodeSpec) -> Iterator[str]:
        yield from (self.makers.get(name, name) for name in node.needs)

    def _is_false(self, condition: str) -> bool:
        """Whether a condition that reads variables alone is false; all others are left to the run."""
        from gitkitchen.recipe.render import condition as holds
        from gitkitchen.recipe.render import functions, roots

        status = {"success", "failure", "always", "cancelled"}
        try:
            if roots(condition, bare=True) - {"vars"} or functions(condition, bare=True) & status:
                return False
            return not holds(condition, {"vars": self.recipe.vars})
        except (ValueError, Mistake):
            return False  # the run says what is wrong with it, with its place

    # --- run, reuse, maybe ----------------------------------------------------------------------

    def _decided(self, node: NodeSpec, reads: Mapping[str, str | None]) -> Choice:
        parts = self.facts[node.name].parts
        if node.kind == "source":
            pin = None if self.fresh else self._pinned(node, parts)
            if pin is not None:
                why = f"pinned to {self.kitchen.base}"
                meaning = (Definition(pin.definition, pin.parts),)
                return Choice(Action.REUSE, (why,), meaning, pin, pin.fingerprint, pinned=True)
            parts = {**parts, **self._probed(node)}
        definitions = self._definitions(node, parts)
        inputs = {name: self._content(name, maker) for name, maker in reads.items()}
        known = {name: content for name, content in inputs.items() if content is not None}
        if len(known) == len(inputs):
            return self._with_inputs(node, definitions, known)
        return self._without_inputs(node, definitions, inputs)

    def _with_inputs(
        self, node: NodeSpec, definitions: tuple[Definition, ...], inputs: Mapping[str, str]
    ) -> Choice:
        """All inputs are known, so the fingerprint is: reuse what the store holds, else run."""
        definition = whole(definitions)
        key = fingerprint(definition, inputs)
        found = self.store.find(key)
        if found is not None and not (self.force or node.on == "publish"):
            published = [self.catalog.entries.get(d) for d in node.datasets]
            same = all(e is not None and e.fingerprint == key for e in published)
            reason = reasons.UNCHANGED if same else reasons.ALREADY_BUILT
            self.memory.remember(node.name, key)
            return Choice(Action.REUSE, (reason,), definitions, found, key)
        why = self._why_run(node, definition, inputs, key)
        return Choice(Action.RUN, why, definitions, None, key, forced=self.force)

    def _without_inputs(
        self, node: NodeSpec, definitions: tuple[Definition, ...], inputs: Mapping[str, str | None]
    ) -> Choice:
        """Some input is built in this run: its content, and so the fingerprint, is not known yet."""
        definition = whole(definitions)
        open_inputs = [name for name, content in inputs.items() if content is None]
        known = self._known_build(node)
        unseen = known is None and self._leaves_no_trace(node, open_inputs)
        certain = not unseen and (known is None or self._changed(node, known, definition, inputs))
        if certain or self.force or node.on == "publish" or self._each_time(node):
            why = self._why_run(node, definition, inputs, None)
            return Choice(Action.RUN, why, definitions, forced=self.force)
        why = tuple(f"if {name} changes" for name in open_inputs)
        if unseen:
            why = (f"unless it has a result for equal {', '.join(open_inputs)}",)
        return Choice(Action.MAYBE, why, definitions)

    def _leaves_no_trace(self, node: NodeSpec, open_inputs: list[str]) -> bool:
        """Whether only the store knows if it ran on what is published: nothing of it is in the catalog."""
        return not node.datasets and any(name in self.catalog.entries for name in open_inputs)

    def _why_run(
        self, node: NodeSpec, definition: Definition, inputs: Mapping[str, str | None], key: str | None
    ) -> tuple[str, ...]:
        why: list[str] = []
        if node.on == "publish":
            why.append("after the publication")
        elif self.force:
            why.append("forced")
        known = self._known_build(node)
        each_time = self._each_time(node)
        if each_time:
            why.append(each_time)
        if known is not None:
            why += self._changed(node, known, definition, inputs)
        elif not why:
            why.append(self._unknown(node, key))
        return tuple(why) or (reasons.NOT_IN_STORE,)

    def _unknown(self, node: NodeSpec, key: str | None) -> str:
        """Why there is nothing to compare with."""
        entries = [self.catalog.entries[d] for d in node.datasets if d in self.catalog.entries]
        if not entries:
            return reasons.NEVER_BUILT if node.datasets else "no result for this yet"
        if key is not None and any(e.fingerprint == key for e in entries):
            return reasons.NOT_IN_STORE
        return "what is published is not in the store, so it cannot be compared"

    def _changed(
        self, node: NodeSpec, known: Build, definition: Definition, inputs: Mapping[str, str | None]
    ) -> tuple[str, ...]:
        if self._each_time(node):  # its key differs each time and says nothing
            parts = {k: v for k, v in definition.parts.items() if k != "interval"}
            definition = replace(definition, parts=parts)
            known = replace(known, parts={k: v for k, v in known.parts.items() if k != "interval"})
        return reasons.changes(node, known, definition, inputs)

    def _known_build(self, node: NodeSpec) -> Build | None:
        """The build in the catalog, or the newest that a plan on this machine saw."""
        keys = [e.fingerprint for d in node.datasets if (e := self.catalog.entries.get(d)) is not None]
        keys.append(self.memory.recall(node.name))
        for key in keys:
            build = self.store.find(key) if key else None
            if build is not None:
                return build
        return None

    def _definitions(self, node: NodeSpec, parts: Mapping[str, str]) -> tuple[Definition, ...]:
        nonce = self.nonce if self._each_time(node) else ""
        interval = self.interval if self._is_volatile(node) and not nonce else None
        if self.period is not None and by_partitions(node):
            parts = {**parts, "partition": self._part(node, self.period)}
        return tuple(
            define(node, parts, combination=combination, interval=interval, nonce=nonce)
            for combination in (node.matrix or ({},))
        )

    def _part(self, node: NodeSpec, period: tuple[datetime, datetime]) -> str:
        """What a version is of which only some partitions are built: these, and what the others stay."""
        (dataset,) = node.datasets
        entry = self.catalog.entries.get(dataset)
        ends = [moment.isoformat() for moment in period]
        return digest([*ends, entry.fingerprint if entry is not None else ""])

    def _each_time(self, node: NodeSpec) -> str:
        """Why a node runs each time whatever the store holds; empty where it does not."""
        if self._is_volatile(node) and self.interval is None:
            return reasons.VOLATILE if node.volatile else reasons.FETCHED
        if node.kind == "results":
            return reasons.READ
        if any(_is_late(value) for value in (*node.params.values(), *node.env.values())):
            return "its values come from the run"
        return ""

    def _is_volatile(self, node: NodeSpec) -> bool:
        """What says so, and a source whose content cannot be told before it is fetched."""
        return node.volatile or (node.kind == "source" and "source" not in self._probed(node))

    def _content(self, dataset: str, maker: str | None) -> str | None:
        if maker is not None:
            return self.contents[dataset]
        return self.catalog.entries[dataset].content

    # --- sources --------------------------------------------------------------------------------

    def missing_sources(self) -> list[Problem]:
        """The problems of all sources that are not there, so that a person reads them at once."""
        problems: list[Problem] = []
        for name in sorted(self.chosen):
            node = self.recipe.nodes[name]
            if node.kind != "source" or self._why_skipped(node, {}):
                continue
            if self.fresh or self._pinned(node, self.facts[name].parts) is None:
                try:
                    self._probed(node)
                except Mistake as error:
                    problems += error.problems
        return problems

    def _probed(self, node: NodeSpec) -> dict[str, str]:
        """The digest of a source's content, found without loading it; looked for once."""
        found = self.probes.get(node.name)
        if found is None:
            found = self.probes[node.name] = source_digest_part(self.probe(self.project, node))
        return found

    def _pinned(self, node: NodeSpec, parts: Mapping[str, str]) -> Build | None:
        """What the base published, where a sandbox's source is still defined as it is there.

        A file of the repository is never pinned: its content is what a branch changes.
        """
        if not self.kitchen.is_sandbox or node.config.get("from") == "file" or not node.datasets:
            return None
        entries = [self.catalog.pinned.get(dataset) for dataset in node.datasets]
        first = entries[0]
        build = self.store.find(first.fingerprint) if first else None
        if build is None:
            return None
        for dataset, entry in zip(node.datasets, entries, strict=True):
            version = build.versions.get(dataset)
            if entry is None or version is None or version.content != entry.content:
                return None
        own = define(node, parts).parts
        return build if _meaning(own) == _meaning(build.parts) else None


def by_partitions(node: NodeSpec) -> bool:
    """Whether partitions of its dataset can be built one by one."""
    return node.kind == "sql" and node.materialize.mode == "partitions" and not node.matrix


def probe_source(project: Project, node: NodeSpec) -> str | None:
    """The digest of a source's content, without loading it; None where that takes a fetch."""
    from gitkitchen.data.sources import probe

    return probe(project, node)


def _meaning(parts: Mapping[str, str]) -> dict[str, str]:
    """A source's parts without its content at one time."""
    return {k: v for k, v in parts.items() if k not in ("source", "interval") and not k.startswith(INFORMAL)}


def _is_late(value: Any) -> bool:
    """Whether a value depends on what only a run knows: more than its matrix, secrets and variables,
    which are part of the definition."""
    if isinstance(value, Template):
        from gitkitchen.recipe.render import roots

        return bool(roots(value.text) - {"matrix", "secrets", "vars"})
    if isinstance(value, Mapping):
        return any(_is_late(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(_is_late(v) for v in value)
    return False
