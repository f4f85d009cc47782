"""A recipe as written becomes a Recipe: variables in place, files found, tests normalised."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from gitkitchen.document.words import MAX_PROBLEMS
from gitkitchen.errors import Mistake, Problem
from gitkitchen.model import Kitchen, Materialize, NodeSpec, Recipe, Retry, Variation
from gitkitchen.plugins import NODES
from gitkitchen.recipe import kinds
from gitkitchen.recipe.desk import Desk, Keys, Unusable
from gitkitchen.recipe.expect import read_expectations
from gitkitchen.recipe.foreign import dbt_models
from gitkitchen.recipe.nodes import KINDS
from gitkitchen.recipe.raw import RawRecipe
from gitkitchen.recipe.tests import Owner, read_tests

MAX_COMBINATIONS = 1_000
_PROCESSES = frozenset({"python", "run", "pytest", "dbt"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_SUPPOSED = Kitchen("", "", "main", "k_main_000000000000", environment="prod")
"""The kitchen that expressions see where files are validated without one."""


def resolve(
    raw: RawRecipe, values: Mapping[str, Any], *, variation: str | None = None, kitchen: Kitchen | None = None
) -> Recipe:
    """The recipe with these variables (all layers already merged). Raises Mistake with every problem.

    Expressions over ``vars`` and ``kitchen`` are evaluated; those that name ``matrix``, ``secrets``,
    ``nodes``, ``needs`` or ``run`` stay Templates. Without a kitchen one is supposed.
    """
    if variation is not None:
        _allowed(raw.variation(variation), kitchen)
    recipe, problems = examine(raw, values, variation=variation, kitchen=kitchen)
    if problems:
        raise Mistake(*problems)
    return recipe


def _allowed(variation: Variation, kitchen: Kitchen | None) -> None:
    """Refuse a variation where it is not for this environment; a sandbox may do what its base may."""
    here = kitchen and (kitchen.environment or kitchen.base)
    if variation.environments and here and here not in variation.environments:
        message = f"variation '{variation.name}' is not for environment '{here}'"
        hint = f"it is for {', '.join(variation.environments)}"
        raise Mistake(Problem(message, variation.place, hint, "other-environment"))


def examine(
    raw: RawRecipe,
    values: Mapping[str, Any],
    *,
    variation: str | None = None,
    kitchen: Kitchen | None = None,
    only: Collection[str] | None = None,
) -> tuple[Recipe, list[Problem]]:
    """The recipe (or ``only`` these nodes) as far as it can be read, and every problem on the way."""
    desk = Desk(
        project=raw.project,
        document=raw.document,
        folder=raw.folder,
        early={"vars": values, "kitchen": _seen(kitchen or _SUPPOSED)},
        names=frozenset(raw.nodes),
    )
    nodes: dict[str, NodeSpec] = {}
    for name, value in raw.nodes.items():
        if len(desk.problems) >= MAX_PROBLEMS:
            break
        node = _node(desk, raw, name, value) if only is None or name in only else None
        if node is not None:
            nodes[name] = node
    recipe = Recipe(
        name=raw.name,
        folder=raw.folder,
        file=raw.file,
        nodes=nodes,
        description=_text(desk, raw.value, (), "description"),
        owner=_text(desk, raw.value, (), "owner"),
        vars=dict(values),
        variations=raw.variations,
        variation=variation,
    )
    return recipe, desk.problems


def _seen(kitchen: Kitchen) -> dict[str, Any]:
    """What expressions see of a kitchen."""
    return {
        "branch": kitchen.branch,
        "environment": kitchen.environment,
        "namespace": kitchen.namespace,
        "label": kitchen.label,
        "is_sandbox": kitchen.is_sandbox,
    }


def _node(desk: Desk, raw: RawRecipe, name: str, value: Mapping[str, Any]) -> NodeSpec | None:
    """One node, or None where what it does cannot be read."""
    path: Keys = ("nodes", name)
    word = next((k for k in KINDS if k in value), None) or kinds.kind_of(NODES, value)
    if word is None:
        return None  # its schema has said so
    kind = word if word in KINDS else "run"
    try:
        config = KINDS.get(word, kinds.command)(desk, value[word], (*path, word))
    except Unusable:
        config = {}
    reader = _NodeReader(desk, value, path, kind)
    datasets = reader.datasets(name)
    key = reader.words("key")
    needs = tuple(dict.fromkeys([*reader.words("needs"), *(config.get("of") or ())]))
    if kind == "dbt":
        config = {**config, "models": dbt_models(desk, value.get("outputs"), (*path, "outputs"))}
    reader.misplaced()
    return NodeSpec(
        name=name,
        kind=kind,
        config=config,
        place=desk.place(*path),
        needs=needs,
        params=reader.late("with"),
        env=reader.late("env"),
        secrets=reader.secrets(),
        datasets=datasets,
        key=key,
        public=reader.words("public"),
        tests=(
            *read_tests(desk, Owner(name, datasets, needs), value.get("tests"), key),
            *read_expectations(desk, name, Owner(name, datasets, needs).tables, value.get("expect")),
        ),
        materialize=reader.materialize(),
        retry=Retry(**value["retry"]) if "retry" in value else Retry(),
        timeout=reader.timeout(),
        condition=reader.condition(),
        matrix=reader.matrix(),
        max_parallel=(value.get("strategy") or {}).get("max-parallel"),
        fail_fast=(value.get("strategy") or {}).get("fail-fast", True),
        pool=reader.pool(),
        continue_on_error=value.get("continue-on-error", False),
        on=reader.on(),
        environments=reader.environments(),
        volatile=value.get("volatile", False),
        files=reader.files(),
        tags=tuple(str(t) for t in reader.early("tags", ())),
        owner=str(reader.early("owner", "") or raw.value.get("owner", "")),
        description=str(reader.early("description", "")),
        runbook=reader.runbook(raw.value.get("runbook", "")),
        vars_used=desk.used(*(value.get(k) for k in (*_MEANT, word))),
    )


_PAGE = re.compile(r"[^\s:]{1,200}\.(md|markdown|txt|html)")
_MEANT = ("source", "pytest", "dbt", "with", "env", "strategy", "outputs", "files")
"""Keys whose expressions are part of what a node means."""


class _NodeReader:
    """The keys that all kinds share; a mistake is noted, and the key counts as absent."""

    def __init__(self, desk: Desk, value: Mapping[str, Any], path: Keys, kind: str) -> None:
        self.desk, self.value, self.path, self.kind = desk, value, path, kind
        self.process = kind in _PROCESSES or "python" in (value.get("source") or ())
        self.view = value.get("materialize") == "view"

    def early(self, key: str, default: Any) -> Any:
        if key not in self.value:
            return default
        try:
            return self.desk.value(self.value[key], (*self.path, key))
        except Unusable:
            return default

    def runbook(self, whole: str) -> str:
        """What to do when it fails: its own, else the recipe's. A file is named from the repository's top."""
        own = str(self.early("runbook", ""))
        path = (*self.path, "runbook") if own else ("runbook",)
        text = own or whole
        if not _PAGE.fullmatch(text):
            return text
        try:
            return str(self.desk.file(text, path))
        except Unusable:
            return ""

    def late(self, key: str) -> Mapping[str, Any]:
        if key not in self.value:
            return {}
        if key == "env":
            self._reserved(key, self.value[key])
        try:
            found: Mapping[str, Any] = self.desk.later(self.value[key], (*self.path, key), self.value)
        except Unusable:
            return {}
        return found

    def words(self, key: str) -> tuple[str, ...]:
        """A list of names; one name may stand alone."""
        value = self.value.get(key, ())
        try:
            self.desk.plain(value, (*self.path, key), "names are written out")
        except Unusable:
            return ()
        return (value,) if isinstance(value, str) else tuple(value)

    def secrets(self) -> tuple[str, ...]:
        names = self.words("secrets")
        for index, name in enumerate(names):
            if not _VARIABLE.match(name):
                message = f"'{name[:80]}' is no name of an environment variable"
                self.desk.wrong((*self.path, "secrets", index), message, "", "bad-name")
        self._reserved("secrets", names)
        return names

    def _reserved(self, key: str, names: Any) -> None:
        for index, name in enumerate(names):
            if name.upper().startswith("GITKITCHEN_"):
                place = index if key == "secrets" else name
                message = f"'{name[:80]}' is a name of GitKitchen's own"
                self.desk.wrong((*self.path, key, place), message, "take another name", "bad-name")

    def datasets(self, name: str) -> dict[str, str | None]:
        outputs = self.early("outputs", None)
        made: dict[str, str | None] = {}
        if outputs is None:
            return {name: None} if self.kind in ("source", "sql", "python") else {}
        path: Keys = (*self.path, "outputs")
        if self.kind in ("pytest", "results"):
            message = f"a {self.kind} node makes no dataset"
            self.desk.wrong(path, message, "take `outputs:` away", "not-for-kind")
            return {}
        made = dict(outputs) if isinstance(outputs, dict) else dict.fromkeys(outputs)
        if self.kind == "dbt":
            return dict.fromkeys(made)  # a mapping names models, not files
        if self.kind in ("source", "sql") and (len(made) != 1 or any(made.values())):
            hint = f"take `outputs:` away: the dataset is named {name}; or give it one name"
            self.desk.wrong(path, f"a {self.kind} node makes one table", hint, "not-for-kind")
            return {name: None}
        files: dict[str, str] = {}
        for dataset, file in made.items():
            at = (*path, dataset) if isinstance(outputs, dict) else path
            self._output_file(dataset, file, at, files)
        return made

    def _output_file(self, dataset: str, file: Any, path: Keys, files: dict[str, str]) -> None:
        if file is None:
            return
        parts = str(file).replace("\\", "/").split("/")
        if (
            not isinstance(file, str)
            or file.startswith(("/", "~"))
            or ".." in parts
            or "\0" in file
            or not parts[-1]
        ):
            hint = "name a file of the node's working folder, such as report.html"
            self.desk.wrong(path, f"the path '{str(file)[:80]}' leaves the working folder", hint, "bad-path")
        elif file in files:
            message = f"'{file[:80]}' is the file of '{files[file]}' too"
            self.desk.wrong(path, message, "give each output a file of its own", "said-twice")
        files.setdefault(str(file), dataset)

    def materialize(self) -> Materialize:
        value = self.value.get("materialize", "table")
        path: Keys = (*self.path, "materialize")
        if value != "table" and self.kind != "sql":
            what = "view" if isinstance(value, str) else "partitions"
            hint = "take it away: what other nodes make is kept as a table"
            self.desk.wrong(path, f"'{what}' is for sql nodes", hint, "not-for-kind")
            return Materialize()
        if isinstance(value, str):
            mode: Literal["table", "view"] = "view" if value == "view" else "table"
            if mode == "view" and "strategy" in self.value:
                self.desk.wrong(path, "a view has no parts for a matrix", "make it a table", "not-for-kind")
            return Materialize(mode)
        parts = value["partitions"]
        return Materialize("partitions", parts["by"], parts.get("grain"))

    def timeout(self) -> float | None:
        minutes = self.early("timeout-minutes", None)
        if minutes is None:
            return None
        if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes <= 100_000:
            path: Keys = (*self.path, "timeout-minutes")
            self.desk.wrong(path, f"must be a number of minutes above 0, not {minutes!r:.60}")
            return None
        return minutes * 60.0

    def condition(self) -> str | None:
        value = self.value.get("if")
        if value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        try:
            return self.desk.condition(value, (*self.path, "if"), self.value)
        except Unusable:
            return None

    def matrix(self) -> tuple[Mapping[str, Any], ...]:
        matrix = (self.value.get("strategy") or {}).get("matrix")
        if not matrix:
            return ()
        path: Keys = (*self.path, "strategy", "matrix")
        axes: dict[str, list[Any]] = {}
        count = 1
        for name, raw in matrix.items():
            try:
                axes[name] = self._axis(raw, (*path, name))
            except Unusable:
                axes[name] = [None]
            count *= len(axes[name])
        if count > MAX_COMBINATIONS:
            message = f"the matrix has {count:,} combinations, at most {MAX_COMBINATIONS:,} can be"
            self.desk.wrong(path, message, "group the values", "too-large")
            return ()
        return tuple(dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))

    def _axis(self, raw: Any, path: Keys) -> list[Any]:
        values = self.desk.value(raw, path)
        if not isinstance(values, list) or not values:
            self.desk.wrong(path, f"must give a list with values, not {values!r:.60}")
            raise Unusable
        if len(values) > MAX_COMBINATIONS:
            self.desk.wrong(path, f"has {len(values):,} values, at most {MAX_COMBINATIONS:,} can be")
            raise Unusable
        seen: set[tuple[type, Any]] = set()
        for index, value in enumerate(values):
            if not isinstance(value, (str, int, float)):
                self.desk.wrong((*path, index), f"must be a text, number or boolean, not {value!r:.60}")
                raise Unusable
            if (type(value), value) in seen:
                self.desk.wrong(
                    (*path, index), f"the value {value!r:.60} stands there twice", "", "said-twice"
                )
                raise Unusable
            seen.add((type(value), value))
        return values

    def pool(self) -> str | None:
        name = self.value.get("pool")
        if name is not None and name not in self.desk.project.pools:
            path: Keys = (*self.path, "pool")
            message = f"there is no pool '{name[:80]}' in kitchen.yml"
            self.desk.unknown(path, message, name, self.desk.project.pools)
            return None
        return name

    def on(self) -> Literal["run", "publish"]:
        if self.value.get("on", "run") != "publish":
            return "run"
        if self.kind in ("source", "sql", "results", "dbt"):
            hint = "what a node makes is published before; `on: publish` is for run, python and pytest"
            self.desk.wrong(
                (*self.path, "on"), f"a {self.kind} node cannot wait for publication", hint, "not-for-kind"
            )
        return "publish"

    def environments(self) -> tuple[str, ...]:
        check_environments(self.desk, self.value.get("environments") or (), (*self.path, "environments"))
        return tuple(self.value.get("environments") or ())

    def files(self) -> tuple[str, ...]:
        found: list[str] = []
        for index, name in enumerate(self.value.get("files") or ()):
            path: Keys = (*self.path, "files", index)
            try:
                found.append(self.desk.file(str(self.desk.value(name, path)), path, folders=True))
            except Unusable:
                continue
        return tuple(found)

    def misplaced(self) -> None:
        """Note keys that this kind would ignore."""
        wants: list[tuple[str, bool, str]] = [
            ("env", self.process, "it has no process of its own"),
            ("secrets", self.process, "it has no process of its own"),
            ("with", self.process or self.kind == "sql", "it takes no values"),
            ("strategy", self.kind != "results", "it reads files once"),
            ("volatile", self.kind != "results", "its files are read each time"),
        ]
        for key, good, why in wants:
            if key in self.value and not good:
                hint = f"take `{key}:` away"
                self.desk.wrong(
                    (*self.path, key), f"a {self.kind} node has no `{key}`: {why}", hint, "not-for-kind"
                )


def check_environments(desk: Desk, names: Any, path: Keys) -> None:
    """Note each name that is no environment of kitchen.yml."""
    known = [e.name for e in desk.project.environments]
    for index, name in enumerate(names):
        if name not in known:
            desk.unknown((*path, index), f"there is no environment '{name[:80]}' in kitchen.yml", name, known)


def _text(desk: Desk, value: Mapping[str, Any], path: Keys, key: str) -> str:
    if key not in value:
        return ""
    try:
        return str(desk.value(value[key], (*path, key)))
    except Unusable:
        return ""
