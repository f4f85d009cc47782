"""Progress while a plan runs."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from gitkitchen.model import Event, Outcome, State
from gitkitchen.report.live import progress


class Stream(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]


def ticks() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += 0.5


def events(outcome: Outcome) -> list[Event]:
    told = [Event("plan", total=len(outcome.nodes))]
    for node in outcome.nodes:
        if node.attempts:
            told.append(Event("started", node.node))
        if node.attempts > 1:
            told.append(Event("retry", node.node, message="exit code 3, again in 2 s"))
        told.append(Event("finished", node.node, result=node))
    return told


def test_elsewhere_each_finished_node_is_a_line(rich_outcome: Outcome) -> None:
    """Outside a terminal: one quiet line a node that did something, safe for a runner's log."""
    stream = Stream()
    with progress(stream) as on_event:
        for event in events(rich_outcome):
            on_event(event)
        on_event(Event("cancelling"))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[ 1/11] ✓ passed    airlines  16 rows  12 ms"
    assert lines[1] == "[ 4/11] ✗ failed    late_by_hour  8,035,799 rows  3.2 s  2 stop tests failed"
    assert lines[2] == "[ 4/11] again      report  exit code 3, again in 2 s"
    assert lines[-1] == "cancelling: what runs is being ended"
    assert len(lines) == 11
    assert all(line.isprintable() and "##[" not in line and not line.startswith("::") for line in lines)


def test_a_terminal_gets_a_board_that_goes_away(rich_outcome: Outcome) -> None:
    """In a terminal: done of total, the time, what runs; failures stay above it; at the end it is gone."""
    stream, clock = Stream(), ticks()
    with progress(stream, terminal=True, clock=lambda: next(clock)) as on_event:
        for event in events(rich_outcome):
            on_event(event)
    told = stream.getvalue()
    assert "/11 nodes" in told
    assert "✗ error     report  4.0 s  exit code 3" in told
    assert told.endswith("\x1b[2K")  # the last line of the board is erased
    assert "\x07" not in told


def test_many_threads_may_tell(rich_outcome: Outcome) -> None:
    """Nodes end in threads of their own; no event is lost and nothing locks up."""
    node = rich_outcome.nodes[0]
    for terminal in (False, True):
        stream = Stream()
        with progress(stream, terminal=terminal) as on_event:
            on_event(Event("plan", total=80))

            def work(on_event=on_event) -> None:  # type: ignore[no-untyped-def]
                for _ in range(10):
                    on_event(Event("started", node.node))
                    on_event(Event("tested", node.node))
                    on_event(Event("finished", node.node, result=node))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive()
        if not terminal:
            assert len(stream.getvalue().splitlines()) == 80
            assert "[80/80]" in stream.getvalue()


class Broken(Stream):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_broken_pipe_does_not_end_the_run(rich_outcome: Outcome) -> None:
    """Who stops reading the progress does not stop the run."""
    with progress(Broken()) as on_event:
        for event in events(rich_outcome):
            on_event(event)


def test_ascii_streams_are_served(rich_outcome: Outcome) -> None:
    """A log that knows only ASCII is written in ASCII."""
    raw = io.BytesIO()
    with progress(io.TextIOWrapper(raw, encoding="ascii", write_through=True)) as on_event:
        on_event(Event("finished", "a", result=rich_outcome.nodes[3]))
        assert raw.getvalue().isascii()
        assert b"x failed" in raw.getvalue()


@pytest.mark.parametrize("terminal", ["True", "False"])
def test_a_run_that_reuses_all_imports_no_rich(terminal: str) -> None:
    """The board, and rich with it, comes when the first node starts; reused nodes start nothing."""
    code = (
        "import io, sys\n"
        "from gitkitchen.model import Event, NodeResult, State\n"
        "from gitkitchen.report.live import progress\n"
        f"with progress(io.StringIO(), terminal={terminal}) as on_event:\n"
        "    on_event(Event('plan', total=1))\n"
        "    on_event(Event('finished', 'a', result=NodeResult('a', 'sql', State.REUSED)))\n"
        "sys.exit(str('rich' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "False"


def test_reused_nodes_are_left_to_the_report(rich_outcome: Outcome) -> None:
    """Hundreds of reused nodes are no hundreds of lines."""
    stream = Stream()
    with progress(stream) as on_event:
        for node in rich_outcome.nodes:
            if node.state is State.REUSED:
                on_event(Event("finished", node.node, result=node))
    assert stream.getvalue() == ""
