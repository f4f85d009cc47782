"""How a run and its supervisors talk; the run's end of it.

The run has some *lines*, sockets whose other end every supervisor holds. It writes a question to a line and
the line's number into the *bell*, a pipe that all idle supervisors read: one of them gets the number, takes
the question, and answers when the process has ended. On a line each message is its length, four bytes of
the network's order, and so many bytes of Python's own form of plain values, which both read quickest (they
are one Python; nobody else has a line); one without content asks for the end of the process. Beside the
lines lies the *board*, memory of both: who serves a line, and the number of the process that it watches.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import mmap
import os
import queue
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gitkitchen.process import Cancel
from gitkitchen.supervisor import NUMBER, SERVED, content, framed, is_whole
from gitkitchen.turns import EARLY

LOST = "the process of ours that watched it was killed"
NONE_LEFT = "no process of ours that could start it stays alive"
_START = (
    "import os, sys; sys.path.append({path!r}); from gitkitchen.supervisor import serve; "
    "serve({lines!r}, {bell}, {board}, {alive!r}, {first}); os._exit(0)"  # at once: the run waits for it
)
_NOT_BEGUN = marshal.dumps(["done", -signal.SIGTERM, False, True, [], False])
_TICK = struct.pack("@ll", 0, 100_000)
"""Seconds and microseconds after which a thread that waits for an answer looks around."""
_LOST_AFTER = 50
_SPARES = 16
"""Supervisors that may be started in place of others, and as many more as there were at first."""
_CHUNK = 65536
_ENDING = 10.0
"""Seconds that supervisors have to end when their run has."""


class Lost(OSError):
    """Nobody watches the process any more; whether it did its work is not known."""


class Switchboard:
    """The run's side of all lines."""

    def __init__(self, most: int) -> None:
        count = most + EARLY
        self._most, self._spares = most, most + _SPARES
        self._lock = threading.Lock()
        self._is_closed = False
        self._handles: list[int] = []
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._started: list[subprocess.Popen[bytes]] = []
        self._names = self._deaths = 0
        self._alive: dict[int, int] = {}
        """The number of each supervisor that is there, by the pipe that only it holds open."""
        self._ends = select.poll()
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(count):
            self._free.put(number)
        self._board = mmap.mmap(-1, 1)
        try:
            self._open(count)
            self._start(most)
        except BaseException:
            self.close()
            raise

    def _open(self, count: int) -> None:
        for _ in range(count):
            here, there = socket.socketpair()
            self._pairs.append((here, there))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                here.setsockopt(socket.SOL_SOCKET, option, _TICK)
        self._bell, self._ring = os.pipe()
        self._handles += [self._bell, self._ring]
        with tempfile.TemporaryFile() as board:
            board.truncate(count * SERVED.size)
            self._board_handle = os.dup(board.fileno())
        self._handles.append(self._board_handle)
        self._board = mmap.mmap(self._board_handle, count * SERVED.size)

    def _start(self, count: int) -> None:
        """Start one process, which becomes ``count`` supervisors."""
        reads: list[int] = []
        writes: list[int] = []
        theirs = [there.fileno() for _, there in self._pairs]
        try:
            for _ in range(count):
                read, write = os.pipe()
                reads.append(read)
                writes.append(write)
            code = _START.format(
                path=str(Path(__file__).parent.parent),
                lines=theirs,
                bell=self._bell,
                board=self._board_handle,
                alive=writes,
                first=self._names,
            )
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the run, which asks for the end in its own way
                pass_fds=[*theirs, self._bell, self._board_handle, *writes],
            )
        except BaseException:
            for read in reads:
                os.close(read)
            raise
        finally:
            for write in writes:
                os.close(write)
        self._started.append(process)
        for read in reads:
            self._alive[read] = self._names
            self._names += 1
            self._ends.register(read, 0)

    def ask(self, question: bytes, cancel: Cancel | None, rung: Callable[[], None]) -> bytes:
        """The answer to one question, when the process has ended. Raises Lost when nobody answers."""
        number = self._free.get()
        try:
            if cancel is not None and cancel.is_set:  # while it waited for a line
                return _NOT_BEGUN
            return self._talk(number, self._pairs[number][0], question, cancel, rung)
        except OSError:
            self._clear(number)
            raise
        finally:
            self._free.put(number)

    def _clear(self, number: int) -> None:
        """Take back what nobody took from a line whose supervisor is gone."""
        with self._lock:
            if self._is_closed:
                return
            SERVED.pack_into(self._board, number * SERVED.size, 0, 0)
            for end in self._pairs[number]:
                with contextlib.suppress(OSError):  # BlockingIOError: that was all
                    while end.recv(_CHUNK, socket.MSG_DONTWAIT):
                        pass

    def _talk(
        self,
        number: int,
        line: socket.socket,
        question: bytes,
        cancel: Cancel | None,
        rung: Callable[[], None],
    ) -> bytes:
        with self._lock:
            if self._is_closed:
                raise Lost(None, LOST)
            deaths = self._deaths
            os.write(self._ring, NUMBER.pack(number))
        rung()
        to_say = memoryview(framed(question))
        told, untaken = False, 0
        answer = bytearray()
        while not is_whole(answer):
            try:
                if to_say:  # in pieces: who takes it may die before it has it all
                    to_say = to_say[line.send(to_say) :]
                    continue
                part = line.recv(_CHUNK)
            except BlockingIOError:  # a tick has gone by
                part = None
            except BrokenPipeError:
                part = b""
            if part == b"":
                raise Lost(None, LOST)
            if part:
                answer += part
                continue
            if cancel is not None and cancel.is_set and not told and not to_say:
                told = True
                line.sendall(framed(b""))
            untaken = untaken + 1 if self._is_nowhere(number, deaths) else 0
            if (untaken > _LOST_AFTER or self._is_lost(number)) and not _readable(line):
                raise Lost(None, LOST if self._alive else NONE_LEFT)
        return content(answer)

    def _is_nowhere(self, number: int, deaths: int) -> bool:
        """Whether nobody says to have a question and it is in no pipe, and there were more ``deaths`` since.

        One may die between taking a question and writing that down. One that lives may be there just now, so
        that only who is seen here again and again is lost.
        """
        with self._lock:
            if self._is_closed:
                return False
            server, _ = SERVED.unpack_from(self._board, number * SERVED.size)
            return server == 0 and self._deaths > deaths and not _waiting(self._bell)

    def _is_lost(self, number: int) -> bool:
        """Whether the supervisor of a line is gone, or all are. Its process is ended, another one started."""
        with self._lock:
            if self._is_closed:
                return True
            server, watched = SERVED.unpack_from(self._board, number * SERVED.size)
            self._replace()
            if not self._alive:
                server = -1  # nobody: also what waits at the bell is lost
            lost = server != 0 and server - 1 not in self._alive.values()
        if lost and watched:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(watched, signal.SIGKILL)
        return lost

    def _replace(self) -> None:
        """Take note of who is gone, and start others as long as that may help."""
        for pipe, _ in self._ends.poll(0):
            self._ends.unregister(pipe)
            del self._alive[pipe]
            os.close(pipe)
            self._deaths += 1
        while len(self._alive) < self._most and self._spares > 0:
            self._spares -= 1
            try:
                self._start(1)
            except OSError:  # too many processes: those that are left go on, and it is tried again
                return

    def close(self) -> None:
        """Hang up: who serves a line ends what it watches, and itself."""
        with self._lock:
            self._is_closed = True
            for here, _ in self._pairs:
                with contextlib.suppress(OSError):
                    here.shutdown(socket.SHUT_RDWR)  # also for a thread that was given up and still waits
            for handle in self._handles:
                os.close(handle)
        self._await_their_ends()
        for pair in self._pairs:
            for end in pair:
                end.close()
        for pipe in self._alive:
            os.close(pipe)
        self._board.close()

    def _await_their_ends(self) -> None:
        """Wait, and no longer than need be: to ask again and again with naps between would oversleep."""
        last = time.monotonic() + _ENDING
        left = len(self._alive)
        while left and (wait := last - time.monotonic()) > 0:
            for pipe, _ in self._ends.poll(wait * 1000):
                self._ends.unregister(pipe)  # closed with the others
                left -= 1
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(last - time.monotonic(), 0.1))


def _readable(line: socket.socket) -> bool:
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(0))


def _waiting(pipe: int) -> int:
    """How many bytes nobody has taken from a pipe."""
    count: int = struct.unpack("=i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return count
