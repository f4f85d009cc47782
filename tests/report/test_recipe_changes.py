"""What changed in the recipes between two trees, with file and line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Place
from gitkitchen.report.surfaces.changes import changes, first_changed_line, touched_lines
from gitkitchen.report.surfaces.pull import Change

FILE = "recipes/shop/recipe.yml"
RECIPE = """\
version: 1
recipe: shop
owner: "@sales"
nodes:
  orders:
    source: {file: orders.csv}
    tests:
      - unique: [id]
  sales:
    sql: sales.sql
    tests: [{rows: {min: 1}}]
  plot:
    needs: [sales]
    run: python plot.py --wide
"""
BASE = {
    "kitchen.yml": b"version: 1\nvars: {a: 1}\n",
    FILE: RECIPE.encode(),
    "recipes/shop/orders.csv": b"id\n1\n",
    "recipes/shop/sales.sql": b"select *\nfrom orders\n",
    "recipes/shop/plot.py": b"import sys\nprint(1)\n",
    "recipes/shop/README.md": b"hello\n",
}


def head(text: str = RECIPE, **files: bytes) -> dict[str, bytes]:
    named = {f"recipes/shop/{n.replace('__', '.')}": raw for n, raw in files.items()}
    return {**BASE, FILE: text.encode(), **named}


def test_equal_trees_and_layout_change_nothing() -> None:
    """Comments, blank lines and quotes of YAML are no change of a node."""
    assert changes(BASE, BASE) == ()
    assert changes(BASE, head("# a remark\n\n" + RECIPE.replace("[id]", "['id']  # key"))) == ()


def test_added_removed_and_changed_nodes_have_their_lines() -> None:
    """A node's own line where it is new, its first differing part where it changed, else the file."""
    text = RECIPE.replace("unique: [id]", "unique: [order_id]").replace("  plot:", "  chart:")
    assert changes(BASE, head(text)) == (
        Change("shop", "orders", "changed", ("tests",), Place(FILE, 8, 18)),
        Change("shop", "chart", "added", (), Place(FILE, 12, 3)),
        Change("shop", "plot", "removed", (), Place(FILE)),
    )


def test_files_that_a_node_names_are_its_own_changes() -> None:
    """A changed SQL, data file or script is told with the node, and with its first changed line."""
    now = head(sales__sql=b"select *\nfrom orders\nwhere id > 0\n", plot__py=b"import sys\nprint(2)\n")
    first, second = changes(BASE, now)
    assert (first.node, first.parts, first.files) == (
        "sales",
        ("sales.sql",),
        (Place("recipes/shop/sales.sql", 3),),
    )
    assert (second.node, second.files) == ("plot", (Place("recipes/shop/plot.py", 2),))
    (data,) = changes(BASE, head(orders__csv=b"id\n2\n"))
    assert (data.node, data.parts) == ("orders", ("orders.csv",))


def test_what_no_node_names_concerns_the_recipe_as_a_whole() -> None:
    """Owner, variables and other files of the folder are told without a node; kitchen.yml alone."""
    text = RECIPE.replace("@sales", "@ops")
    now = head(text, README__md=b"bye\n") | {"kitchen.yml": b"version: 1\nvars: {a: 2}\n"}
    assert changes(BASE, now) == (
        Change("", "", "changed", ("vars",), Place("kitchen.yml", 2)),
        Change("shop", "", "changed", ("owner",), Place(FILE, 3, 1)),
        Change(
            "shop",
            "",
            "changed",
            ("README.md",),
            Place("recipes/shop/README.md", 1),
            (Place("recipes/shop/README.md", 1),),
        ),
    )


def test_a_whole_recipe_comes_and_goes() -> None:
    """A new recipe is told with each of its nodes; one that is gone in one line."""
    added = changes({}, {FILE: BASE[FILE]})
    assert [(c.node, c.kind) for c in added] == [
        ("", "added"),
        ("orders", "added"),
        ("sales", "added"),
        ("plot", "added"),
    ]
    assert changes(BASE, {"kitchen.yml": BASE["kitchen.yml"]}) == (
        Change("shop", "", "removed", (), Place(FILE)),
    )


def test_a_file_that_cannot_be_read_is_a_change_and_no_crash() -> None:
    """YAML of a stranger that is broken, a bomb, or no mapping is told as changed as a whole."""
    for raw in (b"nodes: [", b"\xff\xfe\x00", b"- a\n", b"nodes: {a: &x [*x]}\n", b"a: " + b"[" * 5000, b""):
        (found,) = changes(BASE, {**BASE, FILE: raw})
        assert (found.recipe, found.node, found.kind, found.parts) == ("shop", "", "changed", ("recipe.yml",))


def test_paths_that_leave_the_folder_name_nothing() -> None:
    """A node that names a file above its folder does not claim the changes there."""
    text = RECIPE.replace("sql: sales.sql", "sql: ../../kitchen.yml")
    now = head(text) | {"kitchen.yml": b"version: 1\nvars: {a: 3}\n"}
    assert [(c.recipe, c.node, c.parts) for c in changes(BASE, now)] == [
        ("", "", ("vars",)),
        ("shop", "sales", ("sql",)),
    ]


LINES = st.lists(st.sampled_from([b"a", b"b", b"c", b""]), max_size=12)


@given(LINES, LINES)
def test_the_first_changed_line_is_one_that_was_touched(was: list[bytes], now: list[bytes]) -> None:
    """Lines are those of the new file; touched is every line that is not in the old one."""
    old, new = b"\n".join(was), b"\n".join(now)
    touched = touched_lines(old, new)
    lines = {n for first, last in touched for n in range(first, last + 1)}
    count = len(new.splitlines())
    assert all(1 <= first <= last <= count for first, last in touched)
    assert {n for n, line in enumerate(new.splitlines(), 1) if line not in old.splitlines()} <= lines
    assert 1 <= first_changed_line(old, new) <= max(1, count)
    assert old.splitlines() != new.splitlines() or not touched


NODES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2", "{x: 1}", "[1, 2]"]), max_size=3
)


@given(NODES, NODES)
def test_every_node_that_differs_is_told_and_no_other(was: dict[str, str], now: dict[str, str]) -> None:
    """Added, removed and changed nodes are exactly those that differ as values, each once."""

    def tree(nodes: dict[str, str]) -> dict[str, bytes]:
        told = "".join(f"  {n}: {{sql: select 1, with: {v}}}\n" for n, v in nodes.items())
        return {FILE: f"version: 1\nrecipe: shop\nnodes:\n{told or '  {}'}".encode()}

    found = {c.node: c.kind for c in changes(tree(was), tree(now))}
    expected = {n: "added" for n in now if n not in was} | {n: "removed" for n in was if n not in now}
    expected |= {n: "changed" for n in now if n in was and was[n] != now[n]}
    assert found == expected
