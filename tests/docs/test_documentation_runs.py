"""The documentation is true: its commands run, its recipes pass, in the project that `init` writes."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from gitkitchen.cli.main import main
from lengths import some

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```(\S+)(?: +(\S+))?\n(.*?)^```", re.M | re.S)
# They need more than Python: tests/engines/test_what_sql_means.py and tests/long/test_real_dbt.py run them.
ELSEWHERE = {"warehouse.md", "dbt.md"}
PAGES = sorted(
    p for p in DOCS.glob("*.md") if p.name not in ELSEWHERE and FENCE.search(p.read_text(encoding="utf-8"))
)

# Pages of every run of the tests; the long ones run all of them.
ALWAYS = {"install", "run", "publish", "diff", "gates", "policy", "audit"}
ALWAYS_VALID = {"recipe", "tests", "gates", "results"}


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Language, file name and text of each fenced block."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The project of install.md, committed and run once."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    assert main(["-C", str(tmp_path), "init", "--name", "shop"]) == 0
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=Orders")
    assert main(["-C", str(tmp_path), "run", "--quiet"]) == 0
    capsys.readouterr()
    return tmp_path


def commands(page: Path) -> list[list[str]]:
    lines = [line for kind, _, text in blocks(page) if kind == "console" for line in text.splitlines()]
    return [shlex.split(line[2:]) for line in lines if line.startswith("$ ")]


@pytest.mark.parametrize(
    "page",
    some([p for p in PAGES if commands(p)], *(p for p in PAGES if p.stem in ALWAYS)),
    ids=lambda p: p.stem,
)
def test_every_command_runs(
    page: Path, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every console command of a page ends with exit code 0, in the order of the page."""
    monkeypatch.chdir(project)
    if ["gitkitchen", "init"] in commands(page):
        git(project, "rm", "--quiet", "-r", "kitchen.yml", "recipes")
    for words in commands(page):
        if words[0] == "gitkitchen":
            code = main(words[1:])
            said = capsys.readouterr()
            assert code == 0, f"{words}: {said.out}{said.err}"
        else:
            assert words[0] == "git", words
            git(project, *words[1:])


@pytest.mark.parametrize(
    "page",
    some([p for p in PAGES if "```yaml " in p.read_text()], *(p for p in PAGES if p.stem in ALWAYS_VALID)),
    ids=lambda p: p.stem,
)
def test_every_file_is_valid_and_passes(
    page: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every named file of a page, put into the project, validates; every recipe passes."""
    for kind, name, text in blocks(page):
        if kind not in ("yaml", "sql", "python"):
            continue
        assert name, f"a {kind} block of {page.name} has no file name"
        at_the_top = name == "kitchen.yml" or name.startswith(("effects/", "waivers/"))
        path = project / name if at_the_top else project / "recipes/orders" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if kind == "yaml":
            tasks = [["validate"], ["run", "--quiet", "--no-publish"]]
            for words in tasks if name == "recipe.yml" else tasks[:1]:
                code = main(["-C", str(project), *words])
                said = capsys.readouterr()
                assert code == 0, f"{page.name}, {name}, {words}: {said.out}{said.err}"
