"""``store:`` of kitchen.yml: a folder, or the address of a store that other machines reach too. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit

from gitkitchen.errors import Problem
from gitkitchen.frozen import dataclass
from gitkitchen.model import Environment

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
UNVERIFIED = frozenset({"gs", "gcs", "az", "abfs", "abfss", "adl", "hdfs", "sftp", "ssh", "webdav"})
"""Stores that fsspec knows and nobody has tried with GitKitchen."""

REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
"""The grammar of a repository's name in the OCI distribution specification 1.1."""
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
KEY = re.compile(r"[A-Za-z0-9!_.*'()/-]*")
"""The characters that are safe in an object's key, as Amazon S3 documents them."""
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


GITHUB = re.compile(
    r"(?:(?:https|ssh|git)://(?:[^@/]*@)?(?:ssh\.)?github\.com(?::\d+)?/|(?:[^@/:]*@)?github\.com:/?)"
    r"(?P<owner>[A-Za-z0-9][A-Za-z0-9-]{0,38})/(?P<name>[A-Za-z0-9._-]{1,100})/?",
    re.I,
)
"""A repository on github.com, in the ways that git writes it: by HTTPS, by SSH, and as scp does."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is. ``place`` is a folder, ``HOST[:PORT]`` of a registry, or a bucket; ``path`` what
    stands behind it, without slashes at its ends. A folder is relative to the repository unless
    ``absolute``."""

    kind: Literal["folder", "oci", "s3"]
    place: str
    path: str = ""
    absolute: bool = False

    @property
    def remote(self) -> bool:
        """Whether it takes a network, and so a local cache."""
        return self.kind != "folder"

    def __str__(self) -> str:
        if self.kind == "folder":
            return self.place
        return f"{self.kind}://{self.place}/{self.path}".rstrip("/")


def parse_store(text: str) -> Address:
    """The address that ``store:`` says. ValueError says in words what is wrong with it.

    No part of it is a secret: an address with a user or a password in it is refused.
    """
    if not SCHEME.match(text):
        return Address("folder", text)
    scheme = text.partition(":")[0].lower()
    if any(ord(c) <= 32 or ord(c) == 127 for c in text):
        raise ValueError("holds a blank or a control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is no address") from None
    if "@" in parts.netloc:
        raise ValueError("holds a user or a password; credentials come from the environment")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("holds a query or a fragment")
    if scheme == "oci":
        return _registry(parts.netloc, port, parts.path)
    if scheme == "s3":
        return _bucket(parts.netloc, parts.path)
    if scheme == "file":
        return _file(parts.netloc, parts.path)
    raise LookupError(scheme)


def registry_of(remote: str) -> str:
    """The store that a repository of github.com has at hand, its own packages on ghcr.io; "" for others.

    Names in a registry are small and know fewer signs than those of repositories.
    """
    found = GITHUB.fullmatch(remote)
    name = found["name"].lower().removesuffix(".git") if found else ""
    part = REPOSITORY.pattern.partition("(?:/")[0]
    words = "-".join(re.findall(part, name))
    return f"oci://ghcr.io/{found['owner'].lower()}/{words}" if found and words else ""


def _registry(netloc: str, port: int | None, path: str) -> Address:
    host = netloc.removesuffix(f":{port}") if port is not None else netloc
    if not HOST.fullmatch(host):
        raise ValueError("names no registry: write oci://HOST/REPOSITORY")
    name = path.strip("/")
    if not REPOSITORY.fullmatch(name) or len(name) > 200:
        raise ValueError(
            "names no repository of a registry: small letters, digits, . _ - and /, as in oci://ghcr.io/owner/name"
        )
    return Address("oci", netloc.lower(), name)


def _bucket(netloc: str, path: str) -> Address:
    prefix = path.strip("/")
    if not BUCKET.fullmatch(netloc):
        raise ValueError("names no bucket: write s3://BUCKET/PREFIX")
    parts = prefix.split("/") if prefix else []
    if not KEY.fullmatch(prefix) or any(part in ("", ".", "..") for part in parts):
        raise ValueError("has a prefix with other characters than letters, digits, . _ - and /")
    return Address("s3", netloc, prefix)


def _file(netloc: str, path: str) -> Address:
    folder = unquote(path)
    if netloc not in ("", "localhost") or not folder.startswith("/") or "\0" in folder:
        raise ValueError("names no folder: write file:///folder")
    if folder.strip("/") == "" or any(part in (".", "..") for part in folder.split("/")):
        raise ValueError("names no folder of its own")
    return Address("folder", folder.rstrip("/"), absolute=True)


def is_loopback(host: str) -> bool:
    """Whether a host (without its port) is this machine: the one place that plain HTTP may reach."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def lost_with_the_job(
    store: str, environments: Sequence[Environment], environ: Mapping[str, str]
) -> Problem | None:
    """The problem of an environment's job on a runner of GitHub's whose store is a folder, or None.

    The disk of such a runner is thrown away with the job, and what was published with it. ``environ`` is
    what GitHub documents as default variables of a job.
    """
    if environ.get("GITHUB_ACTIONS") != "true" or environ.get("RUNNER_ENVIRONMENT") != "github-hosted":
        return None
    if SCHEME.match(store) and not store.lower().startswith("file:"):
        return None
    if environ.get("GITHUB_REF_TYPE", "branch") != "branch":
        return None
    branch = environ.get("GITHUB_REF_NAME")
    name = next((e.name for e in environments if e.branch == branch), None)
    if name is None:
        return None
    return Problem(
        f"store: '{store[:80]}' is a folder, and this runner's disk is deleted with the job: environment "
        f"'{name}' would lose what it publishes",
        hint="name a store that outlives the job, such as oci://ghcr.io/OWNER/REPOSITORY or s3://BUCKET/PREFIX",
        code="store-lost",
    )
