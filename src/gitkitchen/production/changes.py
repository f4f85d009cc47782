"""What changed since a recipe was green the last time: the commits between, from the ledger's run records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitkitchen.errors import GitKitchenError
from gitkitchen.history import between
from gitkitchen.ledger.protocol import Ledger
from gitkitchen.model import Subject, Verdict
from gitkitchen.report.text import count, one_line

LOOKED = 200
"""Runs that are looked back through for a green one."""
SHOWN = 5
"""Commits that are named."""


def last_green(ledger: Ledger, namespace: str, recipe: str, run: str) -> Mapping[str, Any] | None:
    """The record of the newest run before ``run`` that passed; None where none of the last did."""
    stream = f"runs/{namespace}/{recipe}"
    head = ledger.head(stream)
    records = list(ledger.read(stream, max(head - LOOKED, 0))) if head else []
    for record in reversed(records):
        body = record.body
        if body.get("verdict") == Verdict.PASSED.value and body.get("run") != run:
            return body
    return None


def since_green(
    ledger: Ledger, root: Path, namespace: str, recipe: str, run: str, subject: Subject
) -> tuple[str, ...]:
    """Sentences, the newest commit first. Where it cannot be found out, that is what they say."""
    try:
        green = last_green(ledger, namespace, recipe, run)
        if green is None:
            return ("it has not been green lately",)
        return tuple(_told(root, green, subject))
    except GitKitchenError as error:
        return (f"what changed could not be found out: {one_line(error.problems[0].message)}",)


def _told(root: Path, green: Mapping[str, Any], subject: Subject) -> list[str]:
    about = green.get("subject")
    before = about if isinstance(about, Mapping) else {}
    when = str(green.get("finished", ""))[:16].replace("T", " ")
    since = f"since run {green.get('run', '?')} of {when} UTC"
    if before.get("tree") == subject.tree:
        return [f"no file {since}: the data, or what is around it"]
    commit, old = subject.commit, before.get("commit")
    if not commit or not isinstance(old, str) or commit == old:
        return [f"files that are not committed, {since}"]
    found = between(root, commit, old)[::-1]
    lines = [one_line(f"{c.oid[:12]} {c.message.partition(chr(10))[0]}")[:160] for c in found[:SHOWN]]
    more = [f"and {count(len(found) - SHOWN, 'more commit')}"] if len(found) > SHOWN else []
    return [*lines, *more] or [f"the branch was moved back {since}"]
