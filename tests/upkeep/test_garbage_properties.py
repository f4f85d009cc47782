"""Of any store: what is referred to stays whole at every moment of a collection, the rest goes in the end."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.data.garbage import Item, References, unreferenced, zone_names
from gitkitchen.data.store import FolderStore
from gitkitchen.model import Build, FileEntry, Version

NOW, GRACE = 2_000_000_000.0, 1000.0
OLD, YOUNG = NOW - 5000.0, NOW - 10.0


@dataclass(frozen=True)
class Made:
    """A build to be put into a store: where, over which contents, how old, and whether a catalog names it."""

    zone: int
    contents: tuple[int, ...]
    below: tuple[int, ...]
    young: bool
    wanted: bool


BUILDS = st.lists(
    st.builds(
        Made,
        zone=st.integers(0, 2),
        contents=st.lists(st.integers(0, 6), max_size=3, unique=True).map(tuple),
        below=st.lists(st.integers(0, 6), max_size=2, unique=True).map(tuple),
        young=st.booleans(),
        wanted=st.booleans(),
    ),
    max_size=12,
)


def stores(root: Path) -> list[FolderStore]:
    return [
        FolderStore(root, namespace="k_main_000000000000", zone="trusted"),
        FolderStore(root, namespace="k_a_111111111111", zone="sandbox"),
        FolderStore(root, namespace="k_b_222222222222", zone="sandbox"),
    ]


def put(store: FolderStore, number: int, made: Made) -> Build:
    """Save a build with its files; its times are those of its age, its files' those of the youngest user."""

    def file(content: int) -> FileEntry:
        temporary = store.scratch(".parquet")
        temporary.write_bytes(b"content %d" % content)
        digest, size = store.keep(temporary)
        path = store.path(FileEntry(digest, size))
        os.utime(path, (OLD, OLD) if not made.young else (YOUNG, YOUNG))
        return FileEntry(digest, size, rows=1)

    name = hashlib.sha256(b"build %d" % number).hexdigest()
    inner = {f"i{c}": Version(f"i{c}", "table", name, f"c{c}", files=(file(c),)) for c in made.below}
    version = Version("d", "view" if not made.contents else "table", name, "c",
                      files=tuple(file(c) for c in made.contents), inputs=inner)  # fmt: skip
    build = Build("n", name, "definition", {}, {}, {"d": version})
    store.save(build)
    path = next(store.root.glob(f"**/builds/*/{name}.json"))
    os.utime(path, (YOUNG, YOUNG) if made.young else (OLD, OLD))
    return build


def look(root: Path, wanted: References) -> list[Item]:
    return unreferenced(
        root, wanted, zones=zone_names(root), now=NOW, grace=GRACE, keep=GRACE,
        own_verdict=lambda fingerprint, number: f"{fingerprint}{number}",
    )  # fmt: skip


def manifests(root: Path) -> Iterator[Path]:
    yield from root.glob("**/builds/*/*.json")


@settings(max_examples=max(settings().max_examples // 3, 20))
@given(BUILDS, st.integers(0, 40))
def test_what_is_referred_to_is_whole_at_every_moment(builds: list[Made], killed_after: int) -> None:
    """Killed after any number of removals, then run again: nothing that is wanted or young is ever missed, no
    build stands without its files, and in the end nothing is left that nobody wants."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        zones = stores(root)
        made = [(m, zones[m.zone], put(zones[m.zone], i, m)) for i, m in enumerate(builds)]
        wanted = References({b.fingerprint for m, _, b in made if m.wanted})

        def check() -> None:
            for m, store, build in made:
                if m.wanted or m.young:
                    assert store.find(build.fingerprint) is not None
            for path in manifests(root):
                owner = next(s for _, s, b in made if b.fingerprint == path.stem)
                assert owner.find(path.stem) is not None, "a build without its files"

        for number, item in enumerate(look(root, wanted)):
            if number >= killed_after:
                break
            item.path.unlink()
            check()
        for item in look(root, wanted):
            item.path.unlink()
        check()
        assert look(root, wanted) == []
        needed = {f for m, _, b in made if m.wanted or m.young for f in digests(b.versions["d"])}
        left = {p.name.split(".")[0] for p in root.glob("**/files/*/*")}
        assert left <= needed


def digests(version: Version) -> set[str]:
    return {f.digest for f in version.files} | {d for v in version.inputs.values() for d in digests(v)}


def test_a_verdict_of_a_kept_build_stays(tmp_path: Path) -> None:
    """What a build's own tests said is its evidence: it goes with the build, however old it is."""
    store = stores(tmp_path)[0]
    build = put(store, 1, Made(0, (1,), (), False, True))
    shelf = store.root / "trusted/verdicts/aa"
    shelf.mkdir(parents=True)
    for name in (f"{build.fingerprint}0", f"{build.fingerprint}1", f"{build.fingerprint}3", "other"):
        (shelf / f"{name}.json").write_text("{}")
        os.utime(shelf / f"{name}.json", (OLD, OLD))
    found = look(store.root, References({build.fingerprint}))
    assert {i.path.stem for i in found} == {f"{build.fingerprint}3", "other"}
    assert {i.path.stem for i in look(store.root, References())} >= {
        f"{build.fingerprint}0",
        build.fingerprint,
    }


def test_what_cannot_be_read_goes_when_it_is_old_and_nobodys(tmp_path: Path) -> None:
    """A torn manifest that is young or wanted stays, and with it every file: which it needs is not known."""
    store = stores(tmp_path)[0]
    put(store, 1, Made(0, (1,), (), False, True))
    (path,) = manifests(store.root)
    path.chmod(0o644)
    path.write_text("{")
    os.utime(path, (YOUNG, YOUNG))
    assert look(store.root, References()) == []
    os.utime(path, (OLD, OLD))
    assert look(store.root, References({path.stem})) == []
    assert [i.what for i in look(store.root, References())] == ["build", "file"]


@pytest.mark.parametrize("value", [None, [], {"a": [{"fingerprint": 1}, {"digest": None}]}, "x"])
def test_documents_of_any_shape_give_references_or_none(value: object) -> None:
    """An outcome of another shape names nothing, and breaks nothing."""
    references = References()
    references.of_document(value)
    assert references == References()
