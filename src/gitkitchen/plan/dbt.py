"""A dbt project as part of a recipe: its files, and which dbt runs it. dbt is never imported."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from gitkitchen.errors import Problem
from gitkitchen.model import NodeSpec

PROJECT_FILE = "dbt_project.yml"
MOST_FILES = 20_000
_FOLDERS = frozenset(
    {"target", "logs", "__pycache__", ".git", ".gitkitchen", ".venv", "venv", "node_modules", ".idea"}
)
_FILES = frozenset({"profiles.yml", ".user.yml", ".DS_Store"})
_DATABASES = (".duckdb", ".wal", ".db", ".log")
"""What dbt and people leave in a project's folder, and profiles: GitKitchen writes its own."""


def project_files(root: Path, project: str) -> tuple[list[str], list[str]]:
    """The files that make up a project, relative to ``root``, sorted; and why they cannot be told."""
    found: list[str] = []
    for path in _walk(root / project):
        found.append(path.relative_to(root).as_posix())
        if len(found) > MOST_FILES:
            return [], [f"its folder '{project}' has more than {MOST_FILES:,} files"]
    return sorted(found), []


def _walk(folder: Path) -> Iterator[Path]:
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _FOLDERS)
        for name in files:
            path = Path(top) / name
            if name not in _FILES and not name.endswith(_DATABASES) and path.is_file():
                yield path


def problems_of(node: NodeSpec, said: list[str]) -> Iterator[Problem]:
    for each in said:
        hint = "give the dbt project a folder of its own"
        yield Problem(f"node '{node.name}': {each}", node.place, hint, "too-large")


def find_dbt(node: NodeSpec, root: Path, path: str) -> list[str] | None:
    """The words that start dbt: the command of that name on ``path``, or the Python that the node names.

    None: there is none.
    """
    python = node.config.get("python")
    if python is None:
        command = shutil.which("dbt", path=path)
        return [command] if command else None
    found = shutil.which(str(root / str(python)))
    return [found, "-c", "from dbt.cli.main import cli; cli()"] if found else None


def versions(node: NodeSpec, root: Path, path: str) -> dict[str, str]:
    """``major.minor`` of dbt and of its adapter as identity counts them; "" where they cannot be told.

    They are read from the names of installed packages: starting dbt would take seconds of each plan.
    """
    words = find_dbt(node, root, path)
    return {
        f"tool:{package}": _version(words[0], package.replace("-", "_")) if words else ""
        for package in ("dbt-core", "dbt-duckdb")
    }


def _version(program: str, package: str) -> str:
    folder = Path(program)
    for each in (folder, folder.resolve()):  # a virtual environment's Python is a link
        beside = each.parent.parent.glob(f"lib/python3*/site-packages/{package}-*.dist-info")
        found = sorted(p.name.removesuffix(".dist-info").rpartition("-")[2] for p in beside)
        if found:
            return ".".join(found[-1].split(".")[:2])
    return ""
