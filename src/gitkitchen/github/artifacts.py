"""What an untrusted job left as an artifact, read by a trusted one as hostile data.

Everything in the archive may have been written by a stranger's code: names, sizes, links, content. It is
read in memory, by name, into bounded bytes; nothing is ever unpacked to the disk. What it claims is then
compared with what GitHub itself says of the run (the event of ``workflow_run``). Every refusal is a sentence
that may be posted.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from gitkitchen.document import departures
from gitkitchen.errors import GitKitchenError, Mistake, Problem
from gitkitchen.frozen import dataclass
from gitkitchen.github.events import Event, FinishedRun
from gitkitchen.github.payload import REPOSITORY, SHA, Part, parse
from gitkitchen.printed import text_safe

CLAIM = "claim.json"
"""Which run wrote the artifact, about which commits: written by ``gitkitchen ci``."""

PROBLEMS = "problems.json"
"""What went wrong without an outcome, as ``validate --format json`` says it."""

NOTHING = "nothing.json"
"""Left by a job whose event asked for nothing that could be shown: a branch that was dropped, a label."""

PULL = "pull.json"
"""The pull-request document: everything that is shown is derived from it."""

DISPATCHED = re.compile(r"#([1-9]\d{0,8}) at ([0-9a-f]{40}|[0-9a-f]{64})$")
"""How the ``run-name`` of our dispatched workflow ends: made of the inputs before any job runs."""


DIFF = "diff.json"
"""The diff that a command in a comment asked for."""

ASKED = re.compile(r"\[comment ([1-9]\d{0,18})\] diff ([a-z][a-z0-9_]{0,62}) #")
"""How the title of a run says that a comment asked for a diff: its key, as ``key_of`` makes it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and counts. ``file``: of one file, unpacked; ``total``: of all. How well a file is packed says
    nothing: the same message a thousand times is honest."""

    archive: int = 64 * 1024 * 1024
    files: int = 1_000
    file: int = 64 * 1024 * 1024
    total: int = 128 * 1024 * 1024
    directory: int = 1024 * 1024
    """Of the list of files at the archive's end."""


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
"""All files lie at the top: there is no path that could lead anywhere."""

_BLOCK = 65536
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END, _LOCATOR = b"PK\x05\x06", b"PK\x06\x07"


class Refused(Mistake):
    """An artifact that is not believed. The message is safe to post."""

    def __init__(self, why: str, code: str) -> None:
        self.why = why
        hint = (
            "run the job again; if it stays so, see what the job does between `gitkitchen ci` and the upload"
        )
        super().__init__(Problem(f"the results are not believed: {why}", hint=hint, code=f"artifact-{code}"))


@dataclass(frozen=True, slots=True)
class Claim:
    """What an artifact says about itself, after it was compared with the run that GitHub names. ``tree`` is
    "" where head and base conflict: then nothing ran."""

    repository: str
    run: int
    attempt: int
    event: str
    number: int | None
    head: str
    base: str
    tree: str


def read(archive: Path, wanted: Callable[[str], bool], limits: Limits = Limits()) -> dict[str, bytes]:
    """The files of a zip archive that are ``wanted``, by name. Refused for what no honest job writes.

    One pass over the archive, within ``limits`` whatever its headers say.
    """
    try:
        with archive.open("rb") as file:
            _refuse_large(file, limits)
            with zipfile.ZipFile(file) as opened:
                return _files(opened, wanted, limits)
    except zipfile.BadZipFile as error:
        raise Refused(f"the archive is damaged ({text_safe(str(error))[:200]})", "damaged") from None
    # What zipfile raises for headers that lie; RuntimeError and its NotImplementedError for methods.
    except (
        zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error, LookupError, OverflowError
    ) as error:  # fmt: skip
        raise Refused(f"the archive cannot be read ({text_safe(str(error))[:200]})", "damaged") from None


