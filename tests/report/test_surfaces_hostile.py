"""Naughty texts are inert in every surface, and every surface keeps its limit, whatever a document holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.finding import PolicyFinding
from gitkitchen.github.surfaces import ANNOTATIONS_PER_REQUEST, MAX_COMMENT, MAX_TEXT, CheckRun
from gitkitchen.model import Outcome, State, TestState, Verdict
from gitkitchen.report.surfaces.checks import concluded
from gitkitchen.report.surfaces.comment import BYTES, body, comment
from gitkitchen.report.surfaces.document import from_document, to_document
from gitkitchen.report.surfaces.outputs import output_file, outputs
from gitkitchen.report.surfaces.pull import Change, NotTested, Pull
from gitkitchen.report.surfaces.summary import summary
from inert import Page, assert_inert
from pulls import NAUGHTY, RUN_URL, TREE, cases, hostile, judged, node, outcome

MERMAID = (
    "flowchart TD",
    r'  n\d+\["[\w /,.#;<>-]*"\]:::[a-z]+',
    r"  n\d+ --> n\d+",
    r"  classDef [\w:#,; -]+",
)
HOSTILE = hostile()


@dataclass(frozen=True)
class Posted:
    """All that is made of a document, made once."""

    comment: str
    body: str
    summary: str
    checks: tuple[CheckRun, ...]
    outputs: dict[str, str]

    @classmethod
    def of(cls, pull: Pull) -> Posted:
        made = comment(pull, RUN_URL)
        return cls(made.whole, made.body, summary(pull, RUN_URL), concluded(pull, RUN_URL), outputs(pull))

    @property
    def markdown(self) -> dict[str, str]:
        """Every Markdown text by where it stands."""
        found = {"comment": self.comment, "summary": self.summary}
        for check in self.checks:
            found |= {f"summary of {check.name}": check.summary, f"text of {check.name}": check.text}
        return found


def plain_texts(checks: tuple[CheckRun, ...]) -> Iterator[str]:
    for check in checks:
        yield check.name
        yield check.title
        for one in check.annotations:
            yield from (one.path, one.title, one.message)


def assert_bounded(posted: Posted) -> None:
    assert len(posted.comment) <= MAX_COMMENT
    assert len(posted.body.encode()) <= BYTES
    assert len(posted.summary.encode()) <= 1_000_000
    assert len({c.name for c in posted.checks}) == len(posted.checks) > 0
    for check in posted.checks:
        assert max(len(check.summary.encode()), len(check.text.encode())) <= MAX_TEXT
        assert len(check.annotations) <= ANNOTATIONS_PER_REQUEST
        assert len(check.title) <= 255
    assert len(output_file(posted.outputs, "delimiter").encode()) < 1_000_000


def assert_all(pull: Pull) -> Posted:
    """Bounded and inert in every surface."""
    posted = Posted.of(pull)
    assert_bounded(posted)
    for where, text in posted.markdown.items():
        assert_inert(where, text)
    return posted


@pytest.mark.parametrize("name", list(cases()))
def test_what_people_meet_is_valid_and_bounded(name: str) -> None:
    """Each kind of pull request renders with our own tags alone, balanced and within its limits."""
    assert_all(cases()[name])


def test_naughty_texts_in_every_place_are_inert() -> None:
    """As node, column, message, path, owner, approver, reason: all is text and nothing else."""
    assert_all(HOSTILE)


@pytest.mark.parametrize("word", NAUGHTY, ids=range(len(NAUGHTY)))
def test_each_naughty_text_alone_is_inert(word: str) -> None:
    """A document in which every text is the same one cannot be more than text either."""
    assert_all(hostile((word,)))


def test_plain_surfaces_hold_no_command_and_one_line() -> None:
    """Titles, names and paths are single printable lines; messages begin no line with a runner's command."""
    checks = concluded(HOSTILE)
    for text in plain_texts(checks):
        assert "##[" not in text
        assert not re.search(r"(?m)^\s*::", text)
        assert all(line.isprintable() for line in text.split("\n"))
    assert all("\n" not in c.title + c.name for c in checks)


def test_no_name_becomes_a_line_of_mermaid_or_shell() -> None:
    """In fences stand our own words alone: ids, character codes, commands without a shell's characters."""
    for text in Posted.of(HOSTILE).markdown.values():
        for language, inside in re.findall(r"(?m)^```(\w+)\n(.*?)^```$", text, re.S | re.M):
            for line in inside.splitlines():
                if language == "mermaid":
                    assert any(re.fullmatch(shape, line) for shape in MERMAID), line
                else:
                    assert re.fullmatch(r"(gitkitchen|git) [\w ./:+@=-]+", line), line


