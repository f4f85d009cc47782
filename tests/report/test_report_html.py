"""The page of a run: self-contained, locked, legible."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strict
from gitkitchen.model import Outcome
from gitkitchen.report import facts
from gitkitchen.report.html import page
from gitkitchen.shipped import find

TAGS = (
    "html head meta title style body a header p h1 h2 h3 span dl div dt dd nav main section article code pre"
    " svg rect i small table thead tbody tr th td details summary footer br"
)


class Reader(strict.Reader):
    """A page that stands alone: known tags only, links to the web or within, and nothing that it loads."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS.split(), tag
        for name, value in attrs:
            assert name != "src"
            assert name != "href" or (value or "").startswith(("#", "https://", "http://")), value
        super().handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            super().handle_data(data)


def words(text: str) -> str:
    return " ".join(" ".join(Reader(text).texts).split())


@pytest.mark.parametrize("name", ["rich", "green"])
def test_html_golden(name: str, request: pytest.FixtureRequest, golden: Callable[[str, str], None]) -> None:
    """The page, its style aside, reads as its file in golden/ does."""
    text = page(request.getfixturevalue(f"{name}_outcome"))
    text = re.sub(r"<style>.*?</style>", "<style>…</style>", text, flags=re.DOTALL)
    golden(f"page-{name}.html", re.sub(r"sha256-[^']+", "sha256-…", text))


@settings(max_examples=30)
@given(data=st.data())
def test_no_value_becomes_html(data: st.DataObject, outcomes: st.SearchStrategy[Outcome]) -> None:
    """Whatever texts hold, the page has our tags only, all closed; links go to the web or within."""
    text = page(data.draw(outcomes), public_only=data.draw(st.booleans()))
    text.encode()
    reader = Reader(text)
    assert len(reader.ids) == len(set(reader.ids))
    assert all(link.removeprefix("#") in reader.ids for link in reader.links if link.startswith("#"))
    assert all(line.isprintable() for part in reader.texts for line in part.split("\n"))


def test_the_page_allows_itself_nothing(rich_outcome: Outcome) -> None:
    """Its policy forbids every script, request and form; the one style is allowed by its digest."""
    text = page(rich_outcome)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f'content="{policy}"' in text.replace("&#39;", "'").replace("&#43;", "+")
    assert "<script" not in text
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_failures_come_first_with_all_that_is_known(rich_outcome: Outcome) -> None:
    """What failed, observed and expected, cause, keys, command; then warnings, nodes, details."""
    told = words(page(rich_outcome))
    order = [
        "Failed: late_by_hour, report, slow",
        "What failed 4",
        "Failed and excused",
        "Warnings 2",
        "Not tested 2",
        "Nodes 11",
    ]
    assert [told.index(w) for w in order] == sorted(told.index(w) for w in order)
    for said in (
        "observed 8,035,799 rows, 23.86 times those of flights",
        "A join on columns that are not unique",
        "and 7,699,016 more",
        "gitkitchen query --candidate 20261121T051703Z-4f2a9c 'select origin",
        "ValueError: no such airport",
        "late_by_hour.sql changed; input weather changed",
        "Consumers still read what they read before.",
        "keep it where the data may be",
    ):
        assert said in told


def test_links_of_nodes_are_links_only_to_the_web(rich_outcome: Outcome) -> None:
    """A node may report a link; another scheme stays text."""
    text = page(rich_outcome)
    assert 'href="https://example.org/d?a=1&amp;b=&lt;x&gt;"' in text
    assert "bad: javascript:alert(1)" in words(text)


def test_a_public_page_hides_what_is_not_public(rich_outcome: Outcome) -> None:
    """For others' eyes: no values but public ones, and no logs."""
    text = page(rich_outcome, public_only=True)
    for secret in ("Jane Doe", "日本語", "-4711", "no such airport"):
        assert secret not in text
    assert "Values of columns that are not public are hidden." in text
    assert "EWR" in text


def test_times_lie_on_the_line(rich_outcome: Outcome) -> None:
    """A bar begins when its node began and is as long as the node took, of the whole run."""
    text = page(rich_outcome)
    assert 'aria-label="began after 400 ms, took 3.2 s"' in text
    assert 'x="47.6" width="382.1"' in text


@pytest.mark.long
def test_a_page_of_a_thousand_nodes(many_outcome: Outcome) -> None:
    """Many nodes make a long page, and still one that a browser opens at once."""
    text = page(many_outcome)
    assert len(text) < 3_000_000
    assert words(text).count("model_999") >= 2


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(scheme: str) -> None:
    """All colours of text reach 4.5:1 (WCAG AA) on both grounds, in light and in dark."""
    css = find("templates/report.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", dark))
    for ground in ("paper", "sheet"):
        for ink in ("ink", "quiet", "good", "bad", "warn", "link"):
            bright, dim = sorted((luminance(colours[ground]), luminance(colours[ink])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, ground)


def test_states_are_words_beside_colours(rich_outcome: Outcome) -> None:
    """Who sees no colours reads the state; who hears the page is spared the symbol."""
    text = page(rich_outcome)
    for word in ("passed", "reused", "failed", "error", "timed out", "cancelled", "blocked", "skipped"):
        assert re.search(rf'<span class="state \w+"><i aria-hidden="true">.</i>{word}</span>', text), word


def test_the_page_of_an_empty_run(green_outcome: Outcome) -> None:
    """Even a run of nothing has a page."""
    assert "no nodes" in words(page(replace(green_outcome, nodes=(), tools={})))


def test_what_a_sample_leaves_out_counts_rows(rich_outcome: Outcome) -> None:
    """Repeated keys are told with their rows: these are not counted again as left out."""
    repeated = replace(
        next(t for n in rich_outcome.nodes for t in n.tests if t.sample),
        id="n/outputs/unique(origin)",
        kind="unique",
        failing=6,
        tested=100,
        sample=tuple({"origin": o, "rows": "2"} for o in ("EWR", "JFK", "LGA")),
    )
    assert facts.left_out(repeated, 3) == ""
    assert facts.left_out(repeated, 2) == "and 2 more rows"
    of_a_column = replace(repeated, id="n/outputs/range(rows, max=1)", kind="range")
    assert facts.left_out(of_a_column, 3) == "and 3 more"
