"""Nodes whose processes misbehave: each ends as a result that says what happened, where, and what next."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.run.desk import Desk, python, shell, sql

from gitkitchen.errors import Place
from gitkitchen.model import Failure, State
from gitkitchen.process import Cancel
from gitkitchen.run.verdict import Verdict, verdict


def test_a_command_makes_its_outputs(desk: Desk) -> None:
    """A file becomes a file dataset, a Parquet file a table; both are found in the store."""
    desk.write({"rows.csv": "a,b\n1,x\n2,y\n"})
    convert = (
        "import duckdb, os; duckdb.read_csv('rows.csv').write_parquet(os.environ['GITKITCHEN_OUTPUT_ROWS'])"
    )
    node = shell(
        "both",
        f'echo made; echo hello > note.txt; python -c "{convert}"',
        datasets={"note": "note.txt", "rows": "out/rows.parquet"},
        files=("recipes/r/rows.csv",),
    )
    result = desk.run([node])["both"]
    assert result.state is State.PASSED, result.failure
    assert result.build is not None
    versions = result.build.versions
    assert versions["note"].format == "file"
    assert desk.store.path(versions["note"].files[0]).read_text() == "hello\n"
    assert [(c.name, c.type) for c in versions["rows"].columns] == [("a", "BIGINT"), ("b", "VARCHAR")]
    assert versions["rows"].rows == 2
    assert (result.log, result.log_tail) == ("logs/both.log", ("made",))


def test_exit_0_without_the_output_is_an_error_that_names_it(desk: Desk) -> None:
    """A node that ends well without its output did not end well."""
    result = desk.run([shell("report", "true", datasets={"page": "page.html"})])["report"]
    assert result.state is State.ERROR
    assert result.failure == Failure(
        "error",
        "it ended without an error and without its output 'page.html' (dataset page)",
        Place("recipes/r/recipe.yml", 7),
        "write it to $GITKITCHEN_OUTPUT_PAGE",
    )


def test_a_committed_file_of_the_outputs_name_is_no_output(desk: Desk) -> None:
    """An old output that lies in the repository, even declared, does not count as made."""
    desk.write({"page.html": "old"})
    node = shell("report", "true", datasets={"page": "page.html"}, files=("recipes/r/page.html",))
    result = desk.run([node])["report"]
    assert result.failure is not None
    assert "without its output 'page.html'" in result.failure.message


def test_garbage_instead_of_parquet_is_an_error(desk: Desk) -> None:
    """A file that is named .parquet and is none makes no dataset."""
    node = shell("bad", "head -c 5000 /dev/urandom > $GITKITCHEN_OUTPUT_T", datasets={"t": "t.parquet"})
    result = desk.run([node])["bad"]
    assert (result.state, result.build) == (State.ERROR, None)
    assert result.failure is not None
    assert result.failure.message.startswith("its output 't.parquet' (dataset t) cannot be read as Parquet: ")
    assert (
        result.failure.hint == "write Parquet to $GITKITCHEN_OUTPUT_T, or give the output another file name"
    )


def test_a_link_is_no_output(desk: Desk) -> None:
    """A link to a file elsewhere is not taken for what the node made."""
    result = desk.run([shell("sly", "ln -s /etc/passwd x.txt", datasets={"x": "x.txt"})])["sly"]
    assert result.failure is not None
    assert result.failure.message == "its output 'x.txt' (dataset x) is no regular file"


def test_a_failing_command_says_its_code_and_last_line(desk: Desk) -> None:
    """The failure shows what the command said last; nothing after it begins."""
    nodes = [shell("bad", "echo no such table >&2; exit 3"), shell("below", "true", needs=("bad",))]
    results = desk.run(nodes)
    assert results["bad"].failure is not None
    assert results["bad"].failure.message == "its command ended with exit code 3: no such table"
    assert results["below"].state is State.BLOCKED
    assert results["below"].failure is not None
    assert results["below"].failure.message == (
        "needs 'bad', which did not pass: its command ended with exit code 3: no such table"
    )


def test_an_unknown_command_in_a_pipe_fails(desk: Desk) -> None:
    """Each command of a script and of a pipe counts, not only the last one."""
    result = desk.run([shell("typo", "grpe x /dev/null | cat; true")])["typo"]
    assert result.state is State.ERROR
    assert result.failure is not None
    assert "exit code 127" in result.failure.message


def test_a_pipe_whose_reader_ends_first_fails_with_the_reason(desk: Desk) -> None:
    """`… | head` is a failure that surprises people: the hint says what 141 means."""
    failure = desk.run([shell("first", "yes | head -n 1")])["first"].failure
    assert failure is not None
    assert "exit code 141" in failure.message
    assert "its reader had ended" in failure.hint


@pytest.mark.long
def test_a_node_that_hangs_and_ignores_sigterm_times_out(desk: Desk) -> None:
    """It is killed with its children, and the result says its limit."""
    command = "trap '' TERM; (trap '' TERM; sleep 60) & echo $! > $OUT; sleep 60; wait"
    mark = desk.root / "child"
    node = shell("stuck", command, timeout=0.3, env={"OUT": str(mark)})
    begun = time.monotonic()
    result = desk.run([node])["stuck"]
    assert time.monotonic() - begun < 7.5
    assert result.state is State.TIMED_OUT
    assert result.failure is not None
    assert result.failure.message == "it was still running after 0.3 s, its time limit"
    assert verdict([result]) is Verdict.FAILED
    wait_until_gone(mark)


def wait_until_gone(mark: Path) -> None:
    """Wait until the process whose number stands in ``mark`` is dead or a zombie."""
    for _ in range(300):
        stat = Path(f"/proc/{mark.read_text().strip()}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.01)
    raise AssertionError("it lives on")


def test_a_fork_does_not_outlive_its_node(desk: Desk) -> None:
    """What a node leaves running in the background is ended with it."""
    mark = desk.root / "child"
    result = desk.run([shell("forks", "sleep 60 & echo $! > $OUT", env={"OUT": str(mark)})])["forks"]
    assert result.state is State.PASSED
    wait_until_gone(mark)


def test_runner_commands_and_control_characters_do_not_reach_the_log(desk: Desk) -> None:
    """What a node prints is shown, never acted on: not by a terminal, not by a CI runner."""
    command = r"printf '  ::error::x\n##[error]y\n\033[31mred\033[0m\n'; exit 1"
    result = desk.run([shell("loud", command)])["loud"]
    assert desk.log("loud") == "  : :error::x\n# #[error]y\nred\n"
    assert result.log_tail == ("  : :error::x", "# #[error]y", "red")


@pytest.mark.long
def test_much_output_costs_little(desk: Desk) -> None:
    """A node that prints 300 MB leaves a log of about a megabyte and still passes."""
    result = desk.run([shell("loud", "head -c 300000000 /dev/zero | tr '\\0' '\\n'; echo done")])["loud"]
    assert result.state is State.PASSED
    assert result.log_tail[-1] == "done"
    assert len(desk.log("loud")) < 1_200_000


def test_the_environment_holds_what_the_contract_names_and_no_more(desk: Desk) -> None:
    """Nothing of our environment leaks into a node; HOME and TMPDIR are private and gone afterwards."""
    os.environ["LEAK"] = "leaked"
    desk.environ["TOKEN"] = "s3cret"
    node = shell(
        "env",
        "env | sort > $GITKITCHEN_OUTPUT_E; test -d $TMPDIR; test $HOME = $PWD; touch $HOME/x $TMPDIR/y",
        datasets={"e": "e.txt"},
        env={"MODE": "fast"},
        secrets=("TOKEN",),
        params={"n": 3},
    )
    result = desk.run([node])["env"]
    del os.environ["LEAK"]
    assert result.build is not None, result.failure
    text = desk.store.path(result.build.versions["e"].files[0]).read_text()
    values = dict(line.split("=", 1) for line in text.splitlines())
    shells_own = {"_", "PWD", "SHLVL", "OLDPWD"}
    named = {"HOME", "LANG", "MODE", "PATH", "SHELL", "TMPDIR", "TOKEN", "TZ"}
    ours = {"GITKITCHEN_PARAMS", "GITKITCHEN_RESULT", "GITKITCHEN_OUTPUT_E"}
    assert set(values) - shells_own == named | ours
    assert (values["GITKITCHEN_PARAMS"], values["LANG"], values["TZ"]) == ('{"n": 3}', "C.UTF-8", "UTC")
    assert not Path(values["HOME"]).exists()


def test_undeclared_files_are_absent(desk: Desk) -> None:
    """Only what `files:` and the command name is copied in, at its place in the repository."""
    desk.write({"declared.txt": "here\n", "secret.txt": "not here\n", "../lib/also.txt": "also\n"})
    files = ("recipes/r/declared.txt", "recipes/lib/also.txt")
    node = shell("look", "cat declared.txt ../lib/also.txt; test ! -e secret.txt", files=files)
    result = desk.run([node])["look"]
    assert (result.state, result.log_tail) == (State.PASSED, ("here", "also"))


def test_nothing_is_left_behind_by_one_node_for_the_next(desk: Desk) -> None:
    """Each node finds an empty folder, whether the one before it left files or none."""
    check = 'test -z "$(ls -A $HOME)" -a -z "$(ls -A $TMPDIR)"'
    nodes = [
        shell("quiet", check),
        shell("messy", f"{check}; touch a; mkdir -p b/c; chmod 500 b/c; touch $TMPDIR/t", needs=("quiet",)),
        shell("after", f"{check}; true", needs=("messy",)),
    ]
    assert {r.state for r in desk.run(nodes).values()} == {State.PASSED}
    assert not (desk.root / ".gitkitchen/runs/1/work").exists()


def test_secrets_are_masked_wherever_they_show(desk: Desk) -> None:
    """A secret's value stays out of the log, the tail, the failure and the journal."""
    desk.environ["TOKEN"] = "s3cret-value"
    desk.write({"step.py": "import os\ndef f():\n    raise ValueError('bad ' + os.environ['TOKEN'])\n"})
    nodes = [
        shell("prints", "echo got $TOKEN; exit 1", secrets=("TOKEN",)),
        python("raises", "f", secrets=("TOKEN",)),
    ]
    results = desk.run(nodes)
    assert desk.log("prints") == "got ***\n"
    assert results["raises"].failure is not None
    assert results["raises"].failure.message == "ValueError: bad ***"
    everything = "".join(p.read_text() for p in (desk.root / ".gitkitchen/runs").rglob("*") if p.is_file())
    assert "s3cret" not in everything
    assert "s3cret" not in repr(results)


