"""An artifact is a stranger's: odd archives, and claims about other runs, are refused."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import occasions
from gitkitchen.github.artifacts import (
    CLAIM,
    PULL,
    Claim,
    Limits,
    Refused,
    asked,
    claim_document,
    claim_of,
    key_of,
    nothing_of,
    read,
    same_subject,
)
from gitkitchen.github.events import Event, FinishedRun, Tip, parse_event
from occasions import BASE, HEAD, OTHER, environ

OURS = Claim("acme/shop", 99, 2, "pull_request", 7, HEAD, BASE, OTHER)
SMALL = Limits(archive=100_000, files=5, file=20_000, total=30_000)


def everything(_name: str) -> bool:
    return True


def packed(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


def with_entry(change: Callable[[zipfile.ZipInfo], None], name: str = "x.json", data: bytes = b"{}") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        info = zipfile.ZipInfo(name)
        change(info)
        archive.writestr(info, data)
    return target.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(raw: bytes) -> Path:
        path = tmp_path / "artifact.zip"
        path.write_bytes(raw)
        return path

    return write


def refusal(path: Path, limits: Limits = SMALL) -> str:
    with pytest.raises(Refused) as caught:
        read(path, everything, limits)
    problem = caught.value.problems[0]
    assert problem.message.isprintable(), "it may be posted"
    assert problem.hint
    return problem.code


def test_an_honest_artifact_is_read(place: Callable[[bytes], Path]) -> None:
    """The files that are wanted come back as they were written, packed or not."""
    files = {CLAIM: b"{}", PULL: b"x" * 1_000, "delays.junit.xml": b"<testsuites/>"}
    for how in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        path = place(packed(files, how))
        assert read(path, everything, SMALL) == files
        assert read(path, {CLAIM}.__contains__, SMALL) == {CLAIM: b"{}"}


@pytest.mark.parametrize(
    "name",
    ["../evil.json", "/etc/passwd", "a/b.json", "..", ".hidden", "a\\b.json", "C:evil", "x\nx.json", "x y",
     "::error::x", "ü.json", "x" * 300, "nul\0.json"],
)  # fmt: skip
def test_a_name_that_is_not_ours(name: str, place: Callable[[bytes], Path]) -> None:
    """No path, no hidden file, no odd letter: names lead nowhere, and the reason can be shown."""
    path = place(with_entry(lambda info: setattr(info, "filename", name)))
    assert refusal(path) == "artifact-name"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFSOCK])
def test_links_and_special_files(kind: int, place: Callable[[bytes], Path]) -> None:
    """What is no plain file is refused, whatever it is called."""
    path = place(with_entry(lambda info: setattr(info, "external_attr", (kind | 0o777) << 16), data=b"/etc"))
    assert refusal(path) == "artifact-link"


def test_the_same_name_twice(place: Callable[[bytes], Path]) -> None:
    """Two files of one name, also in other case, are refused: readers would differ about which one counts."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("pull.json", b"1")
        archive.writestr("Pull.json", b"2")
    assert refusal(place(target.getvalue())) == "artifact-duplicate"


def test_more_files_or_bytes_than_ours(place: Callable[[bytes], Path]) -> None:
    """Counts and sizes beyond the limits are refused before anything is unpacked."""
    many = packed({f"f{i}.json": b"" for i in range(6)})
    assert refusal(place(many)) == "artifact-count"
    assert refusal(place(packed({"a.json": bytes(20_001)}, zipfile.ZIP_STORED))) == "artifact-bomb"
    assert refusal(place(packed({f"{i}.json": bytes(15_000) for i in range(3)}))) == "artifact-bomb"
    assert refusal(place(packed({"a.json": bytes(20_000)}) + bytes(100_000))) == "artifact-size"


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_github_never_uses(how: int, place: Callable[[bytes], Path]) -> None:
    """Only stored and deflated files are read."""
    assert refusal(place(packed({"a.json": b"x" * 100}, how))) == "artifact-method"


def test_an_encrypted_file(place: Callable[[bytes], Path]) -> None:
    """A file under a password is refused."""
    raw = bytearray(packed({"a.json": b"x"}))
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 8] |= 1
    assert refusal(place(bytes(raw))) == "artifact-encrypted"


def test_headers_that_lie_about_sizes(place: Callable[[bytes], Path]) -> None:
    """A file that unpacks to more, or to less, than its header says is refused."""
    for claimed in (10, 5_000):
        raw = bytearray(packed({"a.json": bytes(1_000)}))
        at = raw.rindex(b"PK\x01\x02")
        struct.pack_into("<I", raw, at + 24, claimed)
        assert refusal(place(bytes(raw))) in ("artifact-damaged", "artifact-bomb")


