"""What approvals and runs were given under: one digest of all that judges a promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gitkitchen.files import canonical, digest_bytes
from gitkitchen.model import Project
from gitkitchen.promote.owners import FILES

SCHEME = 1
"""Raised when what the digest covers changes: all approvals are then asked for again."""


def policy_digest(project: Project | None, environment: str, texts: Mapping[str, str]) -> str:
    """The digest of the target's policy, waiver rules, gate and place in the road, and of its CODEOWNERS.

    ``texts``: files of the target's tree by path (CODEOWNERS alone are looked at). Where a line stands, the
    order of keys and comments change nothing. Of a target that does not know the environment, or has no
    ``kitchen.yml``, it is the digest of that.
    """
    found = project.environment(environment) if project is not None else None
    owners = next((texts[name] for name in FILES if name in texts), "")
    content: dict[str, Any] = {
        "scheme": SCHEME,
        "project": project.id if project is not None else "",
        "environment": [found.name, found.branch, found.source, found.adopt] if found is not None else [],
        "gate": asdict(found.gate) if found is not None else None,
        "policy": asdict(project.policy) if project is not None and project.policy is not None else None,
        "owners": owners,
    }
    return digest_bytes(canonical(_plain(content)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else value.isoformat()
