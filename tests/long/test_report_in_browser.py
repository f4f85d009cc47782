"""The HTML report in a real browser. Named as skipped where there is none, and required in CI."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from phone import CHROMIUM, FLAGS, needs_chromium
from shop import Shop

RECIPE = """\
version: 1
recipe: page
nodes:
  one: {sql: "select 1 as x", tests: [{range: {column: x, max: 0}}]}
"""


@pytest.mark.long
@needs_chromium
def test_the_report_is_readable_in_chromium(shop: Shop, tmp_path: Path) -> None:
    """Chromium lays out the verdict and the failing test from the one file, and draws a picture of it."""
    assert CHROMIUM is not None, "GITKITCHEN_REQUIRE names chromium, and chromium is not installed"
    shop.commit({"recipes/page/recipe.yml": RECIPE})
    assert shop.cli("run").code == 1
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    assert shop.cli("report", "--output", str(page)).code == 0
    argv = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    for wanted in (f"--screenshot={picture}", "--dump-dom"):
        done = subprocess.run(
            [*argv, wanted, page.as_uri()], capture_output=True, text=True, check=True, timeout=120
        )
        assert "Refused to apply" not in done.stderr
    assert "range(x, max=0)" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
