"""Put GitKitchen into an environment of its own, for ``action.yml``. Needs nothing but Python's own library.

    python -I install.py place      says where the environment is (to be), and the key of its wheels
    python -I install.py install    makes it, where this job has not made it yet

The environment lies in the runner's folder for this job alone. What is installed is pinned by digest
(``lock.txt``): wheels that a cache brings along are held against that, too. GitKitchen itself is not
built: the environment is told to read it from the checkout of the action. The job's own Python stays as it
is.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST = (3, 11)
MISTAKE, INFRASTRUCTURE = 2, 3


class Stop(Exception):
    """Why nothing can be installed, and the exit code that says so."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Wanted:
    """What a job asks for. ``lines``: what is installed, pinned, as pip reads it; ``more``: a file of further
    requirements; ``folder``: where the environment is; ``wheels``: pip's cache."""

    lines: str
    more: Path | None
    folder: Path
    wheels: Path
    key: str

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "gitkitchen"

    @property
    def whole(self) -> Path:
        """There when the environment is."""
        return self.folder / "gitkitchen.whole"


def wanted(environ: Mapping[str, str]) -> Wanted:
    """What ``environ`` asks for. Stop for what cannot be had."""
    if sys.version_info < OLDEST:
        found = platform.python_version()
        raise Stop(
            f"GitKitchen needs Python 3.11 or newer, and this is {found}: name another by `python:`", MISTAKE
        )
    parts = extras(environ.get("EXTRAS", ""))
    more = requirements(environ.get("REQUIREMENTS", ""), Path(environ.get("GITHUB_WORKSPACE") or "."))
    lines = pinned((HERE / "lock.txt").read_text(encoding="utf-8"), parts)
    digest = hashlib.sha256()
    python = (sys.implementation.cache_tag or "", sysconfig.get_platform(), platform.python_version())
    for part in (lines, more.read_text(encoding="utf-8") if more else "", *python, str(HERE)):
        digest.update(part.encode() + b"\0")
    name = digest.hexdigest()[:16]
    temp = Path(environ.get("RUNNER_TEMP") or "")
    if not temp.is_absolute():
        raise Stop("RUNNER_TEMP is not set: this is no job of GitHub Actions", MISTAKE)
    return Wanted(lines, more, temp / f"gitkitchen-{name}", temp / "gitkitchen-wheels", f"gitkitchen-{name}")


def extras(text: str) -> list[str]:
    """The names of the extras that are asked for, besides the base (""). ``github`` is what posting takes."""
    known = json.loads((HERE / "extras.json").read_text(encoding="utf-8"))
    asked = [word for word in re.split(r"[\s,]+", text) if word]
    for word in asked:
        if word not in known:
            there = ", ".join(k for k in known if k)
            raise Stop(f"extras: there is no '{word[:40]}'; there are {there}", MISTAKE)
    return ["", *sorted(set(asked))]


def requirements(text: str, workspace: Path) -> Path | None:
    """The file of further requirements; it lies in the repository."""
    if not text:
        return None
    path, top = (workspace / text).resolve(), workspace.resolve()
    if not path.is_relative_to(top) or not path.is_file():
        raise Stop(f"requirements: there is no file '{text[:200]}' in the repository", MISTAKE)
    return path


def pinned(lock: str, parts: Sequence[str]) -> str:
    """The entries of the lock that these extras take, as they stand there."""
    known = json.loads((HERE / "extras.json").read_text(encoding="utf-8"))
    names = {name for part in parts for name in known[part]}
    entries = re.findall(r"(?m)^[a-z0-9].*(?:\n +--hash.*)+\n", lock)
    return "".join(e for e in entries if re.split(r"[\[=]", e, maxsplit=1)[0] in names)


def install(want: Wanted) -> None:
    """Make the environment, unless this job has it already. Stop where it cannot be made."""
    if want.whole.exists():
        return
    shutil.rmtree(want.folder, ignore_errors=True)
    run([sys.executable, "-I", "-m", "venv", str(want.folder)], "an environment could not be made")
    python = str(want.folder / "bin" / "python")
    locked, pins = want.folder / "locked.txt", want.folder / "pins.txt"
    locked.write_text(want.lines, encoding="utf-8")
    pins.write_text(re.sub(r"(?m) \\$|^ +--hash.*\n", "", want.lines), encoding="utf-8")
    pip = [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    pip += ["--cache-dir", str(want.wheels)]
    run(
        [*pip, "--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", str(locked)],
        "what GitKitchen needs could not be installed",
    )
    if want.more:
        run(
            [*pip, "--constraint", str(pins), "--requirement", str(want.more)],
            "the requirements of the repository could not be installed beside what GitKitchen needs",
        )
    purelib = run(
        [python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], "no environment"
    )
    Path(purelib.strip(), "gitkitchen.pth").write_text(f"{HERE.parent / 'src'}\n", encoding="utf-8")
    # -I: neither the repository that is tested nor a variable of the job may stand in for a module.
    starts = f"#!/bin/sh\nexec '{python}' -I -m gitkitchen \"$@\"\n"
    want.program.write_text(starts, encoding="utf-8")
    want.program.chmod(0o755)
    run([str(want.program), "--version"], "GitKitchen does not start")
    want.whole.touch()


def run(words: Sequence[str], failed: str) -> str:
    """Run a program to its end. Stop where it fails; what it said stands in the log."""
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(re.sub(r"(?m)^(\s*)(::|##\[)", r"\1 :\2", done.stdout[-20_000:]).replace("##[", "## ["))
        raise Stop(f"{failed} (exit code {done.returncode}); the log says why", INFRASTRUCTURE)
    return done.stdout


def main(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do one of the two; what later steps need becomes outputs."""
    try:
        want = wanted(environ)
        if list(words) == ["install"]:
            install(want)
    except Stop as stop:
        said = str(stop).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error title=GitKitchen::{said}")
        return stop.code
    with Path(environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        for name, value in (("program", want.program), ("wheels", want.wheels), ("key", want.key)):
            file.write(f"{name}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
