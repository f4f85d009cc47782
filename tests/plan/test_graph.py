"""Who reads whom, in which order, and what is said of names that do not exist and of circles."""

from __future__ import annotations

from typing import Any

import pytest

from gitkitchen.errors import Mistake, Problem
from gitkitchen.plan.build import mistakes


def problems(lab: Any, known: tuple[str, ...] = ()) -> list[Problem]:
    return mistakes(lab.project, lab.recipe, known)


def test_inputs_are_inferred_and_ordered_as_declared(lab: Any) -> None:
    """SQL needs no `needs`; nodes that could come next come in the order of the recipe."""
    lab.sql("last", "select * from middle, first")
    lab.sql("middle", "select * from first")
    lab.sql("lonely", "select 1 as x")
    lab.sql("first", "select 1 as x")
    plan = lab.plan()
    assert [s.node.name for s in plan.steps] == ["lonely", "first", "middle", "last"]
    assert plan.step("last").reads == {"middle": "middle", "first": "first"}
    assert plan.step("last").after == ("middle", "first")


def test_a_circle_is_spelled_out_with_the_line_of_each_edge(lab: Any) -> None:
    """The message names the whole circle, and for each edge the file and line that make it."""
    lab.sql("a", "select 1\nfrom c")
    lab.sql("b", "select * from a")
    lab.add("c", "run", {"command": "true"}, needs=("b",), datasets={"c": "c.parquet"})
    (problem,) = problems(lab)
    assert problem.message == "nodes wait for each other in a circle: a -> c -> b -> a"
    assert str(problem.place) == "recipes/lab/a.sql:2"
    assert problem.hint == (
        "a waits for c at recipes/lab/a.sql:2; c waits for b at recipes/lab/recipe.yml:30; "
        "b waits for a at recipes/lab/b.sql:1; take one of these away"
    )


def test_each_circle_is_told_once(lab: Any) -> None:
    """Two circles are two problems; what merely follows a circle is none."""
    lab.sql("a", "from b")
    lab.sql("b", "from a")
    lab.sql("c", "from d")
    lab.sql("d", "from c")
    lab.sql("after", "from a, c")
    assert [p.message for p in problems(lab)] == [
        "nodes wait for each other in a circle: a -> b -> a",
        "nodes wait for each other in a circle: c -> d -> c",
    ]


def test_a_node_that_reads_itself(lab: Any) -> None:
    """A node is no input of its own, and the message says so at the line."""
    lab.sql("a", "select 1\nunion all\nfrom a")
    (problem,) = problems(lab)
    assert str(problem).startswith(
        "recipes/lab/a.sql:3: node 'a' reads itself; a node reads what others make"
    )


def test_a_long_chain_is_ordered(lab: Any) -> None:
    """Depth costs no stack: three thousand nodes in a row."""
    for index in range(3000):
        needs = (f"n{index - 1}",) if index else ()
        lab.add(f"n{index}", "run", {"command": "true"}, needs=needs)
    assert problems(lab) == []
    lab.change("n0", needs=("n2999",))
    (problem,) = problems(lab)
    assert problem.message.startswith("nodes wait for each other in a circle: n0 -> n2999 -> ")
    assert len(str(problem)) < 2000


def test_unknown_names_are_told_with_the_nearest_known_one(lab: Any) -> None:
    """A near miss is suggested: SQL at its line, `needs` at the node, a function at its parameter."""
    lab.sql("flights", "select 1 as x")
    lab.sql("late", "select *\nfrom flihgts")
    lab.add("load", "run", {"command": "true"}, needs=("flight",))
    lab.python("model", "def fit(\n    fligths,\n): ...\n", "fit")
    hint = ", which does not exist; did you mean 'flights'?"
    assert [str(p) for p in problems(lab)] == [
        "recipes/lab/late.sql:2: node 'late' reads 'flihgts'" + hint,
        "recipes/lab/recipe.yml:30: node 'load' needs 'flight'" + hint,
        "recipes/lab/model.py:2: function 'fit' takes 'fligths'" + hint,
    ]


def test_datasets_of_other_recipes_are_read_from_the_catalog(lab: Any) -> None:
    """What another recipe publishes is an input, and no node of this plan makes it."""
    lab.sql("late", "from flights")
    assert problems(lab, known=("flights",)) == []
    assert [p.code for p in problems(lab)] == ["unknown-dataset"]


