"""The story of pull requests on real data, and all that the forge receives in it, as files to read.

Each chapter becomes a folder: ``requests.txt`` lists every request that writes, in its order and with all its
fields; long texts stand beside it, each as the Markdown that it is. What differs from run to run (commits,
numbers of runs and objects, times, durations, versions of tools) becomes a stable token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitkitchen.cli.demo import BY_HOUR, DAILY_JOIN, HOURLY_JOIN, JOIN
from gitkitchen.github.forge import Record
from gitkitchen.github.forge.state import Comment, Pull, Run
from scene import TESTS, Scene

EXAMPLE = Path(__file__).parents[1] / "examples" / "flights"
RECIPE = "recipes/delays/recipe.yml"
PUBLISHES = ".github/workflows/gitkitchen-production.yml"
COMMAND = ".github/workflows/gitkitchen-command.yml"
POLICY = "\npolicy:\n  require: {recipes: [delays]}\n  changes: {by: ['@bob']}\n"
INLINE = 120
"""A text of one line and so many characters stands in the list of requests."""


def files() -> dict[str, str]:
    """The example as a project on a forge, with a policy and the workflow of commands."""
    found = {
        str(p.relative_to(EXAMPLE)): p.read_text(encoding="utf-8")
        for p in sorted(EXAMPLE.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts and ".gitkitchen" not in p.parts
    }
    found["kitchen.yml"] += POLICY
    shipped = EXAMPLE.parents[1] / "workflows" / "command.yml"
    return found | {COMMAND: shipped.read_text(encoding="utf-8")}


@dataclass
class Book:
    """The chapters as they are played: ``pages`` by their path below the folder of golden files."""

    on: Scene
    pages: dict[str, str] = field(default_factory=dict)
    writes: dict[str, list[Record]] = field(default_factory=dict)
    conclusions: dict[str, dict[str, str | None]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def chapter(self, name: str, play: Callable[[], object], pull: Pull | None = None) -> None:
        """Play a part, and keep what the forge received, and what its jobs wrote for people. ``pull``: whose
        check runs it ends with."""
        begun = len(self.on.forge.log)
        self.said.clear()
        play()
        log = self.on.forge.log[begun:]
        writes = [r for r in log if r.is_write and not r.operation.startswith("git/")]
        lines = [
            f"{len(writes)} requests that write" if writes else "no request that writes",
            "",
        ]
        for number, record in enumerate(writes, 1):
            lines.append(f"{number}. {record.verb} {_path(record.path)}: {record.status}")
            for key, value in _flat(record.body):
                long = isinstance(value, str) and (len(value) > INLINE or "\n" in value)
                if "annotations" in key:
                    value = str(value).replace("\n", "\n      ")
                elif long:
                    place = f"{number:02}-{key.replace('.', '-')}.md"
                    self.pages[f"{name}/{place}"] = value
                    value = f"see {place}"
                lines.append(f"   {key}: {value}")
        self.pages[f"{name}/requests.txt"] = "\n".join(lines) + "\n"
        for place, text in self.said.items():
            self.pages[f"{name}/{place}"] = text
        self.writes[name] = writes
        if pull is not None:
            self.conclusions[name] = self.on.conclusions(pull.head_sha)

    # --- the jobs ---

    def job(self, run: Run, name: str, event: Any) -> None:
        """A job that tests: its summary, its log's commands and its outputs are part of the story."""
        place = self.on.work.root.parent
        summary, outputs = place / "summary.md", place / "outputs.txt"
        for path in (summary, outputs):
            path.unlink(missing_ok=True)
        given = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(outputs)}
        done = self.on.ci(run, name, event, **given)
        log = "".join(f"{line}\n" for line in done.out.splitlines() if line.startswith("::"))
        self.said["job-summary.md"] = summary.read_text(encoding="utf-8")
        self.said["job-log.txt"] = f"exit code {done.code}\n{log}"

    def tested(self, pull: Pull, action: str = "synchronize", run: Run | None = None) -> Run:
        event = self.on.repo.event("pull_request", action, pull=pull)
        return self.tests(run or self.on.begun(pull), "pull_request", event)

    def tests(self, run: Run, name: str, event: Any) -> Run:
        """The untrusted job with its results kept, and then the one that posts them."""
        kept = dict(self.said)
        place = self.on.work.root.parent
        summary = place / "summary.md"
        summary.unlink(missing_ok=True)
        self.on.job(run, name, event, GITHUB_STEP_SUMMARY=str(summary))
        self.said.update({**kept, "job-summary.md": summary.read_text(encoding="utf-8")})
        report = self.on.posted(run)
        self.said["posted.txt"] = "".join(
            f"{line}\n"
            for line in (
                f"exit code {report.code}",
                *report.said,
                *(f"warning: {w}" for w in report.warnings),
            )
        )
        return run

    def commented(self, pull: Pull, login: str, body: str) -> Comment:
        """A person's comment, and the job that answers it."""
        on = self.on
        on.time.now += 60
        comment = on.repo.comment(pull, login, body)
        on.time.now += 60
        on.trust("issue_comment", on.repo.event("issue_comment", "created", comment=comment))
        return comment

    def commanded(self, comment: Comment) -> None:
        """The run that a command started, to its end, and what is posted of it."""
        on = self.on
        found = [r for r in on.repo.repo.runs.values() if f"[comment {comment.id}]" in r.title]
        (run,) = found
        inputs = {name: str(value) for name, value in run.inputs.items()}
        event = on.repo.event("workflow_dispatch", workflow=COMMAND, ref="refs/heads/main", inputs=inputs)
        self.tests(run, "workflow_dispatch", event)

    # --- what stands in the end ---

    def stable(self) -> dict[str, str]:
        """All pages with tokens in place of what no two runs have in common."""
        every = "\n".join(self.pages[name] for name in sorted(self.pages))
        tokens = Tokens(every + "".join(str(f) for run in self.on.results.values() for f in run.values()))
        return {name: tokens.stable(self.pages[name]) for name in sorted(self.pages)}


