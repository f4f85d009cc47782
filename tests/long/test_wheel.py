"""The built wheel works in a bare environment, with nothing of this repository beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_wheel_runs_the_example_in_a_bare_environment(tmp_path: Path) -> None:
    """Installed with its dependencies alone it carries its templates and schemas and runs the demo."""
    source = tmp_path / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "gitkitchen/schemas/recipe.schema.json",
        "gitkitchen/_shipped/templates/report.html.j2",
        "gitkitchen/_shipped/examples/flights/kitchen.yml",
        "gitkitchen/_shipped/workflows/pull-request.yml",
        "gitkitchen/_shipped/workflows/report.properties.json",
        "gitkitchen/py.typed",
    ):
        assert wanted in names
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", str(bare)], check=True)
    pip = [str(bare / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"{wheel}[demo]"], check=True)
    environment = {"PATH": f"{bare / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    program = str(bare / "bin" / "gitkitchen")
    demo = subprocess.run(
        [program, "demo", str(tmp_path / "flights")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "8,035,799" in demo.stdout
    report = subprocess.run(
        [program, "-C", str(tmp_path / "flights"), "report", "--output", str(tmp_path / "report.html")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stderr
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
