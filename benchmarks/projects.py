"""The same models as projects of dbt (on dbt-duckdb) and SQLMesh (on DuckDB)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.generators import Model

DBT_PROJECT = """\
name: bench
version: "1.0"
config-version: 2
profile: bench
model-paths: [models]
test-paths: [tests]
macro-paths: [macros]
flags: {send_anonymous_usage_stats: false}
models: {bench: {+materialized: table}}
"""


def dbt_profiles(database: str, threads: int) -> str:
    """profiles.yml for one DuckDB file."""
    return (
        "bench:\n  target: dev\n  outputs:\n"
        f"    dev: {{type: duckdb, path: {database}, threads: {threads}}}\n"
    )


def dbt_two_targets(database: str, threads: int) -> str:
    """profiles.yml with production, and a sandbox whose schema is told by the environment."""
    schema = "\"{{ env_var('BENCH_SCHEMA') }}\""
    sandbox = f"{{type: duckdb, path: {database}, threads: {threads}, schema: {schema}}}"
    return f"{dbt_profiles(database, threads)}    sandbox: {sandbox}\n"


def write_dbt(root: Path, models: Sequence[Model], threads: int) -> None:
    """A dbt project: a model a file, and not_null and unique on the last one's id."""
    (root / "models").mkdir(parents=True)
    (root / "dbt_project.yml").write_text(DBT_PROJECT, "utf-8")
    (root / "profiles.yml").write_text(dbt_profiles("bench.duckdb", threads), "utf-8")
    for model in models:
        write_dbt_model(root, model)
    (root / "models" / "schema.yml").write_text(
        "version: 2\nmodels:\n"
        f"  - name: {models[-1].name}\n    columns: [{{name: id, data_tests: [not_null, unique]}}]\n",
        "utf-8",
    )


def write_dbt_model(root: Path, model: Model) -> None:
    """One model's file, its inputs as ``ref``."""
    text = model.rendered(lambda name: "{{ ref('" + name + "') }}")
    (root / "models" / f"{model.name}.sql").write_text(text + "\n", "utf-8")


def keep_dbt_state(root: Path) -> None:
    """What ``state:modified`` compares with: the manifest of the last run."""
    (root / "state").mkdir(exist_ok=True)
    shutil.copyfile(root / "target" / "manifest.json", root / "state" / "manifest.json")


SQLMESH_CONFIG = """\
gateways:
  local:
    connection: {{type: duckdb, database: bench.duckdb, concurrent_tasks: {threads}}}
default_gateway: local
model_defaults: {{dialect: duckdb, start: 2024-01-01}}
disable_anonymized_analytics: true
"""


def write_sqlmesh(root: Path, models: Sequence[Model], threads: int) -> None:
    """A SQLMesh project: a FULL model a file, and audits not_null and unique on the last one's id."""
    (root / "models").mkdir(parents=True)
    (root / "config.yaml").write_text(SQLMESH_CONFIG.format(threads=threads), "utf-8")
    for model in models:
        write_sqlmesh_model(root, model, audited=model is models[-1])


def write_sqlmesh_model(root: Path, model: Model, *, audited: bool) -> None:
    """One model's file, its inputs in schema ``bench``."""
    audits = ",\n  audits (not_null(columns := (id)), unique_values(columns := (id)))" if audited else ""
    text = model.rendered(lambda name: f"bench.{name}")
    head = f"MODEL (\n  name bench.{model.name},\n  kind FULL{audits}\n);\n"
    (root / "models" / f"{model.name}.sql").write_text(f"{head}\n{text}\n", "utf-8")
