"""What a running plan shows: in a terminal a small board that disappears, elsewhere a quiet line a node.

rich is imported when the first node really starts in a terminal, so that a run which only reuses is not
slowed down by it. Events may come from several threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, TextIO

from gitkitchen.frozen import dataclass
from gitkitchen.model import Event, NodeResult, State
from gitkitchen.report import facts, text
from gitkitchen.report.text import SYMBOLS, WORDS, clip, count, duration, one_line, safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

Watcher = Callable[[Event], None]
SHOWN = 6
BAR = 24
CANCELLING = "cancelling: what runs is being ended"
_TROUBLE = frozenset({State.FAILED, State.ERROR, State.TIMED_OUT})


@contextmanager
def progress(
    stream: TextIO, *, terminal: bool | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Watcher]:
    """A watcher for the events of a run, which cleans up after itself.

    ``terminal`` None looks at the stream. A stream that breaks ends the progress, never the run.
    """
    if terminal is None:
        terminal = stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
    watcher = _Board(stream, clock) if terminal else _Lines(stream)
    try:
        yield watcher.see
    finally:
        watcher.close()


def line_of(node: NodeResult) -> str:
    """One finished node in a line: mark, state, name, rows, time, and why where it went wrong."""
    rows = facts.rows_of(node)
    parts = [
        f"{SYMBOLS[node.state]} {WORDS[node.state]:<9} {clip(safe(node.node), 63)}",
        count(rows, "row") if rows is not None else "",
        duration(node.seconds) if node.attempts else "",
        _why(node),
    ]
    return "  ".join(part for part in parts if part)


def _why(node: NodeResult) -> str:
    if node.failure is not None:
        return clip(one_line(node.failure.message), 200)
    return "; ".join(map(one_line, node.reasons)) if node.state is State.SKIPPED else ""


@dataclass(slots=True)
class _Lines:
    """Quiet lines; nodes that are merely reused are left to the report."""

    stream: TextIO
    total: int = 0
    done: int = 0
    broken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, event: Event) -> None:
        with self.lock:
            if event.kind == "plan":
                self.total += event.total
            elif event.kind == "finished" and event.result is not None:
                self.done += 1
                if event.result.state is not State.REUSED:
                    self._write(f"{self._count()} {line_of(event.result)}")
            elif event.kind == "retry":
                self._write(
                    f"{self._count()} again      {safe(event.node)}  {one_line(event.message)}".rstrip()
                )
            elif event.kind == "cancelling":
                self._write(one_line(event.message) or CANCELLING)

    def _count(self) -> str:
        total = str(max(self.total, self.done))
        return f"[{self.done:>{len(total)}}/{total}]"

    def _write(self, line: str) -> None:
        if self.broken:
            return
        if "utf" not in (getattr(self.stream, "encoding", None) or "utf-8").lower():
            line = line.translate(text.ASCII).encode("ascii", "backslashreplace").decode()
        try:
            self.stream.write(line.replace("##[", "# #[") + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # a pipe that nobody reads any more
            self.broken = True

    def close(self) -> None:
        """Nothing is left behind by lines."""


@dataclass(slots=True)
class _Board:
    """What runs now, how much is done, how long it takes; failures stay above it as they happen."""

    stream: TextIO
    clock: Callable[[], float]
    total: int = 0
    done: int = 0
    began: float | None = None
    running: dict[str, tuple[float, str]] = field(default_factory=dict)
    note: str = ""
    console: Console | None = None
    live: Live | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, event: Event) -> None:
        """Note an event; what rich draws is asked for after our lock is released, as rich has locks too."""
        with self.lock:
            self._note(event)
            starts = event.kind == "started" and self.console is None
            if starts:
                self.console = self._new_console()
        if starts:
            self._start()
        elif event.result is not None and event.result.state in _TROUBLE and self.console is not None:
            from rich.text import Text

            self.console.print(Text(line_of(event.result), style="red"))

    def _note(self, event: Event) -> None:
        now = self.clock()
        self.began = now if self.began is None else self.began
        if event.kind == "plan":
            self.total += event.total
        elif event.kind == "started":
            self.running[event.node] = (now, "")
        elif event.kind == "finished":
            self.done += 1
            self.running.pop(event.node, None)
        elif event.kind == "cancelling":
            self.note = one_line(event.message) or CANCELLING
        elif event.node in self.running:
            doing = "testing" if event.kind == "tested" else one_line(event.message)
            self.running[event.node] = (self.running[event.node][0], doing)

    def _new_console(self) -> Console:
        from rich.console import Console

        return Console(file=self.stream, highlight=False, markup=False, emoji=False, force_terminal=True)

    def _start(self) -> None:
        from rich.live import Live

        self.live = Live(
            get_renderable=self.board, console=self.console, transient=True, refresh_per_second=8,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self.live.start()

    def board(self) -> RenderableType:
        """The board as it stands now."""
        from rich.text import Text

        with self.lock:
            now = self.clock()
            width = self.console.width - 1 if self.console else 79
            total = max(self.total, self.done, 1)
            filled = BAR * self.done // total
            lines = [Text(no_wrap=True, overflow="ellipsis")]
            lines[0].append("━" * filled, style="green").append("─" * (BAR - filled), style="dim")
            lines[0].append(f"  {self.done:,}/{total:,} nodes  {duration(now - (self.began or now))}")
            for node, (since, note) in list(self.running.items())[:SHOWN]:
                told = f"  {safe(node)}  {duration(now - since)}" + (f"  {note}" if note else "")
                lines.append(Text(clip(told, width), style="dim"))
            if len(self.running) > SHOWN:
                lines.append(Text(f"  and {len(self.running) - SHOWN:,} more", style="dim"))
            if self.note:
                lines.append(Text(clip(self.note, width), style="yellow"))
        return Text("\n").join(lines)

    def close(self) -> None:
        """Take the board away; the failures above it stay."""
        if self.live is not None:
            self.live.stop()
            self.live = None
