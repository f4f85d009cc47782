"""The action's own environment: what it takes, what it refuses, and who learns the token."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement

from workflows.tools import ROOT


@pytest.fixture(scope="module")
def installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("action_install", ROOT / "action" / "install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def place(tmp_path: Path, **more: str) -> tuple[int, str, dict[str, str]]:
    """The exit code, what is printed and the outputs of `install.py place`, as a step runs it."""
    for name in ("temp", "work"):
        (tmp_path / name).mkdir(exist_ok=True)
    output = tmp_path / "output"
    output.write_text("")
    environ = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(output)}
    environ |= {"RUNNER_TEMP": str(tmp_path / "temp"), "GITHUB_WORKSPACE": str(tmp_path / "work")} | more
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "action/install.py"), "place"],
        env=environ, cwd=tmp_path / "work", capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return done.returncode, done.stdout + done.stderr, said


def test_the_lock_fits_the_project(installer: ModuleType) -> None:
    """Every dependency and extra of pyproject.toml is in the lock, at a version that it allows, with
    digests."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "action/lock.txt").read_text()
    known = json.loads((ROOT / "action/extras.json").read_text())
    optional = project["optional-dependencies"]
    assert set(known) == {"", *optional} - {"demo"}
    for extra in known:
        text = installer.pinned(lock, ["", extra])
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", e) for e in re.split(r"\n(?=[a-z0-9])", text))
        pins = {
            re.sub(r"[-_.]+", "-", n): v for n, v in re.findall(r"(?m)^([\w.-]+)(?:\[.*\])?==([^ ;]+)", text)
        }
        for line in [*project["dependencies"], *(optional[extra] if extra else [])]:
            wanted = Requirement(line)
            assert wanted.specifier.contains(pins[re.sub(r"[-_.]+", "-", wanted.name.lower())]), line


def test_the_place_depends_on_all_that_is_installed(tmp_path: Path) -> None:
    """Another extra or file of requirements is another environment and another key; the same is the same."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work/more.txt").write_text("tomli==2.0.1\n")
    keys = [
        place(tmp_path, **more)[2]["key"]
        for more in ({}, {}, {"EXTRAS": "oci"}, {"EXTRAS": " oci,"}, {"REQUIREMENTS": "more.txt"})
    ]
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert len(set(keys)) == 3
    (tmp_path / "work/more.txt").write_text("tomli==2.0.2\n")
    assert place(tmp_path, REQUIREMENTS="more.txt")[2]["key"] not in keys


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"EXTRAS": "oci,pandaz"}, "there is no 'pandaz'; there are arrow, github"),
        ({"REQUIREMENTS": "../more.txt"}, "there is no file '../more.txt' in the repository"),
        ({"REQUIREMENTS": "none.txt"}, "there is no file 'none.txt'"),
        ({"REQUIREMENTS": "a\n::stop-commands::x"}, "a%0A::stop-commands::x"),
        ({"RUNNER_TEMP": ""}, "no job of GitHub Actions"),
    ],
    ids=["extra", "outside", "missing", "command", "nowhere"],
)
def test_what_cannot_be_had_is_refused(tmp_path: Path, more: dict[str, str], said: str) -> None:
    """What a job asks for wrongly ends with exit code 2 and one annotation that names it, and makes
    nothing."""
    (tmp_path / "more.txt").write_text("")
    code, printed, outputs = place(tmp_path, **more)
    assert (code, outputs) == (2, {})
    assert said in printed
    assert printed.startswith("::error title=GitKitchen::")
    assert printed.count("\n") == 1
    assert not list((tmp_path / "temp").iterdir())


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Username for 'https://github.example': ", "x-access-token"),
        ("Password for 'https://x-access-token@github.example': ", "t0ken"),
        ("Password for 'https://x-access-token@github.example/acme/shop.git': ", "t0ken"),
        ("Password for 'https://x-access-token@github.example.evil.org': ", None),
        ("Password for 'https://evil.org': ", None),
        ("Password for 'https://x-access-token@evil.org/https://github.example': ", None),
        ("Password for 'http://x-access-token@github.example': ", None),
        ("Enter passphrase for key '/home/me/.ssh/id': ", None),
    ],
    ids=["user", "password", "path", "suffix", "other", "hidden", "http", "key"],
)
def test_only_our_server_learns_the_token(prompt: str, answer: str | None) -> None:
    """git gets the job's token for the job's own server, by https, and for no other prompt."""
    environ = {
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_TOKEN": "t0ken",
        "PATH": os.environ["PATH"],
    }
    for without in ({}, {"GITHUB_TOKEN": ""}, {"GITHUB_SERVER_URL": ""}):
        done = subprocess.run(
            [str(ROOT / "action/askpass"), prompt],
            env=environ | without, capture_output=True, text=True, check=False,
        )  # fmt: skip
        expected = None if without else answer
        assert (done.stdout.strip() or None, done.returncode == 0) == (expected, expected is not None)


def test_the_hook_runs_a_command_that_exists() -> None:
    """The pre-commit hook is `gitkitchen validate`, started for the files that it reads and no others."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "gitkitchen validate"
    matching = re.compile(hook["files"])
    for path in (
        "kitchen.yml",
        "team/kitchen.yml",
        "recipes/a/recipe.yml",
        "recipes/a/x.sql",
        "waivers/w.yml",
    ):
        assert matching.search(path)
    for path in ("README.md", "kitchen.yml.txt", "src/my_recipes.py"):
        assert not matching.search(path)


@pytest.mark.long
def test_the_environment_is_whole_and_private(tmp_path: Path) -> None:
    """A real installation, pinned by digest, runs GitKitchen from the action's checkout, whatever lies in the
    job's folder or PYTHONPATH; a second step of the job finds it made."""
    (tmp_path / "temp").mkdir()
    work = tmp_path / "work"
    (work / "gitkitchen").mkdir(parents=True)
    for name in ("gitkitchen/__init__.py", "yaml.py", "json.py"):
        (work / name).write_text("raise SystemExit('a stranger speaks')\n")
    environ = {n: v for n, v in os.environ.items() if n.startswith(("PIP_", "SSL_", "HTTP", "http", "PATH"))}
    environ |= {"GITHUB_OUTPUT": str(tmp_path / "output"), "RUNNER_TEMP": str(tmp_path / "temp")}
    environ |= {
        "GITHUB_WORKSPACE": str(work),
        "PYTHONPATH": str(work),
        "EXTRAS": "github",
        "HOME": str(tmp_path),
    }
    words = [sys.executable, "-I", str(ROOT / "action/install.py"), "install"]
    for _ in range(2):
        done = subprocess.run(words, env=environ, cwd=work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    program = re.findall(r"(?m)^program=(.*)$", (tmp_path / "output").read_text())[-1]
    for words in ([program, "--version"], [program, "schema", "recipe"]):
        done = subprocess.run(words, env=environ, cwd=work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "stranger" not in done.stdout + done.stderr
    made = Path(program).parents[1]
    python = [str(made / "bin/python"), "-I", "-c", "import github, gitkitchen; print(gitkitchen.__file__)"]
    said = subprocess.run(python, capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(ROOT / "src/gitkitchen/__init__.py")
    # A wheel that a cache brings along in another state is not installed.
    lock = made / "locked.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, lock.read_text()))
    pip = [str(made / "bin/python"), "-I", "-m", "pip", "install", "--require-hashes", "--no-deps"]
    pip += ["--force-reinstall", "--cache-dir", str(tmp_path / "temp/gitkitchen-wheels"), "-r", str(lock)]
    done = subprocess.run(pip, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
