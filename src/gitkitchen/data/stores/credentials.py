"""Who we are to a registry: what Docker's file of logins says, or the token of a job. Never shown.

The file is described in https://docs.docker.com/reference/cli/docker/login/ and containers-auth.json(5):
``auths`` maps a host, or a host with the beginning of a repository's name, to a base64 ``user:password``.
Helpers that keep logins elsewhere (``credsStore``, ``credHelpers``) are programs and are not started.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from gitkitchen.files import read_bounded
from gitkitchen.frozen import dataclass

MOST = 1 << 20
GITHUB = "ghcr.io"


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password (or token), which ``repr`` does not show."""

    user: str
    password: str = field(repr=False)


def login_for(registry: str, repository: str, environ: Mapping[str, str]) -> Login | None:
    """The login for a repository, the most special entry first; None: nobody said who we are."""
    auths = _auths(environ)
    for name in _names(registry, repository):
        login = _login(auths.get(name))
        if login is not None:
            return login
    token = environ.get("GITHUB_TOKEN", "")
    if registry == GITHUB and token:
        return Login(environ.get("GITHUB_ACTOR") or "gitkitchen", token)
    return None


def _auths(environ: Mapping[str, str]) -> Mapping[str, object]:
    folder = environ.get("DOCKER_CONFIG") or f"{environ.get('HOME') or Path.home()}/.docker"
    try:
        value = json.loads(read_bounded(f"{folder}/config.json", MOST))
        auths = value.get("auths")
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return auths if isinstance(auths, dict) else {}


def _names(registry: str, repository: str) -> Iterator[str]:
    parts = [registry, *repository.split("/")]
    for length in range(len(parts), 0, -1):
        name = "/".join(parts[:length])
        yield name
        yield f"https://{name}"
    yield from (f"https://{registry}/v1/", f"https://{registry}/v2/")


def _login(entry: object) -> Login | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("auth"), str):
        return None
    try:
        text = base64.b64decode(entry["auth"], validate=True).decode("utf-8").rstrip("\0")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return Login(user, password) if colon and user and password else None
