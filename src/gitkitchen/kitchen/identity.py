"""A branch becomes a kitchen: its identity and its namespace."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from urllib.parse import urlsplit

from gitkitchen.errors import Mistake, Problem
from gitkitchen.kitchen.event import QUEUE, Head
from gitkitchen.model import Environment, Kitchen, Project

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
    event: Head | None = None,
) -> Kitchen:
    """The kitchen of ``branch`` (what is checked out; None: detached), or of ``override`` (``--kitchen``).

    ``override`` is the name of an environment, of a branch, or ``REPOSITORY:BRANCH`` for a fork's (no branch
    has a colon in its name). Who looks may look anywhere; who ``publishes`` on a branch cannot name the
    environment of another: its code is not what is checked out.
    ``repository`` is where the branch comes from (a URL); with ``home``, the repository that the project
    lives in, a branch of any other repository is a sandbox, whatever its name. ``event`` says whose a
    detached checkout is, that of a merge queue, or a branch that only bears the name of one of ours.
    """
    named = project.environment(override) if override else None
    origin, target = repository_name(repository), None
    foreign = bool(home and origin) and origin != repository_name(home)
    if override:
        fork, colon, chosen = override.rpartition(":") if not named else ("", "", named.branch)
        if not named:
            _refuse_invalid(chosen, override)
        if colon:
            origin = _fork(fork, home or (event.home if event else None))
            foreign = bool(origin)
    elif event and (branch is None or branch == event.branch or _is_queue(branch)):
        _refuse_invalid(event.branch, event.branch)
        chosen, target = event.branch, event.target
        if repository_name(event.repository) != repository_name(event.home):
            origin, foreign = repository_name(event.repository), True
    elif branch is None or _is_queue(branch):
        raise _nameless(branch)
    else:
        chosen = branch
    _refuse_reserved(chosen)
    environment = None if foreign else project.environment_of(chosen)
    if environment and publishes:
        _refuse_other_code(environment, chosen, branch, event)
    base = project.environment_of(target) if target else None
    return Kitchen(
        project_id=project.id,
        repository=origin,
        branch=chosen,
        namespace=namespace(project.id, origin, chosen),
        environment=environment.name if environment else None,
        base=None if environment else (base.name if base else project.sandbox_base),
        fork=foreign,
    )


def _is_queue(branch: str | None) -> bool:
    return branch is not None and branch.split("/")[0] == QUEUE


def _nameless(branch: str | None) -> Mistake:
    if branch is None:
        return Mistake(
            Problem(
                "HEAD is detached: no branch says which kitchen this is",
                hint="switch to a branch, or name one with --kitchen",
                code="detached",
            )
        )
    return Mistake(
        Problem(
            f"'{branch}' is a merge queue's: it comes and goes, and no branch says which kitchen this is",
            hint="name one with --kitchen",
            code="queue",
        )
    )


def _fork(text: str, home: str | None) -> str:
    """The repository before the colon of ``--kitchen``: a URL, ``HOST/OWNER/NAME``, or ``OWNER/NAME`` on the
    project's own host. "" where it is the project's own."""
    found = repository_name(text)
    own = repository_name(home)
    if found.count("/") == 1 and not found.startswith("/"):
        found = f"{own.split('/')[0] if own else 'github.com'}/{found}".lower()
    if found.count("/") < 2:
        raise Mistake(
            Problem(
                f"{text!r} is no repository",
                hint="a fork's kitchen is OWNER/NAME:BRANCH",
                code="repository-name",
            )
        )
    return "" if found == own else found


def _refuse_other_code(environment: Environment, chosen: str, branch: str | None, event: Head | None) -> None:
    """An environment is published by the code of its own branch alone."""
    if event is not None and event.proposed:
        raise Mistake(
            Problem(
                f"this job runs the code of a pull request, which never publishes to '{environment.name}'",
                hint="--no-publish keeps what it builds as a candidate",
                code="proposed-code",
            )
        )
    if branch is not None and branch != chosen:
        raise Mistake(
            Problem(
                f"environment '{environment.name}' is the kitchen of branch '{chosen}', "
                f"and '{branch}' is checked out",
                hint=f"`git switch {chosen}` first",
                code="other-branch",
            )
        )


def namespace(project_id: str, repository: str, branch: str, birth: int = 1) -> str:
    """``k_<slug>_<12 hex>``: ASCII, at most 48 bytes, other for every other identity and birth.

    The slug is for people; the digest, over an encoding in which no two identities are equal, decides.
    """
    parts = [project_id, repository, branch, *([birth] if birth > 1 else [])]
    identity = json.dumps(parts, separators=(",", ":"))
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


def environment_namespace(project: Project, environment: Environment) -> str:
    """The namespace of an environment: always the project's own branch, and never born again."""
    return namespace(project.id, "", environment.branch)


def is_reserved(branch: str) -> bool:
    """Whether a branch is GitKitchen's own, and so never a kitchen."""
    first = branch.split("/")[0].casefold()
    return first in ("gitkitchen", "gitkitchen-ledger", "gitkitchen-ledger-fallback")


def _refuse_reserved(branch: str) -> None:
    if is_reserved(branch):
        raise Mistake(
            Problem(
                f"branch '{branch}' is GitKitchen's own and never a kitchen",
                hint="switch to a branch of your own",
                code="reserved-branch",
            )
        )


def _refuse_invalid(name: str, given: str) -> None:
    """A name from outside must be one that git could give a branch: git-check-ref-format(1)."""
    parts = name.split("/")
    if not name or FORBIDDEN.search(name) or any(p.startswith(".") or p.endswith(".lock") for p in parts):
        raise Mistake(
            Problem(
                f"{given!r} is no name of an environment or a branch",
                hint="--kitchen takes what `git branch` would",
                code="branch-name",
            )
        )