def _refuse_large(file: IO[bytes], limits: Limits) -> None:
    """Before zipfile reads the list of files: it would keep all of it in memory."""
    size = file.seek(0, 2)
    if size > limits.archive:
        raise Refused(f"the archive has {size:,} bytes, and {limits.archive:,} are the most", "size")
    file.seek(max(0, size - 65_577))  # a locator of 20 bytes, a record of 22, a comment of 65,535
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise Refused("it is no zip archive", "damaged")
    count, length = struct.unpack_from("<HI", tail, at + 10)
    # zipfile follows the locator of the huge form whenever there is one, whatever this record says.
    if tail[max(0, at - 20) : at].startswith(_LOCATOR) or count == 0xFFFF or length == 0xFFFFFFFF:
        raise Refused("the archive is of the form for huge archives (zip64)", "size")
    if count > limits.files:
        raise Refused(f"the archive holds {count:,} files, and {limits.files:,} are the most", "count")
    if length > limits.directory:
        raise Refused("the list of files is larger than any of ours", "count")
    file.seek(0)


def _files(archive: zipfile.ZipFile, wanted: Callable[[str], bool], limits: Limits) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > limits.files:
        raise Refused(f"the archive holds {len(entries):,} files, and {limits.files:,} are the most", "count")
    seen: set[str] = set()
    for entry in entries:
        _refuse_entry(entry, limits)
        name = entry.filename.casefold()  # file systems may fold names; a second one is no accident
        if name in seen:
            raise Refused(f"the archive holds '{entry.filename}' twice", "duplicate")
        seen.add(name)
    if sum(e.file_size for e in entries) > limits.total:
        raise Refused(f"unpacked it has more than {limits.total:,} bytes", "bomb")
    found: dict[str, bytes] = {}
    for entry in entries:
        if wanted(entry.filename):
            found[entry.filename] = _content(archive, entry, limits)
    return found


def _refuse_entry(entry: zipfile.ZipInfo, limits: Limits) -> None:
    shown = text_safe(entry.orig_filename)[:80]
    # orig_filename: zipfile cuts a name at its first zero byte and turns backslashes on some systems.
    if not NAME.fullmatch(entry.orig_filename) or entry.orig_filename != entry.filename:
        raise Refused(f"it holds a file called {shown!r}, and no file of ours is", "name")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Refused(f"'{shown}' is a link or another special file", "link")
    if entry.flag_bits & 0x1:
        raise Refused(f"'{shown}' is encrypted", "encrypted")
    if entry.compress_type not in _METHODS:
        raise Refused(f"'{shown}' is packed by a method that is not read", "method")
    if entry.file_size > limits.file:
        raise Refused(f"'{shown}' has {entry.file_size:,} bytes, and {limits.file:,} are the most", "bomb")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limits: Limits) -> bytes:
    """The bytes of a file, never more than its header says: that has been weighed."""
    parts, length = [], 0
    with archive.open(entry) as file:
        while block := file.read(_BLOCK):
            length += len(block)
            if length > min(entry.file_size, limits.file):
                raise Refused(f"'{entry.filename}' is larger than its header says", "bomb")
            parts.append(block)
    if length != entry.file_size:
        raise Refused(f"'{entry.filename}' is shorter than its header says", "damaged")
    return b"".join(parts)


# --- what it claims ---------------------------------------------------------------------------------


def claim_of(files: Mapping[str, bytes], event: Event, run: FinishedRun) -> Claim:
    """What the artifact says it is about, where that is what GitHub says of the run. Refused otherwise."""
    claim = _claim(files.get(CLAIM))
    if claim.repository.lower() != event.repository.lower():
        raise Refused(
            f"it is of repository {claim.repository}, and the run of {event.repository}", "repository"
        )
    if claim.run != run.id:
        raise Refused(f"it was written by run {claim.run}, and this is run {run.id}", "run")
    if claim.attempt != run.attempt:
        raise Refused(
            f"it was written by attempt {claim.attempt}, and this is attempt {run.attempt}", "attempt"
        )
    if claim.event != run.event:
        raise Refused(f"it is of a run for '{claim.event}', and this is one for '{run.event}'", "event")
    head, number = expected(event, run)
    if claim.head != head:
        raise Refused(f"it is about commit {claim.head[:12]}, and the run about {head[:12]}", "head")
    numbers = {number} if number else set(run.pulls)
    if numbers and claim.number not in numbers:
        raise Refused(
            f"it is about pull request #{claim.number}, and the run about {_numbers(numbers)}", "number"
        )
    return claim


