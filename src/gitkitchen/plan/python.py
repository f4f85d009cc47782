"""What a Python file means: its syntax tree without docstrings, and the repository's modules it imports.

Comments and layout are no part of a syntax tree. What a file reads while it runs (data files, modules
imported by a computed name) cannot be seen here; such files are named in the node's ``files:``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from gitkitchen.errors import Place, Problem
from gitkitchen.files import digest_bytes
from gitkitchen.frozen import dataclass
from gitkitchen.plan.cache import FactCache

if TYPE_CHECKING:
    import ast

MAX_BYTES = 2_000_000
_KIND = f"python {sys.version_info.major}.{sys.version_info.minor}"
"""What one Python cannot read, and says of it, another may."""
_DOCUMENTS = re.compile(rb"__doc__|doctest|getdoc|pydoc")
"""Words of a file that may use docstrings as data: its own, or those of what it imports."""


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """What is known of one Python file and of what it imports from the repository.

    ``parts`` maps ``code:<path>`` to the digest of each file's meaning. ``parameters`` are the
    function's, with the line of each; ``required`` those without a default.
    """

    parts: Mapping[str, str]
    parameters: Mapping[str, int] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def python_meaning(
    path: str,
    function: str | None,
    root: Path,
    *,
    cache: FactCache | None = None,
    documented: bool = False,
) -> PythonFacts:
    """Read ``path`` (relative to ``root``) and, transitively, the modules of the repository it imports.

    Docstrings count where ``documented`` says that they are used, or where one of the files may use them.
    Mistakes are in ``problems``; nothing is raised.
    """
    parts: dict[str, str] = {}
    docstrings: dict[str, str] = {}
    problems: list[Problem] = []
    first: Mapping[str, Any] | None = None
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if f"code:{file}" in parts:
            continue
        facts = _facts(root / file, cache)
        if facts is None:
            parts[f"code:{file}"] = ""
            problems.append(Problem(f"{file} cannot be read", Place(file), code="python-file"))
            continue
        first = first or facts
        parts[f"code:{file}"] = facts["meaning"]
        docstrings[f"code:{file}"] = facts["documented"]
        documented = documented or facts["documents"]
        if facts["problem"]:
            message, line = facts["problem"]
            text = f"this Python cannot be read: {message}"
            problems.append(Problem(text, Place(file, line), code="python"))
        waiting += _modules(root, path, file, facts["imports"])
    if documented:
        parts.update(docstrings)
    if function is None or first is None or problems:
        return PythonFacts(parts, problems=tuple(problems))
    return _with_function(path, function, parts, first)


def _with_function(path: str, function: str, parts: dict[str, str], facts: Mapping[str, Any]) -> PythonFacts:
    known = facts["functions"]
    if function in known:
        parameters, required = known[function]
        return PythonFacts(parts, parameters, tuple(required))
    if function in facts["names"]:  # imported or assigned: its parameters are seen only when it runs
        return PythonFacts(parts)
    from difflib import get_close_matches

    near = get_close_matches(function, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "it has: " + (", ".join(sorted(known)[:8]) or "none")
    return PythonFacts(
        parts,
        problems=(Problem(f"{path} has no function '{function}'", Place(path), hint, "python-function"),),
    )


def _facts(path: Path, cache: FactCache | None) -> dict[str, Any] | None:
    """The facts of one file by its content, read anew where the cache does not have them."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        source = path.read_bytes()
    except OSError:
        return None
    content = digest_bytes(source)
    facts = cache.get(_KIND, content) if cache else None
    if not _well_formed(facts):
        facts = _read(source, content)
        if cache:
            cache.put(_KIND, content, facts)
    assert isinstance(facts, dict)
    return facts


def _well_formed(facts: Any) -> bool:
    keys = {"meaning", "documented", "documents", "imports", "functions", "names", "problem"}
    return isinstance(facts, dict) and facts.keys() == keys


