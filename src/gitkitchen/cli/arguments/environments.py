"""Commands that move, mend and keep environments."""

from __future__ import annotations

import argparse
from typing import Any

from gitkitchen.cli.arguments.values import bytes, duration, jobs, moment


def road_commands(command: Any) -> None:
    promote = command("promote", "promote", "move a proved tree and its data to the next environment")
    promote.add_argument("environment", help="where to: an environment of kitchen.yml")
    promote.add_argument(
        "--from",
        dest="rev",
        default="",
        metavar="REV",
        help="this commit, which the environment before has landed (default: the newest); of a hotfix its "
        "branch",
    )
    promote.add_argument(
        "--hotfix",
        action="store_true",
        help="straight from branch --from, by the shorter list of gates; it is brought back by itself",
    )
    promote.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")
    promote.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="INCIDENT",
        help="land although this incident is open, and end it (with --reason)",
    )
    promote.add_argument(
        "--dry-run", action="store_true", help="say how each gate stands, and change nothing"
    )
    promote.add_argument(
        "--at", type=moment, metavar="TIME", help="with --dry-run: as if it were then (2026-12-18T16:00Z)"
    )
    _moving(promote)
    rollback = command("rollback", "promote", "bring an environment back to what it showed, and hold it")
    rollback.add_argument("environment", help="an environment of kitchen.yml")
    rollback.add_argument(
        "--to",
        default="",
        metavar="COMMIT|RUN|TIME",
        help="a commit that landed there, a run that published, a moment (2026-03-01T08:00, or 7d ago); "
        "default: what was live before what stands there",
    )
    how = rollback.add_mutually_exclusive_group()
    how.add_argument(
        "--data",
        choices=("restore", "current"),
        default="restore",
        help="with the tree of then: the data of then (restore, the default), or what it makes of today's "
        "sources, tested before (current)",
    )
    how.add_argument(
        "--keep-tree",
        dest="data",
        action="store_const",
        const="keep-tree",
        help="the data of then, and the tree stays",
    )
    rollback.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; it stands in the incident and in the hold"
    )
    rollback.add_argument(
        "--dry-run", action="store_true", help="say what would come back, and change nothing"
    )
    _moving(rollback)


def _moving(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--method",
        choices=("auto", "push", "button"),
        default="auto",
        help="in a job: push the branch, or merge its pull request (auto: push where that is allowed)",
    )
    command.add_argument("--json", action="store_true", help="print one document instead of text")
    command.add_argument("--quiet", "-q", action="store_true", help="no progress, only the result")
    command.add_argument(
        "--jobs", "-j", type=jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )


def upkeep_commands(command: Any) -> None:
    kitchens = command("kitchens", "kitchens", "list all kitchens: branch, age, last outcome, bytes")
    kitchens.add_argument("--json", action="store_true")
    drop = command("drop", "kitchens", "remove a sandbox with all that only it has")
    drop.add_argument(
        "kitchen_name", metavar="KITCHEN", help="its branch, OWNER/NAME:BRANCH of a fork, or its namespace"
    )
    gc = command("gc", "kitchens", "show what nobody needs any more; --apply removes it")
    how = gc.add_mutually_exclusive_group()
    how.add_argument("--apply", action="store_true", help="remove it")
    how.add_argument("--dry-run", action="store_true", help="show what would be removed (the default)")
    gc.add_argument(
        "--grace",
        type=duration,
        default=86400.0,
        metavar="TIME",
        help="leave alone what was written or used so lately (default 1d)",
    )
    gc.add_argument(
        "--keep",
        type=duration,
        default=30 * 86400.0,
        metavar="TIME",
        help="keep runs, and what environments showed, for so long (default 30d)",
    )
    gc.add_argument(
        "--cache",
        type=bytes,
        metavar="SIZE",
        help="leave at most so much data (such as 10GB) in the cache of a store on another machine",
    )
    gc.add_argument("--json", action="store_true")
    _ledger(command)


def audit_commands(command: Any) -> None:
    audit = command("audit", "audit", "who moved what to an environment, when, and with which evidence")
    audit.add_argument("environment", nargs="?", help="only this one")
    how = audit.add_mutually_exclusive_group()
    how.add_argument(
        "--verify",
        action="store_true",
        help="find every record that was altered, removed or moved, and what Git says else",
    )
    how.add_argument(
        "--rebuild",
        action="store_true",
        help="after the ledger was lost: show what commits and views still tell of it",
    )
    how.add_argument(
        "--acknowledge",
        metavar="FAULT",
        action="append",
        default=[],
        help="record that a fault which --verify names (its id, or all of a code) is known; needs --reason",
    )
    audit.add_argument("--reason", metavar="TEXT", help="with --acknowledge: why; it is shown")
    audit.add_argument("--apply", action="store_true", help="with --rebuild: write it")
    audit.add_argument(
        "--since", metavar="TIME", help="only from this date on (2026-03-01), or so long ago (7d)"
    )
    form = audit.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--csv", action="store_true", help="a line a move, for a spreadsheet")
    hold = command("hold", "audit", "let nothing be promoted to an environment, until it is released")
    hold.add_argument("environment")
    hold.add_argument("--reason", metavar="TEXT", help="why; everybody who meets the hold sees it")
    hold.add_argument(
        "--release", nargs="?", const="", metavar="ID", help="end this hold, or all of the environment"
    )
    reconcile = command(
        "reconcile", "audit", "end what died, complete what is torn, and name what was changed by hand"
    )
    reconcile.add_argument("environment", nargs="?", help="only this one")
    reconcile.add_argument(
        "--accept-grants",
        action="store_true",
        help="take the rights to read that somebody changed in the warehouse for what they shall be",
    )
    reconcile.add_argument(
        "--data",
        action="store_true",
        help="read all data again that consumers read, and compare it with what was written",
    )
    reconcile.add_argument("--json", action="store_true")


def _ledger(command: Any) -> None:
    ledger = command(
        "ledger", "ledger", "what the ledger costs; compact it, and check that nothing is missing"
    )
    ledger.add_argument("--json", action="store_true", help="print one document instead of text")
    deeds = ledger.add_subparsers(dest="deed", metavar="DEED", title="deeds")
    status = deeds.add_parser(
        "status", help="what it costs, and what a compaction would save (the default)", allow_abbrev=False
    )
    status.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    compact = deeds.add_parser(
        "compact", help="let the branch begin anew with the records that are kept", allow_abbrev=False
    )
    compact.add_argument(
        "--keep",
        type=duration,
        metavar="TIME",
        help="keep records of runs for so long, instead of `retention:` in kitchen.yml; at least 30d",
    )
    compact.add_argument(
        "--no-archive",
        action="store_true",
        help="do not keep what was before: what is removed is gone, and only stated",
    )
    compact.add_argument("--dry-run", action="store_true", help="show what it would do")
    deeds.add_parser(
        "verify", help="check the ledger, and every compaction against its archive", allow_abbrev=False
    )
