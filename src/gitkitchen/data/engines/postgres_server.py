"""A PostgreSQL server as a warehouse: its address, its sessions, and its refusals in words.

The address (DSN) is a secret. It comes from the environment, and neither it nor any part of it is in
a message: what libpq says of an address is told anew here.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gitkitchen.data.engines.errors import Interrupted, SqlError
from gitkitchen.errors import Infrastructure, Mistake, Problem

if TYPE_CHECKING:
    from psycopg import Connection

OLDEST = 14
"""The oldest major version: bit_xor() and client_connection_check_interval came with it."""
CONNECT_SECONDS = 15
LOCK = "10s"
NEVER = 2**31
OUT_OF_TIME = ("25P03", "25P04")
"""idle_in_transaction_session_timeout, and transaction_timeout, which came with PostgreSQL 17."""
_WORK = "hashtextextended(%s, 2)"
_EXPRESSION = re.compile(r"\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

SESSION = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; "
    "SET bytea_output = 'hex'; SET extra_float_digits = 1; "
    "SET standard_conforming_strings = on; SET client_min_messages = warning; "
    "SET search_path = ''; SET jit = off; SET xmloption = content; SET row_security = on; "
    # Nothing is ever left locked: not by a reader who holds what we wait for, nor by us when we die.
    f"SET lock_timeout = '{LOCK}'; SET idle_in_transaction_session_timeout = '5min'; "
    # A run's lock lives as long as its session, which is idle while files are read and programs work.
    "SET idle_session_timeout = 0; SET default_transaction_read_only = on"
)
"""What every session of ours begins with. What is written says so in its own transaction."""
NOTICES_OUR_DEATH = "SET client_connection_check_interval = '2s'"
"""Refused by a server whose system cannot tell: Windows, and in PostgreSQL 14 all but Linux."""


def secret_of(dsn: str) -> str | None:
    """The name of the secret that ``dsn:`` refers to, or None where it is no such reference."""
    found = _EXPRESSION.fullmatch(dsn.strip())
    return found[1] if found else None


class Warehouse:
    """One database of one server. Threads may share it; each session belongs to one of them."""

    def __init__(self, dsn: str, *, project: str, secret: str = "") -> None:
        """``dsn`` as libpq takes it (the value of ``secret``; "" where it has none, which is refused once a
        session is needed); ``project`` is the id of the project that keeps its versions here."""
        self._dsn, self._secret = dsn, secret
        self.project = project
        self._lock = threading.RLock()
        self._own: Connection[Any] | None = None
        self._version: int | None = None
        self._at_work = self._is_alone = False

    def __repr__(self) -> str:
        return "Warehouse(…)"

    def __del__(self) -> None:
        own, self._own = getattr(self, "_own", None), None
        if own is not None:
            own.close()

    @property
    def masks(self) -> tuple[str, ...]:
        """What no message may show: the address, and the password in it."""
        known = (self._dsn, self.parts().get("password")) if self._dsn else ()
        return tuple(dict.fromkeys(filter(None, known)))

    def parts(self) -> dict[str, str]:
        """The address by its parts. Mistake, which shows nothing of it, where it is none."""
        if not self._dsn:
            message = f"connections.warehouse: the secret {self._secret} has no value"
            hint = f"set the environment variable {self._secret} to the database's address"
            raise Mistake(Problem(message, hint=hint, code="no-secret"))
        _psycopg()
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        try:
            return {k: str(v) for k, v in conninfo_to_dict(self._dsn).items() if v is not None}
        except ProgrammingError:
            hint = "write it as postgresql://user:password@host:5432/database"
            raise Mistake(
                Problem("the warehouse's dsn cannot be read as an address of PostgreSQL", hint=hint)
            ) from None

    def shown(self) -> str:
        """The address for ``psql``, without a password."""
        parts = {k: v for k, v in self.parts().items() if k in ("host", "port", "dbname", "user")}
        return " ".join(f"{k}={_conninfo(v)}" for k, v in parts.items())

    def connect(self) -> Connection[Any]:
        """A new session, in autocommit, which reads only. Infrastructure where the server does not answer."""
        psycopg = _psycopg()
        self.parts()
        try:
            made: Connection[Any] = psycopg.connect(
                self._dsn,
                autocommit=True,
                application_name="gitkitchen",
                connect_timeout=CONNECT_SECONDS,
                # Nothing is prepared by itself; None would send also what asks for it in the simple protocol.
                prepare_threshold=NEVER,
            )
            made.prepared_max = 4
        except psycopg.Error as error:
            raise Infrastructure(_unreachable(str(error))) from None
        try:
            self._version = _new_enough(made.info.server_version)
            try:
                made.execute(f"{SESSION}; {NOTICES_OUR_DEATH}")
            except psycopg.errors.InvalidParameterValue:
                made.execute(SESSION)
            as_text(made)
        except psycopg.Error as error:
            made.close()
            raise Infrastructure(Problem(f"the warehouse refused a session: {said(error)}")) from None
        except Mistake:
            made.close()
            raise
        return made

    @contextmanager
    def session(self) -> Iterator[Connection[Any]]:
        """The session of small statements, shared by threads one after the other; made anew when it broke."""
        with self._lock:
            if self._own is None or self._own.closed:
                if self._is_alone:
                    message = (
                        "the connection to the warehouse was lost, and others may be at work there again"
                    )
                    hint = "run the same command again: it goes on where it stopped"
                    raise Infrastructure(Problem(message, hint=hint, code="warehouse"))
                self._own = self.connect()
                if self._at_work:  # the lock went with the session that broke
                    with explained():
                        self._own.execute(f"SELECT pg_advisory_lock_shared({_WORK})", [self._work])
            with explained():
                yield self._own

    @contextmanager
    def writing(self) -> Iterator[Connection[Any]]:
        """One transaction of that session that may write."""
        with self.session() as own, own.transaction():
            own.execute("SET TRANSACTION READ WRITE")
            yield own

    @property
    def version(self) -> str:
        """The server's major version, which is the version of the tool ``postgres``."""
        if self._version is None:
            with self.session():
                pass
        return str(self._version)

    @property
    def _work(self) -> str:
        return f"gitkitchen {self.project}"

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A run of the project is at work: nobody clears up meanwhile, on whatever machine. The server frees
        the lock when the session ends."""
        with self.session() as own:
            own.execute(f"SELECT pg_advisory_lock_shared({_WORK})", [self._work])
        self._at_work = True
        try:
            yield
        finally:
            self._at_work = False
            self.close()

    @contextmanager
    def alone(self, patience: float) -> Iterator[bool]:
        """Whether no run of the project is at work in this warehouse, on whatever machine; then none begins
        inside. ``patience``: seconds to wait for those that end."""
        end = time.monotonic() + patience
        with self.session() as own:
            while not _one(own, f"SELECT pg_try_advisory_lock({_WORK})", self._work):
                if time.monotonic() >= end:
                    yield False
                    return
                time.sleep(0.1)
        self._is_alone = True
        try:
            yield True
        finally:
            self._is_alone = False
            self.close()  # the server frees the lock with the session

    def close(self) -> None:
        """Give the session back; not while a run is at work, which does so at its end."""
        if self._at_work:
            return
        with self._lock:
            if self._own is not None:
                self._own.close()
                self._own = None


def _one(own: Connection[Any], sql: str, value: str) -> bool:
    row = own.execute(sql.encode(), [value]).fetchone()
    return bool(row and row[0])


def warehouse_of(
    connections: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str], project: str
) -> Warehouse | None:
    """The warehouse that ``connections:`` declares, or None where DuckDB is the engine. Nothing is
    connected yet: commands that need no data need no address."""
    declared = connections.get("warehouse") or {}
    if declared.get("type") != "postgres":
        return None
    name = secret_of(str(declared.get("dsn", "")))
    return Warehouse(environ.get(name or "", ""), project=project, secret=name or "")


def _new_enough(version: int) -> int:
    """The major version of what libpq gives as a number, 130022 or 90603."""
    major, minor = divmod(version, 10000)
    if major < OLDEST:
        found = f"{major}.{minor}" if major >= 10 else f"{major}.{minor // 100}.{minor % 100}"
        message = f"the warehouse runs PostgreSQL {found}; {OLDEST} or newer is needed"
        hint = "upgrade that server, or name another one in the secret of connections.warehouse"
        raise Mistake(Problem(message, hint=hint, code="warehouse-version"))
    return major


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        hint = "pip install 'gitkitchen[postgres]'"
        raise Mistake(Problem("a PostgreSQL warehouse needs the package psycopg", hint=hint)) from None
    return psycopg


def _conninfo(value: str) -> str:
    return value if re.fullmatch(r"[\w.:/@-]+", value) else "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"


_REASONS = (
    ("password authentication failed", "the password or the role is wrong", "mend the secret"),
    ("no password supplied", "it asks for a password, and the address has none", "mend the secret"),
    ("pg_hba.conf", "it does not let this role in from here", "ask its administrator"),
    ("does not exist", "there is no such database or role", "mend the secret"),
    ("Connection refused", "nothing listens at the address", "start it, or mend the secret"),
    ("timeout", f"it did not answer within {CONNECT_SECONDS} s", "try again later"),
    ("not translate host", "its host's name is not known", "mend the secret"),
    ("resolve host", "its host's name is not known", "mend the secret"),
    ("starting up", "it is starting up", "run the same command again"),
    ("shutting down", "it is shutting down", "run the same command again"),
    ("recovery mode", "it is recovering from a crash", "run the same command again"),
    ("too many clients", "it has no connection left", "run the same command again, with fewer --jobs"),
    ("remaining connection slots", "it has no connection left", "run the same command again later"),
    ("SSL", "it and this machine agree on no encryption", "look at sslmode in the secret"),
)


def _unreachable(text: str) -> Problem:
    """Why no session could be had, from libpq's message, of which nothing is shown."""
    for mark, reason, hint in _REASONS:
        if mark in text:
            return Problem(f"the warehouse cannot be reached: {reason}", hint=hint, code="warehouse")
    hint = "run the same command again; `psql` with the same address says more"
    return Problem("the warehouse cannot be reached", hint=hint, code="warehouse")


