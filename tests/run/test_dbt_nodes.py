"""dbt nodes without dbt: what a command of that name can do wrong, and never green."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from lengths import some
from shop import Said, Shop

RECIPE = """\
version: 1
recipe: r
nodes:
  orders: {source: {file: orders.csv}, key: [customer]}
  marts:
    dbt: {project: ../../warehouse, python: tools/python}
    needs: [orders]
    with: {least: 3}
    outputs: [customers]
    key: [customer]
"""
PROJECT = {
    "warehouse/dbt_project.yml": "name: shop\nversion: '1.0.0'\n",
    "warehouse/models/customers.sql": "select customer from {{ source('kitchen', 'orders') }}\n",
    "recipes/r/orders.csv": "customer\nann\nbob\n",
    "recipes/r/recipe.yml": RECIPE,
}
FAKE = """\
#!{python}
# What a process under dbt's name does here; it gets `-c CODE build OPTIONS`.
import json, os, pathlib, sys
words = sys.argv[sys.argv.index("build"):]
target = pathlib.Path(words[words.index("--target-path") + 1])
target.mkdir()
token = os.environ["DBT_ENV_CUSTOM_ENV_GITKITCHEN"]

def write(name, version, **more):
    metadata = {{"dbt_schema_version": f"https://schemas.getdbt.com/dbt/{{name}}/v{{version}}.json",
                 "dbt_version": "1.11.0", "invocation_id": "i", "env": {{"GITKITCHEN": token}}}}
    (target / (name.replace("-", "_") + ".json")).write_text(json.dumps({{"metadata": metadata, **more}}))

def build(results, nodes=None):
    known = {{"model.shop.customers": {{"resource_type": "model", "name": "customers",
        "original_file_path": "models/customers.sql", "config": {{"materialized": "view"}},
        "relation_name": '"gitkitchen_build"."kitchen"."orders"'}}}}
    write("manifest", 12, nodes={{**known, **(nodes or {{}})}})
    write("run-results", 6, results=results)

MODEL = {{"unique_id": "model.shop.customers", "status": "success", "execution_time": 0.1}}
TEST = {{"resource_type": "test", "name": "t", "original_file_path": "models/s.yml", "config": {{}}}}
{code}
"""


@pytest.fixture
def project(shop: Shop) -> Shop:
    """A recipe with a dbt node over a project of one model."""
    shop.commit({**PROJECT, ".gitignore": "tools/\n"})
    return shop


def fake(project: Shop, code: str) -> Said:
    """Run the recipe with a process in dbt's place that does this."""
    project.write({"tools/python": FAKE.format(python=sys.executable, code=code)})
    (project.root / "tools/python").chmod(stat.S_IRWXU)
    return project.cli("run", "--quiet")


def message(project: Shop) -> str:
    node = next(n for n in project.outcome()["nodes"] if n["node"] == "marts")
    return str((node["failure"] or {}).get("message"))


def test_without_dbt_it_could_not_be_checked(project: Shop) -> None:
    """No dbt is infrastructure, exit code 3, with what to install; validate and plan need none."""
    assert project.cli("validate").code == 0
    assert project.cli("plan").code == 0
    said = project.cli("run", "--quiet")
    assert said.code == 3
    assert "dbt was not found: 'tools/python' is no Python that can be run" in said.out
    assert "install dbt-core and dbt-duckdb" in said.out


def test_its_models_become_datasets(project: Shop) -> None:
    """What was built and tested is published under the model's name; unchanged it is reused."""
    code = "build([MODEL, {'unique_id': 'test.shop.t', 'status': 'pass'}], {'test.shop.t': TEST})"
    said = fake(project, code)
    assert said.code == 0, said.out + said.err
    assert project.rows("select customer from customers order by 1") == [
        {"customer": "ann"},
        {"customer": "bob"},
    ]
    tests = {t["expected"]: t["state"] for n in project.outcome()["nodes"] for t in n["tests"]}
    assert tests["t"] == "passed"
    assert project.cli("run", "--quiet").code == 0
    assert project.states() == {"orders": "reused", "marts": "reused"}


