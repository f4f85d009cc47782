"""From a real branch in a real repository to what its pull request shows."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from gitkitchen.flow import make_plan
from gitkitchen.git import Repository
from gitkitchen.reading import read as read_recipe
from gitkitchen.report.diff_reading import from_document as comparison_from
from gitkitchen.report.outcome import from_document as outcome_from
from gitkitchen.report.surfaces.assemble import assemble
from gitkitchen.report.surfaces.changes import changes, touched_lines
from gitkitchen.report.surfaces.checks import concluded
from gitkitchen.report.surfaces.comment import comment
from gitkitchen.report.surfaces.document import read, to_json
from gitkitchen.report.surfaces.outputs import outputs
from gitkitchen.report.surfaces.pull import Pull, Run
from gitkitchen.report.surfaces.summary import summary
from gitkitchen.workplace import Request, enter
from shop import Shop

FOLDER = "recipes/sales"
FILES = {
    f"{FOLDER}/orders.csv": "order_id,customer,amount\n1,Jane Doe,10\n2,Bob Roe,20\n3,Jane Doe,30\n",
    f"{FOLDER}/rates.csv": "customer,rate\nJane Doe,1\nBob Roe,2\n",
    f"{FOLDER}/priced.sql": """\
select order_id, o.customer,
  amount * rate as price
from orders o
join rates r using (customer)
""",
    f"{FOLDER}/recipe.yml": """\
version: 1
recipe: sales
owner: "@sales"
nodes:
  orders: {source: {file: orders.csv}, key: [order_id]}
  rates: {source: {file: rates.csv}}
  priced:
    sql: priced.sql
    key: [order_id]
    tests:
      - not_null: [customer]
      - rows: {same_as: orders}
  totals:
    sql: select customer, sum(price) as total from priced group by customer
    tests: [{rows: {min: 1}}]
""",
}


def pull_of(shop: Shop, code: int) -> Pull:
    """What the branch that is checked out would post, from its run, its diff, its trees and its plan."""
    assert shop.cli("run", "--quiet").code == code
    repository = Repository.find(shop.root)
    was = repository.blobs(shop.git("rev-parse", "main^{tree}"), "recipes") or {}
    now = repository.blobs(shop.git("rev-parse", "HEAD^{tree}"), "recipes") or {}
    diff = json.loads(shop.cli("diff", "prod", "last", "--data", "--json").out)
    request = Request(shop.root, environ=dict(os.environ))
    place = enter(request, looks=True)
    plan = make_plan(place, read_recipe(place, request), request, place.catalog())
    outcome = outcome_from(shop.outcome())
    commit, base = shop.git("rev-parse", "HEAD"), shop.git("rev-parse", "main")
    about = Pull(
        outcome.project, outcome.project_id, "pull_request", 7, commit, base, outcome.subject.tree, Run(1, 1)
    )
    return assemble(
        about,
        [outcome],
        differences=[comparison_from(diff)],
        changes=changes(was, now),
        plans=[plan],
        touched={p: touched_lines(was.get(p, b""), raw) for p, raw in now.items() if was.get(p) != raw},
    )


def test_a_join_that_multiplies_rows_is_shown_where_it_was_written(shop: Shop) -> None:
    """Failed, on the changed line of the SQL, with the command, the blocked node, and nobody's name."""
    shop.commit(FILES)
    assert shop.cli("run", "--quiet").code == 0
    shop.git("switch", "--quiet", "--create", "late")
    shop.replace(f"{FOLDER}/priced.sql", "join rates r using (customer)", "cross join rates r")
    shop.commit()
    pull = pull_of(shop, 1)
    (check,) = concluded(pull)
    assert (check.name, check.conclusion) == ("GitKitchen / sales", "failure")
    assert {(a.path, a.start_line) for a in check.annotations} == {(f"{FOLDER}/priced.sql", 4)}
    body = comment(pull).body
    assert "gitkitchen run sales --select priced" in body
    assert "<code>priced</code> **changed**: <code>priced.sql:4</code>" in body
    assert "3 → 6 rows" in body
    assert "<code>totals</code>: needs 'priced', which did not pass" in body
    assert "-->" in body
    raw = to_json(pull)
    for text in (body, summary(pull), check.text, check.summary, *(a.message for a in check.annotations)):
        assert "Jane" not in text
    assert "Jane" not in raw
    assert comment(read(raw.encode())) == comment(pull)


def test_a_good_change_is_green_and_reuses_what_holds(shop: Shop) -> None:
    """Passed, with the numbers of what changed, and outputs for later steps."""
    shop.commit(FILES)
    assert shop.cli("run", "--quiet").code == 0
    shop.git("switch", "--quiet", "--create", "dearer")
    shop.replace(f"{FOLDER}/priced.sql", "amount * rate as price", "amount * rate + 1 as price")
    shop.commit()
    pull = pull_of(shop, 0)
    (check,) = concluded(pull)
    assert check.conclusion == "success"
    body = comment(pull).body
    assert body.startswith("## ✅ GitKitchen: passed")
    assert "+0, -0 rows, 3 changed (100%); by key (order_id)" in body
    assert "2 of 4 nodes" in body
    said = outputs(pull)
    assert (said["conclusion"], said["exit-code"]) == ("success", "0")
    assert json.loads(said["changed-datasets"]) == ["priced", "totals"]
    other = replace(pull, tree="0" * 40)
    assert concluded(other)[0].conclusion == "failure"