@pytest.mark.parametrize("raw", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + bytes(3), b"<html>502</html>"])
def test_what_is_no_archive(raw: bytes, place: Callable[[bytes], Path]) -> None:
    """A page of an error in the archive's place is refused as damaged."""
    assert refusal(place(raw)) == "artifact-damaged"


HONEST = packed({CLAIM: json.dumps(claim_document(OURS)).encode(), PULL: b"{}" * 40})


@given(
    st.lists(st.tuples(st.integers(0, len(HONEST) - 1), st.integers(0, 255)), max_size=8), st.integers(0, 40)
)
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], cut: int
) -> None:
    """Whatever bytes are changed or cut: bounded files, or a refusal, and no other exception."""
    raw = bytearray(HONEST)
    for at, value in flips:
        raw[at] = value
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(bytes(raw[: len(raw) - cut]))
    with contextlib.suppress(Refused):
        assert sum(map(len, read(path, everything, SMALL).values())) <= SMALL.total


BOMB = """
import sys
from pathlib import Path
from gitkitchen.github.artifacts import Refused, read
try:
    read(Path(sys.argv[1]), lambda name: True)
    print("read")
except Refused as error:
    print(error.problems[0].code)
"""


def bounded(path: Path) -> str:
    """Read an archive with 300 MB of address space and 20 s of processor time."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))

    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_bomb_of_one_gigabyte_is_never_unpacked(tmp_path: Path) -> None:
    """A gigabyte in a megabyte is refused, honest about its size or not, within 300 MB and 20 s."""
    path = tmp_path / "bomb.zip"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    data = megabyte * 1024 + packer.flush()
    codes = {}
    for size in (1 << 30, 100_000):
        about = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(data), size, 9, 0)
        listed = b"PK\x01\x02\0\0" + about + bytes(14) + b"pull.json"
        end = struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), 30 + 9 + len(data), 0)
        path.write_bytes(b"PK\x03\x04" + about + b"pull.json" + data + listed + b"PK\x05\x06" + end)
        codes[size] = bounded(path)
    assert codes == {1 << 30: "artifact-bomb", 100_000: "artifact-damaged"}


def test_a_file_of_one_gigabyte_is_refused_by_its_size(tmp_path: Path) -> None:
    """An archive of a gigabyte is refused before any of it is read."""
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert bounded(path) == "artifact-size"


def test_a_list_of_a_million_files_is_not_read(tmp_path: Path) -> None:
    """An archive whose list of files alone would fill the memory is refused by the record at its end."""
    path = tmp_path / "many.zip"
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 4, 0, 0) + bytes(12) + b"aaaa"
    count = 1_000_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65534, 65534, len(entry) * count, 0, 0)
    path.write_bytes(entry * count + end)
    assert bounded(path) == "artifact-count"
    huge = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(entry) * count, 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(entry) * count, 1)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 50, 0, 0)  # says: one file
    path.write_bytes(entry * count + b"PK\x06\x06" + huge + locator + end)
    assert bounded(path) == "artifact-size"


# --- what it claims ---------------------------------------------------------------------------------


def run_of(**more: Any) -> tuple[Event, FinishedRun]:
    value = occasions.finished(**more)
    event = parse_event(json.dumps(value).encode(), "workflow_run", environ("workflow_run"))
    assert isinstance(event.about, FinishedRun)
    return event, event.about


def claimed(change: dict[str, Any] | None = None, **more: Any) -> Claim:
    document = claim_document(OURS) | (change or {})
    return claim_of({CLAIM: json.dumps(document).encode()}, *run_of(**more))


def test_a_true_claim_is_believed() -> None:
    """A claim about the run that GitHub names is taken."""
    assert claimed() == OURS
    assert claimed(pull_requests=[{"number": 7}]) == OURS
    assert claimed({"tree": None}).tree == ""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"repository": "acme/other"}, "repository"),
        ({"run": {"id": 98, "attempt": 2}}, "run"),
        ({"run": {"id": 99, "attempt": 1}}, "attempt"),
        ({"event": "merge_group"}, "event"),
        ({"head": OTHER}, "head"),
        ({"head": "main"}, "claim"),
        ({"head": None}, "claim"),
        ({"tree": "x" * 40}, "claim"),
        ({"run": []}, "claim"),
        ({"run": {"id": True, "attempt": 2}}, "claim"),
        ({"run": {"id": 10**40, "attempt": 2}}, "claim"),
        ({"number": "7"}, "claim"),
        ({"version": 2}, "version"),
        ({"repository": "::error::x"}, "claim"),
    ],
)
def test_a_claim_about_something_else_is_refused(change: dict[str, Any], code: str) -> None:
    """Another repository, run, attempt, event or commit, or another shape: refused with the reason."""
    with pytest.raises(Refused) as caught:
        claimed(change)
    assert caught.value.problems[0].code == f"artifact-{code}"
    assert caught.value.why.isprintable()


def test_a_claim_about_another_pull_request() -> None:
    """Where GitHub names the run's pull requests, the claim is about one of them."""
    with pytest.raises(Refused, match="about pull request #7, and the run about #8"):
        claimed(pull_requests=[{"number": 8}])


