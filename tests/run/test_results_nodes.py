"""results nodes: any job's JUnit XML as evidence, and all that is none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lengths import some
from shop import Said, Shop

GOOD = """\
<testsuites><testsuite name="unit" tests="3" failures="0" skipped="1">
<testcase classname="test_shop" name="adds" file="src/test_shop.py" line="3" time="0.25"/>
<testcase classname="test_shop" name="joins" time="0.5"/>
<testcase classname="test_shop" name="later"><skipped message="later"/></testcase>
</testsuite></testsuites>
"""
RED = GOOD.replace(
    'time="0.5"/>',
    'time="0.5"><failure type="AssertionError" message="::error::one is not two">src/test_shop.py:7: here'
    "</failure><system-out>it printed this</system-out></testcase>",
).replace('failures="0"', 'failures="1"')
RECIPE = """\
version: 1
recipe: r
nodes:
  orders: {source: {file: orders.csv}, key: [id]}
  unit:
    results: RESULTS
"""


@pytest.fixture
def project(shop: Shop) -> Shop:
    """A project with tests of its own in ``src``, and a recipe that reads their results."""
    shop.commit(
        {
            "recipes/r/recipe.yml": RECIPE.replace("RESULTS", "../../target/*.xml"),
            "recipes/r/orders.csv": "id\n1\n",
            "src/test_shop.py": "\n" * 20,
            ".gitignore": "target/\n",
        }
    )
    return shop


def say(project: Shop, results: str) -> None:
    project.commit({"recipes/r/recipe.yml": RECIPE.replace("RESULTS", results)})


def run(project: Shop, reports: dict[str, str], *options: str) -> Said:
    project.write({f"target/{name}": text for name, text in reports.items()})
    return project.cli("run", "--quiet", *options)


def unit(project: Shop) -> dict[str, Any]:
    """The node's part of the last outcome."""
    found: dict[str, Any] = next(n for n in project.outcome()["nodes"] if n["node"] == "unit")
    return found


def judged(project: Shop) -> dict[str, dict[str, Any]]:
    return {t["expected"]: t for t in unit(project)["tests"]}


def test_results_come_test_by_test(project: Shop) -> None:
    """Each test of the file is a test of the recipe: state, time, place; the run is green by them."""
    said = run(project, {"a.xml": GOOD})
    assert said.code == 0, said.out
    found = judged(project)
    assert {name: t["state"] for name, t in found.items()} == {
        "test_shop.adds": "passed",
        "test_shop.joins": "passed",
        "test_shop.later": "skipped",
    }
    adds = found["test_shop.adds"]
    assert (adds["seconds"], adds["place"]) == (0.25, ["src/test_shop.py", 3, 0])
    assert adds["id"] == "unit/logic/results(test_shop.adds)"
    assert unit(project)["metrics"] == {"files": 1.0, "tests": 3.0, "passed": 2.0, "skipped": 1.0}


def test_a_failing_test_keeps_data_from_consumers(project: Shop) -> None:
    """Its message, type, output and the line at fault are shown, safe; nothing is published."""
    said = run(project, {"a.xml": RED})
    assert said.code == 1
    joins = judged(project)["test_shop.joins"]
    assert joins["message"].splitlines() == [
        "AssertionError: ::error::one is not two",
        "src/test_shop.py:7: here",
        "printed: it printed this",
    ]
    assert joins["place"] == ["src/test_shop.py", 7, 0]
    assert not any(line.startswith("::") for line in said.out.splitlines())
    assert project.cli("query", "from orders").code != 0


def test_severity_is_the_recipes(project: Shop) -> None:
    """With `severity: warn` a failing test warns; what makes the file no evidence still stops."""
    say(project, "{files: ../../target/*.xml, severity: warn}")
    assert run(project, {"a.xml": RED}).code == 0
    assert run(project, {"a.xml": RED[:-30]}).code == 1


