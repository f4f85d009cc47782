"""Check runs ``GitKitchen / <recipe>``: one a recipe, in progress first, concluded last, on the head commit.

A check run is a view: the job and its summary are the truth. ``neutral`` and ``skipped`` are never concluded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from gitkitchen.github.surfaces import CheckRun
from gitkitchen.model import Outcome, State
from gitkitchen.report import facts, markdown
from gitkitchen.report.diff_markdown import markdown as diff_markdown
from gitkitchen.report.markdown import escape
from gitkitchen.report.sheet import Sheet, counted
from gitkitchen.report.surfaces import sections, words
from gitkitchen.report.surfaces.judging import Judgement, absent, judge, judge_all
from gitkitchen.report.surfaces.pull import NotTested, Pull, Run
from gitkitchen.report.surfaces.remarks import of_policy, remarks

SUMMARY_BYTES = 30_000
TEXT_BYTES = 60_000
"""Below the 65,535 characters of a check run's summary and text."""
TITLE_LENGTH = 160
MOST_ABSENT = 30
"""So many recipes that did not run get a check run; the comment counts all."""
PROJECT = "GitKitchen / (project)"
"""The check run of the whole change, the one to require. It is always there; no recipe can have its name."""


def in_progress(head: str, project_id: str, run: Run, recipes: Sequence[str]) -> tuple[CheckRun, ...]:
    """The first form, one for each recipe (as ``facts.recipe`` names it) that is about to run."""
    summary = "The recipe is running. This is concluded when the job is done; the job itself is the truth."
    return tuple(
        CheckRun(
            name=words.plain(f"GitKitchen / {recipe}", 200),
            head_sha=head,
            status="in_progress",
            conclusion=None,
            title="running",
            summary=summary,
            external_id=external_id(project_id, recipe, run),
        )
        for recipe in recipes
    )


def concluded(pull: Pull, run_url: str = "") -> tuple[CheckRun, ...]:
    """The last form: one for each outcome, one for each recipe that should have run and did not.

    Of two with the same shown name the one that is not green stays.
    """
    found = [_of_recipe(pull, outcome, run_url) for outcome in pull.recipes]
    found += [_absent(pull, each, run_url) for each in absent(pull) if each.recipe][:MOST_ABSENT]
    if not found:
        found.append(_of_all(pull, run_url))
    by_name: dict[str, CheckRun] = {}
    for check in found:
        known = by_name.get(check.name)
        if known is None or (known.conclusion == "success" and check.conclusion != "success"):
            by_name[check.name] = check
    return tuple(by_name.values())


def posted(pull: Pull, run_url: str = "", there: frozenset[str] = frozenset()) -> tuple[CheckRun, ...]:
    """What is posted: each recipe that the change reaches, and last the whole.

    A recipe that did not change, in its files or its data, and is green has no check run of its own, but for
    one that is ``there`` already. The whole counts it.
    """
    untouched = {words.title_of(o) for o in pull.recipes if not _is_reached(pull, o)} - there
    each = [c for c in concluded(pull, run_url) if c.name != PROJECT and c.name not in untouched]
    return (*each, _of_all(pull, run_url))


def _is_reached(pull: Pull, outcome: Outcome) -> bool:
    mine = {n.node for n in outcome.nodes}
    return (
        not judge(pull, outcome).green
        or any(c.recipe in ("", outcome.recipe) for c in pull.changes)
        or any(d.node in mine for c in pull.differences for d in c.differing)
        or any(n.state is not State.REUSED for n in outcome.nodes)
    )


def external_id(project_id: str, recipe: str, run: Run) -> str:
    """Which logical write this is: the same for every try of the same attempt. Plain ASCII, bounded."""
    digest = hashlib.sha256(f"{project_id}\0{recipe}".encode("utf-8", "replace")).hexdigest()[:16]
    return f"gitkitchen:{digest}:{run.id}:{run.attempt}"


def _of_recipe(pull: Pull, outcome: Outcome, run_url: str) -> CheckRun:
    judged = judge(pull, outcome)
    return CheckRun(
        name=words.title_of(outcome),
        head_sha=pull.head,
        status="completed",
        conclusion=judged.conclusion,
        title=words.plain(judged.words, TITLE_LENGTH),
        summary=_summary(pull, outcome, judged, run_url),
        text=_text(pull, outcome),
        annotations=remarks(pull, outcome),
        external_id=external_id(pull.project_id, facts.recipe(outcome), pull.run),
        details_url=words.safe_url(run_url),
    )


