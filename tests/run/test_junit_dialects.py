"""JUnit XML as tools really write it, and as nobody should: counts are right, or there is a reason."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Place
from gitkitchen.run.junit import Case, read_junit
from gitkitchen.run.junit_places import Finder
from gitkitchen.run.xml_events import MOST_DEPTH, Unreadable

FILES = Path(__file__).parent / "junit_files"
STATES = ("passed", "failed", "error", "skipped")


def table() -> dict[str, tuple[int, ...]]:
    """File -> how many tests passed, failed, erred and were skipped, from the README's table."""
    counts: dict[str, tuple[int, ...]] = {}
    for line in (FILES / "README.md").read_text(encoding="utf-8").splitlines():
        names = re.findall(r"[a-z0-9-]+\.xml", line.split("|")[1]) if line.startswith("| ") else []
        figures = re.findall(r"\d+, \d+, \d+, \d+", line)
        for name, figure in zip(names, figures, strict=True):
            counts[name] = tuple(map(int, figure.split(", ")))
    return counts


@pytest.mark.parametrize("name", sorted(p.name for p in FILES.glob("*.xml")))
def test_each_dialect_has_its_known_counts(name: str) -> None:
    """A file that a tool wrote over a suite with known results parses to these, without a complaint."""
    report = read_junit(FILES / name)
    found = Counter(case.state for case in report.cases)
    assert tuple(found[state] for state in STATES) == table()[name]
    expected = ("tells of an error outside of any test",) if name == "prove.xml" else ()
    assert [t.partition(",")[0] for t in report.troubles] == list(expected)


def test_twelve_tools_and_more() -> None:
    """Every file is in the table, and there are many tools."""
    assert set(table()) == {p.name for p in FILES.glob("*.xml")}
    assert len(table()) >= 25


