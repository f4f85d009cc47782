"""A PostgreSQL server for the bench: found on this machine, started as an ordinary user, thrown away."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Failed

SETTINGS = ("shared_buffers=256MB", "max_wal_size=4GB", "listen_addresses=127.0.0.1")
"""All else is PostgreSQL's default, durability too."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server with the role ``kitchen``, which owns the database ``bench`` and is no superuser."""

    address: str
    version: str

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        import psycopg

        with psycopg.connect(self.address, autocommit=True) as client:
            return client.execute(sql.encode()).fetchall()


NAMED = "GITKITCHEN_POSTGRES_BIN"
"""The variable that names the folder of the server's programs, for the bench and for the tests."""


def programs() -> Path:
    """The folder of PostgreSQL's programs: the one that ``GITKITCHEN_POSTGRES_BIN`` names, else the newest
    that is installed, on PATH or where Debian and a build from source have them. Raises ``Failed``."""
    if named := os.environ.get(NAMED):
        if not _is_one(Path(named)):
            raise Failed(f"{NAMED} names no folder with PostgreSQL's initdb and postgres: {named}")
        return Path(named)
    found = shutil.which("initdb")
    places = {Path(os.path.realpath(found)).parent} if found else set()
    places |= {*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr/local").glob("pgsql*/bin")}
    usable = sorted(p for p in places if _is_one(p))
    if not usable:
        raise Failed("PostgreSQL (initdb, postgres) is not installed")
    return max(usable, key=_release) if len(usable) > 1 else usable[0]


def _is_one(folder: Path) -> bool:
    return (folder / "initdb").exists() and (folder / "postgres").exists()


def _release(folder: Path) -> tuple[int, ...]:
    """(17, 6), where ``postgres --version`` says "postgres (PostgreSQL) 17.6 (Debian 17.6-1)"."""
    argv = [str(folder / "postgres"), "--version"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    number = re.search(r"\) (\d+)(?:\.(\d+))?", said.stdout)
    return (int(number[1]), int(number[2] or 0)) if number else ()


@contextmanager
def serving() -> Iterator[Server]:
    """A fresh server. Raises ``Failed`` where there is none to be had."""
    try:
        import psycopg
    except ImportError:
        raise Failed("the package psycopg is not installed") from None
    bin_ = programs()
    user: dict[str, Any] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="gitkitchen-bench-pg-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        if user:
            shutil.chown(folder, "nobody")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        argv = [str(bin_ / "initdb"), "-D", str(folder / "data"), "-U", "boss", "--encoding=UTF8"]
        argv += ["--locale=C.UTF-8", "--auth=trust"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, **user)
        if done.returncode:
            raise Failed(f"initdb: {done.stderr[-300:]}")
        argv = [str(bin_ / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder)]
        argv += [word for setting in SETTINGS for word in ("-c", setting)]
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=folder, **user)
        address = f"host=127.0.0.1 port={port} user="
        _wait(address + "boss dbname=postgres", process, folder / "log")
        with psycopg.connect(address + "boss dbname=postgres", autocommit=True) as boss:
            boss.execute("CREATE ROLE kitchen LOGIN")
            boss.execute("CREATE DATABASE bench OWNER kitchen")
            version = str(boss.info.server_version // 10000)
        yield Server(address + "kitchen dbname=bench", version)
    finally:
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise Failed(f"PostgreSQL did not start: {log.read_text('utf-8', 'replace')[-300:]}")
