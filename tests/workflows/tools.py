"""Programs of others that judge what we ship: found, or their tests are skipped with the reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SHA = "0123456789abcdef0123456789abcdef01234567"
ACTION = f"acme/kitchen-tool@{SHA}"


def required(name: str) -> bool:
    return name in os.environ.get("GITKITCHEN_REQUIRE", "").replace(",", " ").split()


def program(name: str) -> str:
    """Where a program is: beside this Python or on the PATH. Skips, visibly, where it is not."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        assert not required(name), f"GITKITCHEN_REQUIRE names {name}, and it is not installed"
        pytest.skip(f"{name} is not installed")
    return found


def validators() -> str:
    """The node_modules with GitHub's validators, named by ACTIONS_VALIDATORS. Skips where there is no
    Node."""
    folder = os.environ.get("ACTIONS_VALIDATORS", str(ROOT / ".bench/github-validators/node_modules"))
    if shutil.which("node") is None or not Path(folder, "@actions/languageservice").is_dir():
        assert not required("github-validators"), "GITKITCHEN_REQUIRE names github-validators: there are none"
        pytest.skip("no node, or no @actions/languageservice in the folder that ACTIONS_VALIDATORS names")
    return folder


def github_says(paths: Iterable[Path]) -> list[dict[str, object]]:
    """What GitHub's own validator finds in workflows and actions."""
    environ = os.environ | {"NODE_MODULES": validators(), "ACTION": str(ROOT / "action.yml")}
    environ |= {"DOUBLES": str(HERE / "doubles")}
    words = ["node", str(HERE / "validate.mjs"), *map(str, paths)]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def zizmor_says(paths: Iterable[Path]) -> tuple[int, str]:
    """zizmor's exit code and findings, as its strictest auditor."""
    words = [program("zizmor"), "--offline", "--persona", "auditor", "--strict-collection", "--no-progress"]
    done = subprocess.run(
        [*words, "--format", "plain", *map(str, paths)],
        capture_output=True, text=True, check=False, timeout=120, env=os.environ | {"NO_COLOR": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@cache
def schema_checker() -> str:
    return program("check-jsonschema")


def schema_says(kind: str, paths: Iterable[Path]) -> tuple[int, str]:
    """check-jsonschema's exit code and findings; ``kind``: github-workflows or github-actions."""
    words = [schema_checker(), "--builtin-schema", f"vendor.{kind}", *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr
