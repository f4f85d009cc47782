"""Servers of other versions and systems: what is refused says so, what is kept means the same on all."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from tests.engines.conftest import CONNECTION

import warehouse
from gitkitchen.data.engines.postgres_server import SESSION, Warehouse
from gitkitchen.data.engines.postgres_versions import measured
from shop import KITCHEN_YML, Shop

Client = psycopg.Connection[Any]
RECIPE = "version: 1\nrecipe: one\nnodes:\n  one: {sql: 'select 1 as x', key: [x]}\n"


# --- servers that are not here: their side of the protocol, as far as a session begins --------------------


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


READY = _message(b"Z", b"I")


@contextmanager
def pretending(version: str, *refused: str) -> Iterator[tuple[str, list[str]]]:
    """Something that answers as PostgreSQL ``version`` does, and refuses statements with a word of
    ``refused`` as invalid values; yields its address and the statements that it was sent."""
    heard: list[str] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client, client.makefile("rb") as reader:
                (length,) = struct.unpack("!I", reader.read(4))
                reader.read(length - 4)
                said = {"server_version": version, "client_encoding": "UTF8", "DateStyle": "ISO, YMD"}
                greeting = [_message(b"S", f"{k}\0{v}\0".encode()) for k, v in said.items()]
                client.sendall(_message(b"R", struct.pack("!I", 0)) + b"".join(greeting) + READY)
                while reader.read(1) == b"Q":
                    (length,) = struct.unpack("!I", reader.read(4))
                    heard.append(reader.read(length - 4).rstrip(b"\0").decode())
                    fields = b"SERROR\0VERROR\0C22023\0Mnot on this platform\0\0"
                    bad = any(word in heard[-1] for word in refused)
                    client.sendall((_message(b"E", fields) if bad else _message(b"C", b"SET\0")) + READY)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        parts = "dbname=d user=u sslmode=disable gssencmode=disable"
        yield f"host=127.0.0.1 port={port} {parts} password={warehouse.SECRET}", heard
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("version", ["13.22", "9.6.24"])
def test_a_server_that_is_too_old_is_refused_by_name(shop: Shop, version: str) -> None:
    """Which version was found, which is needed and what to do; exit code 2, and no statement was sent."""
    shop.commit({"kitchen.yml": KITCHEN_YML + CONNECTION, "recipes/one/recipe.yml": RECIPE})
    with pretending(version) as (dsn, heard):
        os.environ["WAREHOUSE_DSN"] = dsn
        try:
            said = shop.cli("run")
        finally:
            os.environ.pop("WAREHOUSE_DSN")
    text = " ".join((said.out + said.err).split())
    assert said.code == 2, text
    assert f"the warehouse runs PostgreSQL {version}; 14 or newer is needed" in text
    assert "upgrade that server" in text
    assert warehouse.SECRET not in text
    assert heard == []


def test_a_server_that_cannot_notice_our_death_is_no_reason_to_refuse() -> None:
    """Where its system lacks what `client_connection_check_interval` needs, all other settings stand."""
    with pretending("14.19", "client_connection_check_interval") as (dsn, heard):
        Warehouse(dsn, project="p").connect().close()
    first, second = heard
    assert first.startswith(second)
    assert second == SESSION
    assert "client_connection_check_interval" not in second


# --- what is kept of rows ---------------------------------------------------------------------------------

VALUES = """
CREATE TABLE own.values AS
SELECT g AS i, g::smallint AS s, g::bigint << 40 AS b, g / 3::real AS r, g / 3::double precision AS d,
       1e23::double precision AS e, '-0'::double precision AS z, 'NaN'::double precision AS n,
       (g / 7.0)::numeric(20, 9) AS m, 'Infinity'::numeric AS u, g % 2 = 0 AS o,
       E'w "\\n,)\\t\u00e4' || g AS t,
       'x'::char(5) AS c, date '2024-02-28' + g AS day, 'infinity'::date AS never,
       timestamp '0044-03-15 12:00:00 BC' AS ides, timestamptz '2024-07-01 12:00:00.5+02' AS moment,
       time '24:00' AS midnight, timetz '12:00+05:30' AS noon, interval '1 year -2 days 3.5 seconds' AS span,
       '{"a": [1, null], "b": 1.50, "a": 2}'::json AS js, '{"b": 1.50, "a": [1e2, null]}'::jsonb AS jb,
       '\\x00ff'::bytea AS raw, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS id,
       ARRAY['NULL', NULL, 'a,b', ''] AS list, ARRAY[[1, 2], [3, 4]] AS grid, int4range(1, 5, '[]') AS span4,
       '{[1,3),[5,9)}'::int4multirange AS spans, '192.168.0.0/24'::inet AS net, B'101' AS bits,
       point '(1.5,-2)' AS at, 'a fat:2 cat'::tsvector AS words, ROW(g, NULL, '')::text AS row,
       CASE WHEN g > 1 THEN '' END AS void
FROM generate_series(1, 3) g
"""
DIGEST = "5690450b10de8903ed1ed2112c8a5903f2e49744e14224d9bd96ec5bf18ed49f"
"""Of PostgreSQL 14, 15, 16, 17 and 18 alike."""


def test_the_digest_of_rows_is_the_same_on_every_version(
    server: warehouse.Server, database: str, boss: Client
) -> None:
    """After an upgrade of the server, each table has the content digest that its manifest has."""
    boss.execute(f"CREATE SCHEMA own; {VALUES}; GRANT USAGE ON SCHEMA own TO kitchen")
    boss.execute("GRANT SELECT ON own.values TO kitchen")
    with Warehouse(server.dsn(database), project="p").connect() as client:
        assert measured(client, 'own."values"')[2] == DIGEST


# --- time limits of administrators ------------------------------------------------------------------------


@contextmanager
def limited(boss: Client, setting: str, milliseconds: int) -> Iterator[None]:
    """What an administrator sets for all sessions of the role."""
    boss.execute(f"ALTER ROLE kitchen SET {setting} = {milliseconds}".encode())
    try:
        yield
    finally:
        boss.execute(f"ALTER ROLE kitchen RESET {setting}".encode())


@pytest.mark.long
def test_a_limit_on_idle_sessions_does_not_end_a_run(pg_shop: Shop, boss: Client) -> None:
    """While a query runs for longer than that limit, the session with the run's lock is idle, and stays."""
    pg_shop.commit({"recipes/one/recipe.yml": RECIPE.replace("1 as x", "1 as x, pg_sleep(2)::text as y")})
    with limited(boss, "idle_session_timeout", 500):
        said = pg_shop.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err


def test_a_limit_on_transactions_is_no_fault_of_the_query(pg_shop: Shop, boss: Client) -> None:
    """Where it ends what a node does, nothing could be checked: exit code 3, and whose limit it may be."""
    if boss.info.server_version < 170_000:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    pg_shop.commit({"recipes/one/recipe.yml": RECIPE.replace("1 as x", "1 as x, pg_sleep(9)::text as y")})
    with limited(boss, "transaction_timeout", 700):
        said = pg_shop.cli("run", "--quiet")
    text = " ".join((said.out + said.err).split())
    assert said.code == 3, text
    assert "transaction timeout" in text
    assert "administrator" in text
