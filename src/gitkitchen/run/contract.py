"""The node contract for any language: a private folder, an environment, files in, files out.

<private>/                      TMPDIR is <private>/tmp
<private>/<recipe's folder>/    HOME and working directory; what the node declares lies around it as
                                in the repository, so that undeclared files are really absent
<private>/inputs/<dataset>/     links, where a version has several files
<private>/result.json           GITKITCHEN_RESULT
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Any

from gitkitchen.errors import Place
from gitkitchen.frozen import dataclass
from gitkitchen.model import Failure, State, Version
from gitkitchen.printed import text_safe
from gitkitchen.process import Completed, search_path
from gitkitchen.run.context import Built, NodeFailed, Task
from gitkitchen.run.report_file import Report, read_report
from gitkitchen.supervision import BrokenOutput
from gitkitchen.switchboard import Lost
from gitkitchen.turns import Turns

TEMPORARY = "tmp"
_DECLARED = ("file:", "code:")
_UNTOUCHED = 1_000_000_000
"""When a fresh folder says that it was changed last, in nanoseconds: long ago, so that a change is seen."""


@dataclass(slots=True)
class Private:
    """The private folder of one execution. ``work`` is its working directory.

    ``folders`` are those made for it, each with what it held then.
    """

    top: Path
    work: Path
    result: Path
    folders: tuple[tuple[str, list[str]], ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    """The variables that name its parts."""
    untouched: bool = False
    """Known to be as it was made, when its process had ended."""


def open_private(task: Task) -> Private:
    """A fresh folder with what the node's definition is made of copied in. Raises NodeFailed."""
    private = _fresh(task)
    root = task.context.project.root
    for part in task.definition.parts:
        if part.startswith(_DECLARED):
            _copy_in(root, private.top, part[5:], task)
    return private


def _fresh(task: Task) -> Private:
    """A folder that an earlier node of this run left untouched, or a new one."""
    try:
        spare: Private = task.context.spare_folders.pop()
        return spare
    except IndexError:
        top = new_folder(task)
    work = top / task.recipe_folder
    work.mkdir(parents=True)
    (top / TEMPORARY).mkdir()
    between = [folder for folder in work.parents if folder != top and folder.is_relative_to(top)]
    folders = [str(f) for f in (top, top / TEMPORARY, work, *between)]
    held = tuple((f, sorted(os.listdir(f))) for f in folders)  # noqa: PTH208 - quick
    for folder in folders:
        os.utime(folder, ns=(_UNTOUCHED, _UNTOUCHED))
    result = top / "result.json"
    told = {"HOME": str(work), "TMPDIR": str(top / TEMPORARY), "GITKITCHEN_RESULT": str(result)}
    return Private(top, work, result, held, told)


def new_folder(task: Task) -> Path:
    """A name for a folder of this task alone, below the run's. Not made."""
    return task.context.folder / "work" / f"{task.name}.{secrets.token_hex(4)}"


def _copy_in(root: Path, top: Path, name: str, task: Task) -> None:
    target = top / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, target)
    except OSError as error:
        message = f"the file '{name}' cannot be read: {error.strerror}"
        raise NodeFailed(Failure("error", message, task.node.place)) from error


def close_private(task: Task, private: Private) -> None:
    """Remove the folder and all that the node left there, also what it made unwritable."""
    if private.untouched or _untouched(private):
        private.untouched = False  # the next node may leave something
        task.context.spare_folders.append(private)
        return

    def insist(function: Any, path: str, _error: Any) -> None:
        try:
            for name in (os.path.dirname(path), path):  # noqa: PTH120
                os.chmod(name, stat.S_IRWXU)  # noqa: PTH101
            function(path)
        except OSError:
            return  # it is ours alone and never read again: a left-over costs only space

    if sys.version_info >= (3, 12):
        shutil.rmtree(private.top, onexc=insist)
    else:
        shutil.rmtree(private.top, onerror=insist)


def _untouched(private: Private) -> bool:
    """Whether a folder is as ``_fresh`` made it: nothing came or went since, or what came went again."""
    try:
        for folder, held in private.folders:
            if os.stat(folder).st_mtime_ns != _UNTOUCHED:  # noqa: PTH116 - quick
                if sorted(os.listdir(folder)) != held:  # noqa: PTH208
                    return False
                os.utime(folder, ns=(_UNTOUCHED, _UNTOUCHED))
    except OSError:
        return False
    return True


# --- environment ---------------------------------------------------------------------------------


