"""The registry's protocol: large builds, tokens and rights, faults of networks, and its own collector."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.data.faulty import Fault, Proxy, proxy
from tests.data.killing import kill_at_random
from tests.data.servers import collect_garbage, guarded_registry, registry
from tests.data.shelves import FEATURE, MAIN, Shelf, build, contents, kept, published, put

from gitkitchen.data.stores.cached import CachedStore
from gitkitchen.data.stores.credentials import Login, login_for
from gitkitchen.data.stores.oci import INDEX, OciRemote
from gitkitchen.errors import Infrastructure
from gitkitchen.kitchen.stores import parse_store


@pytest.fixture
def between(registry_at: str) -> Iterator[Proxy]:
    with proxy(registry_at) as made:
        yield made


def shelf_at(address: str, tmp_path: Path, **options: Any) -> Shelf:
    at = parse_store(f"oci://{address}/team/{tmp_path.name.replace('_', '').lower()[-30:]}")
    environ = options.pop("environ", {"HOME": str(tmp_path)})
    return Shelf("oci", tmp_path, lambda: OciRemote(at, environ, pause=0.01, **options), lambda *_: None)


# --- shapes -----------------------------------------------------------------------------------------


def test_a_build_of_many_files_is_an_index(registry_at: str, tmp_path: Path) -> None:
    """More files than one manifest should hold are spread over several, and come back in their order."""
    shelf = shelf_at(registry_at, tmp_path, layers=3)
    blobs = [str(n).encode() for n in range(8)]
    made = published(shelf.machine(), *blobs)
    other = shelf.machine()
    assert other.find(made.fingerprint) == made
    assert contents(other, made) == {"d": blobs}
    remote: Any = other.remote
    assert json.loads(remote._manifest("trusted", made.fingerprint))["mediaType"] == INDEX
    assert remote.builds("trusted") == {made.fingerprint}, "parts are no builds"


def test_a_build_with_much_to_say_is_a_blob(registry_at: str, tmp_path: Path) -> None:
    """JSON that is too long to be carried in the manifest is fetched and verified by its digest."""
    shelf = shelf_at(registry_at, tmp_path)
    one = shelf.machine()
    made = build(put(one, b"x"))
    made.parts.update({f"file:{n}": "y" * 64 for n in range(3000)})  # type: ignore[attr-defined]
    one.save(made)
    one.sync([made])
    assert shelf.machine().find(made.fingerprint) == made


@pytest.mark.long
def test_a_long_file_goes_in_chunks(between: Proxy, tmp_path: Path) -> None:
    """A file goes in pieces, and after a break goes on where it was, or begins anew."""
    data = random.Random(3).randbytes(6_500_000)
    shelf = shelf_at(between.address, tmp_path, whole=2_000_000)
    between.faults.append(Fault("PATCH", "", code=503))
    made = published(shelf.machine(), data)
    assert between.count("PATCH") == 5
    assert contents(shelf.machine(), made) == {"d": [data]}
    between.faults.append(Fault("PATCH", "", drop=True))
    again = published(shelf.machine(), data[::-1], key="b")
    assert contents(shelf.machine(), again) == {"d": [data[::-1]]}


def test_the_registrys_own_collector_keeps_what_builds_refer_to(tmp_path: Path) -> None:
    """Garbage collection with removal of untagged manifests leaves every build whole, and takes the rest."""
    folder = tmp_path / "registry"
    with registry(folder) as address:
        shelf = shelf_at(address, tmp_path, layers=2)
        many = published(shelf.machine(), *[f"file {n}".encode() for n in range(5)], key="many")
        few = published(shelf.machine(FEATURE), b"one", key="few")
        verdict = shelf.machine()
        loose = put(verdict, b"nobody refers to this")
        verdict.remote.put_file("trusted", loose, verdict.path(loose), again=False)
    collect_garbage(folder)
    blobs = {p.parent.name for p in folder.rglob("sha256/*/*/data")}
    assert loose.digest not in blobs
    with registry(folder) as address:
        shelf = shelf_at(address, tmp_path, layers=2)
        assert contents(shelf.machine(), many)["d"] == [f"file {n}".encode() for n in range(5)]
        assert shelf.machine(FEATURE).find(few.fingerprint) == few
        assert contents(shelf.machine(FEATURE), few) == {"d": [b"one"]}


# --- faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "manifests", code=500),
        Fault("PUT", "manifests", drop=True),
        Fault("PUT", "uploads", drop=True),
        Fault("PUT", "uploads", code=502),
        Fault("POST", "uploads", code=429, headers={"Retry-After": "0"}),
        Fault("POST", "uploads", drop=True),
        Fault("HEAD", "blobs", code=503, times=3),
        Fault("GET", "manifests", drop=True, times=2),
    ],
    ids=lambda f: f"{f.method}-{f.path}-{f.code or 'lost'}",
)
def test_a_passing_fault_is_got_over(between: Proxy, tmp_path: Path, fault: Fault) -> None:
    """A fault of the server, a limit, or an answer that was lost: the build is there once, and whole."""
    shelf = shelf_at(between.address, tmp_path)
    fault.times = max(fault.times, 1)
    between.faults.append(fault)
    made = published(shelf.machine(), b"x", b"y")
    assert fault.times == 0, "it happened"
    between.faults.clear()
    assert contents(shelf.machine(), made) == {"d": [b"x", b"y"]}
    assert shelf.connect().builds("trusted") == {made.fingerprint}


def test_a_download_that_breaks_off_goes_on(between: Proxy, tmp_path: Path) -> None:
    """The second request asks for the rest, and the whole has its digest."""
    data = random.Random(5).randbytes(400_000)
    shelf = shelf_at(between.address, tmp_path)
    made = published(shelf.machine(), data)
    between.faults.append(Fault("GET", "blobs", cut=150_000))
    assert contents(shelf.machine(), made) == {"d": [data]}
    asked = [h.get("Range") for m, p, h in between.asked if m == "GET" and "blobs" in p]
    assert asked[0] is None
    assert asked[1] is not None
    assert asked[1].startswith("bytes=")


def test_who_asks_to_wait_too_long_is_told_to_people(between: Proxy, tmp_path: Path) -> None:
    """A limit for an hour ends the command at once, and is no verdict on the data."""
    between.faults.append(Fault("GET", "manifests", code=429, times=99, headers={"Retry-After": "3600"}))
    with pytest.raises(Infrastructure, match="answered 429 and asks to wait 3600 s"):
        shelf_at(between.address, tmp_path).machine().find("0" * 64)
    assert between.count("GET") == 1


@pytest.mark.long
def test_a_wait_that_is_asked_for_is_kept(between: Proxy, tmp_path: Path) -> None:
    """Retry-After as a number of seconds is waited for, however short our own pauses are."""
    between.faults.append(Fault("GET", "manifests", code=503, headers={"Retry-After": "1"}))
    begun = time.monotonic()
    assert shelf_at(between.address, tmp_path).machine().find("0" * 64) is None
    assert time.monotonic() - begun >= 1.0


def test_a_refusal_is_not_repeated(between: Proxy, tmp_path: Path) -> None:
    """403 is an answer: one request, and the hint says how to log in."""
    between.faults.append(Fault("GET", "manifests", code=403, times=99))
    with pytest.raises(Infrastructure, match=r"answered 403; log in with `docker login`"):
        shelf_at(between.address, tmp_path).machine().find("0" * 64)
    assert between.count("GET") == 1


def test_no_redirect_leaves_tls_or_takes_the_token_along(between: Proxy, tmp_path: Path) -> None:
    """A redirect to plain HTTP elsewhere is refused; one to another server gets no token."""
    shelf = shelf_at(between.address, tmp_path)
    made = published(shelf.machine(), b"x")
    between.faults.append(Fault("GET", "blobs", code=307, headers={"Location": "http://10.1.2.3/x"}))
    with pytest.raises(Infrastructure, match="an address without TLS"):
        contents(shelf.machine(), made)
    with proxy(between.address) as other:
        file = made.versions["d"].files[0]
        store = shelf.machine()
        remote: Any = store.remote
        remote._client._tokens = dict.fromkeys(remote._client._logins, "Bearer secret")
        path = f"/v2/{remote._top}/trusted/blobs/sha256:{file.digest}"
        away = {"Location": f"http://{other.address}{path}"}
        between.faults.append(Fault("GET", "blobs", code=307, headers=away))
        assert store.path(file).read_bytes() == b"x"
        seen = [h for _, p, h in other.asked if "blobs" in p]
        assert seen
        assert all("Authorization" not in h for h in seen)
    assert any(h.get("Authorization") == "Bearer secret" for _, _, h in between.asked)


KILLED = """
import random, sys
from pathlib import Path
from gitkitchen.data.stores.cached import CachedStore
from gitkitchen.data.stores.oci import OciRemote
from gitkitchen.kitchen.stores import parse_store
from tests.data.shelves import MAIN, build, put
remote = OciRemote(parse_store(sys.argv[2]), {})
store = CachedStore(Path(sys.argv[1]), remote, namespace=MAIN, zone="trusted")
chance = random.Random(7)
builds = [build(*[put(store, chance.randbytes(50_000)) for _ in range(4)], key=str(n)) for n in range(12)]
for made in builds:
    store.save(made)
