"""A pull request without GitHub: both jobs, and what they would post, in a terminal and as a page."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gitkitchen.report.preview import Preview, ShownCheck, html, rendered, text
from pulls import NAUGHTY
from shop import Said, Shop

SQL = "recipes/orders/orders.sql"
RECIPE = """\
version: 1
recipe: orders
nodes:
  orders: {sql: orders.sql, key: [id], tests: [{accepted_values: {column: region, values: [eu, us]}}]}
"""


@pytest.fixture
def project(shop: Shop) -> Shop:
    """A project that was published, and a branch with a mistake that its next commit mends."""
    shop.commit({"recipes/orders/recipe.yml": RECIPE, SQL: "select 1 as id, 'eu' as region"})
    assert shop.cli("run", "--quiet").code == 0
    shop.git("switch", "--quiet", "--create", "mars")
    shop.commit({SQL: "select 1 as id, 'mars' as region"})
    shop.commit({SQL: "select 1 as id, 'us' as region"})
    return shop


def simulated(shop: Shop, *words: str) -> Said:
    return shop.cli("ci", "--quiet", "--simulate", *words)


def test_a_red_and_a_green_pull_request(project: Shop, tmp_path: Path) -> None:
    """Both verdicts with their exit codes, from the requests that would be sent; production stays."""
    red = simulated(project, "pull_request", "--head", "mars~1")
    assert red.code == 1, red.out + red.err
    assert "❌ GitKitchen / orders  failure" in red.out
    assert f"failure {SQL}:1" in red.out
    page = tmp_path / "preview.html"
    green = simulated(project, "pull_request", "--html", str(page))
    assert green.code == 0, green.out + green.err
    assert "✅ GitKitchen / orders  success" in green.out
    assert "✅ GitKitchen / (project)  success" in green.out
    assert "5 requests would write to GitHub; none was sent" in green.out, green.out[-900:]
    assert "GitKitchen: passed" in page.read_text()
    project.git("switch", "--quiet", "main")
    assert project.rows("from orders") == [{"id": 1, "region": "eu"}]
    assert project.git("status", "--porcelain") == ""
    assert not (project.root / "gitkitchen-results").exists()


@pytest.mark.long
def test_what_is_not_installed_is_said_before_the_work(project: Shop) -> None:
    """Without PyGithub nothing could be shown at the end: so nothing is built first."""
    program = (
        "import sys; sys.modules['github'] = None; from gitkitchen.cli.main import main; sys.exit(main())"
    )
    words = [sys.executable, "-c", program, "ci", "--simulate", "pull_request"]
    done = subprocess.run(words, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'gitkitchen[github]'" in done.stderr
    assert "testing" not in done.stdout


def test_a_branch_without_a_commit_of_its_own_is_refused(project: Shop) -> None:
    """There is nothing to propose, which GitHub refuses, too: a mistake that says what to do."""
    project.git("switch", "--quiet", "--create", "idle", "main")
    said = simulated(project, "pull_request")
    assert said.code == 2, said.out + said.err
    assert "'idle' has no commit that 'main' lacks" in said.err
    assert "commit the change first" in said.err


@pytest.mark.long
def test_nothing_is_asked_of_the_remote(project: Shop) -> None:
    """A remote that cannot be reached, and any variable of a real job, make no difference."""
    project.git("remote", "add", "origin", "https://gitkitchen.invalid/acme/shop.git")
    os.environ["GITHUB_TOKEN"] = "secret-of-a-job"
    try:
        said = simulated(project, "pull_request")
    finally:
        del os.environ["GITHUB_TOKEN"]
    assert said.code == 0, said.out + said.err
    assert "secret-of-a-job" not in said.out
    assert "GIT_CONFIG_COUNT" not in os.environ


@pytest.mark.long
def test_a_ledger_on_a_branch_stays_as_it_is(project: Shop, tmp_path: Path) -> None:
    """With `ledger: branch` and a registry for a store, both jobs are shown without asking anybody: no ref of
    the remote or of this clone moves, and the next real command sees the ledger as it was."""
    project.git("switch", "--quiet", "main")
    yml = (project.root / "kitchen.yml").read_text()
    project.commit({"kitchen.yml": f"{yml}ledger: branch\n"})
    origin = tmp_path / "origin.git"
    project.git("clone", "-q", "--bare", str(project.root), str(origin))
    project.git("remote", "add", "origin", origin.as_uri())
    assert project.cli("run", "--quiet").code == 0  # a candidate, and a record on the branch
    store = "oci://registry.invalid/acme/shop"
    project.commit({"kitchen.yml": f"{yml}ledger: branch\nstore: {store}\n"})
    project.git("switch", "--quiet", "mars")
    project.git("merge", "--quiet", "--no-edit", "main")
    refs, there = project.git("for-each-ref"), project.git("ls-remote", "origin")
    runs = project.cli("log", "--kitchen", "prod", "--json").out
    assert "gitkitchen-ledger" in there
    red = simulated(project, "pull_request", "--head", "mars~2")
    assert red.code == 1, red.out + red.err
    said = simulated(project, "pull_request")
    assert said.code == 0, said.out + said.err
    assert "✅ GitKitchen / orders  success" in said.out
    assert (project.git("for-each-ref"), project.git("ls-remote", "origin")) == (refs, there)
    assert project.cli("log", "--kitchen", "prod", "--json").out == runs
    assert not list((project.root / ".gitkitchen/beside").glob("*"))


@pytest.mark.long
def test_a_queue_and_what_is_only_decided(project: Shop) -> None:
    """A merge queue's tree is tested; what would publish or drop is told and not done."""
    said = simulated(project, "merge_group")
    assert (said.code, "✅ GitKitchen / (project)  success" in said.out) == (0, True), said.out + said.err
    for event, word in {
        "push": "run: ", "delete": "drop: ", "schedule": "clock: ", "pull_request.closed": "drop: "
    }.items():  # fmt: skip
        told = simulated(project, event)
        assert (told.code, f"decision  {word}" in told.out) == (0, True), told.out + told.err
    runs = project.cli("log", "--kitchen", "prod", "--json").out
    assert runs.count('"run"') == 1