def test_a_secret_that_is_not_set_is_named(desk: Desk) -> None:
    """A missing secret fails the node before it starts, and says what to set."""
    result = desk.run([shell("push", "true", secrets=("TOKEN",))])["push"]
    assert result.failure is not None
    assert (result.failure.message, result.failure.hint) == (
        "the secret TOKEN is not set",
        "set the environment variable TOKEN where gitkitchen runs",
    )


def test_what_a_node_reports_of_itself_is_kept(desk: Desk) -> None:
    """Metrics, links and tests in GITKITCHEN_RESULT become part of its result; a failing test stops it."""
    report = (
        '{"metrics": {"auc": 0.5}, "links": {"doc": "https://example.org/x"}, "tests": ['
        '{"name": "drift", "passed": false, "message": "too far", "file": "m.py", "line": 4},'
        '{"name": "size", "passed": true}]}'
    )
    result = desk.run([shell("train", f"echo '{report}' > $GITKITCHEN_RESULT")])["train"]
    assert result.state is State.FAILED
    assert (dict(result.metrics), dict(result.links)) == ({"auc": 0.5}, {"doc": "https://example.org/x"})
    assert [(t.id, t.state.value, t.message) for t in result.tests] == [
        ("train/logic/run(drift)", "failed", "too far"),
        ("train/logic/run(size)", "passed", ""),
    ]
    assert result.failure is not None
    assert result.failure.kind == "test"
    assert result.failure.place == Place("m.py", 4)