print("go", flush=True)
store.sync(builds)
import time
time.sleep(60)
"""


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_killed_while_it_brings_builds_there(
    registry_at: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment a build is there whole or not at all; the same command again brings the rest."""
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{root}:{root / 'src'}")
    address = f"oci://{registry_at}/killed/{tmp_path.name.replace('_', '').lower()[-30:]}"
    kill_at_random(KILLED, tmp_path / "cache", address, seed=seed, within=0.6)

    def connect() -> OciRemote:
        return OciRemote(parse_store(address), {}, pause=0.01)

    shelf = Shelf("oci", tmp_path, connect, lambda *_: None)
    for fingerprint in connect().builds("trusted") or ():
        reader = shelf.machine()
        found = reader.find(fingerprint)
        assert found is not None
        assert all(len(b) == 50_000 for b in contents(reader, found)["d"])
    again = CachedStore(tmp_path / "cache", connect(), namespace=MAIN, zone="trusted")
    builds = [again.find(build(key=str(n)).fingerprint) for n in range(12)]
    again.sync([b for b in builds if b is not None])
    assert connect().builds("trusted") == {b.fingerprint for b in builds if b is not None}
    assert len(builds) == 12


# --- who we are --------------------------------------------------------------------------------------


def test_logins_come_from_dockers_file_or_the_job(tmp_path: Path) -> None:
    """The most special entry counts; on ghcr.io the job's token does where there is none; `repr` hides it."""

    def auth(text: str) -> dict[str, str]:
        return {"auth": base64.b64encode(text.encode()).decode()}

    (tmp_path / ".docker").mkdir()
    auths = {
        "ghcr.io": auth("me:one"),
        "ghcr.io/team/x/trusted": auth("prod:two:three"),
        "https://index.example.org/v1/": auth("old:four"),
        "bad.example.org": {"auth": "%%%"},
        "odd.example.org": "text",
    }
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
    environ = {"HOME": str(tmp_path), "GITHUB_TOKEN": "job", "GITHUB_ACTOR": "octo"}
    assert login_for("ghcr.io", "team/x/sandbox", environ) == Login("me", "one")
    assert login_for("ghcr.io", "team/x/trusted", environ) == Login("prod", "two:three")
    assert login_for("index.example.org", "a", environ) == Login("old", "four")
    for host in ("bad.example.org", "odd.example.org", "other.example.org"):
        assert login_for(host, "a", environ) is None
    bare = {"HOME": str(tmp_path / "none"), "GITHUB_TOKEN": "job", "GITHUB_ACTOR": "octo"}
    assert login_for("ghcr.io", "a", bare) == Login("octo", "job")
    assert login_for("other.io", "a", bare) is None, "the job's token is for ghcr.io alone"
    assert "two" not in repr(login_for("ghcr.io", "team/x/trusted", environ))
    for junk in ("", "[]", '{"auths": 3}', "{"):
        (tmp_path / ".docker" / "config.json").write_text(junk)
        assert login_for("x.org", "a", environ) is None