def _path(path: str) -> str:
    return re.sub(r"^/repos/[^/]+/[^/]+/", "", path)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value, 1):
            yield from _flat(inner, f"{path}.{index}")
    elif value is not None:
        yield path, value


class Tokens:
    """Stable words in place of volatile ones, numbered as they come."""

    def __init__(self, every: str) -> None:
        self.known = dict.fromkeys(re.findall(r"\b[0-9a-f]{40}\b", every))
        self.numbers: dict[tuple[str, str], int] = {}

    def stable(self, text: str) -> str:
        text = re.sub(r"http://127\.0\.0\.1:\d+", "https://forge.example", text)
        text = re.sub(r"\b[0-9a-f]{40}\b", lambda m: self._token("commit", m[0][:7]), text)
        text = re.sub(r"\b(head|base|tree|at|from|to|commit) ([0-9a-f]{10,12})\b", self._short, text)
        text = re.sub(r"\b(gitkitchen:)[0-9a-f]{16}:(\d+):(\d+)", self._external, text)
        for word, kind in (
            (r"\bruns/()(\d+)", "run"),
            (r"\b(run )(\d+)(?=, attempt| \(attempt)", "run"),
            (r"(?<=check-runs/)()(\d+)", "check"),
            (r"\b(comment(?:s/| ))(\d+)", "comment"),
            (r"(<!-- gitkitchen reply )(\d+)", "comment"),
        ):
            text = re.sub(word, lambda m, k=kind: m[0].replace(m[2], self._token(k, m[2])), text)  # type: ignore[misc]
        text = re.sub(r"\b\d+(\.\d+)? (ms|s)\b|\b\d+ min \d\d s\b", "<time>", text)
        text = re.sub(r"base <time>( \([+-][\d,]+%\))?", "base <time>", text)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC", "<moment>", text)
        text = re.sub(r"\b\d{8}T\d{6,9}Z-[0-9a-f]+\b", "<record>", text)
        text = re.sub(r"(?<=· )[0-9a-f]{7}(?= · run <record>)", lambda m: self._token("commit", m[0]), text)
        return re.sub(
            r"\b(duckdb|gitkitchen|python|sqlglot|pytest|pandas|pyarrow|polars) \d+(\.\w+)+",
            r"\1 <version>",
            text,
        )

    def _short(self, match: re.Match[str]) -> str:
        return f"{match[1]} {self._token('commit', match[2][:7])}"

    def _external(self, match: re.Match[str]) -> str:
        return f"{match[1]}<recipe>:{self._token('run', match[2])}:{match[3]}"

    def _token(self, kind: str, value: str) -> str:
        of = [key for key in self.numbers if key[0] == kind]
        number = self.numbers.setdefault((kind, value), len(of) + 1)
        return f"<{kind} {number}>"


