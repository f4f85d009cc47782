"""Clones of a forge's repository, moved by real Git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stage import Stage


class Clone:
    """A clone of the stage's repository with a token."""

    def __init__(self, stage: Stage, path: Path, token: str) -> None:
        self.root = path
        self.run(
            path.parent, "clone", "--quiet", stage.repo.git_url(token) if token else stage.repo.url, str(path)
        )

    def run(self, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=60)

    def git(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.root, *words)

    def commit(self, name: str, text: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change")
        return self.git("rev-parse", "HEAD").stdout.strip()
