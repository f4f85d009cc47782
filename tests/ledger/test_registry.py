"""The registry: namespaces are claimed, births counted, and all of it is in the ledger."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitkitchen.errors import Conflict, Infrastructure, Mistake
from gitkitchen.kitchen.identity import identify
from gitkitchen.ledger import registry
from gitkitchen.ledger.folder import FolderLedger
from gitkitchen.ledger.registry import Moment
from gitkitchen.model import Environment, Kitchen, Project
from shop import Shop

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Desk:
    """A project with its ledger."""

    root: Path
    project: Project = field(init=False)
    ledger: FolderLedger = field(init=False)

    def __post_init__(self) -> None:
        self.project = Project(self.root, "shop", "7c1e2b", (Environment("prod", "main"),), "prod")
        self.ledger = FolderLedger(self.project.state / "ledger")

    def kitchen(self, branch: str) -> Kitchen:
        return identify(self.project, branch=branch, repository=None, override=None)

    def claim(self, branch: str, made: str | None = None, shared: Callable[[], bool] = bool) -> Kitchen:
        moment = Moment(made, shared)
        return registry.claim(self.ledger, self.project, self.kitchen(branch), moment=moment, now=NOW)

    def end(self, kitchen: Kitchen) -> None:
        entry = registry.registered(self.ledger, kitchen.namespace)
        assert entry is not None
        registry.end(self.ledger, entry, "dropped", NOW)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_claim_is_repeatable(desk: Desk) -> None:
    """A kitchen has its namespace for good, and claiming it again writes nothing."""
    one = desk.claim("one")
    desk.claim("two")
    assert desk.claim("one") == one
    assert [(e.branch, e.birth, e.ended) for e in registry.everything(desk.ledger)] == [
        ("one", 1, ""),
        ("two", 1, ""),
    ]
    assert desk.ledger.head(f"kitchens/{one.namespace}") == 1


def test_looking_claims_nothing(desk: Desk) -> None:
    """Who looks is told whether the kitchen was claimed, and leaves no trace."""
    assert registry.find(desk.ledger, desk.project, desk.kitchen("one")) == (desk.kitchen("one"), False)
    assert not desk.project.state.exists()
    desk.claim("one")
    assert registry.find(desk.ledger, desk.project, desk.kitchen("one"))[1] is True


def test_another_identity_under_a_namespace_is_refused(desk: Desk) -> None:
    """Two identities under one namespace: the first has it, the second is told whose it is."""
    one = desk.claim("one")
    body = {"kind": "birth", "project": "other", "repository": "", "branch": "two", "birth": 1}
    two = desk.kitchen("two")
    desk.ledger.append(f"kitchens/{two.namespace}", body | {"environment": None, "at": NOW.isoformat()})
    with pytest.raises(Mistake, match=f"namespace {two.namespace} belongs to branch 'two' of ''") as caught:
        desk.claim("two")
    assert caught.value.problems[0].code == "namespace-taken"
    assert desk.claim("one") == one


def test_a_dropped_kitchen_is_born_again_under_another_namespace(desk: Desk) -> None:
    """After its end the next claim is a new birth: it inherits no stream of the one before."""
    first = desk.claim("one")
    desk.end(first)
    assert not registry.is_alive(desk.ledger, first)
    second = desk.claim("one")
    assert (second.birth, second.branch) == (2, "one")
    assert second.namespace != first.namespace
    desk.end(second)
    assert desk.claim("one").birth == 3


def test_a_branch_made_again_is_a_new_birth(desk: Desk) -> None:
    """Git made the branch at another moment than the one noted: the birth before is over."""
    first = desk.claim("one", "moment 1")
    assert desk.claim("one", "moment 1") == first
    looked, known = registry.find(desk.ledger, desk.project, desk.kitchen("one"), Moment("moment 2"))
    assert (looked.birth, known) == (2, False)
    assert registry.is_alive(desk.ledger, first)
    assert desk.claim("one", "moment 2") == looked
    assert not registry.is_alive(desk.ledger, first)
    assert desk.claim("one", "moment 2") == looked


def test_a_branch_that_a_remote_has_lives_on(desk: Desk) -> None:
    """Checked out again from a remote that still has it, a branch is what it was."""
    first = desk.claim("one", "moment 1")
    assert desk.claim("one", "moment 2", lambda: True) == first
    assert desk.claim("one", "moment 2") == first


def test_no_moment_is_no_news(desk: Desk) -> None:
    """Where Git forgot when the branch was made (an expired reflog), the kitchen stays."""
    first = desk.claim("one", "moment 1")
    assert desk.claim("one", None) == first
    assert desk.claim("one", "moment 1") == first
    assert desk.claim("one", "moment 2").birth == 2


def test_environments_are_never_born_again(desk: Desk) -> None:
    """An environment's branch may be made anew: its data stays its own."""
    first = desk.claim("main", "moment 1")
    assert desk.claim("main", "moment 2") == first
    with pytest.raises(ValueError, match="is an environment's"):
        desk.end(first)


