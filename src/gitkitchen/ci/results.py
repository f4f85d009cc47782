"""The files that a job leaves: its results in one folder, to be kept as an artifact, and the runner's files.

All of it may be of a stranger's making. The folder holds plain files at its top and nothing else; whoever
reads the artifact (``github.artifacts``) distrusts every byte of it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from gitkitchen.ci.decide import Action
from gitkitchen.ci.shapes import Report, problems_of
from gitkitchen.errors import MISTAKE, GitKitchenError, Mistake, Place, Problem
from gitkitchen.files import write_atomic
from gitkitchen.github.artifacts import CLAIM, NOTHING, PROBLEMS, PULL, Claim, claim_document
from gitkitchen.github.events import Event, Group, Pull, dispatched_pull
from gitkitchen.kitchen.event import run_url
from gitkitchen.merging import Merged, Unmergeable
from gitkitchen.model import Outcome, Verdict
from gitkitchen.report import annotations as remarked
from gitkitchen.report import diff, diff_markdown, junit, markdown, outcome
from gitkitchen.report.comparison import Comparison
from gitkitchen.report.problems import as_json
from gitkitchen.report.surfaces import document, remarks
from gitkitchen.report.surfaces.located import at, located
from gitkitchen.report.surfaces.summary import summary as pull_summary
from gitkitchen.report.text import encodable

FOLDER = "gitkitchen-results"
SUMMARY_BYTES = 1_000_000
"""Below the 1 MiB of a step, above which the runner drops the whole summary:
https://docs.github.com/actions/reference/workflow-commands-for-github-actions#step-isolation-and-limits"""

OUTPUT_BYTES = 100_000
"""Of one value; all outputs of a job have 1 MB."""

DIFF_BYTES = 60_000
MOVES = (Action.PROMOTE, Action.ROLLBACK, Action.ABSORB)
"""Of these the move itself is told, and below it the runs that proved it."""
FOREIGN = "results-folder"

_KEPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(json|xml)")


