"""Run, reuse, maybe, skip: sandboxes, volatile nodes, force, selections, conditions, what is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.errors import Mistake, Place
from gitkitchen.files import digest_bytes, write_atomic
from gitkitchen.model import NodeSpec, Published, Subject, Template, Variation
from gitkitchen.plan.build import build_plan
from gitkitchen.plan.cache import FactCache
from gitkitchen.plan.fingerprint import define, fingerprint, test_key
from gitkitchen.plan.python import python_meaning

DAY = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
NEXT = (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC))


def test_a_new_recipe_is_never_built(shop: Any) -> None:
    """At first everything runs, and says that it was never built."""
    fresh = replace(shop, catalog=replace(shop.catalog, entries={}))
    for path in (shop.root / ".gitkitchen").rglob("*.json"):
        path.unlink()
    plan = fresh.plan()
    assert {s.action.value for s in plan.steps} == {"run"}
    assert plan.step("flights").reasons == ("never built",)
    assert plan.step("checks").reasons == ("no result for this yet",)


def test_a_sandbox_pins_sources_to_its_base(shop: Any) -> None:
    """Time does not pass in a sandbox: a source that moved on is what the base published."""
    sandbox = shop.branch()
    sandbox.probes = {"flights": "f2"}
    step = sandbox.plan().step("flights")
    assert (step.action.value, step.reasons, step.pinned) == ("reuse", ("pinned to prod",), True)
    assert step.fingerprint == shop.catalog.entries["flights"].fingerprint
    assert set(sandbox.actions().values()) == {"reuse"}
    assert sandbox.actions(fresh=True)["flights"] == "run"
    assert sandbox.reasons("flights", fresh=True) == ("source changed",)


def test_a_pinned_source_is_not_asked_for_its_content(shop: Any) -> None:
    """A pinned source costs no look at the network."""
    sandbox = shop.branch()
    asked: list[str] = []

    def probe(project: Any, node: Any) -> str | None:
        asked.append(node.name)
        return sandbox.probe(project, node)

    build_plan(
        sandbox.project, sandbox.kitchen, sandbox.recipe, subject=Subject(None, "t"),
        catalog=sandbox.catalog, store=sandbox.store, probe=probe,
    )  # fmt: skip
    assert set(asked) == {"airlines"}


def test_a_source_defined_otherwise_is_not_pinned(shop: Any) -> None:
    """A branch that changes a source's definition fetches it; its repository's files are its own."""
    sandbox = shop.branch()
    config = {**sandbox.nodes["flights"].config, "options": {"skip": 1}}
    sandbox.change("flights", config=config)
    sandbox.write("data/airlines.csv", "carrier,name\nXX,Other\n")
    plan = sandbox.plan()
    assert plan.step("flights").action.value == "run"
    assert plan.step("flights").reasons == ("its options changed",)
    assert plan.step("airlines").reasons == ("source changed",)


def test_all_sources_that_are_not_there_are_told_at_once(lab: Any) -> None:
    """With the real look at sources: two files that do not exist are two problems, each with its line."""
    lab.add("a", "source", {"from": "file", "file": "recipes/lab/a.csv", "format": "csv"})
    lab.add("b", "source", {"from": "file", "file": "recipes/lab/b.csv", "format": "csv"})
    with pytest.raises(Mistake) as caught:
        build_plan(
            lab.project, lab.kitchen, lab.recipe, subject=Subject(None, "t"), catalog=lab.catalog,
            store=lab.store,
        )  # fmt: skip
    assert [str(p.place) for p in caught.value.problems] == [f"recipes/lab/recipe.yml:{n}" for n in (10, 20)]


def test_a_pinned_version_that_is_lost_is_fetched(shop: Any) -> None:
    """Where the base's build is not in the store, a sandbox fetches the source instead of failing."""
    sandbox = shop.branch()
    for path in (shop.root / ".gitkitchen/store/trusted/builds").rglob("*.json"):
        path.unlink()
    step = sandbox.plan().step("flights")
    assert (step.action.value, step.reasons) == ("run", ("not in the store",))


def test_a_source_without_a_digest_is_fetched_each_time(shop: Any) -> None:
    """What cannot be compared before it is fetched is fetched; equal content runs nothing below."""
    shop.probes = {"flights": None}
    shop.content = lambda step, inputs: step.node.name
    shop.run()
    assert shop.reasons("flights") == ("fetched each time: its source has no digest to compare",)
    assert shop.actions()["late"] == "maybe"
    assert shop.run() == ["flights"]


