"""``dbt``: a dbt project builds in a database of its own; its models and tests become the recipe's.

The project is copied into the node's private folder and runs under a profile that is written for it. The
database that it builds in holds nothing but views of the node's inputs; consumers' data is out of its
reach. Each model that ``outputs:`` names becomes a version, published like any other after its tests.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from gitkitchen.errors import Place
from gitkitchen.model import Failure, Severity, TestResult, TestState, Version
from gitkitchen.plan.dbt import find_dbt
from gitkitchen.printed import mask, masks, text_safe
from gitkitchen.process import Completed, search_path
from gitkitchen.run.context import Built, NodeFailed, Task
from gitkitchen.run.contract import (
    Private,
    close_private,
    ended_badly,
    open_private,
    run_process,
    take_output,
)
from gitkitchen.run.dbt_artifacts import (
    TESTS,
    Item,
    NoEvidence,
    complaint,
    model_names,
    read_artifacts,
)

CHILD = Path(__file__).parent.parent / "dbt_child.py"
MOST_THREADS = 4
_GOOD = frozenset({"success", "no-op"})
_TEST_STATES = {
    "pass": (TestState.PASSED, None),
    "warn": (TestState.FAILED, Severity.WARN),
    "fail": (TestState.FAILED, Severity.STOP),
}
_NAMED = re.compile(r"(?:[\w.+-]+/)*[\w.+-]+\.(?:sql|ya?ml|py|csv|md)\b")
_DATABASE = "gitkitchen_build.duckdb"


def execute(task: Task) -> Built:
    """Build the project. Failing models and tests are results; what gave no evidence raises NodeFailed."""
    words = find_dbt(task.node, task.context.project.root, search_path(os.environ.get("PATH", os.defpath)))
    if words is None:
        raise _absent(task)
    private = open_private(task)
    try:
        _lay_inputs(task, private)
        token = secrets.token_hex(16)
        done = _run(task, private, words, token)
        try:
            items = _believed(task, private, done, token)
            tests = tuple(_results(task, private, items))
            if done.code and not any(t.stops for t in tests):
                raise ended_badly(task, done)
            versions = _take(task, private, items, token)
        except NodeFailed as error:
            raise NodeFailed(
                error.failure, state=error.state, tail=error.tail or done.tail, logged=done.logged
            ) from error
        return Built(versions, tests, _metrics(items), {}, done.tail, done.logged)
    finally:
        close_private(task, private)


def _absent(task: Task) -> NodeFailed:
    python = task.node.config.get("python")
    what = f"'{python}' is no Python that can be run" if python else "there is no command `dbt` on the PATH"
    hint = "install dbt-core and dbt-duckdb, or name the Python that has them: `dbt: {python: …}`"
    return NodeFailed(Failure("infrastructure", f"dbt was not found: {what}", task.node.place, hint))


# --- before and after ----------------------------------------------------------------------------


def _child(task: Task, private: Private, asked: dict[str, object]) -> None:
    """Work on dbt's database in a process of its own. Raises NodeFailed with what it said."""
    path = private.top / "dbt_task.json"
    path.write_text(json.dumps(asked), encoding="utf-8")
    done = run_process(task, private, [sys.executable, "-P", "-s", "-B", str(CHILD), str(path)])
    if done.code:
        said = next((line.strip() for line in done.tail if line.strip()), "")  # then come its carets
        hint = "a DuckDB of dbt's that is newer than GitKitchen's can write what this one cannot read"
        failure = Failure("error", said or "dbt's database cannot be used", task.node.place, hint)
        raise NodeFailed(failure, tail=done.tail, logged=done.logged)


def _lay_inputs(task: Task, private: Private) -> None:
    tables = {n: v for n, v in task.inputs.items() if v.format != "file"}
    inputs = {n: [str(p) for p in task.tables.files(n, v)] for n, v in tables.items()}
    asked: dict[str, object] = {"kind": "open", "database": str(private.top / _DATABASE), "inputs": inputs}
    _child(task, private, asked | {"schema": task.node.config.get("schema") or "kitchen"})