def expected(event: Event, run: FinishedRun) -> tuple[str, int | None]:
    """The head that a run was about, and its pull request where GitHub says it. Refused where it does not.

    The commit of a dispatched run is that of the default branch; what it was asked to test stands in its
    title, which the workflow file of the default branch makes of the inputs.
    """
    if run.event != "workflow_dispatch":
        return run.head.sha, None
    asked = DISPATCHED.search(run.title)
    ours = run.head.repository.lower() == event.repository.lower()
    if not asked or not ours or not event.default_branch or run.head.branch != event.default_branch:
        raise Refused(
            "the run was dispatched, and not by a command of ours on the default branch", "dispatch"
        )
    return asked[2], int(asked[1])


def nothing_of(files: Mapping[str, bytes]) -> bool:
    """Whether the job says, by itself, that its event asked for nothing to be shown. Refused where what says
    so is none of our documents (``gitkitchen schema nothing``)."""
    raw = files.get(NOTHING)
    if raw is None or CLAIM in files:
        return False
    try:
        wrong = (
            departures(dict(parse(raw, NOTHING)), "nothing") if len(raw) <= 65_536 else ["it is too large"]
        )
    except GitKitchenError as error:
        wrong = [error.problems[0].message]
    if wrong:
        raise Refused(f"{NOTHING} says nothing: {text_safe(wrong[0])[:300]}", "nothing")
    return True


def key_of(comment: int, dataset: str = "") -> str:
    """What the run that a comment starts is found again by: a part of its title."""
    return f"[comment {comment}]{f' diff {dataset}' if dataset else ''}"


def asked(run: FinishedRun) -> tuple[int, str] | None:
    """The comment that asked a dispatched run for the diff of a dataset, and that dataset."""
    found = ASKED.search(run.title) if run.event == "workflow_dispatch" else None
    return (int(found[1]), found[2]) if found else None


def same_subject(claim: Claim, document: Mapping[str, Any]) -> None:
    """Refused where the pull-request document is about something else than the claim beside it."""
    run = document.get("run")
    said = (document.get("head"), document.get("base"), document.get("tree"), document.get("number"))
    ran = (run.get("id"), run.get("attempt")) if isinstance(run, dict) else None
    if said != (claim.head, claim.base, claim.tree, claim.number) or ran != (claim.run, claim.attempt):
        raise Refused(f"{PULL} and {CLAIM} are about different things", "subject")


def _numbers(numbers: set[int]) -> str:
    return ", ".join(f"#{n}" for n in sorted(numbers))


def _claim(raw: bytes | None) -> Claim:
    if raw is None:
        raise Refused(f"it holds no {CLAIM}", "claim")
    if len(raw) > 16_384:
        raise Refused(f"{CLAIM} is larger than any of ours", "claim")
    try:
        whole = Part(parse(raw, CLAIM))
        run, version = whole.part("run"), whole.number("version")
        claim = Claim(
            repository=whole.repository("repository"),
            run=run.number("id"),
            attempt=run.number("attempt"),
            event=whole.text("event", 40),
            number=whole.number("number") if whole.has("number") else None,
            head=whole.sha("head"),
            base=whole.sha("base"),
            tree=whole.sha("tree") if whole.has("tree") else "",
        )
    except GitKitchenError as error:
        why = text_safe(error.problems[0].message)[:300].replace("the event", CLAIM)
        raise Refused(why, "claim") from None
    if version != 1:
        raise Refused(f"{CLAIM} is of another version of GitKitchen", "version")
    if wrong := departures(dict(whole.value), "claim"):
        raise Refused(f"{CLAIM} is no claim: {text_safe(wrong[0])[:300]}", "claim")
    return claim


def claim_document(claim: Claim) -> dict[str, Any]:
    """The claim as the JSON values that ``claim_of`` reads."""
    assert REPOSITORY.fullmatch(claim.repository)
    assert all(SHA.fullmatch(s) for s in (claim.head, claim.base, claim.tree or claim.head))
    return {
        "version": 1,
        "repository": claim.repository,
        "run": {"id": claim.run, "attempt": claim.attempt},
        "event": claim.event,
        "number": claim.number,
        "head": claim.head,
        "base": claim.base,
        "tree": claim.tree or None,
    }
