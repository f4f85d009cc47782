"""A ledger in a folder: nothing is lost, doubled, half written, or changed unseen."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Conflict, Infrastructure
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.records import Record, decode, encode, seal

STREAM = "runs/k_main_0123456789ab/delays"
WRITER = """
import sys
from pathlib import Path
from gitkitchen.ledger.folder import FolderLedger
ledger, stream, name, count = FolderLedger(Path(sys.argv[1])), sys.argv[2], sys.argv[3], int(sys.argv[4])
for n in range(count):
    print(ledger.append(stream, {"writer": name, "n": n, "fill": "x" * 2000}).sequence, flush=True)
"""


def writer(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process of its own that appends ``count`` records and says each sequence once it is committed."""
    argv = [sys.executable, "-c", WRITER, str(root), STREAM, name, str(count)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def ledger(tmp_path: Path) -> FolderLedger:
    return FolderLedger(tmp_path / "ledger")


@pytest.fixture
def filled(ledger: FolderLedger) -> FolderLedger:
    """A ledger with one stream of six records."""
    for n in range(1, 7):
        ledger.append(STREAM, {"n": n})
    return ledger


def place(ledger: FolderLedger, sequence: int) -> Path:
    return ledger.root / STREAM / "@000000" / f"{sequence:09d}.json"


def test_records_come_back_in_order(filled: FolderLedger) -> None:
    """What was appended is read back whole and in order, from anywhere in the stream."""
    records = list(filled.read(STREAM))
    assert [(r.sequence, r.body) for r in records] == [(n, {"n": n}) for n in range(1, 7)]
    assert [r.previous for r in records] == ["", *(r.id for r in records[:-1])]
    assert list(filled.read(STREAM, after=4)) == records[4:]
    assert list(filled.read(STREAM, after=6)) == []
    assert filled.head(STREAM) == 6
    assert filled.verify(STREAM) == []


def test_an_empty_stream(ledger: FolderLedger) -> None:
    """A stream that nobody wrote has head 0 and no record."""
    assert (ledger.head("none"), list(ledger.read("none")), ledger.streams()) == (0, [], [])


def test_streams_below_a_prefix(ledger: FolderLedger) -> None:
    """Streams are found by the beginning of their path; one may lie inside another."""
    for stream in ("publications/k_a", "runs/k_a/delays", "runs/k_a", "runs/k_b/2013"):
        ledger.append(stream, {})
    assert ledger.streams() == ["publications/k_a", "runs/k_a", "runs/k_a/delays", "runs/k_b/2013"]
    assert ledger.streams("runs/k_a") == ["runs/k_a", "runs/k_a/delays"]
    assert ledger.streams("nothing") == []


@pytest.mark.parametrize("stream", ["", "/a", "a/", "../a", "a/../b", "a//b", "@head", "a\nb", ".a"])
def test_names_that_leave_the_ledger(ledger: FolderLedger, stream: str) -> None:
    """A stream's name is a plain path below the ledger."""
    with pytest.raises(ValueError, match="is no name of a stream"):
        ledger.append(stream, {})


def test_the_head_that_was_expected(filled: FolderLedger) -> None:
    """An append that expects a head succeeds on it, and otherwise changes nothing."""
    assert filled.append(STREAM, {"n": 7}, expect=6).sequence == 7
    with pytest.raises(Conflict) as caught:
        filled.append(STREAM, {"n": 8}, expect=6)
    assert str(caught.value) == (
        f"stream '{STREAM}' has moved on from record 6 to 7; nothing was written; run the command again"
    )
    assert filled.head(STREAM) == 7
    assert FolderLedger(filled.root).append("other", {}, expect=0).sequence == 1


@pytest.mark.long
def test_eight_processes_at_once(ledger: FolderLedger) -> None:
    """S28: of 8 processes appending 25 records each none is lost, none doubled, and no number is left out."""
    processes = [writer(ledger.root, f"w{i}", 25) for i in range(8)]
    said = [int(line) for p in processes for line in p.communicate()[0].split()]
    assert all(p.returncode == 0 for p in processes)
    assert sorted(said) == list(range(1, 201))
    records = list(ledger.read(STREAM))
    written = {(r.body["writer"], r.body["n"]) for r in records}
    assert len(records) == len(written) == 200
    for i in range(8):
        own = [r.body["n"] for r in records if r.body["writer"] == f"w{i}"]
        assert own == list(range(25)), "each writer's records stand in its own order"


def test_of_many_that_expect_the_same_head_one_wins(ledger: FolderLedger) -> None:
    """S4: compare-and-swap has one winner, and losers leave nothing behind."""
    script = WRITER.replace('"x" * 2000}', '""}, expect=0')
    argv = [sys.executable, "-c", script, str(ledger.root), STREAM, "w", "1"]
    processes = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)
    ]
    answers = [p.communicate() for p in processes]
    assert sorted(p.returncode for p in processes) == [0, 1, 1, 1, 1, 1]
    assert all("Conflict" in errors for _, errors in answers if errors)
    assert [r.sequence for r in ledger.read(STREAM)] == [1]
    assert list((ledger.root / "@scratch").iterdir()) == []


def test_killed_at_random_moments(ledger: FolderLedger) -> None:
    """kill -9 during appends: what was acknowledged is there, no half record, and writing goes on."""
    chance = random.Random(7)
    acknowledged: set[int] = set()
    for round_number in range(12):
        process = writer(ledger.root, f"w{round_number}", 10_000)
        assert process.stdout is not None
        acknowledged.add(int(process.stdout.readline()))
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        acknowledged |= {int(line) for line in process.stdout.read().split("\n")[:-1]}
        process.wait()
        process.stdout.close()
        assert ledger.verify(STREAM) == []
    head = ledger.head(STREAM)
    assert acknowledged <= set(range(1, head + 1))
    assert ledger.append(STREAM, {"after": "the kills"}).sequence == head + 1


