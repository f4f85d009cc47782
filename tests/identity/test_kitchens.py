"""A branch becomes a kitchen: environments, sandboxes, names that never meet, and the registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkitchen.errors import Mistake
from gitkitchen.kitchen.identity import identify, namespace, repository_name
from gitkitchen.model import Environment, Kitchen, Project

HOME = "https://github.com/acme/flights.git"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    environments = (Environment("dev", "develop"), Environment("prod", "main"))
    return Project(root=tmp_path, name="flights", id="7c1e2b", environments=environments, sandbox_base="prod")


def kitchen(project: Project, branch: str | None, override: str | None = None, **more: object) -> Kitchen:
    return identify(project, branch=branch, repository=HOME, override=override, **more)  # type: ignore[arg-type]


def test_environment_of_its_branch(project: Project) -> None:
    """The branch that kitchen.yml names is the environment, and has no base."""
    found = kitchen(project, "main")
    assert (found.environment, found.base, found.zone, found.label) == ("prod", None, "trusted", "prod")
    assert found.repository == "github.com/acme/flights"


def test_any_other_branch_is_a_sandbox(project: Project) -> None:
    """Any other branch is a sandbox on top of the base environment."""
    found = kitchen(project, "feature/x")
    assert (found.environment, found.base, found.zone, found.label) == (None, "prod", "sandbox", "feature/x")
    assert re.fullmatch(r"k_feature_x_[0-9a-f]{12}", found.namespace)


def test_main_of_a_fork_is_a_sandbox(project: Project) -> None:
    """A fork's main is not our main."""
    fork = identify(
        project, branch="main", repository="git@github.com:me/flights.git", override=None, home=HOME
    )
    assert fork.is_sandbox
    assert fork.namespace != kitchen(project, "main").namespace
    assert kitchen(project, "main", home=HOME).environment == "prod"


def test_detached_without_a_name(project: Project) -> None:
    """A detached HEAD needs --kitchen, and the message says so."""
    with pytest.raises(Mistake) as caught:
        kitchen(project, None)
    assert str(caught.value) == (
        "HEAD is detached: no branch says which kitchen this is; "
        "switch to a branch, or name one with --kitchen"
    )
    assert caught.value.exit_code == 2


def test_override_names_an_environment_or_a_branch(project: Project) -> None:
    """--kitchen takes an environment's name or a branch's, and gives the kitchen that the branch has."""
    assert kitchen(project, None, "prod") == kitchen(project, "main")
    assert kitchen(project, None, "main") == kitchen(project, "main")
    assert kitchen(project, None, "feature/x") == kitchen(project, "feature/x")
    assert kitchen(project, "feature/x", "prod") == kitchen(project, "main")


def test_publishing_to_an_environment_from_another_branch(project: Project) -> None:
    """What another branch holds is never published as an environment's."""
    with pytest.raises(Mistake) as caught:
        kitchen(project, "feature/x", "prod", publishes=True)
    assert str(caught.value) == (
        "environment 'prod' is the kitchen of branch 'main', "
        "and 'feature/x' is checked out; `git switch main` first"
    )
    assert kitchen(project, "main", "prod", publishes=True).environment == "prod"
    assert kitchen(project, None, "prod", publishes=True).environment == "prod"


@pytest.mark.parametrize(
    "branch", ["gitkitchen", "gitkitchen/promote/prod", "GitKitchen/x", "gitkitchen-ledger"]
)
def test_our_own_branches_are_never_kitchens(project: Project, branch: str) -> None:
    """Branches under gitkitchen hold records and promotions, never data."""
    for arguments in [(branch, None), (None, branch)]:
        with pytest.raises(Mistake, match="is GitKitchen's own and never a kitchen"):
            kitchen(project, *arguments)


def test_branches_that_only_begin_alike_are_kitchens(project: Project) -> None:
    """gitkitchens/x and gitkitchen-docs are ordinary branches."""
    assert kitchen(project, "gitkitchens/x").is_sandbox
    assert kitchen(project, "gitkitchen-docs").is_sandbox