# --- the story --------------------------------------------------------------------------------------


def play(on: Scene) -> Book:
    """Opened with a mistake, mended, weakened, approved, queued, merged, and gone; then strangers."""
    book = Book(on)
    hourly = (EXAMPLE / JOIN).read_text(encoding="utf-8")
    daily = hourly.replace(BY_HOUR, "").replace(HOURLY_JOIN, DAILY_JOIN)
    recipe = (EXAMPLE / RECIPE).read_text(encoding="utf-8")
    weaker = recipe.replace("- rows: {equals: 336776}\n      ", "")
    more = hourly.replace("    weather.visib\n", "    weather.visib, weather.pressure\n")
    assert len({hourly, daily, more}) == 3
    assert weaker != recipe

    pull = on.opened("weather-by-day", {JOIN: daily}, title="Join the weather by day")
    book.chapter("01-opened-and-red", lambda: book.tested(pull, "opened"), pull)
    on.pushed(pull, {JOIN: more})
    book.chapter("02-mended-and-green", lambda: book.tested(pull), pull)

    asked: list[Comment] = []

    def ask(login: str, body: str) -> Callable[[], None]:
        return lambda: asked.append(book.commented(pull, login, body))

    def obeyed() -> None:
        book.commanded(asked[-1])

    book.chapter("03-help", ask("mallory", "/kitchen help"))
    book.chapter("04-a-stranger-commands", ask("mallory", "/kitchen run"))
    book.chapter("05-diff-is-asked", ask("alice", "/kitchen diff flights_weather"))
    book.chapter("06-diff-is-answered", obeyed, pull)
    book.chapter("07-a-misspelt-diff-is-asked", ask("alice", "/kitchen diff flight_weather"))
    book.chapter("08-a-misspelt-diff-is-answered", obeyed, pull)
    book.chapter("09-fresh-is-asked", ask("alice", "/kitchen fresh"))
    book.chapter("10-fresh-is-posted", obeyed, pull)

    on.pushed(pull, {RECIPE: weaker})
    book.chapter("11-a-test-is-removed", lambda: book.tested(pull), pull)

    def approved() -> None:
        on.repo.review(pull, "bob")
        event = on.repo.deliveries("pull_request_review")[-1].payload
        book.tests(on.begun(pull, "pull_request_review"), "pull_request_review", event)

    book.chapter("12-approved", approved, pull)

    def queued() -> None:
        branch, sha = on.repo.queue(pull)
        run = on.repo.run(TESTS, "merge_group", sha, branch=branch, conclusion=None)
        book.tests(run, "merge_group", on.repo.event("merge_group", branch=branch, pull=pull))
        book.conclusions["13-queued"] = on.conclusions(sha)
        on.repo.repo.bare.set("refs/heads/main", sha)

    book.chapter("13-queued", queued)

    def merged() -> None:
        head = on.repo.head("main")
        on.work.git("fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*")
        on.work.git("checkout", "-q", "-B", "main", head)
        run = on.repo.run(PUBLISHES, "push", head, branch="main", conclusion=None)
        book.job(run, "push", on.repo.event("push", ref="refs/heads/main"))

    book.chapter("14-merged-and-published", merged)

    def closed() -> None:
        pull.state = "closed"
        book.job(on.begun(pull), "pull_request", on.repo.event("pull_request", "closed", pull=pull))

    def deleted() -> None:
        book.job(on.begun(pull), "delete", on.repo.event("delete", ref=f"refs/heads/{pull.head_ref}"))

    book.chapter("15-closed", closed)
    book.chapter("16-branch-deleted", deleted)

    fork = on.repo.fork("mallory")
    fork.commit("main", {JOIN: more.replace("weather.pressure", "weather.humid")}, author="mallory")
    theirs = on.repo.pull("mallory:main", author="mallory", title="Humidity, too")
    book.chapter("17-a-fork", lambda: book.tested(theirs, "opened"), theirs)

    on.repo.commit("dependabot/pip", {"requirements.txt": "x==1\n"}, author="dependabot[bot]")
    robots = on.repo.pull("dependabot/pip", author="dependabot[bot]", title="Bump x from 0 to 1")
    book.chapter("18-dependabot", lambda: book.tested(robots, "opened"), robots)
    return book
