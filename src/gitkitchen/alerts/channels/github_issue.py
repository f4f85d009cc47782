"""GitHub issues: one for each incident, or for those that are told together, found by a hidden mark, brought
up to date in place, closed on recovery."""

from __future__ import annotations

import re
from datetime import timedelta

from gitkitchen.alerts.channels.contract import Answer, Surroundings
from gitkitchen.alerts.message import THINGS, Words, is_web, listed
from gitkitchen.errors import Mistake, Problem
from gitkitchen.github.issues import Issue, marker_of
from gitkitchen.github.trouble import Trouble
from gitkitchen.model import Channel
from gitkitchen.report.gates import code
from gitkitchen.report.markdown import escape

LABEL = "gitkitchen"
MOST = 60_000
EARLIER = timedelta(days=1)
"""How far a runner's clock may be off GitHub's."""
_ACCOUNT = re.compile(r"@[A-Za-z0-9][A-Za-z0-9-]{0,38}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99})?")
_STATES = {"opened": "Open", "updated": "Open", "closed": "Recovered", "test": "Test"}


def title(words: Words) -> str:
    """An issue's title is the incident's: it stays when that is over."""
    return words.title[:200]


def body(words: Words) -> str:
    """The issue's text below its mark, whole and bounded."""
    rows = [f"| **{escape(label)}** | {_shown(label, text)} |" for label, text in words.facts]
    lines = [f"**{_STATES[words.kind]}**: {escape(words.title, 200)}", "", "| | |", "|---|---|", *rows]
    if words.things:
        lines += ["", *(f"- {escape(thing, 300)}" for thing in listed(words, THINGS))]
    if words.changed:
        lines += ["", "**Changed since the last green run**", ""]
        lines += [f"- {escape(text, 200)}" for text in words.changed]
    if words.command:
        lines += ["", "**Reproduce**", "", code(words.command)]
    links = []
    if words.runbook:
        links.append(f"[Runbook](<{words.runbook}>)" if is_web(words.runbook) else escape(words.runbook, 500))
    if words.job:
        links.append(f"[Job](<{words.job}>)")
    lines += ["", " · ".join(links)] if links else []
    lines += [
        "",
        f"GitKitchen {code(words.id)}; this text is brought up to date, and the issue closed on recovery.",
    ]
    return "\n".join(lines)[:MOST]


def _shown(label: str, text: str) -> str:
    """A text that means itself; an owner who is an account or a team is mentioned, and so is told by
    GitHub."""
    if label not in ("Owner", "Owners"):
        return escape(text, 500)
    shown = [one if _ACCOUNT.fullmatch(one) else escape(one, 500) for one in text.split(", ")]
    return ", ".join(shown)


def send(words: Words, channel: Channel, about: Surroundings) -> Answer:
    """The issue as it should be, however often. A test is opened and closed."""
    if about.forge is None:
        hint = "in a job pass `env: {GITHUB_TOKEN: ${{ github.token }}}`"
        message = f"alerts.channels.{channel.name}: issues are written by jobs of GitHub Actions alone"
        raise Mistake(Problem(message, hint=hint, code="github-environment"))
    labels = (LABEL, *channel.config.get("labels", ()))
    known = int(about.ref) if about.ref.isascii() and about.ref.isdigit() else 0
    issue = Issue(
        marker_of(words.incident if words.kind != "test" else words.id),
        title(words),
        body(words),
        labels=tuple(dict.fromkeys(labels)),
        is_open=words.kind in ("opened", "updated"),
        known=known,
        since=f"{about.since - EARLIER:%Y-%m-%dT%H:%M:%SZ}" if about.since else "",
    )
    forge = about.forge()
    try:
        number = forge.put_issue(issue)
    except Trouble as trouble:
        if trouble.kind in ("denied", "missing", "refused"):
            hint = f"; {trouble.hint}" if trouble.permissions else ""
            return Answer("refused", f"{trouble}{hint}")
        return Answer("unanswered" if trouble.kind == "unsure" else "busy", str(trouble), after=1e9)
    finally:
        forge.close()
    return Answer("sent", f"issue #{number}", str(number))
