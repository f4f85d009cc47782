"""Commands of production: clocks, alerts, the page, jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gitkitchen.cli.arguments.values import day, interval, jobs, port


def clock_commands(command: Any) -> None:
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
        "--interval", type=interval, metavar="FROM--TO", help="of again: the interval, as list shows it"
    )
    schedule.add_argument("--environment", metavar="NAME", help="only in this environment")
    schedule.add_argument(
        "--reason", default="", metavar="TEXT", help="of pause, resume and again, for the record"
    )
    schedule.add_argument("--json", action="store_true", help="print one document instead of text")
    schedule.add_argument("--quiet", "-q", action="store_true", help="no progress, only the reports")
    schedule.add_argument(
        "--jobs", "-j", type=jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )

    backfill = command("backfill", "schedule", "build anew the partitions of a span of the past")
    backfill.add_argument("recipe", nargs="?", help="may be left out where there is one")
    backfill.add_argument("start", metavar="FROM", type=day, help="a day, 2013-01-01, or a moment (UTC)")
    backfill.add_argument("end", metavar="TO", type=day, help="until before this day or moment")
    backfill.add_argument("--variation", metavar="NAME", help="a variation that the recipe declares")
    backfill.add_argument("--dry-run", action="store_true", help="say what would be built, and build nothing")
    backfill.add_argument("--no-publish", action="store_true", help="keep what is built as a candidate")
    backfill.add_argument("--json", action="store_true", help="print one document instead of text")
    backfill.add_argument("--quiet", "-q", action="store_true", help="no progress, only the result")
    backfill.add_argument(
        "--jobs", "-j", type=jobs, metavar="N", help="how many nodes at once (default: the cores)"
    )


def alert_commands(command: Any) -> None:
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


def page_command(command: Any) -> None:
    page = command("page", "page", "write the status page: what the ledger remembers, as a static site")
    page.add_argument(
        "--out", type=Path, metavar="DIR", help="its folder (default: .gitkitchen/page); one of its own"
    )
    page.add_argument(
        "--serve",
        nargs="?",
        const=8765,
        type=port,
        metavar="PORT",
        help="then serve it to this machine alone (default port 8765; 0: any that is free)",
    )
    page.add_argument("--json", action="store_true", help="print status.json instead of text")


def job_commands(command: Any) -> None:
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
        "--jobs", "-j", type=jobs, metavar="N", help="how many nodes at once (default: the cores)"
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
