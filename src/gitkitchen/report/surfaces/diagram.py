"""The affected part of the recipes as a Mermaid flowchart, coloured by state; None where it is too large.

Labels are escaped to character codes, ids are our own: no name can become a line of Mermaid.
"""

from __future__ import annotations

from collections.abc import Mapping

from gitkitchen.model import NodeResult, State
from gitkitchen.report.plan import mermaid_label
from gitkitchen.report.surfaces.pull import Change, Pull
from gitkitchen.report.text import SYMBOLS, WORDS

MOST_NODES = 24
"""More do not read on a phone."""
NAME_LENGTH = 40

_TONES = {
    "good": "fill:#d1e7dd,stroke:#0f5132,color:#0f5132",
    "bad": "fill:#f8d7da,stroke:#842029,color:#842029",
    "wait": "fill:#fff3cd,stroke:#664d03,color:#664d03",
    "same": "fill:#e9ecef,stroke:#495057,color:#212529",
    "gone": "fill:#ffffff,stroke:#adb5bd,color:#6c757d,stroke-dasharray:4",
}
_TONE_OF = {
    State.PASSED: "good",
    State.REUSED: "same",
    State.FAILED: "bad",
    State.ERROR: "bad",
    State.TIMED_OUT: "bad",
    State.CANCELLED: "wait",
    State.BLOCKED: "wait",
    State.SKIPPED: "gone",
}

Key = tuple[str, str]
"""Recipe and node."""


def affected(pull: Pull) -> dict[Key, NodeResult | None]:
    """Nodes that changed, ran, or should have run, in the order of their outcomes; what is gone last."""
    changed = {(c.recipe, c.node): c for c in pull.changes if c.node}
    found: dict[Key, NodeResult | None] = {}
    for outcome in pull.recipes:
        for node in outcome.nodes:
            key = (outcome.recipe, node.node)
            if key in changed or node.state not in (State.REUSED, State.SKIPPED):
                found[key] = node
    found |= {key: None for key in changed if key not in found}
    return found


def diagram(pull: Pull) -> str | None:
    """The flowchart without a fence; None where nothing is affected or it would not read."""
    nodes = affected(pull)
    if not nodes or len(nodes) > MOST_NODES:
        return None
    around = _around(pull, nodes)
    if len(nodes) + len(around) <= MOST_NODES:
        nodes = around | nodes
    changes = {(c.recipe, c.node): c for c in pull.changes}
    ids = {key: f"n{index}" for index, key in enumerate(nodes)}
    several = len({recipe for recipe, _ in nodes}) > 1
    lines = ["flowchart TD"]
    used: set[str] = set()
    for key, node in nodes.items():
        tone = _TONE_OF[node.state] if node else "gone"
        used.add(tone)
        lines.append(f'  {ids[key]}["{_words(key, node, changes.get(key), several)}"]:::{tone}')
    lines += [f"  {ids[a]} --> {ids[b]}" for b in nodes for a in _needs(pull, b) if a in ids]
    lines += [f"  classDef {tone} {style}" for tone, style in _TONES.items() if tone in used]
    return "\n".join(lines)


def _words(key: Key, node: NodeResult | None, change: Change | None, several: bool) -> str:
    recipe, name = key
    state = f"{SYMBOLS[node.state]} {WORDS[node.state]}" if node else "removed" if change else ""
    said = f"{change.kind}, {state}" if change and node else state
    shown = f"{recipe} / {name}" if several else name
    cut = shown if len(shown) <= NAME_LENGTH else shown[: NAME_LENGTH - 1] + "…"
    return f"{mermaid_label(cut)}<br/>{mermaid_label(said)}"


def _around(pull: Pull, nodes: Mapping[Key, NodeResult | None]) -> dict[Key, NodeResult | None]:
    """What the affected nodes read directly, for a reader's bearings."""
    states = {(o.recipe, n.node): n for o in pull.recipes for n in o.nodes}
    return {a: states[a] for b in nodes for a in _needs(pull, b) if a not in nodes and a in states}


def _needs(pull: Pull, key: Key) -> list[Key]:
    recipe, node = key
    for graph in pull.graphs:
        if graph.recipe == recipe:
            return list(dict.fromkeys((recipe, n) for n in graph.needs.get(node, ()) if n != node))
    return []
