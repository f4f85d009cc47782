"""Removing what a tag names from a registry, as far as the registry lets one.

A manifest is removed by its digest, which takes all tags with it that point there. So that is done only
where the manifest says itself that it is this tag's (its annotation names the tag). Whoever moved the tag to
a newer manifest meanwhile keeps it. What the registry frees then is its own collector's matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gitkitchen.data.stores.contract import Denied, Undeletable
from gitkitchen.data.stores.http import Client
from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.files import digest_bytes

REFERENCE = "org.opencontainers.image.ref.name"
"""An annotation of the OCI image specification: the name of what a manifest is."""
GONE = frozenset({200, 202, 204, 404})


def remove_tag(client: Client, repository: str, tag: str, read: Callable[[str], bytes | None]) -> None:
    """Remove the manifest that ``tag`` names, or the tag alone where the manifest is not its own.

    ``read`` gives the manifest under a reference. Denied or Undeletable where the registry refuses.
    """
    body = read(tag)
    if body is None:
        return
    reference = f"sha256:{digest_bytes(body)}" if _named(body) == tag else tag
    status = client.repeat("removing a build", lambda: _delete(client, repository, reference))
    if status in GONE:
        return
    text = f"the store {client.label}: removing a build: it answered {status}"
    if status in (401, 403):
        hint = "give the job the right to delete there, or leave this zone to a job that has it"
        raise Denied(Problem(text, hint=hint, code="store"))
    if status in (400, 405, 501):
        hint = (
            "`gitkitchen gc --json` names what could go; the registry's own pages or API may remove it "
            "(on GitHub: versions of the package; see docs/stores.md)"
        )
        raise Undeletable(Problem(f"{text}: it lets nobody remove", hint=hint, code="store"))
    raise Infrastructure(Problem(text, hint="run the same command again when it works", code="store"))


def _delete(client: Client, repository: str, reference: str) -> int:
    url = f"/v2/{repository}/manifests/{reference}"
    with client.send("DELETE", url, repository) as response:
        return int(response.status_code)


def _named(body: bytes) -> str:
    """The tag that a manifest says it was made for."""
    try:
        value: Any = json.loads(body)
        return str(value["annotations"][REFERENCE])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
