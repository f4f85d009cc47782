"""The project of any tree is read without a checkout, running nothing, and without leaving the tree."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from gitkitchen.errors import Infrastructure, Mistake
from gitkitchen.model import Kitchen
from gitkitchen.trees import Where, read_tree
from shop import KITCHEN_YML, Shop

RECIPE = """\
version: 1
recipe: orders
vars: {most: 5}
variations: {wide: {vars: {most: 9}}, prod_only: {environments: [dev]}}
nodes:
  orders:
    source: {file: orders.csv}
    tests: [{range: {column: n, max: "${{ vars.most }}"}}]
  totals: {sql: totals.sql}
  note: {sql: "select 1 as one", tests: [{rows: {min: "${{ kitchen.is_sandbox && 2 || 1 }}"}}]}
"""
FILES = {
    "kitchen.yml": KITCHEN_YML.replace(
        "environments:", "environments:\n  dev: {branch: dev, vars: {most: 7}}"
    ),
    "recipes/orders/recipe.yml": RECIPE,
    "recipes/orders/orders.csv": "n\n1\n",
    "recipes/orders/totals.sql": "select count(*) as n from orders",
    ".github/workflows/ci.yml": "jobs: {}\n",
}


def test_a_tree_is_read_as_its_checkout_would_be(shop: Shop) -> None:
    """Recipes with their SQL, in each environment, sandbox and variation; files; texts that judge."""
    shop.commit(FILES)
    tree = shop.git("rev-parse", "HEAD^{tree}")
    shop.commit({"recipes/orders/recipe.yml": "broken: ["})
    reading = read_tree(shop.root, "HEAD~1")
    assert (reading.problems, reading.tree, reading.complete) == ((), tree, True)
    assert reading.project is not None
    assert reading.project.name == "shop"
    limits = {
        (where.environment, where.variation): recipe.nodes["orders"].tests[0].args["max"]
        for where, recipe in reading.resolved.items()
    }
    assert limits == {
        ("dev", None): 7, ("dev", "wide"): 9, ("dev", "prod_only"): 7,
        ("prod", None): 5, ("prod", "wide"): 9, ("", None): 5, ("", "wide"): 9,
    }  # fmt: skip
    least = {w.environment: r.nodes["note"].tests[0].args["min"] for w, r in reading.resolved.items()}
    assert least == {"dev": 1, "prod": 1, "": 2}
    sql = reading.resolved[Where("orders")].nodes["totals"].config
    assert sql["text"] == FILES["recipes/orders/totals.sql"]
    oid = shop.git("rev-parse", "HEAD~1:recipes/orders/orders.csv")
    assert reading.files["recipes/orders/orders.csv"].oid == oid
    assert set(reading.texts) == {"kitchen.yml", ".github/workflows/ci.yml"}
    assert str(reading.resolved[Where("orders")].nodes["totals"].place) == "recipes/orders/recipe.yml:9"
    assert read_tree(shop.root, tree).resolved.keys() == reading.resolved.keys()


def test_the_sandbox_that_expressions_see_can_be_given(shop: Shop) -> None:
    """What ran in a kitchen is compared with what its recipe says in that kitchen."""
    recipe = RECIPE.replace("kitchen.is_sandbox && 2 || 1", "kitchen.branch == 'f' && 7 || 1")
    shop.commit({**FILES, "recipes/orders/recipe.yml": recipe})
    kitchen = Kitchen("p", "", "f", "k_f_000000000000", base="prod")
    known = read_tree(shop.root, "HEAD", sandbox=kitchen).resolved
    assert known[Where("orders")].nodes["note"].tests[0].args["min"] == 7
    assert read_tree(shop.root, "HEAD").resolved[Where("orders")].nodes["note"].tests[0].args["min"] == 1


def test_every_mistake_is_told_with_its_line(shop: Shop) -> None:
    """A tree that cannot be read says why, as `validate` would; the rest of it is read."""
    shop.commit(
        {
            **FILES,
            "recipes/b/recipe.yml": "version: 1\nrecipe: b\nnodes: {x: {sqll: a}}\n",
            "waivers/x.yml": "a: 1\n",
        }
    )
    reading = read_tree(shop.root, "HEAD")
    assert {str(p.place).partition(":")[0] for p in reading.problems} == {
        "recipes/b/recipe.yml",
        "waivers/x.yml",
    }
    assert "orders" in reading.recipes


def test_a_tree_without_a_project(shop: Shop) -> None:
    """That is no error of reading: there is no project, and the problem says so."""
    shop.git("rm", "-q", "kitchen.yml")
    shop.commit()
    reading = read_tree(shop.root, "HEAD")
    assert reading.project is None
    assert [p.code for p in reading.problems] == ["missing-file"]


@pytest.mark.parametrize("rev", ["nowhere", "-x", "--output=x", "", "a\nb", "HEAD:kitchen.yml"])
def test_what_is_no_revision_is_refused(shop: Shop, rev: str) -> None:
    """No name becomes an option of git."""
    with pytest.raises(Mistake, match="there is no revision"):
        read_tree(shop.root, rev)
    assert not (shop.root / "x").exists()


def test_links_out_of_the_tree_are_not_followed(shop: Shop, tmp_path: Path) -> None:
    """Neither absolute ones, nor by steps upward, nor through another link that is itself inside."""
    (tmp_path / "secret.sql").write_text("select 'leaked' as s")
    folder = shop.root / "recipes/orders"
    shop.write({**FILES, "a/b/keep.sql": "select 1"})
    (shop.root / "a/b/top").symlink_to("../../")
    links = {
        "one.sql": str(tmp_path / "secret.sql"),
        "two.sql": "../../../secret.sql",
        "three.sql": "../../a/b/top/../secret.sql",
        "good.sql": "totals.sql",
    }
    nodes = ""
    for name, target in links.items():
        (folder / name).symlink_to(target)
        nodes += f"  {name.partition('.')[0]}: {{sql: {name}}}\n"
    shop.commit({"recipes/orders/recipe.yml": RECIPE + nodes})
    reading = read_tree(shop.root, "HEAD")
    assert "leaked" not in repr(reading.resolved)
    assert len(reading.problems) == 3
    assert reading.resolved[Where("orders")].nodes["good"].config["text"].startswith("select count")


def test_a_cache_that_the_tree_brings_along_is_not_believed(shop: Shop) -> None:
    """A hostile branch commits what a document was once read as: the document itself is read."""
    shop.commit(FILES)
    assert shop.cli("validate").code == 0
    kept = sorted((shop.root / ".gitkitchen/cache/documents").iterdir())
    assert kept
    for path in kept:
        path.write_text(path.read_text().replace("vars.most", "vars.none"))
    shop.git("add", "-f", ".gitkitchen")
    shop.commit()
    assert read_tree(shop.root, "HEAD").problems == ()


def test_nothing_of_the_tree_runs_and_nothing_is_left(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters, hooks and modules stay what they are, files; the folder is gone afterwards."""
    temporary = shop.root.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    shop.git("config", "filter.bad.smudge", f"touch {temporary}/ran")
    trap = f"open({str(temporary / 'ran')!r}, 'w')\n"
    shop.commit(
        {
            **FILES,
            ".gitattributes": "* filter=bad\n",
            "recipes/orders/load.py": trap,
            "sitecustomize.py": trap,
            "recipes/orders/recipe.yml": RECIPE + "  py: {python: load.py:f}\n",
        }
    )
    assert read_tree(shop.root, "HEAD").problems == ()
    assert list(temporary.iterdir()) == []
    assert shop.git("status", "--porcelain") == ""


