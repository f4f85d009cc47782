"""What the policy has to say of a pull request: as it is judged, kept in its document, and shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass

Severity = Literal["failure", "action", "notice"]
Conclusion = Literal["success", "failure", "action_required"]
_RANK = {"failure": 0, "action": 1, "notice": 2}


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """One thing that the policy says of a pull request.

    ``failure``: nobody can allow it. ``action``: it waits for one of ``who_may_allow`` to approve this head,
    and ``allowed_by`` says who did. ``notice``: to be known. ``path`` is relative to the repository; ``line``
    0 means the file as a whole, or one that is no longer there.
    """

    code: str
    severity: Severity
    message: str
    path: str = ""
    line: int = 0
    who_may_allow: tuple[str, ...] = ()
    allowed_by: str = ""

    @property
    def blocks(self) -> bool:
        return self.severity == "failure" or (self.severity == "action" and not self.allowed_by)

    @property
    def place(self) -> Place | None:
        return Place(self.path, self.line) if self.path else None


def conclusion(findings: Iterable[PolicyFinding]) -> Conclusion:
    """What they come to: a failure is one whatever else there is, and what is not allowed yet waits."""
    blocking = {f.severity for f in findings if f.blocks}
    if "failure" in blocking:
        return "failure"
    return "action_required" if blocking else "success"


def in_order(findings: Iterable[PolicyFinding]) -> tuple[PolicyFinding, ...]:
    """Each once, what blocks first, then by file and line."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda f: (not f.blocks, _RANK[f.severity], f.path, f.line, f.message)))
