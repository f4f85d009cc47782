"""``results``: the JUnit XML of any job as evidence; each of its tests is a test of the recipe.

What cannot vouch for what is tested now is an error of severity stop, whatever severity the node gives its
tests: a file that is missing, empty, cut off or of another kind, that is older than the files it is about,
that is itself committed, or that tells of another commit.
"""

from __future__ import annotations

import glob as patterns
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from gitkitchen.errors import Mistake, Place
from gitkitchen.frozen import dataclass
from gitkitchen.git import Repository
from gitkitchen.model import Failure, Severity, TestResult, TestState
from gitkitchen.printed import mask, masks, text_safe
from gitkitchen.run.context import Built, NodeFailed, Task
from gitkitchen.run.junit import MOST_CASES, Case, Report, read_junit
from gitkitchen.run.junit_places import Finder, folders_around
from gitkitchen.run.xml_events import MOST_BYTES, Unreadable

MOST_FILES = 1_000
MOST_LISTED = 100_000
MOST_TOGETHER = 256_000_000
_MESSAGE, _PRINTED = 1_500, 500
_COMMITTED = "is committed: a result that is part of what is tested cannot be its result"


@dataclass(frozen=True, slots=True)
class Found:
    """A file of results: where it is, what people call it, and whether another node of the run made it."""

    path: Path
    name: str
    made_here: bool = False


def execute(task: Task) -> Built:
    """Read the files. Raises NodeFailed where there is none, or nothing in them was really tested."""
    files = list(_made(task)) if task.node.config.get("of") else list(_looked_for(task))
    if len(files) > MOST_FILES:
        raise _failed(
            task, f"there are more than {MOST_FILES:,} files of results", "name fewer in `results:`"
        )
    old = _Age(task) if any(not f.made_here for f in files) else None
    tests: list[TestResult] = []
    cases = 0
    left = MOST_TOGETHER
    names = _Names(task)
    for file in files:
        report, troubles = _read(file, left, old)
        left -= report.bytes
        cases += len(report.cases)
        if cases > MOST_CASES:
            message = f"the files of results hold more than {MOST_CASES:,} tests"
            raise _failed(task, message, "split them among several `results:` nodes")
        folders = () if file.made_here else folders_around(file.path, task.context.project.root)
        finder = Finder(task.context.project.root, folders or (task.recipe_folder,), task.node.place)
        troubles += _repeated(report.cases, bool(task.node.config.get("repeats")))
        tests += [_trouble(task, names, file, said) for said in troubles]
        tests += [_result(task, names, file, case, finder) for case in report.cases]
    _enough(task, tests, cases)
    flaky = sum(1 for t in tests if t.message.startswith(_FLAKY))
    states = Counter(t.state.value for t in tests)
    metrics = {"files": float(len(files)), "tests": float(cases), **{k: float(v) for k, v in states.items()}}
    return Built({}, tuple(tests), metrics | ({"flaky": float(flaky)} if flaky else {}))


# --- files ---------------------------------------------------------------------------------------


def _made(task: Task) -> Iterator[Found]:
    """The files that nodes of this recipe made."""
    for name in task.node.config["of"]:
        version = task.inputs.get(name)
        if version is None or version.format != "file":
            message = f"'{name}' is no file of results"
            hint = "name an output of a `run:` node whose file ends in .xml"
            raise _failed(task, message, hint)
        yield Found(task.tables.files(name, version)[0], name, made_here=True)


def _looked_for(task: Task) -> Iterator[Found]:
    """The files that the paths and patterns name, each once, in their order. Every one must find some."""
    root = task.context.project.root
    seen: set[Path] = set()
    given = task.node.config.get("given")
    for pattern in given or task.node.config["files"]:
        found = list(_matching(pattern, root))
        if not found:
            made = "what a `run:` node writes is one of its outputs: `results: {of: NAME}`"
            hint = f"run the tests first; {made}" if not given else "the path is one of the command line"
            raise _failed(task, f"there is no file '{text_safe(pattern)[:200]}'", hint)
        for path in found:
            real = path.resolve()
            if not given and not real.is_relative_to(root.resolve()):
                message = f"'{text_safe(str(path.relative_to(root)))[:200]}' leads out of the repository"
                raise _failed(task, message, "give files outside with `--results`")
            if real not in seen:
                seen.add(real)
                yield Found(path, _shown(path, root))


