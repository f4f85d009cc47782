"""The table as the page `docs/protocol.md` shows it: diagrams of routes, and the list of steps."""

from __future__ import annotations

from gitkitchen.promote.protocol import DONE, STEPS, End, Route


def mermaid(path: Route) -> str:
    """The route as a state diagram: what is done leads down, every other answer is written at its arrow."""
    lines = ["stateDiagram-v2", f"  [*] --> {_id(path.steps[0].name)}"]
    for step in (*path.steps, *path.aside):
        lines.append(f"  {_id(step.name)}: {step.name}")
        answers: dict[str | End, list[str]] = {}
        for answer in (DONE, *step.answers):
            answers.setdefault(path.after(step.name, answer), []).append(answer)
        for to, names in answers.items():
            said = [name for name in names if name != DONE]
            target = _id(f"end {to.value}") if isinstance(to, End) else _id(to)
            lines.append(f"  {_id(step.name)} --> {target}" + (f": {', '.join(said)}" if said else ""))
    reached = {path.after(s.name, a) for s in (*path.steps, *path.aside) for a in (DONE, *s.answers)}
    for end in End:
        if end in reached:
            lines += [f"  {_id(f'end {end.value}')}: {end.value}", f"  {_id(f'end {end.value}')} --> [*]"]
    return "\n".join(lines)


def steps() -> str:
    """Every step with what it compares in the same act, and what a crash behind it leaves."""
    lines = ["| Step | Does | Compares | A crash behind it leaves |", "|---|---|---|---|"]
    for step in STEPS.values():
        compares = ", ".join(step.compares) or "nothing"
        lines.append(f"| `{step.name}` | {step.does.value} | {compares} | {step.left} |")
    return "\n".join(lines)


def _id(name: str) -> str:
    return name.replace("-", "_").replace(" ", "_")
