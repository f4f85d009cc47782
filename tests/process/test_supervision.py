"""Supervisors answer whatever is asked, side by side, and nothing that they watch outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitkitchen import switchboard
from gitkitchen.process import Cancel, Completed
from gitkitchen.supervision import BrokenOutput, Supervisors
from gitkitchen.switchboard import LOST, NONE_LEFT, Lost
from gitkitchen.turns import EARLY, Turns

ENV = {"PATH": os.environ["PATH"]}
BOUND = 30.0
"""Seconds against hanging."""


@pytest.fixture
def two() -> Iterator[Supervisors]:
    with Supervisors(2) as supervisors:
        yield supervisors


def lives(number: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def gone(number: int) -> bool:
    """Whether a process goes, within the bound."""
    end = time.monotonic() + BOUND
    while lives(number) and time.monotonic() < end:
        time.sleep(0.01)
    return not lives(number)


def written(path: Path) -> int:
    """The number that a process writes into a file, when it has."""
    end = time.monotonic() + BOUND
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(path.read_text())


def test_many_at_once_get_their_own_answers(two: Supervisors, tmp_path: Path) -> None:
    """Threads that ask side by side get each its own code and output, never another's."""

    def ask(number: int) -> Completed:
        return two.run(["bash", "-c", f"echo {number}; exit {number % 7}"], env=ENV, cwd=tmp_path)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, range(100)))
    assert answers == [Completed(n % 7, False, False, (str(n),), True) for n in range(100)]


def test_no_more_run_at_once_than_have_a_turn(two: Supervisors, tmp_path: Path) -> None:
    """Also where others wait at the bell, as many processes run at once as there are turns, not more."""
    turns = Turns(2)
    command = "mkdir running; mkdir running/$$ 2>/dev/null; ls running | wc -l; sleep 0.03; rmdir running/$$"

    def ask(_: int) -> int:
        done = two.run(["bash", "-c", command], env=ENV, cwd=tmp_path, turns=turns)
        return int(done.tail[-1])

    with ThreadPoolExecutor(2 + EARLY) as pool:
        counts = list(pool.map(ask, range(40)))
    assert max(counts) == 2
    with turns, turns:  # all turns were given back
        pass


def test_a_turn_that_is_taken_counts_for_processes_too(two: Supervisors, tmp_path: Path) -> None:
    """While something else has all turns, no process begins; it begins when one is given back."""
    turns = Turns(1)
    begun = tmp_path / "begun"

    def ask() -> None:
        two.run(["touch", str(begun)], env=ENV, cwd=tmp_path, turns=turns)

    with turns:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(0.3)
        assert not begun.exists()
    thread.join(BOUND)
    assert begun.exists()


def test_questions_and_answers_of_any_size(two: Supervisors, tmp_path: Path) -> None:
    """A megabyte of environment goes over the line, and 40 long lines come back."""
    env = {**ENV, **{f"PART_{i}": "x" * 100_000 for i in range(10)}}
    command = 'for i in $(seq 50); do printf "%s\\n" "${PART_0:0:8000}$i"; done'
    done = two.run(["bash", "-c", command], env=env, cwd=tmp_path)
    assert done.tail == tuple("x" * 8000 + str(i) for i in range(11, 51))


@pytest.mark.parametrize(
    ("argv", "env", "error"),
    [
        (["no-such-program"], ENV, FileNotFoundError),
        (["/etc/passwd"], ENV, PermissionError),
        (["bash", "-c", "true"], {"PATH": "/nowhere"}, FileNotFoundError),
        (["bash", "-c", "nul\0"], ENV, ValueError),
        (["bash", "-c", "true"], {**ENV, "LONG": "x" * 4_000_000}, OSError),
    ],
)
def test_what_cannot_start_raises(
    two: Supervisors, tmp_path: Path, argv: list[str], env: dict[str, str], error: type[Exception]
) -> None:
    """A program that is missing, none, or given too much is the error that the system has for it."""
    with pytest.raises(error):
        two.run(argv, env=env, cwd=tmp_path)
    assert two.run(["true"], env=ENV, cwd=tmp_path).code == 0


def test_a_folder_that_is_missing_raises(two: Supervisors, tmp_path: Path) -> None:
    """A process whose folder is gone does not run somewhere else."""
    with pytest.raises(FileNotFoundError):
        two.run(["true"], env=ENV, cwd=tmp_path / "gone")


def test_a_cancel_reaches_who_waits_at_the_bell(tmp_path: Path) -> None:
    """What is cancelled before a supervisor takes it is not begun."""
    cancel = Cancel()
    with Supervisors(1) as one, ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.run, ["bash", "-c", "sleep 1"], env=ENV, cwd=tmp_path)
        time.sleep(0.2)
        second = pool.submit(one.run, ["touch", "begun"], env=ENV, cwd=tmp_path, cancel=cancel)
        time.sleep(0.1)
        cancel.set()
        assert second.result(BOUND).cancelled
        assert not first.result(BOUND).cancelled
    assert not (tmp_path / "begun").exists()


