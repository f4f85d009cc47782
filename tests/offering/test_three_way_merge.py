"""Files that init keeps up to date: people's edits are kept, and what cannot be merged is shown whole."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.errors import Mistake
from gitkitchen.offering import RECORD, Offered, offer, read_record

PATH = ".github/workflows/one.yml"
LINES = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=0, max_size=8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def text(lines: list[str], mark: str = "") -> str:
    return "".join(f"{mark}{line}\n" for line in lines)


def write(root: Path, content: str) -> Offered:
    (done,) = offer(root, {PATH: content}, {})
    return done


def test_a_new_file_is_written_and_then_left(root: Path) -> None:
    """Written once; a second time nothing changes, not even the record."""
    assert write(root, "one\n").word == "wrote"
    before = {p: p.stat().st_mtime_ns for p in (root / PATH, root / RECORD)}
    assert write(root, "one\n").word == "same"
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_what_nobody_edited_is_replaced(root: Path) -> None:
    """Without edits the new text takes the place of the old."""
    write(root, "one\n")
    assert write(root, "two\n").word == "updated"
    assert (root / PATH).read_text() == "two\n"


def test_edits_elsewhere_are_kept(root: Path) -> None:
    """An edit at the top and a change of ours at the bottom are both there, and stay there."""
    lines = [f"line {n}" for n in range(20)]
    write(root, text(lines))
    mine = ["mine", *lines]
    (root / PATH).write_text(text(mine))
    assert write(root, text([*lines, "new"])).word == "merged"
    assert (root / PATH).read_text() == text([*mine, "new"])
    assert write(root, text([*lines, "new"])).word == "kept"


def test_conflicts_show_all_sides_and_can_be_settled(root: Path) -> None:
    """The same line changed by both: all three versions stand in the file, init waits, and after the person's
    decision goes on."""
    write(root, "one\ntwo\nthree\n")
    (root / PATH).write_text("one\nmine\nthree\n")
    done = write(root, "one\nours\nthree\n")
    assert (done.word, done.settled) == ("conflict", False)
    assert done.said.endswith(": 2")
    both = (root / PATH).read_text()
    assert all(f"\n{word}\n" in both for word in ("mine", "two", "ours"))
    waiting = write(root, "one\nother\nthree\n")
    assert waiting.word == "conflict"
    assert (root / PATH).read_text() == both
    (root / PATH).write_text("one\nmine and ours\nthree\n")
    assert write(root, "one\nours\nthree\n").word == "kept"
    assert write(root, "zero\none\nours\nthree\n").word in ("merged", "conflict")
    assert "mine and ours" in (root / PATH).read_text()


def test_what_a_person_removed_stays_away(root: Path) -> None:
    """A file that was deleted is not made again, however often init runs."""
    write(root, "one\n")
    (root / PATH).unlink()
    for content in ("one\n", "two\n"):
        assert write(root, content).word == "removed"
        assert not (root / PATH).exists()


def test_what_a_person_wrote_is_not_touched(root: Path) -> None:
    """A file that init did not write stays as it is, and init says so; if it is the same, it is adopted."""
    (root / PATH).parent.mkdir(parents=True)
    (root / PATH).write_text("theirs\n")
    done = write(root, "one\n")
    assert (done.word, done.settled) == ("foreign", False)
    assert (root / PATH).read_text() == "theirs\n"
    (root / PATH).write_text("one\n")
    assert write(root, "one\n").word == "same"
    assert write(root, "two\n").word == "updated"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"], ids=["no-text", "nul"])
def test_what_is_no_text_is_not_merged(root: Path, content: bytes) -> None:
    """A file that is no text is left byte for byte."""
    write(root, "one\n")
    (root / PATH).write_bytes(content)
    assert write(root, "two\n").word == "foreign"
    assert (root / PATH).read_bytes() == content


def test_line_ends_of_a_person_are_kept(root: Path) -> None:
    """A file with CRLF is never silently rewritten: what it holds is in it afterwards."""
    write(root, "one\ntwo\n")
    (root / PATH).write_bytes(b"one\r\ntwo\r\nmine\r\n")
    write(root, "one\ntwo\nnew\n")
    assert b"mine\r\n" in (root / PATH).read_bytes()


@pytest.mark.parametrize("place", [".github", ".github/workflows", PATH])
def test_nothing_is_written_through_a_link(
    root: Path, tmp_path_factory: pytest.TempPathFactory, place: str
) -> None:
    """A link on the way, or at the end, is refused: it may lead out of the repository."""
    outside = tmp_path_factory.mktemp("outside")
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).symlink_to(outside / "x.yml" if place == PATH else outside)
    with pytest.raises(Mistake, match="init writes through no link"):
        write(root, "one\n")
    assert not list(outside.iterdir())


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"files": {"a": 1}, "told": {}}', '{"files": {}}', "[" * 100_000], ids=range(6)
)
def test_a_damaged_record_is_refused(root: Path, damage: str) -> None:
    """A record that cannot be read is a mistake with a next step, and nothing is written."""
    write(root, "one\n")
    (root / RECORD).write_text(damage)
    with pytest.raises(Mistake, match=r"\.gitkitchen-init\.json: this is no record"):
        write(root, "two\n")
    assert (root / PATH).read_text() == "one\n"


def test_a_kill_before_the_record_is_mended(root: Path) -> None:
    """The record is written last: without it the same command adopts what it had written, whatever came of
    it."""
    write(root, "one\n")
    old = (root / RECORD).read_bytes()
    write(root, "two\n")
    (root / RECORD).write_bytes(old)
    assert write(root, "two\n").word == "same"
    assert read_record(root).files == {PATH: "two\n"}


def test_long_generated_files_are_recorded_by_digest(root: Path) -> None:
    """Of a schema only the digest is kept; one that was edited stays, one that was not is replaced."""
    path = ".vscode/gitkitchen/x.schema.json"
    offer(root, {path: "{}\n"}, {})
    assert json.loads((root / RECORD).read_text())["files"][path].startswith("sha256:")
    assert offer(root, {path: "{1}\n"}, {})[0].word == "updated"
    (root / path).write_text("mine")
    assert offer(root, {path: "{2}\n"}, {})[0].word == "kept"
    assert (root / path).read_text() == "mine"


@given(LINES, LINES, st.lists(LINES, min_size=1, max_size=3))
@settings(max_examples=25)
def test_no_edit_is_ever_lost(first: list[str], edited: list[str], later: list[list[str]]) -> None:
    """Whatever a person makes of a file and whatever we write next: each of their lines is still there;
    without edits the file is ours; the same command again changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run(["git", "init", "-q", folder], check=True)
        write(root, text(first))
        mine = [f"mine {n} {line}" if n % 2 else line for n, line in enumerate(edited)]
        (root / PATH).write_text(text(mine))
        for lines in later:
            done = write(root, text(lines))
            found = (root / PATH).read_text().splitlines()
            assert all(line in found for line in mine if line.startswith("mine"))
            if text(mine) == text(first):
                assert found == lines
            again = write(root, text(lines))
            assert (root / PATH).read_text().splitlines() == found
            assert again.word in ("same", "kept", "conflict")
            if done.word == "conflict":
                break
