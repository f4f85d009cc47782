"""Real servers for the tests of stores, as ordinary processes on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
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
