"""Edits of the recipe in ``large``, and what each of them must build and judge again."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from large import (
    FILES,
    FOLDER,
    GIVEN,
    HAND,
    LEAF,
    READS,
    RECIPE,
    WITH_PRICES,
    Large,
    below,
    prices,
    serve,
)

ORDERS = FILES[f"{FOLDER}/data/orders.csv"]
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Edit:
    """An edit and all that it must do: the nodes that are built; the datasets whose content changes, so
    that their tests are judged anew; tests judged anew for their own sake; tests that are new or gone.
    A view's content is its query and what it reads. ``command``: words after ``run``.
    """

    name: str
    make: Callable[[Large], None]
    built: Set[str] = NONE
    changed: Set[str] = NONE
    judged: Set[str] = NONE
    added: Set[str] = NONE
    gone: Set[str] = NONE
    command: tuple[str, ...] = ()


def text(name: str, old: str, new: str) -> Callable[[Large], None]:
    return lambda large: large.replace(name, old, new)


def recipe(old: str, new: str) -> Callable[[Large], None]:
    return lambda large: large.recipe(old, new)


def file(name: str, content: str) -> Callable[[Large], None]:
    return lambda large: large.shop.write({name: content})


def nothing(_large: Large) -> None:
    """No edit at all."""


def touched(large: Large) -> None:
    for name in ("data/orders.csv", "score.py", "style.css", "recipe.yml"):
        path = large.shop.root / FOLDER / name
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


def upside_down(large: Large) -> None:
    lines = (large.shop.root / RECIPE).read_text(encoding="utf-8").splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if line.startswith("  m0000"))
    large.shop.write({RECIPE: "".join([*lines[:first], *reversed(lines[first:])])})


def moved_source(large: Large) -> None:
    large.shop.git("mv", f"{FOLDER}/data/orders.csv", f"{FOLDER}/data/sold.csv")
    large.recipe("data/orders.csv", "data/sold.csv")


def moved_variable(large: Large) -> None:
    large.recipe("least: 15, ", "")
    large.shop.replace("kitchen.yml", "version: 1\n", "version: 1\nvars: {least: 15}\n")


def renamed_variable(large: Large) -> None:
    large.recipe("least: 15", "at_least: 15")
    large.recipe("vars.least", "vars.at_least")


def branched(large: Large) -> None:
    large.shop.git("checkout", "-q", "-B", "feature")


def in_other_bytes(large: Large) -> None:
    """Equal rows: in another order, every value quoted."""
    head, *rows = ORDERS.splitlines()
    quoted = [",".join(f'"{value}"' for value in row.split(",")) for row in reversed(rows)]
    large.rows("\n".join([head, *quoted]) + "\n")


def web(changed: int, tag: str) -> Callable[[Large], None]:
    return lambda large: serve(large.site, prices(changed), tag)


def renamed_middle(large: Large) -> None:
    """``big_orders`` is ``large_orders``, for its readers too."""
    for name in (RECIPE, f"{FOLDER}/sql/by_region.sql"):
        path = large.shop.root / name
        large.shop.write({name: path.read_text(encoding="utf-8").replace("big_orders", "large_orders")})
    large.shop.git("mv", f"{FOLDER}/sql/big_orders.sql", f"{FOLDER}/sql/large_orders.sql")


def model(name: str, change: str) -> Callable[[Large], None]:
    return lambda large: large.model(name, change)


def tool(name: str) -> Callable[[Large], None]:
    """Another version of a tool; ``undone`` takes it back."""
    return lambda large: large.tools.update({name: "99.0"})


FROM_BIG = {"big_orders", "by_region", "by_part", "region_names", "scored", "proof", "page"}
GIVEN_AND_BELOW = {*GIVEN} | below(*GIVEN[:2])
BIG_LINE = '    with: {least: "${{ vars.least }}"}\n    key: [id]\n'
RANGE = "range: {column: amount, min: 0}"
COLUMNS = "select id, region from orders"
EXTRA = "  extra:\n    sql: select count(*) as n from by_region\n    key: [n]\n  by_part:\n"
PYTHON = {"scored", "proof", "page"}

MEANS_NOTHING = [
    Edit("no edit", nothing),
    Edit("comment in SQL", text("sql/by_region.sql", "from", "-- the large ones\nfrom /* only */")),
    Edit(
        "layout of SQL",
        text("sql/by_region.sql", "select region, count(*)", "select\n    region,\n    COUNT(*)"),
    ),
    Edit("comment in SQL that everything reads", model(GIVEN[0], "-- first\n{}")),
    Edit("comment in YAML", recipe("nodes:\n", "# all of them\nnodes: # here\n")),
    Edit("order of nodes", upside_down),
    Edit(
        "order of keys",
        recipe(
            "    python: score.py:score\n    needs: [by_region]\n",
            "    needs: [by_region]\n    python: score.py:score\n",
        ),
    ),
    Edit("quoting", recipe("sql: select region from by_region", "'sql': 'select region from by_region'")),
    Edit("layout of YAML", recipe("env: {TITLE: Regions}", 'env:\n      TITLE:   "Regions"')),
    Edit("docstring of a python node", text("score.py", "One row a region.", "Other words.")),
    Edit("docstring of its module", text("score.py", '"""Scores."""\n', "")),
    Edit("docstring of a helper module", text("helpers.py", "Two of them.", "Twice.")),
    Edit("layout of a helper module", text("helpers.py", "n * 2", "(\n        n * 2  # twice\n    )")),
    Edit("comment in the program of a run node", text("page.py", "text =", "# the page\ntext =")),
    Edit("docstring of a pytest module", text("proof.py", "No score is negative.", "Other words.")),
    Edit("description of a node", recipe("Orders by region.", "Other words.")),
    Edit(
        "description and owner of the recipe",
        recipe('hundred nodes.\nowner: "@us"', 'Hundred.\nowner: "@them"'),
    ),
    Edit(
        "owner, tags and runbook",
        recipe(
            "    pytest: proof.py\n",
            "    pytest: proof.py\n    owner: '@us'\n    tags: [weekly]\n    runbook: https://example.org\n",
        ),
    ),
    Edit(
        "retries and time limit",
        recipe("  page:\n", "  page:\n    retry: {attempts: 3}\n    timeout-minutes: 5\n"),
    ),
    Edit("a README", file(f"{FOLDER}/README.md", "# Delays\n")),
    Edit("a SQL file that nobody names", file(f"{FOLDER}/sql/later.sql", "select 1\n")),
    Edit("files written again with equal bytes", touched),
    Edit("a file of a source moved", moved_source),
    Edit("a variable that nobody is given", recipe("unused: 1", "unused: 2")),
    Edit("a variable moved to kitchen.yml", moved_variable),
    Edit("a variable renamed", renamed_variable),
    Edit(
        "comment in kitchen.yml",
        lambda large: large.shop.replace("kitchen.yml", "version", "# ours\nversion"),
    ),
    Edit("a new branch", branched),
    Edit("number of jobs", nothing, command=("--jobs", "1")),
    Edit("description of a test", recipe(f"- {RANGE}\n", f"- {RANGE}\n        description: Paid.\n")),
]
TESTS_ONLY = [
    Edit(
        "bound of a test", recipe(RANGE, "range: {column: amount, min: -1}"), judged={"orders/outputs/range"}
    ),
    Edit(
        "severity of a test",
        recipe(f"- {RANGE}\n", f"- {RANGE}\n        severity: warn\n"),
        judged={"orders/outputs/range"},
    ),
    Edit(
        "condition of a test",
        recipe(f"- {RANGE}\n", f"- {RANGE}\n        where: id > 3\n"),
        judged={"orders/outputs/range"},
    ),
    Edit(
        "tolerance of a test",
        recipe(f"- {RANGE}\n", f"- {RANGE}\n        tolerate: 5%\n"),
        judged={"orders/outputs/range"},
    ),
    Edit(
        "a test of two nodes",
        recipe("equal: {value: sum(n),", "equal: {value: sum(n) + 0,"),
        judged={"by_region/logic/equal"},
    ),
    Edit(
        "a test added",
        recipe(f"- {RANGE}\n", f"- {RANGE}\n      - pattern: {{column: region, matches: '^.$'}}\n"),
        added={"orders/outputs/pattern"},
    ),
    Edit("a test removed", recipe(f"      - {RANGE}\n", ""), gone={"orders/outputs/range"}),
    Edit(
        "a key",
        recipe("  by_part:\n", "  by_part:\n    key: [id]\n"),
        added={"by_part/outputs/not_null", "by_part/outputs/unique"},
    ),
    Edit(
        "a key of other columns",
        recipe(BIG_LINE, BIG_LINE.replace("[id]", "[id, region]")),
        gone={"big_orders/outputs/unique"},
        added={"big_orders/outputs/unique", "big_orders/outputs/not_null"},
    ),
    Edit(
        "a key removed",
        recipe(BIG_LINE, BIG_LINE.replace("    key: [id]\n", "")),
        gone={"big_orders/outputs/not_null", "big_orders/outputs/unique"},
    ),
]
BUILDS = [
    Edit("SQL's meaning", model(LEAF, "select * from ({}) where id > 0"), {LEAF}, {LEAF}),
    Edit(
        "SQL's meaning, its rows equal", text("sql/big_orders.sql", "where", "where true and"), {"big_orders"}
    ),
    Edit(
        "order of columns",
        text("sql/big_orders.sql", COLUMNS, "select region, id from orders"),
        {"big_orders", "by_region", "by_part"},
        {"big_orders", "by_part"},
    ),
    Edit(
        "SQL in the recipe",
        recipe("select region from by_region", "select region as name from by_region"),
        {"region_names"},
        {"region_names"},
    ),
    Edit(
        "a variable that three nodes are given",
        recipe("bonus: 1", "bonus: 2"),
        GIVEN_AND_BELOW,
        GIVEN_AND_BELOW - {GIVEN[-1]},
    ),
    Edit(
        "the same on the command line",
        nothing,
        GIVEN_AND_BELOW,
        GIVEN_AND_BELOW - {GIVEN[-1]},
        command=("--set", "bonus=3"),
    ),
    Edit(
        "a variable of an environment",
        lambda large: large.shop.replace("kitchen.yml", "region: eu", "region: eu, least: 16"),
        {"big_orders"},
    ),
    Edit("a value that selects other rows", recipe("least: 15", "least: 25"), FROM_BIG, FROM_BIG),
    Edit("a value of with", recipe("rate: 3", "rate: 4"), {"scored", "proof"}, {"scored", "proof"}),
    Edit("a value of env", recipe("TITLE: Regions", "TITLE: Places"), {"page"}, {"page"}),
    Edit("a source's rows in other bytes", in_other_bytes, {"orders"}),
    Edit(
        "a source's row that is seen below",
        lambda large: large.rows(ORDERS.replace("1,E,10", "1,E,1000")),
        {"orders", *FROM_BIG},
        {"orders", *FROM_BIG},
    ),
    Edit(
        "a source's row that is seen by one node",
        lambda large: large.rows(ORDERS.replace("1,E,10", "1,E,11")),
        {"orders", "big_orders"},
        {"orders"},
    ),
    Edit("an address with another tag and equal bytes", web(0, "second"), {"prices"}),
    Edit(
        "an address with another row",
        web(1, "third"),
        {"prices", WITH_PRICES} | below(WITH_PRICES),
        {"prices", WITH_PRICES} | below(WITH_PRICES),
    ),
    Edit(
        "options of a source",
        recipe("file: data/orders.csv", 'file: data/orders.csv, options: {delimiter: ","}'),
        {"orders"},
    ),
    Edit(
        "Python's meaning", text("score.py", "* rate", "* rate + 1"), {"scored", "proof"}, {"scored", "proof"}
    ),
    Edit("a helper's meaning, its values equal", text("helpers.py", "n * 2", "2 * n"), {"scored"}),
    Edit("a pytest module", text("proof.py", "score < 0", "score < -1"), {"proof"}, {"proof"}),
    Edit(
        "a file that a run node reads", file(f"{FOLDER}/style.css", "p {color: blue}\n"), {"page"}, {"page"}
    ),
    Edit(
        "the program of a run node",
        text("page.py", ".read_text() +", ".read_text().strip() +"),
        {"page"},
        {"page"},
    ),
    Edit("partitions made a table", recipe("    materialize: {partitions: {by: region}}\n", ""), {"by_part"}),
    Edit("a view made a table", recipe("    materialize: view\n", ""), {"region_names"}, {"region_names"}),
    Edit("volatile", recipe("    key: [region]\n", "    key: [region]\n    volatile: true\n"), {"by_region"}),
    Edit(
        "a node added",
        recipe("  by_part:\n", EXTRA),
        {"extra"},
        added={"extra/outputs/unique", "extra/outputs/not_null"},
    ),
    Edit(
        "a node removed",
        recipe(HAND[HAND.index("  proof:") : HAND.index("  page:")], ""),
        gone={"proof/logic/pytest"},
    ),
    Edit(
        "a node renamed",
        recipe("  region_names:\n", "  names:\n"),
        {"names"},
        gone={"region_names/outputs/rows"},
        added={"names/outputs/rows"},
    ),
    Edit(
        "a node renamed that others read",
        renamed_middle,
        {"large_orders", "by_region", "by_part"},
        gone={
            "big_orders/outputs/accepted_values",
            "big_orders/outputs/not_null",
            "big_orders/outputs/unique",
        },
        added={
            "large_orders/outputs/accepted_values",
            "large_orders/outputs/not_null",
            "large_orders/outputs/unique",
        },
        judged={"by_region/logic/equal", "by_part/outputs/rows"},
    ),
    Edit("another Python", tool("python"), PYTHON, {"proof"}),
    Edit("another DuckDB", tool("duckdb"), {*READS} - {"page"}, {*READS}),
]
EDITS = [*MEANS_NOTHING, *TESTS_ONLY, *BUILDS]
