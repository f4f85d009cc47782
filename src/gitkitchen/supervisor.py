"""A supervisor: a small process of ours that starts processes of nodes, watches them, and ends with its run.

Each process runs in a group of its own, so that ending it ends what it forked. Its output is bounded on
disk and in memory whatever it prints, and is made safe to show: no control characters, no commands of a
CI runner, no values of secrets.

How a run and its supervisors talk is said in ``switchboard``. This module is all that a supervisor loads:
it imports little, so that it is there soon.
"""

from __future__ import annotations

import contextlib
import marshal
import mmap
import os
import select
import signal
import socket
import struct
import time

from gitkitchen.printed import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

GRACE = 3.5
"""Seconds between asking a process to end and killing it: a cancelled run has 7.5 s in all."""
NUMBER = struct.Struct("=I")
SERVED = struct.Struct("=qq")
_LENGTH = struct.Struct("!I")
_CHUNK = 65536
_POLL = 0.1
_SHORT_MS = 5
_IGNORED_BY_PYTHON = [signal.SIGPIPE, signal.SIGXFSZ]


def serve(lines: Sequence[int], bell: int, board: int, alive: Sequence[int], first: int) -> None:
    """Be a supervisor, and start those beside it; until the run closes the bell or is gone.

    One for each of ``alive``, a pipe that is open for as long as it lives; they are numbered from ``first``.
    """
    for handle in (*lines, bell, board, *alive):
        os.set_inheritable(handle, False)
    shared = mmap.mmap(board, len(lines) * SERVED.size)
    mine = 0
    for number in range(1, len(alive)):
        try:
            forked = os.fork()
        except OSError:  # too many processes: those that are there do it
            break
        if forked == 0:
            mine = number
            break
    for number, pipe in enumerate(alive):
        if number != mine:
            os.close(pipe)
    nothing = os.open(os.devnull, os.O_RDONLY)
    ends = [socket.socket(fileno=handle) for handle in lines]
    with contextlib.suppress(EOFError, ConnectionError):
        while len(rung := os.read(bell, NUMBER.size)) == NUMBER.size:
            (number,) = NUMBER.unpack(rung)
            _Service(ends[number], shared, number, first + mine + 1, nothing).answer()
    if mine == 0:
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()


class _Service:
    """One question, from taking it to its answer. ``server`` is the supervisor's number on the board."""

    def __init__(self, line: socket.socket, board: mmap.mmap, number: int, server: int, nothing: int) -> None:
        self.line, self.board, self.number, self.server, self.nothing = line, board, number, server, nothing
        self.asked_to_end = False

    def answer(self) -> None:
        self._note(0)
        question = b""
        while not question:  # what is empty came after the answer before
            question = message(self.line)
        asked = marshal.loads(question)  # noqa: S302 - our own
        answer = framed(marshal.dumps(self._run(*asked)))
        SERVED.pack_into(self.board, self.number * SERVED.size, 0, 0)
        self.line.sendall(answer)

    def _note(self, watched: int) -> None:
        SERVED.pack_into(self.board, self.number * SERVED.size, self.server, watched)

    def hear(self) -> None:
        """Take what the run says meanwhile: that it wants the end, or (EOFError) that it is gone."""
        message(self.line)
        self.asked_to_end = True

    def _run(
        self,
        argv: list[str],
        env: dict[str, str],
        folder: str,
        timeout: float | None,
        log: str | None,
        secrets: list[str],
        limit_bytes: int,
    ) -> list[Any]:
        poll = select.poll()
        poll.register(self.line, select.POLLIN)
        if poll.poll(0):
            self.hear()
            return ["done", -signal.SIGTERM, False, True, [], False]  # it need not begin any more
        try:
            number, pipe = _start(argv, env, folder, self.nothing)
        except OSError as error:
            return ["system", error.errno, error.strerror]
        except ValueError as error:
            return ["value", str(error)]
        self._note(number)
        output = Output(log, secrets=secrets, limit_bytes=limit_bytes)
        watch = _Watch(number, pipe, output, timeout, self)
        try:
            try:
                watch.until_its_end()
            finally:
                watch.clean()
                self._note(0)
                output.close()
        except ConnectionError:
            raise
        except OSError as error:
            return ["output", error.errno, error.strerror]
        return ["done", watch.code, watch.timed_out, watch.cancelled, output.tail(), output.lines > 0]


