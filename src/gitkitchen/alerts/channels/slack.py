"""Slack, by an incoming webhook: Block Kit. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

Slack reads ``&``, ``<`` and ``>`` as control characters and expects them escaped; a code span shows all else
as it is. https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from typing import Any

from gitkitchen.alerts.channels.contract import Answer, Surroundings, as_json, secret
from gitkitchen.alerts.channels.wire import post
from gitkitchen.alerts.message import Words, is_web, listed
from gitkitchen.model import Channel

SECTION = 2_900
"""Of the 3,000 characters that a text of a section may have."""
MARKS = {"opened": "🔴", "updated": "🔴", "closed": "🟢", "test": "🔵"}
COLOURS = {"attention": "#b3261e", "warning": "#8a6100", "good": "#1a7f37"}


_MARK = re.compile(r"[*_~`@#]|:(?=[A-Za-z0-9_+'-]+:)")


def escape(text: str) -> str:
    """A text that Slack shows as it is: nothing in it links, mentions or formats."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A zero-width space keeps marks from pairing; Slack has no other escape for them.
    return _MARK.sub("\\g<0>\u200b", safe)


def code(text: str) -> str:
    """A code span."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"`{safe.replace('`', '´')}`"


def _link(url: str, text: str) -> str:
    safe = url.replace("&", "&amp;").replace("|", "%7C").replace(">", "%3E").replace("<", "%3C")
    return f"<{safe}|{text}>"


def payload(words: Words) -> dict[str, Any]:
    """The body of the request."""
    mark = MARKS[words.kind]
    if words.kind in ("opened", "updated") and words.severity != "stop":
        mark = "🟡"
    lines = [f"*{label}:* {escape(text)}" for label, text in words.facts]
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": f"{mark} {words.title}"[:150], "emoji": False},
        },
        _section("\n".join(lines)),
    ]
    if words.things:
        blocks.append(_section("\n".join(f"• {escape(thing)}" for thing in listed(words))))
    if words.changed:
        blocks.append(
            _section(
                "*Changed since the last green run:*\n" + "\n".join(f"• {escape(c)}" for c in words.changed)
            )
        )
    if words.command:
        blocks.append(_section(f"*Reproduce:* {code(words.command[:2000])}"))
    links = []
    if words.runbook:
        links.append(_link(words.runbook, "Runbook") if is_web(words.runbook) else escape(words.runbook))
    if words.job:
        links.append(_link(words.job, "Job"))
    if links:
        blocks.append(_section(" · ".join(links)))
    about = f"GitKitchen {words.id}"
    blocks.append({"type": "context", "elements": [{"type": "plain_text", "text": about, "emoji": False}]})
    return {
        "text": f"{mark} {escape(words.title)}",
        "unfurl_links": False,
        "unfurl_media": False,
        "attachments": [{"color": COLOURS[words.colour], "blocks": blocks}],
    }


def _section(text: str) -> dict[str, Any]:
    cut = text if len(text) <= SECTION else text[: SECTION - 1] + "…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut, "verbatim": True}}


def send(words: Words, channel: Channel, about: Surroundings) -> Answer:
    """Slack answers ``ok``; it knows no repetition."""
    address = secret(channel, "url", about.environ)
    return post(address, as_json(payload(words)), {}, channel.name, about.left())
