"""Identity: what a node means, and what it means on given inputs (docs/identity.md).

Everything here is a pure function of values. A *definition* names each component of a node's own
meaning; a *fingerprint* is a definition on the content digests of what the node reads. Severity,
tests, tags, owner, description, retries, time limits, pools and the order of ``needs`` are no
part of either: changing them builds nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from gitkitchen.files import digest, digest_bytes
from gitkitchen.model import FINGERPRINT_SCHEME, Definition, NodeSpec, Template, TestSpec
from gitkitchen.plan.clock import asked

INFORMAL = "vars."
"""Parts under this prefix explain a change (which variable it was) and are not part of identity:
a variable counts through the ``with:`` and ``env:`` values that it gives."""


def plain(value: Any) -> Any:
    """A value as canonical JSON can hold it: late templates by their text, odd numbers by name."""
    if isinstance(value, Template):
        return {"${{": value.text}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"float": repr(value)}
    if value is None or isinstance(value, (str, int, float)):
        return value
    return {type(value).__name__: str(value)}


def define(
    node: NodeSpec,
    facts: Mapping[str, str],
    *,
    combination: Mapping[str, Any] | None = None,
    interval: tuple[datetime, datetime] | None = None,
    nonce: str = "",
) -> Definition:
    """The meaning of one node (of one ``combination`` of its matrix) without its inputs.

    ``facts`` are the parts that were read from files (``sql``, ``file:…``, ``code:…``, ``source``,
    ``tool:…``). What is volatile is keyed by the data ``interval`` (given only for it); without one by
    ``nonce``, which the caller makes anew for each plan, so that it is never found in the store.
    """
    parts = {"kind": node.kind, "outputs": _outputs(node.datasets)}
    parts.update(_config_parts(node))
    parts.update({f"with.{name}": _given(value, node) for name, value in node.params.items()})
    if node.kind == "python" and len(node.params) > 1:
        parts["with"] = digest([str(name) for name in node.params])  # `**rest` and `kitchen.params` show it
    parts.update({f"env.{name}": _given(value, node) for name, value in node.env.items()})
    parts.update({f"{INFORMAL}{name}": digest(_ordered(value)) for name, value in node.vars_used.items()})
    if node.datasets and node.kind in ("sql", "python", "run", "source"):
        shape = node.materialize
        parts["materialize"] = " ".join(p for p in (shape.mode, shape.by, shape.grain) if p)
    if node.secrets:
        parts["secrets"] = digest(sorted(node.secrets))
    if combination:
        parts["matrix"] = digest(_each(combination))
    if node.volatile or interval or nonce:
        parts["interval"] = digest([t.isoformat() for t in interval]) if interval else nonce
    parts.update(facts)
    return Definition(_digest(parts), parts)


def _given(value: Any, node: NodeSpec) -> str:
    """The digest of a value. One with expressions that are left to the run counts by its text, and by
    the variables that the node uses, for they may stand beside ``matrix`` in one expression."""
    shown = _ordered(value)
    if isinstance(value, (Template, Mapping, list, tuple)) and holds_template(value):
        return digest([shown, _each(node.vars_used)])
    return digest(shown)


def _ordered(value: Any) -> Any:
    """A value given to a node: as ``plain``, but mappings are lists of pairs, for code sees their order."""
    if isinstance(value, Mapping):
        return {"map": [[plain(k), _ordered(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_ordered(v) for v in value]
    return plain(value)


def _each(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name, each in its own order; among the names there is none."""
    return {str(name): _ordered(value) for name, value in values.items()}


