"""Short commands and conversations with programs (git); the processes of nodes have supervisors."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NoReturn

from gitkitchen.frozen import dataclass

_SIZE = struct.Struct("!Q")


class Cancel:
    """Asks a run to end. ``set`` may be called from a signal handler: it takes no lock.

    ``parent``: a cancel that counts for this one too (a run's, for one of its nodes).
    """

    def __init__(self, parent: Cancel | None = None) -> None:
        self.signal: int | None = None
        self._parent = parent
        self._set = False
        self._listeners: list[Callable[[], None]] = []

    def set(self, number: int | None = None) -> None:
        """Ask for the end; ``number`` is the signal that asked. The first one counts."""
        if not self._set:
            self.signal = number
            self._set = True
        for listener in tuple(self._listeners):
            listener()

    @property
    def is_set(self) -> bool:
        return self._set or (self._parent is not None and self._parent.is_set)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when asked. It must be safe in a signal handler (``SimpleQueue.put`` is)."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        self._listeners.remove(listener)


@dataclass(frozen=True, slots=True)
class Captured:
    """What a short command printed. ``code`` is negative for a signal."""

    code: int
    output: bytes
    errors: bytes

    @property
    def out(self) -> str:
        """The output as text."""
        return self.output.decode(errors="replace")

    @property
    def err(self) -> str:
        """What it printed as errors, as text."""
        return self.errors.decode(errors="replace")


def capture(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    input: bytes | None = None,
    timeout: float | None = None,
) -> Captured:
    """Run a short command whose output is wanted whole (git). Raises OSError where it cannot start.

    With a ``timeout`` in seconds it gets a session of its own, so that neither it nor what it started can
    ask a terminal anything, and all of it is ended when the time is over: then TimeoutError.
    """
    if timeout is not None:
        return _capture_bounded(argv, env, cwd, input, timeout)
    done = subprocess.run(
        list(argv),
        env=dict(env),
        cwd=cwd,
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        check=False,
    )
    return Captured(done.returncode, done.stdout, done.stderr)


def _capture_bounded(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, input: bytes | None, timeout: float
) -> Captured:
    process = subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            output, errors = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            # First asked: git removes its lock files on SIGTERM and leaves them on SIGKILL.
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=1.0)
            _signal_group(process.pid, signal.SIGKILL)
            raise TimeoutError(f"`{argv[0]}` took longer than {timeout:g} s") from None
        except BaseException:  # Ctrl-C
            _signal_group(process.pid, signal.SIGKILL)
            raise
    return Captured(process.returncode, output, errors)


def ended(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float, keep: int = 4000
) -> tuple[int, str]:
    """Run a program in a session of its own: its exit code (negative for a signal) and the end of all that
    it printed, of at most ``keep`` bytes.

    Raises OSError where it cannot start, TimeoutError behind ``timeout`` seconds, when it and all that it
    started is ended. What it left running when it ended is ended, too.
    """
    process = subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    last = bytearray()

    def listen() -> None:
        assert process.stdout is not None
        while chunk := process.stdout.read1(65536):  # type: ignore[attr-defined]
            last.extend(chunk)
            del last[:-keep]

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"`{argv[0]}` took longer than {timeout:g} s") from None
    finally:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        listener.join(1.0)
        if not listener.is_alive() and process.stdout is not None:
            process.stdout.close()
    return code, bytes(last).decode(errors="replace")


@lru_cache(maxsize=8)
def search_path(path: str) -> str:
    """PATH with the folder of our Python first, so that ``python`` is the one that runs us."""
    own = os.path.dirname(sys.executable)  # noqa: PTH120
    return path if path.split(os.pathsep, 1)[0] == own else f"{own}{os.pathsep}{path}"


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


class Conversation:
    """A process that answers questions, one after the other, for as long as this object lives."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        """Start it. Raises OSError where it cannot start."""
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self.close = weakref.finalize(self, _hang_up, process)
        """End the process; done by itself when nobody holds this object any more."""

    def ask(self, question: bytes) -> bytes:
        """The first line of the answer, without its end. Raises EOFError when the process has ended."""
        try:
            self._input.write(question + b"\n")
            self._input.flush()
        except (OSError, ValueError):
            raise EOFError from None
        line = self._output.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line[:-1]

    def more(self, count: int) -> bytes:
        """The next ``count`` bytes of the answer. Raises EOFError when the process has ended."""
        data = self._output.read(count)
        if len(data) != count:
            raise EOFError
        return data


class Offshoot:
    """A copy of this process that answers questions for as long as this object lives.

    It is made in an instant and has loaded what this one has; what it loads itself stays with it.
    """

    def __init__(self, answers: Callable[[], Callable[[bytes], bytes]]) -> None:
        """``answers`` is called there, at once, and gives what answers a question. Raises OSError where the
        system makes no copy, and where this process has more threads than the one that would be copied: a
        lock that another one holds would stay locked there."""
        if threading.active_count() > 1 or not hasattr(os, "fork"):
            raise OSError(errno.ENOTSUP, "this process cannot be copied")
        pipes = (*os.pipe(), *os.pipe())
        asked, ask, told, tell = pipes
        try:
            with warnings.catch_warnings():
                # Python 3.12 counts the threads of libraries, too; the copy touches none of these.
                warnings.simplefilter("ignore", DeprecationWarning)
                number = os.fork()
        except OSError:
            for handle in pipes:
                os.close(handle)
            raise
        if number == 0:
            _answer(asked, tell, answers)
        os.close(asked)
        os.close(tell)
        self.number = number
        self._ask, self._told = os.fdopen(ask, "wb"), os.fdopen(told, "rb")
        self.close = weakref.finalize(self, _end, number, self._ask, self._told)
        """End the process; done by itself when nobody holds this object any more."""

    def ask(self, question: bytes) -> bytes:
        """The answer. Raises EOFError when the process has ended."""
        try:
            self._ask.write(_SIZE.pack(len(question)) + question)
            self._ask.flush()
        except (OSError, ValueError):
            raise EOFError from None
        return _message(self._told)


def _answer(asked: int, tell: int, answers: Callable[[], Callable[[bytes], bytes]]) -> NoReturn:
    """Be the copy, and hold nothing of what is open here but two pipes: no lock outlives its owner."""
    with contextlib.suppress(BaseException):  # who asks sees that we are gone
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_DFL)
        asked, tell = (fcntl.fcntl(handle, fcntl.F_DUPFD, 3) for handle in (asked, tell))
        nothing = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(nothing, handle)
        for handle in {int(name) for name in os.listdir("/dev/fd")} - {0, 1, 2, asked, tell}:  # noqa: PTH208
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(handle)
        with os.fdopen(asked, "rb") as questions, os.fdopen(tell, "wb") as told:
            answer = answers()
            while True:
                said = answer(_message(questions))
                told.write(_SIZE.pack(len(said)) + said)
                told.flush()
    os._exit(0)


def _message(pipe: BinaryIO) -> bytes:
    head = pipe.read(_SIZE.size)
    if len(head) == _SIZE.size:
        (size,) = _SIZE.unpack(head)
        data = pipe.read(size)
        if len(data) == size:
            return data
    raise EOFError


def _end(number: int, *pipes: BinaryIO) -> None:
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.close()
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(number, 0)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.kill()
    process.wait()


@dataclass(frozen=True, slots=True)
class Completed:
    """How a process ended. ``code`` is negative for a signal; ``tail`` holds its last lines, safe to show."""

    code: int
    timed_out: bool
    cancelled: bool
    tail: tuple[str, ...]
    logged: bool
    """Whether it printed anything, so that its log file exists."""


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
