"""The journal survives what kills a run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Infrastructure
from gitkitchen.run.journal import Journal, read


def test_entries_are_read_back(tmp_path: Path) -> None:
    """What was written is read in its order, odd characters included; no file is no entries."""
    path = tmp_path / "run" / "journal.jsonl"
    assert read(path) == ()
    with Journal(path) as journal:
        journal.write({"node": "a\nb", "odd": "\ud800"})
        journal.write({"node": "ü"})
        journal.sync()
    assert [e["node"] for e in read(path)] == ["a\nb", "ü"]


@given(st.integers(0, 60))
def test_a_torn_line_spoils_nothing(cut: int) -> None:
    """Cut anywhere, the whole lines before are read, and the next entry is not glued to the torn one."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with Journal(path) as journal:
            for number in range(3):
                journal.write({"kind": "node", "n": number})
        data = path.read_bytes()
        path.write_bytes(data[: max(len(data) - cut, 0)])
        whole = path.read_bytes().count(b"}")
        with Journal(path) as journal:
            journal.write({"kind": "node", "n": 9})
        assert [e["n"] for e in read(path)] == [*range(whole), 9]


def test_what_was_written_survives_kill_9(tmp_path: Path) -> None:
    """An entry is on its way to the disk before anything follows from it."""
    path = tmp_path / "journal.jsonl"
    code = (
        "import sys, os, signal\nfrom pathlib import Path\nfrom gitkitchen.run.journal import Journal\n"
        "j = Journal(Path(sys.argv[1]))\nj.write({'node': 'a'})\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert read(path) == ({"node": "a"},)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """A journal that cannot be written ends the run with the reason."""
    path = tmp_path / "journal.jsonl"
    path.symlink_to("/dev/full")
    with Journal(path) as journal, pytest.raises(Infrastructure, match="No space left on device"):
        journal.write({"node": "a"})
