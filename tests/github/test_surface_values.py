"""The values that are posted: beyond GitHub's limits they cannot be made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.github.surfaces import (
    MAX_COMMENT,
    MAX_TEXT,
    Annotation,
    CheckRun,
    Comment,
    marker_of,
)

SHA = "a" * 40


def check(**changed: Any) -> CheckRun:
    values: dict[str, Any] = {
        "name": "GitKitchen / delays", "head_sha": SHA, "status": "completed", "conclusion": "success",
        "title": "t", "summary": "s", "external_id": "1",
    }  # fmt: skip
    return CheckRun(**{**values, **changed})


def annotation(**changed: Any) -> Annotation:
    values: dict[str, Any] = {
        "path": "a.sql", "start_line": 1, "end_line": 1, "level": "failure", "title": "", "message": "m",
    }  # fmt: skip
    return Annotation(**{**values, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "in_progress"},
        {"conclusion": None},
        {"conclusion": "stale"},
        {"summary": "x" * (MAX_TEXT + 1)},
        {"text": "x" * (MAX_TEXT + 1)},
        {"head_sha": "main"},
        {"external_id": ""},
        {"name": ""},
    ],
    ids=lambda changed: next(iter(changed)) + "-" + str(next(iter(changed.values())))[:8],
)
def test_a_check_run_that_github_would_refuse_cannot_be_made(changed: dict[str, Any]) -> None:
    """A value that fails the whole request, or could not be found again, is refused where it is made."""
    assert check()
    with pytest.raises(ValueError):
        check(**changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"path": "/etc/passwd"},
        {"path": ""},
        {"start_line": 0, "end_line": 0},
        {"start_line": 3, "end_line": 2},
        {"message": ""},
        {"message": "€" * 30_000},
        {"title": "x" * 256},
        {"level": "error"},
        {"end_line": 2, "start_column": 1},
    ],
    ids=lambda changed: "-".join(changed) + "-" + str(next(iter(changed.values())))[:8],
)
def test_an_annotation_that_github_would_refuse_cannot_be_made(changed: dict[str, Any]) -> None:
    """One annotation beyond the limits would take all others of its request with it."""
    assert annotation()
    with pytest.raises(ValueError):
        annotation(**changed)


def test_a_comment_counts_its_marker() -> None:
    """What is posted is marker and body; the limit holds for both together."""
    marker = marker_of("gitkitchen pull 7c1e2b")
    room = MAX_COMMENT - len(marker) - 1
    assert len(Comment(marker, "x" * room).whole) == MAX_COMMENT
    with pytest.raises(ValueError):
        Comment(marker, "x" * (room + 1))


@given(st.text(max_size=30))
def test_a_marker_never_ends_its_html_comment_early(name: str) -> None:
    """Whatever the name: either it is refused, or the marker is one HTML comment on one line."""
    try:
        marker = marker_of(name)
    except ValueError:
        return
    assert marker.count("-->") == 1
    assert marker.endswith("-->")
    assert "\n" not in marker