def test_no_file_names_a_machine() -> None:
    """What is committed tells nothing of where it was made."""
    for path in FILES.glob("*.xml"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/tmp/|/home/|/root/|/Users/", text), path.name
        assert set(re.findall(r'hostname="([^"]*)"', text)) <= {"host", "", "tbd"}, path.name


PLACES = {
    "pytest-xunit1.xml": ("test_shop.py", 19),
    "pytest-xunit2.xml": ("test_shop.py", 19),
    "unittest-xml-reporting.xml": ("test_shop_unit.py", 15),
    "nose2.xml": ("test_shop_unit.py", 15),
    "go-junit-report.xml": ("shop_test.go", 15),
    "gotestsum.xml": ("shop_test.go", 15),
    "cargo-test.xml": ("src/lib.rs", 13),
    "cargo2junit.xml": ("src/lib.rs", 17),
    "surefire.xml": ("src/test/java/shop/ShopTest.java", 10),
    "jest-junit.xml": ("t/shop.test.cjs", 5),
    "mocha-junit-reporter.xml": ("t/shop.mocha.cjs", 7),
    "vitest.xml": ("t/shop.vitest.mjs", 7),
    "node-test.xml": ("t/shop.node.mjs", 7),
    "playwright.xml": ("t/shop.pw.mjs", 7),
    "googletest.xml": ("shop_test.cc", 5),
    "catch2.xml": ("recipes/r/recipe.yml", 3),
    "doctest.xml": ("shop_doctest.cc", 7),
    "bats.xml": ("shop.bats", 4),
    "behave.xml": ("features/shop.feature", 13),
    "ruff.xml": ("a.py", 1),
    "mypy.xml": ("shop.py", 1),
    "eslint.xml": ("t/lint.js", 1),
}


@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_failure_points_to_its_line(name: str, tmp_path: Path) -> None:
    """The first failing test is placed on the line of the repository's file that its dialect tells."""
    for file, _ in PLACES.values():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("\n" * 40, encoding="utf-8")
    finder = Finder(tmp_path, ("t",), Place("recipes/r/recipe.yml", 3))
    cases = [c for c in read_junit(FILES / name).cases if c.state == "failed"]
    assert finder.place(cases[0]) == Place(*PLACES[name])


@pytest.mark.parametrize("file", ["/etc/passwd", "../outside.py", "link.py", "a\0b.py", "x" * 5000 + ".py"])
def test_no_place_is_outside_of_the_repository(file: str, tmp_path: Path) -> None:
    """A report cannot make us look at, or point to, what is not the repository's."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.py").write_text("")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    finder = Finder(root, (), Place("recipe.yml", 1))
    case = Case("t", "c", "s", "failed", file=file, line=3, text=f"{file}:4: boom")
    assert finder.place(case) == Place("recipe.yml", 1)


# --- what is no evidence ---------------------------------------------------------------------------

GOOD = '<testsuite name="s" tests="1"><testcase name="a"/></testsuite>'
BILLION = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
REFUSED = {
    "empty": ("", "is empty"),
    "blank": (" \n", "ends in the middle"),
    "cut": (GOOD[:-9], "ends in the middle (line 1): what wrote it did not finish"),
    "cut-in-a-tag": (GOOD[:30], "ends in the middle"),
    "text": ("ok 1 - adds\n", "is not well-formed XML: syntax error (line 1)"),
    "crossed": ("<testsuite><testcase></testsuite></testcase>", "is not well-formed XML: mismatched tag"),
    "two-roots": (GOOD + GOOD, "is not well-formed XML: junk after document element"),
    "nunit": ("<test-run/>", "is no JUnit report: it is a report of NUnit 3"),
    "trx": ("<TestRun/>", "it is a report of Visual Studio (TRX)"),
    "robot": ("<robot/>", "give the file of its option --xunit"),
    "html": ("<html><body/></html>", "it is a page of HTML"),
    "other": ("<rss/>", "XML of another kind (its first element is <rss>)"),
    "nested-tests": ("<testsuite><testcase name='a'><testcase name='b'/>", "has a test inside a test"),
    "suite-in-test": ("<testsuite><testcase name='a'><testsuite/>", "has a suite inside a test"),
    "nameless": ("<testsuite><testcase/></testsuite>", "a test without a name"),
    "doctype": ("<!DOCTYPE testsuite>" + GOOD, "has a document type declaration (DOCTYPE)"),
    "billion-laughs": (
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{BILLION}]><testsuite><testcase name="&l9;"/></testsuite>',
        "has a document type declaration (DOCTYPE)",
    ),
    "external": (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite name="&e;"/>',
        "has a document type declaration (DOCTYPE)",
    ),
    "undeclared-entity": ('<testsuite name="&e;"/>', "is not well-formed XML: undefined entity"),
    "deep": ("<testsuite>" * (MOST_DEPTH + 1), f"is nested deeper than {MOST_DEPTH} elements"),
    "encoding": ('<?xml version="1.0" encoding="klingon"?>' + GOOD, "encoding"),
    "control": (GOOD.replace('"a"', '"\x1b[31m"'), "is not well-formed XML"),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_is_no_report_is_refused_with_its_reason(what: str, tmp_path: Path) -> None:
    """Whatever is not a whole JUnit report is told so, in a sentence; none of it is a result."""
    text, message = REFUSED[what]
    path = tmp_path / "junit.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Unreadable) as raised:
        read_junit(path)
    assert message in str(raised.value)


TROUBLED = {
    "none": ("<testsuites/>", ["has no test"]),
    "none-in-suite": ('<testsuites><testsuite name="s" tests="0"/></testsuites>', ["has no test"]),
    "fewer": (
        GOOD.replace('tests="1"', 'tests="5"'),
        ["disagrees with itself: the suite 's' counts 5 tests and has 1"],
    ),
    "more": (
        GOOD.replace('tests="1"', 'tests="0"'),
        ["disagrees with itself: the suite 's' counts 0 tests and has 1"],
    ),
    "lost-failure": (
        GOOD.replace('tests="1"', 'tests="1" failures="1"'),
        ["disagrees with itself: the suite 's' counts 1 failing tests and has 0"],
    ),
    "lost-error": (
        GOOD.replace('tests="1"', 'tests="1" errors="2"'),
        ["disagrees with itself: the suite 's' counts 2 failing tests and has 0"],
    ),
    "suite-error": (
        '<testsuite name="s"><testcase name="a"/><error message="no set-up"/></testsuite>',
        ["tells of an error outside of any test, in the suite 's': no set-up"],
    ),
    "suite-error-text": (
        "<testsuites><testsuite><testcase name='a'/></testsuite><failure>crash\nat x</failure></testsuites>",
        ["tells of an error outside of any test, in the whole run: crash"],
    ),
    "skipped-unwritten": ('<testsuite tests="3" skipped="2"><testcase name="a"/></testsuite>', []),
    "too-many-unwritten": (
        '<testsuite tests="4" skipped="2"><testcase name="a"/></testsuite>',
        ["disagrees with itself: it counts 4 tests and has 1"],
    ),
}


@pytest.mark.parametrize("what", sorted(TROUBLED))
def test_a_report_that_vouches_for_nothing_says_why(what: str, tmp_path: Path) -> None:
    """Lost tests and errors outside of tests are found, and what is merely another dialect is not."""
    text, troubles = TROUBLED[what]
    path = tmp_path / "junit.xml"
    path.write_text(text, encoding="utf-8")
    assert list(read_junit(path).troubles) == troubles


def test_states_that_dialects_say_in_attributes(tmp_path: Path) -> None:
    """status and result count where no element says more; unknown words pass nothing they should not."""
    words = {
        'status="failed"': "failed", 'status="fail"': "failed", 'result="error"': "error",
        'status="notrun"': "skipped", 'status="run" result="suppressed"': "skipped",
        'status="disabled"': "skipped", 'status="run" result="completed"': "passed", 'failure="no"': "failed",
    }  # fmt: skip
    cases = "".join(f'<testcase name="n{i}" {word}/>' for i, word in enumerate(words))
    path = tmp_path / "junit.xml"
    path.write_text(f"<testsuite>{cases}</testsuite>", encoding="utf-8")
    assert [c.state for c in read_junit(path).cases] == list(words.values())


def test_attempts_before_the_last_are_told(tmp_path: Path) -> None:
    """surefire's flaky tests passed and say so; its failures that were tried again stay failures."""
    path = tmp_path / "junit.xml"
    path.write_text(
        "<testsuite><testcase name='a'><flakyFailure message='x'>t</flakyFailure></testcase>"
        "<testcase name='b'><failure message='f'/><rerunFailure message='g'/></testcase></testsuite>"
    )
    assert [(c.state, c.flaky) for c in read_junit(path).cases] == [("passed", True), ("failed", False)]


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """1 GB is refused by its size alone; a pipe and a folder are no files."""
    path = tmp_path / "junit.xml"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    with pytest.raises(Unreadable, match="is larger than 64,000,000 bytes"):
        read_junit(path)
    with pytest.raises(Unreadable, match="is no regular file"):
        read_junit(tmp_path)


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    """10 MB of a message, of a trace and of output are read, and little of them is kept."""
    path = tmp_path / "junit.xml"
    text = "<testsuite><testcase name='a'><failure message='{0}'>{0}</failure><system-out>{0}END</system-out>"
    path.write_text(text.format("y" * 4_000_000) + "</testcase></testsuite>")
    (case,) = read_junit(path).cases
    assert (len(case.message), len(case.text), len(case.output)) == (4000, 4000, 2000)
    assert case.output.endswith("END")
    path.write_text(f"<testsuite><testcase name='{'y' * 12_000_000}'/></testsuite>")
    with pytest.raises(Unreadable, match="has a tag of more than 8,000,000 bytes"):
        read_junit(path)


_NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20
).filter(lambda s: s.strip() and "\ufffe" not in s and "\uffff" not in s)


