"""Write ``action/lock.txt`` and ``action/extras.json``: what ``action.yml`` installs, pinned by digest.

Needs uv (``pip install uv``) and a package index. One resolution for all extras and all Pythons from 3.11 on,
wheels alone, so that every job gets the same; ``extras.json`` says which of it each extra takes.

    python tools/lock_action.py
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = ("arrow", "github", "oci", "openlineage", "otel", "pandas", "polars", "postgres", "pytest", "s3")
COMPILE = (
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version=3.11", "--only-binary=:all:"),
    *("--no-header", "--no-annotate", "--no-emit-index-url"),
)


def compiled(*words: str) -> str:
    """What uv resolves the project to."""
    command = [*COMPILE, *words, "pyproject.toml"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def names(text: str) -> list[str]:
    """The packages of a resolution."""
    return sorted(set(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==", text, re.M)))


def main() -> None:
    """Resolve once, then ask what each extra takes of that."""
    lock = compiled("--generate-hashes", *(f"--extra={extra}" for extra in EXTRAS))
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "pins.txt")
        pins.write_text(re.sub(r"(?m) \\$|^ +--hash.*\n", "", lock), encoding="utf-8")
        kept = f"--constraint={pins}"
        taken = {"": names(compiled(kept))}
        for extra in EXTRAS:
            taken[extra] = sorted(set(names(compiled(kept, f"--extra={extra}"))) - set(taken[""]))
    (ROOT / "action" / "lock.txt").write_text(lock, encoding="utf-8")
    (ROOT / "action" / "extras.json").write_text(json.dumps(taken, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
