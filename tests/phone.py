"""Markdown as a phone shows it: chromium, 360 pixels wide, with what GitHub's own style does to a comment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and "chromium" not in os.environ.get("GITKITCHEN_REQUIRE", "").split(","),
    reason="chromium is not installed",
)
WIDTH = 360
SCREEN = 780
"""Pixels of height."""

# What GitHub's own style does to a comment: code and words break, fences and tables scroll in themselves.
STYLE = """
body { margin: 0; }
.phone { width: 328px; padding: 0 16px; font: 14px/1.5 sans-serif; overflow-wrap: break-word; }
code { font: 85% monospace; white-space: break-spaces; background: #eff1f3; }
pre { overflow: auto; background: #f6f8fa; padding: 8px; } pre code { white-space: pre; }
table { display: block; overflow: auto; border-collapse: collapse; }
td, th { border: 1px solid #d0d7de; padding: 4px 8px; }
ul, ol { padding-left: 2em; }
h2 { font-size: 1.5em; border-bottom: 1px solid #d0d7de; }
h3 { font-size: 1.25em; }
h4 { font-size: 1em; }
"""
MEASURE = """
for (const phone of document.querySelectorAll(".phone")) {
  const height = phone.scrollHeight;
  phone.querySelectorAll("details").forEach((d) => { d.open = true; });
  const wide = [...phone.querySelectorAll("p, li, h2, h3, h4, summary, sub")]
    .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline");
  const tables = [...phone.querySelectorAll("table")].map((e) => e.scrollWidth);
  const found = [wide.length, phone.scrollWidth, height, phone.scrollHeight, Math.max(0, ...tables)];
  phone.dataset.measured = found.join(" ");
}
"""


@dataclass(frozen=True)
class Measured:
    """``wide``: how many blocks are wider than the page. In pixels: ``scroll`` of the whole, ``table`` of the
    widest one; ``height`` as it comes, and ``open`` with all that can be unfolded."""

    wide: int
    scroll: int
    height: int
    open: int
    table: int


def page(texts: dict[str, str], script: str = MEASURE) -> str:
    """A page with each text as a phone of its own."""
    renderer = MarkdownIt("gfm-like")
    bodies = "".join(
        f'<div class="phone" id="{name}">{renderer.render(text)}</div>' for name, text in texts.items()
    )
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{bodies}<script>{script}</script>'


def measured(texts: dict[str, str], folder: Path) -> dict[str, Measured]:
    """How each text is laid out."""
    dom = _chromium(texts, folder, "--dump-dom")
    found = re.findall(r'id="([^"]*)" data-measured="(\d+) (\d+) (\d+) (\d+) (\d+)"', dom)
    assert len(found) == len(texts)
    return {name: Measured(*map(int, numbers)) for name, *numbers in found}


def pictured(text: str, folder: Path, picture: Path, height: int) -> None:
    """A text as PNG, for people to read."""
    _chromium({"one": text}, folder, f"--screenshot={picture}", f"--window-size=500,{height}", script="")


def _chromium(texts: dict[str, str], folder: Path, *wanted: str, script: str = MEASURE) -> str:
    assert CHROMIUM is not None, "GITKITCHEN_REQUIRE names chromium, and chromium is not installed"
    file = folder / "phone.html"
    file.write_text(page(texts, script), encoding="utf-8")
    argv = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *wanted, file.as_uri()]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout
