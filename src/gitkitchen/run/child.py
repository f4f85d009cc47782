"""What runs inside the process of a Python or pytest node. Started as a script, with one argument: a
JSON file that says what to do. It imports nothing of GitKitchen, so that the user's code meets only itself.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import traceback
import typing
from pathlib import Path
from typing import Any

_KINDS = {
    "duckdb": "relation",
    "_duckdb": "relation",
    "pyarrow": "arrow",
    "pa": "arrow",
    "pandas": "pandas",
    "pd": "pandas",
    "polars": "polars",
    "pl": "polars",
    "pathlib": "path",
    "Path": "path",
}


class Complaint(Exception):
    """Something to tell the user that is no error of their code's own. ``line`` in their file, 0 unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class Kitchen:
    """The datasets that a node reads, by name."""

    def __init__(self, inputs: dict[str, list[str]], params: dict[str, Any]) -> None:
        self._inputs = inputs
        self._connection: Any = None
        self.params = params
        """The values of ``with:``."""

    @property
    def connection(self) -> Any:
        """A DuckDB connection in which each table of the inputs is a view by its name."""
        if self._connection is None:
            import duckdb

            self._connection = duckdb.connect(":memory:")
            self._connection.execute("SET TimeZone = 'UTC'")
            for name, paths in self._inputs.items():
                if paths[0].endswith(".parquet"):
                    relation = self._connection.read_parquet(paths, hive_partitioning=False)
                    relation.create_view(name)
        return self._connection

    def table(self, name: str) -> Any:
        """A dataset as a DuckDB relation."""
        self.paths(name)
        return self.connection.table(name)

    def sql(self, query: str, **values: Any) -> Any:
        """The answer of a query, in which datasets are named and ``$name`` stands for ``values``."""
        return self.connection.sql(query, params=values or None)

    def paths(self, name: str) -> list[Path]:
        """The files of a dataset."""
        if name not in self._inputs:
            known = ", ".join(sorted(self._inputs)) or "none"
            raise LookupError(f"there is no input '{name}' (there are: {known}); name it in `needs:`")
        return [Path(p) for p in self._inputs[name]]

    def path(self, name: str) -> Path:
        """The one file of a dataset; a dataset of several files has ``paths``."""
        paths = self.paths(name)
        if len(paths) != 1:
            raise LookupError(f"'{name}' has {len(paths)} files; use kitchen.paths('{name}')")
        return paths[0]


