"""What an edit selects: everything that it can change (sound) and nothing else (tight)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gitkitchen.model import Materialize, Retry, Severity
from gitkitchen.plan import facts as facts_module

Edit = Callable[[Any], None]

BELOW = {
    "airlines": {"by_carrier", "model", "report", "checks"},
    "flights": {"late", "by_carrier", "model", "report", "checks"},
    "late": {"by_carrier", "model", "report", "checks"},
    "by_carrier": {"model", "report", "checks"},
    "model": {"report"},
    "report": set(),
    "checks": set(),
}
LATE = "select carrier, 'Late' as what from flights where delay > $late_minutes"
BY = (
    "with l as (select * from late) "
    "select name, count(*) as n from l join airlines using (carrier) group by name"
)
MODEL = "from helpers import half\ndef fit(by_carrier, rate=1):\n    return half(by_carrier)\n"


def sql(name: str, text: str) -> Edit:
    return lambda lab: lab.edit_sql(name, text)


def file(name: str, text: str) -> Edit:
    return lambda lab: lab.write(name, text)


def node(name: str, **fields: Any) -> Edit:
    return lambda lab: lab.change(name, **fields)


def config(name: str, **keys: Any) -> Edit:
    return lambda lab: lab.change(name, config={**lab.nodes[name].config, **keys})


def variable(lab: Any) -> None:
    lab.vars = {"late_minutes": 0, "unused": 1}
    lab.change("late", params={"late_minutes": 0}, vars_used={"late_minutes": 0})


def test_added(lab: Any) -> None:
    lab.change("late", tests=(lab.test("late", "not_null", {"column": "carrier"}),))


test_added.__test__ = False  # type: ignore[attr-defined]


def severity(lab: Any) -> None:
    spec = lab.test("late", "not_null", {"column": "carrier"})
    lab.change("late", tests=(replace(spec, severity=Severity.WARN),))


def reorder(lab: Any) -> None:
    lab.nodes = dict(reversed(lab.nodes.items()))


def renamed(lab: Any) -> None:
    lab.write("data/lines.csv", "carrier,name\nAA,American\n")
    config("airlines", file="recipes/lab/data/lines.csv")(lab)


NOTHING: list[tuple[str, Edit]] = [
    ("comment in SQL", sql("late", LATE + " -- more\n/* and more */")),
    ("layout of SQL", sql("late", LATE.replace(" ", "\n  "))),
    ("final semicolon", sql("late", LATE + "\n;\n")),
    ("keyword case", sql("by_carrier", BY.replace("select", "SELECT").replace("group by", "Group By"))),
    ("function case", sql("by_carrier", BY.replace("count", "COUNT"))),
    ("table's case", sql("late", LATE.replace("flights", "Flights"))),
    ("case of a column in a condition", sql("late", LATE.replace("delay", "DELAY"))),
    ("docstring", file("model.py", '"""Other words."""\n' + MODEL)),
    ("docstring of a function", file("model.py", MODEL.replace("    return", '    """New."""\n    return'))),
    ("comment in Python", file("model.py", MODEL + "# more\n")),
    (
        "layout of Python",
        file("model.py", MODEL.replace("half(by_carrier)", "half(\n        by_carrier,\n    )")),
    ),
    (
        "comment in an imported module",
        file("helpers.py", "import json\n# x\ndef half(n):\n    return n / 2\n"),
    ),
    ("comment in a run node's Python", file("report.py", "# new\nimport os\nprint(os.environ)\n")),
    ("docstring of a pytest module", file("checks.py", '"""New."""\ndef test_n(kitchen): assert kitchen\n')),
    ("description", node("by_carrier", description="Other words")),
    ("tags", node("by_carrier", tags=("weekly",))),
    ("owner and runbook", node("by_carrier", owner="@us", runbook="https://example.org")),
    ("retries, time limit and pool", node("late", retry=Retry(3), timeout=60.0, pool="db")),
    ("test added", test_added),
    ("severity of a test", severity),
    ("key and public", node("late", key=("carrier",), public=("carrier",))),
    ("needs that SQL reads anyway", node("late", needs=("flights",))),
    ("order of nodes", reorder),
    ("an unused variable", lambda lab: lab.vars.update(unused=2)),
    ("a variable's name, its value equal", node("late", vars_used={"other": 15})),
    ("a file that nobody names", file("notes.md", "x")),
    ("continue-on-error", node("model", continue_on_error=True)),
    ("rename of a source's file", renamed),
]

SELECTED: list[tuple[str, Edit, str, str]] = [
    ("a variable", variable, "late", "variable late_minutes changed"),
    ("a value given", node("model", params={"rate": 4}), "model", "with.rate changed"),
    ("a value's type", node("model", params={"rate": "3"}), "model", "with.rate changed"),
    ("a value added", node("model", params={"rate": 3, "x": 1}), "model", "with.x is new"),
    ("env", node("report", env={"TITLE": "Late"}), "report", "env.TITLE changed"),
    ("env removed", node("report", env={}), "report", "env.TITLE is gone"),
    ("secrets", node("report", secrets=("OTHER",)), "report", "its secrets are others"),
    ("SQL's meaning", sql("late", LATE.replace(">", ">=")), "late", "late.sql changed"),
    ("a number", sql("late", LATE + " + 1"), "late", "late.sql changed"),
    ("a literal's case", sql("late", LATE.replace("'Late'", "'late'")), "late", "late.sql changed"),
    ("blanks within a literal", sql("late", LATE.replace("'Late'", "'La te'")), "late", "late.sql changed"),
    ("comment marks in a literal", sql("late", LATE.replace("Late", "--")), "late", "late.sql changed"),
    ("a column's name by its case", sql("late", LATE.replace("what", "What")), "late", "late.sql changed"),
    ("a quoted name", sql("late", LATE.replace("what", '"What"')), "late", "late.sql changed"),
    ("another table", sql("late", LATE.replace("from flights", "from airlines")), "late", "late.sql changed"),
    ("a source file", file("data/airlines.csv", "carrier,name\nAA,B\n"), "airlines", "source changed"),
    ("a source fetched anew", lambda lab: lab.probes.update(flights="f2"), "flights", "source changed"),
    ("a source's options", config("airlines", options={"delimiter": ";"}), "airlines", "its options changed"),
    ("Python", file("model.py", MODEL + "X = 1\n"), "model", "recipes/lab/model.py changed"),
    ("an imported module", file("helpers.py", "def half(n): return 3"), "model", "lab/helpers.py changed"),
    ("the function", config("model", function="half"), "model", "its function is another one"),
    ("a file named in files", file("logo.svg", "<svg>2</svg>"), "report", "recipes/lab/logo.svg changed"),
    ("a file named in run", file("style.css", "p {color: blue}"), "report", "recipes/lab/style.css changed"),
    ("code of a run node", file("report.py", "import sys\n"), "report", "recipes/lab/report.py changed"),
    ("a command", config("report", command="python report.py"), "report", "its command changed"),
    ("a command's shell", config("report", shell="sh"), "report", "its command changed"),
    ("an output", node("report", datasets={"page": "p.html"}), "report", "its outputs changed"),
    ("materialize", node("late", materialize=Materialize("view")), "late", "materialize changed from table"),
    ("pytest's module", file("checks.py", "def test_n(kitchen): assert 0"), "checks", "checks.py changed"),
    ("pytest's arguments", config("checks", args=["-x"]), "checks", "its args changed"),
    ("a conftest beside it", file("conftest.py", "X = 1\n"), "checks", "recipes/lab/conftest.py is new"),
    ("a matrix", node("model", matrix=({"part": 1}, {"part": 2})), "model", "its matrix changed"),
]


@pytest.mark.parametrize("edit", [e for _, e in NOTHING], ids=[n for n, _ in NOTHING])
def test_nothing_is_built_again(shop: Any, edit: Edit) -> None:
    """An edit that means nothing selects nothing."""
    edit(shop)
    assert set(shop.actions().values()) == {"reuse"}
    assert shop.run() == []


@pytest.mark.parametrize(("edit", "first", "why"), [e[1:] for e in SELECTED], ids=[e[0] for e in SELECTED])
def test_the_changed_node_runs_and_what_reads_it_may(shop: Any, edit: Edit, first: str, why: str) -> None:
    """An edit that means something runs its node, says so, and leaves open only what reads the node."""
    shop.plan()  # what leaves nothing in the catalog is compared with what a plan here last saw
    edit(shop)
    plan = shop.plan()
    acts = {s.node.name: s.action.value for s in plan.steps}
    below = BELOW[first]
    assert acts == {n: "run" if n == first else "maybe" if n in below else "reuse" for n in shop.nodes}
    assert any(why in reason for reason in plan.step(first).reasons), plan.step(first).reasons


def test_another_tool_selects_the_nodes_that_use_it(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new DuckDB runs what DuckDB reads or writes, with the versions in the reason; the rest may."""
    old, python = facts_module.tool_version("duckdb"), facts_module.tool_version("python")
    monkeypatch.setattr(facts_module, "tool_version", {"duckdb": "99.0", "python": python}.__getitem__)
    acts = shop.actions()
    assert {n for n, a in acts.items() if a == "run"} >= {"airlines", "flights", "late", "by_carrier"}
    assert f"DuckDB is now 99.0 (was {old})" in shop.reasons("late")


