"""What writes history at once loses none of it, and no file of it grows: SURVIVE S28."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shop import KITCHEN_YML, Shop

RECIPE = (
    "version: 1\nrecipe: {name}\nnodes:\n  {name}: {{sql: select {n} as n, tests: [{{rows: {{min: 1}}}}]}}\n"
)
LEDGER = "gitkitchen-ledger"


@pytest.mark.long
def test_s28_runs_at_once_lose_no_record_and_grow_no_file(tmp_path: Path) -> None:
    """S28 (one growing `data.js` made 1.8 GB; of parallel writers 12 of 24 records were lost): eight clones
    run at once, three times each, and push to one ledger: every run is there once, in a file that was added
    and never written again; what is written again is small and does not grow with the history."""
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    seed = Shop(tmp_path / "seed")
    subprocess.run(["git", "clone", "-q", str(origin), str(seed.root)], check=True, capture_output=True)
    seed.git("switch", "-q", "-c", "main")
    names = [f"r{k}" for k in range(8)]
    recipes = {f"recipes/{n}/recipe.yml": RECIPE.format(name=n, n=0) for n in names}
    seed.commit({"kitchen.yml": KITCHEN_YML + "ledger: branch\n", ".gitignore": ".gitkitchen/\n", **recipes})
    seed.git("push", "-q", "origin", "main")
    clones = []
    for name in names:
        clone = Shop(tmp_path / name)
        seed.git("clone", "-q", str(origin), str(clone.root))
        clone.git("switch", "-q", "-c", f"work/{name}")
        clones.append(clone)
    script = (
        "import subprocess, sys\n"
        "for n in range(3):\n"
        "    words = ['run', sys.argv[2], '--quiet', '--force']\n"
        "    subprocess.run([sys.executable, '-m', 'gitkitchen', '-C', sys.argv[1], *words], check=True)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", script, str(c.root), n], stdout=subprocess.PIPE, text=True)
        for c, n in zip(clones, names, strict=True)
    ]
    for process in runs:
        out, _ = process.communicate(timeout=500)
        assert process.returncode == 0, out
    for clone in clones:  # what could not be pushed in its time goes with the next command
        assert clone.cli("log").code == 0
    bare = Shop(origin)
    listed = bare.git("ls-tree", "-r", "--name-only", LEDGER).splitlines()
    records = [p for p in listed if p.startswith("runs/") and p.endswith(".json")]
    for name in names:
        assert len([p for p in records if f"/{name}/" in p]) == 3, name
    changed = bare.git("log", "--raw", "--no-abbrev", "--format=", "--no-renames", LEDGER).splitlines()
    again = {line.split("\t")[1] for line in changed if line.split()[4] != "A"}
    assert not {p for p in again if p.endswith(".json") and p.split("/")[0] in ("runs", "publications")}
    sizes = {p: len(bare.git("show", f"{LEDGER}:{p}")) for p in sorted(again & set(listed))}
    assert max(sizes.values(), default=0) < 2_000, sizes
    assert max(len(bare.git("show", f"{LEDGER}:{p}")) for p in records) < 10_000
