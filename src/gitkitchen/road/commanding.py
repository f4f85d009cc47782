"""The commands of a gate, run in a work tree of the candidate: no secrets, bounded time, no shell."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gitkitchen.model import GateCommand
from gitkitchen.printed import text_safe
from gitkitchen.process import ended, search_path
from gitkitchen.promote.gates.facts import CommandRun

KEPT = 300
"""Characters of its last words that are told."""
NOT_FOUND = 127


def run_commands(
    commands: tuple[GateCommand, ...], root: Path, tree: str, environ: Mapping[str, str]
) -> tuple[CommandRun, ...]:
    """Each once, one after the other, in ``root``. One that cannot start, is killed or takes too long has no
    exit code: it said nothing of the tree."""
    return tuple(_run(command, root, tree, environ) for command in commands)


def _run(command: GateCommand, root: Path, tree: str, environ: Mapping[str, str]) -> CommandRun:
    with tempfile.TemporaryDirectory(prefix="gitkitchen-gate-", ignore_cleanup_errors=True) as made:
        home = os.path.realpath(made)
        env = {
            "PATH": search_path(environ.get("PATH", os.defpath)),
            "HOME": home,
            "TMPDIR": home,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "GITKITCHEN_TREE": tree,
        }
        try:
            code, output = ended(command.run, env=env, cwd=root, timeout=command.timeout)
        except TimeoutError:
            return CommandRun(command.name, tree, None, f"it took longer than {command.timeout:g} s")
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or type(error).__name__
            return CommandRun(command.name, tree, None, f"it cannot be started: {said}")
    last = text_safe(" ".join(output.split())[-KEPT:])
    if code < 0:
        return CommandRun(command.name, tree, None, f"it was ended by signal {-code}: {last}")
    return CommandRun(command.name, tree, code, last)