@pytest.mark.long
def test_its_keys_reach_dbt(project: Shop) -> None:
    """select, exclude and schema are dbt's; a mapping of outputs gives a model another name."""
    more = "select: [tag:a, +b], exclude: c, schema: raw, "
    project.replace("recipes/r/recipe.yml", "python:", f"{more}python:")
    project.replace("recipes/r/recipe.yml", "outputs: [customers]", "outputs: {clients: customers}")
    project.commit()
    code = (
        "assert words[words.index('--select') + 1] == 'tag:a +b'\n"
        "assert words[words.index('--exclude') + 1] == 'c'\n"
        "old = write\n"
        "def write(name, version, **more):\n"
        "    old(name, version, **json.loads(json.dumps(more).replace('\"kitchen', '\"raw')))\n"
        "build([MODEL])\n"
    )
    said = fake(project, code)
    assert said.code == 0, said.out + said.err
    assert len(project.rows("from clients")) == 2
    assert project.cli("query", "from customers").code != 0


def test_no_dbt_on_a_warehouse(project: Shop) -> None:
    """Where PostgreSQL is the engine a dbt node is refused, and says so."""
    project.replace(
        "kitchen.yml",
        "sandboxes:",
        "connections: {warehouse: {type: postgres, dsn: '${{ secrets.DSN }}'}}\nsandboxes:",
    )
    said = project.cli("validate")
    assert said.code == 2
    assert "node 'marts': dbt is not available on a postgres warehouse in this version" in said.out + said.err


NEVER_GREEN = {
    "nothing-selected": ("build([])", 1, "dbt selected nothing"),
    "no-files": ("pass", 1, "dbt ended without an error, and it left no run_results.json"),
    "killed": ("build([MODEL]); os.kill(os.getpid(), 9)", 1, "its process was killed by signal 9"),
    "crashed": ("raise SystemExit(2)", 1, "its command ended with exit code 2"),
    "half-written": ("build([MODEL]); (target / 'run_results.json').write_text('{')", 1, "is not JSON"),
    "stale": ("token = 'before'; build([MODEL])", 1, "its run_results.json is of another run of dbt"),
    "skipped": (
        "build([{**MODEL, 'status': 'skipped'}])",
        1,
        "test marts/logic/dbt(model customers): dbt skipped it: something that it needs failed",
    ),
    "failed-model": (
        "build([{**MODEL, 'status': 'error', 'message': 'Runtime Error: no'}]); sys.exit(1)",
        1,
        "test marts/logic/dbt(model customers): Runtime Error: no",
    ),
    "silent-failure": ("build([MODEL]); sys.exit(1)", 1, "its command ended with exit code 1"),
    "failed-test": (
        (
            "build([MODEL, {'unique_id': 'test.shop.t', 'status': 'fail', 'message': 'Got 2'}],"
            " {'test.shop.t': TEST}); sys.exit(1)"
        ),
        1,
        "test marts/logic/dbt(t): Got 2",
    ),
    "test-error-of-warn": (
        (
            "build([MODEL, {'unique_id': 'test.shop.t', 'status': 'error', 'message': 'broken'}],"
            " {'test.shop.t': {**TEST, 'config': {'severity': 'warn'}}}); sys.exit(1)"
        ),
        1,
        "test marts/logic/dbt(t): broken",
    ),
    "skipped-test": (
        "build([MODEL, {'unique_id': 'test.shop.t', 'status': 'skipped'}], {'test.shop.t': TEST})",
        1,
        "test marts/logic/dbt(t): dbt skipped it",
    ),
    "not-selected": (
        (
            "build([{'unique_id': 'model.shop.o', 'status': 'success'}],"
            " {'model.shop.o': {'resource_type': 'model', 'name': 'o'}})"
        ),
        1,
        "`outputs:` names 'customers', which dbt did not build: it is not selected",
    ),
    "snapshot": (
        (
            "build([MODEL, {'unique_id': 's', 'status': 'success'}],"
            " {'s': {'resource_type': 'snapshot', 'name': 's'}})"
        ),
        1,
        "test marts/logic/dbt(snapshot s): a snapshot needs what it held before",
    ),
    "compile-error": (
        (
            "print('10:00:00  Encountered an error:\\nCompilation Error in model customers"
            " (models/customers.sql)'); sys.exit(2)"
        ),
        1,
        "dbt: Compilation Error in model customers (models/customers.sql)",
    ),
    "no-adapter": (
        "print('Encountered an error:\\nRuntime Error\\n  Could not find adapter type duckdb!'); sys.exit(2)",
        3,
        "dbt: Runtime Error\nCould not find adapter type duckdb!",
    ),
}


SHORT = ("killed", "nothing-selected", "no-files", "silent-failure", "skipped-test", "stale")


