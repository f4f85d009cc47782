"""Annotations as the commands of a GitHub runner."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Place
from gitkitchen.model import Outcome
from gitkitchen.report.annotations import Annotation, command, commands, lines

COMMAND = re.compile(
    r"^::(error|warning|notice)(?: ((?:(?:file|line|col|title)=[^:,\r\n]*,?)+))?::([^\r\n]+)$"
)


def unescape(value: str) -> str:
    for code, char in (("%0A", "\n"), ("%0D", "\r"), ("%3A", ":"), ("%2C", ","), ("%5B", "["), ("%25", "%")):
        value = value.replace(code, char)
    return value


def test_annotations_golden(rich_outcome: Outcome, golden: Callable[[str, str], None]) -> None:
    """The commands read as their file in golden/ does."""
    golden("annotations-rich.txt", commands(rich_outcome))


@given(st.text(), st.text(), st.text(), st.integers(0, 9), st.integers(0, 9))
def test_no_text_breaks_out_of_its_command(
    message: str, file: str, title: str, line: int, column: int
) -> None:
    """Whatever message, file and title hold, it is one command, and the runner reads them back."""
    told = command(Annotation("error", message, Place(file, line, column), title))
    match = COMMAND.match(told)
    assert match is not None
    assert "##[" not in told
    assert unescape(match[3]).isprintable() or "\n" in unescape(match[3])


def test_escaping_is_the_runners(rich_outcome: Outcome) -> None:
    """Percent first, then line ends, and in properties colon and comma as well."""
    told = command(Annotation("warning", "50%0A\n::error::x", Place("a:b,c.yml", 3, 2), "100%: a, b"))
    assert told == "::warning file=a%3Ab%2Cc.yml,line=3,col=2,title=100%25%3A a%2C b::50%250A%0A::error::x"


def test_a_step_shows_ten_of_each_level() -> None:
    """Of a hundred errors nine are shown and the tenth counts the rest; warnings have ten of their own."""
    every = [Annotation("error", f"e{i}") for i in range(100)] + [
        Annotation("warning", f"w{i}") for i in range(10)
    ]
    told = lines(every)
    assert len(told) == 20
    assert told[9] == "::error::and 91 more, which the report lists"
    assert told[-1] == "::warning::w9"


def test_annotations_name_the_failure_and_no_values(rich_outcome: Outcome) -> None:
    """The line of the recipe that declares the test gets what was observed; rows stay out."""
    told = commands(rich_outcome)
    assert told.startswith(
        "::error file=recipes/delays/recipe.yml,line=31,col=7,title=late_by_hour%3A logic rows"
    )
    for secret in ("Jane Doe", "EWR", "-4711"):
        assert secret not in told


def test_a_green_run_has_no_annotations(green_outcome: Outcome) -> None:
    """Nothing to remark, nothing printed."""
    assert commands(green_outcome) == ""