def test_a_report_of_another_shape_is_an_error(desk: Desk) -> None:
    """What a node reports is read as hostile input: other shapes fail the node with the reason."""
    bad = {
        "text": "no json",
        "list": "[1]",
        "nan": '{"metrics": {"x": NaN}}',
        "script": '{"links": {"x": "javascript:alert(1)"}}',
        "test": '{"tests": [{"name": "x", "passed": "yes"}]}',
    }
    nodes = [shell(name, f"echo '{text}' > $GITKITCHEN_RESULT") for name, text in bad.items()]
    for name, result in desk.run(nodes).items():
        assert result.state is State.ERROR, name
        assert result.failure is not None
        assert result.failure.message.startswith("the file that it reports in "), name


def test_a_report_that_is_no_file_hangs_nothing(desk: Desk) -> None:
    """A pipe that nobody writes to, and a folder, in place of the report fail the node at once."""
    made = {"pipe": "mkfifo $GITKITCHEN_RESULT", "folder": "mkdir $GITKITCHEN_RESULT"}
    found = desk.run([shell(name, command) for name, command in made.items()])
    assert {name: result.state for name, result in found.items()} == dict.fromkeys(made, State.ERROR)
    said = [result.failure.message for result in found.values() if result.failure is not None]
    assert [one.startswith("the file that it reports in ") for one in said] == [True, True], said


