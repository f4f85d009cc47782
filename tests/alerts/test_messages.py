"""What each channel is sent: golden files, and nothing in a text that means anything but itself."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from tests.alerts.telling import HOSTILE, delivery, hostile, several, words

from gitkitchen.alerts.channels import github_issue, slack, smtp, teams, webhook
from gitkitchen.alerts.channels.contract import as_json
from gitkitchen.alerts.message import Words, test_words, words_of
from gitkitchen.errors import Mistake
from gitkitchen.kitchen.alerting import FIELDS
from gitkitchen.model import Channel

GOLDEN = Path(__file__).parent / "golden"
MAIL = Channel("mail", "smtp", {"host": "localhost", "from": "data@acme.example", "to": ["ana@acme.example"]})
HOOK = Channel("hook", "webhook", {"url": "https://e.example"})
TEMPLATE = {"text": "${{ alert.title }}", "n": "${{ alert.count }}", "who": ["${{ alert.owner }}!", 7, None]}


def written(kind: str, told: Words) -> str:
    if kind == "mail.txt":
        return smtp.message(told, MAIL).as_bytes(policy=policy.SMTP.clone(linesep="\n")).decode("ascii")
    if kind == "issue.md":
        return github_issue.body(told) + "\n"
    made: Any = {"slack": slack.payload, "teams": teams.payload}.get(
        kind.removesuffix(".json"), lambda w: webhook.payload(w, HOOK)
    )(told)
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


@pytest.mark.parametrize("channel", ["slack.json", "teams.json", "webhook.json", "mail.txt", "issue.md"])
@pytest.mark.parametrize("kind", ["opened", "updated", "closed", "test", "group", "digest"])
def test_messages_are_as_they_were(kind: Any, channel: str) -> None:
    """Each channel's message of each kind; UPDATE_GOLDEN=1 writes the files anew, to be looked at."""
    at = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)
    if kind in ("group", "digest"):
        told = several(kind)
    else:
        told = test_words("c", at, project="flights") if kind == "test" else words(kind)
    path, text = GOLDEN / f"{kind}.{channel}", written(channel, told)
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def sections(made: Any) -> list[Any]:
    return [b for b in made["attachments"][0]["blocks"] if b["type"] == "section"]


@pytest.mark.parametrize("channel", ["slack.json", "teams.json", "webhook.json", "mail.txt", "issue.md"])
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_hostile_texts_stay_texts(channel: str, many: bool) -> None:
    """No control or bidirectional character, no secret, no unbounded text; and what is sent is in UTF-8."""
    text = written(channel, hostile(many=many))
    assert "s3cr3t" not in text
    assert "***" in text.replace("\\*", "*").replace("*\u200b", "*")
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert len(text.encode()) < 60_000


def test_slack_is_told_nothing_but_text() -> None:
    """Only our own two links are in angle brackets: no mention, no link of the data's; within Slack's
    limits."""
    made = slack.payload(hostile(many=True))
    marked = [made["text"], *(b["text"]["text"] for b in sections(made))]
    for text in marked:
        assert not re.search(r"<(?!https://)", text)
    blocks = made["attachments"][0]["blocks"]
    assert len(blocks) <= 50
    assert all(len(b["text"]["text"]) <= 3000 for b in sections(made))
    assert len(blocks[0]["text"]["text"]) <= 150
    # What is not marked up is plain text by its type.
    others = [e for b in blocks if b["type"] != "section" for e in (b.get("elements") or [b["text"]])]
    assert {e["type"] for e in others} == {"plain_text"}


def test_teams_is_told_nothing_but_runs() -> None:
    """All texts are TextRuns, which know no Markdown; links lead to the web; the card is within 28 kB."""
    made = teams.payload(hostile(many=True))
    card = made["attachments"][0]["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert all(run["type"] == "TextRun" for block in card["body"] for run in block["inlines"])
    assert all(action["url"].startswith("https://") for action in card.get("actions", ()))
    assert len(as_json(made)) <= 28_000


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.links += [v or "" for k, v in attrs if k in ("href", "src") or k.startswith("on")]


TAGS = {"html", "meta", "body", "h2", "table", "tr", "th", "td", "p", "b", "ul", "li", "pre", "small", "a"}


def test_mail_is_one_mail() -> None:
    """No header comes from a text, no tag either; both parts say the same; and bytes are the same each
    time."""
    told = hostile(many=True)
    raw = smtp.message(told, MAIL).as_bytes(policy=policy.SMTP)
    read = message_from_bytes(raw, policy=policy.default)
    assert read["Bcc"] is None
    assert read["To"] == "ana@acme.example"
    assert read["Message-ID"] == f"<{told.id}.mail@acme.example>"
    plain, html = read.iter_parts()
    assert told.title in plain.get_content()
    tags = Tags()
    tags.feed(html.get_content())
    assert tags.found <= TAGS
    assert all(link.startswith("https://") for link in tags.links)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


def test_an_issue_is_told_nothing_but_text() -> None:
    """GitHub's Markdown makes no link, image, mention, or HTML of a text."""
    body = github_issue.body(hostile(many=True))
    html = MarkdownIt("gfm-like").render(body)
    tags = Tags()
    tags.feed(html)
    assert tags.found <= {"p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code"}
    assert tags.links == []
    assert "@acme/all" not in re.sub(r"<code>.*?</code>", "", html)


def test_links_are_only_to_the_web() -> None:
    """A runbook that is an address or a file of the repository is a link, any other text stays one."""
    told = words()
    file = "recipes/delays/runbook.md"
    assert (
        told.runbook
        == f"https://github.com/acme/flights/blob/d2e9b6291201b60c10bfc740092b88d0691d01a9/{file}"
    )
    assert words_of(delivery("opened")).runbook == file
    assert hostile().job == ""


def test_a_template_makes_json_of_values() -> None:
    """A lone expression keeps its type, text around it makes text, and no value becomes syntax."""
    channel = Channel("hook", "webhook", {"url": "https://e.example", "template": TEMPLATE})
    made = webhook.payload(words("updated"), channel)
    assert made == {"text": words("updated").title, "n": 3, "who": ["@ana!", 7, None]}
    assert json.loads(as_json(webhook.payload(hostile(), channel)))["text"] == hostile().title


def test_every_field_of_a_template_is_told() -> None:
    """What the files may ask for is what an alert has, no more and no less; nothing else is in reach."""
    assert set(words().fields or {}) == set(FIELDS)
    assert set(test_words("c", datetime(2026, 1, 1, tzinfo=UTC), project="").fields or {}) == set(FIELDS)
    channel = Channel("hook", "webhook", {"template": {"x": "${{ alert.title.__class__ }}"}})
    with pytest.raises(Mistake):
        webhook.payload(words(), channel)


def test_what_masks_are_for() -> None:
    """A secret that a test's words repeat is in no message, whichever text it is in."""
    assert "s3cr3t" in HOSTILE
    assert "s3cr3t" not in json.dumps(hostile().fields)
