"""Kinds that really installed packages add through entry points."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from gitkitchen import plugins
from gitkitchen.errors import Mistake
from gitkitchen.recipe import kinds
from shop import Said, Shop

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "plugins.md").read_text(encoding="utf-8")


def documented(file: str) -> str:
    """A file of the example in docs/plugins.md."""
    found = re.search(rf"^```\w+ {re.escape(file)}\n(.*?)^```", PAGE, re.M | re.S)
    assert found is not None
    return found[1]


MODULE, RECIPE = documented("postoffice.py"), documented("recipe.yml")
POINTS = tomllib.loads(documented("pyproject.toml"))["project"]["entry-points"]
LETTER = {"letter": "postoffice:Letter"}


def install(
    site: Path,
    points: Mapping[str, Mapping[str, str]] = POINTS,
    name: str = "postoffice",
    version: str = "1.0",
) -> None:
    """A package as pip leaves it in a folder of ``sys.path``."""
    for old in site.glob(f"{name}-*.dist-info/*"):
        old.unlink()
    for old in site.glob(f"{name}-*.dist-info"):
        old.rmdir()
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    parts = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(parts))
    (site / "postoffice.py").write_text(MODULE)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages."""
    return tmp_path / "site"


@pytest.fixture
def post(shop: Shop) -> Shop:
    """A project whose recipe names kinds that GitKitchen does not have."""
    shop.commit({"recipes/post/recipe.yml": RECIPE})
    return shop


def run(shop: Shop, site: Path, *words: str) -> Said:
    """A command as in a new process that finds what is installed in ``site``."""
    forget()
    sys.path.insert(0, str(site))
    try:
        return shop.cli(*words)
    finally:
        sys.path.remove(str(site))
        forget()


def forget() -> None:
    """What a process knows of installed packages."""
    kinds.find.cache_clear()
    plugins._installed.cache_clear()
    sys.modules.pop("postoffice", None)
    importlib.invalidate_caches()


def outcome(shop: Shop, site: Path) -> dict[str, dict[str, object]]:
    """The newest run's nodes by name."""
    return {n["node"]: n for n in json.loads(run(shop, site, "show", "last", "--json").out)["nodes"]}


def test_a_package_adds_a_node_and_a_test(post: Shop, site: Path) -> None:
    """Its node runs under the contract of commands, and its test judges what the node made."""
    install(site)
    said = run(post, site, "run", "--quiet")
    assert said.code == 0, said.out + said.err
    letter = outcome(post, site)["letter"]
    assert letter["state"] == "passed"
    (test,) = letter["tests"]
    assert test["id"] == "letter/outputs/even(n)"
    assert test["state"] == "passed"
    rows = run(post, site, "query", "letter", "--format", "json")
    assert json.loads(rows.out) == [{"name": "Ada", "n": 2}]

    again = run(post, site, "run", "--quiet")
    assert again.code == 0, again.err
    letter = outcome(post, site)["letter"]
    assert letter["state"] == "reused"
    assert letter["tests"][0]["reused"]

    post.commit({"recipes/post/recipe.yml": RECIPE.replace("times: 2", "times: 3")})
    odd = run(post, site, "run", "--quiet")
    assert odd.code == 1
    assert "even(n)" in odd.out
    assert json.loads(run(post, site, "query", "letter", "--format", "json").out) == [{"name": "Ada", "n": 2}]


def test_a_package_adds_a_report(post: Shop, site: Path) -> None:
    """It gets the outcome document; a name that nobody has is told with what there is."""
    install(site)
    assert run(post, site, "run", "--quiet").code == 0
    said = run(post, site, "report", "--format", "counts", "-o", "-")
    assert (said.code, said.out) == (0, "letter,passed\n")
    wrong = run(post, site, "report", "--format", "count")
    assert wrong.code == 2
    assert "there is no report 'count'; did you mean 'counts'?" in wrong.err
    none = run(post, site, "report", "--format", "pdf")
    assert "there are html, junit, markdown, json, github, counts" in none.err


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param("return 3", "must give a text, not int", marks=pytest.mark.long),
        pytest.param("raise ValueError('no')", "postoffice 1.0: no", marks=pytest.mark.long),
        ("return outcome['gone']", "failed: KeyError: 'gone'"),
    ],
    ids=["shape", "refused", "broken"],
)
def test_a_broken_report_is_a_mistake(post: Shop, site: Path, body: str, told: str) -> None:
    """Whatever a stranger's function does, its package is named and no traceback shown."""
    install(site)
    assert run(post, site, "run", "--quiet").code == 0
    lines = MODULE.splitlines(keepends=True)
    (site / "postoffice.py").write_text("".join([*lines[:-1], f"        {body}\n"]))
    said = run(post, site, "report", "--format", "counts", "-o", "-")
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert "postoffice 1.0" in said.err


def test_another_version_of_the_package_builds_again(post: Shop, site: Path) -> None:
    """What a plugin makes is keyed by its version, as by that of any tool, and the plan says so."""
    install(site)
    assert run(post, site, "run", "--quiet").code == 0
    install(site, version="1.1")
    said = run(post, site, "plan")
    assert "postoffice is now 1.1 (was 1.0)" in said.out