NO_EVIDENCE = {
    "empty": ("", "target/a.xml is empty"),
    "cut": (GOOD[:200], "target/a.xml ends in the middle (line 3): what wrote it did not finish"),
    "foreign": ("<TestRun/>", "target/a.xml is no JUnit report: it is a report of Visual Studio (TRX)"),
    "no-test": ("<testsuites tests='0'/>", "target/a.xml has no test"),
    "counts": (
        GOOD.replace('tests="3"', 'tests="9"'),
        "target/a.xml disagrees with itself: the suite 'unit' counts 9 tests and has 3",
    ),
    "suite-error": (
        GOOD.replace("</testsuite>", "<error message='no set-up'/></testsuite>"),
        "target/a.xml tells of an error outside of any test, in the suite 'unit': no set-up",
    ),
    "twice": (
        GOOD.replace('name="joins"', 'name="adds" file="src/test_shop.py" line="3"'),
        "target/a.xml has the test 'adds' 2 times; `repeats: true` counts each of them",
    ),
    "other-commit": (
        GOOD.replace("<testcase", f'<property name="git.commit" value="{"ab" * 20}"/><testcase', 1),
        "target/a.xml tells of commit abababababab, and ",
    ),
}


@pytest.mark.parametrize("what", sorted(NO_EVIDENCE))
def test_what_is_no_evidence_is_never_green(what: str, project: Shop) -> None:
    """A file that vouches for nothing fails the run with its reason, beside a file that is good."""
    text, message = NO_EVIDENCE[what]
    assert run(project, {"a.xml": text, "b.xml": GOOD}).code == 1
    bad = [t for t in unit(project)["tests"] if t["state"] == "error"]
    assert [t["severity"] for t in bad] == ["stop"]
    assert bad[0]["message"].startswith(message)
    assert unit(project)["failure"]["kind"] == "test"


NOTHING = {
    "no-bytes": {"a.xml": ""},
    "no-suites": {"a.xml": "<testsuites/>"},
    "no-cases": {"a.xml": '<testsuite name="unit" tests="3" failures="0"/>'},
    "all-skipped": {"a.xml": "<testsuite><testcase name='a'><skipped/></testcase></testsuite>"},
    "cut": {"a.xml": GOOD[:-40]},
    "gone": dict[str, str](),
    "one-of-two": {"a.xml": GOOD, "b.xml": "<testsuites/>"},
}


@pytest.mark.parametrize("what", some(list(NOTHING), "no-suites"))
def test_s17_an_empty_report_is_failed_evidence(what: str, project: Shop) -> None:
    """S17 (test-reporter #373: an empty report passed): whatever a job left in place of results, the run
    after a green one is red, its own JUnit says so too, it publishes nothing, and readers keep what they
    have."""
    assert run(project, {"a.xml": GOOD}).code == 0
    (project.root / "target/a.xml").unlink()
    project.commit({"recipes/r/orders.csv": "id\n1\n2\n"})
    said = run(project, NOTHING[what])
    assert said.code == 1, said.out
    assert project.outcome()["publication"]["state"] == "withheld"
    assert project.rows("from orders") == [{"id": 1}]
    told = project.cli("report", "last", "--format", "junit").out
    ours = Path(told.removeprefix("wrote ").strip()).read_text(encoding="utf-8")
    assert "<failure" in ours or "<error" in ours


def test_repeats_are_counted_where_they_are_meant(project: Shop) -> None:
    """With `repeats: true` each test of a name counts, under an id of its own."""
    say(project, "{files: ../../target/*.xml, repeats: true}")
    twice = NO_EVIDENCE["twice"][0]
    assert run(project, {"a.xml": twice}).code == 0
    ids = [t["id"] for t in unit(project)["tests"]]
    assert ids[1:] == [
        "unit/logic/results(target/a.xml: test_shop.adds)",
        "unit/logic/results(test_shop.later)",
    ]


def test_a_missing_file_is_never_green(project: Shop) -> None:
    """Without the file nothing was tested, and the message says what to do."""
    assert run(project, {}).code == 1
    assert unit(project)["failure"]["message"] == "there is no file 'target/*.xml'"
    say(project, "[../../target/a.xml, ../../target/b.xml]")
    assert run(project, {"a.xml": GOOD}).code == 1
    assert unit(project)["failure"]["message"] == "there is no file 'target/b.xml'"


