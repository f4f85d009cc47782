"""A store in an OCI registry (OCI distribution specification 1.1; docs/adr/0008-oci-layout.md).

    <repository>/trusted:<fingerprint>                  a build of an environment
    <repository>/sandbox:<namespace>.<fingerprint>      a build of a sandbox
    <repository>/{trusted | sandbox}:…                  verdicts and notes: data/stores/tags.py

A build is an image manifest whose config is the build's JSON and whose layers are its files, so that the
registry's garbage collection keeps what a build refers to. One with many files is an index of such
manifests, the parts tagged ``<tag>.<number>``. The zones are repositories of their own, with rights of
their own.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import urljoin

from gitkitchen.data.stores.contract import FINGERPRINT, TRUSTED, Thing, unreachable
from gitkitchen.data.stores.credentials import login_for
from gitkitchen.data.stores.http import Client, small
from gitkitchen.data.stores.oci_removal import REFERENCE, remove_tag
from gitkitchen.data.stores.oci_upload import Uploads
from gitkitchen.data.stores.parallel import each
from gitkitchen.data.stores.tags import build_tag, note_tag, thing_of, verdicts_tag
from gitkitchen.files import digest_bytes
from gitkitchen.kitchen.stores import Address
from gitkitchen.model import FileEntry

if TYPE_CHECKING:
    pass

T = TypeVar("T")

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
BUILD = "application/vnd.gitkitchen.build.v1+json"
FILE = "application/vnd.gitkitchen.file.v1"
NOTE = "application/vnd.gitkitchen.note.v1+json+gzip"
VERDICTS = "application/vnd.gitkitchen.verdicts.v1+json+gzip"
LAYERS = 1000
"""Files in one manifest: with 250 bytes each it stays far below the 4 MB that registries must take."""
INLINE = 64 << 10
"""Bytes of a build's JSON that its manifest carries along, which saves a request for each build."""
WHOLE = 64 << 20
"""Bytes of a blob that is sent in one piece; a longer one goes in chunks, and goes on where it broke off."""
BIG = 512 << 20
PAGES = 200
"""Pages of the list of tags, of up to 1,000 each; beyond that builds are asked for one by one."""


