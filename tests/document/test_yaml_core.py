"""YAML is read as 1.2 core, with a line for each value, and with bounds."""

from __future__ import annotations

import itertools
import json
import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.document import parse, scalar
from gitkitchen.errors import Mistake


def problems(text: str) -> list[str]:
    with pytest.raises(Mistake) as caught:
        parse(textwrap.dedent(text), "f.yml")
    return [str(p) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("22:22", "22:22"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("2013-02-30", "2013-02-30"),
        ("=", "="),
        ("<<", "<<"),
        (".", "."),
        ("-", "-"),
        ("1e", "1e"),
        ("0x", "0x"),
        ("true", True),
        ("False", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("nUll", "nUll"),
        ("0", 0),
        ("-7", -7),
        ("+3", 3),
        ("010", 10),
        ("0o17", 15),
        ("0xfF", 255),
        ("2.5", 2.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        ("1.2.3", "1.2.3"),
        ("ünï", "ünï"),
        ("${{ vars.x }}", "${{ vars.x }}"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    """Type and value of plain scalars; what YAML 1.1 turns into booleans, dates and numbers is text."""
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "9" * 5000, "0x" + "f" * 5000])
def test_numbers_that_no_column_holds_are_refused(text: str) -> None:
    """Infinities and endless numbers are mistakes with a hint, never a crash."""
    with pytest.raises(ValueError, match="quote it if it is text"):
        scalar(text)


TEXTS = st.text(st.characters(categories=["L", "N", "P", "Zs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<$", min_size=1), inner, max_size=4)
    ),
    max_leaves=20,
)


def _without_merge_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_merge_keys(v) for k, v in value.items() if k != "<<"}
    return [_without_merge_keys(v) for v in value] if isinstance(value, list) else value


@given(VALUES)
def test_json_is_yaml(value: Any) -> None:
    """Any JSON text reads as the same value; each part has a place."""
    value = {"top": _without_merge_keys(value)}
    document = parse(json.dumps(value, indent=1, ensure_ascii=False), "f.yml")
    assert document.value == value
    assert document.place("top").line == 2


def test_each_value_remembers_its_line() -> None:
    """A mapping's value stands where its key stands, a list's entry where it begins."""
    document = parse(
        textwrap.dedent("""\
        nodes:
          load:
            needs:
              - one
              - two
            sql: |
              select 1
              from t
            with: {a: 1,
              b: 2}
            text:
              folded
              over lines
        """),
        "r.yml",
    )
    place = document.place
    assert str(place("nodes", "load")) == "r.yml:2"
    assert place("nodes", "load", "needs", 1).line == 5
    assert place("nodes", "load", "needs", 1).column == 9
    assert place("nodes", "load", "with", "b").line == 10
    assert place("nodes", "load", "sql").line == 6
    assert document.text_line("nodes", "load", "sql") == 7
    assert document.text_line("nodes", "load", "text") == 12
    assert document.text_line("nodes", "load", "with", "b") == 10
    assert place("nodes", "other", "x").line == 1  # unknown: the nearest that is known


def test_an_alias_is_the_value_again_on_its_own_line() -> None:
    """Aliases may be used for whole values."""
    document = parse("a: &x {k: 1}\nb: *x\n", "f.yml")
    assert document.value == {"a": {"k": 1}, "b": {"k": 1}}
    assert document.place("b").line == 2


TAB = (
    "f.yml:2: this is not YAML: while scanning for the next token found character that cannot start any "
    "token; indent with spaces, not tabs"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", ["f.yml:3: the key 'a' stands here again (first in line 1)"]),
        ("a: &x {k: 1}\nb:\n  <<: *x\n", ["f.yml:3: merge keys (<<) are not available; write the keys out"]),
        ("a: *nothing\n", ["f.yml:1: the alias *nothing is not defined above"]),
        ("a: &x [*x]\n", ["f.yml:1: the alias *x contains itself"]),
        ("a: 1\n2: b\n", ["f.yml:2: the key 2 is not a text; quote it"]),
        (
            "? [a]\n: b\n",
            ['f.yml:1: a key is a text, not a list or mapping; quote an expression: "${{ … }}"'],
        ),
        (
            "a: !!python/name:os.system x\n",
            ["f.yml:1: the tag !!python/name:os.system is not available; remove it"],
        ),
        ("a: 1\n---\nb: 2\n", ["f.yml:2: a file holds one document; remove this `---`"]),
        ("# nothing\n", ["f.yml: the file is empty"]),
        ('a: "\\0"\n', ["f.yml:1: a text must not hold the character U+0000"]),
        (
            "a:\n\tb: 1\n",
            [TAB],
        ),
    ],
)
def test_mistakes_say_what_and_where(text: str, said: list[str]) -> None:
    """Each mistake of form has its line and the next step."""
    assert problems(text) == said


@pytest.mark.parametrize(
    "text", ["with: {a: ${{ vars.x }}}", "with: [1, ${{ vars.x }}]", "with: {a: n-${{ x }}}"]
)
def test_an_unquoted_expression_in_braces_is_explained(text: str) -> None:
    """YAML takes the braces of an expression for its own; the message says to quote it."""
    hint = 'write "${{ … }}" with the quotes'
    assert problems(f"ok: 1\n{text}\n") == [
        f"f.yml:2: an expression inside {{ }} or [ ] must be quoted; {hint}"
    ]


def test_all_mistakes_of_a_file_come_at_once_sorted_by_line() -> None:
    """Nobody mends one mistake to meet the next."""
    found = problems("a: 1\na: 2\nb: .inf\nc: !x 1\nd: *e\n")
    assert [p.split(": ")[0] for p in found] == ["f.yml:2", "f.yml:3", "f.yml:4", "f.yml:5"]


def test_what_follows_a_refused_key_is_read_and_dropped() -> None:
    """The value of a refused key is not taken for the next key's."""
    assert problems("a: {k: 1}\na: {k: [1, {z: 2}]}\nb: 3\n") == [
        "f.yml:2: the key 'a' stands here again (first in line 1)"
    ]


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in itertools.pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 5000, "nested more than 40 levels deep"),
        ("- " * 5000, "nested more than 40 levels deep"),
        ("{a: " * 5000, "nested more than 40 levels deep"),
        ("a: " + "[1, 2]" + "\n", ""),
        ("x: [" + "1," * 70_000 + "]", "more than 60,000 values"),
        ("#" * 2_000_001, "the file has more than 2,000,000 bytes"),
        (LAUGHS, "more than 60,000 values, aliases counted in full"),
        ("\n".join(f"k: .nan #{i}" for i in range(5000)), "is not a finite number"),
    ],
)
def test_bombs_are_refused_before_they_go_off(text: str, said: str) -> None:
    """Depth, size, aliases and the number of problems are bounded."""
    if not said:
        parse(text, "f.yml")
        return
    found = problems(text)
    assert any(said in p for p in found)
    assert len(found) <= 100
