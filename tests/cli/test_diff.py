"""``diff`` through the command line: sides, rows, columns, contracts, controls, privacy, lineage."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from gitkitchen.document import schema
from shop import Shop

ORDERS = "order_id,customer,amount\n1,ann,10\n2,bob,20\n3,ann,30\n4,eve,40\n5,bob,50\n"
RATES = "customer,rate\n" + "".join(f"{c},{r}\n" for c in ("ann", "bob", "eve") for r in range(1, 6))
RECIPE = """\
version: 1
recipe: sales
owner: "@sales"
vars: {rate: 1}
nodes:
  orders:
    source: {file: orders.csv}
    key: [order_id]
    public: [order_id]
  rates:
    source: {file: rates.csv}
    tests: [{rows: {min: 1}}]
  priced:
    sql: priced.sql
    with: {rate: "${{ vars.rate }}"}
    key: [order_id]
    public: [order_id, price]
  totals:
    sql: select customer, sum(price) as total from priced group by customer
    key: [customer]
    tests: [{rows: {min: 1}}]
"""
SQL = """\
select order_id, orders.customer, amount * rate as price
from orders join rates on rates.customer = orders.customer and rates.rate = $rate
"""
MARKETING = """\
version: 1
recipe: letters
owner: "@marketing"
nodes:
  best:
    sql: select customer from totals where total > 40
    tests: [{rows: {min: 0}}]