def test_an_input_built_again_and_equal_runs_nothing_below(shop: Any) -> None:
    """Early cut-off: the changed node is built, comes out equal, and nothing below it is built."""
    shop.content = lambda step, inputs: step.node.name
    shop.nodes.clear()
    shop.sql("a", "select 1 as x")
    shop.sql("b", "select * from a")
    assert shop.run() == ["a", "b"]
    shop.edit_sql("a", "select 2 - 1 as x")
    assert shop.actions() == {"a": "run", "b": "maybe"}
    assert shop.reasons("b") == ("if a changes",)
    assert shop.run() == ["a"]
    assert shop.actions() == {"a": "reuse", "b": "reuse"}


def test_going_back_takes_what_was_built_then(shop: Any) -> None:
    """An edit taken back is found in the store, and the plan says that it is built already."""
    shop.edit_sql("late", LATE.replace(">", ">="))
    shop.run()
    shop.edit_sql("late", LATE)
    assert shop.reasons("late") == ("already built",)
    assert shop.run() == []
    assert shop.reasons("late") == ("unchanged",)


def test_the_order_of_keys_in_a_value_is_an_edit(shop: Any) -> None:
    """A mapping given in `with:` is a struct or a dict, whose order the node sees, at any depth."""
    shop.change("model", params={"rate": {"in": [{"a": 1, "b": 2}]}})
    shop.run()
    shop.change("model", params={"rate": {"in": [{"b": 2, "a": 1}]}})
    assert "with.rate changed" in shop.reasons("model")


@pytest.mark.parametrize("use", ["print(__doc__)\n", "import doctest\n", "from inspect import getdoc\n"])
def test_docstrings_that_a_file_uses_are_an_edit(shop: Any, use: str) -> None:
    """Where a file may use docstrings as data, its own and those of what it imports count."""
    shop.write("model.py", use + MODEL)
    shop.run()
    shop.write("helpers.py", 'def half(n):\n    """New."""\n    return n / 2\n')
    assert shop.actions()["model"] == "run"


def test_docstrings_count_in_a_command_that_runs_them(shop: Any) -> None:
    """`python -m doctest` runs what stands in docstrings."""
    config("report", command="python -m doctest report.py")(shop)
    shop.write("report.py", '"""\n>>> 1\n1\n"""\n')
    shop.run()
    shop.write("report.py", '"""\n>>> 2\n1\n"""\n')
    assert shop.actions()["report"] == "run"


def test_the_order_of_values_is_an_edit_where_python_sees_it(shop: Any) -> None:
    """A function sees the order of its values in `**rest` and in the handle's `params`."""
    shop.change("model", params={"rate": 3, "x": 1})
    shop.run()
    shop.change("model", params={"x": 1, "rate": 3})
    assert shop.reasons("model") == ("the order of its values changed",)
