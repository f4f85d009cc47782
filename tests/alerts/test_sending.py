"""Messages on real servers of this machine: retried, not doubled, without secrets, within their time."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.alerts.telling import words

from gitkitchen.alerts import keeping, sending
from gitkitchen.alerts.channels.contract import TRIES, Surroundings
from gitkitchen.alerts.channels.smtp import send as send_mail
from gitkitchen.alerts.grouping import owed
from gitkitchen.alerts.sending import Office, observed, send_due
from gitkitchen.alerts.shapes import Happening, What
from gitkitchen.errors import Problem
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.model import AlertRule, Alerts, Channel, Project, Severity
from posts import Posts, posts

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
KINDS = ("slack", "teams", "webhook")


def seen(hour: float, *, well: bool = False, **more: Any) -> Happening:
    event = What.RECOVERED if well else What.TEST_FAILED
    made = Happening(event, Severity.STOP, "prod", "r", "n", "n/rows", at=START + timedelta(hours=hour))
    return replace(made, run=f"run-{hour}", said="a test of n: failed", **more)


@dataclass
class Desk:
    """An office over a folder, with a server behind its channels."""

    folder: Path
    hook: Posts
    slept: list[float] = field(default_factory=list)
    said: list[Problem] = field(default_factory=list)

    def office(self, *kinds: str, **more: Any) -> Office:
        url = "${{ secrets.HOOK }}"
        channels = {kind: Channel(kind, kind, {"url": url}) for kind in kinds or KINDS}  # type: ignore[arg-type]
        alerts = Alerts(channels, (AlertRule(tuple(channels)),), flapping=0.0)
        given: dict[str, Any] = {
            "environ": {"HOOK": f"{self.hook.url}/services/T0/s3cr3tPath"},
            "now": lambda: START,
            "say": self.said.append,
            "sleep": self.slept.append,
        }
        ledger = FolderLedger(self.folder / ".gitkitchen" / "ledger")
        return Office(Project(self.folder, "shop", "id", alerts=alerts), ledger, **{**given, **more})

    def told(self) -> list[str]:
        """What the ledger says was sent."""
        bodies = [dict(r.body) for r in self.office().ledger.read("alerts/prod")]
        return [f"{b['channel']} {b['message']}" for b in bodies if b["kind"] == "delivered"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with posts() as hook:
        yield Desk(tmp_path, hook)


def tell(office: Office, *happenings: Happening) -> list[str]:
    book = observed(office, "prod", happenings)
    return [
        f"{s.delivery.channel} {s.delivery.message} {s.answer.end}" for s in send_due(office, "prod", book)
    ]


def test_each_channel_is_told_once(desk: Desk) -> None:
    """A failure that lasts three runs is one message a channel, its recovery another; the same observation
    and another command add none."""
    office = desk.office()
    assert tell(office, seen(0)) == [f"{kind} opened sent" for kind in KINDS]
    assert tell(office, seen(0), seen(1), seen(2)) == []
    assert tell(office) == []
    assert tell(office, seen(3, well=True)) == [f"{kind} closed sent" for kind in KINDS]
    assert len(desk.hook.got) == 6
    assert desk.told() == [f"{kind} {m}" for m in ("opened", "closed") for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_busy_server_is_asked_again_when_it_says(desk: Desk, kind: str) -> None:
    """429 with Retry-After waits so long; 500 and a lost connection wait a little; it is told once."""
    desk.hook.script = [(429, {"Retry-After": "7"}), 500, "drop"]
    assert tell(desk.office(kind), seen(0)) == [f"{kind} opened sent"]
    assert desk.slept == [7.0, 1.0, 3.0]
    assert (desk.hook.tries, len(desk.hook.got)) == (TRIES, 1)


def test_tries_are_bounded_and_the_next_command_goes_on(desk: Desk) -> None:
    """A server that is down costs so many tries; then the message waits, which is said, and is sent later."""
    desk.hook.script = [500] * TRIES
    assert tell(desk.office("slack"), seen(0)) == ["slack opened unanswered"]
    assert desk.hook.tries == TRIES
    assert [p.code for p in desk.said] == ["alert-waits"]
    assert desk.told() == []
    assert tell(desk.office("slack")) == ["slack opened sent"]
    assert len(desk.hook.got) == 1


def test_a_long_wait_is_left_to_the_next_command(desk: Desk) -> None:
    """A server that asks to come in an hour is not waited for."""
    desk.hook.script = [(429, {"Retry-After": "3600"})]
    assert tell(desk.office("slack"), seen(0)) == ["slack opened busy"]
    assert (desk.hook.tries, desk.slept) == (1, [])


def test_a_refusal_keeps_no_other_channel_waiting(desk: Desk) -> None:
    """404 is not tried again at once; the others are told; what is wrong is said without the address."""
    desk.hook.script = [404]
    assert tell(desk.office(), seen(0)) == [
        "slack opened refused",
        "teams opened sent",
        "webhook opened sent",
    ]
    assert desk.hook.tries == 3
    assert "404" in str(desk.said[0])
    assert "s3cr3tPath" not in "".join(map(str, desk.said))


def test_a_redirect_is_not_followed(desk: Desk) -> None:
    """Who answers elsewhere is not who was meant."""
    desk.hook.script = [(302, {"Location": f"{desk.hook.url}/elsewhere"})]
    assert tell(desk.office("slack"), seen(0)) == ["slack opened refused"]
    assert desk.hook.tries == 1


def test_a_lost_answer_has_the_same_key_again(desk: Desk) -> None:
    """A webhook that took a message and did not say so gets the same Idempotency-Key: it does it once."""
    desk.hook.script = ["cut"]
    assert tell(desk.office("webhook"), seen(0)) == ["webhook opened sent"]
    assert len(desk.hook.got) == 2
    assert len(set(desk.hook.keys)) == 1
    assert desk.hook.got[0].raw == desk.hook.got[1].raw


def test_a_secret_without_value_waits(desk: Desk) -> None:
    """The channel is named, and the secret's name, and nothing ends by it."""
    assert tell(desk.office("slack", environ={}), seen(0)) == ["slack opened refused"]
    assert "the secret HOOK has no value" in str(desk.said[0])
    assert tell(desk.office("slack")) == ["slack opened sent"]


