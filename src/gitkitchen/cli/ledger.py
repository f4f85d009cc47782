"""``ledger``: what it costs, its compaction, and whether what compactions say is true."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitkitchen.cli.audit import who
from gitkitchen.cli.runs import request
from gitkitchen.errors import FAILED, PASSED, Mistake, Problem
from gitkitchen.model import LEAST_RETENTION
from gitkitchen.premises import Premises, find_premises

if TYPE_CHECKING:
    from gitkitchen.ledger.branch import BranchLedger


def ledger(options: argparse.Namespace) -> int:
    deeds: dict[str, Callable[[argparse.Namespace, Premises, BranchLedger], int]] = {
        "compact": _compact,
        "verify": _verify,
    }
    asked = request(options)
    premises = find_premises(asked.start, asked.say)
    if options.json and options.deed not in (None, "status"):
        raise Mistake(Problem(f"`ledger {options.deed}` prints text alone", hint="leave --json out"))
    return deeds.get(options.deed or "", _status)(options, premises, _branch(premises))


def _branch(premises: Premises) -> BranchLedger:
    from gitkitchen.ledger.branch import BranchLedger

    if isinstance(premises.ledger, BranchLedger):
        return premises.ledger
    raise Mistake(
        Problem(
            "the ledger is a folder: nothing of it is fetched by anybody, and nothing is removed from it",
            premises.project.places.get("ledger"),
            "compaction is for `ledger: branch`; `du -sh .gitkitchen/ledger` says what the folder takes",
            "ledger-folder",
        )
    )


def _status(options: argparse.Namespace, premises: Premises, found: BranchLedger) -> int:
    from gitkitchen.ledger.sizing import left, measure
    from gitkitchen.plumbing import Plumbing
    from gitkitchen.report import ledger as report

    git = Plumbing(premises.repository.root)
    now = measure(git, found.view(), datetime.now(UTC))
    keep = premises.project.retention
    made = after = None
    if not git.is_shallow():
        made = found.compactor("", keep, archived=False).propose(found.view())
        after = left(git, made.commit) if made else None
    if options.json:
        document = report.status_document(now, made, after, keep)
        print(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        print(report.status_text(now, made, after, keep))
    return PASSED


def _compact(options: argparse.Namespace, premises: Premises, found: BranchLedger) -> int:
    from gitkitchen.report.ledger import compacted_text

    keep = premises.project.retention if options.keep is None else options.keep
    if keep is not None and keep < LEAST_RETENTION:
        least = f"{round(LEAST_RETENTION / 86400)}d"
        raise Mistake(Problem(f"--keep is less than {least}", hint=f"`--keep {least}` is the least"))
    asked = request(options)
    by = who(asked.start, asked.environ)
    archived = not options.no_archive
    if options.dry_run:
        found.refresh()
        made = found.compactor(by, keep, archived=archived).propose(found.view())
    else:
        made = found.compact(by, keep, archived=archived)
    print(compacted_text(made, dry=options.dry_run))
    return PASSED


def _verify(_options: argparse.Namespace, premises: Premises, found: BranchLedger) -> int:
    from gitkitchen.cli.main import complain
    from gitkitchen.ledger.checking import check, is_here
    from gitkitchen.ledger.viewing import compactions
    from gitkitchen.report.ledger import verified_text

    found.refresh()
    found.fetch_archives()
    problems, streams = check(found, premises.repository.root, every=True)
    for problem in problems:
        complain(problem)
    made = () if any(p.code == "ledger-record" for p in problems) else compactions(found.view())
    print(verified_text([(one, is_here(found.view(), one)) for one in made], streams, len(problems)))
    return FAILED if problems else PASSED