def _start(argv: list[str], env: Mapping[str, str], folder: str, nothing: int) -> tuple[int, int]:
    """Start a program in a group of its own; its number, and the pipe of what it prints."""
    os.chdir(folder)
    program = argv[0]
    if os.sep not in program:
        program = _found(program, env.get("PATH", os.defpath))
    ours, theirs = os.pipe()
    try:
        number = os.posix_spawn(
            program,
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing, 0),
                (os.POSIX_SPAWN_DUP2, theirs, 1),
                (os.POSIX_SPAWN_DUP2, theirs, 2),
            ],
            setpgroup=0,
            setsigdef=_IGNORED_BY_PYTHON,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return number, ours


def _found(program: str, path: str) -> str:
    for folder in path.split(os.pathsep):
        name = os.path.join(folder, program)  # noqa: PTH118
        if os.path.isfile(name) and os.access(name, os.X_OK):  # noqa: PTH113
            return name
    return program


class _Watch:
    """One process while it runs. ``code`` is how it ended, negative for a signal."""

    def __init__(
        self, number: int, pipe: int, output: Output, timeout: float | None, service: _Service
    ) -> None:
        self.number, self.pipe, self.output, self.service = number, pipe, output, service
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.kill_at: float | None = None
        self.timed_out = self.cancelled = False
        self.is_open = True
        self.status: int | None = None
        self.code = 0

    def until_its_end(self) -> None:
        """Take its output until it ended; it may close its output before, or leave it open to a fork."""
        line = self.service.line.fileno()
        poll = select.poll()
        poll.register(line, select.POLLIN)
        exited = _exit_handle(self.number)
        if exited is not None:
            poll.register(exited, select.POLLIN)
            # A process closes its pipe an instant before its end: who waits for that alone wakes once.
            poll.poll(_SHORT_MS)
        poll.register(self.pipe, select.POLLIN)
        pause = 0.0005
        try:
            while True:
                ready = [f for f, _ in poll.poll(self._wait() if self.is_open or exited is not None else 0)]
                if self.pipe in ready:
                    data = os.read(self.pipe, _CHUNK)
                    if data:
                        self.output.feed(data)
                    else:
                        poll.unregister(self.pipe)
                        self.is_open = False
                if line in ready:
                    self.service.hear()
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
        if not hasattr(os, "waitid"):  # macOS before Python 3.13: its number is free from now on
            number, status = os.waitpid(self.number, os.WNOHANG)
            self.status = status if number else None
            return number != 0
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.number, flags) is not None

    def _wait(self) -> float | None:
        """Milliseconds until something must be looked at again; None: whenever something happens."""
        moments = [moment for moment in (self.deadline, self.kill_at) if moment is not None]
        return max(min(moments) - time.monotonic(), 0.0) * 1000 if moments else None

    def _look_at_the_clock(self) -> None:
        if self.kill_at is not None:
            if time.monotonic() >= self.kill_at:
                _signal_group(self.number, signal.SIGKILL)
                self.kill_at += 1.0  # one that sleeps in the system takes its time
            return
        self.cancelled = self.service.asked_to_end
        self.timed_out = (
            not self.cancelled and self.deadline is not None and time.monotonic() >= self.deadline
        )
        if self.cancelled or self.timed_out:
            self.kill_at, self.deadline = time.monotonic() + GRACE, None
            _signal_group(self.number, signal.SIGTERM)

    def clean(self) -> None:
        """Leave nothing of the group behind, and take what is still in the pipe."""
        _signal_group(self.number, signal.SIGKILL)
        status = os.waitpid(self.number, 0)[1] if self.status is None else self.status
        self.code = os.waitstatus_to_exitcode(status)
        if self.is_open:
            self._take_the_rest()
        os.close(self.pipe)

    def _take_the_rest(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self.pipe, False)
            for _ in range(64):
                data = os.read(self.pipe, _CHUNK)
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


# --- messages, of both sides ---------------------------------------------------------------------


def framed(text: bytes) -> bytes:
    """A message as it goes over a line."""
    return _LENGTH.pack(len(text)) + text


def is_whole(data: bytes | bytearray) -> bool:
    """Whether all of a message is there."""
    return len(data) >= _LENGTH.size and len(data) - _LENGTH.size == _LENGTH.unpack_from(data)[0]


def content(data: bytes | bytearray) -> bytes:
    """What a whole message holds."""
    return bytes(data[_LENGTH.size :])


def message(line: socket.socket) -> bytes:
    """The next message of several. Raises EOFError where the other side is gone."""
    return _exactly(line, _LENGTH.unpack(_exactly(line, _LENGTH.size))[0])


def _exactly(line: socket.socket, size: int) -> bytes:
    data = line.recv(size) if size else b""
    while len(data) < size:
        more = line.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
