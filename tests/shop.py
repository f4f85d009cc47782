"""A real project in a real git repository, for tests that act as a user does."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitkitchen.cli.main import main
from models import copied

KITCHEN_YML = """\
version: 1
project: {name: shop, id: 0123456789abcdef}
environments:
  prod: {branch: main, vars: {region: eu}}
sandboxes: {base: prod}
"""


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shop:
    """A real project in a real git repository, driven through the command line."""

    root: Path

    @classmethod
    def begun(cls, root: Path) -> Shop:
        """A repository without a commit, whose branch is ``main``, in the new folder ``root``."""
        copied("empty", lambda folder: cls(folder).init(), root)
        return cls(root)

    def init(self) -> Shop:
        """Make the folder, which is there, a repository."""
        self.git("init", "-q", "-b", "main")
        return self

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        self.write({name: text.replace(old, new)})

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str] | None = None, message: str = "change") -> None:
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def cli(self, *words: str) -> Said:
        """Run a command in this process: quick, and the same code as the console script."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["-C", str(self.root), *words])
        return Said(code, out.getvalue(), err.getvalue())

    def spawn(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command as a process group of its own, to be killed or interrupted."""
        return subprocess.Popen(
            [sys.executable, "-m", "gitkitchen", "-C", str(self.root), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def outcome(self, run: str = "last") -> dict[str, Any]:
        said = self.cli("show", run, "--json")
        assert said.code == 0, said.err
        document: dict[str, Any] = json.loads(said.out)
        return document

    def states(self, run: str = "last") -> dict[str, str]:
        """Each node of a run with the state in which it ended."""
        return {n["node"]: n["state"] for n in self.outcome(run)["nodes"]}

    def rows(self, sql: str, *options: str) -> list[dict[str, Any]]:
        said = self.cli("query", sql, "--format", "json", *options)
        assert said.code == 0, said.err
        found: list[dict[str, Any]] = json.loads(said.out)
        return found