@pytest.mark.parametrize("raw", [None, b"", b"[]", b"{}", b"{" * 9_000, b" " * 20_000])
def test_no_claim_at_all(raw: bytes | None) -> None:
    """Without a readable claim nothing is believed."""
    files = {} if raw is None else {CLAIM: raw}
    with pytest.raises(Refused):
        claim_of(files, *run_of())


DISPATCHED = {
    "event": "workflow_dispatch",
    "head_branch": "main",
    "head_repository": {"full_name": "acme/shop"},
    "display_title": f"GitKitchen #7 at {HEAD}",
}


def test_a_dispatched_run_is_about_the_head_in_its_title() -> None:
    """The title that the default branch's workflow gave the run says head and pull request."""
    event = {"event": "workflow_dispatch"}
    assert claimed(event, **DISPATCHED, head_sha=BASE).head == HEAD
    for change in ({"head": OTHER}, {"number": 8}):
        with pytest.raises(Refused):
            claimed(event | change, **DISPATCHED, head_sha=BASE)


@pytest.mark.parametrize(
    "change",
    [
        {"head_branch": "feature"},
        {"head_repository": {"full_name": "me/shop"}},
        {"display_title": "GitKitchen"},
        {"display_title": f"#0 at {HEAD}"},
        {"display_title": f"#7 at {HEAD} and more"},
    ],
)
def test_a_dispatch_by_others_proves_nothing(change: dict[str, Any]) -> None:
    """Another branch's workflow can give a run any title: it is refused."""
    with pytest.raises(Refused, match="was dispatched, and not by a command of ours"):
        claimed({"event": "workflow_dispatch"}, **(DISPATCHED | change))


def test_document_and_claim_are_about_the_same() -> None:
    """The document that is shown says the same commits, number and run as the claim."""
    whole = {k: v for k, v in claim_document(OURS).items() if k != "repository"}
    same_subject(OURS, whole)
    for key, value in (
        ("head", OTHER),
        ("tree", HEAD),
        ("number", None),
        ("run", {"id": 99, "attempt": 1}),
        ("run", 3),
    ):
        with pytest.raises(Refused, match="about different things"):
            same_subject(OURS, whole | {key: value})


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{}", "version"),
        (b'{"version": 2, "reason": "x"}', "1"),
        (b'{"version": 1, "reason": ""}', "reason"),
        (b"[]", "list"),
        (b"x" * 70_000, "too large"),
    ],
    ids=["empty", "version", "reason", "list", "large"],
)
def test_what_says_nothing_in_another_shape_is_refused(raw: bytes, said: str) -> None:
    """`nothing.json` is read by its schema: what is none of ours does not end the posting quietly."""
    with pytest.raises(Refused, match=said):
        nothing_of({"nothing.json": raw})


def test_what_says_nothing_counts_alone() -> None:
    """Beside a claim it says nothing; without one it does."""
    raw = b'{"version": 1, "reason": "a label"}'
    assert nothing_of({"nothing.json": raw})
    assert not nothing_of({"nothing.json": raw, "claim.json": b"{}"})
    assert not nothing_of({})


@pytest.mark.parametrize(
    ("title", "found"),
    [
        (f"GitKitchen [comment 7] diff orders #3 at {'a' * 40}", (7, "orders")),
        (f"GitKitchen [comment 7] #3 at {'a' * 40}", None),
        (f"GitKitchen [comment 7] diff Orders #3 at {'a' * 40}", None),
        (f"GitKitchen [comment x] diff orders #3 at {'a' * 40}", None),
    ],
    ids=["diff", "run", "name", "number"],
)
def test_a_title_says_what_was_asked(title: str, found: tuple[int, str] | None) -> None:
    """The key of a run that a comment started comes back from its title; a stranger's is never asked."""
    head = Tip("acme/shop", "main", HEAD)

    def ran(event: str) -> FinishedRun:
        return FinishedRun(99, 1, "n", "p.yml", event, "completed", "success", head, "acme/shop", title)

    assert asked(ran("workflow_dispatch")) == found
    assert asked(ran("pull_request")) is None
    assert key_of(7, "orders") in f"GitKitchen {key_of(7, 'orders')} #3"