def _read(source: bytes, content: str) -> dict[str, Any]:
    import ast

    empty: dict[str, Any] = {"meaning": content, "imports": [], "functions": {}, "names": [], "problem": None}
    empty |= {"documented": content, "documents": _DOCUMENTS.search(source) is not None}
    try:
        tree = ast.parse(source)
        functions, names, imports = _functions(tree), _names(tree), sorted(_imports(tree))
        documented = _digest(tree)
        _strip_docstrings(tree)
        meaning = _digest(tree)
    except SyntaxError as error:
        return empty | {"problem": [error.msg, error.lineno or 1]}
    except (ValueError, RecursionError, MemoryError) as error:
        return empty | {"problem": [str(error) or "it is nested too deep", 1]}
    known = {
        "meaning": meaning,
        "documented": documented,
        "imports": imports,
        "functions": functions,
        "names": names,
    }
    return empty | known


def _digest(tree: ast.Module) -> str:
    """The digest of a tree as Python 3.11 writes it: the same file is to mean the same on every Python."""
    import ast

    # Since 3.12 there are type parameters, and its first releases end some formats of f-strings with "".
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if not getattr(node, "type_params", True):
                vars(node).pop("type_params")
        elif isinstance(node, ast.JoinedStr):
            node.values = [v for v in node.values if not (isinstance(v, ast.Constant) and v.value == "")]
    if sys.version_info >= (3, 13):
        text = ast.dump(tree, show_empty=True)
    else:
        text = ast.dump(tree)
    return digest_bytes(text.encode("utf-8", "backslashreplace"))


def _strip_docstrings(tree: ast.Module) -> None:
    import ast

    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = node.body[0] if node.body else None
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                del node.body[0]


def _functions(tree: ast.Module) -> dict[str, Any]:
    """Each top-level function: its parameters with their lines, and those that must be given."""
    import ast

    found: dict[str, Any] = {}
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        spec = node.args
        positional = [*spec.posonlyargs, *spec.args]
        required = [a.arg for a in positional[: len(positional) - len(spec.defaults)]]
        keywords = zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
        required += [a.arg for a, default in keywords if default is None]
        found[node.name] = [{a.arg: a.lineno for a in (*positional, *spec.kwonlyargs)}, required]
    return found


def _names(tree: ast.Module) -> list[str]:
    """Names that the module binds at its top in any way, functions aside."""
    import ast

    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.alias):
                names.add((inner.asname or inner.name).split(".")[0])
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                names.add(inner.id)
            elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(inner.name)
    return sorted(names)


def _imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names that may be modules, wherever they are imported; ``.x`` for relative ones."""
    import ast

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            dot = "" if base.endswith(".") else "."
            yield from (f"{base}{dot}{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def _modules(root: Path, start: str, file: str, imports: list[str]) -> Iterator[str]:
    """The repository's files that the imports of ``file`` may mean, packages' own files with them.

    A module can lie beside the node's file, beside the importing file, at the repository's top or
    under ``src``; where several would fit, all count.
    """
    here = PurePosixPath(file).parent
    bases = dict.fromkeys((PurePosixPath(start).parent, here, PurePosixPath("."), PurePosixPath("src")))
    for name in imports:
        dots = len(name) - len(name.lstrip("."))
        parts = [p for p in name.lstrip(".").split(".") if p]
        if dots:
            above = here
            for _ in range(dots - 1):
                above = above.parent
            yield from _files_of(root, above, parts)
        else:
            for base in bases:
                yield from _files_of(root, base, parts)


def _files_of(root: Path, base: PurePosixPath, parts: list[str]) -> Iterator[str]:
    folder = base
    for index, part in enumerate(parts):
        module = folder / f"{part}.py"
        if (root / module).is_file():
            yield module.as_posix()
        folder = folder / part
        package = folder / "__init__.py"
        if (root / package).is_file():
            yield package.as_posix()
        elif index + 1 < len(parts) and not (root / folder).is_dir():
            return
    if not parts and (root / base / "__init__.py").is_file():
        yield (base / "__init__.py").as_posix()
