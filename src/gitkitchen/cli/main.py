"""Arguments in, text and exit code out. This room alone prints and exits."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import os
import sys
import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from gitkitchen import __version__
from gitkitchen.errors import BUG, INFRASTRUCTURE, INTERRUPTED, MISTAKE, UNREAD, GitKitchenError, Problem

LATER = frozenset(
    (
        "coverage",
        "suggest",
        "baseline",
        "import",
    )
)

EXIT_CODES = """\
exit codes:
  0 passed             1 a test or node failed      2 a mistake in files or arguments
  3 could not check    4 nothing was tested         5 a bug of GitKitchen's
  130 interrupted      143 terminated
"""


@cache
def parser() -> argparse.ArgumentParser:
    """The whole command line, made once. Building it imports nothing heavy."""
    top = argparse.ArgumentParser(
        prog="gitkitchen",
        description="DataOps on Git: every branch is an isolated, tested environment for analytics.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"gitkitchen {__version__}")
    top.add_argument("-C", dest="folder", metavar="DIR", default=".", help="work in this folder")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def command(name: str, module: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(module=module, function=name)
        return sub

    _start_commands(command)
    _run_commands(command)
    _reading_commands(command)
    _road_commands(command)
    _clock_commands(command)
    _audit_commands(command)
    _page(command)
    _upkeep_commands(command)
    _job_commands(command)
    _alert_commands(command)
    return top


def _start_commands(command: Any) -> None:
    demo = command("demo", "demo", "make a real repository, run it, break it, mend it, and explain each step")
    demo.add_argument(
        "path", nargs="?", type=Path, help="where to make the repository (default: ./gitkitchen-demo)"
    )
    demo.add_argument("--replace", action="store_true", help="replace an earlier demo in that place")
    demo.add_argument("--road", action="store_true", help="tell of promotion through environments instead")
    init = command(
        "init", "project", "write kitchen.yml, a first recipe and workflows, or bring them up to date"
    )
    init.add_argument("--name", help="the project's name (default: the folder's)")
    init.add_argument(
        "--action",
        default="",
        metavar="OWNER/REPO@SHA",
        help="write workflows for GitHub Actions, with the action of this repository at this commit",
    )
    init.add_argument(
        "--store",
        default="",
        metavar="ADDRESS",
        help="where versions are kept (default: a folder; with workflows, ghcr.io/OWNER/REPO)",
    )
    validate = command("validate", "project", "check every file; prints all mistakes with file and line")
    validate.add_argument("--format", choices=("text", "json", "github"), default="text")
    schema = command("schema", "project", "print a JSON Schema of this version")
    schema.add_argument("name", nargs="?", help="kitchen, recipe, waiver, outcome, … (default: list them)")
    settings = command(
        "settings", "project", "show every variable of this kitchen and where its value comes from"
    )
    _recipe(settings)
    settings.add_argument("--json", action="store_true")
    policy = command("policy", "policy", "show what must be tested, what is waived, and who may change that")
    policy.add_argument(
        "--changes",
        metavar="REV",
        help="list what this commit changes of it since REV, the target of a pull request",
    )
    policy.add_argument("--json", action="store_true")
    _kitchen(policy)
    _doctor(command)


def _doctor(command: Any) -> None:
    doctor = command("doctor", "doctor", "say what protects this project, what does not, and how to mend it")
    doctor.add_argument(
        "--level",
        choices=("advice", "guarded", "enforced"),
        default="guarded",
        help="end with 1 where this level is not reached (default: guarded)",
    )
    doctor.add_argument("--json", action="store_true")


def _recipe(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("recipe", nargs="?", help="may be left out where there is one")
    sub.add_argument("--variation", metavar="NAME", help="a variation that the recipe declares")
    sub.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a variable for this time only"
    )
    _kitchen(sub)


def _kitchen(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--kitchen",
        metavar="BRANCH",
        help="the kitchen's branch (of a fork OWNER/NAME:BRANCH), where the checkout does not say it",
    )


def _planning(sub: argparse.ArgumentParser) -> None:
    _recipe(sub)
    sub.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="NODES",
        help="only these: name, +name (and what it needs), name+ (and what needs it), tag:x, kind:sql",
    )
    sub.add_argument("--fresh", action="store_true", help="fetch sources that a sandbox pins to its base")
    sub.add_argument("--force", action="store_true", help="build again what could be reused")


def _run_commands(command: Any) -> None:
    plan = command("plan", "runs", "show what a run would do, and why")
    _planning(plan)
    plan.add_argument("--format", choices=("text", "json", "mermaid"), default="text")
    plan.add_argument(
        "--json", action="store_const", const="json", dest="format", help="the same as --format json"
    )
    run = command("run", "runs", "run a recipe, test it, and publish what passed")
    _planning(run)
    run.add_argument(
        "--jobs", "-j", type=_jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )
    run.add_argument(
        "--resume", nargs="?", const="last", metavar="RUN", help="end an interrupted run (default: the last)"
    )
    run.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="[NODE=]PATH",
        help="JUnit XML for a results: node, also from outside the repository; may be given again",
    )
    run.add_argument("--no-publish", action="store_true", help="keep what is built as a candidate")
    run.add_argument("--json", action="store_true", help="print the outcome document instead of the report")
    run.add_argument("--quiet", "-q", action="store_true", help="no progress, only the report")


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 256):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no whole number from 1 to 256")
    return int(text)


def _reading_commands(command: Any) -> None:
    query = command("query", "tables", "run a SELECT over the kitchen's datasets")
    query.add_argument("sql", help="one SELECT, or the name of a dataset; - reads standard input")
    query.add_argument("--format", choices=("table", "csv", "json"), default="table")
    query.add_argument("--json", action="store_true", help="the same as --format json")
    query.add_argument(
        "--ledger", action="store_true", help="ask the ledger's tables (runs, publications, ...) instead"
    )
    query.add_argument(
        "--limit", type=int, default=40, metavar="N", help="rows shown by --format table (default 40)"
    )
    shell = command(
        "open", "tables", "open the kitchen's datasets: an SQL prompt, or the file for other programs"
    )
    shell.add_argument(
        "--path", action="store_true", help="print the DuckDB file that consumers read, and end"
    )
    for sub in (query, shell):
        sub.add_argument(
            "--candidate", metavar="RUN", help="see what this run built, published or not (or: last)"
        )
        _kitchen(sub)
    _diff(command)
    log = command("log", "history", "list the runs kept here")
    log.add_argument("--limit", type=int, default=20, metavar="N")
    log.add_argument("--json", action="store_true")
    _kitchen(log)
    show = command("show", "history", "show a run again")
    report = command("report", "history", "write a run's report as HTML, JUnit XML, Markdown or JSON")
    for sub in (show, report):
        sub.add_argument(
            "run", nargs="?", default="last", help="its id, the beginning of it, or last (the default)"
        )
        _kitchen(sub)
    show.add_argument("--json", action="store_true")
    report.add_argument(
        "--format", default="html", metavar="NAME", help="html (the default), junit, markdown, json, github"
    )
    report.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar="FILE",
        help="default: beside the run's record, in .gitkitchen/; - prints",
    )


def _diff(command: Any) -> None:
    diff = command(
        "diff", "diff", "compare two kitchens, environments or runs: versions, or rows and columns"
    )
    diff.add_argument(
        "a", nargs="?", help="an environment, a branch, or a run (default: the base of this kitchen)"
    )
    diff.add_argument("b", nargs="?", help="the other side (default: this kitchen, or the run)")
    diff.add_argument("--data", action="store_true", help="compare rows and columns too, by key")
    diff.add_argument(
        "--dataset", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    diff.add_argument(
        "--limit", type=int, default=5, metavar="N", help="example rows of each kind (default 5)"
    )
    diff.add_argument(
        "--values",
        choices=("public", "all"),
        help="whose values of rows are shown (default: all in a terminal, public columns elsewhere)",
    )
    diff.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    diff.add_argument(
        "--json", action="store_const", const="json", dest="format", help="the same as --format json"
    )
    _kitchen(diff)


def _road_commands(command: Any) -> None:
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
        "--at", type=_moment, metavar="TIME", help="with --dry-run: as if it were then (2026-12-18T16:00Z)"
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
        "--jobs", "-j", type=_jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )


def _upkeep_commands(command: Any) -> None:
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
        type=_duration,
        default=86400.0,
        metavar="TIME",
        help="leave alone what was written or used so lately (default 1d)",
    )
    gc.add_argument(
        "--keep",
        type=_duration,
        default=30 * 86400.0,
        metavar="TIME",
        help="keep runs, and what environments showed, for so long (default 30d)",
    )
    gc.add_argument(
        "--cache",
        type=_bytes,
        metavar="SIZE",
        help="leave at most so much data (such as 10GB) in the cache of a store on another machine",
    )
    gc.add_argument("--json", action="store_true")
    _ledger(command)


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
        type=_duration,
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


def _clock_commands(command: Any) -> None:
    schedule = command("schedule", "schedule", "list what runs by the clock, pause it, or run what is due")
    schedule.add_argument(
        "action",
        nargs="?",
        choices=("list", "pause", "resume", "again", "run"),
        default="list",
        help="list (the default); pause and resume NAME; ask for an interval of NAME again; run what is due "
        "on the branch of an environment",
    )
    schedule.add_argument(
        "name", nargs="?", metavar="RECIPE.VARIATION", help="only this one, or all of a RECIPE"
    )
    schedule.add_argument(
        "--interval", type=_interval, metavar="FROM--TO", help="of again: the interval, as list shows it"
    )
    schedule.add_argument("--environment", metavar="NAME", help="only in this environment")
    schedule.add_argument(
        "--reason", default="", metavar="TEXT", help="of pause, resume and again, for the record"
    )
    schedule.add_argument("--json", action="store_true", help="print one document instead of text")
    schedule.add_argument("--quiet", "-q", action="store_true", help="no progress, only the reports")
    schedule.add_argument(
        "--jobs", "-j", type=_jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )

    backfill = command("backfill", "schedule", "build anew the partitions of a span of the past")
    backfill.add_argument("recipe", nargs="?", help="may be left out where there is one")
    backfill.add_argument("start", metavar="FROM", type=_day, help="a day, 2013-01-01, or a moment (UTC)")
    backfill.add_argument("end", metavar="TO", type=_day, help="until before this day or moment")
    backfill.add_argument("--variation", metavar="NAME", help="a variation that the recipe declares")
    backfill.add_argument("--dry-run", action="store_true", help="say what would be built, and build nothing")
    backfill.add_argument("--no-publish", action="store_true", help="keep what is built as a candidate")
    backfill.add_argument("--json", action="store_true", help="print one document instead of text")
    backfill.add_argument("--quiet", "-q", action="store_true", help="no progress, only the result")
    backfill.add_argument(
        "--jobs", "-j", type=_jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )


def _audit_commands(command: Any) -> None:
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


def _alert_commands(command: Any) -> None:
    alerts = command("alerts", "alerts", "what fails in the environments right now, and whom that was told")
    alerts.add_argument("--json", action="store_true", help="print one document instead of text")
    alerts.add_argument("--all", action="store_true", help="also what is over")
    alerts.add_argument(
        "--environment", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    deeds = alerts.add_subparsers(dest="deed", metavar="DEED", title="deeds")
    test = deeds.add_parser("test", help="send a message that says it is a test", allow_abbrev=False)
    test.add_argument("channel", nargs="?", default="", help="a channel of kitchen.yml (default: all)")
    deeds.add_parser("send", help="send now what waits to be sent", allow_abbrev=False)


def _page(command: Any) -> None:
    page = command("page", "page", "write the status page: what the ledger remembers, as a static site")
    page.add_argument(
        "--out", type=Path, metavar="DIR", help="its folder (default: .gitkitchen/page); one of its own"
    )
    page.add_argument(
        "--serve",
        nargs="?",
        const=8765,
        type=_port,
        metavar="PORT",
        help="then serve it to this machine alone (default port 8765; 0: any that is free)",
    )
    page.add_argument("--json", action="store_true", help="print status.json instead of text")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no port")
    return int(text)


def _job_commands(command: Any) -> None:
    ci = command("ci", "ci", "do what the event of this GitHub Actions job asks for")
    ci.set_defaults(json=False)  # it shows progress as `run` does
    ci.add_argument(
        "--results",
        type=Path,
        default=Path("gitkitchen-results"),
        metavar="DIR",
        help="where outcomes and JUnit XML go, to be kept as an artifact (default: gitkitchen-results)",
    )
    ci.add_argument(
        "--jobs", "-j", type=_jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )
    ci.add_argument("--quiet", "-q", action="store_true", help="no progress, only the reports")
    ci.add_argument(
        "--simulate",
        metavar="EVENT",
        help="show what a pull request of this branch would get, without GitHub: pull_request, merge_group",
    )
    ci.add_argument("--head", metavar="REV", help="simulate this commit (default: the branch)")
    ci.add_argument("--base", metavar="REV", help="as if the target were here (default: the base's branch)")
    ci.add_argument("--html", type=Path, metavar="FILE", help="write what is simulated as a page, too")


def _moment(text: str) -> Any:
    from datetime import datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no moment such as 2026-12-18T16:00Z") from None
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} has no time zone: write 2026-12-18T16:00Z")
    return found


def _interval(text: str) -> Any:
    from gitkitchen.schedule.shapes import Interval

    try:
        return Interval.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no interval FROM--TO: {error}") from None


def _day(text: str) -> Any:
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no day such as 2013-01-01") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _duration(text: str) -> float:
    from gitkitchen.kitchen.settings import duration

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _bytes(text: str) -> int:
    from gitkitchen.kitchen.settings import size

    try:
        return size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every known error becomes a message."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    folders = {number + 1 for number, word in enumerate(words) if word == "-C"}
    name = next((w for n, w in enumerate(words) if not w.startswith("-") and n not in folders), "")
    if name in LATER:
        complain(
            Problem(
                f"`gitkitchen {name}` is not available in this version",
                hint="`gitkitchen --help` lists what is",
            )
        )
        return MISTAKE
    try:
        options = parser().parse_args(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    if options.command is None:
        parser().print_help()
        return MISTAKE
    try:
        module = import_module(f"gitkitchen.cli.{options.module}")
        return int(getattr(module, options.function)(options))
    except GitKitchenError as error:
        complain(*error.problems)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (``| head``). It may have been going to be told that a test
        # failed: never 0, but what the shell says of any program that this happens to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        complain(
            Problem(f"{error.strerror or error}{where}", hint="mend this and run the same command again")
        )
        return INFRASTRUCTURE
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours becomes a report
        from gitkitchen.cli.bug import report_bug

        report_bug(error, words)
        return BUG


def complain(*problems: Problem) -> None:
    """Print problems to standard error, one a line, safe for a terminal."""
    from gitkitchen.report.problems import as_text

    print(as_text(problems), file=sys.stderr)


def entry() -> NoReturn:
    """The console script."""
    # A command makes many small values that live to its end: looking through all of them again and again
    # for cycles finds nothing and takes time.
    gc.set_threshold(500_000, 20, 20)
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _end(code)


def _end(code: int) -> NoReturn:
    """End the process as Python does, but for the taking apart of all modules and values.

    That gives back memory which goes with the process, and takes a tenth of a second once the engine is
    loaded. A thread that must be waited for is left to Python.
    """
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.exit(code)
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)
