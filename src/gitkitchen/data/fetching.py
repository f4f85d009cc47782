"""Addresses: what a server says of a file's content, and fetching it whole."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from gitkitchen.data.unpacking import CHUNK, DATA, PACKED
from gitkitchen.errors import Infrastructure, Mistake, Problem

TIMEOUT = 60.0

Explain = Callable[[str, str], Problem]
"""(what is wrong, what next) -> the problem with the source's name and place."""


def content_tag(url: str, explain: Explain) -> list[str | None] | None:
    """A strong ETag with the length of the content; None where the server says neither, or not now.

    Raises Mistake where there is nothing at the address.
    """
    try:
        with _request(url, "HEAD", explain) as answer:
            tag, length = answer.headers.get("ETag"), answer.headers.get("Content-Length")
    except Infrastructure:
        return None  # some servers refuse HEAD alone; the fetch itself will tell
    if not tag or tag.startswith("W/"):  # a weak tag stays the same where only bytes differ
        return None
    return [tag, length]


def download(url: str, folder: Path, bounded: Callable[[int], None], explain: Explain) -> Path:
    """The whole file at an address, in ``folder``. Raises Infrastructure where it does not come whole."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"fetched{_ending(url)}"
    with _request(url, "GET", explain) as answer, target.open("wb") as out:
        wanted, size = answer.headers.get("Content-Length"), 0
        while chunk := _chunk(answer, explain):
            bounded(len(chunk))
            size += len(chunk)
            out.write(chunk)
    if wanted is not None and wanted != str(size):
        raise Infrastructure(explain(f"ended after {size} of {wanted} bytes", "run the same command again"))
    return target


def _chunk(answer: Any, explain: Explain) -> bytes:
    try:
        found: bytes = answer.read(CHUNK)
    except (http.client.HTTPException, OSError) as error:
        raise Infrastructure(explain(f"broke off: {error}", "run the same command again")) from None
    return found


def _request(url: str, method: str, explain: Explain) -> Any:
    if not url.startswith(("https://", "http://")):
        raise Mistake(explain("is no http or https address", "mend `url:`"))
    try:
        request = urllib.request.Request(url, method=method, headers={"User-Agent": "gitkitchen"})  # noqa: S310
        return urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 - the scheme was checked
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise Mistake(explain(f"does not exist ({error.code})", "mend `url:`")) from None
        raise Infrastructure(explain(f"answered {error.code} {error.reason}", "try again later")) from None
    except http.client.InvalidURL as error:
        raise Mistake(explain(f"is no address ({error})", "mend `url:`")) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Infrastructure(explain(f"cannot be reached: {reason}", "try again later")) from None


def _ending(url: str) -> str:
    """The endings that tell format and packing; other parts of an address do not name our files."""
    suffixes = PurePosixPath(url.split("?")[0].split("#")[0]).suffixes[-2:]
    return "".join(s.lower() for s in suffixes if s.lower() in DATA | PACKED)


def answers(url: str) -> bool:
    """Whether there is something at an address now. What refuses, or is not there, or does not answer, is
    not: whoever waits for it looks again."""

    def explain(reason: str, hint: str) -> Problem:
        return Problem(reason, hint=hint)

    for method in ("HEAD", "GET"):  # some servers refuse HEAD alone
        try:
            with _request(url, method, explain):
                return True
        except (Infrastructure, Mistake):
            continue
    return False
