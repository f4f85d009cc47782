"""``make demo-road``: what it tells is what happens, in time, on a machine with nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]


def test_the_road_is_told_to_its_end(tmp_path: Path) -> None:
    """With an empty home, no network's proxy and no git settings it ends with 0, and a second time, too."""
    began = time.monotonic()
    told = ""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "gitkitchen", "demo", "--road", "--replace", str(tmp_path / "road")],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = done.stdout
    assert time.monotonic() - began < 300
    assert "soak:hours pending" in told
    assert "prod: it could land now" in told
    assert "23.8 % of flights were late" in told
    assert "Readers of production see 23.8 % again" in told
    assert "hold pending" in told or "hold failed" in told
    assert "hotfix pending" in told or "hotfix failed" in told
    assert "whole: " in told
    assert "nothing was left to do" in told


def test_make_knows_it() -> None:
    """The Makefile's target runs the command that is tested here, into a folder of its own."""
    said = subprocess.run(
        ["make", "-n", "demo-road"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "gitkitchen demo --road --replace" in said.stdout