# --- errors ------------------------------------------------------------------------------------------


@contextmanager
def explained(prefix: int = 0, text: str = "", asked: Any = None) -> Iterator[None]:
    """Errors of the server as ours. ``prefix`` characters of ours stand before the user's ``text``;
    ``asked()`` tells whether a cancelled statement was cancelled by us."""
    import psycopg
    from psycopg import errors

    try:
        yield
    except errors.QueryCanceled as error:
        if asked is not None and asked():
            raise Interrupted from error
        raise Infrastructure(_ended("a statement", error)) from error
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        hint = "end the long transaction that holds it, or run the same command again"
        message = f"the warehouse: somebody held a lock for longer than {LOCK}"
        raise Infrastructure(Problem(message, hint=hint, code="lock")) from error
    except (errors.DiskFull, errors.OutOfMemory, errors.ReadOnlySqlTransaction) as error:
        raise Infrastructure(
            Problem(f"the warehouse cannot go on: {said(error)}", code="warehouse")
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if error.sqlstate is not None and error.sqlstate[:2] not in ("08", "40", "53", "57", "58", "XX"):
            raise sql_error(error, prefix, text) from error
        hint = "run the same command again: what is built is reused"
        lost = error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
        message = (
            "the connection to the warehouse was lost" if lost else f"the warehouse gave up: {said(error)}"
        )
        raise Infrastructure(Problem(message, hint=hint, code="warehouse")) from error
    except psycopg.Error as error:
        if error.sqlstate in OUT_OF_TIME:
            raise Infrastructure(_ended("a transaction", error)) from error
        raise sql_error(error, prefix, text) from error


def _ended(what: str, error: Any) -> Problem:
    hint = "run the same command again; its time limit may be its administrator's"
    return Problem(f"the warehouse ended {what} of ours: {said(error)}", hint=hint, code="warehouse")


def said(error: Any) -> str:
    """The server's own sentence, in one line; never libpq's, which may name the address."""
    diagnosis = error.diag
    if not diagnosis.message_primary:
        return type(error).__name__ if error.sqlstate else re.sub(r"\s+", " ", str(error))[:300]
    parts = [diagnosis.message_primary, diagnosis.message_detail]
    hint = diagnosis.message_hint
    if hint and "explicit type casts" not in hint:
        parts.append(hint)
    return re.sub(r"\s+", " ", ". ".join(p.rstrip(".") for p in parts if p))[:500]


def sql_error(error: Any, prefix: int, text: str) -> SqlError:
    """The server's refusal at its line of the user's text."""
    line = 1
    with suppress(TypeError, ValueError):
        offset = int(error.diag.statement_position) - 1 - prefix
        line = text.count("\n", 0, max(offset, 0)) + 1 if text else 1
    return SqlError(said(error), line)


def as_moments(cursor: Any) -> None:
    """Let moments with a zone come as Python's, on this cursor."""
    from psycopg.types.datetime import TimestamptzLoader

    cursor.adapters.register_loader("timestamptz", TimestamptzLoader)


def as_text(connection: Any) -> None:
    """Let values come as text for which Python has no equal: zones, intervals without months, JSON."""
    from psycopg.types.string import TextLoader

    for name in ("timestamptz", "timetz", "interval", "json", "jsonb"):
        connection.adapters.register_loader(name, TextLoader)
