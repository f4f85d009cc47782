"""Real servers for the tests of stores, as ordinary processes on this machine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

REGISTRY = shutil.which("docker-registry")
CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: 127.0.0.1:{port}}}
{more}
"""


def need_registry() -> str:
    """The program of a registry; the test is skipped without it, and fails where it is required."""
    if REGISTRY is None:
        required = os.environ.get("GITKITCHEN_REQUIRE", "").split(",")
        assert "docker-registry" not in required, "GITKITCHEN_REQUIRE, and docker-registry is not installed"
        pytest.skip("docker-registry is not installed")
    return REGISTRY


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@contextlib.contextmanager
def registry(folder: Path, more: str = "") -> Iterator[str]:
    """An empty registry; yields ``127.0.0.1:PORT``. ``more``: further lines of its configuration."""
    program = need_registry()
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(CONFIG.format(root=folder / "blobs", port=port, more=more))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(config)], stdout=log, stderr=log, cwd=folder, env=_environ()
        )
        try:
            _wait(process, f"http://127.0.0.1:{port}/v2/", folder / "log")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def guarded_registry(
    folder: Path, rights: Mapping[str, Mapping[str, Sequence[str]]], *, strict: bool = False
) -> Iterator[str]:
    """A registry with tokens. ``rights``: by user ("" is everybody) and the last part of a repository's name,
    ``pull`` and ``push``. A user's password is ``<user>-hunter2``. ``strict``: who may do nothing of what is
    asked gets no token at all, as on ghcr.io."""
    jose = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.padding")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "tokens")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    bundle = folder / "tokens.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()

    def text(value: Any) -> str:
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    class Tokens(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = self.headers.get("Authorization", "").removeprefix("Basic ")
            user, _, password = base64.b64decode(said).decode().partition(":")
            if user not in rights or (user and password != f"{user}-hunter2"):
                self.refuse(401)
                return
            asked = parse_qs(urlsplit(self.path).query)
            access = []
            for scope in asked.get("scope", []):
                kind, repository, actions = scope.split(":")
                may = rights[user].get(repository.rpartition("/")[2], ())
                granted = [a for a in actions.split(",") if a in may]
                access.append({"type": kind, "name": repository, "actions": granted})
            if strict and not all(one["actions"] for one in access):
                self.refuse(403)
                return
            stamp = int(time.time())
            claims = {"iss": "tokens", "sub": user, "aud": "registry", "exp": stamp + 300,
                      "nbf": stamp - 10, "iat": stamp, "jti": str(stamp), "access": access}  # fmt: skip
            head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
            signed = f"{text(head)}.{text(claims)}"
            signature = key.sign(signed.encode(), jose.PKCS1v15(), hashes.SHA256())
            body = json.dumps({"token": f"{signed}.{text(signature)}"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Tokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        realm = f"http://127.0.0.1:{server.server_address[1]}/token"
        how = f"realm: '{realm}', service: registry, issuer: tokens, rootcertbundle: {bundle}"
        more = f"auth: {{token: {{{how}}}}}"
        with registry(folder / "guarded", more) as address:
            yield address
        server.shutdown()


def login(folder: Path, address: str, user: str) -> Path:
    """A folder for DOCKER_CONFIG in which ``user`` is logged in."""
    made = folder / f"docker-{user}"
    made.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{user}:{user}-hunter2".encode()).decode()
    (made / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return made


def collect_garbage(folder: Path) -> str:
    """Let the registry's own collector remove what no manifest refers to; what it said."""
    argv = [need_registry(), "garbage-collect", "--delete-untagged=true", str(folder / "config.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=_environ())
    return done.stdout


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[str]:
    """An S3 server (moto's) in memory; yields its address."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        argv = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=_environ())
        try:
            _wait(process, f"http://127.0.0.1:{port}/moto-api/", folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _environ() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "REGISTRY_"))}


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(url, timeout=5):
                return
        except HTTPError as error:
            error.close()
            return  # it answers: what it says is the test's matter
        except (URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"no server at {url}: {log.read_text()}")