RIGHTS = {
    "prod": {"trusted": ["pull", "push"], "sandbox": ["pull"]},
    "dev": {"trusted": ["pull"], "sandbox": ["pull", "push"]},
}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """A registry with tokens: `prod` may write trusted; `dev` reads it and writes sandbox."""
    with guarded_registry(tmp_path, RIGHTS) as address:
        yield address


def test_each_zone_is_written_by_who_has_its_rights(guarded: str, tmp_path: Path) -> None:
    """Tokens are got from the realm; a sandbox's login cannot write trusted, and nobody reads without one."""

    def shelf(user: str, password: str | None = None) -> Shelf:
        home = tmp_path / user
        (home / ".docker").mkdir(parents=True, exist_ok=True)
        said = f"{user}:{password or f'{user}-hunter2'}"
        auths = {guarded: {"auth": base64.b64encode(said.encode()).decode()}}
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
        made = shelf_at(guarded, tmp_path, environ={"HOME": str(home)})
        made.disks = home
        return made

    trusted = published(shelf("prod").machine(), b"t", key="t")
    dev = shelf("dev")
    assert contents(dev.machine(FEATURE), trusted) == {"d": [b"t"]}
    feature = published(dev.machine(FEATURE), b"f" * 3_000_000, key="f")
    assert contents(dev.machine(FEATURE), feature) == {"d": [b"f" * 3_000_000]}
    with pytest.raises(Infrastructure) as caught:
        published(dev.machine(MAIN), b"poison", key="p")
    assert "it answered 401" in str(caught.value)
    assert shelf("prod").machine().find(build(key="p").fingerprint) is None
    thief = shelf("thief", "wrong-hunter2").machine()
    with pytest.raises(Infrastructure) as caught:
        thief.find(trusted.fingerprint)
    assert "hunter2" not in str(caught.value)
    assert kept(thief) == set()
