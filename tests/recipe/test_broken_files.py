"""Broken files: every mistake with its line, in little time and memory, and never a traceback.

``broken_files.txt`` holds the cases that a person could write: the files of each, and the beginning of
every problem that is expected, in order. What only a program would write is made here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.document.yaml12 import MAX_VALUES
from gitkitchen.recipe.load import validate_project

RECIPE = "recipes/r/recipe.yml"
KITCHEN = """\
version: 1
project: {name: shop, id: 0123456789abcdef}
environments:
  staging: {branch: staging}
  prod: {branch: main}
pools: {heavy: 2}
"""
GOOD: dict[str, str | bytes] = {
    "kitchen.yml": KITCHEN,
    "recipes/r/a.csv": "id\n1\n",
    "recipes/r/load.py": "def load(): ...\n",
    RECIPE: "version: 1\nrecipe: r\nnodes: {a: {source: {file: a.csv}}}\n",
}


@dataclass(frozen=True)
class Case:
    """One broken project: the files written over a good one, and ``place: words`` of every problem."""

    name: str
    files: dict[str, str | bytes]
    expected: tuple[str, ...]


def told() -> Iterator[Case]:
    """The cases of ``broken_files.txt``."""
    text = Path(__file__).with_name("broken_files.txt").read_text(encoding="utf-8")
    for part in text.split("### ")[1:]:
        name, *sections = part.split("@@ ")
        files = {s.partition("\n")[0]: s.partition("\n")[2] for s in sections}
        expected = files.pop("expected").strip().splitlines()
        yield Case(name.strip(), dict(files), tuple(expected))


def made() -> Iterator[Case]:
    """Cases with too much of something, or with bytes that are no text."""

    def recipe(name: str, text: str | bytes, line: int, words: str) -> Case:
        place = f"{RECIPE}:{line}" if line else RECIPE
        return Case(name, {RECIPE: text}, (f"{place}: {words}",))

    def nodes(name: str, text: str, words: str, **files: str | bytes) -> Case:
        whole = {RECIPE: f"version: 1\nrecipe: r\nnodes: {{a: {text}}}\n"}
        return Case(
            name, whole | {f"recipes/r/{k}.sql": v for k, v in files.items()}, (f"{RECIPE}:3: {words}",)
        )

    def given(expression: str) -> str:
        return f'{{sql: select $x, with: {{x: "${{{{ {expression} }}}}"}}}}'

    head = "version: 1\nrecipe: r\n"
    lists = "".join(f"  l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]\n" for i in range(1, 12))
    grown = "format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', " * 9 + "'aaaaaaaaaa'" + ")" * 9
    yield recipe("empty", "", 0, "the file is empty")
    yield recipe("only a comment", "# soon\n", 0, "the file is empty")
    yield recipe("binary", bytes(range(256)) * 64, 2, "this is not text in UTF-8")
    yield recipe("control character", "version: 1\nrecipe: \x01\n", 2, "the character U+0001 is not allowed")
    yield recipe("another encoding", b"version: 1\nowner: M\xfcller\n", 2, "this is not text in UTF-8")
    yield recipe("huge", head + "owner: x\n" * 400_000, 0, "the file has more than 2,000,000 bytes")
    yield recipe(
        "nested 5,000 deep", f"{head}vars: {'[' * 5000}{']' * 5000}\n", 3, "nested more than 40 levels"
    )
    rows = "".join(f"{' ' * depth}a:\n" for depth in range(900))
    yield recipe("indented 900 deep", head + rows, 43, "nested more than 40 levels deep")
    yield recipe(
        "billion laughs", f"{head}vars:\n  l0: &l0 [x, x]\n{lists}", 9, f"more than {MAX_VALUES:,} values"
    )
    rows = "".join(f"x{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10))
    refused = [f"{RECIPE}:{n}: merge keys (<<) are not available" for n in range(4, 9)]
    bomb = {RECIPE: f"{head}x0: &a0 {{a: 1}}\n{rows}"}
    yield Case(
        "merge keys of exponential cost", bomb, (*refused, f"{RECIPE}:8: more than {MAX_VALUES:,} values")
    )
    yield nodes(
        "huge number", f"{{sql: select 1, retry: {{attempts: {'9' * 5000}}}}}", "a number of 5000 digits"
    )
    yield nodes("expensive expression", given(grown), "the result has more than 100,000 characters")
    yield nodes("long expression", given("1+" * 1500 + "1"), "an expression has at most 2,000 characters")
    yield nodes("deep expression", given("(" * 90 + "1" + ")" * 90), "nested more than 30 levels deep")
    yield nodes("SQL that is no text", "{sql: q.sql}", "'q.sql' is not text in UTF-8", q=b"\xff\xfe")
    yield nodes(
        "SQL of a megabyte", "{sql: q.sql}", "'q.sql' has more than 1,000,000 bytes", q="-" * 1_000_001
    )


CASES = [*told(), *made()]


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for name, text in {**GOOD, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    (root / "recipes/r/sub.py").mkdir()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the limited validation says of every case."""
    top = tmp_path_factory.mktemp("broken")
    folders = [str(top / str(number)) for number in range(len(CASES))]
    for folder, case in zip(folders, CASES, strict=True):
        write(Path(folder), case.files)
    script = Path(__file__).with_name("limited.py")
    done = subprocess.run(
        [sys.executable, str(script), *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {case.name: result for case, result in zip(CASES, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_mistake_has_its_line(case: Case, found: dict[str, dict[str, Any]]) -> None:
    """A broken file gives exactly the expected problems, with place and next step, at little cost."""
    result = found[case.name]
    assert "traceback" not in result, result["traceback"]
    said = [f"{place}: {message}; {hint}" for place, message, hint, _ in result["problems"]]
    assert len(said) == len(case.expected), "\n".join(said)
    for text, expected in zip(said, case.expected, strict=True):
        place, _, words = expected.partition(": ")
        assert text.startswith(f"{place}: "), said
        assert words in text, said
    assert all(code for *_, code in result["problems"]), "every problem has a word for machines"
    assert result["peak"] < 256 * 2**20


def test_there_are_enough_cases() -> None:
    """The table is as long as promised, and no name hides another case."""
    assert len(CASES) > 45
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_good_project_has_no_problem(tmp_path: Path) -> None:
    """What the cases are written over is itself without mistakes."""
    write(tmp_path, {})
    assert validate_project(tmp_path) == []


@pytest.mark.parametrize("name", ["passwd", "billion laughs", "kind of later"])
def test_the_command_line_refuses_without_a_traceback(name: str, tmp_path: Path) -> None:
    """``gitkitchen validate`` ends with 2 and says where, the whole process within the same limits."""
    write(tmp_path, next(c.files for c in CASES if c.name == name))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        if sys.platform == "linux":
            resource.setrlimit(resource.RLIMIT_AS, (256 * 2**20, 256 * 2**20))

    done = subprocess.run(
        [sys.executable, "-m", "gitkitchen", "-C", str(tmp_path), "validate"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert f"{RECIPE}:" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_thousands_of_mistakes_cost_little(tmp_path: Path) -> None:
    """Where everything is wrong, the first hundred mistakes of each sort are told within the limits."""
    names = [f"node_{number}" for number in range(1_200)]
    nodes = "".join(
        f'  {n}: {{run: ls, needs: [x{n}, {n}, {names[i - 1]}], with: {{v: "${{{{ vars.x{n} }}}}"}}}}\n'
        for i, n in enumerate(names)
    )
    given = "".join(f"  {name}: 1\n" for name in names)
    many = "".join(f"  e{number}: {{branch: b, from: f{number}}}\n" for number in range(1_200))
    kitchen = f"version: 1\nproject: {{name: x, id: 0123456789abcdef}}\nenvironments:\n{many}"
    write(tmp_path, {"kitchen.yml": kitchen, RECIPE: f"version: 1\nrecipe: r\nvars:\n{given}nodes:\n{nodes}"})
    script = Path(__file__).with_name("limited.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=True
    )
    (result,) = json.loads(done.stdout)
    assert "traceback" not in result, result["traceback"]
    assert 100 < len(result["problems"]) <= 500