"""
FAN_OUT = SQL.replace(" and rates.rate = $rate", " and $rate = 1")
CLOSED = jsonschema.Draft202012Validator(schema("diff"))


@pytest.fixture
def sales(shop: Shop) -> Shop:
    files = {"recipe.yml": RECIPE, "priced.sql": SQL, "orders.csv": ORDERS, "rates.csv": RATES}
    shop.commit({f"recipes/sales/{name}": text for name, text in files.items()})
    assert shop.cli("run", "--quiet").code == 0
    shop.git("checkout", "-q", "-b", "work")
    return shop


def change(shop: Shop, sql: str = SQL, **replaced: str) -> None:
    text = RECIPE
    for old, new in replaced.items():
        text = text.replace(old, new)
    shop.commit({"recipes/sales/priced.sql": sql, "recipes/sales/recipe.yml": text})


def told(shop: Shop, *words: str) -> dict[str, Any]:
    said = shop.cli("diff", *words, "--json")
    assert said.code == 0, said.err
    document: dict[str, Any] = json.loads(said.out)
    assert [e.message for e in CLOSED.iter_errors(document)] == []
    return document


def dataset(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [d for d in document["datasets"] if d["dataset"] == name]
    return dict(found)


def test_a_kitchen_is_compared_with_its_base(sales: Shop) -> None:
    """Without arguments: what differs, which runs built it, and why; the rest is identical."""
    change(sales, SQL.replace("amount * rate", "amount * rate + 1"))
    assert sales.cli("run", "--quiet").code == 0
    document = told(sales)
    assert (document["a"]["label"], document["b"]["label"]) == ("prod", "sandbox work")
    assert {d["dataset"]: d["state"] for d in document["datasets"]} == {
        "orders": "identical",
        "rates": "identical",
        "priced": "changed",
        "totals": "changed",
    }
    assert dataset(document, "priced")["reasons"] == ["its SQL changed"]
    assert dataset(document, "totals")["reasons"] == ["input priced changed"]
    assert dataset(document, "priced")["data"] is None
    assert dataset(document, "priced")["a"]["run"] != dataset(document, "priced")["b"]["run"]


def test_a_setting_that_differs_is_named(sales: Shop) -> None:
    """A variable that was given another value is the reason."""
    assert sales.cli("run", "--quiet", "--set", "rate=2").code == 0
    document = told(sales, "--data")
    assert dataset(document, "priced")["reasons"] == ["variable rate changed"]
    assert dataset(document, "totals")["data"]["columns"][0]["a"]["total"] == 150
    assert dataset(document, "totals")["data"]["columns"][0]["b"]["total"] == 300


def test_s25_a_fan_out_join_is_seen_in_numbers(sales: Shop) -> None:
    """S25: a join turned 5 orders into 25 and all checks passed; the diff says so and the run fails."""
    keyed, open_ended = "    key: [order_id]\n    public: [order_id, price]", "    tests: [{rows: {min: 1}}]"
    weak = {keyed: f"{open_ended}\n    expect: {{rows: 0%}}"}
    change(sales, FAN_OUT, **weak)
    assert sales.cli("run", "--quiet").code == 1
    (failed,) = [t for n in sales.outcome()["nodes"] for t in n["tests"] if t["state"] == "failed"]
    assert failed["observed"] == "rows: 25, 5 before: +20 (+400%)"
    document = told(sales, "last", "--data")
    found = dataset(document, "priced")
    assert (found["data"]["rows"]["a"], found["data"]["rows"]["b"]) == (5, 25)
    assert (found["data"]["rows"]["added"], found["data"]["rows"]["removed"]) == (20, 0)
    assert found["key_change"] == [["order_id"], []]
    assert found["breaking"] is True
    removed = [c for c in document["controls"] if c["change"] == "removed"]
    assert removed == []  # the key went, and with it its tests: that is told as a breaking change of the key
    assert [c["what"] for c in document["controls"] if c["change"] == "added"] == ["test", "expect"]


def test_rows_and_columns_are_compared_by_key(sales: Shop) -> None:
    """Added, removed, changed rows; of each column the rows, the size and the sums."""
    change(sales, SQL.replace("amount * rate", "if(order_id = 2, 0, amount * rate)") + "where order_id <> 5")
    assert sales.cli("run", "--quiet").code == 0
    found = dataset(told(sales, "prod", "work", "--data"), "priced")["data"]
    assert found["rows"] == {"a": 5, "b": 4, "added": 0, "removed": 1, "changed": 1, "matched": 4}
    (price,) = [c for c in found["columns"] if c["column"] == "price"]
    assert (price["changed"], price["share"], price["difference"]["total"]) == (1, 0.25, -20)
    assert (price["a"]["total"], price["b"]["total"]) == (150, 80)
    said = sales.cli("diff", "prod", "work", "--data", "--values", "all")
    assert "-1 rows, 1 changed (25%); by key (order_id)" in said.out
    assert "price: 20 → 0" in said.out


def test_values_stay_hidden_where_they_are_not_public(sales: Shop) -> None:
    """Outside a terminal only public columns show values; Markdown never shows others."""
    change(sales, SQL.replace("order_id, orders.customer", "order_id, upper(orders.customer) as customer"))
    assert sales.cli("run", "--quiet").code == 0
    document = told(sales, "--data")
    text = json.dumps(document)
    assert "ANN" not in text
    assert "ann" not in text
    example = dataset(document, "priced")["data"]["examples"][0]
    assert example["b"] == {"order_id": "1", "customer": "hidden", "price": "10"}
    assert "ANN" in json.dumps(told(sales, "--data", "--values", "all"))
    for form in ("text", "markdown"):
        said = sales.cli("diff", "--data", "--format", form)
        assert said.code == 0, said.err
        assert "ANN" not in said.out
        assert "priced" in said.out
    assert sales.cli("diff", "--data", "--format", "markdown", "--values", "all").code == 2


def test_a_contract_that_breaks_names_whom_it_hits(sales: Shop) -> None:
    """A column that is gone or retyped is breaking; owners downstream are named, across recipes."""
    sales.git("checkout", "-q", "main")
    sales.commit({"recipes/letters/recipe.yml": MARKETING})
    assert sales.cli("run", "letters", "--quiet").code == 0
    sales.git("checkout", "-q", "work")
    sales.git("merge", "-q", "main")
    change(sales, SQL.replace("amount * rate as price", "amount * rate as price, 1 as extra"))
    assert sales.cli("run", "sales", "--quiet").code == 0
    (added,) = dataset(told(sales), "priced")["schema"]
    assert (added["kind"], added["breaking"]) == ("added", False)
    change(sales, SQL.replace("amount * rate as price", "(amount * rate)::integer as price"))
    assert sales.cli("run", "sales", "--quiet").code == 0
    document = told(sales, "--data")
    (retyped,) = dataset(document, "priced")["schema"]
    assert (retyped["kind"], retyped["breaking"], retyped["was"]) == ("retyped", True, "BIGINT")
    hits = {h["dataset"]: h for h in document["downstream"]}
    assert hits["totals"]["columns"] == ["total"]
    assert (hits["best"]["owner"], hits["best"]["rows"], hits["best"]["columns"]) == ("@marketing", True, [])
    assert "Downstream: @marketing, @sales" in sales.cli("diff", "--data").out


def test_controls_that_let_more_pass_are_marked(sales: Shop) -> None:
    """A test that is gone, a severity lowered, a limit raised: seen in the diff, wherever the data stands."""
    sales.git("checkout", "-q", "main")
    with_limits = RECIPE.replace(
        "    tests: [{rows: {min: 1}}]\n  priced",
        "    tests: [{rows: {min: 1}}, {not_null: [rate]}]\n  priced",
    ).replace(
        "    key: [customer]\n", "    key: [customer]\n    expect: {rows: 1%, values: {sum(total): 1%}}\n"
    )
    sales.commit({"recipes/sales/recipe.yml": with_limits})
    assert sales.cli("run", "--quiet").code == 0
    sales.git("checkout", "-q", "-b", "lower")
    weaker = with_limits.replace(", {not_null: [rate]}", "")
    weaker = weaker.replace("expect: {rows: 1%, values: {sum(total): 1%}}", "expect: {rows: 5%}")
    sales.commit(
        {"recipes/sales/recipe.yml": weaker, "effects/lower.yml": "version: 1\nbranch: lower\ndatasets: {}\n"}
    )
    assert sales.cli("run", "--quiet").code == 0
    document = told(sales, "prod", "lower")
    marked = {(c["what"], c["change"], c["weaker"]) for c in document["controls"]}
    assert marked == {("test", "removed", True), ("expect", "changed", True), ("effects", "added", False)}
    sales.commit({"recipes/sales/recipe.yml": with_limits.replace("rows: 1%", "rows: 0%")})
    assert [
        (c["what"], c["weaker"]) for c in told(sales, "prod", "lower")["controls"] if c["what"] == "expect"
    ] == [("expect", False)]


def test_new_gone_and_lost_datasets_are_told_apart(sales: Shop) -> None:
    """Added, removed, and what could not be compared, which is never shown as equal."""
    change(sales, **{"totals:": "sums:"})
    assert sales.cli("run", "--quiet").code == 0
    states = {d["dataset"]: d["state"] for d in told(sales)["datasets"]}
    assert (states["totals"], states["sums"]) == ("removed", "added")
    fingerprint = dataset(told(sales), "sums")["b"]["fingerprint"]
    (kept,) = sales.root.glob(f".gitkitchen/store/sandbox/*/builds/*/{fingerprint}.json")
    kept.unlink()
    lost = dataset(told(sales, "--data"), "sums")
    assert lost["state"] == "unreadable"
    assert "not in the store" in lost["note"]


def test_views_and_files_are_compared_too(sales: Shop) -> None:
    """A view is read where it stands; of a file the bytes are told."""
    more = (
        "  seen:\n    sql: select order_id, {} as x from orders\n    materialize: view\n    key: [order_id]\n"
        "  page:\n    run: echo {} > out.txt\n    outputs: {{page_txt: out.txt}}\n"
    )
    sales.git("checkout", "-q", "main")
    sales.commit({"recipes/sales/recipe.yml": RECIPE + more.format(1, 1)})
    assert sales.cli("run", "--quiet").code == 0
    sales.git("checkout", "-q", "-b", "other")
    sales.commit({"recipes/sales/recipe.yml": RECIPE + more.format("order_id % 2", 22)})
    assert sales.cli("run", "--quiet").code == 0
    document = told(sales, "--data")
    assert dataset(document, "seen")["data"]["rows"]["changed"] == 2
    assert dataset(document, "page_txt")["note"] == "a file: 3 bytes, 2 before"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("nowhere",), "no environment, no branch that was run, and no run", "prod"),
        (("prdo",), "no environment", "did you mean 'prod'?"),
        (("prod", "main", "--dataset", "pricd"), "neither side has a dataset", "did you mean 'priced'?"),
        (("--limit", "1000"), "0 to 100", ""),
        (("--kitchen", "prod"), "has no base", "name what to compare"),
    ],
)
def test_mistaken_arguments_are_told(sales: Shop, words: tuple[str, ...], message: str, hint: str) -> None:
    """Exit 2, with what was meant."""
    said = sales.cli("diff", *words)
    assert said.code == 2
    assert message in said.err
    assert hint in said.err


def test_two_runs_are_compared(sales: Shop) -> None:
    """Candidates by their ids: what one built beside what the other built."""
    change(sales, SQL.replace("amount * rate", "amount * rate + 1"))
    assert sales.cli("run", "--quiet", "--no-publish").code == 0
    first = sales.outcome()["run"]
    change(sales, SQL.replace("amount * rate", "amount * rate + 2"))
    assert sales.cli("run", "--quiet", "--no-publish").code == 0
    document = told(sales, first, "last", "--data", "--dataset", "priced")
    (only,) = document["datasets"]
    assert only["data"]["rows"]["changed"] == 5
    assert only["data"]["columns"][1]["difference"]["mean"] == 1
    assert (document["a"]["kind"], document["b"]["kind"]) == ("run", "run")
