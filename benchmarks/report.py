"""The report of a bench as Markdown and as one JSON document; pure functions of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.context import Promise, Section, Table

Versions = Mapping[str, Mapping[str, str]]
"""Of each tool, the packages whose versions matter."""

ABOUT = """\
# Benchmarks

Written by `make bench`; the figures are of one run on one machine. Read the ratios, not the
seconds: contestants of a section take turns, round by round, and a ratio is the median of the
ratios of each round. Wall and CPU are medians, CPU is user and system time of the command and of
all processes that it waited for, peak memory is the largest resident size of any one of its processes
(never less than the bench's own, some 20 MiB).
Each figure is of a whole command, its start and the interpreter's start included, unless a note says
otherwise. Files were warm in the page cache for everybody.
"""


def markdown(
    sections: Sequence[Section], machine: Mapping[str, str], versions: Versions, *, quick: bool
) -> str:
    """The whole page."""
    parts = [ABOUT]
    if quick:
        parts.append("**Small sizes (`--quick`): a rehearsal, not a measurement.**\n")
    parts.append(_machine(machine, versions))
    promises = [p for s in sections for p in s.promises]
    if promises:
        parts.append("## What is promised\n\n" + grid(_promises(promises)))
    parts += [_section(s) for s in sections]
    return "\n".join(parts)


def document(
    sections: Sequence[Section], machine: Mapping[str, str], versions: Versions, *, quick: bool
) -> dict[str, object]:
    """The same as plain values, every sample included."""
    return {
        "version": 1,
        "quick": quick,
        "machine": dict(machine),
        "versions": {name: dict(found) for name, found in versions.items()},
        "sections": [
            {**asdict(s), "promises": [{**asdict(p), "met": p.met} for p in s.promises]} for s in sections
        ],
    }


def grid(table: Table) -> str:
    """One table: labels to the left, figures to the right, padded so that the text reads as well."""
    rows = [table.head, *table.rows]
    widths = [max(len(_cell(row[i])) for row in rows) for i in range(len(table.head))]

    def line(row: Sequence[str]) -> str:
        done = [_cell(row[0]).ljust(widths[0])]
        done += [_cell(c).rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join(done) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])]) + "|"
    title = f"**{table.title}**\n\n" if table.title else ""
    return title + "\n".join([line(table.head), rule, *(line(r) for r in table.rows)]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _machine(machine: Mapping[str, str], versions: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"- {key}: {value}" for key, value in machine.items()]
    lines += [
        f"- {name}: " + ", ".join(f"{package} {version}" for package, version in found.items())
        for name, found in versions.items()
    ]
    return "## Measured on\n\n" + "\n".join(lines) + "\n"


def _promises(promises: Sequence[Promise]) -> Table:
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = tuple(
        (
            p.text,
            f"{p.bound:g} {p.unit}",
            "–" if p.measured is None else f"{p.measured:.3g} {p.unit}",
            words[p.met],
        )
        for p in promises
    )
    return Table("", ("at most", "bound", "measured", ""), rows)


def _section(section: Section) -> str:
    parts = [f"## ({section.letter}) {section.title}\n"]
    parts += [grid(t) for t in section.tables]
    if section.skipped:
        parts.append(
            "Left out:\n\n" + "".join(f"- {who}: {_cell(why)}\n" for who, why in section.skipped.items())
        )
    if section.notes:
        parts.append("What the figures include:\n\n" + "".join(f"- {note}\n" for note in section.notes))
    return "\n".join(parts)