def test_a_conflict_is_shown(project: Shop) -> None:
    """What cannot be merged is red with the files, and ends with 2."""
    project.git("switch", "--quiet", "main")
    project.commit({SQL: "select 2 as id, 'eu' as region"})
    said = simulated(project, "pull_request", "--head", "mars")
    assert said.code == 2, said.out
    assert "❌ GitKitchen / (project)" in said.out or "⚠️ GitKitchen / (project)" in said.out
    assert "failure" in said.out
    assert SQL in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("star",), "is not simulated"),
        (("pull_request", "--head", "main"), "the branch of an environment"),
        (("pull_request", "--head", "no-such"), "there is no commit 'no-such'"),
    ],
    ids=["event", "environment", "commit"],
)
def test_what_cannot_be_simulated_is_refused(project: Shop, words: tuple[str, ...], said: str) -> None:
    """With what there is instead."""
    found = simulated(project, *words)
    assert (found.code, said in found.err) == (2, True), found.err


@pytest.mark.long
def test_progress_is_shown(project: Shop) -> None:
    """Without --quiet it is told what happens, as in a job."""
    said = project.cli("ci", "--simulate", "pull_request")
    assert said.code == 0, said.err


def test_options_of_a_simulation_alone_are_refused(project: Shop) -> None:
    """They would change nothing of a real job."""
    assert project.cli("ci", "--html", "x.html").code == 2


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


@pytest.mark.parametrize("word", NAUGHTY, ids=range(len(NAUGHTY)))
def test_a_page_runs_and_loads_nothing(word: str) -> None:
    """Whatever is shown, as Markdown or as text: no script, link, image, style, form or handler."""
    check = ShownCheck(word, word, word, word, word, ((word, word, word, word),))
    shown = Preview(word, (check,), word, word, (word,), 3)
    page = html(shown)
    reader = Elements()
    reader.feed(page)
    inside = [tag for tag, attrs in reader.found if tag not in ("html", "meta")]
    assert not {"script", "a", "img", "iframe", "form", "link", "object", "svg"} & set(inside)
    assert not [a for t, attrs in reader.found if t not in ("html", "meta") for a in attrs if a[0] != "class"]
    assert "default-src 'none'" in page
    assert "\x1b" not in text(shown)
    assert not [line for line in text(shown).splitlines() if line.strip().startswith("::")]


def test_markdown_that_is_not_closed_closes() -> None:
    """An element that a text opens ends with it."""
    assert rendered("<details><b onclick=x>y</b>").count("</details>") == 1
    assert "onclick" not in rendered("<p onclick=x>y</p>")
