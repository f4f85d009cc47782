"""A promotion as text and as a document: where it stands, each gate, what landed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitkitchen.errors import FAILED, INFRASTRUCTURE, PASSED, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.printed import text_safe
from gitkitchen.promote.gates.case import OWN_RUN
from gitkitchen.promote.protocol import End
from gitkitchen.promote.shapes import GateResult, Landing, Standing
from gitkitchen.report.gates import lines as gate_lines
from gitkitchen.report.gates import plain

WORDS = {
    End.LANDED: "landed",
    End.CLEAN: "nothing to do",
    End.UNPROVED: "refused: a gate failed; nothing was changed",
    End.WAITING: "waiting: nothing was changed",
    End.LOST: "lost to another: nothing was changed",
    End.BROKEN: "broken: nothing was published",
    End.UNFINISHED: "not known yet: run the same command again",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """All that is told of a promotion. ``base`` is "" where the branch did not exist."""

    end: End
    environment: str
    source: str = ""
    head: str = ""
    tree: str = ""
    base: str = ""
    landing: Landing | None = None
    gates: tuple[GateResult, ...] = ()
    problems: tuple[Problem, ...] = ()
    said: tuple[str, ...] = ()
    new: bool = False
    dry: bool = False


def code_of(end: End, gates: Sequence[GateResult] = ()) -> int:
    """The exit code of an end: 0 landed, 1 it may not land, 3 it could not be found out or done: also where
    nothing but gates that could not be read stands against it."""
    if end in (End.LANDED, End.CLEAN):
        return PASSED
    if end is End.WAITING and _only_unread(gates):
        return INFRASTRUCTURE
    return FAILED if end in (End.UNPROVED, End.WAITING, End.BROKEN) else INFRASTRUCTURE


def _only_unread(gates: Sequence[GateResult]) -> bool:
    """Whether all that is open could not be read, or waits for nothing but a run that could not be made."""
    left = {g.standing for g in gates if g.standing is not Standing.PASSED and g.change != OWN_RUN}
    return left == {Standing.UNKNOWN}


def text(shown: Shown) -> str:
    """For people, one fact a line."""
    lines = []
    if shown.head:
        head = shown.head[:12]
        origin = head if shown.source in ("", head) else f"{shown.source} {head}"
        lines.append(f"{origin} -> {shown.environment}, on {shown.base[:12] or 'a new branch'}")
    for gate in shown.gates:
        lines += [f"  {line}" for line in gate_lines(gate)]
    if shown.end is not End.BROKEN:  # said already, as an incident
        lines += [f"note: {text_safe(said)}" for said in shown.said]
    lines += [str(problem) for problem in shown.problems]
    lines.append(f"{shown.environment}: {_end(shown)}")
    return "\n".join(lines)


def _end(shown: Shown) -> str:
    landing = shown.landing
    if shown.dry and shown.end is not End.LANDED:
        passed = bool(shown.gates) and all(g.standing is Standing.PASSED for g in shown.gates)
        if passed:
            return "it could land now"
        open_ = [g for g in shown.gates if g.standing is not Standing.PASSED]
        if open_ and all(g.standing is Standing.PENDING and g.change == OWN_RUN for g in open_):
            return "not known yet: nothing stands against it but that its own run is still to come"
        return "it would not land now"
    if shown.end is End.BROKEN:
        ways = (
            "put its branch back where it landed, roll it back, or promote with --over INCIDENT and --reason"
        )
        return f"{WORDS[shown.end]}; {ways}"
    if landing is None or shown.end is not End.LANDED:
        return WORDS[shown.end]
    if not shown.new:
        return f"stands on {landing.commit[:12]} already (landed {landing.at:%Y-%m-%d %H:%M} UTC)"
    count = len(landing.published)
    data = (
        "no dataset changed" if not count else f"{count} dataset{'s' if count > 1 else ''} published with it"
    )
    return f"landed as {landing.commit[:12]}, tree {landing.tree[:12]}; {data}"


def document(shown: Shown) -> dict[str, Any]:
    """For machines: ``version`` 1."""
    landing = shown.landing
    return {
        "version": 1,
        "environment": shown.environment,
        "end": shown.end.value,
        "new": shown.new,
        "dry_run": shown.dry,
        "source": shown.source,
        "head": shown.head,
        "tree": shown.tree,
        "base": shown.base,
        "commit": landing.commit if landing is not None else "",
        "published": list(landing.published) if landing is not None else [],
        "gates": plain(shown.gates),
        "problems": [{"message": p.message, "hint": p.hint, "code": p.code} for p in shown.problems],
        "said": list(shown.said),
    }