def test_an_address_that_is_none_becomes_no_link() -> None:
    """The run's address comes from the job's surroundings: anything but a plain one is left out."""
    for url in (
        "javascript:alert(1)",
        "https://e.example/a b",
        "https://e.example/)[x](https://evil.example",
        "",
    ):
        assert Page(body(HOSTILE, BYTES, url)).links == []
        assert {c.details_url for c in concluded(HOSTILE, url)} == {""}
    assert concluded(HOSTILE, RUN_URL)[0].details_url == RUN_URL


def test_outputs_are_lines_that_nobody_can_break_out_of() -> None:
    """Each output is one line between delimiters; a value that held the delimiter would be refused."""
    values = outputs(HOSTILE)
    assert all("\n" not in v and v.isascii() for v in values.values())
    assert isinstance(json.loads(values["failed-tests"]), list)
    text = output_file(values, "ghadelimiter_5f2")
    assert text.count("ghadelimiter_5f2") == 2 * len(values)
    with pytest.raises(Exception, match="holds the delimiter"):
        output_file({"a": "x ghadelimiter_5f2 y"}, "ghadelimiter_5f2")


def many() -> Pull:
    """500 failing tests with 10 MB of messages, 5,000 remarks on files, and as much of all else."""
    long = "x" * 20_000
    nodes = tuple(
        node(
            f"model_{i:03}",
            State.FAILED,
            judged(
                f"model_{i:03}", "unique(id)", TestState.FAILED, observed=f"{i} rows {long}", message=long
            ),
        )
        for i in range(500)
    )
    one = cases()["breaking"].differences[0]
    return replace(
        cases()["policy"],
        recipes=(outcome(nodes, Verdict.FAILED), cases()["failed"].recipes[1]),
        policy=tuple(PolicyFinding("c", "notice", f"n{i} {long[:500]}", "a.yml", i + 1) for i in range(5000)),
        changes=tuple(Change("delays", f"model_{i:03}", "changed", ("sql",)) for i in range(500)),
        not_tested=tuple(NotTested("delays", f"d{i}", long[:900], i % 2 == 0) for i in range(2000)),
        differences=(
            replace(
                one,
                datasets=tuple(replace(d, dataset=f"d{i}") for i in range(150) for d in one.datasets[2:]),
                reaches=one.reaches * 1000,
            ),
        ),
        waivers=cases()["policy"].waivers * 500,
    )


@pytest.mark.long
def test_five_hundred_failures_fit_and_say_what_is_missing() -> None:
    """However much there is, every surface keeps its limit, is valid, and counts what it leaves out."""
    pull = many()
    assert sum(len(t.observed) + len(t.message) for o in pull.recipes for t in o.tests) > 10_000_000
    posted = assert_all(pull)
    said = posted.body
    assert said.startswith("## ❌ GitKitchen: 1 of 2 recipes failed")
    assert re.search(r"Left out for length: .*4\d\d more failures.*The job's summary shows more", said)
    for title in (
        "Policy",
        "Failed",
        "Changed in the recipes",
        "How the data changes",
        "Not tested",
        "Waivers",
    ):
        assert f"### {title}\n" in said
    (check, _) = posted.checks
    assert [a.level for a in check.annotations] == ["failure"] * 50
    assert check.annotations[-1].title == "and 5,451 more"
    assert "more failures" in check.text


@pytest.mark.long
@settings(max_examples=15)
@given(st.integers(0, 70_000))
def test_a_comment_is_valid_wherever_it_is_cut(limit: int) -> None:
    """At every budget the comment is within it, balanced, and begins with its verdict."""
    text = body(HOSTILE, limit, RUN_URL)
    assert len(text.encode()) <= limit
    assert not text or text.startswith("## ❌ GitKitchen")
    assert_inert(f"at {limit}", text)


@settings(max_examples=20)
@given(data=st.data())
def test_any_document_renders_within_budgets(
    data: st.DataObject, encodable_outcomes: st.SearchStrategy[Outcome]
) -> None:
    """Whatever outcomes and texts a document holds, all surfaces are bounded, balanced, inert."""
    words = data.draw(st.lists(st.sampled_from(NAUGHTY), min_size=1, max_size=4, unique=True))
    base = hostile(tuple(words))
    outcomes = {(o.recipe, o.variation): o for o in data.draw(st.lists(encodable_outcomes, max_size=3))}
    chosen = replace(
        base,
        recipes=tuple(
            replace(o, subject=replace(o.subject, tree=TREE if data.draw(st.booleans()) else "0" * 40))
            for o in outcomes.values()
        ),
        differences=base.differences if data.draw(st.booleans()) else (),
        policy=base.policy if data.draw(st.booleans()) else (),
        not_tested=base.not_tested if data.draw(st.booleans()) else (),
    )
    pull = from_document(to_document(chosen))
    for check in assert_all(pull).checks:
        assert check.conclusion in ("success", "failure", "action_required", "cancelled")
