"""What can be said on the command line. Building it imports nothing heavy."""

from __future__ import annotations

import argparse
from functools import cache

from gitkitchen import __version__
from gitkitchen.cli.arguments.environments import audit_commands, road_commands, upkeep_commands
from gitkitchen.cli.arguments.production import alert_commands, clock_commands, job_commands, page_command
from gitkitchen.cli.arguments.recipes import reading_commands, run_commands, start_commands

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

    start_commands(command)
    run_commands(command)
    reading_commands(command)
    road_commands(command)
    clock_commands(command)
    audit_commands(command)
    page_command(command)
    upkeep_commands(command)
    job_commands(command)
    alert_commands(command)
    return top
