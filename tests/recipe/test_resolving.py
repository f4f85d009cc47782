"""A recipe as written becomes a Recipe: each key of a node, and the expressions in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gitkitchen.errors import Mistake, Place
from gitkitchen.model import Kitchen, Materialize, Retry, Template
from pantry import Pantry

FILE = "recipes/jam/recipe.yml"
PROD = Kitchen("id", "repo", "main", "k_main_000000000000", environment="prod")
SANDBOX = Kitchen("id", "repo", "feature", "k_feature_0000000", base="prod")


@pytest.fixture
def pantry(tmp_path: Path) -> Pantry:
    made = Pantry(tmp_path)
    made.write("recipes/jam/a.csv", "id\n1\n")
    made.write("recipes/jam/q.sql", "select 1 as id\n")
    made.write("recipes/jam/m.py", "def f(): ...\n")
    made.write("recipes/jam/test_m.py", "def test(): ...\n")
    made.write("shared/b.csv", "id\n1\n")
    return made


@pytest.mark.parametrize(
    ("text", "kind", "config"),
    [
        (
            "source: {file: a.csv, options: {delimiter: ';', skip: 1}}",
            "source",
            {
                "from": "file",
                "file": "recipes/jam/a.csv",
                "format": None,
                "options": {"delimiter": ";", "skip": 1},
            },
        ),
        (
            "source: {file: ../../shared, format: csv}",
            "source",
            {"from": "file", "file": "shared", "format": "csv", "options": {}},
        ),
        (
            "source: {file: '*.csv'}",
            "source",
            {"from": "file", "file": "recipes/jam/*.csv", "format": None, "options": {}},
        ),
        (
            "source: {package: p, file: data/x.csv}",
            "source",
            {"from": "package", "package": "p", "file": "data/x.csv", "format": None, "options": {}},
        ),
        (
            "source: {url: 'https://example.org/x.json', digest: " + "a" * 64 + "}",
            "source",
            {
                "from": "url",
                "url": "https://example.org/x.json",
                "digest": "a" * 64,
                "format": None,
                "options": {},
            },
        ),
        (
            "source: {python: m.py:f}",
            "source",
            {"from": "python", "file": "recipes/jam/m.py", "function": "f", "format": None, "options": {}},
        ),
        ("sql: q.sql", "sql", {"file": "recipes/jam/q.sql", "text": "select 1 as id\n", "line": 1}),
        ("sql: select 1", "sql", {"file": None, "text": "select 1", "line": 5}),
        ("sql: |\n  select 1\n  from x", "sql", {"file": None, "text": "select 1\nfrom x", "line": 6}),
        ("python: m.py:f", "python", {"file": "recipes/jam/m.py", "function": "f"}),
        ("run: echo", "run", {"command": "echo", "shell": "bash"}),
        ("run: {command: echo, shell: sh}", "run", {"command": "echo", "shell": "sh"}),
        ("pytest: test_m.py", "pytest", {"file": "recipes/jam/test_m.py", "args": []}),
        (
            "pytest: {file: test_m.py, args: [-k, x]}",
            "pytest",
            {"file": "recipes/jam/test_m.py", "args": ["-k", "x"]},
        ),
    ],
)
def test_kinds_are_normalised(pantry: Pantry, text: str, kind: str, config: dict[str, Any]) -> None:
    """Each kind's key becomes one form, its paths relative to the repository, its SQL with its line."""
    node = pantry.node(text)
    found = dict(node.config)
    if isinstance(found.get("text"), str):
        found["text"] = found["text"] if found["file"] else found["text"].rstrip()
    assert (node.kind, found) == (kind, config)
    assert node.place == Place(FILE, 4, 3)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("retry: {attempts: 3, backoff: 2, factor: 1.5}", "retry", Retry(3, 2, 1.5)),
        ("timeout-minutes: 1.5", "timeout", 90.0),
        ("timeout-minutes: ${{ vars.minutes * 2 }}", "timeout", 1200.0),
        ("materialize: view", "materialize", Materialize("view")),
        (
            "materialize: {partitions: {by: day, grain: month}}",
            "materialize",
            Materialize("partitions", "day", "month"),
        ),
        ("key: id", "key", ("id",)),
        ("key: [id, day]", "key", ("id", "day")),
        ("public: [id]", "public", ("id",)),
        ("tags: [daily, '${{ vars.region }}']", "tags", ("daily", "eu")),
        ("pool: heavy", "pool", "heavy"),
        ("environments: [prod]", "environments", ("prod",)),
        ("volatile: true", "volatile", True),
        ("continue-on-error: true", "continue_on_error", True),
        ("files: [a.csv, ../../shared]", "files", ("recipes/jam/a.csv", "shared")),
        ("if: false", "condition", "false"),
        ("if: vars.region == 'eu'", "condition", "vars.region == 'eu'"),
        ("owner: me", "owner", "me"),
        ("description: In ${{ vars.region }}", "description", "In eu"),
        ("runbook: 'https://wiki.example/x.md'", "runbook", "https://wiki.example/x.md"),
        ("needs: [b, b]", "needs", ("b",)),
        ("outputs: [jam]", "datasets", {"jam": None}),
        ("", "datasets", {"a": None}),
    ],
)
def test_common_keys_reach_the_node(pantry: Pantry, text: str, key: str, value: object) -> None:
    """Every key that all kinds share ends in the field that carries it, rendered."""
    node = pantry.node(f"sql: select 1\n{text}", {"region": "eu", "minutes": 10})
    assert getattr(node, key) == value