@given(
    cases=st.lists(st.tuples(_NAMES, st.sampled_from(STATES)), min_size=1, max_size=30),
    cut=st.integers(0, 400),
)
def test_what_is_written_is_read_and_what_is_cut_is_refused(
    cases: list[tuple[str, str]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any suite of any names comes back as it was; any beginning of its file gives no results at all."""
    from xml.sax.saxutils import escape, quoteattr

    words = {"failed": "<failure/>", "error": "<error/>", "skipped": "<skipped/>", "passed": ""}
    body = "".join(f"<testcase name={quoteattr(n)}>{words[s]}</testcase>" for n, s in cases)
    whole = f"<testsuite tests='{len(cases)}'>{body}<!-- {escape('end')} --></testsuite>".encode()
    path = tmp_path_factory.mktemp("r") / "junit.xml"
    path.write_bytes(whole)
    report = read_junit(path)
    assert [(c.name, c.state) for c in report.cases] == [(n.strip(), s) for n, s in cases]
    assert report.troubles == ()
    path.write_bytes(whole[: min(cut, len(whole) - 1)])
    with pytest.raises(Unreadable):
        read_junit(path)


@given(data=st.data())
def test_no_damage_of_a_file_is_more_than_a_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes that were changed, doubled or lost in a real file give a report or a reason, and no traceback."""
    whole = data.draw(st.sampled_from(sorted(FILES.glob("*.xml")))).read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    to = data.draw(st.integers(at, min(len(whole), at + 200)))
    path = tmp_path_factory.mktemp("d") / "junit.xml"
    path.write_bytes(
        whole[:at] + data.draw(st.binary(max_size=30)) * data.draw(st.integers(0, 3)) + whole[to:]
    )
    with contextlib.suppress(Unreadable):
        assert {c.state for c in read_junit(path).cases} <= set(STATES)
