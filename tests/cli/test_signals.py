"""SIGINT and SIGTERM end a run in order; --resume ends the work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shop import Shop

RECIPE = """\
version: 1
recipe: slow
nodes:
  quick: {sql: select 1 as x, key: [x]}
  wait:
    needs: [quick]
    run: |
      touch "$MARK"
      test -e "$GO" || sleep 60
      echo done > "$GITKITCHEN_OUTPUT_NOTE"
    env: {MARK: MARKFILE, GO: GOFILE}
    outputs: {note: note.txt}
  last: {needs: [wait], sql: select x + 1 as y from quick, key: [y]}
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.long), (signal.SIGTERM, 143)],
)
def test_a_signal_cancels_and_resume_ends_the_work(
    shop: Shop, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Interrupted: 130 (terminated: 143), and nothing is published; resumed, the same run ends green."""
    mark, go = tmp_path / "mark", tmp_path / "go"
    text = RECIPE.replace("MARKFILE", str(mark)).replace("GOFILE", str(go))
    shop.commit({"recipes/slow/recipe.yml": text})
    process = shop.spawn("run", "--quiet")
    for _ in range(600):
        if mark.exists():
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, out + err
    outcome = shop.outcome()
    assert outcome["verdict"] == "cancelled"
    assert outcome["publication"]["state"] == "withheld"
    states = shop.states()
    assert states == {"quick": "passed", "wait": "cancelled", "last": "cancelled"}
    go.touch()
    said = shop.cli("run", "--resume")
    assert said.code == 0, said.out + said.err
    assert shop.outcome()["run"] == outcome["run"]
    assert shop.states()["quick"] == "reused"
    assert shop.rows("from last") == [{"y": 2}]


def test_a_run_is_resumed_as_it_was_begun_or_not_at_all(shop: Shop, tmp_path: Path) -> None:
    """Resuming repeats the run's variables; other arguments, kitchens and runs are refused."""
    text = RECIPE.replace("MARKFILE", str(tmp_path / "m")).replace("GOFILE", str(tmp_path))
    text = text.replace("recipe: slow\n", "recipe: slow\nvars: {size: 1}\n")
    text = text.replace("{sql: select 1 as x,", '{sql: select $size as x, with: {size: "${{ vars.size }}"},')
    shop.commit({"recipes/slow/recipe.yml": text})
    assert shop.cli("run", "--set", "size=7").code == 0
    name = shop.outcome()["run"]
    ended = shop.cli("run", "--resume", name)
    assert (ended.code, "was not interrupted" in ended.err) == (2, True)
    assert shop.cli("run", "--resume").code == 2
    outcome = shop.root / ".gitkitchen" / "runs" / name / "outcome.json"
    outcome.unlink()  # as if it had been killed before it could tell
    assert shop.cli("run", "--resume").code == 0
    assert shop.rows("from last") == [{"y": 8}]
    outcome.unlink()
    refused = shop.cli("run", "--resume", "--set", "size=8")
    assert (refused.code, "begun with other arguments" in refused.err) == (2, True)
    shop.git("checkout", "-q", "-b", "other")
    refused = shop.cli("run", "--resume", name)
    assert (refused.code, "belongs to another kitchen" in refused.err) == (2, True)
    assert shop.cli("run", "--resume").code == 2
    assert shop.cli("run", "--resume", "2013").code == 2


EARLY = """
import runpy, sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "argparse":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
runpy.run_module("gitkitchen", run_name="__main__")
"""


def test_an_interrupt_while_it_is_still_loaded() -> None:
    """Ctrl-C in the first tenth of a second is an exit code and no traceback."""
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
