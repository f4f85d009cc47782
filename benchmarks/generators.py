"""Graphs of SQL models and no-ops, and GitKitchen projects made of them.

A graph is a list of models in topological order; the same list becomes a recipe, a list of bare
statements, a dbt project and a SQLMesh project, so that all of them do the same work.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

RECIPE = "delays"
NAME = re.compile(r"\bm\d{4}\b")
PROJECT_ID = "5bd8c1f0a3e74d4f9c5d2b6e8a917f30"


@dataclass(frozen=True, slots=True)
class Model:
    """One SELECT over earlier models, which stand in it by their plain names (``m0007``)."""

    name: str
    sql: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The models that it reads, each once, in order of appearance."""
        return tuple(dict.fromkeys(NAME.findall(self.sql)))

    def rendered(self, reference: Callable[[str], str]) -> str:
        """Its SQL with every model's name replaced by what ``reference`` makes of it."""
        return NAME.sub(lambda match: reference(match.group()), self.sql)


def name(index: int) -> str:
    """The name of model ``index``; four digits, so at most 10,000 models."""
    if not 0 <= index < 10_000:
        raise ValueError(f"model {index} is outside 0..9999")
    return f"m{index:04d}"


def chain(count: int) -> list[Model]:
    """One-row models, each reading the one before it."""
    first = Model(name(0), "select 1 as id")
    return [first, *(Model(name(i), f"select id + 1 as id from {name(i - 1)}") for i in range(1, count))]


def fan(count: int) -> list[Model]:
    """One-row models that all read the first."""
    first = Model(name(0), "select 1 as id")
    return [first, *(Model(name(i), f"select id + {i} as id from {name(0)}") for i in range(1, count))]


def layers(count: int, width: int = 100) -> list[Model]:
    """One-row models in layers of ``width``, each reading two of the layer before."""
    made: list[Model] = []
    for index in range(count):
        left, right = _parents(index, width)
        sql = (
            f"select {index} as id"
            if index < width
            else f"select (a.id + b.id) % 1000003 as id from {name(left)} as a cross join {name(right)} as b"
        )
        made.append(Model(name(index), sql))
    return made


def warehouse(count: int, rows: int, width: int = 50) -> list[Model]:
    """Models of ``rows`` rows by 4 columns in layers of ``width``: joins, filters by case, aggregates.

    The first layer makes its rows from numbers. ``id`` is unique in every model and all
    arithmetic is on integers, so the data is the same however an engine spreads the work.
    """
    made: list[Model] = []
    for index in range(count):
        if index < width:
            sql = (
                f"select i as id, i % 97 as grp, (i * {index + 3}) % 1009 as amount,\n"
                f"  'label ' || (i % 13)::varchar as label\nfrom range({rows}) as numbers(i)"
            )
        else:
            sql = _FORMS[index % len(_FORMS)](*_parents(index, width))
        made.append(Model(name(index), sql))
    return made


def _join(left: int, right: int) -> str:
    return (
        "select a.id, a.grp, (a.amount + b.amount) % 1000003 as amount, b.label\n"
        f"from {name(left)} as a\njoin {name(right)} as b on a.id = b.id"
    )


def _case(left: int, _: int) -> str:
    return (
        "select id, grp,\n  case when amount % 2 = 0 then amount else amount + 7 end as amount,\n"
        f"  upper(label) as label\nfrom {name(left)}\nwhere amount >= 0"
    )


def _aggregate(left: int, right: int) -> str:
    return (
        f"with totals as (\n  select grp, sum(amount) as total\n  from {name(right)}\n  group by grp\n)\n"
        "select a.id, a.grp, ((a.amount + t.total) % 1000003)::bigint as amount, a.label\n"
        f"from {name(left)} as a\njoin totals as t on a.grp = t.grp"
    )


_FORMS: tuple[Callable[[int, int], str], ...] = (_join, _case, _aggregate)


def _parents(index: int, width: int) -> tuple[int, int]:
    """Two different places in the layer before (one and the same where the layer holds one)."""
    layer, place = divmod(index, width)
    first = (layer - 1) * width
    return first + place, first + (place * 7 + 3) % width


