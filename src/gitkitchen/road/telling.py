"""An audit as text, as a document, and as CSV that a spreadsheet does not act on. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gitkitchen.promote.moves import body_of
from gitkitchen.promote.shapes import Hold, Incident, Landing, Method, Move, Release
from gitkitchen.report.text import safe, table
from gitkitchen.road.acknowledging import Acknowledged, ident
from gitkitchen.road.audit import Audited, Row
from gitkitchen.road.rebuilding import LOST, Rebuilt
from gitkitchen.road.verifying import Verified

HEAD = ("when (UTC)", "what", "from", "commit", "who", "evidence", "why")
COLUMNS = (
    "environment",
    "sequence",
    "record",
    "at",
    "move",
    "intent",
    "method",
    "commit",
    "tree",
    "before",
    "source",
    "source_environment",
    "asked",
    "approved",
    "others",
    "evidence",
    "waivers",
    "gates",
    "data",
    "published",
    "policy",
    "ledger",
    "fence",
    "told",
    "id",
    "reason",
)
_FORMULA = re.compile(r"[\s\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r|%]")
"""What spreadsheets take for the beginning of a formula, also in full width and behind spaces."""


def as_text(audited: Sequence[Audited], known: Sequence[Acknowledged] = ()) -> str:
    """For each environment where it stands, and a line a move, the oldest first; then what was acknowledged
    of the ledger and of Git."""
    parts = ["\n".join(_environment(one)) for one in audited] or ["there are no environments"]
    return "\n\n".join([*parts, *(["\n".join(_known(known))] if known else [])])


def _environment(one: Audited) -> Iterator[str]:
    course = one.course
    yield safe(f"{one.environment.name} (branch {one.environment.branch}): {_standing(one)}")
    for hold in course.holds:
        yield safe(f"  held by {hold.by} since {hold.at:%Y-%m-%d %H:%M}: {hold.reason} ({hold.id})")
    for incident in course.incidents:
        yield safe(
            f"  open: {incident.kind} since {incident.at:%Y-%m-%d %H:%M}: {incident.said} ({incident.id})"
        )
    if one.rows:
        rows = [[safe(cell) for cell in _cells(row)] for row in one.rows]
        yield from (f"  {line}" for line in table(rows, head=HEAD, widest=48))


def _standing(one: Audited) -> str:
    course = one.course
    if course.last is None:
        return "nothing was promoted to it yet" + ("; it is broken" if course.broken else "")
    where = f"stands on {course.tip[:12]}, tree {course.tree[:12]}"
    if course.broken:
        return f"{where}; BROKEN: {'; '.join(course.broken)}"
    return f"{where}; healthy"


def _cells(row: Row) -> tuple[str, ...]:
    move = row.move
    when = f"{move.at:%Y-%m-%d %H:%M}"
    if isinstance(move, Landing):
        what = move.intent.value if move.method is not Method.HAND else "by hand"
        mark = "" if row.recorded else " (no record)"
        mark = f" ({move.told})" if row.recorded and move.told else mark
        source = move.source_environment or move.source[:12] or "-"
        tests = sum(e.tests for e in move.evidence)
        evidence = f"{_count(len(move.evidence), 'run')}, {_count(tests, 'test')}" if move.evidence else "-"
        return when, what + mark, source, move.commit[:12], _people(move), evidence, move.reason or "-"
    if isinstance(move, Hold):
        return when, "hold", "-", "-", move.by, "-", move.reason
    if isinstance(move, Release):
        return when, "release", "-", "-", move.by, "-", move.reason or move.hold
    what = f"{move.kind} over" if move.closed else move.kind
    return when, what, "-", move.commit[:12] or "-", "-", "-", move.said


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _people(landing: Landing) -> str:
    asked = [a.name for a in landing.actors if a.role in ("asked", "dispatched", "merged", "committer")]
    approved = [a.name for a in landing.actors if a.role == "approved"]
    said = ", ".join(dict.fromkeys(asked)) or "-"
    return f"{said}; approved: {', '.join(dict.fromkeys(approved))}" if approved else said


def as_document(audited: Sequence[Audited], known: Sequence[Acknowledged] = ()) -> dict[str, Any]:
    """``{"version": 1, "environments": [...], "acknowledged": [...]}``: how each stands, its moves as
    recorded, and the faults that somebody took for known."""
    environments = [_document(one) for one in audited]
    return {"version": 1, "environments": environments, "acknowledged": acknowledged_as_document(known)}


def _document(one: Audited) -> dict[str, Any]:
    course = one.course
    return {
        "environment": one.environment.name,
        "branch": one.environment.branch,
        "branch_tip": one.tip,
        "tip": course.tip,
        "tree": course.tree,
        "healthy": course.healthy,
        "broken": list(course.broken),
        "holds": [body_of(hold) for hold in course.holds],
        "incidents": [body_of(incident) for incident in course.incidents],
        "moves": [{"sequence": row.sequence, "record": row.record, **body_of(row.move)} for row in one.rows],
    }


# --- CSV ---------------------------------------------------------------------------------------------


def as_csv(audited: Sequence[Audited], known: Sequence[Acknowledged] = ()) -> str:
    """A line a move, and one for each acknowledged fault (RFC 4180, every cell quoted). A cell that a
    spreadsheet would take for a formula begins with an apostrophe; lists are joined by ``; ``."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in audited:
        for row in one.rows:
            found = _columns(row)
            writer.writerow([inert(str(found.get(name, ""))) for name in COLUMNS])
    for fault in known:
        said = {"at": fault.at.isoformat(), "move": "acknowledgement", "asked": fault.by, "id": fault.id}
        said["reason"] = f"{fault.reason}: {fault.message}"
        writer.writerow([inert(said.get(name, "")) for name in COLUMNS])
    return out.getvalue()