def _matching(pattern: str, root: Path) -> Iterator[Path]:
    """The files of one path, folder or pattern, sorted. An absolute one leaves ``root`` aside."""
    path = root / pattern
    if path.is_file() or (path.exists() and not path.is_dir()):
        yield path
        return
    names: Iterator[str]
    if path.is_dir():
        names = patterns.iglob("*.xml", root_dir=path)  # noqa: PTH207 - as below
    elif patterns.has_magic(pattern):
        path = root
        names = patterns.iglob(pattern, root_dir=root, recursive=True)  # noqa: PTH207 - may be absolute
    else:
        return
    for name in sorted(islice(names, MOST_LISTED)):
        if not (path / name).is_dir():
            yield path / name


def _shown(path: Path, root: Path) -> str:
    try:
        return text_safe(path.relative_to(root).as_posix())
    except ValueError:
        return text_safe(path.name)


class _Age:
    """What is known of the files that results are about: when the last of them changed, and the commit."""

    def __init__(self, task: Task) -> None:
        self.subject = task.context.subject
        self.tracked: frozenset[str] = frozenset()
        self.root = task.context.project.root
        self.newest, self.changed = 0, ""
        try:
            repository = Repository.find(self.root)
        except Mistake:
            return
        self.root = repository.root
        self.tracked = frozenset(repository.tracked())
        about = task.node.config.get("about") or ["."]
        for name in self.tracked:
            if not any(a in (".", name) or name.startswith(f"{a}/") for a in about):
                continue
            try:
                status = (self.root / name).lstat()
            except OSError:
                continue
            if status.st_mtime_ns > self.newest and not stat.S_ISDIR(status.st_mode):
                self.newest, self.changed = status.st_mtime_ns, name

    def troubles(self, path: Path) -> Iterator[str]:
        try:
            inner = path.resolve().relative_to(self.root.resolve()).as_posix()
            written = path.stat().st_mtime_ns
        except ValueError:
            inner, written = "", path.stat().st_mtime_ns
        except OSError:
            return
        if inner in self.tracked:
            yield _COMMITTED
        elif written < self.newest:
            yield f"is older than '{text_safe(self.changed)}': run the tests again"

    def of_commit(self, commits: frozenset[str]) -> Iterator[str]:
        if self.subject is not None and self.subject.commit and commits - {self.subject.commit}:
            other = sorted(commits - {self.subject.commit})[0]
            yield f"tells of commit {other[:12]}, and {self.subject.commit[:12]} is tested here"


def _read(file: Found, left: int, old: _Age | None) -> tuple[Report, list[str]]:
    """A file's report, and why it is no evidence."""
    try:
        report = read_junit(file.path, min(MOST_BYTES, left))
    except Unreadable as error:
        return Report(()), [str(error)]
    troubles = list(report.troubles)
    if old is not None and not file.made_here:
        troubles += [*old.troubles(file.path), *old.of_commit(report.commits)]
    return report, troubles


# --- tests ---------------------------------------------------------------------------------------


def _repeated(cases: Sequence[Case], allowed: bool) -> list[str]:
    """Tests that stand there twice, where one of them could hide another: both passed, or only one."""
    if allowed:
        return []
    found: dict[tuple[str, str, str, str, int], list[str]] = {}
    for case in cases:
        key = (case.suite, case.classname, case.name, case.file, case.line)
        found.setdefault(key, []).append(case.state)
    hiding = [k for k, s in found.items() if len(s) > 1 and not {"failed", "error"}.issuperset(s)]
    if not hiding:
        return []
    more = f" (and {len(hiding) - 1:,} more)" if len(hiding) > 1 else ""
    name = text_safe(hiding[0][2])[:200]
    times = len(found[hiding[0]])
    return [f"has the test '{name}' {times} times{more}; `repeats: true` counts each of them"]