def test_a_recipe_gives_its_nodes_an_owner(pantry: Pantry) -> None:
    """A node without an owner of its own is the recipe's owner's."""
    recipe = pantry.recipe(
        "a: {sql: select 1}\nb: {sql: select 2, owner: you}", head="owner: me\ndescription: Jam\n"
    )
    assert (recipe.owner, recipe.description) == ("me", "Jam")
    assert [n.owner for n in recipe.nodes.values()] == ["me", "you"]


def test_a_matrix_is_every_combination_in_order(pantry: Pantry) -> None:
    """The last key turns fastest, as it is written; a list may come from a variable."""
    node = pantry.node(
        "run: ls\n"
        "strategy:\n"
        "  matrix: {region: '${{ vars.regions }}', n: [1, 2]}\n  max-parallel: 2\n  fail-fast: false",
        {"regions": ["eu", "us"]},
    )
    assert [tuple(c.values()) for c in node.matrix] == [("eu", 1), ("eu", 2), ("us", 1), ("us", 2)]
    assert (node.max_parallel, node.fail_fast) == (2, False)
    assert node.vars_used == {"regions": ["eu", "us"]}


def test_values_known_later_stay_templates(pantry: Pantry) -> None:
    """What only a run knows is left to it, with its place; what is known now keeps its type."""
    node = pantry.node(
        "run: ls\n"
        "secrets: [TOKEN]\n"
        "strategy: {matrix: {n: [1]}}\n"
        "with:\n"
        "  n: ${{ matrix.n }}\n"
        "  both: ${{ vars.x }}-${{ matrix.n }}\n"
        "  deep: {list: ['${{ vars.x }}', '${{ run.id }}']}\n"
        "env:\n"
        "  TOKEN: ${{ secrets.TOKEN }}\n"
        "  X: ${{ vars.x }}",
        {"x": 3},
    )
    assert node.params["n"] == Template("${{ matrix.n }}", Place(FILE, 9, 7))
    assert node.params["both"] == Template("${{ vars.x }}-${{ matrix.n }}", Place(FILE, 10, 7))
    assert node.params["deep"]["list"][0] == 3
    assert isinstance(node.params["deep"]["list"][1], Template)
    assert isinstance(node.env["TOKEN"], Template)
    assert node.env["X"] == 3
    assert node.vars_used == {"x": 3}


def test_variables_of_descriptions_and_tests_are_no_part_of_meaning(pantry: Pantry) -> None:
    """A node's reasons name the variables that its result depends on, and no others."""
    node = pantry.node(
        "sql: select $x\n"
        "with: {x: '${{ vars.group.x }}'}\n"
        "description: ${{ vars.words }}\n"
        "tests: [{rows: {min: '${{ vars.least }}'}}]",
        {"group": {"x": 1}, "words": "w", "least": 2, "other": 3},
    )
    assert node.vars_used == {"group.x": 1}
    assert node.tests[0].args["min"] == 2


def test_expressions_see_the_kitchen(pantry: Pantry) -> None:
    """``kitchen`` is the one that runs: an environment, or a sandbox without one."""
    text = "a:\n  sql: select $e\n  with: {e: '${{ kitchen.environment }}', s: '${{ kitchen.is_sandbox }}'}"
    assert pantry.recipe(text, kitchen=PROD).nodes["a"].params == {"e": "prod", "s": False}
    assert pantry.recipe(text, kitchen=SANDBOX).nodes["a"].params == {"e": None, "s": True}


