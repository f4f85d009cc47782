"""``kitchen.yml`` becomes a Project."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gitkitchen.document import Document, read, sound
from gitkitchen.document.words import MAX_PROBLEMS, near
from gitkitchen.errors import GitKitchenError, Mistake, NotAvailable, Place, Problem
from gitkitchen.files import inside, read_bounded
from gitkitchen.kitchen.alerting import alert_problems, read_alerts
from gitkitchen.kitchen.gates import problems as gate_problems
from gitkitchen.kitchen.gates import read_gate, source_of
from gitkitchen.kitchen.policy import own_problems, read_policy
from gitkitchen.kitchen.settings import duration, texts
from gitkitchen.kitchen.stores import UNVERIFIED, parse_store
from gitkitchen.model import LEAST_RETENTION, Environment, Export, PageSettings, Project

FILE = "kitchen.yml"
DEFAULT_STORE = ".gitkitchen/store"
_LOOKED_AT = 100_000
"""Bytes of the file that ``may_have`` looks at."""
_SECRET = re.compile(r"\s*\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}\s*")


def find_root(start: Path) -> Path:
    """The folder at or above ``start`` that holds ``kitchen.yml``. Raises Mistake."""
    at = start.resolve()
    for folder in (at, *at.parents):
        if (folder / FILE).is_file():
            return folder
        if (folder / ".git").exists():  # a project ends at its repository's top
            break
    if not at.is_dir():
        raise Mistake(Problem(f"there is no folder {start}", code="no-project"))
    message = f"there is no {FILE} in {start} or above"
    raise Mistake(Problem(message, None, "run `gitkitchen init` at the top of the repository", "no-project"))


def may_have(start: Path, key: str) -> bool:
    """Whether ``kitchen.yml`` above ``start`` may have a key somewhere, by its bytes alone, which is quick.

    Only no is certain. A key can be written otherwise than it reads by escapes, and in other encodings.
    """
    try:
        data = read_bounded(find_root(start) / FILE, _LOOKED_AT)
    except (GitKitchenError, OSError):
        return True  # whoever reads the file says what is wrong
    return len(data) > _LOOKED_AT or key.encode() in data or b"\\" in data or b"\0" in data


def load_project(root: Path) -> Project:
    """What ``kitchen.yml`` in ``root`` says. Raises Mistake with every problem of the file."""
    project, problems = examine(root)
    if project is None or problems:
        raise refusal(problems)
    return project


def refusal(problems: list[Problem]) -> Mistake:
    """The error for some problems: NotAvailable where nothing else is wrong."""
    only_later = all(p.code == "not-available" for p in problems)
    return NotAvailable(*problems) if only_later else Mistake(*problems)


def examine(root: Path) -> tuple[Project | None, list[Problem]]:
    """The project and every problem of its file; None where the file is too broken to go on with."""
    document, problems = read(root / FILE, FILE, "kitchen", cache=root / ".gitkitchen")
    if document is None:
        return None, problems
    more = list(itertools.islice(_problems(root, document), MAX_PROBLEMS))
    if not isinstance(document.value, dict) or any(p.code in _SHAPE for p in problems):
        return None, [*problems, *more]
    return _project(root, document), [*problems, *more]


_SHAPE = {"wrong-type", "missing-key", "invalid"}
"""After these a value has another type than what reads on expects."""


def _cut(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """What is of no use after a fault: an environment whose branch is not known, else one key."""
    whole = path[:1] == ("environments",) and path[2:] in ((), ("branch",))
    return path[:2] if whole or path[:1] != ("environments",) else path[:3]


def _project(root: Path, document: Document) -> Project:
    value = document.value
    environments = tuple(_environments(document))
    sandboxes = value.get("sandboxes") or {}
    return Project(
        root=root,
        name=value["project"]["name"],
        id=value["project"]["id"],
        environments=environments,
        sandbox_base=sandboxes.get("base") or (environments[-1].name if environments else None),
        sandbox_ttl=_ttl(sandboxes.get("ttl")),
        vars=value.get("vars") or {},
        connections=value.get("connections") or {},
        store=value.get("store", DEFAULT_STORE),
        ledger=value.get("ledger", "folder"),
        retention=_ttl((value.get("retention") or {}).get("runs")),
        pools=value.get("pools") or {},
        exports=tuple(_exports(document)),
        public_by_default=(value.get("privacy") or {}).get("default") == "public",
        policy=read_policy(value),
        alerts=read_alerts(value),
        page=_page(value.get("page")),
        places=_places(document),
    )


def _page(value: dict[str, Any] | None) -> PageSettings | None:
    if value is None:
        return None
    plain = PageSettings()
    return PageSettings(
        title=value.get("title", plain.title),
        url=value.get("url", plain.url),
        recent=_ttl(value.get("recent")) or plain.recent,
        stale_after=_ttl(value.get("stale_after")) or plain.stale_after,
    )


def _ttl(text: str | None) -> float | None:
    try:
        return duration(text) if text is not None else None
    except ValueError:  # the schema has said so
        return None


def _environments(document: Document) -> Iterator[Environment]:
    environments = document.value.get("environments") or {}
    for name, value in environments.items():
        yield Environment(
            name=name,
            branch=value["branch"],
            vars=value.get("vars") or {},
            adopt=value.get("adopt", "retest"),
            place=document.place("environments", name),
            source=source_of(name, value, list(environments)),
            gate=read_gate(value.get("gate")),
        )


def _exports(document: Document) -> Iterator[Export]:
    for kind, value in (document.value.get("exports") or {}).items():
        secret = _SECRET.fullmatch(str(value.get("token", "")))
        yield Export(
            kind=kind,
            url=value.get("url", ""),
            file=value.get("file", ""),
            secret=secret[1] if secret else "",
            sandboxes=value.get("sandboxes", False),
            seconds=float(value.get("timeout", 10)),
            place=document.place("exports", kind),
        )


def _export_problems(document: Document, exports: dict[str, Any]) -> Iterator[Problem]:
    """Where to is said once: an address, or a file."""
    for kind, value in exports.items():
        place = document.place("exports", kind)
        if not isinstance(value, dict) or ("url" in value) != ("file" in value):
            continue
        what = "both `url` and `file`" if "url" in value else "neither `url` nor `file`"
        yield Problem(f"exports.{kind} names {what}", place, "name one of them", "invalid")


def _retention_problems(document: Document, value: dict[str, Any]) -> Iterator[Problem]:
    kept = _ttl((value.get("retention") or {}).get("runs"))
    place = document.place("retention", "runs")
    if kept is not None and kept < LEAST_RETENTION:
        days = round(LEAST_RETENTION / 86400)
        yield Problem(f"retention.runs is less than {days}d", place, f"{days}d is the least", "wrong-value")
    if kept is not None and value.get("ledger", "folder") != "branch":
        hint = "write ledger: branch, or leave retention out"
        yield Problem(
            "retention is of a ledger on a branch: nothing is removed from a folder", place, hint, "invalid"
        )


def _places(document: Document) -> dict[str, Place]:
    """The place of each dotted key: few keys, read by messages and by `settings`."""
    places: dict[str, Place] = {}

    def walk(value: Any, path: tuple[str, ...]) -> None:
        for key, inner in value.items():
            here = (*path, key)
            places[".".join(here)] = document.place(*here)
            if isinstance(inner, dict):
                walk(inner, here)

    walk(document.value, ())
    return places


def _problems(root: Path, document: Document) -> Iterator[Problem]:
    """What the schema cannot say: names that must exist, branches used twice, paths."""
    value = sound(document, _cut)
    environments = value.get("environments") or {}
    names = list(document.value.get("environments") or environments) if environments else []
    branches: dict[str, str] = {}
    for name, environment in environments.items():
        yield from _branch(document, name, environment["branch"], branches)
        yield from _expressions(document, ("environments", name, "vars"), environment.get("vars"))
    yield from gate_problems(document, environments, names)
    yield from _expressions(document, ("vars",), value.get("vars"))
    base = (value.get("sandboxes") or {}).get("base")
    if base is not None and base not in names:
        place = document.place("sandboxes", "base")
        message = f"sandboxes.base is '{base[:80]}', which is no environment"
        yield Problem(message, place, _near(base, names), "unknown-name")
    yield from own_problems(document, value, names)
    yield from alert_problems(document, value, names)
    for name, connection in (value.get("connections") or {}).items():
        yield from _connection(document, name, connection)
    yield from _export_problems(document, value.get("exports") or {})
    yield from _retention_problems(document, value)
    store = value.get("store")
    if store is not None:
        yield from store_problems(root, store, document.place("store"))


def _branch(document: Document, name: str, branch: str, branches: dict[str, str]) -> Iterator[Problem]:
    place = document.place("environments", name, "branch")
    if branch in branches:
        message = f"environment '{name}': branch '{branch[:80]}' is that of environment '{branches[branch]}'"
        yield Problem(message, place, "give each environment a branch of its own", "duplicate-branch")
    branches.setdefault(branch, name)
    if not _is_branch(branch):
        yield Problem(f"environment '{name}': '{branch[:80]}' cannot be a branch", place, "", "bad-branch")


def _connection(document: Document, name: str, connection: dict[str, Any]) -> Iterator[Problem]:
    place = document.place("connections", name)
    if name != "warehouse" and connection.get("type") == "postgres":
        message = f"connections.{name}: only the connection `warehouse` can be PostgreSQL"
        yield Problem(f"{message} in this version", place, "name it warehouse", "not-available")
    elif connection.get("type") == "postgres" and "dsn" not in connection:
        hint = 'write dsn: "${{ secrets.WAREHOUSE_DSN }}"'
        yield Problem(f"connections.{name}: a postgres connection needs `dsn`", place, hint, "missing-key")
    elif connection.get("type") == "duckdb" and "dsn" in connection:
        yield Problem(
            f"connections.{name}: DuckDB has no address",
            document.place("connections", name, "dsn"),
            "remove `dsn`, or write type: postgres",
            "unknown-key",
        )


def store_problems(root: Path, store: str, place: Place | None) -> Iterator[Problem]:
    """What is wrong with the text of ``store:``."""
    try:
        address = parse_store(store)
    except LookupError:
        message = f"store: '{store[:80]}' is no store that this version knows"
        if store.partition(":")[0].lower() in UNVERIFIED:
            message = f"store: '{store[:80]}' is not available in this version"
        hint = "there are: a folder, oci://HOST/REPOSITORY, s3://BUCKET/PREFIX, file:///FOLDER"
        later = "not available" in message
        yield Problem(message, place, "" if later else hint, "not-available" if later else "bad-store")
        return
    except ValueError as error:
        shown = re.sub(r"//[^/]*@", "//***@", store)[:80]
        yield Problem(f"store: '{shown}' {error}", place, "", "bad-store")
        return
    if address.remote or address.absolute:
        return
    try:
        found = inside(root, store)
    except ValueError as error:
        yield Problem(f"store: '{store[:80]}' {error}", place, "name a folder of the repository", "bad-path")
        return
    if found == ".":
        yield Problem("store: is the repository itself", place, "name a folder of it", "bad-path")
    elif (root / found).is_file():
        yield Problem(f"store: '{store[:80]}' is a file", place, "name a folder", "bad-path")


def _expressions(document: Document, path: tuple[str | int, ...], value: Any) -> Iterator[Problem]:
    """A variable is a value: an expression in one would never be evaluated."""
    for inner, text in texts(value):
        if "${{" in text:
            message = f"{'.'.join(map(str, (*path, *inner)))}: a variable holds a value, not an expression"
            hint = "write the expression where the variable is used"
            yield Problem(message, document.place(*path, *inner), hint, "misplaced-expression")


def _is_branch(name: str) -> bool:
    """Whether Git would take the name; the rules of ``git check-ref-format --branch`` that matter."""
    bad = any(c in name for c in " ~^:?*[\\") or any(ord(c) < 33 or ord(c) == 127 for c in name)
    parts = name.split("/")
    odd = ".." in name or "@{" in name or name.startswith("-") or name.endswith(".") or name == "@"
    reserved = parts[0] == "gitkitchen" or name.startswith("gitkitchen-")
    return not (
        bad or odd or reserved or any(not p or p.startswith(".") or p.endswith(".lock") for p in parts)
    )


def _near(word: str, words: Iterable[str]) -> str:
    known = list(words)
    return near(word, known) or (f"known are {', '.join(known[:20])}" if known else "")
