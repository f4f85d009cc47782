"""The required check of a promotion, given by its own job to exactly the candidate's commit. Pure.

It is never green before every gate has passed under the lease, and is of nothing but the tree, tip and policy
that were judged: another commit has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gitkitchen.frozen import dataclass
from gitkitchen.github.surfaces import CheckRun, Conclusion
from gitkitchen.promote.health import PROJECT_CHECK
from gitkitchen.promote.shapes import Evidence, GateResult, Standing
from gitkitchen.report.gates import as_markdown
from gitkitchen.report.surfaces.checks import external_id
from gitkitchen.report.surfaces.pull import Run
from gitkitchen.report.surfaces.words import safe_url
from gitkitchen.report.text import count
from gitkitchen.road.looking import Stretch

SUMMARY = 30_000
"""Bytes of the gates that are shown, below the 65,535 characters of a check run's summary."""
SHOWN = 200
"""So many runs of the evidence are shown."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The job that judges: the project's id, the run with its attempt, and its page ("" unknown)."""

    project: str = ""
    run: int = 0
    attempt: int = 0
    url: str = ""


def desk_of(environ: Mapping[str, str], project: str) -> Desk:
    """The job that we are in."""
    names = ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT")
    run, attempt = (int(v) if (v := environ.get(n, "")).isascii() and v.isdigit() else 0 for n in names)
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    known = server and repository and run
    url = f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}" if known else ""
    return Desk(project, run, attempt, url)


def begun(stretch: Stretch, desk: Desk) -> CheckRun:
    """Before the proof: in progress."""
    return CheckRun(
        name=PROJECT_CHECK,
        head_sha=stretch.candidate,
        status="in_progress",
        conclusion=None,
        title="being proved",
        summary=f"{_bound(stretch)}\n\nIts recipes are run in the target's kitchen, then gates are judged.",
        external_id=external_id(desk.project, "", Run(desk.run, desk.attempt)),
        details_url=safe_url(desk.url),
    )


def judged(
    stretch: Stretch,
    gates: Sequence[GateResult],
    evidence: Sequence[Evidence],
    desk: Desk,
    *,
    final: bool = False,
) -> CheckRun:
    """How the gates stand. ``final``: they were judged under the lease, and nothing stands in between."""
    check = begun(stretch, desk)
    waiting = [g for g in gates if g.standing is not Standing.PASSED]
    failed = [g for g in waiting if g.standing is Standing.FAILED]
    title = f"all {count(len(gates), 'gate', 'gates')} passed"
    summary = f"{_bound(stretch)}\n\n{_clipped(as_markdown(gates))}"
    check = replace(check, summary=summary, text=_runs(evidence))
    if gates and not waiting:
        if not final:
            return replace(check, title=f"{title}; they are judged again under the lease")
        return replace(check, status="completed", conclusion="success", title=title)
    names = ", ".join(g.gate for g in (failed or waiting)[:3])
    word = "did not pass" if failed else "waiting"
    title = f"{len(failed or waiting)} of {count(len(gates), 'gate', 'gates')} {word}: {names}"
    conclusion: Conclusion = "failure" if failed else "action_required"
    return replace(check, status="completed", conclusion=conclusion, title=title[:160])


def overtaken(check: CheckRun) -> CheckRun:
    """What it was about has moved: the next promotion judges anew."""
    said = "Something that was judged has moved since; nothing was changed. The next promotion judges anew."
    return replace(
        check, status="completed", conclusion="action_required", title="overtaken", summary=said, text=""
    )


def _bound(stretch: Stretch) -> str:
    base = f"`{stretch.base[:12]}`" if stretch.base else "a new branch"
    return f"Tree `{stretch.tree[:12]}`, to land on {base}, under policy `{stretch.policy[:12]}`."


def _clipped(text: str) -> str:
    """The first whole lines that there is room for."""
    if len(text.encode()) <= SUMMARY:
        return text
    kept = text.encode()[:SUMMARY].decode("utf-8", "ignore").rpartition("\n")[0]
    return f"{kept}\n- and more: the job's log has them all"


def _runs(evidence: Sequence[Evidence]) -> str:
    """The runs that were the proof, a line each: names of recipes and runs are ours, and plain."""
    if not evidence:
        return ""
    lines = ["#### Evidence", "", "| recipe | run | verdict | tests |", "| --- | --- | --- | ---: |"]
    lines += [f"| `{e.recipe}` | `{e.run}` | {e.verdict} | {e.tests} |" for e in evidence[:SHOWN]]
    if len(evidence) > SHOWN:
        lines += ["", f"and {len(evidence) - SHOWN:,} more"]
    return "\n".join(lines)
