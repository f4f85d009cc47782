"""The engine: order, conditions, matrix, pools, tests, reuse, resume, effects."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.run.desk import Desk, rows_test, shell, sql

from gitkitchen.errors import Place
from gitkitchen.model import (
    Action,
    Catalog,
    Column,
    FileEntry,
    NodeSpec,
    Retry,
    Severity,
    State,
    Template,
    Version,
)
from gitkitchen.process import Cancel
from gitkitchen.run.parts import compose
from gitkitchen.run.verdict import Verdict, verdict


def states(results: dict[str, object]) -> dict[str, str]:
    return {name: result.state.value for name, result in results.items()}  # type: ignore[attr-defined]


# --- tests of nodes ---------------------------------------------------------------------------------


def test_a_failing_stop_test_keeps_the_candidate_and_blocks_what_reads_it(desk: Desk) -> None:
    """FAILED with its build; the nodes below are BLOCKED and name the cause, not their neighbour."""
    nodes = [
        sql("few", "select 1 as x", tests=(rows_test("few", 5),)),
        sql("below", "select x from few"),
        sql("lower", "select x from below"),
        sql("beside", "select 2 as x"),
    ]
    results = desk.run(nodes, {"below": ["few"], "lower": ["below"]})
    assert states(results) == {"few": "failed", "below": "blocked", "lower": "blocked", "beside": "passed"}
    few = results["few"]
    assert few.build is not None
    assert desk.store.find(few.build.fingerprint) == few.build
    assert few.failure is not None
    assert few.failure.place == Place("recipes/r/recipe.yml", 20)
    for name in ("below", "lower"):
        blocked = results[name].failure
        assert blocked is not None
        assert blocked.message.startswith("needs 'few', which did not pass: test few/outputs/rows(min=5): ")
        assert blocked.place == few.failure.place


def test_warnings_stop_nothing(desk: Desk) -> None:
    """A failing test of severity warn is shown, and the node passes."""
    result = desk.run([sql("few", "select 1 as x", tests=(rows_test("few", 5, Severity.WARN),))])["few"]
    assert (result.state, [t.state.value for t in result.tests]) == (State.PASSED, ["failed"])


def test_inputs_are_tested_before_the_node_runs(desk: Desk) -> None:
    """A node whose input fails a stop test is not executed."""
    about_input = replace(rows_test("reader", 5, phase="inputs"), dataset="few", reads=("few",))
    nodes = [sql("few", "select 1 as x"), shell("reader", "touch $MARK", tests=(about_input,))]
    nodes[1] = replace(nodes[1], env={"MARK": str(desk.root / "ran")})
    results = desk.run(nodes, {"reader": ["few"]})
    assert states(results) == {"few": "passed", "reader": "failed"}
    assert not (desk.root / "ran").exists()


def test_verdicts_are_reused_on_equal_content(desk: Desk) -> None:
    """A test that is known is not judged again; a changed one is judged, and nothing is built."""
    node = sql("few", "select 1 as x", tests=(rows_test("few", 1),))
    desk.run([node])
    again = desk.run([node])["few"]
    assert (again.state, [t.reused for t in again.tests]) == (State.REUSED, [True])
    other = desk.run([replace(node, tests=(rows_test("few", 0),))])["few"]
    assert (other.state, [t.reused for t in other.tests]) == (State.REUSED, [False])


# --- order ------------------------------------------------------------------------------------------


@given(st.lists(st.sets(st.integers(0, 8), max_size=3), min_size=1, max_size=9), st.integers(1, 4))
def test_every_node_ends_once_and_after_what_it_needs(needs: list[set[int]], jobs: int) -> None:
    """For any graph and number of jobs: each node has one result, and none begins before its needs ended."""
    import tempfile
    from pathlib import Path

    names = [f"n{i}" for i in range(len(needs))]
    nodes = [
        shell(
            name, "true", needs=tuple(names[n] for n in sorted(before) if n < i), condition="1 == 2 || true"
        )
        for i, (name, before) in enumerate(zip(names, needs, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        plan = desk.plan(nodes)
        plan = replace(plan, steps=tuple(replace(s, action=Action.SKIP) for s in plan.steps))
        results = desk.run(plan, jobs=jobs)
    ended = [e.node for e in desk.events if e.kind == "finished"]
    assert sorted(ended) == sorted(results) == sorted(names)
    for node in nodes:
        assert all(ended.index(before) < ended.index(node.name) for before in node.needs)


def test_the_journal_has_a_line_as_each_node_ends(desk: Desk) -> None:
    """The record of a node is written before what waits for it begins."""
    journal = desk.root / ".gitkitchen/runs/1/journal.jsonl"
    nodes = [
        shell("first", "true"),
        shell("second", f'grep -q \'"node":"first"\' {journal}', needs=("first",)),
    ]
    assert states(desk.run(nodes)) == {"first": "passed", "second": "passed"}
    assert [(e["node"], e["state"]) for e in desk.journal()] == [("first", "passed"), ("second", "passed")]


def test_pools_and_jobs_bound_what_runs_at_once(desk: Desk) -> None:
    """A pool of one never runs two of its nodes at a time, whatever --jobs says."""
    log = desk.root / "log"
    command = "echo begin >> $LOG; sleep 0.05; echo end >> $LOG"
    desk.pools = {"db": 1}
    nodes = [shell(f"n{i}", f"{command} # {i}", pool="db", env={"LOG": str(log)}) for i in range(4)]
    assert set(states(desk.run(nodes, jobs=4)).values()) == {"passed"}
    assert log.read_text().split() == ["begin", "end"] * 4


# --- conditions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        (None, "blocked"),
        ("true", "blocked"),
        ("always()", "passed"),
        ("failure()", "passed"),
        ("success()", "skipped"),
        ("cancelled()", "skipped"),
        ("failure() && nodes.bad.state == 'error'", "passed"),
        ("always() && needs.bad.state == 'passed'", "skipped"),
        ("always() && nodes.good.tests.passed == 1 && nodes.good.rows == 2", "passed"),
        ("always() && nodes.godo.rows == 2", "error"),
    ],
)
def test_conditions_see_states_and_tests(desk: Desk, condition: str | None, state: str) -> None:
    """`if:` reads the nodes above it; without success() or its like, it waits for success."""
    nodes = [
        sql("good", "select unnest([1, 2]) as x", tests=(rows_test("good", 1),)),
        shell("bad", "exit 1", needs=("good",)),
        shell("last", "true", needs=("bad",), condition=condition),
    ]
    assert desk.run(nodes)["last"].state.value == state


def test_what_needs_a_skipped_node_is_skipped(desk: Desk) -> None:
    """A false condition skips the node and what needs it; both say why."""
    nodes = [shell("off", "true", condition="1 == 2"), shell("below", "true", needs=("off",))]
    results = desk.run(nodes)
    assert states(results) == {"off": "skipped", "below": "skipped"}
    assert results["off"].reasons == ("its condition is false: 1 == 2",)
    assert results["below"].reasons == ("needs off, which was skipped",)


def test_continue_on_error_excuses_the_failure_and_not_its_data(desk: Desk) -> None:
    """What only waits for the node goes on; what reads its data is blocked, and excused as well."""
    nodes = [
        shell("risky", "exit 1", continue_on_error=True, datasets={"d": "d.txt"}),
        shell("waits", "true", needs=("risky",)),
        shell("reads", "true # reads"),
    ]
    results = desk.run(nodes, {"reads": ["d"]})
    assert states(results) == {"risky": "error", "waits": "passed", "reads": "blocked"}
    assert [n for n, r in results.items() if r.continued] == ["risky", "reads"]


def test_late_values_come_from_the_run(desk: Desk) -> None:
    """Values can name what nodes above made, and the run itself."""
    text = "${{ nodes.good.rows }} rows in ${{ run.id }} of ${{ kitchen.environment }}"
    nodes = [
        sql("good", "select unnest([1, 2]) as x"),
        shell("says", 'echo "$SAY"', needs=("good",), env={"SAY": Template(text)}),
    ]
    assert desk.run(nodes)["says"].log_tail == ("2 rows in run-1 of prod",)


# --- matrix -----------------------------------------------------------------------------------------


def numbers(*values: int, **more: object) -> NodeSpec:
    params = {"n": Template("${{ matrix.n }}")}
    matrix = tuple({"n": value} for value in values)
    return sql(
        "numbers", "select $n::INTEGER as n, range as v from range(3)", params=params, matrix=matrix, **more
    )


def test_a_matrix_makes_one_version_of_its_parts(desk: Desk) -> None:
    """The parts are one dataset, whose content is that of its rows: in any order, and made in one piece."""
    together = desk.run([numbers(1, 2, 3)])["numbers"]
    assert together.build is not None, together.failure
    version = together.build.versions["numbers"]
    assert (version.rows, len(version.files)) == (9, 3)
    turned = desk.run([numbers(3, 1, 2)])["numbers"]
    assert turned.build is not None
    assert turned.build.versions["numbers"].content == version.content
    one = "select n::INTEGER as n, range as v from range(3), (select unnest([2, 3, 1]) as n)"
    whole = desk.run([sql("numbers", one)])["numbers"]
    assert whole.build is not None
    assert whole.build.versions["numbers"].content == version.content


@pytest.mark.long
def test_a_new_value_builds_only_its_part(desk: Desk) -> None:
    """Parts that were built are taken from the store."""
    mark = desk.root / "ran"

    def node(*values: int) -> NodeSpec:
        matrix = tuple({"n": v} for v in values)
        write = (
            "import duckdb, os; duckdb.sql('select 1 as x').write_parquet(os.environ['GITKITCHEN_OUTPUT_D'])"
        )
        command = f'echo $N >> {mark}; python -c "{write}"'
        return shell(
            "d", command, matrix=matrix, env={"N": Template("${{ matrix.n }}")}, datasets={"d": "d.parquet"}
        )

    assert desk.run([node(1, 2)])["d"].state is State.PASSED
    assert desk.run([node(1, 2, 3)])["d"].state is State.PASSED
    assert sorted(mark.read_text().split()) == ["1", "2", "3"]


def test_fail_fast_ends_the_other_parts(desk: Desk) -> None:
    """The first failing part cancels its siblings; the node's failure is that part's own."""
    command = "if [ $N = 1 ]; then exit 7; else sleep 60; fi"
    env = {"N": Template("${{ matrix.n }}")}
    node = shell("m", command, env=env, matrix=({"n": 0}, {"n": 1}, {"n": 2}))
    result = desk.run([node])["m"]
    assert result.state is State.ERROR
    assert result.failure is not None
    assert result.failure.message == "its command ended with exit code 7"


def test_without_fail_fast_all_parts_run_max_parallel_at_once(desk: Desk) -> None:
    """`fail-fast: false` lets every part run; `max-parallel: 1` one after the other."""
    log = desk.root / "log"
    command = f"echo begin >> {log}; sleep 0.05; echo end >> {log}; test $N != 0"
    env = {"N": Template("${{ matrix.n }}")}
    matrix = tuple({"n": n} for n in range(3))
    node = shell("m", command, env=env, matrix=matrix, fail_fast=False, max_parallel=1)
    assert desk.run([node], jobs=3)["m"].state is State.ERROR
    assert log.read_text().split() == ["begin", "end"] * 3


PARTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=6)


@given(PARTS, st.randoms(use_true_random=False))
def test_composing_does_not_depend_on_order(parts: list[tuple[int, int]], random: object) -> None:
    """Whatever the order of the parts: the same content, files, rows and nulls."""
    versions = [
        Version("d", "table", f"f{n}", f"c{c}-{n}", (Column("x", "INTEGER"),), (FileEntry(f"{c}", 1, n),), n)
        for n, c in parts
    ]
    mixed = list(versions)
    random.shuffle(mixed)  # type: ignore[attr-defined]

    def content_of(files: object) -> str:
        return repr(files)

    place = Place("r.yml")
    assert compose("d", mixed, "f", place, content_of) == compose("d", versions, "f", place, content_of)


# --- reuse and resume -------------------------------------------------------------------------------


def test_early_cut_off(desk: Desk) -> None:
    """An input that is built again and equal runs nothing below."""
    reads = {"below": ["up"]}
    desk.run([sql("up", "select 1 as x"), sql("below", "select x from up")], reads)
    plan = desk.plan([sql("up", "select 2 - 1 as x"), sql("below", "select x from up")], reads)
    steps = (plan.steps[0], replace(plan.steps[1], action=Action.MAYBE))
    results = desk.run(replace(plan, steps=steps))
    assert states(results) == {"up": "passed", "below": "reused"}
    assert results["below"].reasons == ("its inputs came out equal",)


def test_resume_takes_volatile_nodes_of_the_same_run(desk: Desk) -> None:
    """What is keyed anew in each plan was finished all the same; what failed runs again."""
    count, go = desk.root / "count", desk.root / "go"
    nodes = [
        shell("fetch", f"echo x >> {count}; echo 1 > f.txt", datasets={"f": "f.txt"}, volatile=True),
        shell("fails", f"test -e {go}"),
    ]

    def keyed(nonce: str) -> object:
        plan = desk.plan(nodes, {"fails": ["f"]})
        definition = plan.steps[0].definitions[0]
        new = replace(definition, digest=nonce, parts={**definition.parts, "interval": nonce})
        return replace(plan, steps=(replace(plan.steps[0], definitions=(new,)), plan.steps[1]))

    assert states(desk.run(keyed("first"))) == {"fetch": "passed", "fails": "error"}  # type: ignore[arg-type]
    go.touch()
    context = desk.context(previous=tuple(desk.journal()))
    results = desk.run(keyed("second"), context=context)  # type: ignore[arg-type]
    assert states(results) == {"fetch": "reused", "fails": "passed"}
    assert results["fetch"].reasons == ("finished before the interruption",)
    assert count.read_text() == "x\n"


def test_forced_nodes_run_although_the_store_has_them(desk: Desk) -> None:
    """`--force` does not ask the store."""
    node = sql("one", "select 1 as x")
    desk.run([node])
    assert desk.run(desk.plan([node], forced=True))["one"].state is State.PASSED


# --- effects ----------------------------------------------------------------------------------------


def effect(desk: Desk, command: str = "") -> NodeSpec:
    mark = desk.root / "effects"
    return shell("tell", f"echo x >> {mark}; {command or 'true'}", on="publish", retry=Retry())


def test_effects_run_once_for_each_publication(desk: Desk) -> None:
    """After the publication, not again for the same one, again for the next."""
    nodes = [sql("one", "select 1 as x"), effect(desk)]
    assert states(desk.run(nodes)) == {"one": "passed"}
    assert states(desk.run(nodes, publish=1))["tell"] == "passed"
    desk.sequence = 1
    again = desk.run(nodes, publish=1)["tell"]
    assert (again.state, again.reasons) == (State.REUSED, ("done for publication 1 by run run-2",))
    assert desk.run(nodes, publish=2)["tell"].state is State.PASSED
    assert (desk.root / "effects").read_text() == "x\nx\n"


def test_a_failed_effect_is_tried_again_by_the_next_command(desk: Desk) -> None:
    """What did not succeed is not on record."""
    failing, mended = effect(desk, "exit 1"), effect(desk)
    assert desk.run([failing], publish=1)["tell"].state is State.ERROR
    desk.sequence = 1
    assert desk.run([mended], publish=1)["tell"].state is State.PASSED
    assert desk.run([mended], publish=1)["tell"].state is State.REUSED


def test_publications_of_other_recipes_repeat_no_effect(desk: Desk) -> None:
    """Only this recipe's own publications count, though all share one sequence."""
    from gitkitchen.model import Published

    def plan(sequence: int) -> object:
        entry = Published("one", "f", "c", "r", "one", "run", 3)
        return replace(desk.plan([effect(desk)]), catalog=Catalog("k", sequence, {"one": entry}))

    assert desk.run(plan(3), publish=3)["tell"].state is State.PASSED  # type: ignore[arg-type]
    assert desk.run(plan(9), publish=9)["tell"].state is State.REUSED  # type: ignore[arg-type]