def production(count: int, rows: int) -> list[Model]:
    """Models of ``rows`` rows by 4 columns that read nothing and compress badly; about 8 bytes a row."""
    return [
        Model(
            name(index),
            f"select i as id, i % 97 as grp, (hash(i + {index * rows}) >> 2)::bigint as amount,\n"
            f"  'label ' || (i % 13)::varchar as label\nfrom range({rows}) as numbers(i)",
        )
        for index in range(count)
    ]


def production_in_postgres(count: int, rows: int) -> list[Model]:
    """The same in PostgreSQL's words; about 90 bytes a row."""
    return [
        Model(
            name(index),
            "select i as id, i % 97 as grp, hashint4(i)::bigint as amount,\n"
            f"  md5((i + {index * rows})::text) as label\nfrom generate_series(1, {rows}) as numbers(i)",
        )
        for index in range(count)
    ]


def leaf(models: Sequence[Model]) -> Model:
    """The last model, which nothing reads."""
    return models[-1]


def changed(model: Model, by: int = 1) -> Model:
    """The same warehouse model with another meaning: ``amount`` is higher by ``by``."""
    return replace(
        model, sql=f"select id, grp, amount + {by} as amount, label\nfrom (\n{model.sql}\n) as before"
    )


# --- GitKitchen's files --------------------------------------------------------------------


def kitchen_yml() -> str:
    """One environment on ``main``, so that a local run publishes."""
    return (
        "version: 1\n"
        f"project: {{name: bench, id: {PROJECT_ID}}}\n"
        "environments:\n  prod: {branch: main}\nsandboxes: {base: prod}\n"
    )


def recipe_yml(nodes: Mapping[str, Mapping[str, object]]) -> str:
    """A recipe of these nodes, one line each; JSON is YAML, so values are written as JSON."""
    lines = ["version: 1", f"recipe: {RECIPE}", "nodes:"]
    lines += [f"  {node}: {json.dumps(value, ensure_ascii=False)}" for node, value in nodes.items()]
    return "\n".join(lines) + "\n"


def sql_nodes(models: Sequence[Model], *, files: bool) -> dict[str, dict[str, object]]:
    """Nodes of these models; the last carries the one test that a recipe cannot do without."""
    nodes: dict[str, dict[str, object]] = {
        m.name: {"sql": f"models/{m.name}.sql" if files else m.sql} for m in models
    }
    nodes[models[-1].name]["tests"] = [{"not_null": ["id"]}, {"unique": ["id"]}]
    return nodes


def noop_nodes(count: int) -> dict[str, dict[str, object]]:
    """``run: "true"`` nodes that need nothing, and one one-row SQL node that is tested."""
    nodes: dict[str, dict[str, object]] = {name(i): {"run": "true"} for i in range(count)}
    nodes["probe"] = {"sql": "select 1 as id", "tests": [{"not_null": ["id"]}]}
    return nodes


def write_recipe(root: Path, nodes: Mapping[str, Mapping[str, object]], models: Sequence[Model] = ()) -> None:
    """Write kitchen.yml, the recipe and a SQL file for each of ``models`` under ``root``."""
    folder = root / "recipes" / RECIPE
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (root / "kitchen.yml").write_text(kitchen_yml(), "utf-8")
    (root / ".gitignore").write_text(".gitkitchen/\n", "utf-8")
    (folder / "recipe.yml").write_text(recipe_yml(nodes), "utf-8")
    for model in models:
        write_model(root, model)


def write_model(root: Path, model: Model) -> None:
    """Write the SQL file of one model."""
    path = root / "recipes" / RECIPE / "models" / f"{model.name}.sql"
    path.write_text(model.sql + "\n", "utf-8")


def commit(root: Path, message: str) -> None:
    """Commit everything under ``root`` on ``main``, making the repository first if there is none."""
    if not (root / ".git").exists():
        git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    settings = ("user.name=bench", "user.email=bench@example.invalid", "commit.gpgsign=false", "gc.auto=0")
    given = [word for setting in settings for word in ("-c", setting)]
    git(root, *given, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", message)


def branch(root: Path) -> str:
    """The branch that is checked out."""
    argv = ["git", "symbolic-ref", "--short", "HEAD"]
    return subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def git(root: Path, *words: str) -> None:
    """One git command in a generated project."""
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def statements(models: Sequence[Model]) -> str:
    """The same models for the bare run: a JSON list of [name, SELECT]."""
    return json.dumps([[m.name, m.sql] for m in models])