def test_a_tree_that_git_would_not_make_leaves_its_folder_alone(shop: Shop, tmp_path: Path) -> None:
    """Names such as `..` and `.git`, and a name that is link and folder at once, write nothing outside."""
    blob = shop.git("hash-object", "-w", "kitchen.yml")
    link = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=shop.root, input=str(tmp_path), text=True,
        capture_output=True, check=True,
    ).stdout.strip()  # fmt: skip

    def tree(*entries: tuple[str, str, str]) -> str:
        raw = b"".join(f"{m} {n}".encode() + b"\0" + bytes.fromhex(o) for m, n, o in entries)
        done = subprocess.run(
            ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"],
            cwd=shop.root, input=raw, capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.decode().strip()

    inner = tree(("100644", "out.yml", blob))
    whole = tree(
        ("40000", "..", inner), ("40000", ".git", inner), ("120000", "a", link), ("40000", "a", inner),
        ("100644", "kitchen.yml", blob),
    )  # fmt: skip
    reading = read_tree(shop.root, whole)
    assert reading.project is not None
    assert not list(tmp_path.glob("**/out.yml"))


@pytest.mark.long
def test_a_tree_of_too_many_files_is_refused(shop: Shop) -> None:
    """Reading is bounded, and says so."""
    blob = shop.git("hash-object", "-w", "kitchen.yml")
    lines = "".join(f"100644 blob {blob}\tf{n}\n" for n in range(1001))
    make = ["git", "mktree"]
    one = subprocess.run(
        make, cwd=shop.root, input=lines, text=True, capture_output=True, check=True
    ).stdout.strip()
    lines = "".join(f"040000 tree {one}\td{n}\n" for n in range(100))
    many = subprocess.run(
        make, cwd=shop.root, input=lines, text=True, capture_output=True, check=True
    ).stdout.strip()
    with pytest.raises(Infrastructure, match="100,100 files"):
        read_tree(shop.root, many)


def test_a_shallow_repository_without_the_objects_says_so(shop: Shop, tmp_path: Path) -> None:
    """A partial clone that lacks the files is told from a project without them."""
    shop.commit(FILES)
    shop.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{shop.root}", str(clone)],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(Infrastructure, match="the repository lacks files of this tree"):
        read_tree(clone, "HEAD")