def load(top: Path, file: str) -> Any:
    """Import the user's file as the repository's import statements would see it."""
    path = top / file
    for folder in (str(top), str(path.parent)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def arguments(function: Any, kitchen: Kitchen, inputs: dict[str, list[str]]) -> dict[str, Any]:
    """The function's parameters by name: inputs in the form that their annotation asks for, and values."""
    line = function.__code__.co_firstlineno if hasattr(function, "__code__") else 0
    given: dict[str, Any] = {}
    hints = _hints(function)
    rest = False
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            rest = True
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise Complaint(f"its parameter '{name}' cannot be given by name; use a plain one", line)
        elif name in kitchen.params:
            given[name] = kitchen.params[name]
        elif name in inputs:
            given[name] = _in_form(kitchen, name, hints.get(name))
        elif name == "kitchen":
            given[name] = kitchen
        elif parameter.default is parameter.empty:
            known = ", ".join(sorted({*inputs, *kitchen.params})) or "none"
            raise Complaint(
                f"its parameter '{name}' is no input and has no value in `with:` (known: {known})", line
            )
    if rest:
        given |= {n: v for n, v in kitchen.params.items() if n not in given}
        given |= {n: _in_form(kitchen, n, None) for n in inputs if n not in given}
    return given


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - names imported for type checkers only: their text says enough
        return dict(getattr(function, "__annotations__", {}))


def _in_form(kitchen: Kitchen, name: str, hint: Any) -> Any:
    for choice in typing.get_args(hint) if typing.get_origin(hint) is not None else ():
        if choice is not type(None):
            hint = choice
            break
    text = hint if isinstance(hint, str) else getattr(hint, "__module__", "")
    kind = _KINDS.get(text.strip("'\"").split(".")[0].split("[")[0], "relation")
    what = hint.split(".")[-1] if isinstance(hint, str) else getattr(hint, "__name__", "")
    if kind == "path" or not str(kitchen.paths(name)[0]).endswith(".parquet"):
        return kitchen.path(name)
    table = kitchen.table(name)
    if kind == "arrow":
        return table.to_arrow_table().to_reader() if what == "RecordBatchReader" else table.to_arrow_table()
    if kind == "pandas":
        return table.df()
    if kind == "polars":
        return table.pl().lazy() if what == "LazyFrame" else table.pl()
    return table


def save(kitchen: Kitchen, value: Any, path: str, what: str) -> None:
    """Write what a function returned as Parquet: relation, Arrow, pandas, polars, or a list of dicts."""
    if value is None:
        raise Complaint(f"{what} is None; return a relation, an Arrow table, a data frame or a list of dicts")
    root = type(value).__module__.split(".")[0].lstrip("_")
    if isinstance(value, (list, tuple)):
        relation = _from_rows(kitchen, value, what)
    elif root == "duckdb" and hasattr(value, "write_parquet"):
        relation = value
    elif root == "pandas" and hasattr(value, "columns"):
        relation = kitchen.connection.from_df(value)
    elif root == "pyarrow":
        relation = kitchen.connection.from_arrow(value)
    elif root == "polars" and hasattr(value, "columns"):
        relation = kitchen.connection.from_arrow(
            (value.collect() if hasattr(value, "collect") else value).to_arrow()
        )
    else:
        kind = type(value).__name__
        raise Complaint(
            f"{what} is of type {kind}; return a relation, an Arrow table, a data frame or a list of dicts"
        )
    relation.write_parquet(path)


def _from_rows(kitchen: Kitchen, rows: Any, what: str) -> Any:
    if not rows:
        raise Complaint(f"{what} is an empty list, which has no columns; return a relation or a data frame")
    if not all(isinstance(row, dict) and row for row in rows):
        raise Complaint(f"{what} is a list of other things than dicts")
    columns = list(dict.fromkeys(str(name) for row in rows for name in row))
    table = [{name: row.get(name) for name in columns} for row in rows]
    return kitchen.connection.sql("SELECT unnest(r) FROM (SELECT unnest($1) AS r)", params=[table])


def run_function(task: dict[str, Any]) -> None:
    """Call the user's function and write its outputs."""
    kitchen = Kitchen(task["inputs"], task["params"])
    module = load(Path(task["top"]), task["file"])
    function = getattr(module, task["function"], None)
    if not callable(function):
        raise Complaint(f"there is no function '{task['function']}' in {task['file']}")
    value = function(**arguments(function, kitchen, task["inputs"]))
    tables = task["tables"]
    if len(tables) == 1 and not isinstance(value, dict):
        ((name, path),) = tables.items()
        save(kitchen, value, path, f"what {task['function']} returned")
        return
    if tables and not isinstance(value, dict):
        raise Complaint(f"{task['function']} makes {', '.join(tables)}: return a dict with these keys")
    for name, path in tables.items():
        if name not in value:
            raise Complaint(f"{task['function']} returned a dict without '{name}'")
        save(kitchen, value[name], path, f"'{name}', which {task['function']} returned,")


def run_tests(task: dict[str, Any]) -> int:
    """Run a module of tests with pytest and write what each said."""
    spec = importlib.util.spec_from_file_location("gitkitchen_pytest_plugin", task["plugin"])
    assert spec is not None
    assert spec.loader is not None
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    try:
        import pytest
    except ImportError:
        raise Complaint("pytest is not installed here: `pip install gitkitchen[pytest]`") from None
    recorder = plugin.Recorder(task["top"])
    fixtures = plugin.fixtures(Kitchen(task["inputs"], task["params"]))
    code = int(pytest.main(task["args"], plugins=[recorder, fixtures]))
    say(task, {"tests": recorder.tests, "errors": recorder.errors, "code": code})
    return 0


def say(task: dict[str, Any], value: dict[str, Any]) -> None:
    """Write the answer; it is renamed into place, so that it is whole or absent."""
    temporary = task["answer"] + ".new"
    Path(temporary).write_text(json.dumps(value, default=str), encoding="utf-8", errors="backslashreplace")
    Path(temporary).replace(task["answer"])


def tell(task: dict[str, Any], error: BaseException) -> None:
    """Show an error as the user's own lines, and answer with the last of them."""
    top = task["top"] + os.sep
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(top)]
    if isinstance(error, SyntaxError) and (error.filename or "").startswith(top):
        place = [error.filename, error.lineno or 0]
    else:
        place = [frames[-1].filename, frames[-1].lineno or 0] if frames else ["", 0]
    lines = ["Traceback (your lines):\n", *traceback.format_list(frames)] if frames else []
    lines += traceback.format_exception_only(error)
    sys.stderr.write("".join(lines).replace(top, ""))
    message = "".join(traceback.format_exception_only(error)).strip().replace(top, "")
    if isinstance(error, SyntaxError):
        message = f"{type(error).__name__}: {error.msg}"
    say(task, {"error": message, "place": place})


def main(path: str) -> int:
    """Do what the JSON file says. 0: done; 1: the answer says what went wrong."""
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    Path(path).unlink()
    try:
        if task["kind"] == "pytest":
            return run_tests(task)
        run_function(task)
        say(task, {})
        return 0
    except Complaint as error:
        sys.stderr.write(f"{error}\n")
        say(task, {"complaint": str(error), "line": error.line})
    except SystemExit as error:
        said = f"it called exit({error.code!r}) and did not return"
        sys.stderr.write(f"{said}\n")
        say(task, {"complaint": said, "line": 0})
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises is told to the user
        tell(task, error)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