def holds_template(value: Any) -> bool:
    """Whether a value has expressions that only a run can evaluate, at any depth."""
    if isinstance(value, Mapping):
        return any(holds_template(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_template(v) for v in value)
    return isinstance(value, Template)


def _outputs(datasets: Mapping[str, str | None]) -> str:
    """A node's datasets; the usual one table says its name, which is quicker than a digest."""
    if len(datasets) == 1:
        ((name, file),) = datasets.items()
        if file is None:
            return f"table {name}"
    return digest(dict(datasets))


def _config_parts(node: NodeSpec) -> dict[str, str]:
    """The parts that the kind's own key gives; contents of files come with the facts."""
    config = node.config
    if node.kind == "source":
        # A file of the repository is its content: moving or renaming it builds nothing again.
        names = {k: v for k, v in config.items() if k not in ("options", "digest", "line")}
        if config.get("from") == "file":
            names.pop("file", None)
        return {"from": digest(plain(names)), "options": digest(plain(config.get("options") or {}))}
    if node.kind == "run":
        command = str(config.get("command", "")).strip()
        parts = {"command": digest([command, config.get("shell") or "bash"])}
        if "plugin" in config:
            package, version = config["plugin"]
            parts[f"tool:{package}"] = str(version)
        return parts
    if node.kind == "python":
        return {"function": digest(config.get("function"))}
    if node.kind == "pytest":
        return {"args": digest(plain(config.get("args") or []))}
    if node.kind == "dbt":
        select = [plain(config.get(key) or []) for key in ("select", "exclude")]
        models, schema = digest(plain(config.get("models") or {})), str(config.get("schema") or "kitchen")
        project = digest(config.get("project"))
        return {"project": project, "select": digest(select), "models": models, "schema": schema}
    return {}


def _digest(parts: Mapping[str, str]) -> str:
    return _seal({name: part for name, part in parts.items() if not name.startswith(INFORMAL)})


def _seal(texts: Mapping[str, str]) -> str:
    """The digest of texts by name: each with its length before it, so that no two mappings look alike.

    It says what canonical JSON would, several times faster; a plan asks it twice a node.
    """
    flat = "".join(f"{len(k)}:{k}{len(v)}:{v}" for k, v in sorted(texts.items()))
    return digest_bytes(flat.encode("utf-8", "surrogatepass"))


def whole(definitions: Sequence[Definition]) -> Definition:
    """The definition of a node with a matrix: that of its combinations together, in their order.

    A part that all combinations share keeps its digest, so that a reason names what really changed.
    """
    if len(definitions) == 1:
        return definitions[0]
    names = dict.fromkeys(name for d in definitions for name in d.parts)
    parts: dict[str, str] = {}
    for name in names:
        values = [d.parts.get(name) for d in definitions]
        shared = len(set(values)) == 1
        parts[name] = str(values[0]) if shared else digest(values)
    return Definition(digest([d.digest for d in definitions]), parts)


def fingerprint(definition: Definition, inputs: Mapping[str, str]) -> str:
    """The identity of what a definition makes of inputs, given by name with their content digests."""
    head = {"scheme": str(FINGERPRINT_SCHEME), "definition": definition.digest, "inputs": _seal(inputs)}
    return _seal(head)


def test_meaning(spec: TestSpec) -> str:
    """What a test asks, however it is described and wherever in its file it stands.

    Severity is part of it, because a kept verdict says whether it stops.
    """
    tolerance = [spec.tolerate.rows, spec.tolerate.share]
    return digest(
        {
            "id": spec.id,
            "kind": spec.kind,
            "dataset": spec.dataset,
            "args": plain(spec.args),
            "where": spec.where,
            "tolerate": tolerance,
            "severity": spec.severity.value,
        }
    )


test_meaning.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest, whatever its name


def test_key(spec: TestSpec, contents: Mapping[str, str]) -> str | None:
    """The key of a test's verdict on datasets given by their content digests.

    None: the test depends on time or chance, or on something that has no content here: always judge.
    """
    if depends_on_time(spec) or any(name not in contents for name in (spec.dataset, *spec.reads)):
        return None
    read = {name: contents[name] for name in {spec.dataset, *spec.reads}}
    return digest(
        {
            "scheme": FINGERPRINT_SCHEME,
            "test": test_meaning(spec),
            "read": read,
            "duckdb": tool_version("duckdb"),
        }
    )


test_key.__test__ = False  # type: ignore[attr-defined]


def depends_on_time(spec: TestSpec) -> bool:
    """Whether equal data can get another verdict later: ``freshness``, or SQL that asks the clock."""
    if spec.kind == "freshness":
        return True
    return any(asked(text) for text in sql_texts(spec).values())


def sql_texts(spec: TestSpec) -> dict[str, str]:
    """The SQL in a test's arguments and ``where``, by the name of the argument."""
    texts = {k: spec.args[k] for k in ("sql", "value", "to") if isinstance(spec.args.get(k), str)}
    if spec.kind not in ("no_rows", "value", "equal", "close", "expect"):
        texts = {}
    if spec.where:
        texts["where"] = spec.where
    return texts


@cache
def tool_version(tool: str) -> str:
    """``major.minor`` of an installed package, or of Python, without importing it; empty if absent."""
    if tool == "python":
        import sys

        return f"{sys.version_info.major}.{sys.version_info.minor}"
    version = _folder_version(tool)
    if version is None:
        # Slower (it imports a mail parser), for installations without the usual folder.
        from importlib import metadata

        try:
            version = metadata.version(tool)
        except metadata.PackageNotFoundError:
            version = ""
    return ".".join(version.split(".")[:2])


def _folder_version(package: str) -> str | None:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    beside = Path(spec.origin).parent.parent.glob(f"{package}-*.dist-info")
    versions = [p.name.removesuffix(".dist-info").rpartition("-")[2] for p in beside]
    return versions[0] if len(versions) == 1 else None