def test_what_is_cancelled_before_it_is_asked_for_is_not_begun(two: Supervisors, tmp_path: Path) -> None:
    """Where more wait than there are supervisors, a cancel does not start them one after the other."""
    cancel = Cancel()
    cancel.set()
    assert two.run(["touch", "begun"], env=ENV, cwd=tmp_path, cancel=cancel).cancelled
    assert not (tmp_path / "begun").exists()


@pytest.mark.long
def test_a_late_cancel_is_not_the_next_ones(two: Supervisors, tmp_path: Path) -> None:
    """Cancels that cross an answer on the line never end the process that the line serves next."""
    for _ in range(30):
        cancel = Cancel()
        timer = threading.Timer(0.1, cancel.set)
        timer.start()
        two.run(["sleep", "0.1"], env=ENV, cwd=tmp_path, cancel=cancel)
        timer.join()
        assert two.run(["true"], env=ENV, cwd=tmp_path) == Completed(0, False, False, (), False)


def test_programs_get_the_signals_that_python_ignores(two: Supervisors, tmp_path: Path) -> None:
    """A program whose reader is gone dies of SIGPIPE, as from a shell."""
    done = two.run(["bash", "-c", "yes | head -n 1; echo ${PIPESTATUS[0]}"], env=ENV, cwd=tmp_path)
    assert done.tail == ("y", "141")


def test_programs_inherit_no_handle_of_ours(two: Supervisors, tmp_path: Path) -> None:
    """A process has its three standard streams and nothing else open."""
    done = two.run(["bash", "-c", "ls -1 /proc/self/fd | wc -l"], env=ENV, cwd=tmp_path)
    assert done.tail == ("4",)  # with the one that ls reads the folder by


def test_a_killed_supervisor_is_said_and_replaced(tmp_path: Path) -> None:
    """Who watched is killed: what it watched ends, the question fails with a reason, the next is answered."""
    with Supervisors(1) as one, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            one.run, ["bash", "-c", "sleep 1; echo $PPID > p; echo $$ > c; sleep 600"], env=ENV, cwd=tmp_path
        )
        child = written(tmp_path / "c")  # by now its number is on the board
        os.kill(written(tmp_path / "p"), signal.SIGKILL)
        with pytest.raises(OSError, match=LOST):
            asked.result(BOUND)
        assert gone(child)
        assert one.run(["true"], env=ENV, cwd=tmp_path).code == 0


def test_one_of_several_killed_leaves_the_others(two: Supervisors, tmp_path: Path) -> None:
    """The other supervisor's process goes on, and two run at once again."""
    hold = ["bash", "-c", "echo $PPID > p$0; echo $$ > c$0; while ! [ -e go ]; do sleep 0.02; done; echo $0"]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(two.run, [*hold, str(n)], env=ENV, cwd=tmp_path) for n in range(2)]
        for n in range(2):
            written(tmp_path / f"c{n}")
        os.kill(written(tmp_path / "p0"), signal.SIGKILL)
        with pytest.raises(OSError, match=LOST):
            asked[0].result(BOUND)
        again = pool.submit(two.run, [*hold, "2"], env=ENV, cwd=tmp_path)
        written(tmp_path / "c2")  # beside the other, which still runs
        (tmp_path / "go").touch()
        assert [asked[1].result(BOUND).tail, again.result(BOUND).tail] == [("1",), ("2",)]


RUN = """
import sys, threading
from gitkitchen.supervision import Supervisors
s = Supervisors(2)
for n in range(2):
    threading.Thread(target=s.run, args=(["bash", "-c", f"sleep 600 & echo $! > c{n}; wait"],),
                     kwargs={"env": {"PATH": sys.argv[1]}, "cwd": "."}).start()
"""


def test_nothing_outlives_a_run_that_was_killed(tmp_path: Path) -> None:
    """kill -9 of the run alone: its supervisors end what they watch, with all it started, and themselves."""
    run = subprocess.Popen([sys.executable, "-c", RUN, ENV["PATH"]], cwd=tmp_path, start_new_session=True)
    children = [written(tmp_path / f"c{n}") for n in range(2)]
    session = {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and of(p, run.pid)}
    assert len(session) >= 7  # the run, two supervisors, two shells and what each started
    run.kill()
    run.wait()
    assert all(gone(child) for child in children)
    assert all(gone(number) for number in session)


def of(process: Path, session: int) -> bool:
    """Whether a process is of a session."""
    try:
        return int((process / "stat").read_text().rsplit(")", 1)[1].split()[3]) == session
    except OSError:
        return False


def test_closing_ends_all(tmp_path: Path) -> None:
    """Who closes while processes run gets an error for each, and nothing is left."""
    supervisors = Supervisors(1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            supervisors.run, ["bash", "-c", "echo $PPID > p; echo $$ > c; sleep 600"], env=ENV, cwd=tmp_path
        )
        child, parent = written(tmp_path / "c"), written(tmp_path / "p")
        supervisors.close()
        with pytest.raises(OSError, match=LOST):
            asked.result(BOUND)
    assert gone(child)
    assert gone(parent)


