"""What a node's files say: the parts of its meaning that are read from the repository, and its inputs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path, PurePosixPath

from gitkitchen.errors import Place, Problem
from gitkitchen.files import digest, digest_file, inside, matching
from gitkitchen.frozen import dataclass
from gitkitchen.model import NodeSpec, Recipe, TestSpec
from gitkitchen.plan.cache import FactCache
from gitkitchen.plan.dbt import problems_of, project_files, versions
from gitkitchen.plan.fingerprint import sql_texts, tool_version
from gitkitchen.plan.python import PythonFacts, python_meaning
from gitkitchen.plan.sql import analyse
from gitkitchen.plan.sql_facts import UNREAD, SqlFacts
from gitkitchen.process import search_path

_TOOLS = {"sql": ("duckdb",), "source": ("duckdb",), "python": ("duckdb", "python")}
_TOOLS["pytest"] = ("duckdb", "python")
_PATHS = re.compile(r"[^\s'\"`;|&<>()=,:$]+")
_PYTHON = re.compile(r"(?<![\w./-])python[0-9.]*(?![\w/])|\S\.py\b")
_RUNS_PYTHON = re.compile(r"(?<![\w./-])python[0-9.]*\s")
_DOCUMENTS = re.compile(r"doctest|pydoc")
_OURS = {"__pycache__", ".git", ".gitkitchen"}
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_QUERY = re.compile(r"\s*\(?\s*(select|with|from|values)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """The parts that a node's files give to its definition, and what was found out on the way.

    ``notes`` are sentences for people that stand with the reasons of the node's step.
    """

    parts: Mapping[str, str]
    sql: SqlFacts | None = None
    python: PythonFacts | None = None
    tests: tuple[TestSpec, ...] = ()
    problems: tuple[Problem, ...] = ()
    test_tables: Mapping[str, Place] = field(default_factory=dict)
    """Datasets that only the SQL of tests names, with the place of the test."""
    notes: tuple[str, ...] = ()


def gather(
    root: Path, recipe: Recipe, node: NodeSpec, cache: FactCache, warehouse: tuple[str, str] | None = None
) -> NodeFacts:
    """Read what one node's files say. Mistakes are in ``problems``; nothing is raised.

    ``warehouse`` is the engine that runs its SQL, with its version; None: DuckDB.
    """
    dialect = warehouse[0] if warehouse else "duckdb"
    parts: dict[str, str] = {}
    problems: list[Problem] = []
    sql = python = None
    notes: tuple[str, ...] = ()
    if node.kind == "sql":
        sql, found, notes = _sql(node, cache, dialect)
        parts["sql"] = sql.meaning
        problems += found
    file = node.config.get("file")
    if node.kind in ("python", "pytest") or node.config.get("from") == "python":
        python = python_meaning(
            str(file), node.config.get("function"), root, cache=cache, documented=_documented(node)
        )
        problems += python.problems
        parts.update(python.parts)
    if node.kind == "pytest":
        parts.update(_conftest(root, str(file), cache))
    if node.kind == "run":
        parts.update(_command_parts(root, recipe.folder, str(node.config.get("command", "")), cache))
    if node.kind == "dbt":
        found_files, said = project_files(root, str(node.config.get("project") or "."))
        problems += problems_of(node, said)
        parts.update({f"file:{path}": _content(root / path) for path in found_files})
        parts.update(versions(node, root, search_path(os.environ.get("PATH", os.defpath))))
    problems += _no_output(recipe, node)
    for path in named_files(root, recipe.folder, node):
        parts[f"file:{path}"] = _content(root / path)
    parts.update({f"tool:{tool}": tool_version(tool) for tool in _tools(node)})
    if warehouse:
        # Whatever a node is, its tables lie there: no build of one engine is ever another's.
        parts[f"tool:{dialect}"] = warehouse[1]
        problems += _not_there(node, dialect)
    elif node.config.get("from") == "table":
        message = f"source '{node.name}': a table in place needs a warehouse to stand in"
        hint = "declare `connections: {warehouse: {type: postgres, dsn: …}}` in kitchen.yml"
        problems.append(Problem(message, node.place, hint, "no-warehouse"))
    tests, tables, wrong = _tests(node, cache, dialect)
    return NodeFacts(parts, sql, python, tests, tuple(problems + wrong), tables, notes)


def sql_of(node: NodeSpec) -> Iterator[str]:
    """Every SQL text that ``gather`` will analyse for a node."""
    if node.kind == "sql":
        yield str(node.config["text"])
    for spec in node.tests:
        yield from (_as_query(spec, name, text) for name, text in sql_texts(spec).items())


def _not_there(node: NodeSpec, engine: str) -> Iterator[Problem]:
    """What a warehouse of this version cannot do."""
    if node.materialize.mode == "partitions" and node.datasets:
        message = f"node '{node.name}': partitions are not available on a {engine} warehouse in this version"
        yield Problem(message, node.place, "write `materialize: table`", "not-available")
    if node.kind == "dbt":
        message = f"node '{node.name}': dbt is not available on a {engine} warehouse in this version"
        yield Problem(message, node.place, "dbt nodes are for projects that run on DuckDB", "not-available")


def _no_output(recipe: Recipe, node: NodeSpec) -> Iterator[Problem]:
    """Results of nodes that are no file which a node of this recipe makes."""
    for name in node.config.get("of") or ():
        maker = recipe.nodes.get(recipe.datasets.get(name, ""))
        file = maker.datasets.get(name) if maker else None
        if file is None or file.endswith(".parquet"):
            message = (
                f"node '{node.name}', results: '{name[:80]}' is no file that a node of this recipe makes"
            )
            hint = "declare it in that node: `outputs: {name: file.xml}`"
            yield Problem(message, node.place, hint, "unknown-dataset")


def _documented(node: NodeSpec) -> bool:
    """Whether a pytest node's arguments say that docstrings are tests."""
    return node.kind == "pytest" and _DOCUMENTS.search(str(node.config.get("args") or "")) is not None


