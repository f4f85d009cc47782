"""Atomic writes, digests, and paths that stay inside the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.files import (
    canonical,
    digest,
    digest_bytes,
    digest_file,
    inside,
    make_state,
    matching,
    write_atomic,
)


def test_a_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    """After a write the folder holds the new content and no temporary file."""
    path = tmp_path / "deep" / "file.json"
    write_atomic(path, "old, and longer than the new")
    write_atomic(path, b"new", sync=True)
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_half_written(tmp_path: Path) -> None:
    """What cannot be written (here: onto a folder) leaves no temporary file behind."""
    (tmp_path / "taken" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match=r".+"):
        write_atomic(tmp_path / "taken", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_the_state_folder_ignores_itself(tmp_path: Path) -> None:
    """Git sees nothing of the folder of local state, also where nobody wrote a .gitignore."""
    make_state(tmp_path / ".gitkitchen")
    assert (tmp_path / ".gitkitchen" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.csv", "a.csv"),
        ("**", "a.csv deep deep/b.csv deep/er deep/er/c.csv"),
        ("deep/**", "deep/b.csv deep/er deep/er/c.csv"),
        ("**/*.csv", "a.csv deep/b.csv deep/er/c.csv"),
        ("**.csv", "a.csv"),
        ("deep/***", "deep/b.csv deep/er"),
        ("**/er/**", "deep/er/c.csv"),
        ("nothing/**", ""),
    ],
)
def test_a_pattern_finds_the_same_on_every_python(tmp_path: Path, pattern: str, found: str) -> None:
    """Two stars at the end are all that lies below, and within a name they are one."""
    write_atomic(tmp_path / "a.csv", "")
    write_atomic(tmp_path / "deep" / "b.csv", "")
    write_atomic(tmp_path / "deep" / "er" / "c.csv", "")
    assert sorted(p.relative_to(tmp_path).as_posix() for p in matching(tmp_path, pattern)) == found.split()


def test_what_is_no_pattern_is_refused(tmp_path: Path) -> None:
    """By the errors that callers tell apart from a failure."""
    with pytest.raises(ValueError, match="NUL"):
        matching(tmp_path, "a\0*")
    with pytest.raises(NotImplementedError):
        list(matching(tmp_path, "/etc/*"))


def test_digests_are_sha256(tmp_path: Path) -> None:
    """The digest of a file is that of its bytes."""
    (tmp_path / "empty").touch()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_file(tmp_path / "empty") == digest_bytes(b"") == empty
    for size in (1, 2**16 - 1, 2**16, 2**16 + 1, 2**20 + 2**16, 3 * 2**20 + 5):
        data = bytes(number % 251 for number in range(1000)) * (size // 1000 + 1)
        (tmp_path / "some").write_bytes(data[:size])
        assert digest_file(str(tmp_path / "some")) == digest_bytes(data[:size]), size


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_canonical_json_is_one_text_for_one_value(value: object) -> None:
    """Canonical JSON reads back to the value, and the order of keys does not matter."""
    assert json.loads(canonical(value)) == value
    if isinstance(value, dict):
        assert digest(dict(reversed(value.items()))) == digest(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_canonical_json_has_no_nan(value: object) -> None:
    """What JSON cannot say has no digest."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(value)


def test_any_text_has_a_digest() -> None:
    """Lone surrogates, as odd file names bring them, do not crash a digest."""
    assert len(digest({"name": "\udcff"})) == 64


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    """`..` leads up within the repository."""
    assert inside(tmp_path, "../../data/a.csv", base="recipes/x") == "data/a.csv"
    assert inside(tmp_path, "./b.sql", base="recipes/x") == "recipes/x/b.sql"
    assert inside(tmp_path, "..", base="recipes") == "."


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../../../etc/passwd", "leaves the repository"),
        ("../../../../../../etc/passwd", "leaves the repository"),
        ("/etc/passwd", "is absolute"),
        ("~/.ssh/id_rsa", "is absolute"),
        ("C:/windows", "is absolute"),
        ("\\\\host\\share", "is absolute"),
        ("a\0b", "is not a path"),
        ("", "is not a path"),
        ("../../.git/config", "is inside .git"),
    ],
)
def test_paths_do_not_leave_the_repository(tmp_path: Path, path: str, reason: str) -> None:
    """A path that leads out is refused with the reason."""
    with pytest.raises(ValueError, match=reason):
        inside(tmp_path, path, base="recipes/x")


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    """A link may point to another place in the repository, never out of it."""
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "data" / "a.csv").touch()
    (root / "good.csv").symlink_to(root / "data" / "a.csv")
    (root / "bad.csv").symlink_to("/etc/passwd")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    assert inside(root, "good.csv") == "good.csv"
    for name in ("bad.csv", "out/secret", "out"):
        with pytest.raises(ValueError, match="leaves the repository through a link"):
            inside(root, name)
    assert inside(root, "loop") == "loop"  # leads nowhere: reading it says so


@given(st.lists(st.sampled_from(["..", ".", "a", "b.sql", "ünï"]), min_size=1, max_size=8))
def test_what_is_accepted_is_inside(parts: list[str]) -> None:
    """Whatever mixture of steps: the result holds no `..` and names what the steps lead to."""
    root = Path("/nowhere/root")
    try:
        found = inside(root, "/".join(parts), base="recipes/x")
    except ValueError:
        depth, lowest = 2, 2
        for part in parts:
            depth += -1 if part == ".." else part != "."
            lowest = min(lowest, depth)
        assert lowest < 0
        return
    assert ".." not in found.split("/")
