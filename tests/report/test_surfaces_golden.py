"""What is posted for each kind of pull request, as files to read; and what must be true of each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gitkitchen.report.surfaces.checks import concluded, in_progress
from gitkitchen.report.surfaces.comment import comment
from gitkitchen.report.surfaces.outputs import outputs
from gitkitchen.report.surfaces.pull import Run
from gitkitchen.report.surfaces.summary import summary
from pulls import HEAD, RUN_URL, cases

CASES = cases()
NAMES = tuple(CASES)


def told(name: str) -> str:
    """All check runs of a case, their fields under each other."""
    parts = []
    for check in concluded(CASES[name], RUN_URL):
        notes = "\n".join(
            f"- {a.level} {a.path}:{a.start_line} | {a.title} | {a.message}" for a in check.annotations
        )
        stands = f"{check.status} {check.conclusion} on {check.head_sha}"
        head = f"# {check.name}\n{stands}\n{check.external_id}\n{check.title}"
        parts.append(
            f"{head}\n\n## summary\n\n{check.summary}\n## annotations\n\n{notes}\n\n## text\n\n{check.text}"
        )
    return "\n\n---\n\n".join(parts)


@pytest.mark.parametrize("name", NAMES)
def test_the_comment_reads_as_its_file(name: str, golden: Callable[[str, str], None]) -> None:
    """The comment of each kind of pull request is the file in golden/."""
    golden(f"pull-{name}-comment.md", comment(CASES[name], RUN_URL).whole)


@pytest.mark.parametrize("name", NAMES)
def test_the_checks_read_as_their_file(name: str, golden: Callable[[str, str], None]) -> None:
    """The check runs and annotations of each kind of pull request are the file in golden/."""
    golden(f"pull-{name}-checks.md", told(name))


@pytest.mark.parametrize("name", ["passed", "failed"])
def test_the_summary_reads_as_its_file(name: str, golden: Callable[[str, str], None]) -> None:
    """The job's summary of a green and a red pull request is the file in golden/."""
    golden(f"pull-{name}-summary.md", summary(CASES[name], RUN_URL))


@pytest.mark.parametrize(
    ("name", "conclusions", "code"),
    [
        ("passed", ["success", "success"], "0"),
        ("failed", ["failure", "success"], "1"),
        ("breaking", ["success"], "0"),
        ("nothing-tested", ["action_required"], "4"),
        ("could-not-check", ["failure"], "3"),
        ("cancelled", ["cancelled"], "3"),
        ("fork", ["action_required", "action_required"], "1"),
        ("policy", ["action_required", "success"], "1"),
        ("no-recipe", ["action_required"], "4"),
    ],
)
def test_each_kind_concludes_as_it_should(name: str, conclusions: list[str], code: str) -> None:
    """A check run is a success only with evidence; nothing is ever neutral or skipped."""
    checks = concluded(CASES[name])
    assert [c.conclusion for c in checks] == conclusions
    assert all(c.status == "completed" and c.head_sha == HEAD for c in checks)
    assert outputs(CASES[name])["exit-code"] == code


def test_a_check_begins_in_progress_and_ends_as_the_same_one() -> None:
    """The first form has no conclusion and the name and id of the last, so that one is made of both."""
    pull = CASES["failed"]
    first = in_progress(pull.head, pull.project_id, pull.run, ["delays", "airports"])
    last = concluded(pull)
    assert [c.status for c in first] == ["in_progress"] * 2
    assert [c.conclusion for c in first] == [None, None]
    assert [(c.name, c.external_id) for c in first] == [(c.name, c.external_id) for c in last]
    again = in_progress(pull.head, pull.project_id, Run(pull.run.id, 2), ["delays"])
    assert again[0].external_id != first[0].external_id


def test_the_verdict_stands_first_and_the_command_with_each_failure() -> None:
    """A reader on a phone sees the verdict in the first line, and can copy what reproduces a failure."""
    body = comment(CASES["failed"]).body
    assert body.startswith("## ❌ GitKitchen: 1 of 2 recipes failed\n")
    assert body.count("gitkitchen run delays --select late_by_hour") == 2
    order = [
        "### Failed",
        "### Changed in the recipes",
        "### How the data changes",
        "### Not tested",
        "### Time",
    ]
    assert [body.index(title) for title in order] == sorted(body.index(title) for title in order)


def test_a_broken_contract_is_told_above_with_whom_it_hits() -> None:
    """A change that passes and breaks readers says so at the top, and names them below."""
    body = comment(CASES["breaking"]).body
    assert body.index("Breaks its contract") < body.index("### Changed")
    assert "delays_board" in body
    assert "flights BIGINT (breaking)" in body


def test_annotations_prefer_lines_that_the_pull_request_changed() -> None:
    """A failing test of a node whose SQL changed is shown on the changed line of the SQL."""
    (check, _) = concluded(CASES["failed"])
    places = [(a.path, a.start_line, a.level) for a in check.annotations]
    assert places[0] == ("recipes/delays/late_by_hour.sql", 7, "failure")
    assert all(a.start_line == a.end_line for a in check.annotations)


def test_waived_failures_stay_visible() -> None:
    """A waived failure is told as a failure with who answers for it; the expired one excuses nothing."""
    body = comment(CASES["policy"]).body
    assert "failed, **waived**" in body
    assert "until 2027-01-31, by <code>@&#8203;grace</code>" in body
    assert "**expired, and excuses nothing**" in body