def test_no_secret_is_in_what_is_kept(desk: Desk) -> None:
    """Neither the ledger nor this machine's files have an address, nor a message what a test repeats of
    it."""
    office = desk.office(secrets=("s3cr3tValue",))
    tell(office, seen(0, observed="s3cr3tValue", reproduce="x s3cr3tPath s3cr3tValue"))
    kept = b"".join(p.read_bytes() for p in desk.folder.rglob("*") if p.is_file())
    assert b"services/T0" not in kept
    assert all(b"s3cr3tValue" not in one.raw for one in desk.hook.got)


def test_no_time_is_no_end(desk: Desk) -> None:
    """What the bound leaves no time for waits, and is said."""
    clock = iter(range(0, 10_000, 40))
    office = desk.office(bound=60.0, monotonic=lambda: float(next(clock)))
    assert len(tell(office, seen(0))) < 3
    assert "alert-time" in [p.code for p in desk.said]
    assert len(tell(desk.office())) > 0
    assert sorted(desk.told()) == sorted(f"{kind} opened" for kind in KINDS)


def test_a_ledger_that_cannot_be_written_keeps_observations(desk: Desk) -> None:
    """What could not be recorded waits on the disk, nothing is sent, and the next command records and sends
    it."""
    office = desk.office("slack")
    blocked = desk.folder / ".gitkitchen" / "ledger" / "alerts"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    with pytest.raises(Exception, match="ledger"):
        observed(office, "prod", [seen(0)])
    assert desk.hook.got == []
    blocked.unlink()
    assert tell(desk.office("slack")) == ["slack opened sent"]
    assert office.spool.waiting() == []


