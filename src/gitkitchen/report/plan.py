"""A plan as text for people, as the document of ``plan --json``, and as a Mermaid diagram."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gitkitchen.model import Action, Plan, Step
from gitkitchen.report.text import safe

SHOWN_REUSED = 40
"""A plan with more steps than this tells how many are reused instead of listing them."""

_MARKS = {Action.RUN: "+", Action.MAYBE: "~", Action.REUSE: "=", Action.SKIP: "-"}


def text(plan: Plan) -> str:
    """The plan for a terminal: one line a step in the order of the run, then the counts.

    Reused steps of a long plan are only counted.
    """
    kitchen = safe(plan.kitchen.label)
    variation = f" ({safe(plan.recipe.variation)})" if plan.recipe.variation else ""
    lines = [f"Plan of recipe {safe(plan.recipe.name)}{variation} in kitchen {kitchen}", ""]
    brief = len(plan.steps) > SHOWN_REUSED
    shown = [s for s in plan.steps if not (brief and s.action is Action.REUSE)]
    names = max((len(s.node.name) for s in shown), default=0)
    kinds = max((len(s.node.kind) for s in shown), default=0)
    for step in shown:
        why = safe("; ".join(step.reasons))
        mark = _MARKS[step.action]
        line = f"  {mark} {step.action:<5}  {step.node.name:<{names}}  {step.node.kind:<{kinds}}  {why}"
        lines.append(line.rstrip())
    if brief and len(shown) < len(plan.steps):
        lines.append(f"  = reuse  {len(plan.steps) - len(shown)} other nodes")
    lines += ["", _summary(plan)]
    return "\n".join(lines)


def _summary(plan: Plan) -> str:
    counts = Counter(s.action for s in plan.steps)
    if not plan.steps:
        return "Nothing is selected."
    said = [f"{counts[a]} to {a}" for a in (Action.RUN, Action.MAYBE, Action.REUSE, Action.SKIP) if counts[a]]
    line = ", ".join(said).replace("to maybe", "to run if their inputs really change") + "."
    if not counts[Action.RUN] and not counts[Action.MAYBE]:
        line = f"Nothing to build: {line}"
    if not plan.complete:
        left = len(plan.recipe.nodes) - len(plan.steps)
        line += f" {left} not selected."
    return line


def document(plan: Plan) -> dict[str, Any]:
    """The plan as the documented JSON of ``plan --json``."""
    kitchen = plan.kitchen
    return {
        "version": 1,
        "recipe": plan.recipe.name,
        "variation": plan.recipe.variation,
        "kitchen": kitchen.label,
        "namespace": kitchen.namespace,
        "environment": kitchen.environment,
        "subject": {
            "commit": plan.subject.commit,
            "tree": plan.subject.tree,
            "dirty": plan.subject.dirty,
        },
        "interval": [t.isoformat() for t in plan.interval] if plan.interval else None,
        "complete": plan.complete,
        "steps": [_step(s) for s in plan.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "node": step.node.name,
        "kind": step.node.kind,
        "action": step.action.value,
        "reasons": list(step.reasons),
        "reads": dict(step.reads),
        "after": list(step.after),
        "datasets": list(step.node.datasets),
        "fingerprint": step.fingerprint,
        "pinned": step.pinned,
        "tests": [t.id for t in step.node.tests],
    }


# --- Mermaid ------------------------------------------------------------------------------------

_STYLES = {
    Action.RUN: "fill:#d1e7dd,stroke:#0f5132,color:#0f5132",
    Action.MAYBE: "fill:#fff3cd,stroke:#664d03,color:#664d03",
    Action.REUSE: "fill:#e9ecef,stroke:#495057,color:#212529",
    Action.SKIP: "fill:#ffffff,stroke:#adb5bd,color:#6c757d,stroke-dasharray:4",
}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,/-")


def mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart. Every name is an escaped label; ids are our own."""
    ids = {step.node.name: f"n{index}" for index, step in enumerate(plan.steps)}
    lines = ["flowchart LR"]
    for step in plan.steps:
        said = ": ".join((step.action.value, *step.reasons[:1]))
        label = f"{mermaid_label(step.node.name)}<br/>{mermaid_label(said)}"
        lines.append(f'  {ids[step.node.name]}["{label}"]:::{step.action.value}')
    outside: dict[str, str] = {}
    for step in plan.steps:
        mine = ids[step.node.name]
        makers = {m for m in step.reads.values() if m in ids}
        for dataset in (d for d, m in step.reads.items() if m is None):
            if dataset not in outside:
                outside[dataset] = f"c{len(outside)}"
                lines.append(f'  {outside[dataset]}[("{mermaid_label(dataset)}")]')
            lines.append(f"  {outside[dataset]} --> {mine}")
        lines += [f"  {ids[m]} --> {mine}" for m in sorted(makers, key=lambda m: int(ids[m][1:]))]
        lines += [f"  {ids[a]} -.-> {mine}" for a in step.after if a in ids and a not in makers]
    lines += [f"  classDef {action.value} {style}" for action, style in _STYLES.items()]
    return "\n".join(lines)


def mermaid_label(text: str) -> str:
    """Text within a quoted label: whatever Mermaid or HTML could act on becomes a character code."""
    flat = " ".join(safe(text).split())
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in flat[:120])
