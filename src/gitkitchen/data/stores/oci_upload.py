"""Bringing blobs to a registry: whole, or in chunks that go on where they broke off."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qs, quote, urljoin, urlsplit

from gitkitchen.data.stores.http import Client, Passing
from gitkitchen.files import digest_bytes
from gitkitchen.model import FileEntry

if TYPE_CHECKING:
    from requests import Response

SHORT = 1 << 20


class Uploads:
    """Blobs on their way to the repositories of one registry. Threads share it."""

    def __init__(self, client: Client, whole: int) -> None:
        """``whole``: bytes up to which a blob goes in one piece."""
        self._client, self._whole = client, whole

    def put_file(self, repository: str, file: FileEntry, path: Path, *, again: bool) -> None:
        """Keep a file under its digest. Does nothing where it is there, unless ``again``."""

        def send(url: str, repository: str) -> None:
            if file.bytes <= SHORT:  # as bytes, also because an empty stream would be sent in chunks
                self._end_upload(url, repository, file.digest, path.read_bytes(), file.bytes)
            elif file.bytes <= self._whole:
                with path.open("rb") as data:
                    self._end_upload(url, repository, file.digest, data, file.bytes)
            else:
                self._in_chunks(url, repository, file, path)

        self._put_blob(repository, file.digest, send, again=again)

    def put_bytes(self, repository: str, data: bytes) -> None:
        """Keep some bytes under their digest."""
        digest = digest_bytes(data)
        self._put_blob(
            repository, digest, lambda url, repo: self._end_upload(url, repo, digest, data, len(data))
        )

    def _put_blob(
        self, repository: str, digest: str, send: Callable[[str, str], None], *, again: bool = False
    ) -> None:
        """Ask whether it is there, else begin an upload and send it. A blob has its digest for a name, so
        that an attempt whose answer was lost is seen to have succeeded."""
        first = True

        def put() -> None:
            nonlocal first
            if not (again and first) and self._has_blob(repository, digest):
                return
            first = False
            with self._client.send("POST", f"/v2/{repository}/blobs/uploads/", repository, data=b"") as begun:
                if begun.status_code != 202 or "Location" not in begun.headers:
                    raise self._client.refused(begun, "keeping a file")
                url = self._upload_url(begun.headers["Location"])
            send(url, repository)

        self._client.repeat("keeping a file", put)

    def _has_blob(self, repository: str, digest: str) -> bool:
        with self._client.send("HEAD", f"/v2/{repository}/blobs/sha256:{digest}", repository) as response:
            if response.status_code in (200, 404):
                return response.status_code == 200
            raise self._client.refused(response, "looking for a file")

    def _upload_url(self, location: str) -> str:
        return urljoin(f"{self._client.base}/", location)

    def _end_upload(self, url: str, repository: str, digest: str, data: bytes | BinaryIO, size: int) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with self._client.send(
            "PUT", _with_digest(url, digest), repository, headers=headers, data=data
        ) as done:
            if done.status_code == 401 and not isinstance(data, bytes):
                raise Passing("its token ran out")  # the next attempt has a new one
            if done.status_code not in (201, 202, 204):
                raise self._client.refused(done, "keeping a file")

    def _in_chunks(self, url: str, repository: str, file: FileEntry, path: Path) -> None:
        """In pieces, in order; after a break the registry says how far it came."""
        sent, broken = 0, 0
        with path.open("rb") as source:
            while sent < file.bytes:
                source.seek(sent)
                chunk = source.read(self._whole)
                headers = {
                    "Content-Type": "application/octet-stream",
                    "Content-Range": f"{sent}-{sent + len(chunk) - 1}",
                }
                try:
                    with self._client.send("PATCH", url, repository, headers=headers, data=chunk) as response:
                        url = self._went_on(response, url)
                    sent += len(chunk)
                except Passing:
                    broken += 1
                    if broken > 3:
                        raise
                    url, sent = self._progress(url, repository)
        self._end_upload(url, repository, file.digest, b"", 0)

    def _went_on(self, response: Response, url: str) -> str:
        """Where the next piece goes."""
        if response.status_code == 416:  # it has another number of bytes than we think: begin anew
            raise Passing("the upload broke off")
        if response.status_code not in (201, 202, 204):
            raise self._client.refused(response, "keeping a file")
        return self._upload_url(response.headers.get("Location", url))

    def _progress(self, url: str, repository: str) -> tuple[str, int]:
        """Where an upload stands: its address by now, and its bytes. Passing where it is gone."""
        with self._client.send("GET", url, repository) as response:
            if response.status_code not in (200, 202, 204):
                raise Passing("the upload broke off")
            end = re.fullmatch(r"(?:bytes=)?0-(\d{1,15})", response.headers.get("Range", ""))
            last = int(end[1]) if end else 0  # "0-0" is also what registries say of nothing
            return self._upload_url(response.headers.get("Location", url)), last + 1 if last else 0


def _with_digest(url: str, digest: str) -> str:
    mark = "&" if parse_qs(urlsplit(url).query, keep_blank_values=True) or "?" in url else "?"
    return f"{url}{mark}digest={quote(f'sha256:{digest}', safe='')}"
