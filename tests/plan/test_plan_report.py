"""A plan as text, as JSON and as a diagram."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from gitkitchen.report.plan import document, mermaid, text


def test_text_says_each_step_and_the_counts(shop: Any) -> None:
    """One line a step with action, name, kind and reasons; then what it comes to."""
    shop.change("late", params={"late_minutes": 0}, vars_used={"late_minutes": 0})
    said = text(shop.plan())
    assert said.startswith("Plan of recipe lab in kitchen prod\n\n")
    assert "  + run    late        sql     variable late_minutes changed\n" in said
    assert "  ~ maybe  by_carrier  sql     if late changes\n" in said
    assert "  = reuse  airlines    source  unchanged\n" in said
    assert said.endswith("\n1 to run, 4 to run if their inputs really change, 2 to reuse.")


def test_text_of_a_plan_with_nothing_to_do(shop: Any) -> None:
    """Where all is reused the plan says so in one sentence; long ones do not list it all."""
    assert text(shop.plan()).endswith("Nothing to build: 7 to reuse.")
    plan = shop.plan()
    many = replace(plan, steps=plan.steps * 7)
    assert "  = reuse  49 other nodes" in text(many)
    assert text(replace(plan, steps=())).endswith("Nothing is selected.")


def test_document_holds_every_step(shop: Any) -> None:
    """`plan --json`: version 1, each step with action, reasons, reads, fingerprint and tests."""
    shop.edit_sql("late", "select carrier from flights where delay > $late_minutes")
    shop.change("late", tests=(shop.test("late", "not_null", {"column": "carrier"}),))
    made = json.loads(json.dumps(document(shop.plan())))
    assert (made["version"], made["recipe"], made["kitchen"]) == (1, "lab", "prod")
    step = next(s for s in made["steps"] if s["node"] == "late")
    assert step["action"] == "run"
    assert step["reasons"] == ["late.sql changed"]
    assert step["reads"] == {"flights": "flights"}
    assert re.fullmatch("[0-9a-f]{64}", step["fingerprint"])
    assert step["tests"] == [shop.nodes["late"].tests[0].id]


HOSTILE = 'x"]; click n0 "javascript:alert(1)"\n%%{init: {}}%%<script>#quot;`end`\u202e'


def test_mermaid_escapes_whatever_it_is_given(shop: Any) -> None:
    """No name or reason ends a label, starts a directive or a tag, or is taken for a character code."""
    plan = shop.plan()
    steps = [replace(s, node=replace(s.node, name=HOSTILE + s.node.name)) for s in plan.steps]
    steps = [replace(s, reasons=(HOSTILE,), reads={HOSTILE: None}) for s in steps]
    made = mermaid(replace(plan, steps=tuple(steps)))
    for line in made.splitlines()[1:]:
        label = r"[\w .,/#;-]+"
        assert re.fullmatch(
            rf'  n\d+\["{label}<br/>{label}"\]:::(run|maybe|reuse|skip)|  c\d+\[\("{label}"\)\]'
            r"|  [nc]\d+ (-->|-\.->) n\d+|  classDef \w+ [\w#:,-]+",
            line,
        ), line
        labels = re.sub(r"#\d+;", "", line)
        assert "#" not in labels or "classDef" in line
    assert "javascript" not in made.replace("javascript#58;", "")


def test_mermaid_draws_the_recipe(shop: Any) -> None:
    """Each node once, an arrow for each input, a store for what comes from the catalog."""
    made = mermaid(shop.plan())
    assert made.startswith("flowchart LR\n")
    assert '  n2["late<br/>reuse#58; unchanged"]:::reuse' in made
    assert "  n1 --> n2" in made
    assert mermaid(shop.plan()) == made
