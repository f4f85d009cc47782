"""The pull-request document (``gitkitchen schema pull``) written, and read as what strangers wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gitkitchen.document import departures
from gitkitchen.errors import Mistake, Place, Problem
from gitkitchen.finding import PolicyFinding
from gitkitchen.model import Outcome
from gitkitchen.report import diff, diff_reading, facts, outcome, redaction
from gitkitchen.report.surfaces.pull import (
    Change,
    Graph,
    NotTested,
    Pull,
    Run,
    Timing,
    Waiver,
)
from gitkitchen.report.text import encodable_values

VERSION = 1
MAX_BYTES = 32_000_000
"""A document of more bytes is refused unread."""
MAX_DEPTH = 40
LABEL = "pull.json"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


# --- written -------------------------------------------------------------------------------------


def to_document(pull: Pull) -> dict[str, Any]:
    """The document as plain JSON values. Values of rows that are not public do not enter it."""
    value: dict[str, Any] = encodable_values(_plain(pull))
    return value


def _plain(pull: Pull) -> dict[str, Any]:
    return {
        "version": VERSION,
        "project": {"name": pull.project, "id": pull.project_id},
        "event": pull.event,
        "number": pull.number,
        "head": pull.head,
        "base": pull.base,
        "tree": pull.tree,
        "run": {"id": pull.run.id, "attempt": pull.run.attempt},
        "recipes": [outcome.to_document(redaction.public(o), clean=False) for o in pull.recipes],
        "differences": [diff.document(c) for c in pull.differences],
        "changes": [
            {
                "recipe": c.recipe,
                "node": c.node,
                "kind": c.kind,
                "parts": list(c.parts),
                "place": _place(c.place),
                "files": [_place(p) for p in c.files],
            }
            for c in pull.changes
        ],
        "graphs": [
            {"recipe": g.recipe, "needs": {n: list(v) for n, v in g.needs.items()}} for g in pull.graphs
        ],
        "touched": {path: [list(r) for r in ranges] for path, ranges in pull.touched.items()},
        "policy": [
            {
                "code": f.code,
                "severity": f.severity,
                "message": f.message,
                "path": f.path,
                "line": f.line,
                "who_may_allow": list(f.who_may_allow),
                "allowed_by": f.allowed_by,
            }
            for f in pull.policy
        ],
        "waivers": [
            {
                "rule": w.rule,
                "recipe": w.recipe,
                "node": w.node,
                "reason": w.reason,
                "approver": w.approver,
                "expires": w.expires,
                "standing": w.standing,
                "tests": list(w.tests),
                "place": _place(w.place),
            }
            for w in pull.waivers
        ],
        "not_tested": [
            {"recipe": n.recipe, "what": n.what, "why": n.why, "blocks": n.blocks} for n in pull.not_tested
        ],
        "timing": {"seconds": pull.timing.seconds, "base": dict(pull.timing.base)},
    }


def to_json(pull: Pull) -> str:
    """The document as text, for the artifact."""
    value = _plain(pull)
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # seldom: to look at each text of thousands takes longer than to write all
        text = json.dumps(encodable_values(value), ensure_ascii=False)
    return text + "\n"


def _place(place: Place | None) -> list[str | int] | None:
    return None if place is None else [place.file, place.line, place.column]


# --- read ----------------------------------------------------------------------------------------


def read(raw: bytes) -> Pull:
    """What a stranger's document says. Mistake where it is too large, too deep, or of another shape.

    Nothing in it is believed by being read: that it is about the right commit is for the caller to compare.
    """
    if len(raw) > MAX_BYTES:
        raise _refused(f"it has {len(raw):,} bytes, and {MAX_BYTES:,} are the most")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _refused(f"it is no JSON: {str(error)[:200]}") from None
    if _deeper(value, MAX_DEPTH):
        raise _refused(f"it is nested deeper than {MAX_DEPTH} levels")
    # Of bytes that are UTF-8 only an escape makes a text that UTF-8 cannot hold.
    return from_document(encodable_values(value) if _SURROGATE.search(raw) else value)


def from_document(value: Any) -> Pull:
    """The same from parsed JSON. Mistake with every problem."""
    wrong = departures(value, "pull")
    if not wrong:
        parts = (("recipes", "outcome"), ("differences", "diff"))
        each = ((f"{key}[{i}]", one, name) for key, name in parts for i, one in enumerate(value[key]))
        wrong = [f"{about}: {said}" for about, one, name in each for said in departures(one, name)]
    if wrong:
        raise Mistake(*(Problem(said, Place(LABEL), code="bad-document") for said in wrong[:100]))
    try:
        return _pull(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise _refused(str(error)[:300]) from None


def _pull(value: Mapping[str, Any]) -> Pull:
    recipes = tuple(_outcome(o) for o in value["recipes"])
    names = [facts.recipe(o) for o in recipes]
    if len(set(names)) < len(names):
        raise ValueError("two outcomes are of the same recipe and variation")
    return Pull(
        project=value["project"]["name"],
        project_id=value["project"]["id"],
        event=value["event"],
        number=value["number"],
        head=value["head"],
        base=value["base"],
        tree=value["tree"],
        run=Run(value["run"]["id"], value["run"]["attempt"]),
        recipes=recipes,
        differences=tuple(diff_reading.from_document(d) for d in value["differences"]),
        changes=tuple(
            Change(c["recipe"], c["node"], c["kind"], tuple(c["parts"]), _at(c["place"]), _all_at(c["files"]))
            for c in value["changes"]
        ),
        graphs=tuple(
            Graph(g["recipe"], {n: tuple(v) for n, v in g["needs"].items()}) for g in value["graphs"]
        ),
        touched={path: tuple((r[0], r[1]) for r in ranges) for path, ranges in value["touched"].items()},
        policy=tuple(
            PolicyFinding(**{**f, "who_may_allow": tuple(f["who_may_allow"])}) for f in value["policy"]
        ),
        waivers=tuple(
            Waiver(**{**w, "tests": tuple(w["tests"]), "place": _at(w["place"])}) for w in value["waivers"]
        ),
        not_tested=tuple(NotTested(**n) for n in value["not_tested"]),
        timing=Timing(value["timing"]["seconds"], value["timing"]["base"]),
    )


def _outcome(value: Mapping[str, Any]) -> Outcome:
    found = outcome.from_document(value)
    times = [found.started, found.finished, *(n.started for n in found.nodes if n.started is not None)]
    if any(time.tzinfo is None for time in times):
        raise ValueError("a time of an outcome has no time zone")
    return found


def _at(place: Any) -> Place | None:
    return None if place is None else Place(*place)


def _all_at(places: Any) -> tuple[Place, ...]:
    return tuple(Place(*p) for p in places if p is not None)


def _refused(why: str) -> Mistake:
    hint = "run the job again; if it stays so, the versions of GitKitchen in both jobs differ"
    return Mistake(Problem(f"this is no pull-request document: {why}", Place(LABEL), hint, "bad-document"))


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _deeper(value: Any, most: int) -> bool:
    """Whether lists and mappings lie deeper than ``most`` in each other; without recursion."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
