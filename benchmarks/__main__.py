"""``python -m benchmarks``: measure, print, and write the report."""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import (
    diffing,
    engine,
    judging,
    models,
    pages,
    promoting,
    pulls,
    sandboxes,
    startup,
    warehouse,
)
from benchmarks.context import Context, Section
from benchmarks.harness import Failed
from benchmarks.report import document, markdown

TOP = Path(__file__).resolve().parents[1]
SECTIONS: dict[str, Callable[[Context], Section]] = {
    "a": engine.run,
    "b": models.run,
    "c": judging.run,
    "d": startup.run,
    "e": diffing.run,
    "f": sandboxes.run,
    "g": warehouse.run,
    "h": pulls.run,
    "i": promoting.run,
    "j": pages.run,
}
OUR_PACKAGES = ("gitkitchen", "duckdb", "sqlglot", "pyyaml")


def main(arguments: Sequence[str]) -> int:
    """Run the sections that are asked for; 0 also where a bound is missed: the report says so."""
    parser = _parser()
    options = parser.parse_args(arguments)
    letters = options.sections or list(SECTIONS)
    if unknown := [letter for letter in letters if letter not in SECTIONS]:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    bench = TOP / ".bench"
    bench.mkdir(exist_ok=True)
    target = options.output or _target(bench, letters, quick=options.quick, with_peers=not options.no_peers)
    work = Path(tempfile.mkdtemp(prefix="gitkitchen-bench-", dir=options.temporary))
    rounds = options.rounds or (2 if options.quick else 5)
    context = Context(bench, work, rounds, options.quick, not options.no_peers, _say)
    if not Path(context.gitkitchen).exists():
        _say(f"{context.gitkitchen} does not exist: install gitkitchen where this Python is installed")
        return 2
    if not options.quick:
        _say("A whole run takes about half an hour on two cores; let the machine do nothing else.")
    done: list[Section] = []
    try:
        for letter in letters:
            _say(f"({letter})")
            done.append(_attempt(letter, context))
            page, plain = _render(context, sorted(done, key=lambda section: section.letter))
            (bench / "results.json").write_text(
                json.dumps(plain, indent=1), "utf-8"
            )  # kept if a later one breaks
    finally:
        shutil.rmtree(work, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, "utf-8")
    print(json.dumps(plain, indent=1) if options.json else page)
    _say(f"written to {target}")
    return 0


def _parser() -> argparse.ArgumentParser:
    about = "Measure GitKitchen beside bare tools and its peers."
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=about)
    add = parser.add_argument
    add(
        "sections",
        nargs="*",
        metavar="SECTION",
        help="a overhead, b models, c tests, d start, e diff, f sandboxes, g on PostgreSQL, h pull request, "
        "i promotion, j status page; in this order (default: all)",
    )
    add("--quick", action="store_true", help="small sizes, two rounds: a rehearsal")
    add("--rounds", type=int, help="how often each contestant is measured (default 5, quick 2)")
    add("--no-peers", action="store_true", help="GitKitchen and the bare tools only")
    add("--json", action="store_true", help="print every sample as JSON instead of the page")
    where = "default: docs/benchmarks.md for a whole full-size run, else .bench/benchmarks.md"
    add("--output", type=Path, metavar="FILE", help=f"where the page goes ({where})")
    add(
        "--temporary",
        type=Path,
        metavar="DIR",
        help="where generated projects are put (default: the system's)",
    )
    return parser


def _target(bench: Path, letters: Sequence[str], *, quick: bool, with_peers: bool) -> Path:
    """The published page is only ever of one whole run at full size."""
    whole = set(letters) == set(SECTIONS) and not quick and with_peers
    return TOP / "docs" / "benchmarks.md" if whole else bench / "benchmarks.md"


def _attempt(letter: str, context: Context) -> Section:
    try:
        return SECTIONS[letter](context)
    except Failed as error:  # what everything else in the section stands on could not be made
        _say(f"  section left out: {error}")
        return Section(letter, "not measured", (), (), (), {"the whole section": str(error)}, {})


def _render(context: Context, done: Sequence[Section]) -> tuple[str, dict[str, object]]:
    versions = {"gitkitchen": _our_versions(), **context.versions}
    machine = _machine(context)
    page = markdown(done, machine, versions, quick=context.quick)
    return page, document(done, machine, versions, quick=context.quick)


def _our_versions() -> dict[str, str]:
    found = {}
    for package in OUR_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _machine(context: Context) -> dict[str, str]:
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False).stdout
    head = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=TOP, capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "GitKitchen's commit": head.stdout.strip() or "unknown",
        "cores": str(context.cores),
        "processor": _processor(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "git": (re.findall(r"[\d.]+", git) or ["unknown"])[0],
        "rounds": f"{context.rounds} (fewer where a table says so)",
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        re.findall(r"^model name\s*:\s*(.+)$", info.read_text("utf-8"), re.MULTILINE) if info.exists() else []
    )
    return names[0].strip() if names else platform.processor() or platform.machine()


def _memory() -> str:
    info = Path("/proc/meminfo")
    found = (
        re.findall(r"^MemTotal:\s*(\d+) kB", info.read_text("utf-8"), re.MULTILINE) if info.exists() else []
    )
    return f"{int(found[0]) / 2**20:.0f} GiB" if found else "unknown"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
