"""The run's side of its supervisors: small processes that start those of nodes, and watch them.

A node's process is not started from the run itself: the interpreter stands still while a program is
started, so that every other node would wait. And a run that is killed could end nothing any more: a
supervisor sees that its run is gone, and ends what it watches.

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
import resource
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from gitkitchen.process import Cancel, Completed
from gitkitchen.supervisor import NUMBER, SERVED, content, framed, is_whole

LOST = "the process of ours that watched it was killed"
NONE_LEFT = "no process of ours that could start it stays alive"
_START = (
    "import os, sys; sys.path.append({path!r}); from gitkitchen.supervisor import serve; "
    "serve({lines!r}, {bell}, {board}, {alive!r}, {first}); os._exit(0)"  # at once: the run waits for it
)
_NOT_BEGUN = marshal.dumps(["done", -signal.SIGTERM, False, True, [], False])
_TICK = struct.pack("@ll", 0, 100_000)
"""Seconds and microseconds after which a thread that waits for an answer looks around."""
EARLY = 2
"""Processes that may wait at the bell before their turn: as one ends, the thread that asked for it has its
record to write before it asks for the next, and another may end meanwhile."""
_LOST_AFTER = 50
_SPARES = 16
"""Supervisors that may be started in place of others, and as many more as there were at first."""
_CHUNK = 65536
_ENDING = 10.0
"""Seconds that supervisors have to end when their run has."""


class Lost(OSError):
    """Nobody watches the process any more; whether it did its work is not known."""


class BrokenOutput(OSError):
    """A process was ended because its log cannot be written: the disk is full."""


class Turns(AbstractContextManager[None]):
    """At most ``most`` nodes execute at once; each holds a turn while it does."""

    def __init__(self, most: int) -> None:
        self.most = most
        # A semaphore, as quick as C: Python's own takes its locks and conditions in Python.
        self._turns: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(most):
            self._turns.put(None)
        self._lock = threading.Lock()
        self._processes = self._early = 0

    def __enter__(self) -> None:
        self._turns.get()

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        self._turns.put(None)

    def take_at_once(self) -> bool:
        """Take a turn if one is free; whoever has it must give it back."""
        try:
            self._turns.get_nowait()
        except queue.Empty:
            return False
        return True

    def of_process(self) -> _ProcessTurn:
        """The turn of a process that supervisors start. What it gives is called when the bell was rung.

        Where every turn is such a process's, ``EARLY`` more may come before their turn: they wait at the
        bell, behind all that have one, and the supervisor whose process ends goes on with the first of them
        at once, which has the turn of the one that ended.
        """
        return _ProcessTurn(self)

    def _begin(self) -> bool:
        """Wait for a turn. True: it came before its turn, and waits at the bell."""
        if self.take_at_once():
            return False
        with self._lock:
            early = self._processes == self.most and self._early < EARLY
            self._early += early
        if not early:
            self._turns.get()
        return early

    def _count(self) -> None:
        """A process has its turn."""
        with self._lock:
            self._processes += 1

    def _end(self, counted: bool) -> None:
        passed_on = False
        if counted:
            with self._lock:
                passed_on = self._early > 0
                self._early -= passed_on
                self._processes -= not passed_on
        if not passed_on:
            self._turns.put(None)


class _ProcessTurn:
    """One turn of a process, from before it is begun to its end."""

    __slots__ = ("_counts", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns, self._counts = turns, False

    def __enter__(self) -> Callable[[], None]:
        self._counts = self._turns._begin()
        return self._rung

    def _rung(self) -> None:
        if not self._counts:
            self._turns._count()
            self._counts = True

    def __exit__(self, *_: object) -> None:
        self._turns._end(self._counts)


class Supervisors(AbstractContextManager["Supervisors"]):
    """As many as processes may run at once; started with the first of them, or before it by ``start``."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most or os.cpu_count() or 1
        self._lock = threading.Lock()
        self._switchboard: _Switchboard | None = None
        self._closed = False

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str,
        timeout: float | None = None,
        cancel: Cancel | None = None,
        log: Path | str | None = None,
        secrets: Sequence[str] = (),
        limit_bytes: int = 1_000_000,
        turns: Turns | None = None,
    ) -> Completed:
        """Run a process to its end and keep what it prints, bounded, in ``log``.

        It ends early after ``timeout`` seconds or when ``cancel`` is set: its group gets SIGTERM, and
        SIGKILL after ``GRACE`` seconds. What it left running in its group is killed when it ends itself.
        ``secrets`` are values that become ``***``. ``turns``: the process takes one of them, else its caller
        has it. Raises OSError where it cannot start, Lost where its supervisor goes, and BrokenOutput where
        what it prints cannot be written.
        """
        question = marshal.dumps(
            [
                [str(word) for word in argv],
                {str(name): str(value) for name, value in env.items()},
                str(cwd),
                timeout,
                str(log) if log else None,
                [str(secret) for secret in secrets],
                limit_bytes,
            ]
        )
        switchboard = self.start()
        with turns.of_process() if turns else nullcontext(_nothing) as rung:
            kind, *values = marshal.loads(switchboard.ask(question, cancel, rung))  # noqa: S302 - our own
        if kind == "system":
            raise OSError(*values)
        if kind == "output":
            raise BrokenOutput(*values)
        if kind == "value":
            raise ValueError(*values)
        code, timed_out, cancelled, tail, logged = values
        return Completed(code, timed_out, cancelled, tuple(tail), logged)

    def start(self) -> _Switchboard:
        """Start the supervisors, which takes them a moment, if they are not there yet."""
        with self._lock:
            if self._closed:  # by a run that gave this thread up
                raise Lost(None, LOST)
            if self._switchboard is None:
                self._switchboard = _Switchboard(_affordable(self.most))
            return self._switchboard

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the supervisors, and all that they still watch."""
        with self._lock:
            self._closed = True
            switchboard, self._switchboard = self._switchboard, None
        if switchboard is not None:
            switchboard.close()


def _affordable(most: int) -> int:
    """How many supervisors the limit of open files has room for; what is more waits for a line.

    Each takes four handles of the run while they start; the run keeps a part for data.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return most
    try:
        used = len(os.listdir("/dev/fd"))  # noqa: PTH208 - handles, not a folder
    except OSError:  # a bare container
        used = 32
    room = limit - limit // 4 - used
    return max(1, min(most, room // 4 - 4))


class _Switchboard:
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


def _nothing() -> None:
    """What is called where nobody counts."""


def _readable(line: socket.socket) -> bool:
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(0))


def _waiting(pipe: int) -> int:
    """How many bytes nobody has taken from a pipe."""
    count: int = struct.unpack("=i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return count