NAMES = ["-x", "a..b", "a b", "a~1", "a^", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b", "a.", "a@{b"]


@pytest.mark.parametrize("name", [*NAMES, ".a", "a/.b", "a.lock", "a.lock/b", "a\nb", "\x7f"])
def test_override_that_is_no_branch_name(project: Project, name: str) -> None:
    """--kitchen refuses exactly what git would refuse as a branch."""
    assert subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True).returncode
    with pytest.raises(Mistake, match="is no name of an environment or a branch"):
        kitchen(project, None, name)


def valid(name: str) -> bool:
    return (
        bool(name)
        and name.isascii()
        and len(name) <= 48
        and bool(re.fullmatch(r"k_[a-z0-9_]+_[0-9a-f]{12}", name))
    )


PARTS = st.text(st.characters(exclude_characters="\0", codec=None), min_size=1, max_size=90)
HOSTILE = st.one_of(
    PARTS,
    st.lists(
        st.sampled_from(["feature", "-", "/", "_", ".", "x", "X", "ß", "日本", "\u202e", "'; drop--"]),
        min_size=1,
    ).map("".join),
    st.builds(lambda c, n: c * n, st.sampled_from("aA-_/é"), st.integers(1, 300)),
)


@given(st.lists(HOSTILE, min_size=20, max_size=20, unique=True))
def test_hostile_names_map_to_valid_distinct_namespaces(names: list[str]) -> None:
    """More than a thousand branch names, however odd: each has a valid namespace, no two the same."""
    spaces = [namespace("id", "github.com/a/b", name) for name in names]
    assert all(map(valid, spaces)), spaces
    assert len(set(spaces)) == len(names)


def test_names_that_other_tools_mix_up() -> None:
    """S29: feature/x and feature-x, upper and lower case, and long names with one beginning stay apart."""
    names = [
        "feature/x",
        "feature-x",
        "feature_x",
        "Feature/X",
        "x" * 200,
        "x" * 201,
        "é",
        "e\u0301",
        "\udcff",
        "_",
        "/",
    ]
    spaces = {namespace("id", "", name) for name in names}
    assert len(spaces) == len(names)
    assert all(map(valid, spaces))


@given(st.tuples(PARTS, PARTS, PARTS), st.tuples(PARTS, PARTS, PARTS))
def test_no_boundary_between_the_parts_of_an_identity_moves(
    one: tuple[str, str, str], two: tuple[str, str, str]
) -> None:
    """Project, repository and branch are told apart: only equal identities share a namespace."""
    assert (namespace(*one) == namespace(*two)) == (one == two)
    assert namespace("a", "b", "c") != namespace("ab", "", "c") != namespace("a", "", "bc")


def test_namespaces_do_not_change_between_releases() -> None:
    """A namespace is an address of data: this one must be the same in every release."""
    assert namespace("7c1e2b", "github.com/acme/flights", "feature/x") == "k_feature_x_d1cab0114413"


@pytest.mark.parametrize(
    "location",
    [
        "https://github.com/Acme/Flights.git",
        "https://github.com/acme/flights/",
        "git@github.com:acme/flights.git",
        "github.com:acme/flights",
        "ssh://git@github.com:22/acme/flights.git",
        "git://github.com/acme/flights",
    ],
)
def test_one_repository_has_one_name(location: str) -> None:
    """However it was cloned, a repository has one name."""
    assert repository_name(location) == "github.com/acme/flights"


def test_folders_are_repositories_too() -> None:
    """A folder's name keeps its case; no remote at all is the empty name."""
    assert (
        repository_name("/srv/Git/flights.git")
        == repository_name("file:///srv/Git/flights.git")
        == "/srv/Git/flights"
    )
    assert repository_name(None) == ""


@pytest.mark.parametrize(
    "text", ["me/flights:patch-1", "github.com/me/flights:patch-1", "git@github.com:me/flights.git:patch-1"]
)
def test_a_fork_is_named_before_a_colon(project: Project, text: str) -> None:
    """--kitchen takes a fork's branch, however its repository is written; it is always a sandbox."""
    found = kitchen(project, None, text, home=HOME)
    assert (found.repository, found.branch) == ("github.com/me/flights", "patch-1")
    assert found.fork
    assert found.is_sandbox
    assert found.label == "github.com/me/flights:patch-1"
    assert kitchen(project, None, "me/flights:main", home=HOME).is_sandbox


def test_two_forks_with_one_branch_name_do_not_meet(project: Project) -> None:
    """patch-1 of two forks, and ours, are three kitchens."""
    names = ["me/flights:patch-1", "you/flights:patch-1", "patch-1"]
    assert len({kitchen(project, None, name, home=HOME).namespace for name in names}) == 3


def test_our_own_repository_before_a_colon_is_no_fork(project: Project) -> None:
    """The project's own repository, written out, names the kitchen that the branch alone names."""
    named = identify(project, branch=None, repository=None, override="acme/flights:x", home=HOME)
    assert named == identify(project, branch=None, repository=None, override="x", home=HOME)


@pytest.mark.parametrize("name", ["me:patch-1", ":patch-1", "me/flights:", "me/flights:-x", "a:b:c"])
def test_what_is_neither_a_fork_nor_a_branch(project: Project, name: str) -> None:
    """Half a repository is refused with the form that is wanted, and so is a branch that cannot be."""
    with pytest.raises(Mistake, match=r"is no repository|is no name of|cannot"):
        kitchen(project, None, name)


def test_a_later_birth_has_a_namespace_of_its_own() -> None:
    """The first birth has the namespace that it always had; each later one another."""
    names = [namespace("7c1e2b", "", "x", birth) for birth in range(1, 50)]
    assert names[0] == namespace("7c1e2b", "", "x")
    assert len(set(names)) == 49
