"""The one sticky comment: the verdict first, narrow enough for a phone, each part within its own budget."""

from __future__ import annotations

import re

from gitkitchen.github.surfaces import Comment, marker_of
from gitkitchen.report.markdown import escape, name
from gitkitchen.report.sheet import Sheet, counted
from gitkitchen.report.surfaces import sections, words
from gitkitchen.report.surfaces.data_section import breaking, data
from gitkitchen.report.surfaces.judging import judge_all
from gitkitchen.report.surfaces.pull import Pull

BYTES = 60_000
"""Below the 65,536 characters of a comment, with its marker."""


def marker(project_id: str) -> str:
    """What the comment of a project is found by, beside its author. Other characters than plain ones go."""
    return marker_of(f"gitkitchen pull {re.sub(r'[^A-Za-z0-9]', '', project_id)[:64] or 'project'}")


def comment(pull: Pull, run_url: str = "") -> Comment:
    """The comment of a pull request, at most ``BYTES`` of UTF-8 whatever the document holds."""
    return Comment(marker(pull.project_id), body(pull, BYTES, run_url))


def body(pull: Pull, limit: int, run_url: str = "") -> str:
    """The comment's Markdown within a budget of bytes; with 4 kB or more it holds verdict and reasons."""
    judged = judge_all(pull)
    sheet = Sheet(limit, room=600)
    sheet.add(f"## {words.icon(judged)} GitKitchen: {escape(judged.words, 200)}", room=0)
    sheet.part(lambda s: sections.recipes(s, pull), 8_000)
    if broken := breaking(pull):
        shown = ", ".join(name(d.dataset) for d in broken[:8])
        more = f" and {len(broken) - 8:,} more" if len(broken) > 8 else ""
        hit = any(c.reaches for c in pull.differences)
        who = (
            "Who reads it is named below." if hit else "Nothing that is known here reads what it takes away."
        )
        sheet.add(f"⚠️ **Breaks its contract:** {shown}{more}. {who}")
    if step := sections.next_step(pull, judged):
        sheet.add(f"**Next:** {step}")
    sheet.part(lambda s: sections.policy(s, pull), 6_000, "### Policy")
    sheet.part(lambda s: sections.failures(s, pull), 14_000, "### Failed")
    sheet.part(lambda s: sections.changed(s, pull), 7_000, "### Changed in the recipes")
    sheet.part(lambda s: data(s, pull), 12_000, "### How the data changes")
    sheet.part(lambda s: sections.not_tested(s, pull), 4_000, "### Not tested")
    sheet.part(lambda s: sections.waivers(s, pull), 4_000, "### Waivers")
    sheet.part(lambda s: sections.warnings(s, pull), 6_500)
    sheet.part(lambda s: sections.time(s, pull), 2_000, "### Time and reuse")
    sheet.part(lambda s: sections.again_here(s, pull), 1_000)
    sheet.add(sections.origin(pull, run_url), room=300)
    if sheet.missing and sheet.blocks:
        sheet.add(
            f"<sub>Left out for length: {counted(sheet.missing)}. "
            "The job's summary shows more, its artifact all.</sub>",
            room=0,
        )
    return sheet.text()
