"""Column lineage: what a change reaches downstream, and where that cannot be told."""

from __future__ import annotations

import pytest

from gitkitchen.plan.lineage import Change, Hit, Maker, Origins, downstream, origins

SCHEMAS = {"orders": ["id", "Country", "amount"], "countries": ["country", "name"]}


def of(text: str) -> Origins:
    found = origins(text, SCHEMAS)
    assert isinstance(found, Origins), found
    return found


@pytest.mark.parametrize(
    ("text", "column", "sources"),
    [
        ("select amount from orders", "amount", {("orders", "amount")}),
        ("select AMOUNT * 2 as x from ORDERS", "x", {("orders", "amount")}),
        ("select * from orders", "country", {("orders", "country")}),
        ("from orders", "id", {("orders", "id")}),
        ("select * exclude (id) from orders", "amount", {("orders", "amount")}),
        ("select o.amount + c.name as x from orders o join countries c using (country)", "x",
         {("orders", "amount"), ("countries", "name")}),
        ("with t as (select id, amount as a from orders) select sum(a) as s from t group by id", "s",
         {("orders", "amount")}),
        ("select x from (select amount as x from orders union all select id from orders)", "x",
         {("orders", "amount"), ("orders", "id")}),
        ("select sum(amount) over (partition by country) as s from orders", "s",
         {("orders", "amount"), ("orders", "country")}),
        ("select (select max(name) from countries) as m, id from orders", "m", {("countries", "name")}),
        ("select count(*) as n from orders", "n", set()),
        ("select 1 as one", "one", set()),
        ("select i as n from range(5) t(i)", "n", set()),
        ("with recursive t as (select 1 as n union all select n + 1 from t where n < 3) select n from t", "n",
         set()),
        ("select $minimum + amount as x from orders", "x", {("orders", "amount")}),
    ],
)  # fmt: skip
def test_a_column_comes_from_these(text: str, column: str, sources: set[tuple[str, str]]) -> None:
    """Through stars, aliases, joins, common table expressions, unions, windows and subqueries."""
    assert of(text).columns[column] == sources


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("select id from orders where amount > 5", {("orders", "amount")}),
        ("select count(*) as n from orders group by country", {("orders", "country")}),
        ("select id from orders join countries on orders.country = countries.country",
         {("orders", "country"), ("countries", "country")}),
        ("select id from orders order by amount limit 1", {("orders", "amount")}),
        ("select id from orders order by amount", set()),
        ("select distinct country from orders", {("orders", "country")}),
        ("with t as (select id from orders where amount > 5) select id from t", {("orders", "amount")}),
        ("select id from orders o where exists (select 1 from countries c where c.country = o.country)",
         {("orders", "country"), ("countries", "country")}),
        ("select id from orders where country in (select country from countries where name = 'x')",
         {("orders", "country"), ("countries", "country"), ("countries", "name")}),
    ],
)  # fmt: skip
def test_these_columns_decide_which_rows_there_are(text: str, sources: set[tuple[str, str]]) -> None:
    """Filters, joins, groups and limits change rows without being a column of the result."""
    assert of(text).rows == sources


@pytest.mark.parametrize(
    "text",
    [
        "select * from unknown_table",
        "select columns('a.*') from orders",
        "pivot orders on country using sum(amount)",
        "select from where",
        "select nowhere from orders o, countries c",
    ],
)
def test_what_cannot_be_told_is_said(text: str) -> None:
    """A reason, never a guess and never an error."""
    assert isinstance(origins(text, SCHEMAS), str)


MAKERS = (
    Maker("b", "report", "@b", "python", ("report",), ("sums",)),
    Maker("a", "sums", "@a", "sql", ("sums",), ("orders",),
          "select country, sum(amount) as s from orders group by country"),
    Maker("a", "names", "@a", "sql", ("names",), ("sums",), "select country from sums"),
    Maker("a", "big", "@a", "sql", ("big",), ("sums",), "select country from sums where s > 5"),
)  # fmt: skip


def test_a_changed_column_reaches_what_reads_it() -> None:
    """Columns, rows and owners, across recipes; what does not read it is left out."""
    hits = downstream(MAKERS, SCHEMAS, {"orders": Change(frozenset({"Amount"}))})
    assert {(h.dataset, h.columns, h.rows, h.owner) for h in hits} == {
        ("sums", ("s",), False, "@a"),
        ("big", (), True, "@a"),
        ("report", None, True, "@b"),
    }
    (report,) = [h for h in hits if h.dataset == "report"]
    assert "all columns, unknown" in report.why
    assert report.through == ("sums",)


def test_rows_that_come_or_go_reach_everything() -> None:
    """Also what reads none of the columns: it has other rows."""
    hits = downstream(MAKERS, SCHEMAS, {"orders": Change(frozenset(), rows=True)})
    assert [h.dataset for h in hits] == ["sums", "report", "names", "big"]
    assert all(h.rows for h in hits)


def test_a_change_that_is_not_known_hits_all_that_read_the_dataset() -> None:
    """Nothing is left out because nobody knows."""
    (first, *_) = downstream(MAKERS, SCHEMAS, {"orders": Change(None)})
    assert first == Hit("sums", "a", "sums", "@a", ("country", "s"), True, ("orders",), "")
