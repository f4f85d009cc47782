"""``gitkitchen page`` in a real project: what a run left behind, on the page."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from gitkitchen.document import departures
from gitkitchen.files import canonical
from shop import Shop

RECIPE = """\
version: 1
recipe: sales
owner: "@ana"
nodes:
  orders:
    sql: "select 1 as id, 'Jane Roe' as customer, {value} as amount union all select 2, 'Joe', 5"
    key: [id]
    tests: [{range: {column: amount, max: 100}}]
  totals: {sql: "select sum(amount) as total from orders"}
"""


def record(shop: Shop) -> dict[str, object]:
    path = max((shop.root / ".gitkitchen/ledger/runs").rglob("0*.json"))
    body: dict[str, object] = json.loads(path.read_text())["body"]
    return body


def test_a_red_run_is_on_the_page_and_no_value_of_a_row(shop: Shop, tmp_path: Path) -> None:
    """A green and a red run of a real project: status, the run's page with test, rows and command; names of
    customers are in no file and not in the ledger."""
    shop.commit({"recipes/sales/recipe.yml": RECIPE.replace("{value}", "7")})
    assert shop.cli("run", "--quiet").code == 0
    green = record(shop)
    assert green["rows"] == {"orders": 2, "totals": 1}
    shop.commit({"recipes/sales/recipe.yml": RECIPE.replace("{value}", "700")}, message="Sell dearer")
    assert shop.cli("run", "--quiet").code == 1
    out = tmp_path / "site"
    said = shop.cli("page", "--out", str(out), "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert departures(document, "status") == []
    assert document["environments"][0]["state"] == "bad"
    assert document["recipes"][0]["last_green"] == green["run"]
    text = (out / f"run/{record(shop)['run']}.html").read_text()
    for wanted in ("range(amount, max=100)", "gitkitchen run sales --select orders", "Sell dearer"):
        assert wanted in text, wanted
    assert "orders.amount" in (out / "dataset/totals.html").read_text()
    assert (
        "BIGINT" in (out / "dataset/orders.html").read_text()
        or "INTEGER" in (out / "dataset/orders.html").read_text()
    )
    for path in [*out.rglob("*.*"), *(shop.root / ".gitkitchen/ledger").rglob("*.json")]:
        assert b"Jane" not in path.read_bytes(), path


def test_a_damaged_cache_is_read_anew(shop: Shop, tmp_path: Path) -> None:
    """Whatever happened to what was remembered: the page is the same; a ledger begun anew is seen."""
    shop.commit({"recipes/sales/recipe.yml": RECIPE.replace("{value}", "7")})
    assert shop.cli("run", "--quiet").code == 0

    def made() -> object:
        said = shop.cli("page", "--out", str(tmp_path / "site"), "--json")
        assert said.code == 0, said.err
        document = json.loads(said.out)
        return document["recipes"], document["environments"][0]["state"]

    first = made()
    folder = shop.root / ".gitkitchen/cache/page"
    assert len(list(folder.iterdir())) >= 2
    for harm in (b"", b"{", b'[1, "x"]\n', b"\xff\xfe"):
        for path in folder.iterdir():
            path.write_bytes(harm)
        assert made() == first
    for path in folder.iterdir():  # the end of a line that a kill cut off
        path.write_bytes(path.read_bytes()[:-9])
    assert made() == first


def test_the_page_takes_no_folder_of_others(shop: Shop, tmp_path: Path) -> None:
    """A folder with other files, and a file, are refused with what to do; nothing in them changes."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("x")
    for name in ("mine", "mine/letter.txt"):
        said = shop.cli("page", "--out", str(tmp_path / name))
        assert said.code == 2
        assert "--out" in said.err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_the_settings_of_the_page_count(shop: Shop, tmp_path: Path) -> None:
    """Title, address and staleness of kitchen.yml are on the page; wrong ones are refused at their line."""
    shop.replace(
        "kitchen.yml",
        "sandboxes:",
        "page: {title: My <shop>, url: https://x.example/p, stale_after: 2h}\nsandboxes:",
    )
    shop.commit()
    said = shop.cli("page", "--out", str(tmp_path / "site"), "--json")
    document = json.loads(said.out)
    made, stale = document["made"], document["stale_after"]
    assert (int(stale[11:13]) - int(made[11:13])) % 24 == 2
    assert "My &lt;shop&gt;" in (tmp_path / "site/index.html").read_text()
    assert 'href="https://x.example/p/feed.xml"' in (tmp_path / "site/feed.xml").read_text()
    shop.replace("kitchen.yml", "https://x.example/p", "'javascript:x'")
    assert "kitchen.yml:" in shop.cli("validate").out + shop.cli("validate").err
    assert shop.cli("page").code == 2


@pytest.mark.long
def test_the_page_is_served_to_this_machine_alone(shop: Shop, tmp_path: Path) -> None:
    """--serve prints an address of the loopback at which the site is, without listings, until it is ended."""
    process = shop.spawn("page", "--out", str(tmp_path / "site"), "--serve", "0")
    try:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("http://127.0.0.1:")).split()[0]
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert b"<!doctype html>" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}badge/", timeout=20)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_a_record_is_small(shop: Shop) -> None:
    """Of a green run a record holds three numbers a node for the page, and nothing that is empty."""
    nodes = "".join(
        f"  node_{i:02d}: {{sql: 'select {i} as x', tests: [not_null: [x]]}}\n" for i in range(20)
    )
    shop.commit({"recipes/many/recipe.yml": f"version: 1\nrecipe: many\nnodes:\n{nodes}"})
    assert shop.cli("run", "--quiet").code == 0
    body = record(shop)
    shown = {k: body[k] for k in ("at", "took", "rows") if k in body}
    assert len(canonical(shown)) < 20 * 45
    assert not {"failed", "tries", "metrics", "url", "parts"} & set(body)
