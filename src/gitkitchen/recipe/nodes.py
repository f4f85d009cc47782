"""The kinds of nodes: the value of the kind's key becomes a normalised ``NodeSpec.config``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gitkitchen.recipe.desk import Desk, Keys, Unusable
from gitkitchen.recipe.foreign import read_dbt, read_results

Config = dict[str, Any]
Reader = Callable[[Desk, Any, Keys], Config]

_FUNCTION = re.compile(r"[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*\Z")
_PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,199}\Z")
_TABLE = re.compile(r"[^.\0\"]{1,63}\.[^.\0\"]{1,63}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_CSV = frozenset({"delimiter", "quote", "escape", "header", "nulls", "types", "skip", "encoding"}) | {
    "decimal",
    "dateformat",
    "timestampformat",
    "sample_rows",
}
_OPTIONS = {"csv": _CSV, "json": frozenset({"format"}), "parquet": frozenset[str]()}
_VALUES = "values never become code; give them with `with:` or `env:`"


def _source(desk: Desk, value: Any, path: Keys) -> Config:
    value = desk.value(value, path)
    ways = [k for k in ("file", "url", "python", "table") if k in value]
    if len(ways) != 1 or ("package" in value and ways != ["file"]):
        said = " and ".join(k for k in ("package", *ways) if k in value) or "nothing"
        hint = "say one of file, package with file, url, python, table"
        desk.wrong(path, f"it must say where the data is, and says {said}", hint, "several-kinds")
        raise Unusable
    way = "package" if "package" in value else ways[0]
    config: Config = {"from": way}
    if way == "file":
        config["file"] = desk.file(value["file"], (*path, "file"), folders=True)
    elif way == "package":
        config |= _package(desk, value, path)
    elif way == "url":
        if not re.match(r"https?://[^\s]+\Z", value["url"]):
            hint = "an address begins with https:// or http://"
            desk.wrong((*path, "url"), f"'{value['url'][:80]}' is no address", hint, "bad-url")
            raise Unusable
        config["url"] = value["url"]
    elif way == "table":
        return {"from": "table", **_table(desk, value, path)}
    else:
        config |= _python(desk, value["python"], (*path, "python"))
    if "watch" in value:
        desk.wrong((*path, "watch"), "only a table in place is watched", "remove it", "not-for-kind")
    if "digest" in value:
        config["digest"] = value["digest"]
    config["format"] = value.get("format")
    config["options"] = _options(desk, value, path, way)
    return config


def _table(desk: Desk, value: Mapping[str, Any], path: Keys) -> Config:
    """A table in place. Nothing is read from a file, so that the keys of files mean nothing."""
    if not _TABLE.match(value["table"]) or value["table"].startswith("gitkitchen_store."):
        hint = "write schema.name, as in psql"
        desk.wrong((*path, "table"), f"'{value['table'][:80]}' is no table of others", hint, "bad-table")
        raise Unusable
    for key in ("format", "options", "digest"):
        if key in value:
            desk.wrong((*path, key), f"a table in place has no `{key}`", "remove it", "not-for-kind")
    return {"table": value["table"], "watch": value.get("watch"), "format": None, "options": {}}


def _package(desk: Desk, value: Mapping[str, Any], path: Keys) -> Config:
    name, file = value["package"], value["file"]
    if not _PACKAGE.match(name):
        desk.wrong((*path, "package"), f"'{name[:80]}' is no name of a package", "", "bad-package")
        raise Unusable
    if file.startswith(("/", "\\")) or ".." in file.replace("\\", "/").split("/") or "\0" in file:
        hint = "write it relative to the package's folder"
        desk.wrong((*path, "file"), f"the path '{file[:80]}' leaves the package", hint, "bad-path")
        raise Unusable
    return {"package": name, "file": file}


def _options(desk: Desk, value: Mapping[str, Any], path: Keys, way: str) -> Config:
    """The options of a source, all of them for its format (guessed from the name, where it is not said)."""
    options = dict(value.get("options") or {})
    form = value.get("format")
    if options and way == "python":
        desk.wrong(
            (*path, "options"), "a function returns data, there is nothing to read", "", "not-for-kind"
        )
    elif form:
        for name in sorted(options.keys() - _OPTIONS[form]):
            known = ", ".join(sorted(_OPTIONS[form])) or "none"
            hint = f"options of {form}: {known}"
            desk.wrong((*path, "options", name), f"'{name}' is no option of {form}", hint, "unknown-key")
    return options


def _sql(desk: Desk, value: Any, path: Keys) -> Config:
    hint = f"write $name in the SQL and `with: {{name: …}}`; {_VALUES}"
    desk.plain(value, path, "SQL is code", hint)
    stripped = value.strip()
    if stripped.lower().endswith(".sql") and "\n" not in stripped:
        file, text = desk.text_of(stripped, path)
        if not text.strip():
            desk.wrong(path, f"'{stripped[:80]}' is empty", "write a query into it", "empty-sql")
            raise Unusable
        if "${{" in text:
            line = text.count("\n", 0, text.index("${{")) + 1
            message = f"an expression cannot stand in SQL (line {line} of '{stripped[:80]}')"
            desk.wrong(path, message, hint, "misplaced-expression")
            raise Unusable
        return {"file": file, "text": text, "line": 1}
    if not stripped:
        desk.wrong(path, "the query is empty", "", "empty-sql")
        raise Unusable
    return {"file": None, "text": value, "line": desk.document.text_line(*path)}


def _python(desk: Desk, value: Any, path: Keys) -> Config:
    desk.plain(value, path, "it names code", _VALUES)
    if not _FUNCTION.match(value):
        desk.wrong(path, f"'{value[:80]}' must be file.py:function", "", "wrong-value")
        raise Unusable
    file, _, function = value.rpartition(":")
    return {"file": desk.file(file, path), "function": function}


def _run(desk: Desk, value: Any, path: Keys) -> Config:
    command, at = (value["command"], (*path, "command")) if isinstance(value, dict) else (value, path)
    desk.plain(command, at, "a command is code", _VALUES)
    if not command.strip():
        desk.wrong(path, "the command is empty", "", "wrong-value")
        raise Unusable
    return {"command": command, "shell": value.get("shell", "bash") if isinstance(value, dict) else "bash"}


def _pytest(desk: Desk, value: Any, path: Keys) -> Config:
    whole = value if isinstance(value, dict) else {"file": value}
    at = (*path, "file") if isinstance(value, dict) else path
    desk.plain(whole["file"], at, "it names code", "")
    args = desk.value(whole.get("args") or [], (*path, "args"))
    return {"file": desk.file(whole["file"], at), "args": [str(a) for a in args]}


KINDS: dict[str, Reader] = {
    "source": _source,
    "sql": _sql,
    "python": _python,
    "run": _run,
    "pytest": _pytest,
    "results": read_results,
    "dbt": read_dbt,
}
"""Kind -> the reader of its key."""