def _take(task: Task, private: Private, items: Sequence[Item], token: str) -> dict[str, Version]:
    """The versions of the models that ``outputs:`` names and that were built. Raises NodeFailed."""
    built = {i.name: i for i in items if i.kind in ("model", "seed")}
    relations: dict[str, str] = {}
    taken: list[str] = []
    for dataset, model in task.node.config["models"].items():
        item = built.get(model)
        if item is None:
            raise _not_built(task, private, model, token)
        if item.status not in _GOOD:
            if task.node.matrix:
                raise _error(task, f"its model '{model}' was not built")
            continue
        if not item.relation:
            message = f"its model '{model}' is ephemeral: there is no table to keep"
            raise _error(task, message, "let dbt materialise it as a table or a view")
        relations[str(private.top / f"{dataset}.parquet")] = item.relation
        taken.append(dataset)
    if relations:
        inputs = {
            str(p.parent)
            for n, v in task.inputs.items()
            if v.format != "file"
            for p in task.tables.files(n, v)
        }
        asked: dict[str, object] = {"kind": "take", "database": str(private.top / _DATABASE)}
        folders = [str(private.top), *sorted(inputs)]
        _child(task, private, asked | {"relations": relations, "folders": folders})
    return {dataset: take_output(task, private, dataset) for dataset in taken}