def test_a_variation_keeps_to_its_environments(pantry: Pantry) -> None:
    """A variation for prod runs in prod and in sandboxes of prod, and is refused elsewhere."""
    head = "variations: {daily: {environments: [prod]}}\n"
    for kitchen in (PROD, SANDBOX, None):
        made = pantry.recipe("a: {sql: select 1}", head=head, kitchen=kitchen, variation="daily")
        assert made.variation == "daily"
    dev = Kitchen("id", "repo", "develop", "k_develop_0000000", environment="dev")
    with pytest.raises(Mistake) as refused:
        pantry.recipe("a: {sql: select 1}", head=head, kitchen=dev, variation="daily")
    assert str(refused.value) == (f"{FILE}:3: variation 'daily' is not for environment 'dev'; it is for prod")


def test_an_unknown_variation_says_which_are_known(pantry: Pantry) -> None:
    """A mistyped variation is refused with the one that was meant."""
    with pytest.raises(Mistake, match="has no variation 'dayly'; did you mean 'daily'"):
        pantry.recipe("a: {sql: select 1}", head="variations: {daily: {}}\n", variation="dayly")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sql: select 1\nenv: {A: b}", "a sql node has no `env`: it has no process of its own"),
        ("sql: select 1\nsecrets: [A]", "a sql node has no `secrets`"),
        ("source: {file: a.csv}\nwith: {a: 1}", "a source node has no `with`: it takes no values"),
        ("sql: select 1\noutputs: {x: x.csv}", "a sql node makes one table"),
        ("pytest: test_m.py\noutputs: [x]", "a pytest node makes no dataset"),
        ("python: m.py:f\nmaterialize: view", "'view' is for sql nodes"),
        ("sql: select 1\non: publish", "a sql node cannot wait for publication"),
        (
            "sql: select 1\nmaterialize: view\nstrategy: {matrix: {n: [1]}}",
            "a view has no parts for a matrix",
        ),
        ("run: ls\nkey: [id]", "a key belongs to one table, and the node makes none"),
        ("run: ls\noutputs: {x: o.html, y: o.html}", "'o.html' is the file of 'x' too"),
        ("run: ls\nenv: {GITKITCHEN_X: a}", "'GITKITCHEN_X' is a name of GitKitchen's own"),
        ("run: ls\nsecrets: ['A B']", "'A B' is no name of an environment variable"),
        ("run: ls\nstrategy: {matrix: {n: [1, 1]}}", "the value 1 stands there twice"),
        (
            "run: ls\nstrategy: {matrix: {n: '${{ vars.n }}'}}",
            "must give a list with values, not 3",
        ),
        ("run: ls\nwith: {x: '${{ matrix.n }}'}", "matrix.n is no key of strategy.matrix"),
        ("run: ls\nwith: {x: '${{ nodes.b.rows }}'}", "nodes.b is no node of this recipe"),
        ("run: ls\nwith: {x: '${{ needs.b.rows }}'}", "needs.b is not in this node's `needs:`"),
        ("run: ls\nwith: {x: '${{ run.ID }}'}", "run.ID does not exist"),
        ("run: ls\nwith: {x: '${{ success() }}'}", "success() is known only in `if:`"),
        ("run: ls\nif: secrets.TOKEN", "'secrets' is not known here; known are kitchen, needs, nodes"),
        ("run: ls\nif: vars.n > 'a'", "only two numbers or two texts compare"),
        ("run: ls\ntags: ['${{ matrix.n }}']", "only `with:`, `env:` and `if:` know matrix"),
        ("run: ls\nneeds: ['${{ vars.n }}']", "an expression cannot stand here: names are written out"),
        ("run: ls\ntimeout-minutes: ${{ vars.n - 3 }}", "must be a number of minutes above 0, not 0"),
        ("source: {file: a.csv, url: 'https://x'}", "it must say where the data is, and says file and url"),
        ("source: {url: 'http://'}", "'http://' is no address"),
        (
            "source: {file: a.csv, format: json, options: {delimiter: x}}",
            "'delimiter' is no option of json",
        ),
    ],
)
def test_what_a_node_would_ignore_or_misread_is_refused(pantry: Pantry, text: str, message: str) -> None:
    """A key that this kind cannot carry out, and a value that has no meaning, are mistakes with a line."""
    (problem,) = pantry.problems(text, {"n": 3})
    assert message in str(problem)
    assert problem.place is not None
    assert problem.place.line > 3


def test_all_mistakes_come_at_once(pantry: Pantry) -> None:
    """One command shows every mistake of a recipe, sorted by line."""
    with pytest.raises(Mistake) as refused:
        pantry.recipe(
            "a:\n  sql: missing.sql\n  with: {x: '${{ vars.x }}', y: '${{ vars.y }}'}\n"
            "  tests: [{range: {column: x, min: 2, max: 1}}]\n"
            "b:\n  run: ls\n  pool: light\n"
        )
    lines = [p.place.line if p.place else 0 for p in refused.value.problems]
    assert lines == [5, 6, 6, 7, 10]
