"""A push or a press without answer is neither done nor not: it is made void, and then looked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.promoting.test_landing_on_a_forge import town

from gitkitchen.github.api import Client
from gitkitchen.github.trouble import Trouble
from gitkitchen.promote.protocol import Purpose, Way, route
from gitkitchen.road import effects
from road import TWO, Remote, remote, tree
from shop import Said, Shop
from town import Town
from walks import names_of, strays, watched

__all__ = ["town"]
DEAF = """\
#!/bin/sh
set -e
lines=$(cat)
case "$lines" in *refs/heads/staging*) ;; *) exit 0;; esac
printf '%s\\n' "$lines" > {asked}
kill -9 $PPID
"""
"""A remote that ends without an answer whenever the environment's branch is pushed."""
LEDGER = "gitkitchen-ledger"


@pytest.fixture
def host(tmp_path: Path) -> Remote:
    return remote(tmp_path, TWO)


def deafen(host: Remote, hook: str) -> Path:
    """``pre-receive``: nothing arrives; ``post-receive``: all does."""
    path = host.path / "hooks" / hook
    path.parent.mkdir(exist_ok=True)
    path.write_text(DEAF.format(asked=host.folder / "asked"))
    path.chmod(0o755)
    return path


def promote(host: Remote, shop: Shop) -> Said:
    return host.job(shop, "main", "promote", "staging", "--quiet")


def moves(host: Remote) -> int:
    if not host.git("for-each-ref", f"refs/heads/{LEDGER}"):
        return 0
    return host.git("ls-tree", "-r", "--name-only", LEDGER).count("promotions/")


def late(host: Remote, shop: Shop) -> bool:
    """The push that had no answer arrives now, as it was asked for; whether it was taken."""
    asked = [line.split() for line in (host.folder / "asked").read_text().splitlines()]
    words = ["git", "push", "-q", "--atomic"]
    words += [f"--force-with-lease={name}:{'' if set(old) == {'0'} else old}" for old, _, name in asked]
    words += ["origin", *[f"{new}:{name}" for _, new, name in asked]]
    done = subprocess.run(words, cwd=shop.root, check=False, capture_output=True, text=True)
    return done.returncode == 0


@pytest.mark.long
def test_a_push_whose_answer_was_lost_has_landed_once(host: Remote) -> None:
    """It arrived, and its answer did not: it is found by what it brought, and recorded once."""
    deafen(host, "post-receive")
    said = promote(host, host.clone("job", "main"))
    assert said.code == 0, said.out + said.err
    assert moves(host) == 1
    assert host.git("rev-parse", "staging^{tree}") == host.git("rev-parse", "develop^{tree}")


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after", "never"])
def test_a_push_without_answer_is_void_before_it_is_judged(host: Remote, when: str) -> None:
    """Arriving before the lease is renewed, it has landed; behind that it is refused: as is said."""
    shop, hook = host.clone("job", "main"), deafen(host, "pre-receive")
    taken: list[bool] = []

    def arrive(name: str, moment: str) -> None:
        if (name, moment) == ("renew-lease", "before"):
            hook.unlink()
        if (name, moment) == ("renew-lease", when):
            taken.append(late(host, shop))

    effects.watchers.append(arrive)
    try:
        with watched() as walk:
            said = promote(host, shop)
    finally:
        effects.watchers.remove(arrive)
    landed = when == "before"
    assert taken == {"before": [True], "after": [False], "never": []}[when]
    assert said.code == (0 if landed else 3), said.out + said.err
    assert ("nothing was changed" in said.out + said.err) is not landed
    assert moves(host) == int(landed)
    assert (host.git("rev-parse", "staging") != host.git("rev-parse", "main")) is landed
    assert strays(route(Purpose.FORWARD, Way.PUSH), walk.steps, forge=False) == []
    assert "renew-lease" in walk.steps
    said = promote(host, shop)
    assert said.code == 0, said.out + said.err
    assert moves(host) == 1
    assert tree(shop, "origin/develop") == host.git("rev-parse", "staging^{tree}")
    assert set(walk.steps) <= names_of(Purpose.FORWARD, way=Way.PUSH)


@pytest.mark.long
def test_a_remote_that_stays_silent_leaves_it_open(host: Remote) -> None:
    """Where not even the lease can be renewed, nobody claims that nothing was changed."""
    shop, hook = host.clone("job", "main"), deafen(host, "pre-receive")

    def close(name: str, moment: str) -> None:
        if (name, moment) == ("renew-lease", "before"):
            hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
        if (name, moment) == ("give-back-lease", "before"):
            hook.unlink()

    effects.watchers.append(close)
    try:
        said = promote(host, shop)
    finally:
        effects.watchers.remove(close)
    assert said.code == 3, said.out + said.err
    assert "nothing was changed" not in said.out + said.err
    assert promote(host, shop).code == 0
    assert moves(host) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "late"),
    [("reset-after", False), ("reset", False), ("reset", True)],
    ids=["pressed", "not-pressed", "pressed-late"],
)
def test_a_press_without_answer_is_void_before_it_is_judged(town: Town, kind: str, late: bool) -> None:
    """The forge takes the press and says nothing, or never had it: what is said in the end is true. One that
    comes when the candidate is taken away merges nothing."""
    town.repo.protect("staging")
    before = town.repo.head("staging")
    town.forge.fail(kind, verb="PUT", path="/merge$", times=-1)

    def press(name: str, moment: str) -> None:
        if (name, moment) == ("merge-button", "before"):
            town.forge.fail("502", verb="GET", path=r"/pulls/\d+$", times=-1)
        if (name, moment) == ("void-candidate", "before"):
            town.forge.heal()
        if late and (name, moment) == ("void-candidate", "after"):
            (pull,) = town.pulls()
            token = town.forge.user_token("petra")
            url, repo = town.forge.api_url, town.repo.full_name
            client = Client(url, token, repo, clock=town.time, sleep=town.time.sleep)
            with client, pytest.raises(Trouble):
                client.merge_pull(pull.number, pull.head_sha, "late", "")

    effects.watchers.append(press)
    try:
        with watched() as walk:
            said = town.promote("staging")
    finally:
        effects.watchers.remove(press)
    landed = kind == "reset-after"
    steps = [s for s in walk.steps if s != "atomic-push"]
    assert "void-candidate" in steps, said.out
    assert strays(route(Purpose.FORWARD, Way.BUTTON), steps, forge=True) == []
    assert said.code == (0 if landed else 3), said.out
    assert ("nothing was changed" in said.out) is not landed
    assert (town.repo.head("staging") != before) is landed
    assert len(town.moves("staging")) == int(landed)
    assert town.promote("staging").code == 0
    (move,) = town.moves("staging")
    assert (move["move"], move["method"]) == ("landing", "button")
    assert town.rows("staging") == [("AA",)]