def prepare(folder: Path) -> Path:
    """An empty folder for results; those of an earlier job are removed. Mistake where it is not ours.

    Git ignores it, so that a tree stays clean with results in it.
    """
    ignore = folder / ".gitignore"
    foreign = folder.is_symlink() or (folder.exists() and not folder.is_dir())
    if not foreign and folder.is_dir():
        names = [p for p in folder.iterdir() if p.name != ".gitignore"]
        foreign = bool(names) and not ignore.is_file()
        foreign = foreign or any(p.is_symlink() or not _KEPT.fullmatch(p.name) for p in names)
        for path in () if foreign else names:
            path.unlink()
    if foreign:
        raise Mistake(
            Problem(
                f"'{folder.name}' is here already, and holds what no job of ours wrote",
                hint="take it out of the repository, or name another folder with --results",
                code=FOREIGN,
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(ignore, "*\n")
    return folder


def write_claim(folder: Path, event: Event, subject: Merged) -> None:
    """Say which run tests which commits, before it does."""
    about = dispatched_pull(event) or event.about
    head = about.head.sha if isinstance(about, Pull | Group) else subject.head
    claim = Claim(
        repository=event.repository,
        run=event.run,
        attempt=event.attempt,
        event=event.name,
        number=about.number if isinstance(about, Pull) else None,
        head=head,
        base=subject.base,
        tree=subject.tree,
    )
    write_atomic(folder / CLAIM, json.dumps(claim_document(claim), indent=2) + "\n")


def write_outcome(folder: Path, found: Outcome) -> None:
    """The outcome of one recipe, as document and as JUnit XML."""
    write_atomic(folder / f"{found.recipe}.outcome.json", outcome.to_json(found))
    write_atomic(folder / f"{found.recipe}.junit.xml", junit.to_xml(found))


def write_problems(folder: Path, problems: Iterable[Problem]) -> None:
    """What went wrong without an outcome; nothing where nothing did."""
    found = list(problems)
    if found:
        write_atomic(folder / PROBLEMS, as_json(found) + "\n")


def write_difference(folder: Path, found: Comparison) -> None:
    """A diff that was asked for, with public values only."""
    write_atomic(folder / "diff.json", json.dumps(diff.document(found), ensure_ascii=False, indent=2) + "\n")


def write_pull(folder: Path, report: Report) -> None:
    """The pull-request document: of a change that was tested, all that is shown of it."""
    if report.pull is not None:
        write_atomic(folder / PULL, document.to_json(report.pull))


def write_nothing(folder: Path, report: Report) -> None:
    """Of an event that asks for nothing to be shown: why, so that nobody waits for results of it."""
    if report.decision.action in (Action.IGNORE, Action.DROP, Action.VIEW):
        said = {"version": 1, "reason": encodable(report.decision.reason)}
        write_atomic(folder / NOTHING, json.dumps(said) + "\n")


# --- the runner's files -----------------------------------------------------------------------------


def write_summary(environ: Mapping[str, str], report: Report) -> None:
    """The job's summary, where the runner wants one: most important recipes first, within a step's bytes."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if path:
        _append(Path(path), encodable(summary(report, run_url=run_url(environ))))


def summary(report: Report, limit: int = SUMMARY_BYTES, run_url: str = "") -> str:
    """The summary as Markdown, at most ``limit`` bytes; what is cut is counted."""
    wrong = [*problems_of(report.failures), *report.warnings]
    parts = [listed(wrong)] if wrong else []
    if report.pull is not None:
        room = limit - sum(len(p.encode()) for p in parts) - 1_000
        return "\n".join([pull_summary(located(report.pull, report.folder), run_url, room), *parts])
    if report.difference is not None:
        parts.append(diff_markdown.markdown(report.difference, budget=min(limit // 4, DIFF_BYTES)))
    left = limit - sum(len(p.encode()) for p in parts) - 1_000
    waiting = sorted(report.outcomes, key=lambda o: o.verdict.value == "passed")
    for index, found in enumerate(waiting):
        share = left // (len(waiting) - index)
        if share < 2_000:
            parts.append(f"… and {len(waiting) - index} more recipes, whose outcomes the artifact holds.\n")
            break
        text = markdown.summary(found, share)
        parts.append(text)
        left -= len(text.encode())
    if not parts or report.decision.action in MOVES:
        said = "".join(_item(said) for said in report.said[:50])
        parts = [f"GitKitchen: {markdown.escape(report.decision.reason)}\n\n{said}", *parts]
    if report.subject is not None:
        merged = report.subject
        parts.append(f"Tested: tree `{merged.tree}`, of head `{merged.head}` and base `{merged.base}`.\n")
    return "\n".join(parts)


def listed(problems: Iterable[Problem]) -> str:
    """What could not be done, as Markdown."""
    found = list(problems)
    told = [_item(str(p)).rstrip("\n") for p in found[:50]]
    more = [f"- … and {len(found) - 50} more"] if len(found) > 50 else []
    return "\n".join(["### GitKitchen could not do all of it", "", *told, *more, ""])


def _item(said: str) -> str:
    """What is said as an item of a list; where it has many lines, each below the first one."""
    first, *more = [line for line in said.splitlines() if line.strip()] or [""]
    below = (f"  - {markdown.escape(line)}\n" for line in more[:100])
    return "".join([f"- {markdown.escape(first)}\n", *below])


def write_outputs(environ: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Values for later steps, where the runner wants them. Each stands between delimiters that nobody knows:
    https://docs.github.com/actions/reference/workflow-commands-for-github-actions#multiline-strings"""
    path = environ.get("GITHUB_OUTPUT")
    if not path:
        return
    text = ""
    for name, value in values.items():
        delimiter = f"gitkitchen-{secrets.token_hex(16)}"
        shown = encodable(value)
        if delimiter in shown or len(shown.encode()) > OUTPUT_BYTES:
            raise Mistake(Problem(f"the output '{name}' cannot be written: it is too long", code="output"))
        text += f"{name}<<{delimiter}\n{shown}\n{delimiter}\n"
    _append(Path(path), text)


def outputs(report: Report, folder: Path | None) -> dict[str, str]:
    """What later steps may ask for."""
    merged = report.subject
    return {
        "action": report.decision.action.value,
        "verdict": report.word,
        "results": str(folder) if folder is not None else "",
        "head": merged.head if merged else "",
        "base": merged.base if merged else "",
        "tree": merged.tree if merged else "",
    }


def commands(report: Report) -> str:
    """All annotations of a job as lines for its log, within what one step shows."""
    said = [_remark("error", p) for p in problems_of(report.failures)]
    if report.decision.action is Action.REFUSE:
        said.append(remarked.Annotation("error", report.decision.reason))
    elif report.decision.action is Action.IGNORE:
        said.append(remarked.Annotation("notice", report.decision.reason, title="Not for GitKitchen"))
    said += [_remark("warning", p) for p in report.warnings]
    said += [remarked.Annotation("notice", text) for text in report.said]
    for found in report.outcomes:
        said += _shown(report, found)
    return "".join(f"{line}\n" for line in remarked.lines(_below(a, report.folder) for a in said))


def _below(one: remarked.Annotation, folder: str) -> remarked.Annotation:
    return replace(one, place=at(folder, one.place))


def _shown(report: Report, found: Outcome) -> Iterable[remarked.Annotation]:
    """Of a change what its check run annotates, and what has no line in a file: a log has no text beside."""
    if report.pull is None:
        return remarked.remarks(found)
    own = next(o for o in report.pull.recipes if (o.recipe, o.variation) == (found.recipe, found.variation))
    placed = [
        remarked.Annotation(_LEVELS[a.level], a.message, Place(a.path, a.start_line), a.title)
        for a in remarks.remarks(report.pull, own)
    ]
    return [*placed, *(a for a in remarked.remarks(own) if a.place is None)]


_LEVELS: Mapping[str, remarked.Level] = {"failure": "error", "warning": "warning", "notice": "notice"}


def _remark(level: remarked.Level, problem: Problem) -> remarked.Annotation:
    said = f"{problem.message}\n{problem.hint}" if problem.hint else problem.message
    return remarked.Annotation(level, said, problem.place, problem.code)


def refused(
    environ: Mapping[str, str], error: GitKitchenError, event: Event, folder: Path, start: Path | None = None
) -> str:
    """A job that could not begin: why stands in its summary and in the results. Returns its annotations.
    ``start``: the project's folder."""
    if folder.is_dir() and error.problems[0].code != FOREIGN:
        write_problems(folder, error.problems)
        if isinstance(error, Unmergeable):
            write_claim(folder, event, Merged(error.head, error.base, "", ""))
    path = environ.get("GITHUB_STEP_SUMMARY")
    if path:
        _append(Path(path), encodable(listed(error.problems)))
    word = "refused" if error.exit_code == MISTAKE else Verdict.INFRASTRUCTURE.value
    write_outputs(
        environ, {"action": "none", "verdict": word, "results": "", "head": "", "base": "", "tree": ""}
    )
    below = _in_checkout(environ, start)
    said = (_below(_remark("error", p), below) for p in error.problems)
    return "".join(f"{line}\n" for line in remarked.lines(said))


def _in_checkout(environ: Mapping[str, str], start: Path | None) -> str:
    """Where the project is in the checkout, of a job of which nothing else is known."""
    checkout = environ.get("GITHUB_WORKSPACE")
    if not checkout or start is None or not start.is_relative_to(Path(checkout).resolve()):
        return ""
    return start.relative_to(Path(checkout).resolve()).as_posix().removeprefix(".")


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