def test_a_variable_in_a_plugin_s_key_is_a_reason(post: Shop, site: Path) -> None:
    """A value that an expression gives to a plugin counts through what the plugin makes of it."""
    install(site)
    assert run(post, site, "run", "--quiet").code == 0
    said = run(post, site, "plan", "--set", "who=Bob")
    assert "its command changed" in said.out


def test_a_kind_that_is_no_longer_installed_is_unknown(post: Shop, site: Path) -> None:
    """A recipe that was read well is read anew where the package that it named has gone."""
    install(site)
    assert run(post, site, "validate").code == 0
    assert run(post, site, "validate").code == 0
    said = run(post, site.with_name("nowhere"), "validate")
    assert said.code == 2
    assert "recipes/post/recipe.yml:6: node 'letter': unknown key 'letter'" in said.err + said.out
    assert "unknown key 'even'" in said.err + said.out


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("times: 2", "times: 0", "recipe.yml:6: node 'letter', letter.times: must be at least 1"),
        (
            "times: 2",
            "time: 2",
            "recipe.yml:6: node 'letter', letter: unknown key 'time'; did you mean 'times'?",
        ),
        ("Ada", "nobody", "recipe.yml:6: node 'letter', letter: there is nobody to write to"),
        ("column: n", "colum: n", "recipe.yml:8: node 'letter', tests[1].even: unknown key 'colum'"),
        (
            "{even: {column: n}}",
            "{even: {column: n}, where: n > 1}",
            "recipe.yml:8: node 'letter', tests[1].where",
        ),
    ],
    ids=["value", "key", "refused", "test-key", "where"],
)
def test_mistakes_in_a_plugin_s_key_are_said_like_others(
    post: Shop, site: Path, old: str, new: str, told: str
) -> None:
    """What a file gives to a plugin is checked against its schema, with file and line."""
    install(site)
    post.commit({"recipes/post/recipe.yml": RECIPE.replace(old, new)})
    said = run(post, site, "validate")
    assert said.code == 2
    assert told in said.out + said.err


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ({"letter": "missing:Letter"}, "postoffice 1.0 cannot be imported: ModuleNotFoundError"),
        ({"letter": "postoffice:json"}, "postoffice 1.0 must have `schema`, a JSON Schema, and `command`"),
        (
            {**LETTER, "sql": "postoffice:Letter"},
            "adds 'sql' to gitkitchen.nodes, which is GitKitchen's",
        ),
        (
            {**LETTER, "needs": "postoffice:Letter"},
            "'needs' to gitkitchen.nodes, which is GitKitchen's",
        ),
        ({**LETTER, "A B": "postoffice:Letter"}, "'A B' to gitkitchen.nodes, which is no name"),
    ],
    ids=["import", "shape", "built-in", "key", "name"],
)
def test_a_package_at_fault_is_named(post: Shop, site: Path, points: dict[str, str], told: str) -> None:
    """A clash or a broken package is a mistake with a place and the package's name, never a traceback."""
    install(site, {"gitkitchen.nodes": points, "gitkitchen.tests": {"even": "postoffice:Even"}})
    said = run(post, site, "validate")
    assert said.code == 2
    assert told in said.out + said.err
    assert "recipes/post/recipe.yml:6" in said.out + said.err


def test_two_packages_with_one_name_are_refused(post: Shop, site: Path) -> None:
    """Neither of two packages wins by chance."""
    install(site)
    install(site, {"gitkitchen.nodes": {"letter": "postoffice:Letter"}}, name="mailman", version="2.0")
    said = run(post, site, "validate")
    assert said.code == 2
    assert "postoffice 1.0" in said.out + said.err
    assert "mailman 2.0" in said.out + said.err


def test_installed_packages_are_not_looked_through_without_need(shop: Shop, site: Path) -> None:
    """A recipe of built-in kinds never pays for plugins, nor can a broken one stop it."""
    install(site, {"gitkitchen.nodes": {"sql": "missing:None"}})
    shop.commit({"recipes/post/recipe.yml": "version: 1\nrecipe: post\nnodes: {a: {sql: select 1 as x}}\n"})
    code = (
        "import sys; from gitkitchen import plugins; from gitkitchen.cli.main import main\n"
        f"code = main(['-C', {str(shop.root)!r}, 'validate'])\n"
        "sys.exit(code or plugins._installed.cache_info().misses)"
    )
    path = os.pathsep.join([str(site), str(REPOSITORY / "src")])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("word", ["$ref", "oneOf"])
def test_a_schema_that_reaches_out_is_refused(word: str) -> None:
    """A schema from a stranger fetches nothing and means what its words say."""
    given = type("Given", (), {"schema": {"type": "object", word: []}, "command": staticmethod(list)})

    class Entry:
        def load(self) -> object:
            return given

    offer = plugins.Offer(plugins.NODES, "letter", "postoffice", "1.0", Entry())  # type: ignore[arg-type]
    with pytest.raises(Mistake, match="in its schema, which is not allowed"):
        plugins.load(offer)
