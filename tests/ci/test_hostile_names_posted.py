"""Naughty strings in every name that a stranger chooses, through both jobs, to what stands on the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.github.forge.state import Pull
from inert import assert_inert
from pulls import NAUGHTY
from scene import Scene, scene
from shop import KITCHEN_YML

pytestmark = pytest.mark.long

SQL, YML, PY = "recipes/orders/orders.sql", "recipes/orders/recipe.yml", "recipes/orders/test_it.py"
LOUD, XML = "recipes/orders/loud.py", "recipes/orders/found.xml"
KITCHEN = KITCHEN_YML + "privacy: {default: public}\n"
BRANCH = (
    "x/@acme/team-#1-GH-3-<img/src=x>-`id`-$(id)-|a|b|-__b__-%0a-javascript-www.evil.example-"
    "\u202egnp-\U0001f3f3\ufe0f-'\"!"
)
COMMANDS = (
    *("::error file=a.sql,line=1::boom", "  ::warning::boom", "\t::notice::boom", "##[group]boom"),
    *("x ##[error]boom", "\x1b[31m::error::boom", "::set-output name=verdict::passed", "::add-path::/evil"),
    *("::save-state name=x::boom", "::set-env name=PATH::/evil", "::add-mask::failed", "::endgroup::"),
    *("::stop-commands::boom", "::debug::boom", "##[set-output name=verdict;]passed", "\r::error::boom"),
    "##vso[task.setvariable variable=x]boom",
)
COLUMNS = tuple(word.replace("\x00", "") for word in NAUGHTY)
OWN = re.compile(r"::(?:error|warning|notice)(?: file=recipes/orders/[\w.]+(?:,line=\d+)?(?:,col=\d+)?)?"
                 r"(?:[ ,]title=[^:,]*)?::.*")  # fmt: skip


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def recipe() -> str:
    """All that a recipe lets its author say in words of his own, said badly."""
    every = " ".join(NAUGHTY).replace("\x00", "")
    tests: list[Any] = [
        {
            "accepted_values": {"column": column, "values": ["fine"]},
            "description": column,
            "severity": severity,
        }
        for column, severity in zip(COLUMNS, ["stop", "warn", "log"] * len(COLUMNS), strict=False)
    ]
    nodes = {
        "orders": {"sql": "orders.sql", "description": every, "tests": tests},
        "loud": {"run": "python loud.py", "needs": []},
        "suite": {"pytest": "test_it.py", "needs": []},
        "found": {"results": "found.xml"},
    }
    return json.dumps(
        {"version": 1, "recipe": "orders", "owner": NAUGHTY[0], "nodes": nodes}, ensure_ascii=False
    )


def badly() -> dict[str, str]:
    """The files of the change."""
    cells = ", ".join(
        f"{text(value)} as {quoted(name)}" for name, value in zip(COLUMNS, COLUMNS[::-1], strict=True)
    )
    words = [*COMMANDS, *NAUGHTY]
    cases = "".join(
        f"<testcase classname={_xml(w)} name={_xml(w)} file={_xml(w)} line='3'><failure message={_xml(w)}>"
        f"{_xml(w)[1:-1]}</failure></testcase>"
        for w in COMMANDS + COLUMNS
    )
    return {
        SQL: f"select {cells}",
        YML: recipe(),
        LOUD: f"import sys\nfor w in {words!r}:\n    print(w)\n    print(w, file=sys.stderr)\nsys.exit(1)\n",
        PY: f"import pytest\nW = {words!r}\n@pytest.mark.parametrize('w', W, ids=[repr(w) for w in W])\n"
        "def test_it(w):\n    print(w)\n    raise AssertionError(w)\n",
        XML: f"<testsuite name={_xml(NAUGHTY[0])}>{cases}</testsuite>",
    }


def _xml(value: str) -> str:
    """As an attribute; what XML cannot hold is left out."""
    from xml.sax.saxutils import quoteattr

    kept = "".join(c for c in value if c in "\t\n\r" or ord(c) >= 0x20)
    return quoteattr(kept, {"\n": "&#10;", "\r": "&#13;"})


@pytest.fixture(scope="module")
def naughty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, Pull, Path]]:
    """A pull request of naughty strings, tested and posted, with the files that the runner gets."""
    files = {
        "kitchen.yml": KITCHEN,
        YML: "version: 1\nrecipe: orders\nnodes: {orders: {sql: orders.sql, key: [id]}}\n",
    }
    folder = tmp_path_factory.mktemp("naughty")
    with scene(folder, {**files, SQL: "select 1 as id"}) as on:
        title = " ".join(COMMANDS + NAUGHTY)
        pull = on.opened(BRANCH, badly(), title=title, body=title)
        run = on.begun(pull)
        run.title = title
        on.options = ()
        given = {"GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "GITHUB_OUTPUT": str(folder / "outputs")}
        on.job(run, "pull_request", on.repo.event("pull_request", "opened", pull=pull), **given)
        on.posted(run)
        yield on, pull, folder


def test_all_of_it_was_tried(naughty: tuple[Scene, Pull, Path]) -> None:
    """The recipe ran: columns, values, tests of two kinds and programs' words are in what was left."""
    on, pull, _ = naughty
    assert on.conclusions(pull.head_sha) == {"orders": "failure", "(project)": "failure"}, on.said
    found = json.loads(next(iter(on.results.values()))["orders.outcome.json"])
    states = {n["node"]: n["state"] for n in found["nodes"]}
    assert states == {"orders": "failed", "loud": "error", "suite": "failed", "found": "failed"}, found
    whole = json.dumps(found, ensure_ascii=False)
    assert [c for c in COLUMNS if json.dumps(c, ensure_ascii=False)[1:-1] not in whole] == []