def environment(task: Task, private: Private) -> dict[str, str]:
    """All that a node's process is told; nothing of our own environment but PATH."""
    node = task.node
    params = json.dumps(task.params, ensure_ascii=False, default=str) if task.params else "{}"
    reserved = {**private.told, "GITKITCHEN_PARAMS": params}
    for name, version in task.inputs.items():
        reserved[f"GITKITCHEN_INPUT_{name.upper()}"] = str(input_path(task, private, name, version))
    for dataset in node.datasets:
        reserved[f"GITKITCHEN_OUTPUT_{dataset.upper()}"] = str(output_path(private, node.datasets, dataset))
    return {
        "PATH": search_path(os.environ.get("PATH", os.defpath)),
        # A shell that is not told asks the machine's directory of users, which may be a server's.
        "SHELL": found("bash"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **task.env,
        **task.secrets,
        **reserved,
    }


@cache
def found(shell: str) -> str:
    """Where a shell is: looked for once, not along PATH for each node."""
    return shutil.which(shell) or shell


def input_path(task: Task, private: Private, name: str, version: Version) -> Path:
    """Where a node reads an input: its one file, or a folder of links to its files."""
    paths = task.tables.files(name, version)
    if len(paths) == 1:
        return paths[0]
    folder = private.top / "inputs" / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        link = folder / f"part-{number:05}{path.suffix}"
        if not link.is_symlink():
            link.symlink_to(path)
    return folder


def output_path(private: Private, datasets: Mapping[str, str | None], dataset: str) -> Path:
    """Where a node writes an output; a table without a file of its own gets one beside."""
    file = datasets[dataset]
    return private.work / file if file else private.top / f"{dataset}.parquet"


# --- running -------------------------------------------------------------------------------------


def run_process(
    task: Task, private: Private, argv: Sequence[str], *, turns: Turns | None = None
) -> Completed:
    """Run a node's process in its private folder; raises NodeFailed where it was ended or cannot start.

    ``turns``: the process takes its turn by itself; the engine gave the node none.
    """
    env = environment(task, private)
    for dataset, file in task.node.datasets.items():
        if file:
            path = output_path(private, task.node.datasets, dataset)
            path.unlink(missing_ok=True)  # a committed file of that name is no output
            path.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = task.context.supervisors.run(
            argv,
            env=env,
            cwd=private.work,
            timeout=task.node.timeout,
            cancel=task.cancel,
            log=task.log,
            secrets=tuple(task.secrets.values()),
            turns=turns,
        )
    except Lost as error:
        failure = Failure("infrastructure", f"its process was lost: {error.strerror}", task.node.place)
        raise NodeFailed(failure) from error
    except BrokenOutput as error:
        message = f"its process was ended, since its log cannot be written: {error.strerror}"
        raise NodeFailed(Failure("infrastructure", message, task.node.place)) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"its process cannot be started: {reason}"
        hint = "check that the command exists and that `with:` and `env:` are not too large"
        raise NodeFailed(Failure("error", message, task.node.place, hint)) from error
    if done.cancelled:
        failure = Failure("cancelled", "cancelled while it ran", task.node.place)
        raise NodeFailed(failure, state=State.CANCELLED, tail=done.tail, logged=done.logged)
    if done.timed_out:
        raise NodeFailed(timed_out(task), state=State.TIMED_OUT, tail=done.tail, logged=done.logged)
    return done


def timed_out(task: Task) -> Failure:
    """The failure of a node that took longer than its ``timeout-minutes``."""
    seconds = task.node.timeout or 0.0
    limit = f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
    return Failure(
        "timeout",
        f"it was still running after {limit}, its time limit",
        task.node.place,
        "raise `timeout-minutes` if the work really needs longer",
    )


_CODES = {
    126: "126: the file is there and may not be executed",
    127: "127: the command was not found",
    141: "141: a command of a pipe wrote on when its reader had ended, as in `… | head`: that is a failure",
}


def ended_badly(task: Task, done: Completed) -> NodeFailed:
    """The failure of a process that ended with a code other than 0."""
    if done.code < 0:
        message = f"its process was killed by signal {-done.code}"
        hint = "signal 9 often means that the machine ran out of memory" if done.code == -9 else ""
    else:
        message = f"its command ended with exit code {done.code}"
        hint = _CODES.get(done.code, "")
    last = next((line.strip() for line in reversed(done.tail) if line.strip()), "")
    if last:
        message += f": {last[:300]}"
    return NodeFailed(Failure("error", message, task.node.place, hint), tail=done.tail, logged=done.logged)


# --- results -------------------------------------------------------------------------------------


def collect(task: Task, private: Private, done: Completed) -> Built:
    """Take a process's outputs into the store, and what it reported. Raises NodeFailed."""
    try:
        versions = {d: take_output(task, private, d) for d in task.node.datasets}
        private.untouched = _untouched(private)
        report = Report() if private.untouched else read_report(private.result, task.node, task.secrets)
    except NodeFailed as error:
        raise NodeFailed(error.failure, tail=done.tail, logged=done.logged) from error
    return Built(versions, report.tests, report.metrics, report.links, done.tail, done.logged)


def take_output(task: Task, private: Private, dataset: str) -> Version:
    """One output as a version: Parquet as a table, everything else as a file. Raises NodeFailed."""
    file = task.node.datasets[dataset]
    path = output_path(private, task.node.datasets, dataset)
    variable = f"$GITKITCHEN_OUTPUT_{dataset.upper()}"
    shown = f"'{file}' " if file else ""
    if not path.exists():
        message = f"it ended without an error and without its output {shown}(dataset {dataset})"
        raise NodeFailed(Failure("error", message, task.node.place, f"write it to {variable}"))
    if path.is_symlink() or not path.is_file() or private.top not in path.resolve().parents:
        message = f"its output {shown}(dataset {dataset}) is no regular file"
        raise NodeFailed(Failure("error", message, task.node.place, f"write one file to {variable}"))
    if path.suffix != ".parquet":
        entry = task.context.store.adopt(path, suffix=path.suffix)
        return Version(dataset, "file", task.fingerprint, entry.digest, files=(entry,))
    try:
        return task.tables.import_parquet(task, dataset, path)
    except ValueError as error:
        message = f"its output {shown}(dataset {dataset}) cannot be read as Parquet: {text_safe(str(error))}"
        hint = f"write Parquet to {variable}, or give the output another file name"
        raise NodeFailed(Failure("error", message, task.node.place, hint)) from error


def user_place(task: Task, private: Private, file: str, line: int) -> Place:
    """A place in the repository from one in the private folder's copy."""
    try:
        return Place(Path(file).resolve().relative_to(private.top.resolve()).as_posix(), line)
    except ValueError:
        return task.node.place
