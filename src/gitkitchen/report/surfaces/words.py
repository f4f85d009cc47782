"""Words of the surfaces: plain text, titles, commands to copy, what to do next. All safe where they stand."""

from __future__ import annotations

import re

from gitkitchen.model import Outcome, Verdict
from gitkitchen.report import facts
from gitkitchen.report.facts import Finding
from gitkitchen.report.markdown import name
from gitkitchen.report.surfaces.judging import Judgement
from gitkitchen.report.surfaces.pull import Pull
from gitkitchen.report.text import clip, duration, encodable, for_runners, one_line

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./+@=][A-Za-z0-9_./+@=-]{0,99}")
_OPTION = re.compile(r"--[a-z-]+")
_RUN_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9_.-]+){1,12}")

NEXT = {
    Verdict.FAILED: "Mend what failed and push: only what changed runs again.",
    Verdict.INFRASTRUCTURE: "Nothing is said about the data: something around the run failed. "
    "Run the job again when that is mended; what is finished is not done again.",
    Verdict.NOTHING_TESTED: "Add a test to the recipe: without one that was evaluated nothing is green.",
    Verdict.CANCELLED: "The run was ended before it was done. Run the job again; "
    "what is finished is not done again.",
}
_ICONS = {
    Verdict.FAILED: "❌",
    Verdict.INFRASTRUCTURE: "⚠️",
    Verdict.NOTHING_TESTED: "⚠️",
    Verdict.CANCELLED: "⏹️",
}


def plain(value: str, longest: int) -> str:
    """Any text as one line for places that know no Markdown: titles, messages, names."""
    return for_runners(clip(one_line(encodable(value)), longest))


def icon(judged: Judgement) -> str:
    """A mark beside the words, never without them."""
    if judged.green:
        return "✅"
    if judged.verdict is not Verdict.PASSED:
        return _ICONS[judged.verdict]
    return "❌" if judged.conclusion == "failure" else "⚠️"


def next_step(judged: Judgement) -> str:
    """What to do now; "" where nothing is left to do."""
    if judged.verdict is not Verdict.PASSED:
        return NEXT[judged.verdict]
    if judged.green:
        return ""
    return "The tests passed. What stands in its way is named below."


def change_to(folder: str) -> str:
    """The command that goes to the project's folder; "" where it is the repository's top, or has a name
    that a shell could read as anything but a word."""
    plain_words = folder and all(
        _PLAIN_WORD.fullmatch(w) and not w.startswith("-") for w in folder.split("/")
    )
    return f"cd {folder}" if plain_words else ""


def command(outcome: Outcome, finding: Finding | None = None) -> str:
    """The command that runs the failing node again, as a line to copy.

    Names that a shell could read as anything but a word are left out of it, for a reader copies this.
    """
    select = ("--select", finding.node.node) if finding else ()
    words = ["gitkitchen", "run", outcome.recipe]
    words += ["--variation", outcome.variation] if outcome.variation else []
    words += select
    harmless = all(_PLAIN_WORD.fullmatch(w) or _OPTION.fullmatch(w) for w in words)
    named = not any(w.startswith("-") for w in (outcome.recipe, outcome.variation or "", *select[1:]))
    return " ".join(words) if harmless and named else "gitkitchen run"


def checkout(pull: Pull) -> str:
    """The lines that fetch the pull request's head into a branch of its own."""
    if pull.number is None:
        return f"git fetch origin {pull.head}\ngit switch --create check-{pull.head[:7]} {pull.head}"
    branch = f"pull-{pull.number}"
    return f"git fetch origin pull/{pull.number}/head:{branch}\ngit switch {branch}"


def fence(text: str, language: str = "") -> str:
    """Lines of ours in a fence. No line of them can end it."""
    lines = [line if not line.lstrip().startswith("`") else f" {line}" for line in text.splitlines()]
    return "\n".join([f"```{language}", *lines, "```"])


def seconds_against(seconds: float, base: float | None) -> str:
    """``8.4 s; base 7.9 s (+6%)``."""
    said = duration(seconds)
    if base is None:
        return said
    percent = 100 * (seconds - base) / base if base > 0 else 0.0
    moved = f" ({percent:+,.0f}%)" if 0.5 <= abs(percent) < 100_000 else ""
    return f"{said}; base {duration(base)}{moved}"


def at(finding: Finding) -> str:
    return name(str(finding.place)) if finding.place else ""


def run_link(pull: Pull, url: str) -> str:
    """The workflow run, as a link where the caller knows its address and that is one."""
    said = f"run {pull.run.id}, attempt {pull.run.attempt}"
    return f"[{said}]({url})" if safe_url(url) else said


def safe_url(url: str) -> str:
    """The address of a workflow run, which the caller knows, or "" where it is anything else."""
    return url if _RUN_URL.fullmatch(url) else ""


def title_of(outcome: Outcome) -> str:
    """A recipe as its check run is named."""
    return plain(f"GitKitchen / {facts.recipe(outcome)}", 200)
