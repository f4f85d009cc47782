"""Starting is light: commands import what they use and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lengths import some
from shop import Shop

SHOW = (
    "import sys; from gitkitchen.cli.main import main; code = main(sys.argv[1:]); "
    "print('IMPORTED', *sorted(m for m in sys.modules if '.' not in m), file=sys.stderr); sys.exit(code)"
)
RECIPE = "version: 1\nrecipe: one\nnodes:\n  one: {sql: select 1 as x, key: [x]}\n"


def imported(shop: Shop, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, "-C", str(shop.root), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(x for x in done.stderr.splitlines() if x.startswith("IMPORTED"))
    return set(line.split()[1:])


@pytest.mark.parametrize(
    "words",
    some(
        [("--help",), ("validate",), ("kitchens",), ("gc",), ("doctor", "--level", "advice")],
        ("validate",),
        ("gc",),
    ),
    ids="-".join,
)
def test_help_and_validate_load_no_engine(shop: Shop, words: tuple[str, ...]) -> None:
    """Neither the help, the check of files nor the list of kitchens loads DuckDB or PyGithub."""
    shop.commit({"recipes/one/recipe.yml": RECIPE})
    assert not imported(shop, *words) & {"duckdb", "github", "pandas", "pyarrow"}


def test_a_run_that_changes_nothing_loads_no_parser_and_no_engine(shop: Shop) -> None:
    """A warm run with nothing to do lives from its caches."""
    shop.commit({"recipes/one/recipe.yml": RECIPE})
    assert shop.cli("run").code == 0
    heavy = {"duckdb", "sqlglot", "jsonschema", "jinja2", "rich", "yaml", "pandas", "pyarrow"}
    assert not imported(shop, "run", "--quiet") & heavy


LAST = (
    "import atexit, sys, threading; atexit.register(print, 'handler ran'); "
    "work = lambda: (threading.main_thread().join(), print('thread ended')); "
    "threading.Thread(target=work, daemon=len(sys.argv) > 1).start(); sys.argv[1:] = ['schema', 'kitchen']; "
    "from gitkitchen.__main__ import start; start()"
)


def test_the_end_leaves_nothing_undone() -> None:
    """The quick end of a command prints all, runs what waits for the end, and waits for a thread at work."""
    for words, waited in (("a",), False), ((), True):
        argv = [sys.executable, "-c", LAST, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("{")
        assert "handler ran" in done.stdout
        assert ("thread ended" in done.stdout) == waited
