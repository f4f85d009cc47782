"""The summary in Markdown: escaped, within its budget, honest when cut."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gitkitchen.model import Outcome, Verdict
from gitkitchen.report.markdown import escape, name, summary
from gitkitchen.report.text import one_line

ZERO_WIDTH = "&#8203;"


@pytest.mark.parametrize("name", ["rich", "green"])
def test_markdown_golden(
    name: str, request: pytest.FixtureRequest, golden: Callable[[str, str], None]
) -> None:
    """The summary reads as its file in golden/ does."""
    golden(f"markdown-{name}.md", summary(request.getfixturevalue(f"{name}_outcome")))


def test_cut_markdown_golden(many_outcome: Outcome, golden: Callable[[str, str], None]) -> None:
    """A summary that was cut reads as its file in golden/ does."""
    golden("markdown-many-cut.md", summary(many_outcome, 4000))


@pytest.mark.parametrize(
    ("hostile", "escaped"),
    [
        ("a|b", "a&#124;b"),
        ("`rm`", "\\`rm\\`"),
        ("<b>&amp;", "&#60;b&#62;&#38;amp;"),
        ("@octocat #12 GH-7", f"@{ZERO_WIDTH}octocat #{ZERO_WIDTH}12 GH{ZERO_WIDTH}-7"),
        ("![i](x) [a](b)", "!\\[i\\](x) \\[a\\](b)"),
        ("*b* ~s~ $m$ _i_ late_by_hour", "\\*b\\* \\~s\\~ &#36;m&#36; \\_i\\_ late_by_hour"),
        ("https://e.example www.e.example", f"https:{ZERO_WIDTH}//e.example www{ZERO_WIDTH}.e.example"),
        ("a\n# b\r\n- c", f"a #{ZERO_WIDTH} b - c"),
        ("::error::x", f":{ZERO_WIDTH}:error:{ZERO_WIDTH}:x"),
        ("##[error]x", f"#{ZERO_WIDTH}#{ZERO_WIDTH}\\[error\\]x"),
        ("\x1b[0m\u202e", "\\\\x1b\\[0m\\\\u202e"),
    ],
)
def test_values_never_become_markdown(hostile: str, escaped: str) -> None:
    """Each thing that Markdown or GitHub would act on is shown as it is written."""
    assert escape(hostile) == escaped


def unescaped(text: str) -> str:
    """What is left when all that we escaped and all our own code tags are taken out."""
    text = text.replace("<code>", "").replace("</code>", "").replace("<sub>", "").replace("</sub>", "")
    return re.sub(r"\\[\\`*_{}\[\]~]|&#\d+;", "·", text)


@given(data=st.data(), limit=st.integers(0, 20_000))
def test_summaries_hold_their_budget_and_stay_valid(
    data: st.DataObject, limit: int, outcomes: st.SearchStrategy[Outcome]
) -> None:
    """At every limit: not a byte too many, no markup from values, every tag closed, every table whole."""
    text = summary(data.draw(outcomes), limit)
    assert len(text.encode()) <= limit
    left = unescaped(text)
    assert not re.search(r"[`\[\]<>~$]|&(?!#)|\w@\w|::|://", left), left
    assert text.count("<code>") == text.count("</code>")
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1
        assert not rows or (len(rows) > 2 and set(rows[1]) <= set("| -"))
    for line in text.splitlines():
        assert not line or line.isprintable()


def test_the_verdict_is_the_last_to_go(rich_outcome: Outcome) -> None:
    """However little room there is, the verdict stands first; with no room there is nothing half said."""
    assert summary(rich_outcome, 70).startswith("### ❌ delays (daily) failed: late\\_by") or summary(
        rich_outcome, 70
    )
    assert summary(rich_outcome, 40) == "**GitKitchen: failed**\n"
    assert summary(rich_outcome, 10) == ""
    short = summary(rich_outcome, 2000)
    assert "Not published to prod" in short
    assert short.index("late_by_hour: logic rows") < short.index("Left out for length:")


def test_cut_summaries_count_what_is_missing(many_outcome: Outcome) -> None:
    """What was left out adds up with what is shown."""
    text = summary(many_outcome, 4000)
    missing = re.search(r"Left out for length: ([\d,]+) more failures?, ([\d,]+) more nodes; ", text)
    assert missing is not None
    shown = len(re.findall(r"unique\(id\)</code>", text))
    assert shown + int(missing[1]) == 40
    assert len(summary(many_outcome, 10**6)) > 50_000
    assert "Left out" not in summary(many_outcome, 10**6)


def test_only_public_values_are_shown(rich_outcome: Outcome) -> None:
    """Failing rows show values of public columns; quoted values, extremes and logs stay out."""
    text = summary(rich_outcome)
    assert "| EWR | 1 | *hidden* | *hidden* |" in text
    for secret in ("Jane Doe", "日本語", "-4711", "Traceback"):
        assert secret not in text
    everything = replace(
        rich_outcome, public_columns=dict.fromkeys(("flights", "late_by_hour", "planes"), ("*",))
    )
    opened = summary(everything)
    assert "Jane Doe" in opened
    assert "日本語 ok" in opened


def test_what_queries_return_is_shown_as_far_as_it_is_a_figure(rich_outcome: Outcome) -> None:
    """A sum may be shown; a text that a query of the user's returned may be anybody's name."""
    node = rich_outcome.nodes[3]
    for metrics, shown in (({"value": 5.0}, True), ({}, False)):
        test = replace(node.tests[0], kind="value", observed="it is 5 or Jane", metrics=metrics)
        text = summary(replace(rich_outcome, nodes=(replace(node, tests=(test,)),)))
        assert ("it is 5 or Jane" in text) is shown
        assert ("observed: **hidden**" in text) is not shown


def test_rows_without_a_public_column_are_counted_only(rich_outcome: Outcome) -> None:
    """Where nothing may be shown, a table of hidden cells would be noise."""
    text = summary(replace(rich_outcome, public_columns={}))
    assert "7,699,023 failing rows; values hidden: none of these columns is public." in text


def test_queries_by_hand_show_no_rows_unless_all_is_public(rich_outcome: Outcome) -> None:
    """A query can give any value the name of a public column."""
    node = rich_outcome.nodes[3]
    test = replace(node.tests[0], kind="no_rows", sample=({"origin": "secret"},))
    outcome = replace(rich_outcome, nodes=(replace(node, tests=(test,)),))
    assert "secret" not in summary(outcome)
    assert "secret" in summary(replace(outcome, public_columns={"late_by_hour": ("*",)}))


def test_reused_blocked_and_untested_are_said(rich_outcome: Outcome) -> None:
    """What did not run and what no test speaks for is in the summary."""
    text = summary(rich_outcome)
    assert "| = | <code>flights</code> | reused | 336,776 |" in text
    assert "| ▪ | <code>summary</code> | blocked |  |  |  | late_by_hour did not pass |" in text
    assert "<code>planes</code>" in text.split("not tested: ")[1].splitlines()[0]
    assert "</code> warning, reused verdict: " in text


def test_unclear_endings_never_look_green(green_outcome: Outcome) -> None:
    """Could not check, nothing tested and cancelled have a mark of their own."""
    for verdict in (Verdict.INFRASTRUCTURE, Verdict.NOTHING_TESTED, Verdict.CANCELLED, Verdict.FAILED):
        assert "✅" not in summary(replace(green_outcome, verdict=verdict))


SHAPES = {
    "item": ("- {}\n", "<ul>\n<li>{}</li>\n</ul>\n"),
    "bold": ("x **{}** y\n", "<p>x <strong>{}</strong> y</p>\n"),
    "cell": ("| a |\n|---|\n| {} |\n", "<tbody>\n<tr>\n<td>{}</td>\n</tr>\n</tbody>\n</table>\n"),
    "code": ("- <code>{}</code>\n", "<ul>\n<li><code>{}</code></li>\n</ul>\n"),
}
GFM = MarkdownIt("gfm-like")
MARKS = "- + * _ 1. 2) = --- *** ___ # > | ` ``` ~~ $ $$ [x] (u) ![ ] \\ { } : // :: <!-- --> x é \u200d"
WORDS = "<b> </td> &amp; & @a #1 www.e.com http://e.com a@e.com GH-1"
PIECES = st.sampled_from([*MARKS.split(" "), *WORDS.split(" "), "[ref]: u", " ", "  ", "\t", "\n"])


TEXTS = st.lists(PIECES, min_size=1, max_size=8).flatmap(
    lambda parts: st.sampled_from(["".join(parts), " ".join(parts)])
)


@settings(max_examples=300)
@example("+ x", "item")
@example("---", "item")
@example("12. x", "item")
@given(text=TEXTS, shape=st.sampled_from(sorted(SHAPES)))
def test_what_is_escaped_reads_as_itself_wherever_it_stands(text: str, shape: str) -> None:
    """In a list, in bold, in a table, as code: a real renderer shows the very text, and nothing else."""
    escaped = escape(text)
    source, result = SHAPES[shape]
    if shape == "code":
        escaped = name(text).removeprefix("<code>").removesuffix("</code>")
    if not escaped:
        return
    page = GFM.render(source.format(escaped))
    shown = html.escape(one_line(text), quote=False).replace('"', "&quot;")
    assert page.replace("\u200b", "").endswith(result.format(shown))