def test_all_skipped_is_never_green(project: Shop) -> None:
    """A suite of which every test was skipped tested nothing, and a shrunken one less than was asked for."""
    skipped = "<testsuite><testcase name='a'><skipped/></testcase></testsuite>"
    assert run(project, {"a.xml": skipped}).code == 1
    assert unit(project)["failure"]["message"] == "all of its 1 tests were skipped: nothing was tested"
    say(project, "{files: ../../target/*.xml, min: 3}")
    assert run(project, {"a.xml": GOOD}).code == 1
    assert unit(project)["failure"]["message"] == "2 tests were run, and there must be at least 3"


def test_a_file_older_than_what_it_is_about_is_no_evidence(project: Shop) -> None:
    """After a tracked file changed, or another branch was checked out, the tests must be run again."""
    assert run(project, {"a.xml": GOOD}).code == 0
    report = project.root / "target/a.xml"
    later = report.stat().st_mtime + 10
    os.utime(project.root / "src/test_shop.py", (later, later))
    assert project.cli("run", "--quiet").code == 1
    (bad,) = (t for t in unit(project)["tests"] if t["state"] == "error")
    assert bad["message"] == "target/a.xml is older than 'src/test_shop.py': run the tests again"
    os.utime(report, (later + 1, later + 1))
    assert project.cli("run", "--quiet").code == 0


def test_about_says_whose_change_counts(project: Shop) -> None:
    """With `about` a change of another file leaves the results valid; a change of one it names does not."""
    say(project, "{files: ../../target/*.xml, about: ../../src}")
    assert run(project, {"a.xml": GOOD}).code == 0
    later = (project.root / "target/a.xml").stat().st_mtime + 10
    os.utime(project.root / "kitchen.yml", (later, later))
    assert project.cli("run", "--quiet").code == 0
    os.utime(project.root / "src/test_shop.py", (later, later))
    assert project.cli("run", "--quiet").code == 1


def test_a_committed_file_is_no_evidence(project: Shop) -> None:
    """Who could commit a result could make any change green."""
    say(project, "results.xml")
    project.commit({"recipes/r/results.xml": GOOD})
    assert project.cli("run", "--quiet").code == 1
    (bad,) = (t for t in unit(project)["tests"] if t["state"] == "error")
    assert bad["message"].startswith("recipes/r/results.xml is committed")


