"""A real remote and clones of it, for tests of the ledger on a branch; the remote can be made to fail."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitkitchen.errors import Problem
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.committing import Limits

BRANCH = "gitkitchen-ledger"
QUICK = Limits(call=20.0, patience=20.0, refusals=3)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class Clone:
    """One clone, and what its ledger said to people."""

    root: Path
    said: list[Problem] = field(default_factory=list)

    def ledger(self, limits: Limits = QUICK, **more: Any) -> BranchLedger:
        """A ledger as a new command would open it."""
        return BranchLedger(self.root, self.root / ".gitkitchen", say=self.said.append, limits=limits, **more)

    def waiting(self) -> int:
        return len(list((self.root / ".gitkitchen/outbox").glob("*.json")))


@dataclass(frozen=True)
class Host:
    """A bare repository, ``remote.git`` in ``folder``."""

    folder: Path

    @property
    def remote(self) -> Path:
        return self.folder / "remote.git"

    def clone(self, name: str, *options: str) -> Clone:
        git(self.folder, "clone", "-q", *options, self.remote.as_uri(), name)
        return Clone(self.folder / name)

    def hook(self, name: str, script: str) -> None:
        """Install a hook of the remote; an empty script removes it."""
        path = self.remote / "hooks" / name
        path.unlink(missing_ok=True)
        if script:
            path.write_text(f"#!/bin/bash\n{script}\n")
            path.chmod(0o755)

    def heads(self) -> set[str]:
        return set(git(self.remote, "for-each-ref", "--format=%(refname:short)", "refs/heads").split())

    def files(self) -> list[str]:
        """The paths of all files on the ledger's branch."""
        return git(self.remote, "ls-tree", "-r", "--name-only", BRANCH).splitlines()

    def commits(self) -> int:
        return int(git(self.remote, "rev-list", "--count", BRANCH))


def make_host(folder: Path) -> Host:
    """A remote with one commit on ``main``."""
    git(folder, "init", "-q", "-b", "main", "seed")
    git(folder / "seed", "commit", "-q", "--allow-empty", "-m", "first")
    git(folder, "clone", "-q", "--bare", "seed", "remote.git")
    git(folder / "remote.git", "config", "uploadpack.allowFilter", "true")
    return Host(folder)


WRITER = """
import sys
from pathlib import Path
from gitkitchen.errors import Infrastructure
from gitkitchen.ledger.branch import BranchLedger
from gitkitchen.ledger.committing import Limits
from gitkitchen.ledger.protocol import Kept
root, name, first, count, call, patience = Path(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:])
limits = Limits(call=call, patience=patience, refusals=3)
for n in range(int(first), int(first + count)):
    # Each turn is a command of its own: it opens the ledger, and what waits is taken along.
    ledger = BranchLedger(root, root / ".gitkitchen", say=lambda problem: None, limits=limits)
    print("try", n, flush=True)
    try:
        print("ok", n, ledger.append(f"runs/k_{n % 3}/delays", {"writer": name, "n": n}).id, flush=True)
    except Kept:
        print("kept", n, flush=True)
    except Infrastructure as error:
        print("raised", n, error, flush=True)
"""


def writer(clone: Clone, name: str, first: int, count: int, limits: Limits) -> subprocess.Popen[str]:
    """A process that appends records ``first`` and on, and says of each how it went."""
    words = [str(clone.root), name, *map(str, (first, count, limits.call, limits.patience))]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
