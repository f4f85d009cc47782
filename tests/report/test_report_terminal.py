"""The report in a terminal."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.model import Kitchen, Outcome, Publication, State, Verdict
from gitkitchen.report.terminal import render
from gitkitchen.report.text import cells

ANSI = re.compile(r"\x1b\[[0-9;]*m")
COMMAND = re.compile(r"^\s*(see them|again|Candidate:)\s")


@pytest.mark.parametrize("name", ["rich", "green", "many"])
def test_terminal_golden(
    name: str, request: pytest.FixtureRequest, golden: Callable[[str, str], None]
) -> None:
    """The report reads as its file in golden/ does."""
    golden(f"terminal-{name}.txt", render(request.getfixturevalue(f"{name}_outcome"), width=80) + "\n")


def test_failures_come_first_and_the_verdict_last(rich_outcome: Outcome) -> None:
    """A reader meets what failed, then the warnings, then the nodes, and last what came of it."""
    told = render(rich_outcome)
    marks = [
        "✗ late_by_hour: logic rows",
        "✗ excused",
        "! flights: relationships",
        "✓ passed     airlines",
        "FAILED in",
    ]
    places = [told.index(mark) for mark in marks]
    assert places == sorted(places)
    assert told.splitlines()[-2].startswith("Next: mend this")


def test_a_failure_says_all_that_is_known(rich_outcome: Outcome) -> None:
    """Observed, expected, failing rows, cause, keys, place and the command to see them."""
    first = render(rich_outcome).split("\n\n")[1]
    for words in (
        "observed  8,035,799 rows, 23.86 times those of flights",
        "expected  as many rows as flights: 336,776",
        "failing   7,699,023 of 8,035,799 rows (95.8%)",
        "cause     A join on columns",
        "at        recipes/delays/recipe.yml:31",
        "rows      origin  day  rows",
        "and 7,699,018 more",
        f"see them  gitkitchen query --candidate {rich_outcome.run} 'select origin, day, count(*)",
    ):
        assert words in first


def test_a_green_run_is_short(green_outcome: Outcome) -> None:
    """Nothing to mend: a head, a line a node, the verdict, what was published."""
    told = render(green_outcome)
    assert len(told.splitlines()) <= 7
    assert "PASSED in 213 ms · 2 nodes: 1 passed, 1 reused · 2 tests: 2 passed (1 reused)" in told
    assert "Next:" not in told


def test_many_nodes_stay_a_page(many_outcome: Outcome) -> None:
    """A thousand nodes do not scroll what matters away."""
    lines = render(many_outcome, width=100).splitlines()
    assert len(lines) < 250
    assert any("model_001, model_002" in line and "more" in line for line in lines)
    assert sum(line.startswith("✗ failed") for line in lines) == 9


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_lines_keep_to_the_width(rich_outcome: Outcome, width: int) -> None:
    """Only commands, which are for copying, may be longer than the terminal is wide."""
    for line in render(rich_outcome, width=width).splitlines():
        assert COMMAND.match(line) or cells(line) <= max(40, min(width, 120)), line


def test_colour_adds_nothing_but_colour(rich_outcome: Outcome) -> None:
    """Without its colours the report is the same text: no meaning is in colour alone."""
    coloured = render(rich_outcome, colour=True)
    assert ANSI.sub("", coloured) == render(rich_outcome)
    assert coloured != render(rich_outcome)


def test_ascii_terminals_are_served(rich_outcome: Outcome) -> None:
    """A terminal that knows only ASCII gets only ASCII."""
    assert render(rich_outcome, unicode=False).isascii()


@given(data=st.data())
def test_no_text_reaches_the_terminal_or_the_runner_raw(
    data: st.DataObject, outcomes: st.SearchStrategy[Outcome]
) -> None:
    """Whatever names and values hold: no control character, and no line that a job's runner would obey."""
    told = render(data.draw(outcomes))
    for line in told.split("\n"):
        assert line.isprintable()
        assert not line.strip().startswith("::")
        assert "##[" not in line


def test_what_next_follows_the_verdict(green_outcome: Outcome) -> None:
    """Every ending names its next step; a dirty work tree is asked to be committed."""
    kept = Publication("withheld", "the work tree has uncommitted changes")
    dirty = replace(green_outcome, publication=kept, subject=replace(green_outcome.subject, dirty=True))
    assert "Next: commit your changes, then gitkitchen run delays" in render(dirty)
    stopped = replace(green_outcome, verdict=Verdict.CANCELLED, publication=kept)
    assert f"Next: gitkitchen run --resume {green_outcome.run} ends this run" in render(stopped)
    empty = replace(green_outcome, verdict=Verdict.NOTHING_TESTED, publication=kept, nodes=())
    assert "NOTHING WAS TESTED in 213 ms · no nodes · no tests" in render(empty)
    assert "Next: add tests to the recipe, then" in render(empty)
    failed = replace(green_outcome, verdict=Verdict.INFRASTRUCTURE, publication=kept)
    assert "COULD NOT CHECK in" in render(failed)


def test_datasets_without_a_test_are_named(rich_outcome: Outcome) -> None:
    """Green needs evidence: what no test speaks for is said."""
    assert re.search(
        r"^not tested: .*planes$", render(rich_outcome, width=2000).replace("\n  ", " "), re.MULTILINE
    )


def test_commands_are_one_line_to_copy(rich_outcome: Outcome) -> None:
    """SQL of several lines becomes one; with a comment, which would swallow the rest, the node runs again."""
    told = render(rich_outcome)
    assert "'select tailnum, count(*) from flights anti join planes using (tailnum) group by 1'" in told
    node = rich_outcome.nodes[3]
    test = replace(node.tests[0], reproduce="select 1 -- one\nfrom late_by_hour")
    commented = render(replace(rich_outcome, nodes=(replace(node, tests=(test,)),)))
    assert "again     gitkitchen run delays --variation daily --select late_by_hour" in commented


def test_sandboxes_and_selections_are_said(green_outcome: Outcome) -> None:
    """The head says which kitchen it was, and that only a part ran."""
    here = Kitchen("p", "r", "feature/x", "k_feature_x_0123456789ab", None, "prod")
    assert "sandbox feature/x, based on prod" in render(replace(green_outcome, kitchen=here), width=120)
    assert "a part of the recipe" in render(replace(green_outcome, complete=False), width=120)


def test_few_reused_nodes_share_a_line(green_outcome: Outcome) -> None:
    """A run that reuses all shows it in one line."""
    one = replace(green_outcome.nodes[1], tests=())
    nodes = tuple(replace(one, node=f"n{i}", state=State.REUSED) for i in range(9))
    assert "= reused     n0, n1, n2, n3, n4, n5, n6, n7, n8" in render(replace(green_outcome, nodes=nodes))


def test_the_terminal_report_imports_nothing_heavy() -> None:
    """A run in which nothing changed can report without rich, jinja2, jsonschema or duckdb."""
    code = (
        "import sys, gitkitchen.report.terminal, gitkitchen.report.outcome, gitkitchen.report.live\n"
        "heavy = ('rich', 'jinja2', 'jsonschema', 'duckdb', 'sqlglot', 'junit_xml')\n"
        "sys.exit(str([m for m in heavy if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"
