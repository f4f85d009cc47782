"""Many writers from clones of their own, killed and failed by their remote: no record lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from tests.ledger.host import BRANCH, Clone, Host, git, writer

from gitkitchen.ledger.committing import Limits

FAULTS = """
n=$((RANDOM % 100))
if [ $n -lt {refuse} ]; then echo not now >&2; exit 1; fi
if [ $n -lt {hang} ]; then sleep {sleep}; fi
exit 0
"""
DROPS = "if [ $((RANDOM % 100)) -lt {drop} ]; then kill -9 $PPID; fi"


@dataclass
class Story:
    """What became of each record, (writer, number), as far as its writer could tell."""

    ok: set[tuple[str, int]] = field(default_factory=set)
    kept: set[tuple[str, int]] = field(default_factory=set)
    tried: set[tuple[str, int]] = field(default_factory=set)

    def hear(self, name: str, text: str) -> None:
        for line in text.splitlines():
            word, number, *_ = [*line.split(), "", ""]
            if number.isdigit():
                {"ok": self.ok, "kept": self.kept, "try": self.tried}.get(word, set()).add(
                    (name, int(number))
                )


def war(host: Host, writers: int, records: int, limits: Limits, kills: int, seed: int) -> Story:
    """Let all write at once, kill some at random moments, and begin those again with their next record."""
    chance, story = random.Random(seed), Story()
    clones = {f"w{n}": host.clone(f"w{n}") for n in range(writers)}
    for clone in clones.values():
        # As over a network: what the remote does goes on when its client hangs up.
        git(clone.root, "config", "remote.origin.receivepack", "setsid -w git-receive-pack")
    running = {name: writer(clone, name, 0, records, limits) for name, clone in clones.items()}
    deadline = time.monotonic() + 500
    while running:
        assert time.monotonic() < deadline
        time.sleep(chance.uniform(0.05, 0.4))
        if kills:
            name = chance.choice(sorted(running))
            if running[name].poll() is None:
                kills -= 1
                os.killpg(running[name].pid, signal.SIGKILL)
        for name, process in list(running.items()):
            if process.poll() is None:
                continue
            story.hear(name, process.communicate()[0])
            done = max((n + 1 for who, n in story.tried if who == name), default=0)
            del running[name]
            if done < records:
                running[name] = writer(clones[name], name, done, records - done, limits)
    return story


def peace(host: Host, story: Story) -> list[str]:
    """The remote is well again and every clone runs one more command; what is wrong with the ledger then."""
    for name in ("pre-receive", "post-receive"):
        host.hook(name, "")
    for path in sorted(host.folder.glob("w*")):
        clone = Clone(path)
        clone.ledger().settle()
        assert clone.waiting() == 0
    reader = host.clone("reader").ledger()
    # Behind this record nothing comes late: whatever still hangs expects a branch that has moved.
    reader.append("runs/end/x", {"n": 0})
    found: Counter[tuple[str, int]] = Counter()
    for stream in reader.streams("runs"):
        assert reader.verify(stream) == []
        found.update((r.body["writer"], r.body["n"]) for r in reader.read(stream) if "writer" in r.body)
    assert host.heads() == {"main", BRANCH}
    wrong = [f"{key} is there {n} times" for key, n in found.items() if n != 1]
    wrong += [f"{key} was acknowledged and lost" for key in story.ok - set(found)]
    wrong += [f"{key} was kept and lost" for key in story.kept - set(found)]
    wrong += [f"{key} was never tried" for key in set(found) - story.tried]
    return wrong


@pytest.mark.long
@pytest.mark.parametrize(("writers", "kills"), [(3, 1), pytest.param(5, 2, marks=pytest.mark.long)])
def test_s28_a_few_writers_with_faults_and_kills(host: Host, writers: int, kills: int) -> None:
    """S28: some clones write at once to a remote that refuses and drops answers; one or two are killed."""
    host.hook("pre-receive", FAULTS.format(refuse=15, hang=0, sleep=0))
    host.hook("post-receive", DROPS.format(drop=20))
    story = war(host, writers, 3, Limits(call=20.0, patience=20.0, refusals=3), kills=kills, seed=5)
    assert peace(host, story) == []
    assert len(story.tried) == 3 * writers
    assert len(story.ok | story.kept) >= 3 * writers - kills


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_s28_thirty_two_writers_with_faults_and_kills(host: Host, seed: int) -> None:
    """S28: 32 clones; the remote refuses, hangs beyond our time, applies and drops answers; 24 kills."""
    host.hook("pre-receive", FAULTS.format(refuse=8, hang=12, sleep=6))
    host.hook("post-receive", DROPS.format(drop=10))
    story = war(host, 32, 3, Limits(call=4.0, patience=45.0, refusals=3), kills=24, seed=seed)
    assert peace(host, story) == []
    assert len(story.tried) == 96
    assert len(story.ok | story.kept) >= 96 - 24


@pytest.mark.long
def test_thirty_two_writers_and_a_well_remote(host: Host) -> None:
    """Contention alone: of 32 clones that write at once each gets its record in, in bounded time."""
    begun = time.monotonic()
    story = war(host, 32, 2, Limits(), kills=0, seed=3)
    assert len(story.ok | story.kept) == 64
    assert peace(host, story) == []
    assert time.monotonic() - begun < 300
    assert (
        subprocess.run(
            ["git", "fsck", "--strict"], cwd=host.remote, capture_output=True, check=False
        ).returncode
        == 0
    )