def test_volatile_nodes_run_each_time_or_once_an_interval(lab: Any) -> None:
    """Without a data interval what is volatile always runs; with one, once for each."""
    lab.sql("a", "select now() as t", volatile=True)
    assert lab.run(lab.plan()) == ["a"]
    assert lab.reasons("a") == ("volatile: runs each time",)
    assert lab.run(lab.plan()) == ["a"]
    assert lab.run(lab.plan(interval=DAY)) == ["a"]
    assert lab.run(lab.plan(interval=DAY)) == []
    assert lab.reasons("a", interval=NEXT) == ("volatile: another data interval",)


def test_an_interval_is_nothing_to_what_is_not_volatile(shop: Any) -> None:
    """A run for another day reuses what does not depend on the day."""
    assert set(shop.actions(interval=DAY).values()) == {"reuse"}


def test_values_that_only_the_run_knows_run_each_time(lab: Any) -> None:
    """`nodes.` and `run.` are known when the node runs; `secrets.` count by their text alone."""
    lab.sql("a", "select 1 as x")
    lab.add("b", "run", {"command": "true"}, params={"n": Template("${{ nodes.a.rows }}")})
    lab.add("c", "run", {"command": "true"}, env={"T": Template("${{ secrets.TOKEN }}")})
    lab.run()
    assert lab.actions() == {"a": "reuse", "b": "run", "c": "reuse"}
    assert lab.reasons("b") == ("its values come from the run",)


def test_variables_beside_a_matrix_count(lab: Any) -> None:
    """A value that is left to the run for its matrix still changes with the variables in it."""
    late = Template("${{ vars.region }}-${{ matrix.part }}")
    lab.sql("a", "select $x as x", params={"x": late}, matrix=({"part": 1},), vars_used={"region": "eu"})
    lab.run()
    assert lab.actions() == {"a": "reuse"}
    lab.change("a", vars_used={"region": "us"})
    assert lab.reasons("a") == ("variable region changed (with.x)",)


def test_a_clock_in_sql_that_is_not_volatile_is_told(lab: Any) -> None:
    """A kept answer of now() is a trap for newcomers: the plan says how to run it every time."""
    lab.sql("a", "select now() as t")
    lab.run()
    assert lab.reasons("a") == (
        "unchanged",
        "calls now() and is kept all the same; `volatile: true` runs it every time",
    )


def test_force_runs_what_could_be_reused(shop: Any) -> None:
    """Forced steps say so, and tell the engine not to ask the store."""
    plan = shop.plan(force=True)
    assert {(s.action.value, s.reasons, s.forced) for s in plan.steps} == {("run", ("forced",), True)}
    assert set(shop.run(plan)) == set(shop.nodes)
    assert set(shop.actions().values()) == {"reuse"}


def test_a_lost_file_is_built_again(shop: Any) -> None:
    """What is published and no longer in the store runs, and says why."""
    key = shop.catalog.entries["late"].fingerprint
    next((shop.root / ".gitkitchen/store").rglob(f"{key}.json")).unlink()
    assert shop.reasons("late") == ("not in the store",)
    assert shop.actions()["by_carrier"] == "maybe"
    assert shop.run() == ["late"]


def test_a_candidate_is_reused_and_compared_with(shop: Any) -> None:
    """What was built and not published is taken, and is what the next edit is compared with."""
    shop.catalog = replace(shop.catalog, entries={})
    assert shop.reasons("late") == ("already built",)
    shop.change("late", params={"late_minutes": 1}, vars_used={"late_minutes": 1})
    assert shop.reasons("late") == ("variable late_minutes changed",)


def test_what_leaves_nothing_in_the_catalog_may_have_its_result(shop: Any) -> None:
    """A pytest node that no plan here saw is left open, for the store may know equal inputs."""
    for path in (shop.root / ".gitkitchen/cache").rglob("*.seen.json"):
        path.unlink()
    shop.edit_sql("by_carrier", "select name, 1 as n from late, airlines")
    step = shop.plan().step("checks")
    assert (step.action.value, step.reasons) == ("maybe", ("unless it has a result for equal by_carrier",))


def test_a_selection_reads_the_rest_from_the_catalog(shop: Any) -> None:
    """Selected nodes take what is not selected as it is published."""
    plan = shop.plan(selection=["by_carrier"])
    assert [s.node.name for s in plan.steps] == ["by_carrier"]
    assert plan.step("by_carrier").reads == {"late": None, "airlines": None}
    assert not plan.complete
    shop.catalog = replace(shop.catalog, entries={})
    with pytest.raises(Mistake, match="'late', which is not selected and was never published here"):
        shop.plan(selection=["by_carrier"])


