"""Many files at once are brought to the disk by their file system, few one by one; a lost one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkitchen.files import MANY, sync_files


@pytest.mark.parametrize("count", [0, 3, MANY + 5])
def test_files_and_folders_are_synced_however_many(tmp_path: Path, count: int) -> None:
    """Nothing is raised for files that are there, and they stay as they were."""
    names = [tmp_path / f"{number}" for number in range(count)]
    for name in names:
        name.write_text("x")
    sync_files([str(name) for name in names] + [str(tmp_path)])
    assert all(name.read_text() == "x" for name in names)


@pytest.mark.parametrize("count", [1, MANY + 5])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, count: int) -> None:
    """A name without a file raises OSError, also among many: it would be published else."""
    for number in range(count):
        (tmp_path / f"{number}").write_text("x")
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError, match="missing"):
        sync_files([*(str(tmp_path / f"{number}") for number in range(count)), str(missing)])