@pytest.mark.parametrize("what", some(sorted(NEVER_GREEN), *SHORT))
def test_it_is_never_green_without_evidence(what: str, project: Shop) -> None:
    """However dbt ends without having built and tested all, the run is red with its words; no data moves."""
    code, exit_code, said = NEVER_GREEN[what]
    answer = fake(project, code)
    assert answer.code == exit_code, answer.out
    assert said in message(project)
    assert project.cli("query", "from customers").code != 0


def test_a_message_points_to_dbts_file(project: Shop) -> None:
    """The place of a compile error is the project's file, not the recipe."""
    fake(project, NEVER_GREEN["compile-error"][0])
    node = next(n for n in project.outcome()["nodes"] if n["node"] == "marts")
    assert node["failure"]["place"] == ["warehouse/models/customers.sql", 0, 0]


def test_it_sees_what_it_is_given_and_nothing_else(project: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is the contract's; secrets reach it where they are named, and no report."""
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret-value")
    monkeypatch.setenv("OTHER", "not for you")
    project.replace(
        "recipes/r/recipe.yml", "    with:", "    env: {REGION: eu}\n    secrets: [TOKEN_OF_MINE]\n    with:"
    )
    project.commit()
    code = (
        "assert 'OTHER' not in os.environ and os.environ['REGION'] == 'eu'\n"
        "assert json.loads(words[words.index('--vars') + 1]) == {'least': 3}\n"
        "assert not pathlib.Path('dev.duckdb').exists()\n"
        "print('Encountered an error:\\nit is', os.environ['TOKEN_OF_MINE']); sys.exit(2)\n"
    )
    said = fake(project, code)
    assert said.code == 1
    assert message(project) == "dbt: it is ***"
    assert "s3cret" not in said.out + said.err


CHANGES = {
    "warehouse/models/customers.sql": ("-- other\n", True),
    "warehouse/seeds/new.csv": ("a\n1\n", True),
    "warehouse/target/manifest.json": ("{}", False),
    "warehouse/dev.duckdb": ("x", False),
    "warehouse/profiles.yml": ("{}", False),
    "recipes/r/recipe.yml": (RECIPE.replace("least: 3", "least: 4"), True),
    "README.md": ("other", False),
}


def test_its_identity_is_its_project(project: Shop) -> None:
    """A change of a file of the project or of a variable builds again; what dbt leaves behind does not."""
    assert fake(project, "build([MODEL])").code == 0
    for file, (text, again) in CHANGES.items():
        path = project.root / file
        before = path.read_text(encoding="utf-8") if path.exists() else None
        project.write({file: text})
        said = project.cli("plan")
        assert ("+ run    marts" in said.out) is again, (file, said.out)
        path.unlink()
        if before is not None:
            project.write({file: before})
    assert "= reuse  marts" in project.cli("plan").out


def test_mistakes_in_the_recipe_are_told(project: Shop) -> None:
    """What cannot be meant is refused before anything runs."""
    cases = {
        "dbt: ../../nowhere": "no such file",
        "dbt: {project: ../../warehouse, select: [--full-refresh]}": "is an option, not a selector",
        "dbt: ../../warehouse\n    on: publish": "a dbt node cannot wait for publication",
        "dbt: ../../warehouse\n    materialize: view": "'view' is for sql nodes",
    }
    for text, said in cases.items():
        project.commit(
            {
                "recipes/r/recipe.yml": RECIPE.replace(
                    "dbt: {project: ../../warehouse, python: tools/python}", text
                )
            }
        )
        answer = project.cli("validate")
        assert answer.code == 2, text
        assert said in answer.out + answer.err, (text, answer.out + answer.err)


def test_its_project_is_untouched(project: Shop) -> None:
    """dbt works on a copy: nothing is written into the repository, and nothing of it stays."""
    before = project.git("status", "--porcelain", "--ignored")
    fake(
        project,
        "pathlib.Path(words[words.index('--project-dir') + 1], 'models', 'customers.sql').write_text('x')",
    )
    assert (project.root / "warehouse/models/customers.sql").read_text() == PROJECT[
        "warehouse/models/customers.sql"
    ]
    assert "warehouse" not in project.git("status", "--porcelain", "--ignored").replace(before, "")
    left = [p for p in Path(project.root / ".gitkitchen/runs").rglob("work/*") if p.is_dir()]
    assert left == []
    assert os.environ.get("DBT_ENV_CUSTOM_ENV_GITKITCHEN") is None
