"""Stores, engines and a real HTTP server for the tests of versions and of what they are made from."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.data.servers import object_store, registry
from tests.data.shelves import Shelf
from tests.data.site import Site, serving

from gitkitchen.data.store import FolderStore
from gitkitchen.data.stores.contract import relative
from gitkitchen.model import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in an empty folder."""
    root = tmp_path / "work"
    root.mkdir()
    return Project(root, "shop", "0123456789abcdef")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """The trusted zone of an empty store."""
    return FolderStore(tmp_path / "store", namespace="k_main_0", zone="trusted")


@pytest.fixture
def site() -> Iterator[Site]:
    """A real HTTP server on a free port."""
    with serving() as made:
        yield made


@pytest.fixture(scope="session")
def registry_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the registry of all tests keeps its blobs."""
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="session")
def registry_at(registry_folder: Path) -> Iterator[str]:
    """A real registry: ``127.0.0.1:PORT``."""
    with registry(registry_folder) as address:
        yield address


@pytest.fixture(scope="session")
def s3_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks S3."""
    with object_store(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def oci_shelf(registry_at: str, registry_folder: Path, tmp_path: Path) -> Shelf:
    """An empty store in the registry."""
    from gitkitchen.data.stores.oci import OciRemote
    from gitkitchen.kitchen.stores import parse_store

    address = parse_store(f"oci://{registry_at}/team/{uuid.uuid4().hex}")

    def spoil(_zone: str, file: Any, data: bytes) -> None:
        blobs = registry_folder / "blobs/docker/registry/v2/blobs/sha256"
        (blobs / file.digest[:2] / file.digest / "data").write_bytes(data)

    environ = {"HOME": str(tmp_path)}
    return Shelf("oci", tmp_path, lambda: OciRemote(address, environ, pause=0.01), spoil)


@pytest.fixture(scope="session")
def s3_files(s3_at: str) -> Any:
    """One client of the S3 server for all tests: making one takes half a second."""
    import s3fs

    given = aws(s3_at)
    return s3fs.S3FileSystem(
        key=given["AWS_ACCESS_KEY_ID"],
        secret=given["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=s3_at,
        use_listings_cache=False,
        skip_instance_cache=True,
    )


@pytest.fixture
def s3_shelf(s3_files: Any, tmp_path: Path) -> Shelf:
    """An empty store in a bucket."""
    from gitkitchen.data.stores.objects import ObjectRemote

    bucket = f"b{uuid.uuid4().hex}"
    s3_files.mkdir(bucket)

    def spoil(zone: str, file: Any, data: bytes) -> None:
        s3_files.pipe_file(f"{bucket}/team/{zone}/{relative('files', file.digest, file.suffix)}", data)

    remote = ObjectRemote(s3_files, f"{bucket}/team", f"s3://{bucket}/team")
    return Shelf("s3", tmp_path, lambda: remote, spoil)


@pytest.fixture(params=["oci", "s3"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """An empty remote store of each kind."""
    made: Shelf = request.getfixturevalue(f"{request.param}_shelf")
    return made


def aws(endpoint: str) -> dict[str, str]:
    """What a job that uses S3 has in its environment."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "hunter2hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
