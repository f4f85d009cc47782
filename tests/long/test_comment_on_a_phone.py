"""The comment in a real browser, 360 pixels wide. Skipped by name where there is none, required in CI."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.long.test_report_in_browser import CHROMIUM, FLAGS

from gitkitchen.report.surfaces.comment import comment
from pulls import RUN_URL, cases, hostile

# What GitHub's own style does to a comment: code and words break, fences and tables scroll in themselves.
STYLE = """
body { margin: 0; }
#phone { width: 328px; padding: 0 16px; font: 14px/1.5 sans-serif; overflow-wrap: break-word; }
code { font: 85% monospace; white-space: break-spaces; }
pre { overflow: auto; } pre code { white-space: pre; }
table { display: block; overflow: auto; }
"""
MEASURE = """
const phone = document.getElementById("phone");
document.querySelectorAll("details").forEach((d) => { d.open = true; });
const wide = [...phone.querySelectorAll("p, li, h2, h3, h4, summary, sub")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline");
document.title = `wide:${wide.length} scroll:${phone.scrollWidth} height:${phone.scrollHeight}`;
"""
SCREENS = 6


@pytest.mark.long
@pytest.mark.skipif(
    CHROMIUM is None and "chromium" not in os.environ.get("GITKITCHEN_REQUIRE", "").split(","),
    reason="chromium is not installed",
)
@pytest.mark.parametrize("name", [*cases(), "hostile"])
def test_a_comment_fits_on_a_phone(name: str, tmp_path: Path) -> None:
    """No line is wider than 360 pixels, and what people meet is at most a few screens long."""
    assert CHROMIUM is not None, "GITKITCHEN_REQUIRE names chromium, and chromium is not installed"
    pull = hostile() if name == "hostile" else cases()[name]
    body = MarkdownIt("gfm-like").render(comment(pull, RUN_URL).body)
    page = tmp_path / "comment.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><div id="phone">{body}</div>'
        f"<script>{MEASURE}</script>",
        encoding="utf-8",
    )
    argv = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"wide:(\d+) scroll:(\d+) height:(\d+)", done.stdout)
    assert found is not None
    wide, scroll, height = map(int, found.groups())
    assert wide == 0
    assert scroll <= 360
    assert name == "hostile" or height < SCREENS * 780
