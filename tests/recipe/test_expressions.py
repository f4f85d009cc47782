"""Expressions: what they mean, and that nothing else can be done with them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Mistake, Place
from gitkitchen.model import Template
from gitkitchen.recipe.render import MAX_RESULT, check, condition, evaluate, functions, roots, variables

CONTEXT: dict[str, Any] = {
    "vars": {
        "n": 3,
        "name": "ünï",
        "list": [1, "b", None],
        "deep": {"a": {"b": 2}},
        "flag": True,
        "none": None,
        "x": "${{ vars.n }}",
        "long": "x" * 60_000,
    },
    "kitchen": {"branch": "main", "environment": "prod"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("vars.n", 3),
        ("vars.deep.a.b", 2),
        ("vars['deep']['a'].b", 2),
        ("vars.list[1]", "b"),
        ("vars.list[vars.n - 3]", 1),
        ("'it''s'", "it's"),
        ('"it\'s"', "it's"),
        ("[1, 'a', true, null]", [1, "a", True, None]),
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("-(2 + 3) % 4", 3),
        ("7 % 4", 3),
        ("'a' + 'b'", "ab"),
        ("1 == 1.0", True),
        ("1 == true", False),
        ("'1' == 1", False),
        ("null == vars.none", True),
        ("vars.n >= 3 && vars.n < 4", True),
        ("vars.flag and not false", True),
        ("!vars.flag || 'other'", "other"),
        ("vars.none || 'default'", "default"),
        ("vars.n > 2 && 'big' || 'small'", "big"),
        ("'a' < 'b'", True),
        ("'b' in vars.list", True),
        ("'c' not in vars.list", True),
        ("'deep' in vars", True),
        ("contains('abc', 'bc')", True),
        ("contains(vars.list, 1)", True),
        ("startsWith(kitchen.branch, 'ma')", True),
        ("endsWith(kitchen.branch, 'x')", False),
        ("format('{0}-{1}-{0} {{x}}', vars.n, 'b')", "3-b-3 {x}"),
        ("join(vars.list, '/')", "1/b/"),
        ("join([1, 2])", "1,2"),
        ("toJSON(vars.deep)", '{"a": {"b": 2}}'),
        ("'}}' + '${{'", "}}${{"),
    ],
)
def test_what_an_expression_means(text: str, value: object) -> None:
    """Names, literals, operators and functions; a lone expression keeps its type."""
    found = evaluate(f"${{{{ {text} }}}}", CONTEXT)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("n=${{ vars.n }}, ${{ vars.flag }}/${{ vars.none }}/${{ vars.list }}", 'n=3, true//[1, "b", null]'),
        ("${{ vars.n }}${{ vars.n }}", "33"),
        (" ${{ vars.n }}", " 3"),
    ],
)
def test_text_around_an_expression_makes_a_text(text: str, value: object) -> None:
    """Values inside a text are written as JSON writes them; null is nothing."""
    assert evaluate(text, CONTEXT) == value


def test_a_value_is_never_evaluated_again() -> None:
    """What a variable holds stays data, also where it looks like an expression."""
    assert evaluate("${{ vars.x }}", CONTEXT) == "${{ vars.n }}"
    assert evaluate("<${{ vars.x }}>", CONTEXT) == "<${{ vars.n }}>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("vars.nmae", "'nmae' is not set; did you mean 'name'?"),
        ("var.n", "'var' is not known here; did you mean 'vars'?"),
        ("vars.n.x", "a number has no 'x'"),
        ("vars.list[7]", "the list has 3 entries, there is no [7]"),
        ("vars.list[0 - 1]", "the list has 3 entries, there is no [-1]"),
        ("vars.list[true]", "a list has no 'True'"),
        ("vars.__class__", "'__class__' is not set"),
        ("vars.name.upper", "a text has no 'upper'"),
        ("vars.name.upper()", "'(' is not expected here"),
        ("().__class__.__bases__", "')' is not expected here"),
        ("''.__class__", "a text has no '__class__'"),
        ("format.__globals__", "'format' is not known here"),
        ("__import__('os')", "there is no function __import__()"),
        ("open('/etc/passwd')", "there is no function open()"),
        ("range(10)", "there is no function range()"),
        ("startWith('a', 'b')", "there is no function startWith(); did you mean 'startsWith'?"),
        ("'a' * 10", "a text * a number: arithmetic is for numbers"),
        ("'a'*10**9", "there is no power (**)"),
        ("[0] * 1000000", "a list * a number: arithmetic is for numbers"),
        ("9 ** 9", "there is no power (**)"),
        ("[x for x in vars]", "there are no loops"),
        ("lambda x", "there is no lambda"),
        ("1 if true else 2", "there is no if"),
        ("vars.n = 4", "'=' means nothing in an expression"),
        ("vars; 1", "';' means nothing in an expression"),
        ("{'a': 1}", "'{' means nothing in an expression"),
        ("1 < 'a'", "a number < a text: only two numbers or two texts compare"),
        ("1 < 2 < 3", "comparisons are not chained"),
        ("1 / 0", "division by zero"),
        ("9999999999 * 9999999999", "the number is too large"),
        ("1e300", "the number is too large"),
        ("9" * 40, "a number has at most 30 digits"),
        ("'open", "the text 'open is not closed"),
        ("(1", "the expression ends too early; ')' is expected"),
        ("1 2", "'2' is not expected here"),
        ("", "the expression is empty"),
        ("(" * 40, "nested more than 30 levels deep"),
        ("[" * 900, "an expression has at most 200 words and signs"),
        ("!" * 1900, "an expression has at most 200 words and signs"),
        ("1+" * 900 + "1", "an expression has at most 200 words and signs"),
        ("a" * 3000, "an expression has at most 2,000 characters"),
        ("vars.long + vars.long", "the result has more than 100,000 characters"),
        ("format('{0}{0}', vars.long)", "the result has more than 100,000 characters"),
        ("join([vars.long, vars.long])", "the result has more than 100,000 characters"),
        ("toJSON([vars.long, vars.long])", "the result has more than 100,000 characters"),
        ("format('{1}', 1)", "format() has no value for '{1}'"),
        ("contains(1, 2)", "a number contains nothing"),
        ("contains(1)", "contains() takes 2 values"),
        ("success()", "success() is known only in `if:`"),
        ("status", "'status' is not known here"),
    ],
)
def test_what_an_expression_cannot_do(text: str, reason: str) -> None:
    """No attribute, call, loop, repetition or endless value; each refusal says why."""
    with pytest.raises(Mistake) as caught:
        evaluate(Template(f"${{{{ {text} }}}}", Place("r.yml", 7)), CONTEXT)
    (problem,) = caught.value.problems
    assert reason in problem.message
    assert str(problem.place) == "r.yml:7"


def test_values_together_are_bounded_too() -> None:
    """A text of many expressions makes no value larger than one may."""
    with pytest.raises(Mistake, match="the result has more than 100,000 characters"):
        evaluate("${{ vars.long }}" * 2, CONTEXT)
    with pytest.raises(Mistake, match="more than 100 expressions"):
        evaluate("${{ 1 }}," * 101, CONTEXT)
    assert len(evaluate("${{ vars.long }}", CONTEXT)) < MAX_RESULT


def test_an_open_expression_is_a_mistake() -> None:
    """`${{` without its end does not silently stay text."""
    with pytest.raises(Mistake, match=r"is not closed with \}\}"):
        evaluate("a ${{ vars.n", CONTEXT)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("vars.n == 3", True),
        ("${{ vars.n == 4 }}", False),
        ("success()", True),
        ("failure() || always()", True),
        ("cancelled()", False),
        ("vars.none", False),
        ("'false'", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    """`if:` takes an expression with or without its braces, and knows how the nodes above ended."""
    status = {"success": True, "failure": False, "cancelled": False}
    assert condition(text, {**CONTEXT, "status": status}) is holds


def test_a_condition_of_two_expressions_is_refused() -> None:
    """`${{ a }} && ${{ b }}` would be a text, which is always true."""
    with pytest.raises(Mistake, match="a condition is one expression"):
        condition("${{ vars.n }} && ${{ vars.flag }}", CONTEXT)


def test_what_an_expression_reads_is_known_without_evaluating() -> None:
    """First names, dotted names and functions, for checks and for fingerprints."""
    text = (
        "${{ vars.a.b[matrix.x] }} and ${{ format('{0}', nodes.load.rows) == secrets['KEY'] || success() }}"
    )
    assert roots(text) == {"vars", "matrix", "nodes", "secrets"}
    assert variables(text) == {"vars.a.b", "matrix.x", "nodes.load.rows", "secrets.KEY"}
    assert functions(text) == {"format", "success"}
    assert roots("vars.a && always()", bare=True) == {"vars"}
    assert list(check("${{ formt('x') }}")) == ["there is no function formt(); did you mean 'format'?"]


@given(st.text("${}varsn.()[]'\" +-*&|!<>=,1\\", max_size=60))
def test_no_text_crashes_the_language(text: str) -> None:
    """Whatever stands between braces: a value, or a mistake."""
    with contextlib.suppress(Mistake):
        evaluate("${{" + text + "}}", CONTEXT)


NUMBERS = st.integers(-1000, 1000)


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from("+-*"), st.sampled_from("+-*"))
def test_arithmetic_is_that_of_numbers(a: int, b: int, c: int, first: str, second: str) -> None:
    """Precedence and grouping are the usual ones; Python's own evaluator is the reference."""
    text = f"{a} {first} {b} {second} {c}"
    assert evaluate(f"${{{{ {text} }}}}", {}) == eval(text)