def test_what_killed_writers_leave_is_swept(filled: FolderLedger) -> None:
    """Temporary files of dead writers go away; those of live ones stay."""
    old, new = filled.root / "@scratch" / "old", filled.root / "@scratch" / "new"
    old.write_text("half a rec")
    new.write_text("half a rec")
    os.utime(old, (1, 1))
    filled.append(STREAM, {})
    assert (old.exists(), new.exists()) == (False, True)


def test_every_flipped_byte_is_found_by_name(filled: FolderLedger) -> None:
    """Whichever byte of a record is changed, the record is named, and no reader takes it."""
    path = place(filled, 3)
    raw = path.read_bytes()
    path.chmod(0o644)
    for at in range(len(raw)):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        (problem,) = filled.verify(STREAM)
        assert problem.message.startswith(f"record 3 of stream '{STREAM}' is damaged: ")
        with pytest.raises(Infrastructure, match="record 3 of stream"):
            list(filled.read(STREAM))
    path.write_bytes(raw)
    assert filled.verify(STREAM) == []


def remove(ledger: FolderLedger) -> None:
    place(ledger, 3).unlink()


def remove_last(ledger: FolderLedger) -> None:
    place(ledger, 6).unlink()


def swap(ledger: FolderLedger) -> None:
    place(ledger, 2).rename(ledger.root / "x")
    place(ledger, 5).rename(place(ledger, 2))
    (ledger.root / "x").rename(place(ledger, 5))


def from_another_stream(ledger: FolderLedger) -> None:
    for n in range(4):
        ledger.append("runs/other/delays", {"n": n})
    shutil.copyfile(ledger.root / "runs/other/delays/@000000/000000004.json", ledger.root / "x")
    (ledger.root / "x").replace(place(ledger, 4))


def rewritten(ledger: FolderLedger) -> None:
    record = list(ledger.read(STREAM))[2]
    place(ledger, 3).unlink()
    place(ledger, 3).write_bytes(encode(seal(STREAM, 3, {"n": 300}, record.previous)))


def cut(ledger: FolderLedger) -> None:
    path = place(ledger, 4)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (remove, ["record 3 * is missing"]),
        (remove_last, ["record 6 * is missing"]),
        (swap, ["record 2 * it holds record 5 *", "record 5 * it holds record 2 *"]),
        (from_another_stream, ["record 4 * it holds record 4 of stream 'runs/other/delays'"]),
        (rewritten, ["record 4 * it does not follow the record before it"]),
        (cut, ["record 4 * it is not JSON"]),
    ],
)
def test_harm_is_found_by_name(
    filled: FolderLedger, harm: Callable[[FolderLedger], None], named: list[str]
) -> None:
    """A removed, swapped, foreign, rewritten or cut record is named; reading ends with infrastructure."""
    harm(filled)
    problems = filled.verify(STREAM)
    assert len(problems) == len(named)
    for problem, pattern in zip(problems, named, strict=True):
        for word in pattern.split(" * "):
            assert word.strip("* ") in problem.message
        assert "from a backup" in problem.hint
    with pytest.raises(Infrastructure) as caught:
        list(filled.read(STREAM))
    assert caught.value.exit_code == 3


def test_a_number_once_given_is_not_given_again(filled: FolderLedger) -> None:
    """A stream whose end was removed takes no record in its place."""
    remove_last(filled)
    with pytest.raises(Infrastructure, match=r"record 6 of stream .* is missing"):
        filled.append(STREAM, {"n": "other"})


def test_a_mark_that_lags_or_is_torn_harms_nothing(filled: FolderLedger) -> None:
    """The mark of how far a stream has been is a lower bound: old or unreadable, the records decide."""
    mark = filled.root / STREAM / "@head"
    for text in ("2", "", "\0\0"):
        mark.write_text(text)
        assert filled.head(STREAM) == 6
    assert filled.append(STREAM, {}).sequence == 7
    assert mark.read_text() == "7"


def test_streams_grow_over_many_shards(ledger: FolderLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are spread over folders, and order, gaps and heads are as in one."""
    monkeypatch.setattr("gitkitchen.ledger.folder.SHARD", 3)
    for n in range(1, 11):
        assert ledger.append("s", {"n": n}).sequence == n
    assert [r.body["n"] for r in ledger.read("s", after=2)] == list(range(3, 11))
    assert len(list((ledger.root / "s").glob("@0*"))) == 4


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A ledger that is no folder is infrastructure with a way out, not a traceback."""
    (tmp_path / "ledger").write_text("a file")
    with pytest.raises(Infrastructure, match="cannot be written"):
        FolderLedger(tmp_path / "ledger").append("s", {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.integers(1, 10**9))
def test_any_json_comes_back(body: dict[str, object], sequence: int) -> None:
    """Whatever JSON a record holds, it comes back equal from its bytes."""
    record = seal("s", sequence, body, "before")
    assert decode(encode(record), "s", sequence) == record
    assert record.body == body


def test_the_format_is_stable() -> None:
    """Ledgers are kept for years: this record's bytes are the same in every release."""
    record = Record("s", 1, "ID", {"b": [1, "ü"], "a": None})
    sealed = seal("s", 1, record.body, "")
    assert json.loads(encode(sealed)) == {
        "version": 1,
        "stream": "s",
        "sequence": 1,
        "previous": "",
        "id": sealed.id,
        "body": {"a": None, "b": [1, "ü"]},
    }
    assert sealed.id == "689025a06adb3dd6f99523456b19d95a9ee344a771031a70bf1c31e98370a664"