class _Names:
    """Names for tests, each given once."""

    def __init__(self, task: Task) -> None:
        self.prefix = f"{task.node.name}/logic/results"
        self.taken: Counter[str] = Counter()

    def id(self, label: str, file: str) -> str:
        name = label if not self.taken[label] else f"{file}: {label}"
        if name != label:
            self.taken[label] += 1
        self.taken[name] += 1
        number = self.taken[name]
        return f"{self.prefix}({name})" if number == 1 else f"{self.prefix}({name})[{number}]"


_FLAKY = "passed only when it was tried again"


def _result(task: Task, names: _Names, file: Found, case: Case, finder: Finder) -> TestResult:
    hidden = masks(task.context.masks)
    label = _safe(_label(case), hidden, 300)
    place = finder.place(case)
    message = _message(case, hidden)
    return TestResult(
        id=names.id(label, file.name),
        node=task.node.name,
        dataset="",
        phase="logic",
        kind="results",
        severity=Severity(task.node.config.get("severity") or "stop"),
        state=TestState(case.state),
        observed="skipped" if case.state == "skipped" else (message or case.state),
        expected=label,
        message=message,
        seconds=case.seconds,
        place=Place(text_safe(place.file), place.line),
    )


def _label(case: Case) -> str:
    """What people call a test: its class and its name, unless the name says both."""
    given = case.classname
    if given in ("", "test") or case.name.startswith(given) or case.name.endswith(given):
        return case.name
    return f"{case.classname}.{case.name}"


def _message(case: Case, hidden: Sequence[str]) -> str:
    if case.flaky:
        return _FLAKY
    if case.state == "passed":
        return ""
    head, body = case.message.strip(), case.text.strip()
    if case.state == "skipped":
        return _safe(head or body, hidden, 300)
    if case.type and case.type not in head and case.type.lower() not in ("failure", "error", "assert"):
        head = f"{case.type}: {head}" if head else case.type
    text = head if not body or body in head else f"{head}\n{body}" if head and head not in body else body
    printed = case.output.strip()
    if printed:
        text = f"{text[:_MESSAGE]}\nprinted: {printed[-_PRINTED:]}" if text else printed[:_MESSAGE]
    return _safe(text.strip() or case.state, hidden, _MESSAGE + _PRINTED + 20)


def _trouble(task: Task, names: _Names, file: Found, said: str) -> TestResult:
    """Why a file vouches for nothing: always of severity stop."""
    message = _safe(f"{file.name} {said}", masks(task.context.masks), 600)
    return TestResult(
        id=names.id(f"{file.name} is evidence", file.name),
        node=task.node.name,
        dataset="",
        phase="logic",
        kind="results",
        severity=Severity.STOP,
        state=TestState.ERROR,
        observed=message,
        expected=f"{file.name} is evidence",
        message=message,
        place=task.node.place,
    )


def _enough(task: Task, tests: Sequence[TestResult], cases: int) -> None:
    """Raise NodeFailed where nothing was tested, or less than the recipe asks for."""
    if any(t.state is TestState.ERROR for t in tests):
        return  # red, with its reason
    if tests and all(t.state is TestState.SKIPPED for t in tests):
        raise _failed(task, f"all of its {cases:,} tests were skipped: nothing was tested", "")
    least = int(task.node.config.get("min") or 1)
    ran = sum(1 for t in tests if t.state is not TestState.SKIPPED)
    if ran < least:
        hint = "a suite that shrank silently is no evidence; lower `min:` if it was meant"
        raise _failed(task, f"{ran:,} tests were run, and there must be at least {least:,}", hint)


def _safe(text: str, hidden: Sequence[str], longest: int) -> str:
    masked = mask(text, hidden)
    return "\n".join(text_safe(line) for line in masked.splitlines())[:longest]


def _failed(task: Task, message: str, hint: str) -> NodeFailed:
    return NodeFailed(Failure("error", message, task.node.place, hint))
