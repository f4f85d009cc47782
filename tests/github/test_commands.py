"""Commands in comments: what is meant as one is one; quotes, code and hidden text are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.github.commands import VERBS, Command, Unclear, parse

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("body", "command"),
    [
        ("/kitchen run", Command("run")),
        ("/kitchen", Command("help")),
        ("/kitchen help", Command("help")),
        ("/kitchen fresh\r\n\r\nthanks!", Command("fresh")),
        ("/kitchen  diff   late_by_carrier  ", Command("diff", "late_by_carrier")),
        (f"/kitchen run {SHA}", Command("run", head=SHA)),
        (f"/kitchen diff orders {SHA}", Command("diff", "orders", SHA)),
        ("Looks good.\n\n/kitchen run", Command("run")),
        ("> what they said\n\n/kitchen run", Command("run")),
        ("```\ncode\n```\n\n/kitchen run", Command("run")),
        ("/kitchen run\n/kitchen run", Command("run")),
        ("<b>bold</b>\n\n/kitchen run", Command("run")),
    ],
)
def test_what_is_a_command(body: str, command: Command) -> None:
    """A line of its own at the beginning of a paragraph is a command."""
    assert parse(body) == command


@pytest.mark.parametrize(
    "body",
    [
        "",
        "please /kitchen run",
        "`/kitchen run`",
        " /kitchen run",
        "\t/kitchen run",
        "    /kitchen run",
        "> /kitchen run",
        "> quoted\n/kitchen run",  # CommonMark: a lazy continuation belongs to the quote
        "text\n/kitchen run",
        "- item\n/kitchen run",
        "```\n/kitchen run\n```",
        "```\n\n/kitchen run",
        "~~~~ sh\n```\n\n/kitchen run\n~~~~",
        "````\n```\n\n/kitchen run\n````",
        "- ```\n\n/kitchen run\n",
        "> ```\n\n/kitchen run\n",
        "<!-- \n\n/kitchen run\n\n-->",
        "<!--\n\n/kitchen run",
        "<pre>\n\n/kitchen run\n\n</pre>",
        "<blockquote>\n\n/kitchen run\n",
        "<details><summary>log</summary>\n\n/kitchen run\n\n</details>",
        "/kitchenrun",
        "/Kitchen run",
        "/kitchen\u00a0run",
        "/kitchen\trun",
        "\u200b/kitchen run",
        "\\/kitchen run",
    ],
)
def test_what_is_none(body: str) -> None:
    """Quotes of others, code, hidden text, and lines within a text do nothing."""
    assert parse(body) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("/kitchen rnu", "did you mean `run`"),
        ("/kitchen deploy prod", "there is no such command"),
        ("/kitchen diff", "the name of one dataset"),
        ("/kitchen diff a b", "the name of one dataset"),
        ("/kitchen diff ../x", "the name of one dataset"),
        ("/kitchen diff $(id)", "the name of one dataset"),
        ("/kitchen run 0123456", "the whole 40 digits"),
        ("/kitchen run --force", "takes nothing"),
        ("/kitchen run\n\n/kitchen fresh", "one command"),
    ],
)
def test_what_is_unclear(body: str, why: str) -> None:
    """What begins as a command and is none is answered, with what would be one."""
    found = parse(body)
    assert isinstance(found, Unclear)
    assert why in found.why


LINES = st.sampled_from(
    [
        "/kitchen run",
        "/kitchen diff orders",
        "",
        "text",
        "```",
        "~~~",
        "> x",
        "- ```",
        "<pre>",
        "</pre>",
        "<!--",
        "-->",
    ]
)
TEXTS = st.lists(LINES | st.text(max_size=12), max_size=14).map("\n".join)


@given(TEXTS)
def test_any_text_is_a_command_an_unclear_one_or_none(body: str) -> None:
    """Nothing that people write breaks the parser, and no command is more than its grammar allows."""
    found = parse(body)
    assert found is None or isinstance(found, Command | Unclear)
    if isinstance(found, Command):
        assert found.verb in VERBS
        assert any(line.startswith("/kitchen") for line in body.replace("\r", "\n").split("\n"))


@given(TEXTS)
def test_a_quote_of_any_comment_does_nothing(body: str) -> None:
    """Whatever somebody wrote: quoted whole, by the button `Quote reply`, it commands nothing."""
    quoted = "\n".join(f"> {line}" for line in body.replace("\r", "\n").split("\n"))
    assert parse(quoted) is None


@given(TEXTS)
def test_a_block_of_code_does_nothing(body: str) -> None:
    """Whatever somebody wrote: within a fence that it does not close it commands nothing."""
    assert parse(f"`````````\n{body}\n`````````") is None
    assert parse("\n".join(f"    {line}" for line in body.split("\n") if line.strip("\r"))) is None


@given(TEXTS)
def test_line_ends_mean_nothing(body: str) -> None:
    """A comment means the same with the line ends of a browser."""
    plain = body.replace("\r", "\n")
    assert parse(plain) == parse(plain.replace("\n", "\r\n"))


def test_a_long_comment_is_read_at_once() -> None:
    """The longest comments take no time that grows faster than they do, and are what short ones are."""
    begun = time.process_time()
    for piece in ("<!--", "<pre>", "> ", "- ", "```\n", "<details " * 3):
        assert parse((piece * 70_000)[:70_000]) is None
    assert isinstance(parse(("/kitchen run\n" * 70_000)[:70_000]), Unclear)
    assert time.process_time() - begun < 30, "what takes milliseconds hangs"
