"""Commands on a project, a recipe and its data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gitkitchen.cli.arguments.values import jobs


def start_commands(command: Any) -> None:
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


def run_commands(command: Any) -> None:
    plan = command("plan", "runs", "show what a run would do, and why")
    _planning(plan)
    plan.add_argument("--format", choices=("text", "json", "mermaid"), default="text")
    plan.add_argument(
        "--json", action="store_const", const="json", dest="format", help="the same as --format json"
    )
    run = command("run", "runs", "run a recipe, test it, and publish what passed")
    _planning(run)
    run.add_argument(
        "--jobs", "-j", type=jobs, metavar="N", help="how many nodes at once (default: the cores)"
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


def reading_commands(command: Any) -> None:
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
