"""Processes are ended, bounded and made safe, whatever they do."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.printed import Output, masks, text_safe
from gitkitchen.process import Cancel, Completed, Conversation, capture
from gitkitchen.supervision import Supervisors

ENV = {"PATH": os.environ["PATH"]}


SUPERVISORS = Supervisors(1)


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    SUPERVISORS.close()


def bash(command: str, folder: Path, **more: object) -> Completed:
    return SUPERVISORS.run(["bash", "-c", command], env=ENV, cwd=folder, log=folder / "x.log", **more)  # type: ignore[arg-type]


def alive(path: Path) -> bool:
    """Whether the process whose number stands in a file lives on (a killed one may take a moment to go)."""
    number = int(path.read_text())
    for _ in range(200):
        if (
            capture(["ps", "-o", "stat=", "-p", str(number)], env=ENV, cwd=path.parent).out.strip("Z\n ")
            == ""
        ):
            return False
        time.sleep(0.01)
    return True


def test_output_and_code_are_kept(tmp_path: Path) -> None:
    """A process's lines are in its log, errors among them, and its code is known."""
    done = bash("echo one; echo two >&2; exit 4", tmp_path)
    assert done == Completed(4, False, False, ("one", "two"), True)
    assert (tmp_path / "x.log").read_text() == "one\ntwo\n"


def test_silence_makes_no_log(tmp_path: Path) -> None:
    """A process that prints nothing leaves no log file."""
    assert bash("true", tmp_path) == Completed(0, False, False, (), False)
    assert not (tmp_path / "x.log").exists()


def test_the_environment_is_the_given_one(tmp_path: Path) -> None:
    """Nothing of our own environment is passed on."""
    done = SUPERVISORS.run(["/usr/bin/env"], env={"ONLY": "this"}, cwd=tmp_path)
    assert done.tail == ("ONLY=this",)


def test_a_process_that_hangs_ends_at_its_time_limit(tmp_path: Path) -> None:
    """SIGTERM ends a process that waits."""
    done = bash("exec sleep 60", tmp_path, timeout=0.2)
    assert (done.code, done.timed_out, done.cancelled) == (-signal.SIGTERM, True, False)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After the grace period the whole group gets SIGKILL, also its children that ignore SIGTERM."""
    command = "trap '' TERM; sleep 60 & echo $! > child; wait; sleep 60"
    done = bash(command, tmp_path, timeout=0.2)
    assert (done.code, done.timed_out) == (-signal.SIGKILL, True)
    assert not alive(tmp_path / "child")


def test_what_a_process_leaves_running_is_killed(tmp_path: Path) -> None:
    """A fork that holds the output open neither keeps us waiting nor lives on."""
    done = bash("sleep 60 & echo $! > child; echo ready", tmp_path, timeout=30.0)
    assert done == Completed(0, False, False, ("ready",), True)
    assert not alive(tmp_path / "child")


def test_a_fork_that_prints_for_ever_ends_with_its_parent(tmp_path: Path) -> None:
    """Output that never stops does not hide that the process itself has ended."""
    done = bash("yes & echo ready", tmp_path, timeout=30.0)
    assert (done.code, done.timed_out) == (0, False)


def test_a_cancel_ends_a_process(tmp_path: Path) -> None:
    """A cancel from another thread ends a process by SIGTERM to its group."""
    cancel = Cancel()
    threading.Timer(0.2, cancel.set, [signal.SIGINT]).start()
    done = bash("echo ready; sleep 60", tmp_path, cancel=cancel)
    assert (done.code, done.cancelled, done.timed_out) == (-signal.SIGTERM, True, False)
    assert cancel.signal == signal.SIGINT


def test_a_cancel_counts_for_its_children_only_downward() -> None:
    """What is cancelled above is cancelled below, and not the other way round."""
    above = Cancel()
    below = Cancel(above)
    below.set()
    assert (above.is_set, below.is_set) == (False, True)
    other = Cancel(above)
    above.set(2)
    above.set(15)
    assert (other.is_set, above.signal) == (True, 2)


def test_endless_output_is_bounded_on_disk_and_in_memory(tmp_path: Path) -> None:
    """200 MB printed leave the first megabyte, what was left out as a number, and the last lines."""
    done = bash("yes 0123456789 | head -c 200000000; echo; echo the end", tmp_path)
    log = (tmp_path / "x.log").read_text()
    assert len(log) < 1_200_000
    assert "bytes left out" in log
    assert done.tail[-1] == "the end"
    assert log.startswith("0123456789\n")


def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    """A single line of 50 MB becomes a short one, and what follows is still seen."""
    done = bash("head -c 50000000 /dev/zero | tr '\\0' x; echo; echo after", tmp_path)
    assert done.tail[-1] == "after"
    assert done.tail[0].endswith("… (line cut)")
    assert (tmp_path / "x.log").stat().st_size < 20_000


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain, with ünïcödé and 👩‍🔬", "plain, with ünïcödé and 👩‍🔬"),
        ("::error::no", ": :error::no"),
        ("  \t::set-output name=x::y", "  \t: :set-output name=x::y"),
        ("\u00a0::error::no", " : :error::no"),
        ("said ##[error]no", "said # #[error]no"),
        ("##vso[task.complete]", "# #vso[task.complete]"),
        ("#\x00#[error]no", "# #[error]no"),
        ("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link", "red link"),
        ("\x07\x08bell", "bell"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("C++ std::vector", "C++ std::vector"),
    ],
)
def test_lines_are_safe_to_show(line: str, shown: str) -> None:
    """Control and direction characters go, commands of CI runners are pulled apart, words stay."""
    assert text_safe(line) == shown


@given(st.text(alphabet=st.sampled_from("#:[]\x1b\x00 \u200bvsoe"), max_size=30))
def test_no_line_is_ever_a_command(line: str) -> None:
    """Whatever is stripped, nothing that a runner acts on is left or put together."""
    shown = text_safe(line)
    assert not shown.strip().startswith("::")
    assert "##[" not in shown
    assert "##vso[" not in shown
    assert text_safe(shown) == shown


@given(
    st.lists(st.sampled_from([b"word", b"s3cret-value", b"\n", b"x" * 9000, b"y" * 70000]), max_size=12),
    st.integers(700, 100_000),
)
def test_secrets_never_reach_a_log(pieces: list[bytes], size: int) -> None:
    """A secret is masked however the output is cut into pieces, lines and limits."""
    data = b"".join(pieces)
    output = Output(None, secrets=["s3cret-value"], limit_bytes=20_000)
    for start in range(0, len(data), size):
        output.feed(data[start : start + size])
    output.close()
    text = "\n".join(output.tail())
    assert "s3cret" not in text
    assert "-value" not in text


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("updates", [3, 200, 100_000])
def test_a_progress_bar_shows_its_last_state(updates: int, end: bytes) -> None:
    """However long a line became that a program drew again and again, what it showed last is kept."""
    output = Output(None, secrets=["hush-hush"])
    drawn = b"".join(b"\r%d of %d |%s| hush-hush" % (i + 1, updates, b"#" * 40) for i in range(updates)) + end
    for start in range(0, len(drawn), 60_000):
        output.feed(drawn[start : start + 60_000])
    output.close()
    assert output.tail() == (f"{updates} of {updates} |{'#' * 40}| ***",)


def test_secrets_of_several_lines_are_masked_line_by_line() -> None:
    """Each line of a secret is masked, and the forms in which JSON and Python print it."""
    found = masks(["top\nbottom", 'quo"te'])
    assert {"top", "bottom", "top\\nbottom", 'quo\\"te'} <= set(found)
    output = Output(None, secrets=["top\nbottom"])
    output.feed(b"the top of it\nand bottom\n'top\\nbottom'")
    output.close()
    assert output.tail() == ("the *** of it", "and ***", "'***'")


def test_capture_returns_bytes_and_takes_input(tmp_path: Path) -> None:
    """A short command's output and errors are kept apart and whole."""
    done = capture(["bash", "-c", "cat; echo no >&2; exit 3"], env=ENV, cwd=tmp_path, input=b"\xff\x00in")
    assert (done.code, done.output, done.errors, done.err) == (3, b"\xff\x00in", b"no\n", "no\n")