# --- trouble ----------------------------------------------------------------------------------------


def test_a_run_that_is_cancelled_before_it_begins_starts_nothing(desk: Desk) -> None:
    """All nodes are cancelled, also those that only reuse."""
    cancel = Cancel()
    cancel.set(15)
    results = desk.run([sql("one", "select 1 as x"), shell("two", "true", needs=("one",))], cancel=cancel)
    assert states(results) == {"one": "cancelled", "two": "cancelled"}


def test_a_cancelled_run_is_never_green(desk: Desk) -> None:
    """A node that ends well after the cancel makes no green run; its work is kept for the next one."""
    cancel = Cancel()
    context = desk.context()
    begun, ready = desk.root / "begun", context.clock

    def clock() -> object:
        if begun.exists():  # asked for the time of the finished build
            cancel.set(2)
        return ready()

    context.clock = clock  # type: ignore[assignment]
    node = shell("last", f"touch {begun}")
    result = desk.run([node], cancel=cancel, context=context)["last"]
    assert (result.state, result.build is not None) == (State.CANCELLED, True)
    assert verdict([result]) is Verdict.CANCELLED
    assert desk.run([node])["last"].state is State.REUSED


def test_an_unexpected_error_reaches_the_caller(desk: Desk) -> None:
    """A bug of ours in a thread ends the run and is raised, instead of hanging or passing."""
    context = desk.context(clock=lambda: json.loads("no json"))
    with pytest.raises(json.JSONDecodeError):
        desk.run([shell("one", "true")], context=context)
