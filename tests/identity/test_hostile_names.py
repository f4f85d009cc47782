"""Names of branches come from strangers: they never meet, and they never become shell, SQL or Git options."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.identity.names import WORDS, acceptable, hostile

from gitkitchen.errors import Mistake
from gitkitchen.git import Repository
from gitkitchen.kitchen.identity import identify, namespace
from gitkitchen.model import Environment, Project
from shop import Shop

PROJECT = Project(Path("/work"), "flights", "7c1e2b", (Environment("prod", "main"),), "prod")
NAMESPACE = re.compile(r"k_[a-z0-9_]{1,33}_[0-9a-f]{12}")
RECIPE = "version: 1\nrecipe: a\nnodes:\n  x: {sql: select 1 as i, key: [i]}\n"


def test_a_thousand_names_are_a_thousand_namespaces() -> None:
    """Every name has a namespace of its own, and so has each of its births and forks; 48 bytes at most."""
    names = hostile()
    assert len(names) == 1000
    spaces = [
        namespace("7c1e2b", repository, name, birth)
        for name in names
        for repository in ("", "github.com/me/x")
        for birth in (1, 2)
    ]
    assert all(NAMESPACE.fullmatch(s) and len(s) <= 48 for s in spaces)
    assert len(set(spaces)) == 4000
    assert len({s.casefold() for s in spaces}) == 4000


def test_every_name_is_a_kitchen_or_a_mistake() -> None:
    """--kitchen takes what Git would take as a branch and refuses the rest with exit 2, whatever it is."""
    good = set(acceptable(hostile()))
    refused = set()
    for name in hostile():
        try:
            found = identify(PROJECT, branch=None, repository=None, override=name)
        except Mistake:
            refused.add(name)
        else:
            assert found.environment == ("prod" if name in ("prod", "main") else None)
    assert not refused & good
    assert len(refused) > 200


ANY = st.text(st.characters(exclude_characters="\0", codec=None), min_size=1, max_size=120)


@pytest.mark.long
@settings(max_examples=2000)
@given(st.lists(ANY, min_size=50, max_size=50, unique=True))
def test_a_hundred_thousand_names_never_meet(names: list[str]) -> None:
    """2,000 times fifty names of any characters: valid namespaces, no two the same."""
    spaces = [namespace("7c1e2b", "", name) for name in names]
    assert all(NAMESPACE.fullmatch(s) and len(s) <= 48 for s in spaces)
    assert len(set(spaces)) == len(names)


# --- real branches -----------------------------------------------------------------------------------


@pytest.fixture
def branches(shop: Shop) -> list[str]:
    """The hostile names that Git accepts, as branches of a real repository."""
    shop.commit({"recipes/a/recipe.yml": RECIPE})
    names = [n for n in acceptable(hostile()) if n not in ("main", "prod")]
    lines = b"".join(f"create refs/heads/{name} HEAD\n".encode() for name in names)
    subprocess.run(["git", "update-ref", "--stdin"], input=lines, cwd=shop.root, check=True)
    return names


def test_real_branches_are_read_as_they_are(shop: Shop, branches: list[str]) -> None:
    """Every one of several hundred is listed under its own name, and is a kitchen with its own namespace."""
    assert len(branches) > 300
    assert Repository.find(shop.root).branches() == {"main", *branches}
    spaces = {identify(PROJECT, branch=b, repository=None, override=None).namespace for b in branches}
    assert len(spaces) == len(branches)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``git`` before the real one on PATH that writes down every argument of every call."""
    real, log = shutil.which("git"), tmp_path / "calls"
    folder = tmp_path / "bin"
    folder.mkdir()
    script = (
        f"#!/bin/sh\nprintf '%s\\0' \"$@\" >> '{log}'\nprintf '\\n\\0' >> '{log}'\nexec '{real}' \"$@\"\n"
    )
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


