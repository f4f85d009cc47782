"""Leases: one holder at a time, stale ones refused, dead ones replaced, nobody forces anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitkitchen.errors import Conflict
from gitkitchen.ledger.lease import check, lease, renew

START = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
HOLD = """
import sys, time
from pathlib import Path
from gitkitchen.ledger.lease import lease
with lease(Path(sys.argv[1]), "k_x/delays", holder=sys.argv[2], seconds=3600) as held:
    print(held.fence, flush=True)
    time.sleep(float(sys.argv[3]))
"""


def holder(root: Path, name: str, seconds: float) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", HOLD, str(root), name, str(seconds)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def at(seconds: float) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: START + timedelta(seconds=seconds)


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    """While one holds the lease another is refused, told by whom; after release it gets a higher fence."""
    with lease(tmp_path, "k_x/delays", holder="run-1", seconds=60, clock=at(0), heartbeat=False) as first:
        assert (first.fence, first.expires) == (1, START + timedelta(seconds=60))
        with (
            pytest.raises(Conflict) as caught,
            lease(tmp_path, "k_x/delays", holder="run-2", seconds=60, clock=at(59)),
        ):
            pass
        assert str(caught.value).startswith("'k_x/delays' is held by run-1 (process ")
        assert str(caught.value).endswith(
            "until 2026-03-29T01:00:00+00:00; wait for it to end; a dead holder is replaced at once"
        )
        with lease(tmp_path, "k_x/other", holder="run-3", seconds=60) as other:
            assert other.fence == 1, "another name is another lease"
        check(first)
    with lease(tmp_path, "k_x/delays", holder="run-2", seconds=60) as second:
        assert second.fence == 2


def test_a_stale_holder_is_refused(tmp_path: Path) -> None:
    """S14: whoever lost the lease by expiry learns it before writing, and takes nothing back at its end."""
    with lease(tmp_path, "a", holder="slow", seconds=60, clock=at(0), heartbeat=False) as slow:
        with lease(tmp_path, "a", holder="next", seconds=60, clock=at(60), heartbeat=False) as successor:
            assert successor.fence == slow.fence + 1
            for act in (check, renew):
                with pytest.raises(Conflict) as caught:
                    act(slow)
                assert str(caught.value) == (
                    "the lease 'a' of slow has passed to next; nothing was written; run the command again"
                )
            check(successor)
        with pytest.raises(Conflict):
            check(slow)


def test_release_by_a_stale_holder_changes_nothing(tmp_path: Path) -> None:
    """S4: the loser's release does not release the winner's lease."""
    stale = lease(tmp_path, "a", holder="slow", seconds=60, clock=at(0), heartbeat=False)
    stale.__enter__()
    with lease(tmp_path, "a", holder="next", seconds=60, clock=at(100), heartbeat=False) as winner:
        stale.__exit__(None, None, None)
        check(winner)
        with (
            pytest.raises(Conflict, match="held by next"),
            lease(tmp_path, "a", holder="x", seconds=1, clock=at(101)),
        ):
            pass


def test_renewal_moves_expiry(tmp_path: Path) -> None:
    """A renewed lease lasts its full time from the renewal."""
    with lease(tmp_path, "a", holder="one", seconds=60, clock=at(0), heartbeat=False) as first:
        assert renew(first, clock=at(50)).expires == START + timedelta(seconds=110)
        with pytest.raises(Conflict), lease(tmp_path, "a", holder="two", seconds=60, clock=at(100)):
            pass
        with lease(tmp_path, "a", holder="two", seconds=60, clock=at(110), heartbeat=False) as second:
            assert second.fence == 2


def test_the_heartbeat_renews(tmp_path: Path) -> None:
    """A holder that works longer than the lease lasts keeps it."""
    with lease(tmp_path, "a", holder="long", seconds=0.3) as held:
        deadline = time.monotonic() + 0.6
        while time.monotonic() < deadline:
            with pytest.raises(Conflict), lease(tmp_path, "a", holder="other", seconds=1):
                pass
            time.sleep(0.1)
        check(held)


def test_a_dead_holder_is_replaced_at_once(tmp_path: Path) -> None:
    """S15: after kill -9 the next holder waits for nothing and breaks nothing by hand."""
    process = holder(tmp_path, "killed", 60)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    with (
        pytest.raises(Conflict, match="held by killed"),
        lease(tmp_path, "k_x/delays", holder="me", seconds=60),
    ):
        pass
    process.kill()
    # Not waited for: a zombie is dead, too.
    while True:
        try:
            with lease(tmp_path, "k_x/delays", holder="me", seconds=60) as held:
                assert held.fence == 2
            break
        except Conflict:
            time.sleep(0.01)  # the kill is on its way
    process.communicate()


def test_a_process_number_used_again_is_another_process(tmp_path: Path) -> None:
    """The number of a dead holder, given to a new process, does not keep the lease alive."""
    with lease(tmp_path, "a", holder="old", seconds=3600, heartbeat=False):
        path = tmp_path / "@leases/a/000000001.json"
        document = json.loads(path.read_text())
        assert document["process"]["pid"] == os.getpid()
        document["process"]["started"] = "12345"
        path.chmod(0o644)
        path.write_text(json.dumps(document))
        with lease(tmp_path, "a", holder="new", seconds=60) as held:
            assert held.fence == 2


def test_a_holder_on_another_machine_is_waited_for(tmp_path: Path) -> None:
    """Whether a process on another machine lives cannot be seen: only expiry ends its lease."""
    with lease(tmp_path, "a", holder="far", seconds=60, clock=at(0), heartbeat=False):
        path = tmp_path / "@leases/a/000000001.json"
        document = json.loads(path.read_text())
        document["process"] = {"machine": "elsewhere", "pid": 1, "started": "1"}
        path.chmod(0o644)
        path.write_text(json.dumps(document))
        with (
            pytest.raises(Conflict, match="held by far"),
            lease(tmp_path, "a", holder="b", seconds=60, clock=at(59)),
        ):
            pass
        with lease(tmp_path, "a", holder="b", seconds=60, clock=at(60), heartbeat=False) as held:
            assert held.fence == 2


@pytest.mark.long
def test_many_processes_get_it_one_after_the_other(tmp_path: Path) -> None:
    """Of many that ask at the same time one has it; fences never repeat."""
    waiting = [holder(tmp_path, f"h{n}", 0.05) for n in range(6)]
    fences: list[int] = []
    for process in waiting:
        said, errors = process.communicate()
        assert process.returncode == 0 or "is held by" in errors
        fences += [int(line) for line in said.split()]
    assert fences
    assert len(set(fences)) == len(fences)
    assert len(list((tmp_path / "@leases/k_x/delays").iterdir())) == 1, (
        "one file is left, however many held it"
    )


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"expires": "x"}'])
def test_a_torn_lease_is_free(tmp_path: Path, torn: bytes) -> None:
    """A lease file that a power cut left half written locks nobody out, and its fence is not reused."""
    path = tmp_path / "@leases/a/000000004.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(torn)
    with lease(tmp_path, "a", holder="me", seconds=60) as held:
        assert held.fence == 5


def test_it_is_released_when_the_block_fails(tmp_path: Path) -> None:
    """An error inside the block releases the lease."""
    with pytest.raises(RuntimeError), lease(tmp_path, "a", holder="one", seconds=60):
        raise RuntimeError("inside")
    with lease(tmp_path, "a", holder="two", seconds=60) as held:
        assert held.fence == 2


@pytest.mark.parametrize("name", ["", "../a", "a//b", "@a", "/a"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    """A lease's name is a plain path."""
    with (
        pytest.raises(ValueError, match="is no name of a lease"),
        lease(tmp_path, name, holder="x", seconds=1),
    ):
        pass
