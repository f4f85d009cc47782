"""Documentation is held to the program: commands exist and work, links lead to files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gitkitchen.cli.main import LATER, parser
from shop import Shop

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\S+)(?: +(\S+))?\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    text = page.read_text(encoding="utf-8")
    return [(name or "", body) for kind, name, body in FENCE.findall(text) if kind == language]


def console(page: Path) -> list[list[str]]:
    return [
        shlex.split(line[2:].split("  #")[0])
        for _, body in blocks(page, "console")
        for line in body.splitlines()
        if line.startswith("$ ")
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    """Every relative link of a page names a file that exists."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_documented_commands_exist(page: Path) -> None:
    """Every documented `gitkitchen` line parses with the real parser."""
    for words in console(page):
        if words[0] == "gitkitchen":
            assert words[1] not in LATER, words
            parser().parse_args(words[1:])


def test_the_readme_commands_work_from_nothing(shop: Shop) -> None:
    """The README's first project, command by command, in an empty repository."""
    (shop.root / "kitchen.yml").unlink()
    shop.commit(message="empty")
    elsewhere = ("demo", "ci")  # tests/examples/test_pull_request_story.py runs these
    told = [w for w in console(ROOT / "README.md") if w[0] == "gitkitchen"]
    commands = [w for w in told if w[1] not in elsewhere]
    assert [w[1] for w in commands] == ["init", "run", "query", "plan"]
    for words in commands:
        said = shop.cli(*words[1:])
        assert said.code == 0, f"{words}: {said.out}{said.err}"
        if words[1] == "init":
            shop.commit(message="start")


def test_the_readme_names_every_command() -> None:
    """The table of commands and the parser agree."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    action = next(a for a in parser()._actions if getattr(a, "choices", None) and a.dest == "command")
    for name in action.choices or ():
        assert re.search(rf"`(gitkitchen )?{name}\b", text), name
