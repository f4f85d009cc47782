"""The run's side of its supervisors: small processes that start those of nodes, and watch them.

A node's process is not started from the run itself: the interpreter stands still while a program is
started, so that every other node would wait. And a run that is killed could end nothing any more: a
supervisor sees that its run is gone, and ends what it watches.

The run has some *lines*, sockets whose other end every supervisor holds. It writes a question to a line and
the line's number into the *bell*, a pipe that all idle supervisors read: one of them gets the number, takes
the question, and answers when the process has ended. On a line each message is its length, four bytes of
the network's order, and so much JSON; one without content asks for the end of the process. Beside the
lines lies the *board*, memory of both: who serves a line, and the number of the process that it watches.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from gitkitchen.process import Cancel, Completed
from gitkitchen.supervisor import NUMBER, SERVED, content, framed, is_whole

LOST = "the process of ours that watched it was killed"
_START = (
    "import sys; sys.path.append({path!r}); from gitkitchen.supervisor import serve; "
    "serve({lines!r}, {bell}, {board}, {alive!r}, {first})"
)
_TICK = struct.pack("@ll", 0, 100_000)
"""Seconds and microseconds after which a thread that waits for an answer looks around."""
_LOST_AFTER = 50
_CHUNK = 65536
_ENDING = 10.0
"""Seconds that supervisors have to end when their run has."""


class Turns(AbstractContextManager[None]):
    """At most ``most`` nodes execute at once; each holds a turn while it does."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._turns = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._processes = 0
        self._early = False

    def __enter__(self) -> None:
        self._turns.acquire()

    def __exit__(self, *_: object) -> None:
        self._turns.release()

    @contextlib.contextmanager
    def of_process(self) -> Any:
        """The turn of a process that supervisors start.

        Where every turn is such a process's, one more may come before its turn: it waits at the bell, and
        the supervisor whose process ends goes on with it at once. It has the turn of the one that ended.
        """
        early = False
        if not self._turns.acquire(blocking=False):
            with self._lock:
                early = self._processes == self.most and not self._early
                self._early = self._early or early
            if not early:
                self._turns.acquire()
        if not early:
            with self._lock:
                self._processes += 1
        try:
            yield
        finally:
            with self._lock:
                passed_on, self._early = self._early, False
                self._processes -= not passed_on
            if not passed_on:
                self._turns.release()


class Supervisors(AbstractContextManager["Supervisors"]):
    """As many as processes may run at once; started with the first of them, or before it by ``start``."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._switchboard: _Switchboard | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str,
        timeout: float | None = None,
        cancel: Cancel | None = None,
        log: Path | None = None,
        secrets: Sequence[str] = (),
        limit_bytes: int = 1_000_000,
        turns: Turns | None = None,
    ) -> Completed:
        """Run a process to its end and keep what it prints, bounded, in ``log``.

        It ends early after ``timeout`` seconds or when ``cancel`` is set: its group gets SIGTERM, and
        SIGKILL after ``GRACE`` seconds. What it left running in its group is killed when it ends itself.
        ``secrets`` are values that become ``***``. ``turns``: the process takes one of them, else its caller
        has it. Raises OSError where it cannot start.
        """
        question = [list(argv), dict(env), str(cwd), timeout, log and str(log), list(secrets), limit_bytes]
        text = json.dumps(question).encode()
        switchboard = self.start()
        with turns.of_process() if turns else nullcontext():
            kind, *values = json.loads(switchboard.ask(text, cancel))
        if kind == "system":
            raise OSError(*values)
        if kind == "value":
            raise ValueError(*values)
        code, timed_out, cancelled, tail, logged = values
        return Completed(code, timed_out, cancelled, tuple(tail), logged)

    def start(self) -> _Switchboard:
        """Start the supervisors, which takes them a moment, if they are not there yet."""
        with self._lock:
            if self._switchboard is None:
                self._switchboard = _Switchboard(self.most)
            return self._switchboard

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the supervisors, and all that they still watch."""
        with self._lock:
            switchboard, self._switchboard = self._switchboard, None
        if switchboard is not None:
            switchboard.close()