FEW_HANDLES = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from gitkitchen.supervision import Supervisors
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with Supervisors(64) as many, ThreadPoolExecutor(64) as pool:
    ask = lambda n: many.run(["bash", "-c", f"exit {n}"], env={"PATH": sys.argv[1]}, cwd=".").code
    print(list(pool.map(ask, range(100))) == list(range(100)))
"""


def test_more_jobs_than_files_may_be_open(tmp_path: Path) -> None:
    """Where the limit of open files has no room for as many as were asked for, fewer do all of it."""
    command = [sys.executable, "-c", FEW_HANDLES, ENV["PATH"]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=BOUND, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_supervisors_that_never_live_are_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every supervisor ends at once (a broken Python), who asks is told, and soon."""
    monkeypatch.setattr(sys, "executable", "false")
    with Supervisors(2) as none, pytest.raises(Lost, match=NONE_LEFT):
        none.run(["true"], env=ENV, cwd=tmp_path)


def test_a_machine_that_forks_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first supervisor cannot fork the others, it answers alone until they could be started."""
    refuse = "import os, errno\ndef no(): raise OSError(errno.EAGAIN, 'refused')\nos.fork = no\n"
    monkeypatch.setattr(switchboard, "_START", refuse + switchboard._START)
    with Supervisors(3) as three, ThreadPoolExecutor(3) as pool:
        command = "echo > here$0; until [ -e here0 -a -e here1 -a -e here2 ]; do sleep 0.02; done"
        asked = [
            pool.submit(three.run, ["bash", "-c", command, str(n)], env=ENV, cwd=tmp_path, timeout=BOUND)
            for n in range(3)
        ]
        assert [a.result(BOUND).timed_out for a in asked] == [False] * 3


def test_a_supervisor_that_dies_over_a_long_question(tmp_path: Path) -> None:
    """A question that is longer than a line holds does not wait for ever for one who took a part of it."""
    with Supervisors(1) as one, ThreadPoolExecutor(1) as pool:
        one.run(["bash", "-c", "echo $PPID > p"], env=ENV, cwd=tmp_path)
        supervisor = written(tmp_path / "p")
        os.kill(supervisor, signal.SIGSTOP)
        env = {**ENV, **{f"PART_{i}": "x" * 100_000 for i in range(30)}}
        asked = pool.submit(one.run, ["true"], env=env, cwd=tmp_path)
        time.sleep(0.3)
        os.kill(supervisor, signal.SIGKILL)
        with pytest.raises(OSError, match=f"{LOST}|Argument list too long"):  # or another took it
            asked.result(BOUND)
        assert one.run(["true"], env=ENV, cwd=tmp_path).code == 0


def test_a_log_that_cannot_be_written_ends_the_process(two: Supervisors, tmp_path: Path) -> None:
    """On a full disk the process is ended, and the error is not that it could not start."""
    command = ["bash", "-c", "echo $$ > c; while echo x; do sleep 0.01; done"]
    with pytest.raises(BrokenOutput, match="No space left"):
        two.run(command, env=ENV, cwd=tmp_path, log=Path("/dev/full"))
    assert gone(written(tmp_path / "c"))
    assert two.run(["true"], env=ENV, cwd=tmp_path).code == 0


def test_who_asks_after_the_end_gets_no_supervisors(tmp_path: Path) -> None:
    """A thread that its run gave up starts nothing any more, and leaves no handle open."""
    supervisors = Supervisors(1)
    before = len(list(Path("/dev/fd").iterdir()))
    supervisors.run(["true"], env=ENV, cwd=tmp_path)
    supervisors.close()
    with pytest.raises(Lost):
        supervisors.run(["touch", "begun"], env=ENV, cwd=tmp_path)
    assert not (tmp_path / "begun").exists()
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_who_comes_before_its_turn_waits_behind_those_that_have_one() -> None:
    """Nobody goes ahead while one that has a turn has not rung yet; when all have, so many more may."""
    turns, came, end = Turns(2), threading.Semaphore(0), threading.Event()

    def come() -> None:
        with turns.of_process() as rung:
            came.release()
            rung()
            end.wait(BOUND)

    with turns.of_process() as first:
        with turns.of_process() as second:
            first()
            waits = [threading.Thread(target=come)]
            waits[0].start()
            assert not came.acquire(timeout=0.3)
            second()
            waits += [threading.Thread(target=come) for _ in range(EARLY + 1)]
            for thread in waits[1:]:
                thread.start()
            for _ in range(EARLY):
                assert came.acquire(timeout=BOUND)
            assert not came.acquire(timeout=0.3)
        assert not came.acquire(timeout=0.3)  # its turn is that of the first who waited
        end.set()
        assert came.acquire(timeout=BOUND)
        assert came.acquire(timeout=BOUND)
    for thread in waits:
        thread.join(BOUND)
    with turns, turns:  # all turns were given back
        pass