def test_a_link_out_of_the_repository_is_refused(
    project: Shop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A recipe reads no file outside; the command line may name one."""
    outside = tmp_path_factory.mktemp("outside") / "junit.xml"
    outside.write_text(GOOD)
    (project.root / "target").mkdir()
    (project.root / "target/a.xml").symlink_to(outside)
    assert project.cli("run", "--quiet").code == 1
    assert unit(project)["failure"]["message"] == "'target/a.xml' leads out of the repository"
    (project.root / "target/a.xml").unlink()
    for words in (["--results", str(outside)], ["--results", f"unit={outside.parent}/*.xml"]):
        assert project.cli("run", "--quiet", *words).code == 0, words
    outside.write_text(RED)
    assert project.cli("run", "--quiet", "--results", str(outside)).code == 1
    assert judged(project)["test_shop.adds"]["place"] == ["src/test_shop.py", 3, 0]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("orders=x.xml", "which node of the recipe reads it?"),
        ("unit=", "which node of the recipe reads it?"),
        ("unitt=target/*.xml", "there is no node 'unitt'; did you mean 'unit'?"),
    ],
)
def test_results_for_no_such_node_are_a_mistake(word: str, said: str, project: Shop) -> None:
    """`--results` names a results node of the recipe, or ends with exit code 2."""
    answer = project.cli("run", "--quiet", "--results", word)
    assert answer.code == 2
    assert said in answer.err


def test_our_own_report_is_read(project: Shop, tmp_path: Path) -> None:
    """The JUnit XML that GitKitchen writes of a run is evidence for another."""
    assert run(project, {"a.xml": RED}).code == 1
    own = tmp_path / "own.xml"
    assert project.cli("report", "--format", "junit", "-o", str(own)).code == 0
    assert project.cli("run", "--quiet", "--results", str(own)).code == 1
    states = [t["state"] for t in unit(project)["tests"]]
    assert (states.count("failed"), states.count("error")) == (1, 0)
    assert run(project, {"a.xml": GOOD}).code == 0
    assert project.cli("report", "--format", "junit", "-o", str(own)).code == 0
    assert project.cli("run", "--quiet", "--results", str(own)).code == 0


def test_files_are_read_each_time(project: Shop) -> None:
    """A result is never taken from a run before: the same command sees the new file."""
    assert run(project, {"a.xml": GOOD}).code == 0
    assert "its files are read each time" in project.cli("plan").out
    assert run(project, {"a.xml": RED}).code == 1
    assert run(project, {"a.xml": GOOD}).code == 0
    assert project.states()["unit"] == "passed"


def test_a_commands_output_is_evidence(project: Shop) -> None:
    """`of:` reads what a node of this recipe wrote in this run: it needs no date."""
    recipe = RECIPE.replace("RESULTS", "{of: report}") + (
        "  report: {run: cp junit.txt report.xml, files: [junit.txt], outputs: {report: report.xml}}\n"
    )
    project.commit({"recipes/r/recipe.yml": recipe, "recipes/r/junit.txt": GOOD})
    said = project.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    assert project.states() == {"orders": "passed", "unit": "passed", "report": "passed"}
    project.commit({"recipes/r/junit.txt": RED})
    assert project.cli("run", "--quiet").code == 1
    assert judged(project)["test_shop.joins"]["state"] == "failed"


def test_mistakes_in_the_recipe_are_told_with_their_line(project: Shop) -> None:
    """What cannot be meant is refused before anything runs."""
    cases = {
        "{of: orders}": "'orders' is no file that a node of this recipe makes",
        "{of: nothing}": "'nothing' is no file that a node of this recipe makes",
        "{files: a.xml, of: b}": "it must say where the results are, once, and says files and of",
        "{severity: warn}": "it must say where the results are, once, and says neither",
        "../../../outside.xml": "leaves the repository",
        "/etc/passwd": "is absolute",
        "a.xml\n    outputs: [x]": "a results node makes no dataset",
        "a.xml\n    with: {x: 1}": "a results node has no `with`",
        "a.xml\n    on: publish": "a results node cannot wait for publication",
        "a.xml\n    strategy: {matrix: {x: [1]}}": "a results node has no `strategy`",
        "{files: []}": "results.files",
    }
    for text, message in cases.items():
        say(project, text)
        said = project.cli("validate")
        assert said.code == 2, text
        assert message in said.out + said.err or text == "{files: []}", (text, said.out + said.err)


def test_five_thousand_tests_in_many_files(project: Shop) -> None:
    """Large suites pass test by test, in bounded time, with a name of its own for each."""
    body = "".join(f'<testcase classname="c" name="t{i}"/>' for i in range(250))
    reports = {f"{n}.xml": f'<testsuite name="s{n}" tests="250">{body}</testsuite>' for n in range(20)}
    assert run(project, reports).code == 0
    ids = [t["id"] for t in unit(project)["tests"]]
    assert len(ids) == len(set(ids)) == 5000


def test_the_outcome_is_json_whatever_the_names(project: Shop, tmp_path: Path) -> None:
    """Names, messages and output of strangers are inert in every report of the run."""
    naughty = "<script>alert(1)</script> | `x` \u202e ${{ secrets.X }} ::set-output:: \ud83d\ude00"
    from xml.sax.saxutils import quoteattr

    name = quoteattr(naughty)
    text = f"<testsuite><testcase name={name}><failure message={name}/></testcase></testsuite>"
    assert run(project, {"a.xml": text.encode("utf-16", "surrogatepass").decode("utf-16")}).code == 1
    for form in ("markdown", "github", "html", "junit"):
        said = project.cli("report", "--format", form, "-o", "-")
        assert said.code == 0, said.err
        assert form == "github" or "<script>alert(1)" not in said.out
        assert not any(line.startswith("::set-output") for line in said.out.splitlines())
    json.loads(project.cli("report", "--format", "json", "-o", "-").out)