def inert(cell: str) -> str:
    """A cell that is shown and not computed, on one line."""
    shown = safe(cell.replace("\r\n", " ").replace("\n", " "))
    return f"'{shown}" if _FORMULA.match(cell) or _FORMULA.match(shown) else shown


def _columns(row: Row) -> dict[str, object]:
    move: Move = row.move
    body = body_of(move)
    found: dict[str, object] = {
        "environment": row.environment,
        "sequence": row.sequence or "",
        "record": row.record,
        "at": body["at"],
        "move": body["move"],
    }
    if isinstance(move, Landing):
        plain = ("intent", "method", "commit", "tree", "before", "source", "source_environment", "data")
        found |= {name: body[name] for name in (*plain, "policy", "ledger", "fence", "told", "reason")}
        by = {role: [a.name for a in move.actors if a.role == role] for role in ("asked", "approved")}
        others = [f"{a.role} {a.name}" for a in move.actors if a.role not in by]
        found |= {role: _joined(names) for role, names in by.items()}
        found["others"] = _joined(others)
        found["evidence"] = _joined(f"{e.run} {e.record}" for e in move.evidence)
        found["waivers"] = _joined(move.waivers)
        found["gates"] = _joined(f"{g.gate}={g.standing.value}" for g in move.gates)
        found["published"] = _joined(move.published)
    elif isinstance(move, Incident):
        kind = f"{move.kind} over" if move.closed else move.kind
        found |= {"intent": kind, "commit": move.commit, "id": move.id, "reason": move.said}
    else:
        name = move.id if isinstance(move, Hold) else move.hold
        found |= {"asked": move.by, "id": name, "reason": move.reason}
    return found


def _joined(values: Iterable[str]) -> str:
    return "; ".join(values)


# --- what verify and rebuild found -------------------------------------------------------------------


def verified_as_text(found: Verified) -> str:
    """What was looked at, and every problem with what to do."""
    looked = f"{found.streams} streams, {found.moves} moves, {found.landings} landings, "
    looked += f"{found.evidence} pieces of evidence"
    if not found.problems and not found.known:
        return f"whole: {looked}"
    wrong = len(found.problems)
    lines = [f"{wrong} thing{' is' if wrong == 1 else 's are'} wrong ({looked}):"]
    if not wrong:
        lines = [f"nothing is wrong but what was acknowledged ({looked})"]
    lines += [safe(f"  {ident(problem)} {problem}") for problem in found.problems]
    return "\n".join([*lines, *_known(found.known)])


def _known(known: Sequence[Acknowledged]) -> Iterator[str]:
    if known:
        yield f"acknowledged: {_count(len(known), 'thing')}:"
    for one in known:
        yield safe(f"  {one.id} {one.message} (by {one.by}, {one.at:%Y-%m-%d %H:%M}: {one.reason})")


def acknowledged_as_document(known: Sequence[Acknowledged]) -> list[dict[str, Any]]:
    """Each fault with who took it for known."""
    return [
        {
            "id": one.id,
            "code": one.code,
            "message": one.message,
            "by": one.by,
            "at": one.at.isoformat(),
            "reason": one.reason,
        }
        for one in known
    ]


def verified_as_document(found: Verified) -> dict[str, Any]:
    problems = [
        {"id": ident(p), "code": p.code, "message": p.message, "hint": p.hint} for p in found.problems
    ]
    looked = {"streams": found.streams, "moves": found.moves, "landings": found.landings}
    whole = not problems and not found.known
    more = {"problems": problems, "acknowledged": acknowledged_as_document(found.known)}
    return {"version": 1, "whole": whole, **looked, "evidence": found.evidence, **more}


def rebuilt_as_text(found: Sequence[Rebuilt], *, applied: bool) -> str:
    """What can be rebuilt (or was), and what nobody knows any more."""
    lines = []
    for one in found:
        if one.whole:
            lines.append(f"{one.environment}: its moves are in the ledger; nothing is rebuilt")
            continue
        verb = "rebuilt" if applied else "can be rebuilt"
        moved = (
            f"{len(one.landings)} landings from commits, {len(one.datasets)} datasets from consumers' views"
        )
        lines.append(f"{one.environment}: {verb}: {moved}")
        lines += [safe(f"  not known: {text}") for text in one.unknown]
    if any(not one.whole for one in found):
        lines.append("lost with the ledger, whatever is rebuilt:")
        lines += [f"  {text}" for text in LOST]
        if not applied:
            lines.append("nothing was written; --apply writes it")
    return "\n".join(lines)


def rebuilt_as_document(found: Sequence[Rebuilt], *, applied: bool) -> dict[str, Any]:
    environments = [
        {
            "environment": one.environment,
            "whole": one.whole,
            "landings": [body_of(landing) for landing in one.landings],
            "datasets": {name: entry.fingerprint for name, entry in sorted(one.datasets.items())},
            "unknown": one.unknown,
        }
        for one in found
    ]
    return {"version": 1, "applied": applied, "environments": environments, "lost": list(LOST)}
