"""Processes: the only place that starts them.

Each runs in a process group of its own, so that ending it ends what it forked. Its output is bounded on
disk and in memory whatever it prints, and is made safe to show: no control characters, no commands of a
CI runner, no values of secrets.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gitkitchen.printed import Output

GRACE = 3.5
"""Seconds between asking a process to end and killing it: a cancelled run has 7.5 s in all."""

_POLL = 0.1
_CHUNK = 65536


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


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    log: Path | None = None,
    secrets: Sequence[str] = (),
    limit_bytes: int = 1_000_000,
) -> Completed:
    """Run a process to its end and keep what it prints, bounded, in ``log``.

    It ends early after ``timeout`` seconds or when ``cancel`` is set: its group gets SIGTERM, and SIGKILL
    after ``GRACE`` seconds. What it left running in its group is killed when it ends itself.
    ``secrets`` are values that become ``***``. Raises OSError where it cannot start.
    """
    output = Output(log, secrets=secrets, limit_bytes=limit_bytes)
    process = subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        bufsize=0,
    )
    assert process.stdout is not None
    watch = _Watch(process, process.stdout, output, timeout, cancel)
    try:
        watch.until_its_end()
    finally:
        watch.clean()
        output.close()
    return Completed(process.returncode, watch.timed_out, watch.cancelled, output.tail(), output.lines > 0)


class _Watch:
    """One process while it runs."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        pipe: IO[bytes],
        output: Output,
        timeout: float | None,
        cancel: Cancel | None,
    ) -> None:
        self.process, self.pipe, self.output, self.cancel = process, pipe, output, cancel
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.kill_at: float | None = None
        self.timed_out = self.cancelled = False
        self.is_open = True

    def until_its_end(self) -> None:
        """Take its output until it ended; it may close its output before, or leave it open to a fork."""
        poll = select.poll()
        pipe = self.pipe.fileno()
        poll.register(pipe, select.POLLIN | select.POLLHUP)
        exited = _exit_handle(self.process.pid)
        if exited is not None:
            poll.register(exited, select.POLLIN)
        pause = 0.0005
        try:
            while True:
                ready = [f for f, _ in poll.poll(self._wait() if self.is_open or exited is not None else 0)]
                if pipe in ready:
                    data = os.read(pipe, _CHUNK)
                    if data:
                        self.output.feed(data)
                    else:
                        poll.unregister(pipe)
                        self.is_open = False
                if exited in ready or (exited is None and self._ended()):
                    return
                if exited is None and not self.is_open:
                    time.sleep(pause)
                    pause = min(pause * 2, _POLL)
                self._look_at_the_clock()
        finally:
            if exited is not None:
                os.close(exited)

    def _ended(self) -> bool:
        """Whether it ended. It is not yet taken note of, so that its number still names its group."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self.process.poll() is not None
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, flags) is not None

    def _wait(self) -> float:
        """Milliseconds until something must be looked at again."""
        now = time.monotonic()
        wait = _POLL if self.cancel is not None else 1.0
        for moment in (self.deadline, self.kill_at):
            if moment is not None:
                wait = min(wait, moment - now)
        return max(wait, 0.0) * 1000

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if self.kill_at is not None:
            if now >= self.kill_at:
                _signal_group(self.process.pid, signal.SIGKILL)
            return
        self.cancelled = self.cancel is not None and self.cancel.is_set
        self.timed_out = not self.cancelled and self.deadline is not None and now >= self.deadline
        if self.cancelled or self.timed_out:
            self.kill_at, self.deadline = now + GRACE, None
            _signal_group(self.process.pid, signal.SIGTERM)

    def clean(self) -> None:
        """Leave nothing of the group behind, and take what is still in the pipe."""
        _signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.is_open:
            self._take_the_rest()
        self.pipe.close()

    def _take_the_rest(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self.pipe.fileno(), False)
            for _ in range(64):
                data = os.read(self.pipe.fileno(), _CHUNK)
                if not data:
                    break
                self.output.feed(data)


def _exit_handle(pid: int) -> int | None:
    """A handle that becomes readable when the process ends, where the system has them (Linux)."""
    opener: Any = getattr(os, "pidfd_open", None)
    if opener is None:
        return None
    try:
        handle: int = opener(pid)
    except OSError:
        return None  # an old kernel or a sandbox without the call: polling does it
    return handle


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