def test_a_variation_selects_its_nodes(shop: Any) -> None:
    """A variation's selectors hold where none are given."""
    recipe = replace(shop.recipe, variation="v", variations={"v": Variation("v", nodes=("late",))})
    plan = build_plan(
        shop.project, shop.kitchen, recipe, subject=Subject(None, "t"), catalog=shop.catalog,
        store=shop.store, probe=shop.probe,
    )  # fmt: skip
    assert [s.node.name for s in plan.steps] == ["late"]


def test_skipped_nodes_and_what_needs_them(shop: Any) -> None:
    """A false condition over variables skips a node and what needs it; the run decides the others."""
    shop.change("model", condition="vars.late_minutes > 100")
    shop.change("checks", condition="failure()")
    plan = shop.plan()
    assert plan.step("model").reasons == ("its condition is false: vars.late_minutes > 100",)
    assert plan.step("report").reasons == ("needs model, which is skipped",)
    assert plan.step("checks").action.value == "reuse"


def test_environments_and_effects(shop: Any) -> None:
    """A node for other environments is skipped; effects run after a publication, in environments only."""
    shop.change("report", environments=("staging",))
    shop.add("notify", "run", {"command": "true"}, on="publish", needs=("model",))
    plan = shop.plan()
    assert plan.step("report").reasons == ("only in staging",)
    assert (plan.step("notify").action.value, plan.step("notify").reasons) == (
        "run",
        ("after the publication",),
    )
    assert shop.branch().reasons("notify") == ("only after a publication of an environment",)


def test_a_dataset_that_this_recipe_no_longer_makes_is_no_input(shop: Any) -> None:
    """Nothing reads the published remains of a node that was taken away."""
    del shop.nodes["late"]
    with pytest.raises(Mistake, match="node 'by_carrier' reads 'late', which does not exist"):
        shop.plan()


def test_inputs_of_other_recipes_count_by_content(lab: Any) -> None:
    """Another recipe's dataset selects its reader when its content changes, and says so."""
    entry = Published("ext", "f", "c1", "other", "ext", "run", 1)
    lab.catalog = replace(lab.catalog, entries={"ext": entry})
    lab.sql("a", "from ext")
    lab.run()
    assert lab.actions() == {"a": "reuse"}
    lab.catalog = replace(lab.catalog, entries={**lab.catalog.entries, "ext": replace(entry, content="c2")})
    assert lab.reasons("a") == ("input ext changed",)
    assert lab.plan(dataset_versions=lambda name: None).step("a").reasons[1] == (
        "ext is published and not in the store: run recipe other again"
    )


def test_a_matrix_has_a_definition_for_each_combination(shop: Any) -> None:
    """Combinations are defined one by one; one more changes no other."""
    shop.change("model", matrix=({"part": 1}, {"part": 2}))
    one, two = shop.plan().step("model").definitions
    shop.change("model", matrix=({"part": 1}, {"part": 2}, {"part": 3}))
    assert shop.plan().step("model").definitions[:2] == (one, two)
    assert one.digest != two.digest


def test_fingerprints_depend_on_each_input_by_name() -> None:
    """Contents that trade names are other inputs, and no two mappings look alike."""
    definition = define(NodeSpec("a", "sql", {}, Place("f", 1), datasets={"a": None}), {"sql": "x"})
    keys = {
        fingerprint(definition, inputs)
        for inputs in ({}, {"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": "2"}, {"a": "2", "b": "1"})
    }
    assert len(keys) == 6


def test_verdicts_are_keyed_by_meaning_and_content(lab: Any) -> None:
    """A verdict holds for equal content; time, chance and unknown content always judge anew."""
    spec = lab.test("a", "not_null", {"column": "x"}, reads=("a",))
    key = test_key(spec, {"a": "1"})
    assert key == test_key(replace(spec, description="new", place=Place("f", 9)), {"a": "1", "other": "2"})
    assert key != test_key(spec, {"a": "2"})
    assert key != test_key(replace(spec, where="x > 1"), {"a": "1"})
    assert test_key(spec, {}) is None
    assert test_key(replace(spec, kind="freshness"), {"a": "1"}) is None
    assert test_key(replace(spec, where="day < current_date"), {"a": "1"}) is None
    assert test_key(replace(spec, where="age > 1 and today < now"), {"a": "1"}) is not None
    assert test_key(replace(spec, kind="no_rows", args={"sql": "select now()"}), {"a": "1"}) is None


