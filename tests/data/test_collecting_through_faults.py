"""`gitkitchen gc` of a store on another machine that refuses, is used by others, or is away."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.data.faulty import Fault, Proxy, proxy

from gitkitchen.data.stores.marks import project_note
from gitkitchen.data.stores.opening import open_remote
from gitkitchen.kitchen.stores import parse_store
from gitkitchen.premises import find_premises
from gitkitchen.upkeep.remote import LEASE
from shop import KITCHEN_YML, Shop

RECIPE = 'version: 1\nrecipe: r\nnodes:\n  a: {sql: "select 1 as x", tests: [{rows: {min: 1}}]}\n'
ALL = ("--grace", "0s", "--keep", "0s")


@pytest.fixture
def between(registry_at: str) -> Iterator[Proxy]:
    """A proxy before the registry, by which it can be made to refuse."""
    with proxy(registry_at) as made:
        yield made


@pytest.fixture
def used(shop: Shop, between: Proxy, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose environment published twice, so that its first build is nobody's; so did a sandbox."""
    for key, value in {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push"}.items():
        monkeypatch.setenv(key, value)
    store = f"oci://{between.address}/team/{uuid.uuid4().hex}"
    shop.commit(
        {"kitchen.yml": f"{KITCHEN_YML}ledger: branch\nstore: {store}\n", "recipes/r/recipe.yml": RECIPE}
    )
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    build(shop, 1, 2)
    shop.git("switch", "-q", "-c", "fix")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/fix")
    build(shop, 3, 4)
    monkeypatch.setenv("HOME", str(shop.root.parent))
    return shop


def build(shop: Shop, *numbers: int) -> None:
    for number in numbers:
        shop.commit({"recipes/r/recipe.yml": RECIPE.replace("select 1", f"select {number}")})
        said = shop.cli("run", "--quiet")
        assert said.code == 0, said.out + said.err


def collected(shop: Shop, *words: str, code: int = 0) -> dict[str, Any]:
    said = shop.cli("gc", "--json", *ALL, *words)
    assert said.code == code, said.out + said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def there(document: dict[str, Any], list_: str = "items") -> set[str]:
    """The zones of the store from which something goes, or is marked."""
    paths = [i["path"] for i in document[list_] if i["path"].startswith("oci://")]
    return {"trusted" if "/trusted:" in path else "sandbox" for path in paths}


@pytest.mark.long
def test_both_zones_are_cleared_up_by_a_job_that_may(used: Shop) -> None:
    """The dry run says it, the first visit marks, the second removes; what is shown can be read from an empty
    disk."""
    assert there(collected(used), "marked") == {"trusted", "sandbox"}
    assert there(collected(used, "--apply"), "marked") == {"trusted", "sandbox"}
    said = used.cli("gc", *ALL)
    assert "would remove 2 builds" in said.out
    assert there(collected(used, "--apply")) == {"trusted", "sandbox"}
    assert collected(used, "--apply", "--cache", "0B")["left"] == []
    assert used.rows("from a") == [{"x": 4}]
    assert used.rows("from a", "--kitchen", "prod") == [{"x": 2}]


@pytest.mark.long
def test_a_job_without_the_right_to_trusted_clears_up_sandboxes(used: Shop, between: Proxy) -> None:
    """What it may not write it leaves, and says so; the rest goes."""
    for method in ("PUT", "POST", "DELETE"):
        between.faults.append(Fault(method, "/trusted/", times=9999, code=403))
    first = collected(used, "--apply")
    assert [entry["what"] for entry in first["left"]] == ["zone trusted of the store"]
    assert "403" in first["left"][0]["why"]
    assert there(first, "marked") >= {"sandbox"}
    assert there(collected(used, "--apply")) == {"sandbox"}
    assert used.rows("from a", "--kitchen", "prod") == [{"x": 2}]


@pytest.mark.long
def test_a_registry_that_lets_nobody_remove_is_told_of(used: Shop, between: Proxy) -> None:
    """What nobody could remove makes no daily job red: exit code 0, what was left, why and what can be done,
    and everything is still there."""
    collected(used, "--apply")
    between.faults.append(Fault("DELETE", "/manifests/", times=9999, code=405))
    done = collected(used, "--apply")
    assert there(done) == set()
    assert {entry["what"] for entry in done["left"]} >= {"zone trusted of the store"}
    assert all("it lets nobody remove" in entry["why"] for entry in done["left"])
    assert all("`gitkitchen gc --json` names" in entry["why"] for entry in done["left"])
    assert there(collected(used)) == {"trusted", "sandbox"}  # what could go is still named
    between.faults.clear()
    assert there(collected(used, "--apply")) == {"trusted", "sandbox"}


@pytest.mark.long
def test_the_second_of_two_collectors_leaves_the_store(used: Shop) -> None:
    """While one has the lease, another clears up what is on its own machine, and says what it left."""
    collected(used, "--apply")
    with find_premises(used.root).ledger.lease(LEASE, "gc elsewhere"):
        done = collected(used, "--apply")
    assert there(done) == set()
    assert "gc elsewhere" in done["left"][0]["why"]
    assert there(collected(used, "--apply")) == {"trusted", "sandbox"}


@pytest.mark.long
def test_what_another_project_publishes_in_the_same_place_stays(used: Shop) -> None:
    """Two projects with one store: neither knows what the other shows, so `trusted` is left to nobody."""
    remote = open_remote(parse_store(find_premises(used.root).project.store), {})
    remote.put_note("trusted", project_note("another"), b"{}")
    collected(used, "--apply")
    done = collected(used, "--apply")
    assert there(done) == {"sandbox"}
    assert done["left"][0]["why"] == "another project publishes from it, too"


@pytest.mark.long
def test_a_store_that_is_away_does_not_keep_the_disk_from_being_cleared_up(
    used: Shop, between: Proxy
) -> None:
    """The run folders and caches here go; of the store it says that it could not be asked: exit code 3."""
    between.faults.append(Fault("GET", "", times=9999, code=403))
    done = collected(used, "--apply", code=3)
    assert {i["what"] for i in done["items"]} >= {"run"}
    assert "403" in done["left"][0]["why"]


@pytest.mark.long
def test_with_a_ledger_in_a_folder_only_sandboxes_that_ended_go(used: Shop) -> None:
    """Nobody knows then what other clones show: nothing is marked, a dropped sandbox's zone goes."""
    text = (used.root / "kitchen.yml").read_text().replace("ledger: branch", "ledger: folder")
    used.commit({"kitchen.yml": text})
    build(used, 5)
    done = collected(used, "--apply")
    assert done["marked"] == []
    assert [e["what"] for e in done["left"]] == ["zone trusted of the store"]
    used.git("switch", "-q", "main")
    said = used.cli("drop", "fix")
    assert said.code == 0
    assert "left" not in said.out
    remote = open_remote(parse_store(find_premises(used.root).project.store), {})
    assert set(remote.inventory()) == {"trusted"}


@pytest.mark.long
def test_a_drop_without_the_right_to_remove_says_what_it_left(used: Shop, between: Proxy) -> None:
    """The kitchen is over all the same; `gc` takes the rest later."""
    between.faults.append(Fault("DELETE", "/manifests/", times=9999, code=403))
    used.git("switch", "-q", "main")
    said = used.cli("drop", "fix")
    assert said.code == 0
    assert "left its zone of the store to `gitkitchen gc`" in said.out
    between.faults.clear()
    done = collected(used, "--apply")
    assert any(i["what"] == "zone" and "/sandbox:k_fix" in i["path"] for i in done["items"]), done
    remote = open_remote(parse_store(find_premises(used.root).project.store), {})
    assert set(remote.inventory()) == {"trusted"}


@pytest.mark.long
def test_the_cache_is_bounded_by_what_can_be_fetched_again(used: Shop) -> None:
    """`--cache` takes what was read longest ago, never what the registry was not seen to have, and what
    consumers' files show stays."""
    cache = used.root / ".gitkitchen/cache/store"

    def data() -> list[Path]:
        return [p for p in cache.glob("**/files/*/*") if p.is_file()]

    assert len(data()) == 4
    assert used.cli("gc", "--apply", "--cache", "1GB").code == 0
    assert len(data()) == 4
    assert used.cli("open", "--path").code == 0
    assert used.cli("gc", "--apply", "--cache", "0B").code == 0
    assert len(data()) == 1, "the one that the consumers' file shows"
    assert used.rows("from a", "--kitchen", "prod") == [{"x": 2}]
    said = used.cli("gc", "--cache", "much")
    assert said.code == 2
    assert "is not a size such as 500MB or 10GB" in said.err
