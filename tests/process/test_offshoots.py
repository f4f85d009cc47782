"""A copy of a process answers questions, keeps nothing of its maker's open, and ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gitkitchen.process import Offshoot

ANSWERS = """
import fcntl, os, signal, sys, time
from gitkitchen.process import Offshoot
def answers():
    return lambda question: question[::-1] * 3
"""
CONVERSATION = """
with open("lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    read, write = os.pipe()
    offshoot = Offshoot(answers)
    long = os.urandom(300_000)
    assert offshoot.ask(b"abc") == b"cbacbacba"
    assert offshoot.ask(b"") == b""
    assert offshoot.ask(long) == long[::-1] * 3
os.close(write)
assert os.read(read, 1) == b"", "it would never come if the copy held the other end"
with open("lock") as again:
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.kill(offshoot.number, signal.SIGKILL)
try:
    while True:
        offshoot.ask(b"more")
except EOFError:
    print("ended")
offshoot.close()
broken = Offshoot(lambda: 1 / 0)
try:
    broken.ask(b"")
except EOFError:
    print("never began")
"""
KILLED = """
offshoot = Offshoot(answers)
offshoot.ask(b"there")
print(offshoot.number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def python(program: str, folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    """A Python of its own, with one thread."""
    argv = [sys.executable, "-c", ANSWERS + program]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload,no-any-return]


def test_it_answers_and_holds_nothing(tmp_path: Path) -> None:
    """Questions and answers of any size pass; pipes and locks of its maker are closed there."""
    done = python(CONVERSATION, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\nnever began\n", "")


def test_it_works_where_the_standard_streams_are_closed(tmp_path: Path) -> None:
    """Its pipes may then have the numbers of these."""
    program = "offshoot = Offshoot(answers); os._exit(0 if offshoot.ask(b'ab') == b'bababa' else 1)"
    close = f"import os; [os.close(n) for n in (0, 1, 2)]; exec({ANSWERS + program!r})"
    done = subprocess.run([sys.executable, "-c", close], cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0


def test_it_ends_with_its_maker(tmp_path: Path) -> None:
    """Nobody is left to end it, so it ends when nobody can ask it any more."""
    number = int(python(KILLED, tmp_path).stdout)
    for _ in range(500):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        if (Path(f"/proc/{number}/stat")).exists() and " Z " in Path(f"/proc/{number}/stat").read_text():
            return  # its end waits to be noted by whoever adopted it
        time.sleep(0.01)
    pytest.fail("it lives on")


def test_a_process_with_other_threads_is_not_copied() -> None:
    """A lock that one of them holds would stay locked in the copy."""
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        with pytest.raises(OSError, match="cannot be copied"):
            Offshoot(lambda: bytes)
    finally:
        end.set()
        other.join()