class OciRemote:
    """The zones of a store in one registry. Threads share it."""

    def __init__(
        self, address: Address, environ: Mapping[str, str], *, whole: int = WHOLE, layers: int = LAYERS,
        pause: float = 0.5,
    ) -> None:  # fmt: skip
        self.label = str(address)
        self._top, self._layers = address.path, layers
        names = [f"{address.path}/{zone}" for zone in ("trusted", "sandbox")]
        logins = {name: login_for(address.place, name, environ) for name in names}
        self._client = Client(address.place, self.label, logins, pause=pause)
        self._uploads = Uploads(self._client, whole)

    def _repository(self, zone: str) -> str:
        return f"{self._top}/{'trusted' if zone == TRUSTED else 'sandbox'}"

    # --- builds ------------------------------------------------------------------------------------

    def build(self, zone: str, fingerprint: str) -> bytes | None:
        return self._artifact(zone, build_tag(zone, fingerprint), BUILD)

    def builds(self, zone: str) -> frozenset[str] | None:
        prefix = build_tag(zone, "")
        tags = self._tags(self._repository(zone))
        if tags is None:
            return None
        names = (t.removeprefix(prefix) for t in tags if t.startswith(prefix))
        return frozenset(n for n in names if FINGERPRINT.fullmatch(n))

    def _tags(self, repository: str) -> list[str] | None:
        """All tags of a repository; None where there are too many."""
        tags: list[str] = []
        url: str | None = f"/v2/{repository}/tags/list?n=1000"
        for _ in range(PAGES):
            assert url is not None
            page, url = self._client.repeat("listing its builds", lambda url=url: self._page(repository, url))
            tags += page
            if url is None:
                return tags
        return None

    def _page(self, repository: str, url: str) -> tuple[list[str], str | None]:
        with self._client.send("GET", url, repository) as response:
            if response.status_code == 404:
                return [], None
            if response.status_code != 200:
                raise self._client.refused(response, "listing its builds")
            tags = self._json(small(response), "its list of tags").get("tags") or []
            following = re.match(r'<([^>]+)>;\s*rel="?next', response.headers.get("Link", ""))
        good = [t for t in tags if isinstance(t, str)] if isinstance(tags, list) else []
        if following is None:
            return good, None
        target = urljoin(urljoin(self._client.base, url), following[1])
        if not target.startswith(f"{self._client.base}/"):
            raise unreachable(self.label, "its list of tags goes on at another address")
        return good, target

    def put_build(self, zone: str, fingerprint: str, data: bytes, files: Sequence[FileEntry]) -> None:
        tag = build_tag(zone, fingerprint)
        layers = [
            {
                "mediaType": FILE,
                "digest": f"sha256:{digest}",
                "size": size,
                "annotations": {"org.opencontainers.image.title": f"{digest}{suffix}"},
            }
            for digest, size, suffix in dict.fromkeys((f.digest, f.bytes, f.suffix) for f in files)
        ]
        self._put_artifact(zone, tag, BUILD, data, layers)

    # --- verdicts ----------------------------------------------------------------------------------

    def verdicts(self, zone: str, name: str) -> bytes | None:
        return self._artifact(zone, verdicts_tag(name), VERDICTS)

    def put_verdicts(self, zone: str, name: str, data: bytes) -> None:
        self._put_artifact(zone, verdicts_tag(name), VERDICTS, data, [])

    # --- clearing up ---------------------------------------------------------------------------------

    def note(self, zone: str, name: str) -> bytes | None:
        return self._artifact(zone, note_tag(zone, name), NOTE)

    def put_note(self, zone: str, name: str, data: bytes) -> None:
        self._put_artifact(zone, note_tag(zone, name), NOTE, data, [])

    def notes(self, zone: str) -> frozenset[str]:
        tags = self._tags(self._repository(zone))
        if tags is None:
            raise unreachable(self.label, "it has too many tags to be listed")
        prefix = note_tag(zone, "")
        return frozenset(t.removeprefix(prefix) for t in tags if t.startswith(prefix))

    def inventory(self) -> Mapping[str, Sequence[Thing]]:
        """Builds, verdicts and notes: the files are the manifests' layers, which the registry collects."""
        found: dict[str, list[Thing]] = {}
        for zone in (TRUSTED, "sandbox"):
            tags = self._tags(self._repository(zone))
            if tags is None:
                raise unreachable(self.label, f"its repository {zone} has too many tags to be listed")
            for tag in sorted(tags):  # an index before its parts
                named = thing_of(zone == TRUSTED, tag)
                if named is not None:
                    found.setdefault(named[0], []).append(named[1])
        return found

    def remove(self, zone: str, things: Sequence[Thing]) -> None:
        repository = self._repository(zone)
        each(
            lambda t: remove_tag(self._client, repository, t.place, lambda tag: self._manifest(zone, tag)),
            things,
        )

    def where(self, zone: str, thing: Thing) -> str:
        return f"oci://{self._client.base.partition('://')[2]}/{self._repository(zone)}:{thing.place}"

    # --- manifests ---------------------------------------------------------------------------------

    def _artifact(self, zone: str, tag: str, kind: str) -> bytes | None:
        """What a tagged manifest (or the first of an index) has as its config; None where there is none."""
        body = self._manifest(zone, tag)
        if body is None:
            return None
        value = self._json(body, "a manifest")
        if value.get("mediaType") == INDEX:
            parts = value.get("manifests")
            first = parts[0] if isinstance(parts, list) and parts else None
            digest = _sha256(first)
            body = self._manifest(zone, f"sha256:{digest}") if digest else None
            if body is None or digest_bytes(body) != digest:
                return None
            value = self._json(body, "a manifest")
        config = value.get("config")
        digest = _sha256(config)
        if digest is None or not isinstance(config, dict) or config["mediaType"] != kind:
            return None
        if isinstance(config.get("data"), str):
            try:
                inline = base64.b64decode(config["data"], validate=True)
            except ValueError:
                return None
            return inline if digest_bytes(inline) == digest else None
        data = self._blob(zone, digest)
        return data if data is not None and digest_bytes(data) == digest else None

    def _manifest(self, zone: str, reference: str) -> bytes | None:
        repository = self._repository(zone)

        def ask() -> bytes | None:
            headers = {"Accept": f"{MANIFEST}, {INDEX}"}
            url = f"/v2/{repository}/manifests/{reference}"
            with self._client.send("GET", url, repository, headers=headers) as response:
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise self._client.refused(response, "reading a build")
                return self._small(lambda: small(response))

        found: bytes | None = self._client.repeat("reading a build", ask)
        return found

    def _blob(self, zone: str, digest: str) -> bytes | None:
        repository = self._repository(zone)

        def ask() -> bytes | None:
            with self._client.send("GET", f"/v2/{repository}/blobs/sha256:{digest}", repository) as response:
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise self._client.refused(response, "reading a build")
                return self._small(lambda: small(response, BIG))

        found: bytes | None = self._client.repeat("reading a build", ask)
        return found

    def _put_artifact(
        self, zone: str, tag: str, kind: str, data: bytes, layers: list[dict[str, Any]]
    ) -> None:
        """Blobs first, then the manifest of each part, then the tag: one request that shows all at once."""
        config: dict[str, Any] = {
            "mediaType": kind,
            "digest": f"sha256:{digest_bytes(data)}",
            "size": len(data),
        }
        self._uploads.put_bytes(self._repository(zone), data)
        if len(data) <= INLINE:
            config["data"] = base64.b64encode(data).decode("ascii")
        if not layers:
            self._uploads.put_bytes(self._repository(zone), b"{}")
            layers = [{"mediaType": EMPTY, "digest": f"sha256:{digest_bytes(b'{}')}", "size": 2}]
        parts = [layers[i : i + self._layers] for i in range(0, len(layers), self._layers)]
        names = [tag] if len(parts) == 1 else [f"{tag}.{number}" for number in range(len(parts))]
        bodies = [_manifest_of(kind, config, part, name) for name, part in zip(names, parts, strict=True)]
        if len(bodies) == 1:
            self._put_manifest(zone, tag, MANIFEST, bodies[0])
            return
        for name, body in zip(names, bodies, strict=True):
            # A tag of its own: collectors that remove what has none do not look into an index.
            self._put_manifest(zone, name, MANIFEST, body)
        described = [
            {
                "mediaType": MANIFEST,
                "artifactType": kind,
                "digest": f"sha256:{digest_bytes(b)}",
                "size": len(b),
            }
            for b in bodies
        ]
        index = {"schemaVersion": 2, "mediaType": INDEX, "artifactType": kind, "manifests": described}
        index["annotations"] = {REFERENCE: tag}
        self._put_manifest(zone, tag, INDEX, json.dumps(index, separators=(",", ":")).encode())

    def _put_manifest(self, zone: str, tag: str, kind: str, body: bytes) -> None:
        repository = self._repository(zone)

        def put() -> None:  # the same body under the same tag: once or twice is the same
            url = f"/v2/{repository}/manifests/{tag}"
            with self._client.send("PUT", url, repository, headers={"Content-Type": kind}, data=body) as r:
                if r.status_code not in (201, 202, 204):
                    raise self._client.refused(r, "keeping a build")

        self._client.repeat("keeping a build", put)

    # --- files -------------------------------------------------------------------------------------

    def fetch(self, zone: str, file: FileEntry, target: BinaryIO) -> bool:
        repository = self._repository(zone)
        done = 0

        def ask() -> bool:
            """From where an attempt before this one broke off."""
            nonlocal done
            headers = {"Range": f"bytes={done}-"} if done else {}
            url = f"/v2/{repository}/blobs/sha256:{file.digest}"
            with self._client.send("GET", url, repository, headers=headers) as response:
                if response.status_code == 404:
                    return False
                if response.status_code not in (200, 206):
                    raise self._client.refused(response, "reading a file")
                skip = done if response.status_code == 200 else 0
                for block in response.iter_content(1 << 16):  # what came before a break counts
                    fresh = block[skip:]
                    skip -= len(block) - len(fresh)
                    target.write(fresh)
                    done += len(fresh)
            return True

        found: bool = self._client.repeat("reading a file", ask)
        return found

    def put_file(self, zone: str, file: FileEntry, path: Path, *, again: bool) -> None:
        self._uploads.put_file(self._repository(zone), file, path, again=again)

    # --- shapes ------------------------------------------------------------------------------------

    def _small(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except ValueError as error:
            raise unreachable(self.label, f"it sent {error}") from None

    def _json(self, body: bytes, what: str) -> dict[str, Any]:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise unreachable(self.label, f"{what} is not JSON") from None
        return value if isinstance(value, dict) else {}


def _manifest_of(
    kind: str, config: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], tag: str
) -> bytes:
    """A manifest that is of one tag alone, so that it can be removed with it (see oci_removal)."""
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": config,
        "layers": layers,
        "annotations": {REFERENCE: tag},
    }
    return json.dumps(value, separators=(",", ":")).encode()


def _sha256(descriptor: Any) -> str | None:
    """The digest of a descriptor, if it is one of ours."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not isinstance(descriptor.get("mediaType"), str):
        return None
    text = digest.removeprefix("sha256:")
    return text if digest.startswith("sha256:") and FINGERPRINT.fullmatch(text) else None
