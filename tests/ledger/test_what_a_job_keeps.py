"""What a job keeps of the ledger for itself goes with the job, and after a kill with the next command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from gitkitchen.git import Repository
from gitkitchen.ledger.apart import BESIDE, Apart, kept, sweep
from shop import Shop

JOB = """
import subprocess, sys
from pathlib import Path
from gitkitchen.git import Repository
from gitkitchen.ledger.apart import Apart, BESIDE, kept

repository = Repository.find(Path(sys.argv[1]))
with kept(repository.root, repository.common, Path(sys.argv[2]), Apart(sys.argv[3])):
    subprocess.run(["git", "update-ref", BESIDE + sys.argv[3], "HEAD"], cwd=sys.argv[1], check=True)
    (Path(sys.argv[2]) / "beside" / sys.argv[3]).mkdir(parents=True)
    print("at work", flush=True)
    sys.stdin.read()
"""


def begun(shop: Shop, name: str) -> subprocess.Popen[str]:
    """A job at work, in a process of its own."""
    words = [sys.executable, "-c", JOB, str(shop.root), str(shop.root / ".gitkitchen"), name]
    job = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert job.stdout is not None
    assert job.stdout.readline() == "at work\n"
    return job


def left(shop: Shop) -> list[str]:
    refs = shop.git("for-each-ref", "--format=%(refname)", BESIDE).split()
    folders = sorted(p.name for p in (shop.root / ".gitkitchen/beside").glob("*"))
    assert [ref.removeprefix(BESIDE) for ref in refs] == folders
    return folders


def swept(shop: Shop) -> tuple[str, ...]:
    repository = Repository.find(shop.root)
    return sweep(repository.root, repository.common, shop.root / ".gitkitchen")


@pytest.mark.parametrize("way", ["gc", "job"])
def test_what_a_killed_job_kept_goes_and_what_a_living_one_keeps_stays(shop: Shop, way: str) -> None:
    """By `gc --apply`, or by the next job that keeps something; a job that ends leaves nothing."""
    killed, living = begun(shop, "1a"), begun(shop, "2b")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left(shop) == ["1a", "2b"]
        if way == "gc":
            said = shop.cli("gc", "--apply")
            assert said.code == 0, said.err
        else:
            repository = Repository.find(shop.root)
            with kept(repository.root, repository.common, shop.root / ".gitkitchen", Apart("3c")):
                pass
        assert left(shop) == ["2b"]
        assert swept(shop) == ()
    finally:
        _, _ = living.communicate("")
        killed.communicate()
    assert living.returncode == 0
    assert left(shop) == []
    assert not list((shop.root / ".git/gitkitchen-beside").iterdir())


def test_what_an_earlier_version_left_without_a_lock_goes_too(shop: Shop) -> None:
    """A ref that no job's lock stands for belongs to nobody; names that are none of ours are left alone."""
    shop.git("update-ref", f"{BESIDE}0f", "HEAD")
    shop.git("update-ref", f"{BESIDE}Mine-1", "HEAD")
    assert swept(shop) == ("0f",)
    assert shop.git("for-each-ref", "--format=%(refname)", BESIDE) == f"{BESIDE}Mine-1"
