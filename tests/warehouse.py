"""A real PostgreSQL server for tests: found, started as an ordinary user, stopped at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from benchmarks.harness import Failed
from benchmarks.server import NAMED, programs

SECRET = "hush-4711-hush"
"""The password in every test's DSN: it must be seen nowhere."""


def required() -> bool:
    return "postgres" in os.environ.get("GITKITCHEN_REQUIRE", "").replace(",", " ").split()


@dataclass
class Server:
    """One server in a folder of its own. ``dsn(database)`` is how the role ``kitchen`` enters."""

    folder: Path
    programs: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        argv += ["-k", str(self.folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        argv += ["-c", "full_page_writes=off", "-c", "max_connections=100", "-c", "shared_buffers=32MB"]
        argv += ["-c", "autovacuum=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0"]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(argv, stdout=log, stderr=log, **_as_ordinary_user())
        log.close()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                self.admin().close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return
        raise AssertionError("PostgreSQL did not start within a minute")

    def stop(self, signal: int) -> None:
        """SIGINT: fast; SIGQUIT: immediate, as after a crash; SIGKILL: the postmaster alone."""
        assert self.process is not None
        self.process.send_signal(signal)
        self.process.wait(60)

    def dsn(self, database: str, role: str = "kitchen") -> str:
        return f"host=127.0.0.1 port={self.port} dbname={database} user={role} password={SECRET}"

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """As ``boss`` through the socket, where no password is asked for: that takes a connection's time."""
        dsn = f"host={self.folder} port={self.port} dbname={database} user=boss"
        return psycopg.connect(dsn, autocommit=True)


def _as_ordinary_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then ``nobody`` does."""
    if os.getuid() != 0:
        return {}
    return {"user": pwd.getpwnam("nobody").pw_uid, "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


@contextmanager
def serving() -> Iterator[Server]:
    """A fresh server; skipped visibly where PostgreSQL is not installed, failed where it is required."""
    try:
        found = programs()
    except Failed as error:
        must = required() or NAMED in os.environ
        (pytest.fail if must else pytest.skip)(str(error))
    folder = Path(tempfile.mkdtemp(prefix="gk-pg-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "nobody")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        password = folder / "password"
        password.write_text(SECRET)
        password.chmod(0o644)
        argv = [str(found / "initdb"), "-D", str(folder / "data"), "-U", "boss", "--encoding=UTF8"]
        argv += ["--locale=C.UTF-8", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256"]
        argv += [f"--pwfile={password}"]
        subprocess.run(argv, check=True, capture_output=True, cwd=folder, **_as_ordinary_user())
        server = Server(folder, found, port)
        server.start()
        with server.admin() as boss:
            boss.execute(f"CREATE ROLE kitchen LOGIN PASSWORD '{SECRET}'")
            boss.execute(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'")
        try:
            yield server
        finally:
            if server.process is not None and server.process.poll() is None:
                server.stop(3)  # nobody wants what it would write
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: Server) -> Iterator[str]:
    """An empty database of its own, in which the role ``kitchen`` may make schemas."""
    name = f"d{secrets.token_hex(6)}"
    with server.admin() as boss:
        # Copied as files where PostgreSQL (15 and later) can: writing them as log costs half as much again.
        how = " STRATEGY FILE_COPY" if boss.info.server_version >= 150_000 else ""
        boss.execute(f"CREATE DATABASE {name}{how}")
        boss.execute(f"GRANT CREATE ON DATABASE {name} TO kitchen")
    try:
        yield name
    finally:
        with server.admin() as boss:
            boss.execute(f"DROP DATABASE {name} WITH (FORCE)")


def inventory(client: psycopg.Connection[Any]) -> list[Any]:
    """Every schema, relation (with columns) and grant of the database, default grants, stamps of kitchens and
    builds, every lock that somebody else holds, and every session. A server takes a moment to notice that a
    client of ours has ended, and keeps its session and locks so long: that moment is waited for."""
    here = "datname = current_database()"
    ours = f"SELECT FROM pg_stat_activity WHERE application_name = 'gitkitchen' AND {here}"
    until = time.monotonic() + 10
    while client.execute(ours).fetchall() and time.monotonic() < until:
        time.sleep(0.02)
    return client.execute(
        "SELECT 'schema', nspname::text, nspowner::regrole || coalesce(nspacl::text, '') FROM pg_namespace "
        "WHERE nspname !~ '^pg_' UNION ALL "
        "SELECT relkind::text, oid::regclass::text, relowner::regrole || coalesce(relacl::text, '') "
        "FROM pg_class WHERE oid > 16384 AND relnamespace <> 'pg_toast'::regnamespace UNION ALL "
        "SELECT 'column', attrelid::regclass || '.' || attname, coalesce(attacl::text, '') FROM pg_attribute "
        "WHERE attrelid > 16384 AND attnum > 0 AND attrelid::regclass::text !~ '^pg_toast' UNION ALL "
        "SELECT 'default', defaclnamespace::regnamespace::text, defaclacl::text FROM pg_default_acl "
        "UNION ALL "
        "SELECT 'lock', locktype, mode FROM pg_locks WHERE pid <> pg_backend_pid() "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) UNION ALL "
        "SELECT 'session', application_name, state FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY 1, 2, 3"
    ).fetchall()


def kept(client: psycopg.Connection[Any]) -> list[Any]:
    """What the store schema's own tables say: whose each schema is, and which builds there are."""
    return client.execute(
        "SELECT schema, namespace FROM gitkitchen_store.kitchens UNION ALL "
        "SELECT zone, fingerprint FROM gitkitchen_store.builds ORDER BY 1, 2"
    ).fetchall()
