"""Peers in virtual environments, and folders of Node packages, of their own under ``.bench/``, so that
nobody's pins meet."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Failed, environment, tail

INSTALL_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool to be measured beside GitKitchen: what pip (or npm) installs, and whose versions are told."""

    name: str
    requirements: tuple[str, ...]
    shown: tuple[str, ...]
    npm: bool = False


PEERS = {
    peer.name: peer
    for peer in (
        Peer("dbt", ("dbt-core<1.12", "dbt-duckdb"), ("dbt-core", "dbt-duckdb", "duckdb")),
        Peer("sqlmesh", ("sqlmesh[github]",), ("sqlmesh", "duckdb")),
        Peer("soda", ("soda-core-duckdb",), ("soda-core-duckdb", "duckdb")),
        Peer(
            "gx",
            ("great-expectations", "duckdb", "duckdb-engine"),
            ("great-expectations", "duckdb-engine", "duckdb"),
        ),
        Peer("doit", ("doit",), ("doit",)),
        Peer("luigi", ("luigi",), ("luigi",)),
        Peer("dagster", ("dagster",), ("dagster",)),
        Peer(
            "elementary",
            ("elementary-data", "dbt-core<1.12", "dbt-duckdb"),
            ("elementary-data", "dbt-core", "dbt-duckdb"),
        ),
        Peer("allure2", ("allure-commandline@2",), ("allure-commandline",), npm=True),  # needs Java
        Peer("allure3", ("allure@3",), ("allure",), npm=True),
    )
}


@dataclass(frozen=True, slots=True)
class Installed:
    """A peer that is there. ``versions`` maps package to version."""

    peer: Peer
    folder: Path
    versions: dict[str, str]

    def executable(self, name: str) -> str:
        """The path of one of its commands."""
        return str(self.folder / ("node_modules/.bin" if self.peer.npm else "bin") / name)


def install(name: str, bench: Path, say: Callable[[str], None]) -> Installed:
    """Make the peer's environment under ``bench`` unless it stands there complete.

    Raises ``Failed`` with the reason; nothing half-made is taken for complete later.
    """
    peer = PEERS[name]
    folder, mark = bench / "venvs" / name, bench / "venvs" / name / "installed.json"
    if peer.npm and shutil.which("npm") is None:
        raise Failed("it is a Node package, and there is no npm")
    wanted = [sys.version, *peer.requirements]
    if not (mark.exists() and json.loads(mark.read_text("utf-8")) == wanted):
        say(f"  installing {', '.join(peer.requirements)}")
        if peer.npm:
            folder.mkdir(parents=True, exist_ok=True)
            _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder),
                  *peer.requirements], bench)  # fmt: skip
        else:
            _run([sys.executable, "-m", "venv", "--clear", str(folder)], bench)
            python = str(folder / "bin" / "python")
            _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  *peer.requirements], bench)  # fmt: skip
        mark.write_text(json.dumps(wanted), "utf-8")
    return Installed(peer, folder, _versions(peer, folder, bench))


def _run(argv: list[str], bench: Path) -> None:
    log = bench / "logs" / "install.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise Failed(f"not installed in {INSTALL_SECONDS:.0f} s") from error
    if done.returncode:
        raise Failed(f"cannot be installed: {tail(log)}")


def _versions(peer: Peer, folder: Path, bench: Path) -> dict[str, str]:
    if peer.npm:
        files = {name: folder / "node_modules" / name / "package.json" for name in peer.shown}
        return {name: str(json.loads(file.read_text("utf-8"))["version"]) for name, file in files.items()}
    code = (
        "import json, sys, importlib.metadata as m\n"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    python = str(folder / "bin" / "python")
    done = subprocess.run([python, "-c", code, *peer.shown], cwd=bench, env=environment(None),
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise Failed(f"cannot tell its versions: {done.stderr.strip()[-200:]}")
    found: dict[str, str] = json.loads(done.stdout)
    return found