def _summary(pull: Pull, outcome: Outcome, judged: Judgement, run_url: str) -> str:
    sheet = Sheet(SUMMARY_BYTES)
    sheet.add(f"### {words.icon(judged)} {escape(judged.words, 300)}")
    sheet.add(f"{escape(facts.nodes_sentence(outcome))} · {escape(facts.tests_sentence(outcome))}")
    if beside := judged.unsaid:
        sheet.bullets("", beside, _reason, "reason")
    if step := words.next_step(judged):
        sheet.add(f"Next: {escape(step)}")
    sheet.part(lambda s: sections.policy(s, pull, outcome), 6_000, "#### Policy")
    failing = sections.heavy(pull, outcome)
    for one in failing[:3]:
        sheet.part(lambda s, one=one: s.add(sections.failure(one)) and None, 4_000)  # type: ignore[misc]
    if len(failing) > 3:
        sheet.add(f"{len(failing) - 3:,} more failures stand below.")
    sheet.part(lambda s: sections.not_tested(s, pull, outcome), 4_000, "#### Not tested")
    sheet.part(lambda s: sections.waivers(s, pull, outcome), 4_000, "#### Waivers")
    sheet.add(sections.origin(pull, run_url))
    return _closed(sheet)


def _text(pull: Pull, outcome: Outcome) -> str:
    """All findings and nodes, and how the recipe's datasets changed."""
    mine = {n.node for n in outcome.nodes}
    own = (replace(c, datasets=tuple(d for d in c.datasets if d.node in mine)) for c in pull.differences)
    differences = [c for c in own if c.differing]
    share = TEXT_BYTES // 3 if differences else 0
    parts = [markdown.summary(outcome, TEXT_BYTES - share, below=True)]
    parts += [diff_markdown(c, budget=share // len(differences)) for c in differences]
    return "\n".join(parts)


def _absent(pull: Pull, missing: NotTested, run_url: str) -> CheckRun:
    title = f"did not run: {missing.why}"
    sheet = Sheet(SUMMARY_BYTES)
    sheet.add("### ⚠️ It did not run, and nothing vouches for it")
    reasons = [f"{n.what}: {n.why}" for n in pull.not_tested if n.recipe == missing.recipe]
    sheet.bullets("", reasons, _reason, "reason", most=30)
    sheet.add(sections.origin(pull, run_url))
    return _bare(pull, f"GitKitchen / {missing.recipe}", missing.recipe, title, _closed(sheet))


def _of_all(pull: Pull, run_url: str) -> CheckRun:
    """The whole change: what it comes to, a line a recipe, and what concerns more than one recipe."""
    judged = judge_all(pull)
    sheet = Sheet(SUMMARY_BYTES)
    title = judged.words if pull.recipes else "No recipe ran"
    sheet.add(f"### {words.icon(judged)} {escape(title, 300)}")
    sheet.part(lambda s: sections.recipes(s, pull), 8_000)
    sheet.bullets("", judged.why, _reason, "reason", most=30)
    if step := sections.next_step(pull, judged):
        sheet.add(f"Next: {step}")
    sheet.part(lambda s: sections.policy(s, pull), 8_000, "#### Policy")
    sheet.part(lambda s: sections.not_tested(s, pull), 4_000, "#### Not tested")
    sheet.part(lambda s: sections.waivers(s, pull), 4_000, "#### Waivers")
    sheet.add(sections.origin(pull, run_url))
    made = _bare(pull, PROJECT, "", judged.words, _closed(sheet), judged)
    notes = () if pull.recipes else of_policy(pull)
    return replace(made, annotations=notes, details_url=words.safe_url(run_url))


def _bare(
    pull: Pull, name: str, recipe: str, title: str, summary: str, judged: Judgement | None = None
) -> CheckRun:
    return CheckRun(
        name=words.plain(name, 200),
        head_sha=pull.head,
        status="completed",
        conclusion=judged.conclusion if judged else "action_required",
        title=words.plain(title, TITLE_LENGTH),
        summary=summary,
        external_id=external_id(pull.project_id, recipe, pull.run),
    )


def _reason(text: str) -> str:
    return escape(text, 300)


def _closed(sheet: Sheet) -> str:
    if sheet.missing:
        sheet.add(f"Left out here for length: {counted(sheet.missing)}.", room=0)
    return sheet.text()