def test_python_takes_datasets_by_the_names_of_its_parameters(lab: Any) -> None:
    """Parameters name datasets, or values of `with:`; one with a default may name neither."""
    lab.sql("flights", "select 1 as x")
    lab.python("model", "def fit(flights, rate, depth=3): ...\n", "fit", params={"rate": 1})
    assert lab.plan().step("model").reads == {"flights": "flights"}


def test_python_mistakes(lab: Any) -> None:
    """A function that is not there and a file that is no Python are told with file and line."""
    lab.python("a", "def fit(): ...\n", "fitt")
    lab.python("b", "def fit(:\n", "fit")
    said = [str(p) for p in problems(lab)]
    assert said[0] == "recipes/lab/a.py: recipes/lab/a.py has no function 'fitt'; did you mean 'fit'?"
    assert said[1].startswith("recipes/lab/b.py:1: this Python cannot be read: ")


def test_what_a_test_reads_is_built_before_it_is_judged(lab: Any) -> None:
    """Tests complete the order, and their `reads` hold all that their SQL names, the dataset first."""
    lab.sql("late", "select 1 as x")
    lab.sql("planes", "select 1 as x")
    spec = lab.test("late", "equal", {"value": "count(*)", "to": "select count(*) from planes"})
    lab.change("late", tests=(spec,))
    step = lab.plan().step("late")
    assert step.after == ("planes",)
    assert step.reads == {}
    assert step.node.tests[0].reads == ("late", "planes")


def test_a_tests_mistakes_stand_at_the_test(lab: Any) -> None:
    """Unknown tables and unreadable SQL in a test are problems with the test's place."""
    lab.sql("late", "select 1 as x")
    place = lab.nodes["late"].place
    lab.change(
        "late",
        tests=(
            lab.test("late", "no_rows", {"sql": "from plans"}, place=place),
            lab.test("late", "not_null", {"column": "x"}, where="x >", place=place),
            lab.test("late", "no_rows", {"sql": "from 'a.csv'"}, place=place),
        ),
    )
    said = [str(p) for p in problems(lab)]
    assert any("a test of node 'late' reads 'plans', which does not exist" in s for s in said)
    assert any("in a test's `where`: this SQL cannot be read" in s for s in said)
    assert any("in a test's `sql`: 'a.csv' reads a file" in s for s in said)
    assert all(s.startswith("recipes/lab/recipe.yml:10: ") for s in said)


def test_parameters_without_a_value(lab: Any) -> None:
    """A `$name` that `with:` does not give is told, with a near miss if there is one."""
    lab.sql("late", "select $late_minuts as x", params={"late_minutes": 1})
    assert "$late_minuts has no value in `with:` of node 'late'; did you mean '$late_minutes'?" in str(
        problems(lab)[0]
    )


def test_all_mistakes_are_raised_at_once(lab: Any) -> None:
    """A plan of a wrong recipe raises every problem, in the order of files and lines."""
    lab.sql("a", "from x")
    lab.sql("b", "from y.z")
    with pytest.raises(Mistake) as caught:
        lab.plan()
    assert [p.place.file for p in caught.value.problems if p.place] == [
        "recipes/lab/a.sql",
        "recipes/lab/b.sql",
    ]


def test_sql_that_only_duckdb_reads_takes_its_inputs_from_needs(lab: Any) -> None:
    """Where sqlglot gives up, `needs` names the inputs, and the reasons say so."""
    lab.sql("flights", "select 1 as x")
    lab.sql("odd", "select * from flights where where", needs=("flights",))
    step = lab.plan().step("odd")
    assert step.reads == {"flights": "flights"}
    assert any("its inputs are those in needs" in reason and "odd.sql:1" in reason for reason in step.reasons)
    lab.change("odd", needs=())
    assert "name its inputs in `needs:`" in str(problems(lab)[0])


def test_the_handle_of_a_node_is_no_input(lab: Any) -> None:
    """A function's parameter `kitchen` is its node's handle, even where a dataset has that name."""
    lab.sql("flights", "select 1 as x")
    lab.python("model", "def fit(flights, kitchen): return flights", "fit")
    assert problems(lab) == []
    assert lab.plan().step("model").reads == {"flights": "flights"}
    assert problems(lab, ("kitchen",)) == []
