"""What is posted in a real browser, 360 pixels wide. Skipped by name where there is none, required in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkitchen.report.surfaces.comment import comment
from phone import SCREEN, WIDTH, measured, needs_chromium
from pulls import RUN_URL, cases, hostile

STORY = Path(__file__).parents[1] / "examples" / "golden" / "story"
SCREENS = 6
pytestmark = [pytest.mark.long, needs_chromium]


def test_a_comment_fits_on_a_phone(tmp_path: Path) -> None:
    """No line is wider than 360 pixels, and what people meet is at most a few screens long."""
    pulls = {**cases(), "hostile": hostile()}
    found = measured({name: comment(pull, RUN_URL).body for name, pull in pulls.items()}, tmp_path)
    for name, one in found.items():
        assert (one.wide, one.scroll <= WIDTH) == (0, True), (name, one)
        assert name == "hostile" or one.open < SCREENS * SCREEN, (name, one)


def test_the_whole_story_fits_on_a_phone(tmp_path: Path) -> None:
    """All that is posted or summed up in the story of the example: nothing makes the page itself scroll to
    the side, and comments and answers are at most three screens before anything is unfolded."""
    texts = {
        p.relative_to(STORY).as_posix(): p.read_text(encoding="utf-8") for p in sorted(STORY.rglob("*.md"))
    }
    assert len(texts) > 30
    for name, one in measured(texts, tmp_path).items():
        assert (one.wide, one.scroll <= WIDTH) == (0, True), (name, one)
        if name.endswith("body.md"):
            assert (one.table, one.height < 3 * SCREEN) == (0, True), (name, one)