def calls(log: Path) -> Iterator[list[str]]:
    argv: list[str] = []
    for word in log.read_bytes().split(b"\0"):
        if word == b"\n":
            yield argv
            argv = []
        else:
            argv.append(os.fsdecode(word))


def is_safe(argv: list[str], name: str) -> bool:
    """Whether a name stands only where Git cannot take it for an option: nowhere, as part of a full
    reference, or behind the end of options."""
    for number, word in enumerate(argv):
        # A short name ("x") is part of many a word of ours: it must be the whole word, or a value.
        there = name in word if len(name) > 7 else word == name or word.endswith(f"={name}")
        if there and not word.startswith(("refs/heads/", "refs/remotes/")):
            before = argv[:number]
            if "--end-of-options" not in before and "--" not in before:
                return False
    return True


def lives(shop: Shop, log: Path, name: str) -> None:
    """A kitchen's whole life on a branch of that name, every command of it; nothing has an effect."""
    folder = shop.root.parent
    shop.git("symbolic-ref", "HEAD", f"refs/heads/{name}")
    known = {p.name for p in [*folder.iterdir(), *shop.root.iterdir()]}
    log.unlink(missing_ok=True)
    for words in (
        ["settings", "--json"], ["plan", "--json"], ["run", "--quiet"],
        ["run", "--quiet", f"--kitchen={name}"], ["query", "x"], ["query", "x", f"--kitchen={name}"],
        ["open", "--path"], ["log"], ["show"],
        ["kitchens"], ["gc"], ["gc", "--apply", "--grace", "0s"],
    ):  # fmt: skip
        said = shop.cli(*words)
        assert said.code == 0, f"{words} on {name!r}: {said.err}"
    path = shop.cli("open", "--path").out.strip()
    with duckdb.connect(path, read_only=True) as reader:
        assert reader.execute("select kitchen from gitkitchen_publication").fetchall() == [(name,)]
        assert reader.execute("from x").fetchall() == [(1,)]
    assert Path(path).parent == shop.root / ".gitkitchen/views"
    said = shop.cli("drop", name)
    assert said.code == 0, said.err
    assert shop.cli("drop", name).code == 2
    seen = list(calls(log))
    assert len(seen) > 12
    assert all(is_safe(argv, name) for argv in seen), [a for a in seen if not is_safe(a, name)]
    log.unlink()
    known |= {".gitkitchen"}
    assert {p.name for p in [*folder.iterdir(), *shop.root.iterdir()]} <= known | {log.name}
    assert not list(folder.rglob("pwned*"))


def test_a_hostile_branch_lives_and_has_no_effect(shop: Shop, branches: list[str], watched: Path) -> None:
    """The worst of them through every command: no shell, no SQL, no option of Git, no file elsewhere."""
    assert WORDS[-1] in branches
    lives(shop, watched, WORDS[-1])


@pytest.mark.long
def test_many_hostile_branches_live_and_have_no_effect(
    shop: Shop, branches: list[str], watched: Path
) -> None:
    """Sixty more of them, of all sorts."""
    for name in branches[:: max(len(branches) // 60, 1)]:
        lives(shop, watched, name)


ALIKE = ("feature/x", "feature-x", "Feature-X", "e\u0301", "é", "me/shop:é")


def test_names_that_look_alike_hold_different_data(shop: Shop) -> None:
    """Alike but for a slash, case, Unicode form or fork, really run: each reads what it built itself."""
    shop.commit({"recipes/a/recipe.yml": RECIPE})
    shop.git("switch", "-q", "--detach", "main")
    for number, name in enumerate(ALIKE, 1):
        shop.commit({"recipes/a/recipe.yml": RECIPE.replace("select 1", f"select {number}")})
        if ":" not in name:
            shop.git("branch", "-q", name)
        assert shop.cli("run", "--quiet", "--kitchen", name).code == 0
    for number, name in enumerate(ALIKE, 1):
        assert shop.rows("from x", "--kitchen", name) == [{"i": number}]
