"""What is special about S3: words for its refusals, and objects that are created once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.data.conftest import aws
from tests.data.shelves import Shelf, build, published, put

from gitkitchen.data.stores.objects import ObjectRemote, open_s3
from gitkitchen.errors import Infrastructure
from gitkitchen.kitchen.stores import parse_store


def test_an_object_is_created_once(s3_shelf: Shelf, s3_files: Any, tmp_path: Path) -> None:
    """An object that someone else brought meanwhile is not written again where it has the right size."""
    remote: Any = s3_shelf.connect()
    name = f"{remote._root}/trusted/files/x"
    path = tmp_path / "x"
    path.write_bytes(b"one")
    s3_files.put_file(str(path), name, mode="create")
    with pytest.raises(FileExistsError):
        s3_files.put_file(str(path), name, mode="create")


def test_a_bucket_that_is_not_there_is_not_taken_for_an_empty_one(s3_shelf: Shelf, s3_files: Any) -> None:
    """A collector finds nothing in a store that nobody used, and cannot check one whose bucket is missing."""
    empty: Any = s3_shelf.connect()
    assert empty.inventory() == {}
    with pytest.raises(Infrastructure, match="there is no such bucket") as caught:
        ObjectRemote(s3_files, "nobodys-bucket/team", "s3://nobodys-bucket/team").inventory()
    assert "create the bucket" in caught.value.problems[0].hint


def test_an_object_of_another_size_is_replaced(s3_shelf: Shelf) -> None:
    """What lies there under a digest and has not its size is replaced by the whole file."""
    one = s3_shelf.machine()
    file = put(one, b"whole")
    s3_shelf.spoil("trusted", file, b"wh")
    one.remote.put_file("trusted", file, one.path(file), again=False)
    made = build(file)
    one.save(made)
    one.sync([made])
    assert s3_shelf.machine().paths(made.versions["d"])[0].read_bytes() == b"whole"


def test_a_bucket_that_is_not_there_is_said_so(s3_files: Any, tmp_path: Path) -> None:
    """Exit code 3 names the store; reading finds nothing, writing does not."""
    remote = ObjectRemote(s3_files, "nobody-made-this/x", "s3://nobody-made-this/x")
    shelf = Shelf("s3", tmp_path, lambda: remote, lambda *_: None)
    assert shelf.machine().find("0" * 64) is None
    with pytest.raises(Infrastructure, match=r"s3://nobody-made-this/x: .* there is no such bucket"):
        published(shelf.machine(), b"x")


def test_without_credentials_the_error_says_so(
    s3_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has no login is told, and in whose documentation to look."""
    for name, value in aws(s3_at).items():
        monkeypatch.delenv(name, raising=False)
        if "KEY" not in name:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    remote = open_s3(parse_store("s3://some-bucket/x"))
    with pytest.raises(Infrastructure, match=r"there are no credentials; .* docs/stores.md"):
        remote.build("trusted", "0" * 64)