def test_two_at_once_send_it_once(desk: Desk) -> None:
    """Commands that come together take turns: each message is sent once."""
    office = desk.office(sleep=lambda s: threading.Event().wait(s))
    observed(office, "prod", [seen(0)])
    threads = [
        threading.Thread(target=send_due, args=(desk.office(sleep=office.sleep), "prod")) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(desk.hook.got) == 3
    assert len(desk.told()) == 3


JOB = """
import sys
from datetime import datetime, UTC
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from posts import Posts
from tests.alerts.test_sending import Desk, seen, tell
desk = Desk(Path(sys.argv[1]), Posts(url=sys.argv[2]))
tell(desk.office(), seen(0))
tell(desk.office(), seen(1, well=True))
"""


@pytest.mark.parametrize(
    "call", [pytest.param(n, marks=[] if n == 1 else pytest.mark.long) for n in range(6)]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_send(desk: Desk, call: int, when: str) -> None:
    """kill -9 before or after a server took a message, at each of six: run again, every channel is told that
    it opened and that it closed. Nothing is sent twice but the one that was taken as its sender died, and
    that has the same id and the same bytes."""
    doomed: list[subprocess.Popen[bytes]] = []

    def kill() -> str:
        doomed[0].kill()
        doomed[0].wait(60)
        return "drop" if when == "before" else "cut"

    def job() -> subprocess.Popen[bytes]:
        home = str(Path(__file__).parent.parent)
        words = [JOB, str(desk.folder), desk.hook.url, home, str(Path(home).parent)]
        return subprocess.Popen(
            [sys.executable, "-c", *words], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )

    desk.hook.script = [*[200] * call, kill]
    doomed.append(job())
    doomed[0].wait(60)
    assert job().wait(60) == 0
    assert sorted(desk.told()) == sorted(f"{kind} {m}" for kind in KINDS for m in ("opened", "closed"))
    raws = [one.raw for one in desk.hook.got]
    assert len(set(raws)) == 6
    assert len(raws) - 6 == (1 if when == "after" else 0)


STORM = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from posts import Posts
from tests.alerts.test_sending import Desk, storm, tell
desk = Desk(Path(sys.argv[1]), Posts(url=sys.argv[2]))
tell(desk.office("webhook"), *storm())
"""


def storm(*, well: bool = False) -> list[Happening]:
    """Two tests of each of eight nodes, in one run."""
    names = [(f"n{n}", f"n{n}/{test}") for n in range(8) for test in ("a", "b")]
    return [seen(float(well), node=node, test=test, well=well) for node, test in names]


@pytest.mark.parametrize(
    "call", [pytest.param(n, marks=[] if n == 5 else pytest.mark.long) for n in range(6)]
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_in_a_storm(desk: Desk, call: int, when: str) -> None:
    """kill -9 before or after a server took any of the six messages of a storm, the digest among them: the
    next command sends what is left, and what is sent again has the same id and the same bytes, though more
    failed meanwhile; of every incident one opening is recorded, and one close."""
    doomed: list[subprocess.Popen[bytes]] = []

    def kill() -> str:
        doomed[0].kill()
        doomed[0].wait(60)
        return "drop" if when == "before" else "cut"

    desk.hook.script = [*[200] * call, kill]
    home = str(Path(__file__).parent.parent)
    words = [STORM, str(desk.folder), desk.hook.url, home, str(Path(home).parent)]
    doomed.append(
        subprocess.Popen(
            [sys.executable, "-c", *words], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
    )
    doomed[0].wait(60)
    office = desk.office("webhook")
    tell(office, seen(0.0, node="n8", test="n8/a"))
    opened = {one.headers["idempotency-key"]: one.raw for one in desk.hook.got}
    assert [len(b["things"]) for b in map(json.loads, opened.values())][:5] == [2] * 5
    assert len(opened) in (6, 7)
    assert all(opened[one.headers["idempotency-key"]] == one.raw for one in desk.hook.got)
    told = sum(json.loads(raw)["total"] for raw in opened.values())
    assert told in (16, 17)
    tell(office, *storm(well=True), seen(1.0, node="n8", test="n8/a", well=True))
    assert tell(office) == []
    book = keeping.history(office.ledger, "prod")
    assert {(i.told["webhook"].message, i.is_open) for i in book} == {("closed", False)}
    ends = [b for b in desk.hook.bodies if b["kind"] == "closed"]
    assert sum(b["total"] for b in ends) == 17


def test_what_failed_since_a_message_left_is_told_by_another(desk: Desk) -> None:
    """A message that left, and was not recorded, is recorded with what it told of; what failed with the same
    node since, and is heavier, gets a message of its own."""
    office = desk.office("webhook")
    book = observed(office, "prod", [replace(seen(0, test="n/a"), severity=Severity.WARN)])
    (first,) = owed(book, office.alerts, START)
    office.spool.begin(first)
    office.spool.mark(first, "")
    assert tell(office, seen(0, test="n/b")) == ["webhook opened sent", "webhook opened sent"]
    (body,) = desk.hook.bodies
    assert (body["test"], body["total"]) == ("n/b", 1)


# --- mail ---


@contextmanager
def mailing(folder: Path, *, answers: list[str] | None = None) -> Iterator[tuple[Any, Path, list[Any]]]:
    """An SMTP server with STARTTLS and a login, its certificate's file, and the mails that it took."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP, AuthResult

    script, taken = list(answers or ()), list[Any]()

    class Handler:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
            answer = script.pop(0) if script else "250 taken"
            if answer.startswith("250"):
                taken.append(envelope)
            return answer

    def login(_server: Any, _session: Any, _envelope: Any, _way: str, data: Any) -> Any:
        return AuthResult(success=data.password == b"s3cr3t pass", handled=False)

    certificate, key = certified(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made = {"tls_context": context, "require_starttls": True, "authenticator": login, "auth_required": True}

    class Post(Controller):
        def factory(self) -> Any:
            return SMTP(self.handler, **made)  # type: ignore[arg-type]

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    post = Post(Handler(), hostname="127.0.0.1", port=port)
    post.start()
    try:
        yield port, certificate, taken
    finally:
        post.stop()


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that nobody else trusts, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, own.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(own, hashes.SHA256())
    )
    certificate, key = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    forms = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(own.private_bytes(serialization.Encoding.PEM, *forms))
    return certificate, key


def mail(port: int, **more: Any) -> Channel:
    config = {"host": "localhost", "port": port, "from": "data@acme.example", "to": ["ana@acme.example"]}
    return Channel(
        "mail", "smtp", {**config, "user": "${{ secrets.U }}", "password": "${{ secrets.P }}", **more}
    )


def test_mail_goes_encrypted_and_logged_in(tmp_path: Path) -> None:
    """STARTTLS and a login; a 4xx is tried again, a 5xx is not; one mail arrives, with both its parts."""
    with mailing(tmp_path, answers=["451 later", "250 taken", "554 no"]) as (port, certificate, taken):
        environ = {"U": "kitchen", "P": "s3cr3t pass", "SSL_CERT_FILE": str(certificate)}
        about = Surroundings(environ)
        assert send_mail(words(), mail(port), about).end == "busy"
        assert send_mail(words(), mail(port), about).end == "sent"
        refused = send_mail(words(), mail(port), about)
        assert (refused.end, refused.said) == ("refused", "554 no")
        (envelope,) = taken
        assert envelope.rcpt_tos == ["ana@acme.example"]
        assert b"multipart/alternative" in envelope.content
        assert b"s3cr3t pass" not in envelope.content


def test_mail_never_goes_to_whom_it_cannot_trust(tmp_path: Path) -> None:
    """A certificate that nobody vouches for, a server without STARTTLS and a wrong password get no mail, and
    the password is in no answer."""
    with mailing(tmp_path) as (port, certificate, taken):
        about = Surroundings({"U": "kitchen", "P": "s3cr3t pass"})
        stranger = send_mail(words(), mail(port), about)
        assert (stranger.end, stranger.said) == ("refused", "the server's certificate is not trusted")
        wrong = Surroundings({"U": "kitchen", "P": "s3cr3t wrong", "SSL_CERT_FILE": str(certificate)})
        answer = send_mail(words(), mail(port), wrong)
        assert answer.end == "refused"
        assert "s3cr3t" not in answer.said + stranger.said
        plain = send_mail(words(), mail(port, security="none"), about)
        assert plain.end == "refused"
        assert taken == []


def test_a_test_message_says_so(desk: Desk) -> None:
    """It is marked, it says what the server answered, and it is in no ledger."""
    office = desk.office()
    answer = sending.test(office, office.alerts.channels["slack"])
    assert (answer.end, answer.said) == ("sent", "200 ok")
    assert "[TEST]" in desk.hook.bodies[0]["attachments"][0]["blocks"][0]["text"]["text"]
    assert keeping.load(office.ledger, "prod").incidents == {}
