"""The rooms of the design, read from every import: they point downward only, and libraries have owners."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "gitkitchen"

# From the top of the house to its ground; a room may import itself and every room on a line below its own.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"ci"},
    {"production"},
    {"road"},
    {"flow", "difference", "upkeep", "showing"},
    {"reading", "holdings", "declared", "policing"},
    {"past"},
    {"workplace", "start"},
    {"offering", "automation"},
    {"alerts", "exports", "page"},
    {"report"},
    {"promote"},
    {"run"},
    {"controls", "plan"},
    {"premises", "trees"},
    {"data"},
    {"ledger"},
    {"recipe"},
    {"schedule"},
    {"kitchen"},
    {"merging", "history"},
    {"plumbing"},
    {"objects", "github"},
    {"answers", "git", "document", "plugins", "shipped"},
    {"files", "locks"},
    {"supervision"},
    {"switchboard"},
    {"process", "supervisor", "turns"},
    {"printed"},
    {"model", "finding"},
    {"errors"},
    {"frozen"},
    {"__init__"},
]
OWNERS = {
    "subprocess": {"process", "switchboard"},
    "yaml": {"document"},
    "jsonschema": {"document"},
    "referencing": {"document"},
    "github": {"github/asking"},  # PyGithub
    "duckdb": {"data", "run/child", "run/dbt_child", "run/pytest_plugin"},
    "sqlglot": {"plan/sql_reading", "plan/sql_meaning", "plan/lineage", "data/engines/postgres_sql"},
    "psycopg": {
        *(f"data/engines/postgres{part}" for part in ("", "_changes", "_cursor", "_locks", "_server")),
        *(f"data/engines/postgres{part}" for part in ("_taking", "_versions", "_views")),
    },
    "cronsim": {"schedule/cron"},
    "multiprocessing": {"page/sharing"},
    "rich": {"report", "cli"},
    "jinja2": {"report", "page/rendering"},
    "markdown_it": {"report", "page/markdown"},
    "junit_xml": {"report"},
    "requests": {"data/stores/http"},
    "smtplib": {"alerts/channels/smtp"},
    "openlineage": {"exports/openlineage", "exports/sending"},
    "opentelemetry": {"exports/opentelemetry", "exports/sending"},
    "s3fs": {"data/stores/objects"},
    "botocore": {"data/stores/objects"},
}
MODULES = sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def parsed(path: Path) -> tuple[ast.AST, ...]:
    """Everything in a file, from its top down."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imported(path: Path) -> frozenset[str]:
    """Every module name that a file imports, wherever in the file it does."""
    names: set[str] = set()
    typing_only = {
        id(inner)
        for node in parsed(path)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in parsed(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if id(node) not in typing_only}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            if module == "gitkitchen":
                names |= {f"gitkitchen.{alias.name}" for alias in node.names}
            elif id(node) not in typing_only or module.startswith("gitkitchen"):
                names.add(module)
    return frozenset(names)


def test_imports_point_downward() -> None:
    """A room imports itself and rooms below it, never one beside or above it."""
    for path in MODULES:
        level = {name: floor for floor, names in enumerate(FLOORS) for name in names}
        own = room(path)
        assert own in level, f"room {own} has no floor in this test"
        for name in imported(path):
            if name.startswith("gitkitchen."):
                other = name.split(".")[1]
                if other == "__version__":
                    continue
                assert other == own or level[other] > level[own], f"{path.name} of {own} imports {name}"


def test_libraries_have_owners() -> None:
    """A library that has an owner is imported by its owner alone."""
    for path in MODULES:
        place = str(path.relative_to(SOURCE)).removesuffix(".py")
        for name in imported(path):
            owners = OWNERS.get(name.split(".")[0])
            if owners is not None:
                assert room(path) in owners or place in owners, f"{place} imports {name}"


def test_only_the_cli_prints_and_exits() -> None:
    """Library code returns and raises; printing and exiting are the command line's."""
    for path in MODULES:
        if room(path) in {"cli", "__main__"} or path.name in {"child.py", "pytest_plugin.py"}:
            continue
        for node in parsed(path):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
                continue
            called = ast.unparse(node.func)
            if called == "os._exit" and room(path) == "process":
                continue  # the end of a copy of ours that it made
            assert called not in {"print", "exit", "sys.exit", "os._exit"}, (
                f"{path}:{getattr(node, 'lineno', 0)} calls {called}"
            )