def test_every_page_is_inert(naughty: tuple[Scene, Pull, Path]) -> None:
    """Comment, check runs and summary, rendered: our markup, one link, nobody is called, nothing loads."""
    on, pull, folder = naughty
    (comment,) = on.comments(pull)
    pages = {"comment": comment.body, "summary": (folder / "summary.md").read_text(encoding="utf-8")}
    for name, check in on.checks(pull.head_sha).items():
        pages |= {f"summary of {name}": check.summary, f"text of {name}": check.text}
    run = next(iter(on.results))
    links = frozenset({f"{on.forge.server_url}/acme/shop/actions/runs/{run}/attempts/1"})
    assert len(pages) == 6
    for name, page in pages.items():
        assert_inert(name, page, links)


def test_plain_places_are_plain(naughty: tuple[Scene, Pull, Path]) -> None:
    """Names, titles, paths and messages of check runs and annotations are printable, and no command."""
    on, pull, _ = naughty
    checks = on.checks(pull.head_sha)
    assert set(checks) == {"GitKitchen / orders", "GitKitchen / (project)"}
    seen = 0
    for check in checks.values():
        texts = [check.title, *(str(a[k]) for a in check.annotations for k in ("path", "title", "message"))]
        seen += len(texts)
        for one in texts:
            assert "##[" not in one
            assert not re.search(r"(?m)^\s*::", one)
            assert all(line.isprintable() for line in one.split("\n")), one
        assert {a["path"] for a in check.annotations} <= set(badly())
    assert seen > 20


def test_the_log_runs_nothing(naughty: tuple[Scene, Pull, Path]) -> None:
    """What the runner would read as a command is ours alone, on files of the change; the log is not quiet."""
    on, _, folder = naughty
    assert on.said is not None
    log = on.said.out + on.said.err
    assert log.count("boom") > 5
    assert "##[" not in log
    for line in re.split(r"\r\n|\n|\r", log):
        bare = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if bare.startswith("::"):
            assert OWN.fullmatch(bare), bare
    values = (folder / "outputs").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^(\w+)<<gitkitchen-[0-9a-f]{32}$", values) == [
        "action", "verdict", "results", "head", "base", "tree",
    ]  # fmt: skip
    assert "\nfailed\n" in values


def test_an_answer_calls_nobody_but_who_asked(naughty: tuple[Scene, Pull, Path]) -> None:
    """A command of naughty words is refused in words of ours."""
    on, pull, _ = naughty
    for word in (*COMMANDS, *COLUMNS):
        on.time.now += 7200
        comment = on.repo.comment(pull, "alice", f"/kitchen diff {word}")
        on.trust("issue_comment", on.repo.event("issue_comment", "created", comment=comment))
        (answer,) = [c.body for c in on.comments(pull) if f"reply {comment.id} -->" in c.body]
        assert answer.partition("\n")[2].startswith("@alice, I did nothing: ")
        assert_inert(word, answer.replace("@alice, ", "", 1))