@pytest.mark.long
def test_ten_gigabytes_cost_a_few_megabytes(tmp_path: Path) -> None:
    """A process that prints 10 GB leaves a log of about a megabyte."""
    done = bash("head -c 10000000000 /dev/zero | tr '\\0' '\\n'; echo the end", tmp_path)
    assert done.tail[-1] == "the end"
    assert (tmp_path / "x.log").stat().st_size < 1_200_000


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """A captured command with a time limit ends in time, asked first, and so does what it forked."""
    script = "trap 'echo asked > asked; exit 1' TERM; sleep 60 & echo $! > child; wait"
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match="took longer than"):
        capture(["bash", "-c", script], env=ENV, cwd=tmp_path, timeout=0.5)
    assert time.monotonic() - begun < 10
    assert (tmp_path / "asked").exists()
    assert not alive(tmp_path / "child")


def test_a_command_with_a_time_limit_has_no_terminal(tmp_path: Path) -> None:
    """What may take only so long may ask nobody: its session is its own. What is in time is as ever."""
    done = capture(
        ["bash", "-c", "cat; ps -o sid= -p $$; echo e >&2; exit 3"],
        env=ENV,
        cwd=tmp_path,
        input=b"in\n",
        timeout=20,
    )
    assert (done.code, done.err) == (3, "e\n")
    assert done.out.split()[0] == "in"
    assert int(done.out.split()[1]) != os.getsid(0)


def test_a_conversation(tmp_path: Path) -> None:
    """A process answers question after question; it ends when nobody holds it, and says when it ended."""
    talk = Conversation(
        ["bash", "-c", "echo $$ > pid; while read x; do [ $x = bye ] && exit; echo $x; printf abc; done"],
        env=ENV,
        cwd=tmp_path,
    )
    assert [(talk.ask(q), talk.more(3)) for q in (b"1", b"22")] == [(b"1", b"abc"), (b"22", b"abc")]
    with pytest.raises(EOFError):
        talk.ask(b"bye")
    with pytest.raises(EOFError):
        talk.ask(b"again")
    talk = Conversation(["bash", "-c", "echo $$ > pid; echo; sleep 60"], env=ENV, cwd=tmp_path)
    assert talk.ask(b"") == b""
    del talk
    assert not alive(tmp_path / "pid")
