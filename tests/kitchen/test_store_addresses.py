"""What `store:` may say, and what is said of everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Problem
from gitkitchen.kitchen.stores import Address, is_loopback, lost_with_the_job, parse_store, registry_of
from gitkitchen.model import Environment
from shop import KITCHEN_YML, Shop

GOOD = {
    ".gitkitchen/store": Address("folder", ".gitkitchen/store"),
    "oci://ghcr.io/Owner/x".lower(): Address("oci", "ghcr.io", "owner/x"),
    "oci://localhost:5000/a/b_c": Address("oci", "localhost:5000", "a/b_c"),
    "oci://[::1]:5000/a": Address("oci", "[::1]:5000", "a"),
    "s3://bucket/a/b": Address("s3", "bucket", "a/b"),
    "s3://my.bucket": Address("s3", "my.bucket", ""),
    "file:///mnt/share/x": Address("folder", "/mnt/share/x", absolute=True),
}
BAD = {
    "oci://ghcr.io": "names no repository",
    "oci://ghcr.io/Owner/X": "small letters",
    "oci://user:hunter2@ghcr.io/a": "credentials come from the environment",
    "oci:///a": "names no registry",
    "oci://-x/a": "names no registry",
    "oci://host:port/a": "no address",
    "oci://host/a/../b": "small letters",
    "oci://host/a?x=1": "a query",
    "s3://b": "names no bucket",
    "s3://bucket/../x": "prefix",
    "s3://bucket//x//y": "prefix",
    "s3://bucket/a b": "a blank",
    "file://host/x": "names no folder",
    "file:///": "no folder of its own",
    "file:///a/../b": "no folder of its own",
}


@pytest.mark.parametrize("text", sorted(GOOD))
def test_an_address_is_taken_apart(text: str) -> None:
    """Each kind of address gives its parts, and a remote one is written as it was read."""
    address = parse_store(text)
    assert address == GOOD[text]
    assert address.remote == (not text.startswith(("file", ".")))
    assert not address.remote or str(address) == text


@pytest.mark.parametrize("text", sorted(BAD))
def test_what_is_no_address_is_refused_with_its_reason(shop: Shop, text: str) -> None:
    """`validate` names the line and what is wrong, and shows no password."""
    shop.write({"kitchen.yml": f"{KITCHEN_YML}store: '{text}'\n"})
    said = shop.cli("validate")
    assert said.code == 2
    assert said.out.startswith("kitchen.yml:6: store: ")
    assert BAD[text] in said.out
    assert "hunter2" not in said.out + said.err


@given(st.text(max_size=60), st.sampled_from(["oci://", "s3://", "file://", "ftp://", ""]))
def test_any_text_is_an_address_or_is_refused(text: str, scheme: str) -> None:
    """Whatever stands there: an address without `..`, blanks and users in its remote parts, or an error."""
    try:
        address = parse_store(scheme + text)
    except (ValueError, LookupError):
        return
    if address.remote:
        whole = address.place + address.path
        assert ".." not in address.path.split("/")
        assert not set(whole) & set(" \t\n@?#%\\")


def test_memory_and_web_addresses_are_no_stores(shop: Shop) -> None:
    """An address of another kind is refused with the kinds that there are."""
    for text in ("memory://x", "https://example.org/x"):
        shop.write({"kitchen.yml": f"{KITCHEN_YML}store: {text}\n"})
        said = shop.cli("validate")
        assert said.code == 2
        assert "oci://HOST/REPOSITORY" in said.out


@pytest.mark.parametrize(
    ("host", "inside"),
    [("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True),
     ("localhost.evil.com", False), ("10.0.0.1", False), ("127.0.0.1.nip.io", False), ("0.0.0.0", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, inside: bool) -> None:
    """Plain HTTP is for names and numbers that can only be this machine."""
    assert is_loopback(host) is inside


ENVIRONMENTS = (Environment("prod", "main"),)
JOB = {
    "GITHUB_ACTIONS": "true",
    "RUNNER_ENVIRONMENT": "github-hosted",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_REF_NAME": "main",
}


@pytest.mark.parametrize(
    ("store", "change", "refused"),
    [
        (".gitkitchen/store", {}, True),
        ("file:///mnt/x", {}, True),
        ("oci://ghcr.io/a/b", {}, False),
        ("s3://bucket/x", {}, False),
        (".gitkitchen/store", {"RUNNER_ENVIRONMENT": "self-hosted"}, False),
        (".gitkitchen/store", {"GITHUB_ACTIONS": ""}, False),
        (".gitkitchen/store", {"GITHUB_REF_NAME": "feature"}, False),
        (".gitkitchen/store", {"GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "tag"}, False),
    ],
)
def test_a_folder_is_refused_for_an_environment_on_a_hosted_runner(
    store: str, change: dict[str, str], refused: bool
) -> None:
    """Only there: a runner that keeps its disk, a sandbox, and a store elsewhere are left alone."""
    found = lost_with_the_job(store, ENVIRONMENTS, JOB | change)
    assert isinstance(found, Problem) is refused


def test_validate_refuses_it_with_the_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """`validate` in such a job ends with exit code 2, names the key, and what to write."""
    shop.write({"kitchen.yml": f"{KITCHEN_YML}store: .gitkitchen/store\n"})
    assert shop.cli("validate").code == 0
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    said = shop.cli("validate")
    assert said.code == 2
    assert said.out.startswith(
        "kitchen.yml:6: store: '.gitkitchen/store' is a folder, and this runner's disk"
    )
    assert "oci://ghcr.io" in said.out


@pytest.mark.parametrize(
    ("remote", "store"),
    [
        ("https://github.com/Acme/Shop.git", "oci://ghcr.io/acme/shop"),
        ("https://github.com/acme/shop/", "oci://ghcr.io/acme/shop"),
        ("git@github.com:Acme/shop.git", "oci://ghcr.io/acme/shop"),
        ("ssh://git@ssh.github.com:443/acme/shop.git", "oci://ghcr.io/acme/shop"),
        ("https://github.com/acme/.github", "oci://ghcr.io/acme/github"),
        ("https://github.com/acme/My..Data_", "oci://ghcr.io/acme/my-data"),
        ("https://github.com/acme/---", ""),
        ("https://gitlab.com/acme/shop", ""),
        ("https://github.com.evil.org/acme/shop", ""),
        ("https://evil.org/github.com/acme/shop", ""),
        ("file:///srv/github.com/acme/shop", ""),
        ("", ""),
    ],
    ids=range(12),
)
def test_a_repository_of_github_has_a_registry_at_hand(remote: str, store: str) -> None:
    """Its own packages, by a name that a registry knows; of no other server's anything is guessed."""
    assert registry_of(remote) == store
    if store:
        assert str(parse_store(store)) == store