def _not_built(task: Task, private: Private, model: str, token: str) -> NodeFailed:
    known = model_names(private.top / "target", token)
    if model in known:
        message = f"`outputs:` names '{model}', which dbt did not build"
        if known[model] == "ephemeral":
            return _error(task, f"{message}: it is ephemeral", "materialise it as a table or a view")
        return _error(task, f"{message}: it is not selected", "select it, or take it out of `outputs:`")
    near = get_close_matches(model, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "name models of the project, or {dataset: model}"
    return _error(task, f"`outputs:` names '{model}', and the project has no such model enabled", hint)


# --- dbt -----------------------------------------------------------------------------------------


def _run(task: Task, private: Private, words: Sequence[str], token: str) -> Completed:
    """Run ``dbt build`` on the private copy, with a profile that leads to the private database."""
    config = task.node.config
    profiles = private.top / "profiles"
    profiles.mkdir()
    threads = max(1, min(MOST_THREADS, os.cpu_count() or 1))
    # dbt renders this file: the path comes by the environment, so that nothing of it is a template.
    kitchen = {"type": "duckdb", "path": "{{ env_var('GITKITCHEN_DATABASE') }}", "threads": threads}
    profile = {"gitkitchen": {"target": "kitchen", "outputs": {"kitchen": kitchen}}}
    (profiles / "profiles.yml").write_text(json.dumps(profile), encoding="utf-8")
    options = ["--project-dir", str(private.top / str(config["project"])), "--profiles-dir", str(profiles)]
    options += ["--profile", "gitkitchen", "--target", "kitchen"]
    options += ["--target-path", str(private.top / "target"), "--log-path", str(private.top / "dbt_logs")]
    options += ["--no-use-colors", "--no-partial-parse", "--no-send-anonymous-usage-stats"]
    for key in ("select", "exclude"):
        if config.get(key):
            options += [f"--{key}", " ".join(config[key])]
    if task.params:
        options += ["--vars", json.dumps(task.params, default=str)]
    env = {
        **task.env,
        "DO_NOT_TRACK": "1",
        "GITKITCHEN_DATABASE": str(private.top / _DATABASE),
        "DBT_ENV_CUSTOM_ENV_GITKITCHEN": token,
    }
    return run_process(replace(task, env=env), private, [*words, "build", *options])


def _believed(task: Task, private: Private, done: Completed, token: str) -> tuple[Item, ...]:
    """What dbt says that it did, where that can be believed. Raises NodeFailed."""
    if done.code not in (0, 1):
        raise _refused(task, private, done)
    try:
        items = read_artifacts(private.top / "target", token)
    except NoEvidence as error:
        if done.code:
            raise _refused(task, private, done) from error
        raise _error(task, f"dbt ended without an error, and {error}") from error
    if not items:
        hint = "nothing was built and nothing was tested; check `select` and `exclude`"
        raise _error(task, "dbt selected nothing", hint)
    return items


def _refused(task: Task, private: Private, done: Completed) -> NodeFailed:
    """The failure of a dbt that could not do its work, in its own words and with its file."""
    said = complaint(done.tail)
    if done.code < 0 or not said:
        return ended_badly(task, done)
    said = _safe(said.replace(f"{private.top}{os.sep}", ""), task, 1500)
    kind, hint = "error", ""
    if "Could not find adapter type" in said or "No module named" in said:
        kind, hint = "infrastructure", "install dbt-duckdb beside dbt-core"
    elif "dbt deps" in said:
        hint = "run `dbt deps` in the project before: a node fetches nothing"
    place = _named_place(task, said) or task.node.place
    failure = Failure(kind, f"dbt: {said}", place, hint)
    return NodeFailed(failure, tail=done.tail, logged=done.logged)


def _error(task: Task, message: str, hint: str = "") -> NodeFailed:
    return NodeFailed(Failure("error", _safe(message, task, 1500), task.node.place, hint))


# --- results -------------------------------------------------------------------------------------


def _results(task: Task, private: Private, items: Sequence[Item]) -> list[TestResult]:
    """dbt's tests as tests; and what was not built as errors, for nothing vouches for it."""
    found: list[TestResult] = []
    for item in items:
        place = _place(task, item)
        if item.kind in TESTS:
            state, severity = _TEST_STATES.get(item.status, (TestState.ERROR, Severity.STOP))
            if severity is None:
                severity = Severity.WARN if item.severity == "warn" else Severity.STOP
            label = item.name
        elif item.kind == "snapshot" or item.status not in _GOOD:
            state, severity, label = TestState.ERROR, Severity.STOP, f"{item.kind} {item.name}"
        else:
            continue
        said = _safe(_said(item).replace(f"{private.top}{os.sep}", ""), task, 2000)
        found.append(
            TestResult(
                id=f"{task.node.name}/logic/dbt({text_safe(label)[:300]})",
                node=task.node.name,
                dataset="",
                phase="logic",
                kind="dbt",
                severity=severity,
                state=state,
                observed=said or state.value,
                expected=text_safe(label)[:300],
                message=said,
                failing=item.failures if item.kind in TESTS else None,
                seconds=item.seconds,
                place=place,
            )
        )
    return _numbered(found)


def _said(item: Item) -> str:
    if item.kind == "snapshot":
        return "a snapshot needs what it held before, and a kitchen's build begins empty: leave it out"
    if item.status == "skipped":
        return item.message or "dbt skipped it: something that it needs failed"
    if item.status == "pass":
        return ""
    return item.message or item.status


def _numbered(tests: list[TestResult]) -> list[TestResult]:
    """Names of tests of several packages may be equal: ids never are."""
    seen: dict[str, int] = {}
    made = []
    for test in tests:
        seen[test.id] = seen.get(test.id, 0) + 1
        number = seen[test.id]
        made.append(test if number == 1 else replace(test, id=f"{test.id}[{number}]"))
    return made


def _metrics(items: Sequence[Item]) -> dict[str, float]:
    """Each model with its seconds, and how many there were of each kind."""
    made = [i for i in items if i.kind not in TESTS]
    figures = {"models": float(len(made)), "tests": float(len(items) - len(made))}
    return figures | {f"{text_safe(i.name)[:200]} seconds": round(i.seconds, 6) for i in made[:1000]}


def _place(task: Task, item: Item) -> Place:
    """The file of a model or test; for what stands in a YAML file also its line."""
    root, project = task.context.project.root, str(task.node.config["project"])
    name = f"{project}/{item.file}" if project != "." else item.file
    if not item.file or ".." in item.file.split("/") or not (root / name).is_file():
        return task.node.place
    line = 0
    if name.endswith((".yml", ".yaml")):
        line = _line(root / name, [n for n in (item.about, item.column) if n] or [item.name])
    return Place(text_safe(name), line or (1 if item.kind not in TESTS else 0))


def _line(path: Path, names: Sequence[str]) -> int:
    """The line of a YAML file on which the last of ``names`` stands, each looked for below the one before."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[:20_000]
    except OSError:
        return 0
    at = 0
    for name in names:
        wanted = re.compile(
            rf"\bname:\s*[\"']?{re.escape(name)}[\"']?\s*(?:[,}}#].*)?$|\bname:\s*{re.escape(name)}\b"
        )
        found = next((n for n in range(at, len(lines)) if wanted.search(lines[n])), None)
        if found is None:
            break
        at = found
    else:
        return at + 1
    return at + 1 if at else 0


def _named_place(task: Task, said: str) -> Place | None:
    """The first file of the project that a message names."""
    root, project = task.context.project.root, str(task.node.config["project"])
    for match in _NAMED.finditer(said):
        for name in (match.group(), f"{project}/{match.group()}"):
            if ".." not in name.split("/") and (root / name).is_file():
                line = re.search(r"\bline (\d{1,6})\b", said)
                return Place(name, int(line[1]) if line else 0)
    return None


def _safe(text: str, task: Task, longest: int) -> str:
    masked = mask(text, masks((*task.secrets.values(), *task.context.masks)))
    return "\n".join(text_safe(line) for line in masked.splitlines())[:longest]
