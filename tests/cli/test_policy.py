"""Waivers and policy as people meet them: runs that go on, reports that show why, and what a change takes
away.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest

from gitkitchen.document import schema
from shop import Shop

TODAY = datetime.now(UTC).date()
POLICY = """\
policy:
  require: {recipes: [orders], tests: ["orders/orders/unique"]}
  waivers: {tests: ["orders/orders/*"], by: ["@ana"], environments: [prod]}
  changes: {by: ["@boss"]}
"""
RECIPE = """\
version: 1
recipe: orders
nodes:
  orders:
    source: {file: orders.csv}
    key: [id]
    tests:
      - range: {column: n, max: 5}
  totals: {sql: select sum(n) as n from orders, tests: [{not_null: [n]}]}
"""


def waiver(days: int) -> dict[str, str]:
    text = f"""\
version: 1
recipe: orders
node: orders
rule: range(n, max=5)
reason: The feed counts <b>boxes</b> until it is mended.
approver: "@ana"
expires: {TODAY + timedelta(days=days)}
"""
    return {"waivers/boxes.yml": text}


@pytest.fixture
def failing(shop: Shop) -> Shop:
    """A recipe in prod, one stop test of which fails."""
    shop.replace("kitchen.yml", "sandboxes:", f"{POLICY}sandboxes:")
    shop.commit({"recipes/orders/recipe.yml": RECIPE, "recipes/orders/orders.csv": "id,n\n1,2\n2,9\n"})
    return shop


def test_a_waived_failure_lets_publication_go_on_and_is_shown_everywhere(failing: Shop) -> None:
    """Without the waiver nothing is published; with it all is, and every report says why and until when."""
    assert failing.cli("run", "-q").code == 1
    failing.commit(waiver(10))
    said = failing.cli("run", "-q")
    assert said.code == 0, said.out
    end = str(TODAY + timedelta(days=10))
    assert "waived" in said.out
    assert f"until {end} by @ana: The feed counts <b>boxes</b>" in " ".join(said.out.split())
    assert failing.rows("select n from totals") == [{"n": 11}]
    document = failing.outcome()
    jsonschema.validate(document, schema("outcome"))
    (test,) = [t for n in document["nodes"] for t in n["tests"] if "waived" in t]
    assert (document["verdict"], test["state"], test["severity"]) == ("passed", "failed", "stop")
    assert test["waived"] == {
        "reason": "The feed counts <b>boxes</b> until it is mended.",
        "approver": "@ana",
        "expires": end,
        "place": ["waivers/boxes.yml", 4, 1],
    }
    assert "4 tests: 1 waived, 3 passed" in said.out
    for form, words in {
        "html": "by @ana: The feed counts &lt;b&gt;boxes&lt;/b&gt;",
        "markdown": "by @&#8203;ana: The feed counts &#60;b&#62;boxes",
        "junit": f'<property name="waived range(n, max=5)" value="until {end} by @ana: The feed',
        "github": "::warning file=recipes/orders/recipe.yml",
    }.items():
        shown = failing.cli("report", "--format", form, "-o", "-").out
        assert words in shown, form
    junit = failing.cli("report", "--format", "junit", "-o", "-").out
    assert 'failures="0"' in junit
    assert failing.cli("show").out.count("waived") >= 2


def test_the_ledger_remembers_what_was_waived(failing: Shop) -> None:
    """Who answers for it, and until when, stand in the record of the run; the reason does not."""
    failing.commit(waiver(10))
    assert failing.cli("run", "-q").code == 0
    (record,) = json.loads(failing.cli("log", "--json").out)["runs"]
    assert record["failing"][0]["waived"] == ["@ana", str(TODAY + timedelta(days=10))]


def test_an_expired_waiver_stops_the_next_run(failing: Shop) -> None:
    """Its last day over, the same failure keeps data from consumers again, and the run says so."""
    failing.commit(waiver(0))
    assert failing.cli("run", "-q").code == 0
    failing.commit(waiver(-1))
    said = failing.cli("run", "-q")
    assert said.code == 1
    assert "waivers/boxes.yml:4: this waiver expired on" in said.err
    assert "waived" not in said.out
    assert failing.cli("validate").code == 0


def test_a_waiver_counts_only_in_the_environments_of_the_policy(failing: Shop) -> None:
    """In a sandbox those of its base count; where the policy names another environment nothing is waived."""
    failing.commit(waiver(10))
    failing.git("switch", "-q", "-c", "feature")
    assert failing.cli("run", "-q").code == 0
    failing.replace("kitchen.yml", "environments: [prod]", "environments: [dev]")
    failing.replace("kitchen.yml", "environments:\n", "environments:\n  dev: {branch: dev}\n")
    failing.commit()
    assert failing.cli("run", "-q").code == 1
    failing.git("switch", "-q", "-c", "dev")
    assert failing.cli("run", "-q").code == 0


def test_a_kept_verdict_carries_no_waiver(failing: Shop) -> None:
    """A verdict that is reused on identical content is waived by the waiver of today, or not at all."""
    failing.commit(waiver(10))
    assert failing.cli("run", "-q").code == 0
    failing.git("rm", "-q", "waivers/boxes.yml")
    failing.commit()
    said = failing.cli("run", "-q")
    assert (said.code, "reused verdict" in said.out) == (1, True)


def test_a_waived_test_that_cannot_be_evaluated_stops(failing: Shop) -> None:
    """A waiver excuses a failure, and not that nobody could look."""
    failing.replace("recipes/orders/recipe.yml", "column: n,", "column: gone,")
    failing.commit({k: v.replace("range(n,", "range(gone,") for k, v in waiver(10).items()})
    said = failing.cli("run", "-q")
    assert said.code == 1
    assert "not evaluated" in said.out


def test_a_malformed_waiver_refuses_the_run(failing: Shop) -> None:
    """Nothing is accepted and ignored."""
    failing.commit({"waivers/boxes.yml": "version: 1\n"})
    said = failing.cli("run", "-q")
    assert said.code == 2
    assert "waivers/boxes.yml:1: the key 'recipe' is missing" in said.err


def test_policy_shows_what_counts(failing: Shop) -> None:
    """For people and for programs: what is required, what is waived, and why a waiver does not count."""
    failing.commit(waiver(10))
    said = failing.cli("policy")
    assert said.code == 0
    assert "required tests    orders/orders/unique (at least stop)" in said.out
    assert f"! orders/orders/range(n, max=5) until {TODAY + timedelta(days=10)}: counts" in said.out
    failing.commit(waiver(-1))
    document = json.loads(failing.cli("policy", "--json").out)
    assert document["waivers"][0]["void"] == f"it expired on {TODAY - timedelta(days=1)}"
    assert document["policy"]["waivers"]["by"] == ["@ana"]
    failing.git("rm", "-q", "waivers/boxes.yml")
    failing.replace("kitchen.yml", POLICY, "")
    assert "kitchen.yml has no policy" in failing.cli("policy").out


def test_policy_lists_what_a_commit_takes_away(failing: Shop) -> None:
    """What `gitkitchen policy --changes` tells before the pull request is opened."""
    failing.replace("recipes/orders/recipe.yml", "max: 5", "max: 9")
    failing.commit(waiver(10))
    said = failing.cli("policy", "--changes", "HEAD~1")
    assert said.code == 0
    assert (
        "! recipes/orders/recipe.yml:8: node 'orders': the test range(n, max=9) lets more pass: "
        "max: 5 before, 9 now [weaker-test]\n  may be allowed by @boss\n"
    ) in said.out
    assert "2 changes since HEAD~1 to be allowed by somebody who may" in said.out
    document = json.loads(failing.cli("policy", "--changes", "HEAD~1", "--json").out)
    assert document["conclusion"] == "action_required"
    assert [f["code"] for f in document["findings"]] == ["weaker-test", "waiver-added"]
    assert "nothing since HEAD has to be allowed" in failing.cli("policy", "--changes", "HEAD").out
    refused = failing.cli("policy", "--changes", "nowhere")
    assert (refused.code, "there is no revision 'nowhere'" in refused.err) == (2, True)