@pytest.mark.parametrize("damage", [b"", b"x", b"{}", b"\x00" * 50, None, "shape"])
def test_a_damaged_cache_is_as_good_as_none(shop: Any, damage: Any) -> None:
    """Whatever happens to the cache of facts, the plan is the same."""
    (path,) = (shop.root / ".gitkitchen/cache/plan").glob("lab.json")
    whole = path.read_bytes()
    if damage == "shape":  # a sound seal around facts that are none
        facts = {key: [key] for key in json.loads(whole.partition(b"\n")[2])["facts"]}
        body = json.dumps({"scheme": 1, "facts": facts}).encode()
        damage = digest_bytes(body).encode() + b"\n" + body
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert set(shop.actions().values()) == {"reuse"}
    assert path.read_bytes() == whole


@pytest.mark.parametrize("pattern", ["recipes/lab/extra/**", "recipes/lab/extra", "**"])
def test_all_that_lies_below_a_folder_counts(shop: Any, pattern: str) -> None:
    """`files: [extra/**]` is every file below, on each Python, but for what we and Git keep there."""
    shop.change("report", files=(pattern,))
    write_atomic(shop.root / "recipes/lab/extra/deep/one.txt", "1")
    shop.run()
    assert shop.actions()["report"] == "reuse"
    write_atomic(shop.root / "recipes/lab/extra/deep/one.txt", "2")
    assert shop.reasons("report") == ("recipes/lab/extra/deep/one.txt changed",)


MEANT = """\
class Model:
    def fit(self, x: int = 1) -> str:
        return f"{x:>{x}}" f"{x!r}"
"""


def test_a_python_file_means_the_same_on_every_python(tmp_path: Path) -> None:
    """Trees of newer Pythons have more fields, and are told with fewer; their digest is that of 3.11."""
    (tmp_path / "model.py").write_text(MEANT)
    meant = "4cabf2c6563aa16b2db2243beb2a1099e933f466607e3950889862fb30bb7b8a"
    assert python_meaning("model.py", None, tmp_path).parts == {"code:model.py": meant}


def test_what_another_python_could_not_read_is_read_again(tmp_path: Path) -> None:
    """A cache that an older Python left says nothing of what this one can read."""
    (tmp_path / "model.py").write_text(MEANT)
    cache = FactCache(tmp_path / "cache.json")
    known = python_meaning("model.py", None, tmp_path, cache=cache)
    content = digest_bytes(MEANT.encode())
    here = f"python {sys.version_info.major}.{sys.version_info.minor}"
    facts = cache.get(here, content)
    for kind in ("python", "python 3.10"):
        cache.put(kind, content, {**facts, "meaning": content, "problem": ["invalid syntax", 1]})
    assert python_meaning("model.py", None, tmp_path, cache=cache) == known
    assert cache.get(here, content) == facts


def test_a_warm_plan_imports_no_parser(shop: Any) -> None:
    """What was read once is known by content: a plan imports neither sqlglot nor DuckDB."""
    code = (
        "import sys; from pathlib import Path; from gitkitchen.plan.cache import FactCache;"
        "from gitkitchen.plan.sql import analyse; from gitkitchen.plan.python import python_meaning;"
        "import gitkitchen.plan.build, gitkitchen.plan.fingerprint as f; f.tool_version('duckdb');"
        "r = Path(sys.argv[1]); c = FactCache(r / '.gitkitchen/cache/plan/lab.json');"
        "analyse((r / 'recipes/lab/late.sql').read_text(), file='x', cache=c);"
        "python_meaning('recipes/lab/model.py', 'fit', r, cache=c);"
        "print([m for m in ('sqlglot', 'duckdb', 'jinja2', 'yaml', 'email', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(shop.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


ASKS = [
    "age(day) > interval 1 year",
    "txid_current() > 1",
    "current_setting('x') = 'y'",
    "setseed(1) is null",
]
ASKS += [
    "day < current_localtime",
    "x = gen_random_uuid()",
    "x = uuidv7()",
    "random ( ) < 1",
    '"now"() > day',
]
ASKS += [
    "day < now /* today */ ()",
    "x in (select x from a using  sample 10%)",
    "x in (from a TABLESAMPLE 1%)",
]
ASKS += ["day < get_current_timestamp()", "day < current_localtimestamp()", "day < transaction_timestamp()"]


@pytest.mark.parametrize("where", ASKS)
def test_a_test_that_asks_time_chance_or_session_is_always_judged(lab: Any, where: str) -> None:
    """No verdict is kept of what can differ on equal data."""
    spec = replace(lab.test("a", "not_null", {"column": "x"}), where=where)
    assert test_key(spec, {"a": "1"}) is None