def test_what_comes_last_is_imported_while_processes_run(desk: Desk) -> None:
    """With commands to wait for, the engine's modules are asked for early, once; without any they are not,
    and a failure to import them is nobody's before somebody needs them."""
    asked: list[str] = []

    def prepare() -> None:
        asked.append("engine")
        raise ImportError("no engine here")

    both = [shell("first", "true"), sql("last", "select 1 as id")]
    found = desk.run(both, context=desk.context(2, prepare=prepare))
    assert {r.state for r in found.values()} == {State.PASSED}
    assert asked == ["engine"]
    for nodes in ([sql("alone", "select 2 as id")], [shell("again", "true # anew")]):
        desk.run(nodes, context=desk.context(2, prepare=prepare))
    assert asked == ["engine"]


def test_retries_wait_longer_each_time_and_stop_at_success(desk: Desk) -> None:
    """A node that fails twice passes in its third attempt, and each retry is told."""
    from gitkitchen.model import Retry

    count = desk.root / "count"
    command = "echo x >> $COUNT; test $(wc -l < $COUNT) -ge 3"
    node = shell("flaky", command, env={"COUNT": str(count)}, retry=Retry(4, 0.02, 2.0))
    result = desk.run([node])["flaky"]
    assert (result.state, result.attempts) == (State.PASSED, 3)
    retries = [e.message for e in desk.events if e.kind == "retry"]
    assert retries == [f"attempt {n} of 4 failed: its command ended with exit code 1" for n in (1, 2)]


def test_a_cancel_ends_everything_in_time(desk: Desk) -> None:
    """What runs is ended within 7.5 s also when it ignores SIGTERM; what has not started is cancelled."""
    ready = desk.root / "ready"
    nodes = [
        shell("stubborn", "trap '' TERM; touch $READY; sleep 60; sleep 60", env={"READY": str(ready)}),
        shell("polite", "sleep 60"),
        shell("third", "true", needs=("polite",)),
    ]
    cancel = Cancel()

    def ask() -> None:
        while not ready.exists():
            time.sleep(0.01)
        cancel.set(signal.SIGINT)

    thread = threading.Thread(target=ask)
    thread.start()
    results = desk.run(nodes, cancel=cancel)
    thread.join()
    assert {n: r.state for n, r in results.items()} == dict.fromkeys(results, State.CANCELLED)
    assert verdict(results.values()) is Verdict.CANCELLED
    assert [e.kind for e in desk.events].count("cancelling") == 1


LOOK = """\
found=$(find ../.. -mindepth 1 ! -type d; find . "$TMPDIR" -mindepth 1)
if [ -n "$found" ]; then echo "$found"; exit 1; fi
"""
LEAVES = [
    "touch x",
    "touch $TMPDIR/x",
    "touch ../x",
    "touch ../../x",
    "mkdir x",
    "echo '{}' > $GITKITCHEN_RESULT",
]


@pytest.mark.parametrize("leaves", LEAVES)
def test_what_a_node_leaves_is_gone_for_the_next(desk: Desk, leaves: str) -> None:
    """Nodes that run one after the other find their private folder empty, whatever the one before left."""
    nodes = [shell("a", leaves), shell("b", LOOK), shell("c", LOOK + leaves), shell("d", LOOK + "true")]
    results = desk.run(nodes, jobs=1)
    assert [(r.state, r.log_tail) for r in results.values()] == [(State.PASSED, ())] * 4


def test_a_folder_that_was_only_used_in_passing_is_used_again(desk: Desk) -> None:
    """What comes and goes leaves the folder as it was: two nodes work in it, one after the other."""
    where = f"echo x > $TMPDIR/x; rm $TMPDIR/x; pwd >> {desk.root}/where"
    desk.run([shell("a", where), shell("b", f"{where}; true")], jobs=1)
    first, second = (desk.root / "where").read_text().split()
    assert first == second