def _tools(node: NodeSpec) -> tuple[str, ...]:
    if node.kind == "run":
        return ("python",) if _PYTHON.search(str(node.config.get("command", ""))) else ()
    return _TOOLS.get(node.kind, ())


# --- files --------------------------------------------------------------------------------------


def named_files(root: Path, folder: str, node: NodeSpec) -> tuple[str, ...]:
    """The files that a node's ``files:`` names (files, folders, patterns), relative to ``root``.

    Paths are relative to ``root``, or else to ``folder``, the recipe's. What does not exist is left out.
    """
    found: dict[str, None] = {}
    for name in node.files:
        candidates = [name]
        with contextlib.suppress(ValueError):
            candidates.append(inside(root, name, base=folder))
        for candidate in candidates:
            paths = sorted(_expand(root, candidate))
            found.update(dict.fromkeys(paths))
            if paths:
                break
    return tuple(found)


def command_files(root: Path, folder: str, command: str) -> tuple[str, ...]:
    """The files and folders' files that a shell command names, as its recipe's folder sees them."""
    found: dict[str, None] = {}
    for word in _PATHS.findall(command):
        try:
            path = inside(root, word, base=folder)
        except ValueError:
            continue
        if path not in (".", folder):  # `.` is the private folder, not all that lies beside the recipe
            found.update(dict.fromkeys(sorted(_expand(root, path))))
    return tuple(found)


def _expand(root: Path, name: str) -> Iterator[str]:
    """The files that a path relative to ``root`` stands for: itself, a folder's, a pattern's."""
    try:
        mode = _mode(f"{root}/{name}")  # as text: it is asked for each word of each command
        if stat.S_ISREG(mode):
            yield PurePosixPath(name).as_posix()
        elif stat.S_ISDIR(mode):
            yield from _files(root, (root / name).rglob("*"))
        elif set(name) & set("*?["):
            yield from _files(root, matching(root, name))
    except (OSError, ValueError, NotImplementedError):
        return  # no path at all, such as a pattern or a word of a command that is too long for one


def _files(root: Path, found: Iterable[Path]) -> Iterator[str]:
    """The files among what was found below ``root``, without those of Git, of Python's cache and of ours."""
    for path in found:
        below = path.relative_to(root)
        if not _OURS & set(below.parts) and path.is_file():
            yield below.as_posix()


def _mode(path: str) -> int:
    """What a path stands for; 0 for nothing."""
    try:
        return os.stat(path).st_mode  # noqa: PTH116
    except OSError as error:
        if error.errno in _NOT_THERE:
            return 0
        raise


