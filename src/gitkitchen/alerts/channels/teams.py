"""Microsoft Teams, by the webhook of a workflow ("Post to a channel when a webhook request is received"): an
Adaptive Card. https://learn.microsoft.com/power-automate/teams/teams-app-create
https://adaptivecards.io/explorer/
"""

from __future__ import annotations

from typing import Any

from gitkitchen.alerts.channels.contract import Answer, Surroundings, as_json, secret
from gitkitchen.alerts.channels.wire import post
from gitkitchen.alerts.message import LISTED, Words, is_web, listed
from gitkitchen.model import Channel

MOST = 27_000
"""Bytes of a message: Teams refuses more than 28 kB."""
COLOURS = {"attention": "Attention", "warning": "Warning", "good": "Good"}


def payload(words: Words) -> dict[str, Any]:
    """The body of the request, within the size that Teams takes."""
    for facts, changed, command, things in ((20, 8, 1500, LISTED), (20, 3, 500, 5), (6, 0, 200, 2)):
        made = _payload(words, facts, changed, command, things)
        if len(as_json(made)) <= MOST:
            return made
    return made


def _payload(words: Words, facts: int, changed: int, command: int, things: int) -> dict[str, Any]:
    title = _line(_run(words.title, weight="Bolder", size="Medium", color=COLOURS[words.colour]))
    body = [title, *(_fact(label, text) for label, text in words.facts[:facts])]
    body += [_line(_run(f"• {thing}")) for thing in listed(words, things)]
    if words.changed[:changed]:
        body.append(_line(_run("Changed since the last green run", weight="Bolder")))
        body += [_line(_run(f"• {text}")) for text in words.changed[:changed]]
    if words.command:
        body.append(_line(_run("Reproduce", weight="Bolder")))
        body.append(_line(_run(words.command[:command], fontType="Monospace")))
    actions = []
    if words.runbook and is_web(words.runbook):
        actions.append({"type": "Action.OpenUrl", "title": "Runbook", "url": words.runbook})
    elif words.runbook:
        body.append(_fact("Runbook", words.runbook))
    if words.job:
        actions.append({"type": "Action.OpenUrl", "title": "Job", "url": words.job})
    body.append(_line(_run(f"GitKitchen {words.id}", isSubtle=True, size="Small")))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "msteams": {"width": "Full"},
    }
    if actions:
        card["actions"] = actions
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _fact(label: str, text: str) -> dict[str, Any]:
    return _line(_run(f"{label}: ", weight="Bolder"), _run(text))


def _line(*runs: dict[str, Any]) -> dict[str, Any]:
    """A paragraph. Its runs know no Markdown: https://adaptivecards.io/explorer/TextRun.html"""
    return {"type": "RichTextBlock", "inlines": list(runs), "spacing": "Small"}


def _run(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **more}


def send(words: Words, channel: Channel, about: Surroundings) -> Answer:
    """A workflow answers 202 when it has it; it knows no repetition."""
    address = secret(channel, "url", about.environ)
    return post(address, as_json(payload(words)), {}, channel.name, about.left())
