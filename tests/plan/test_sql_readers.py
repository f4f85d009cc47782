"""Processes of their own read SQL that is not known yet, and nobody can tell who read it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gitkitchen.plan.sql_readers import LEAST, early
from shop import KITCHEN_YML, Shop

TEXTS = [
    "select 1 as one",
    "select a, $limit as b from orders join lines using (id)",
    "select * from read_csv('/etc/passwd')",
    "select random() as r from items using sample 3",
    "selct nothing",
    "select '\ud800' as alone",
    "",
    "select " + "(" * 300 + "1" + ")" * 300,
]
CORES = "from gitkitchen import process; process.os.sched_getaffinity = lambda _: set(range({}));"
BY_OTHERS = """
import json, os, signal, sys
from gitkitchen.plan.sql_reading import read
from gitkitchen.plan.sql_readers import SqlReaders
texts = json.loads(sys.stdin.read())
here = {text: read(text) for text in texts}
for kill in (False, True):
    with SqlReaders() as readers:
        readers.start(2)
        if kill:
            os.kill(readers._processes[0].number, signal.SIGKILL)
        readers.begin(texts, "duckdb")
        found = readers.finish()
        print(len(readers._processes), len(found), found.items() <= here.items())
"""


def python(program: str, folder: Path, *, cores: int = 2, said: str = "") -> str:
    """What a program prints in a Python of its own, which no test's threads keep from being copied."""
    argv = [sys.executable, "-c", CORES.format(cores) + program]
    done = subprocess.run(
        argv, cwd=folder, input=said, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_reads_as_it_is_read_here(tmp_path: Path) -> None:
    """Two processes find in each text what one finds here; the texts of one that is killed are left out."""
    printed = python(BY_OTHERS, tmp_path, said=json.dumps(TEXTS))
    assert printed.splitlines() == ["2 8 True", "2 4 True"]


def test_a_plan_is_the_same_whoever_read_its_sql(tmp_path: Path) -> None:
    """A recipe of more texts than one process is worth, and mistakes in two, is judged alike by all."""
    nodes = {f"n{i}": {"sql": f"select {i} as id"} for i in range(2 * LEAST)}
    nodes["first"] = {"sql": "selct 1"}
    nodes["second"] = {"sql": "select 1; drop table x"}
    recipe = {"version": 1, "recipe": "many", "nodes": nodes}
    shop = Shop.begun(tmp_path / "shop")
    shop.write({"kitchen.yml": KITCHEN_YML, "recipes/many/recipe.yml": json.dumps(recipe)})
    program = "from gitkitchen.cli.main import main; main(['validate'])"
    alone = python(program, shop.root, cores=1)
    shutil.rmtree(shop.root / ".gitkitchen")
    together = python(program + "; import sys; print('sqlglot' in sys.modules)", shop.root)
    assert together == alone + "False\n" or together == "False\n" + alone
    assert "recipes/many/recipe.yml" in alone
    assert alone.count("recipe.yml:") == 2


@pytest.mark.parametrize("recipe", [None, "delays"])
def test_one_begins_early_where_nothing_is_known(tmp_path: Path, recipe: str | None) -> None:
    """It loads before the command has; not where facts of the recipe are kept, and not outside a project."""
    program = "from pathlib import Path; from gitkitchen.plan.sql_readers import early; "
    program += f"print(len(early(Path('.'), {recipe!r})._processes))"
    below = tmp_path / "below"
    below.mkdir()
    assert python(program, below) == "0\n"
    (tmp_path / "kitchen.yml").write_text("version: 1\n")
    assert python(program, below) == "1\n"
    assert python(program, below, cores=1) == "0\n"
    known = tmp_path / ".gitkitchen" / "cache" / "plan"
    known.mkdir(parents=True)
    assert python(program, below) == "1\n"
    (known / "delays.json").write_text("{}")
    assert python(program, below) == "0\n"


def test_no_process_is_started_where_other_threads_are(tmp_path: Path) -> None:
    """Their locks would stay locked in a copy: the texts are read here."""
    (tmp_path / "kitchen.yml").write_text("version: 1\n")
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        with early(tmp_path, None) as readers:
            readers.begin(TEXTS * LEAST, "duckdb")
            assert readers.finish() == {}
    finally:
        end.set()
        other.join()
