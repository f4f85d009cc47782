"""Faults that somebody has looked into: each is named in the ledger with who, when and why, and stays shown.

A fault is known by its code and its sentence, which names a commit, a landing, a run: things that never
change. So whatever goes wrong later is another fault, and as loud as ever. A record that is damaged now
can be acknowledged by nobody: its bytes may change again under the same words; it is brought back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import digest
from gitkitchen.frozen import dataclass
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.promote.bodies import LINE, TEXT, cut

STREAM = "acknowledgements/audit"
CODES = (
    "ledger-changed",
    "ledger-chain",
    "ledger-rewritten",
    "evidence-missing",
    "commit-without-record",
    "commit-missing",
    "landing-not-on-branch",
    "other-tree",
    "other-base",
    "trailers-missing",
    "trailers-differ",
    "move-odd",
)
"""What can be acknowledged: faults whose words name what cannot change any more."""
MOST = 1_000
"""So many faults stand in a record; more make more records."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One fault, and who took it for known. ``id``: of the fault (``ident``)."""

    id: str
    code: str
    message: str
    by: str
    at: datetime
    reason: str


def ident(problem: Problem) -> str:
    """What a fault is named by: the same wherever and whenever it is found."""
    return f"f-{digest([problem.code, problem.message])[:12]}"


def acknowledged(ledger: Ledger) -> tuple[Acknowledged, ...]:
    """All that was ever acknowledged, in the order of the records. Infrastructure names a bad one."""
    return tuple(one for record in ledger.read(STREAM) for one in _read(record.body, record.sequence))


def _read(body: Mapping[str, Any], number: int) -> Iterator[Acknowledged]:
    try:
        at, by, reason = datetime.fromisoformat(body["at"]), str(body["by"]), str(body["reason"])
        for fault in body["faults"]:
            problem = Problem(str(fault["message"]), code=str(fault["code"]))
            yield Acknowledged(ident(problem), problem.code, problem.message, by, at, reason)
    except (KeyError, TypeError, ValueError):
        raise Infrastructure(
            Problem(
                f"record {number} of stream '{STREAM}' is no acknowledgement",
                hint="find out who wrote it",
                code="acknowledgement-damaged",
            )
        ) from None


def parted(
    problems: Iterable[Problem], known: Iterable[Acknowledged]
) -> tuple[list[Problem], list[Acknowledged]]:
    """What nobody has acknowledged, and what somebody has, of all that is found now."""
    by_id = {one.id: one for one in known if one.code in CODES}
    new, old = list[Problem](), list[Acknowledged]()
    for problem in problems:
        one = by_id.get(ident(problem))
        if one is None:
            new.append(problem)
        else:
            old.append(one)
    return new, old


def acknowledge(
    ledger: Ledger, problems: Sequence[Problem], names: Sequence[str], by: str, reason: str, at: datetime
) -> tuple[Acknowledged, ...]:
    """Record that faults are known. ``problems``: all that is found now and not acknowledged; ``names``: of
    them those with these ids or codes.

    Mistake where a name is none of what is found, names what must be mended, or without a reason.
    """
    if not reason.strip():
        text = "to acknowledge a fault needs a reason: whoever reads the audit asks why"
        raise Mistake(Problem(text, hint="--reason TEXT", code="no-reason"))
    chosen = dict[str, Problem]()
    for name in names:
        found = [p for p in problems if name in (ident(p), p.code)]
        if not found:
            hint = "`gitkitchen audit --verify` names what is found, each with its id"
            raise Mistake(Problem(f"nothing that is wrong is '{name[:80]}'", hint=hint, code="no-fault"))
        for problem in found:
            if problem.code not in CODES:
                raise Mistake(
                    Problem(
                        f"{problem.message[:300]}: that is mended, and not acknowledged",
                        hint=problem.hint or "bring the record back",
                        code="not-acknowledgeable",
                    )
                )
            chosen[ident(problem)] = problem
    said = {"by": cut(by, LINE), "at": at.astimezone(UTC).isoformat(), "reason": cut(reason.strip(), TEXT)}
    made = list[Acknowledged]()
    faults_of = [{"code": p.code, "message": p.message} for p in chosen.values()]
    for first in range(0, len(faults_of), MOST):
        faults = faults_of[first : first + MOST]
        body = {"kind": "acknowledgement", "version": 1, **said, "faults": faults}
        ledger.append(STREAM, body)
        made += _read(body, 0)
    return tuple(made)