def test_a_sandbox_is_never_an_environment_of_before(desk: Desk) -> None:
    """A branch that is an environment's no more gets a namespace of its own, and the other way round."""
    first = desk.claim("main")
    desk.project = Project(desk.root, "shop", "7c1e2b", (Environment("prod", "other"),), "prod")
    as_sandbox = desk.claim("main")
    assert (as_sandbox.birth, as_sandbox.environment) == (2, None)
    other = desk.claim("other")
    assert (other.birth, other.environment) == (1, "prod")
    assert first.namespace not in (as_sandbox.namespace, other.namespace)


def test_it_is_rebuilt_from_the_ledger(desk: Desk) -> None:
    """Without the local notes, or with damaged ones, every kitchen has the birth that it had."""
    for _ in range(3):
        desk.end(desk.claim("one", "moment 1"))
    last = desk.claim("one", "moment 1")
    notes = desk.project.state / "registry"
    (path,) = notes.iterdir()
    for damage in ("", "{", "[]", '{"birth": "x"}', '{"birth": -1}'):
        path.write_text(damage)
        assert desk.claim("one", "moment 1") == last
    shutil.rmtree(notes)
    assert desk.claim("one", "moment 1") == last
    assert registry.everything(desk.ledger)[-1].project == "7c1e2b"


def test_a_registry_that_cannot_be_read_is_infrastructure(desk: Desk) -> None:
    """Who owns a namespace is then unknown: nothing is claimed, and the message says what to restore."""
    one = desk.claim("one")
    (record,) = (desk.project.state / "ledger/kitchens" / one.namespace).glob("@*/*.json")
    record.chmod(0o644)
    record.write_text("{")
    with pytest.raises(Infrastructure, match="is damaged"):
        desk.claim("one")


def test_an_end_that_comes_too_late_is_refused(desk: Desk) -> None:
    """Two who end one kitchen: the second is told, and nothing is recorded twice."""
    one = desk.claim("one")
    entry = registry.registered(desk.ledger, one.namespace)
    assert entry is not None
    registry.end(desk.ledger, entry, "dropped", NOW)
    with pytest.raises(Conflict):
        registry.end(desk.ledger, entry, "dropped", NOW)


def test_eight_claims_at_once_are_one_birth(desk: Desk) -> None:
    """Whoever comes first, all get the same kitchen, recorded once."""
    found: list[Kitchen] = []
    threads = [threading.Thread(target=lambda: found.append(desk.claim("one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert desk.ledger.head(f"kitchens/{found[0].namespace}") == 1


RECIPE = "version: 1\nrecipe: a\nnodes:\n  x: {sql: select 1 as i, key: [i]}\n"


def test_a_branch_deleted_and_made_again_does_not_inherit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real Git: the sandbox of before is not found under the same name, in the same repository."""
    shop.commit({"recipes/a/recipe.yml": RECIPE})
    assert shop.cli("run", "--quiet").code == 0
    seen = []
    for number in (1, 2):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-01-0{number}T00:00:00Z")
        shop.git("switch", "-q", "-c", "feature/x", "main")
        if number == 2:
            assert shop.rows("from x") == [{"i": 1}]
        shop.commit({"recipes/a/recipe.yml": RECIPE.replace("select 1", f"select 1{number}")})
        assert shop.cli("run", "--quiet").code == 0
        assert shop.rows("from x") == [{"i": 10 + number}]
        seen.append(shop.outcome()["kitchen"]["namespace"])
        shop.git("switch", "-q", "main")
        shop.git("branch", "-q", "-D", "feature/x")
    assert len(set(seen)) == 2


def test_a_branch_that_is_renamed_is_another_kitchen(shop: Shop) -> None:
    """`git branch -m` moves the reflog along: the new name begins anew, and the old one can be looked at."""
    shop.commit({"recipes/a/recipe.yml": RECIPE})
    shop.git("switch", "-q", "-c", "a")
    assert shop.cli("run", "--quiet").code == 0
    shop.git("branch", "-q", "-m", "b")
    assert shop.cli("query", "x").code == 2
    assert shop.cli("query", "x", "--kitchen", "a").code == 0


@pytest.mark.parametrize("branch", ["one", "main"])
def test_a_claim_that_comes_second_writes_nothing(desk: Desk, branch: str) -> None:
    """Whoever is overtaken between looking and writing finds the kitchen claimed, recorded once."""

    class Overtaken(FolderLedger):
        """Looked at, it is still empty; then somebody else claims the kitchen."""

        def head(self, stream: str) -> int:
            if stream.startswith("kitchens/") and not seen:
                seen.append(stream)
                desk.claim(branch)
                return 0
            return super().head(stream)

    seen: list[str] = []
    late = Overtaken(desk.ledger.root)
    found = registry.claim(late, desk.project, desk.kitchen(branch), now=NOW)
    assert seen
    assert desk.ledger.head(f"kitchens/{found.namespace}") == 1