def _content(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError:
        return "unreadable"


def _command_parts(root: Path, folder: str, command: str, cache: FactCache) -> dict[str, str]:
    """The files that a command names: Python that Python runs by its meaning, others by content."""
    parts: dict[str, str] = {}
    documented = _DOCUMENTS.search(command) is not None
    runs_python = _RUNS_PYTHON.search(command) is not None
    for path in command_files(root, folder, command):
        if runs_python and path.endswith(".py"):
            facts = python_meaning(path, None, root, cache=cache, documented=documented)
            if not facts.problems:
                parts.update(facts.parts)
                continue
        parts[f"file:{path}"] = _content(root / path)
    return parts


def _conftest(root: Path, file: str, cache: FactCache) -> dict[str, str]:
    """pytest loads every ``conftest.py`` from the repository's top down to its test module."""
    parts: dict[str, str] = {}
    for folder in PurePosixPath(file).parents:
        path = (folder / "conftest.py").as_posix()
        if (root / path).is_file():
            parts.update(python_meaning(path, None, root, cache=cache).parts)
    return parts


# --- SQL ----------------------------------------------------------------------------------------


def _sql(node: NodeSpec, cache: FactCache, dialect: str) -> tuple[SqlFacts, list[Problem], tuple[str, ...]]:
    """A SQL node's facts. What only the engine can read is taken with the inputs that ``needs`` names."""
    file = node.config.get("file") or node.place.file
    line = int(node.config.get("line") or 1)
    facts = analyse(str(node.config["text"]), file=file, line=line, cache=cache, dialect=dialect)
    problems = list(facts.problems)
    notes: tuple[str, ...] = ()
    if facts.problems and node.needs and all(p.code == UNREAD for p in facts.problems):
        notes = (f"its inputs are those in needs, for they cannot be inferred ({facts.problems[0]})",)
        problems = []
    if facts.impure and not node.volatile:
        calls = ", ".join("a sample" if name == "sample" else f"{name}()" for name in facts.impure)
        notes += (f"calls {calls} and is kept all the same; `volatile: true` runs it every time",)
    problems += _parameter_problems(node, facts, file)
    return facts, problems, notes


def _parameter_problems(node: NodeSpec, facts: SqlFacts, file: str) -> Iterator[Problem]:
    for name in facts.parameters:
        if name in node.params:
            continue
        from difflib import get_close_matches  # late: a recipe without mistakes does not pay for it

        near = get_close_matches(name, node.params, n=1)
        hint = f"did you mean '${near[0]}'?" if near else f"add `with: {{{name}: …}}` to node '{node.name}'"
        place = Place(file, int(node.config.get("line") or 1))
        yield Problem(f"${name} has no value in `with:` of node '{node.name}'", place, hint, "sql-param")


def _tests(
    node: NodeSpec, cache: FactCache, dialect: str
) -> tuple[tuple[TestSpec, ...], dict[str, Place], list[Problem]]:
    """A node's tests with all that they read, the tables that their SQL names, and its mistakes."""
    completed: list[TestSpec] = []
    tables: dict[str, Place] = {}
    problems: list[Problem] = []
    for spec in node.tests:
        place = spec.place or node.place
        read = [spec.dataset, *spec.reads]
        read += [spec.args[k] for k in ("relative_to", "to_dataset") if isinstance(spec.args.get(k), str)]
        for name, text in sql_texts(spec).items():
            query, line = _as_query(spec, name, text), place.line or 1
            facts = analyse(query, file=place.file, line=line, cache=cache, dialect=dialect)
            # A text within YAML can stand on any of several lines: its problems point to the test.
            said = f"in a test's `{name}`: "
            problems += [replace(p, place=place, message=said + p.message) for p in facts.problems]
            if spec.kind == "expect":
                problems += _beyond(spec.dataset, facts, place)
                continue
            for table in facts.tables:
                read.append(table.name)
                tables.setdefault(table.name, place)
        reads = tuple(dict.fromkeys(name for name in read if name))
        completed.append(spec if reads == spec.reads else replace(spec, reads=reads))
    return tuple(completed), tables, problems


def expression_problems(dataset: str, expression: str, place: Place) -> list[Problem]:
    """What is wrong with an aggregate over one dataset that is compared with what it was."""
    facts = analyse(f'select (\n{expression}\n) from "{dataset}"', file=place.file, line=place.line or 1)
    said = f"in `{' '.join(expression.split())[:80]}`: "
    found = [replace(p, place=place, message=said + p.message) for p in facts.problems]
    return [*found, *_beyond(dataset, facts, place)]


def _beyond(dataset: str, facts: SqlFacts, place: Place) -> Iterator[Problem]:
    """It is taken twice, before and after: what else it read would be of one time only."""
    for table in facts.tables:
        if table.name != dataset:
            message = f"an expectation's expression reads '{table.name}' beside '{dataset}'"
            hint = "an expression that is compared with the base reads the dataset alone"
            yield Problem(message, place, hint, "not-for-kind")


def _as_query(spec: TestSpec, name: str, text: str) -> str:
    """A test's SQL as a query: as it stands, or as an expression or a condition over its dataset."""
    if name == "where":
        return f'select 1 from "{spec.dataset}" where (\n{text}\n)'
    if name == "sql" and spec.kind == "no_rows":
        return text
    return text if _QUERY.match(text) else f'select (\n{text}\n) from "{spec.dataset}"'


def source_digest_part(content: str | None) -> dict[str, str]:
    """The part of a source's definition that its content gives; none where it has no digest."""
    return {} if content is None else {"source": digest(content)}
