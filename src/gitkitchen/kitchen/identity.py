"""A branch becomes a kitchen: its identity, its namespace, and the registry that keeps namespaces unique."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gitkitchen.errors import Infrastructure, Mistake, Problem
from gitkitchen.files import write_atomic
from gitkitchen.model import Kitchen, Project

SLUG_LENGTH = 33
"""Characters of a branch's name that its namespace shows: 2 + 33 + 1 + 12 are the 48 that are allowed."""

FORBIDDEN = re.compile(r"[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|/$|\.$")


def identify(
    project: Project,
    *,
    branch: str | None,
    repository: str | None,
    override: str | None,
    home: str | None = None,
    publishes: bool = False,
) -> Kitchen:
    """The kitchen of ``branch`` (what is checked out; None: detached), or of ``override`` (``--kitchen``).

    ``override`` is the name of an environment or of a branch. Who looks may look anywhere; who
    ``publishes`` on a branch cannot name the environment of another: its code is not what is checked out.
    ``repository`` is where the branch comes from (a URL); with ``home``, the repository that the project
    lives in, a branch of any other repository is a sandbox, whatever its name.
    """
    named = project.environment(override) if override else None
    chosen = named.branch if named else override or branch
    if chosen is None:
        raise Mistake(
            Problem(
                "HEAD is detached: no branch says which kitchen this is",
                hint="switch to a branch, or name one with --kitchen",
                code="detached",
            )
        )
    _refuse_reserved(chosen)
    if override and not named:
        _refuse_invalid(override)
    environment = project.environment_of(chosen)
    origin = repository_name(repository)
    if environment and home and origin != repository_name(home):
        environment = None
    if environment and branch is not None and branch != chosen and publishes:
        raise Mistake(
            Problem(
                f"environment '{environment.name}' is the kitchen of branch '{chosen}', "
                f"and '{branch}' is checked out",
                hint=f"`git switch {chosen}` first",
                code="other-branch",
            )
        )
    return Kitchen(
        project_id=project.id,
        repository=origin,
        branch=chosen,
        namespace=namespace(project.id, origin, chosen),
        environment=environment.name if environment else None,
        base=None if environment else project.sandbox_base,
    )


def namespace(project_id: str, repository: str, branch: str) -> str:
    """``k_<slug>_<12 hex>``: ASCII, at most 48 bytes, other for every other identity.

    The slug is for people; the digest, over an encoding in which no two identities are equal, decides.
    """
    identity = json.dumps([project_id, repository, branch], separators=(",", ":"))
    slug = re.sub(r"[^a-z0-9]+", "_", branch.lower())[:SLUG_LENGTH].strip("_") or "branch"
    return f"k_{slug}_{sha256(identity.encode('ascii')).hexdigest()[:12]}"


def repository_name(location: str | None) -> str:
    """One name for all ways to reach a repository: ``github.com/owner/name`` ("" for none).

    ``git@github.com:Owner/Name.git``, ``https://github.com/owner/name`` and ``ssh://git@github.com:22/…``
    are the same. A folder stays a folder; its case matters.
    """
    if not location:
        return ""
    scp = re.fullmatch(r"(?:[^@/]+@)?([\w.-]{2,}):(?!//)(.+)", location)
    if scp:
        host, path = scp.groups()
    else:
        parts = urlsplit(location)
        host, path = parts.hostname or "", parts.path
    path = path.rstrip("/").removesuffix(".git")
    return f"{host}/{path.lstrip('/')}".lower() if host else path


def claim(project: Project, kitchen: Kitchen) -> int:
    """Register the kitchen under its namespace and return its birth number.

    The first kitchen to claim a namespace has it. Mistake when the registry gives it to another identity:
    namespaces are unique because they are registered, not because digests seldom meet.
    """
    path = project.state / "registry" / f"{kitchen.namespace}.json"
    identity = {"project": kitchen.project_id, "repository": kitchen.repository, "branch": kitchen.branch}
    if not path.exists():
        write_atomic(path, json.dumps({"version": 1, "birth": 1, **identity}, indent=1) + "\n", sync=True)
    entry = _entry(path)
    if any(entry.get(key) != value for key, value in identity.items()):
        raise Mistake(
            Problem(
                f"namespace {kitchen.namespace} belongs to branch '{entry.get('branch')}' of "
                f"'{entry.get('repository')}', not to '{kitchen.branch}' of '{kitchen.repository}'",
                hint="rename the branch",
                code="namespace-taken",
            )
        )
    return int(entry["birth"])


def _entry(path: Path) -> dict[str, Any]:
    """A registry entry. Infrastructure when it cannot be read: who owns the namespace is then unknown."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(entry, dict) and isinstance(entry.get("birth"), int):
            return entry
        reason = "it is no registry entry"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise Infrastructure(
        Problem(
            f"the registry entry {path.name} cannot be read: {reason}",
            hint=f"delete {path}; the next command writes it again",
            code="registry",
        )
    )


def _refuse_reserved(branch: str) -> None:
    first = branch.split("/")[0].casefold()
    if first in ("gitkitchen", "gitkitchen-ledger", "gitkitchen-ledger-fallback"):
        raise Mistake(
            Problem(
                f"branch '{branch}' is GitKitchen's own and never a kitchen",
                hint="switch to a branch of your own",
                code="reserved-branch",
            )
        )


def _refuse_invalid(name: str) -> None:
    """A name given by hand must be one that git could give a branch: git-check-ref-format(1)."""
    parts = name.split("/")
    if FORBIDDEN.search(name) or any(p.startswith(".") or p.endswith(".lock") for p in parts):
        raise Mistake(
            Problem(
                f"{name!r} is no name of an environment or a branch",
                hint="--kitchen takes what `git branch` would",
                code="branch-name",
            )
        )