class _Switchboard:
    """The run's side of all lines."""

    def __init__(self, most: int) -> None:
        count = most + 2
        self._pairs = [socket.socketpair() for _ in range(count)]
        for here, _ in self._pairs:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TICK)
        self._bell, self._ring = os.pipe()
        with tempfile.TemporaryFile() as board:
            board.truncate(count * SERVED.size)
            self._board_handle = os.dup(board.fileno())
        self._board = mmap.mmap(self._board_handle, count * SERVED.size)
        self._free = list(range(count))
        self._lines_free = threading.Semaphore(count)
        self._lock = threading.Lock()
        self._alive: dict[int, int] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        self._start(most)

    def _start(self, count: int) -> None:
        """Start one process, which becomes ``count`` supervisors."""
        first = len(self._alive)
        pipes = [os.pipe() for _ in range(count)]
        theirs = [there.fileno() for _, there in self._pairs]
        alive = [write for _, write in pipes]
        code = _START.format(
            path=str(Path(__file__).parent.parent),
            lines=theirs,
            bell=self._bell,
            board=self._board_handle,
            alive=alive,
            first=first,
        )
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the run, which asks for the end in its own way
                pass_fds=[*theirs, self._bell, self._board_handle, *alive],
            )
        finally:
            for write in alive:
                os.close(write)
        self._started.append(process)
        self._alive |= {first + i: read for i, (read, _) in enumerate(pipes)}

    def ask(self, question: bytes, cancel: Cancel | None) -> bytes:
        """The answer to one question, when the process has ended. Raises OSError when nobody answers."""
        self._lines_free.acquire()
        number = self._free.pop()
        try:
            return self._talk(number, self._pairs[number][0], question, cancel)
        except OSError:
            self._clear(number)
            raise
        finally:
            self._free.append(number)
            self._lines_free.release()

    def _clear(self, number: int) -> None:
        """Take back what nobody took from a line whose supervisor is gone."""
        SERVED.pack_into(self._board, number * SERVED.size, 0, 0)
        for end in self._pairs[number]:
            with contextlib.suppress(OSError):  # BlockingIOError: that was all
                while end.recv(_CHUNK, socket.MSG_DONTWAIT):
                    pass

    def _talk(self, number: int, line: socket.socket, question: bytes, cancel: Cancel | None) -> bytes:
        os.write(self._ring, NUMBER.pack(number))
        line.sendall(framed(question))
        told, ticks, dead = False, 0, self._dead()
        answer = bytearray()
        while not is_whole(answer):
            try:
                part = line.recv(_CHUNK)
            except BlockingIOError:  # a tick has gone by
                part = None
            if part == b"":
                raise OSError(None, LOST)
            if part:
                answer += part
                continue
            if cancel is not None and cancel.is_set and not told:
                told = True
                line.sendall(framed(b""))
            ticks += 1
            if self._lost(number, dead, ticks) and not _readable(line):
                raise OSError(None, LOST)
        return content(answer)

    def _lost(self, number: int, dead: frozenset[int], ticks: int) -> bool:
        """Whether the supervisor of a line is gone. What it watched is ended, and another one started.

        ``dead``: who was gone before the question was asked; ``ticks`` have gone by since. One may die
        between taking a question and writing that down: then nobody has it, and it is in no pipe.
        """
        server, watched = SERVED.unpack_from(self._board, number * SERVED.size)
        with self._lock:
            gone = {n for n, pipe in self._alive.items() if pipe >= 0 and _is_closed(pipe)}
            for n in gone:
                os.close(self._alive[n])
                self._alive[n] = -1
            for _ in gone:
                self._start(1)
        now_dead = self._dead()
        lost = server - 1 in now_dead
        if server == 0 and now_dead > dead and ticks > _LOST_AFTER:
            lost = not _waiting(self._bell)
        if lost and watched:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(watched, signal.SIGKILL)
        return lost

    def _dead(self) -> frozenset[int]:
        return frozenset(n for n, pipe in self._alive.items() if pipe == -1)

    def close(self) -> None:
        """Hang up: who serves a line ends what it watches, and itself."""
        os.close(self._ring)
        for here, _ in self._pairs:
            here.shutdown(socket.SHUT_RDWR)  # also for a thread that was given up and still waits
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDING)
        for pair in self._pairs:
            for end in pair:
                end.close()
        for handle in (self._bell, self._board_handle, *(p for p in self._alive.values() if p >= 0)):
            os.close(handle)
        self._board.close()


def _readable(line: socket.socket) -> bool:
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(0))


def _is_closed(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def _waiting(pipe: int) -> int:
    """How many bytes nobody has taken from a pipe."""
    count: int = struct.unpack("=i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return count
