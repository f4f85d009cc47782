"""Alerts of real runs, seconds after the failing node: told, updated, recovered, and never in the way."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.model import Event, NodeResult, State
from gitkitchen.process import Cancel
from gitkitchen.production.alerting import watching
from gitkitchen.production.running import Work, run_due
from gitkitchen.workplace import Request
from lengths import some
from posts import Posts, posts
from shop import KITCHEN_YML, Shop

ALERTS = """\
alerts:
  channels:
    hook: {type: webhook, url: "${{ secrets.HOOK }}", updates: true}
    chat: {type: slack, url: "${{ secrets.HOOK }}"}
  rules:
    - {channels: [hook], events: [test_failed, test_warned, node_failed, could_not_check]}
    - {channels: [chat], severity: stop, consecutive: 2}
"""
RECIPE = """\
version: 1
recipe: feed
owner: "@ana"
runbook: book.md
nodes:
  orders:
    source: {file: orders.csv}
    tests: [{not_null: [id]}, {rows: {min: 2}}, {unique: [id], severity: warn}]
  total: {sql: select count(*) n from orders, runbook: "https://wiki.example/total"}
"""
GOOD, SHORT = "id,who\n1,eve@secret.example\n2,b\n", "id,who\n1,eve@secret.example\n"


MISTAKES = [
    ("type: slack", "type: slak", "must be github_issue or slack or teams or smtp or webhook"),
    ("channels: [chat]", "channels: [chatt]", "there is no channel 'chatt'; did you mean 'chat'?"),
    ("test_warned", "test_warnd", "did you mean 'test_warned'?"),
    ("updates: true", "update: true", "unknown key 'update'; did you mean 'updates'?"),
    ("type: slack, url:", "type: slack, to: [a@b.example], url:", "`to` means nothing to slack"),
    ('type: slack, url: "${{ secrets.HOOK }}"', "type: slack", "a channel of type slack needs `url`"),
    (
        'type: slack, url: "${{ secrets.HOOK }}"',
        "type: slack, url: https://hooks.example/T0/s3cr3t",
        "the address of slack is a secret",
    ),
    ("consecutive: 2", "consecutive: 0", "must be at least 1"),
    ("consecutive: 2", "environments: [prd]", "there is no environment 'prd'; did you mean 'prod'?"),
    ("consecutive: 2", "quiet: {hours: [daily 22-7 UTC]}", "is no window"),
    ("consecutive: 2", "group: nodes", "did you mean 'node'?"),
    ("consecutive: 2", "most: 0", "must be at least 1"),
    ("updates: true", 'template: {a: "${{ alert.titel }}"}', "did you mean 'title'?"),
    ("updates: true", 'template: {a: "${{ vars.x }}"}', "is nothing that an alert says"),
    ("updates: true", "headers: {Idempotency-Key: x}", "is set already"),
    ("runbook: book.md", "runbook: boook.md", "no such file"),
]
QUICK = (1, 4, 6, 8, 10, 13)
"""Of these those that every run of the tests tries."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    with posts() as made:
        monkeypatch.setenv("HOOK", f"{made.url}/s3cr3tPath")
        yield made


@pytest.fixture
def feed(shop: Shop) -> Shop:
    shop.commit(
        {
            "kitchen.yml": KITCHEN_YML + ALERTS,
            "recipes/feed/recipe.yml": RECIPE,
            "recipes/feed/book.md": "# What to do\n",
            "recipes/feed/orders.csv": GOOD,
        }
    )
    return shop


def orders(feed: Shop, text: str, message: str = "change") -> int:
    feed.commit({"recipes/feed/orders.csv": text}, message)
    return feed.cli("run", "-q").code


def kinds(hook: Posts) -> list[str]:
    return [f"{b['kind']} {b['test'] or b['node']}" for b in hook.bodies if "kind" in b]


def listed(feed: Shop, *words: str) -> list[dict[str, Any]]:
    said = feed.cli("alerts", "--json", *words)
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = json.loads(said.out)["incidents"]
    return found


def test_an_incident_from_its_opening_to_its_end(feed: Shop, hook: Posts) -> None:
    """One message opens it, each further failure updates it, the second tells who wants two in a row, and the
    recovery is told once to everybody who was told."""
    rows = "orders/outputs/rows(min=2)"
    assert orders(feed, GOOD) == 0
    assert hook.got == []
    assert orders(feed, SHORT, "Take a row away") == 1
    assert kinds(hook) == [f"opened {rows}"]
    (told,) = hook.bodies
    assert (told["observed"], told["expected"], told["count"]) == ("1 row", "at least 2 rows", 1)
    assert told["owner"] == "@ana"
    assert told["runbook"] == "recipes/feed/book.md"
    assert "source changed" in told["changed"]
    assert any("Take a row away" in text for text in told["changed"])
    assert told["command"].startswith("gitkitchen query --candidate ")
    assert listed(feed)[0]["told"] == {"hook": {"message": "opened", "state": 1}}
    assert feed.cli("run", "-q").code == 1
    assert [len(hook.got), kinds(hook)[-1]] == [3, f"updated {rows}"]
    assert orders(feed, GOOD, "Bring it back") == 0
    assert kinds(hook)[2:] == [f"closed {rows}"]
    assert len(hook.got) == 5
    assert listed(feed) == []
    (incident,) = listed(feed, "--all")
    assert (incident["state"], incident["failures"]) == ("closed", 2)
    assert feed.cli("run", "-q").code == 0
    assert len(hook.got) == 5


def test_a_warning_is_told_and_ends(feed: Shop, hook: Posts) -> None:
    """A failed `warn` test is an incident of its own; data is published; it recovers as others do."""
    assert orders(feed, "id,who\n1,a\n1,b\n") == 0
    assert [(b["event"], b["severity"]) for b in hook.bodies] == [("test_warned", "warn")]
    assert orders(feed, GOOD) == 0
    assert [b["kind"] for b in hook.bodies] == ["opened", "closed"]


def test_a_node_that_fails_and_one_that_goes(feed: Shop, hook: Posts) -> None:
    """A node's own failure names its runbook; when the node is no part of the recipe any more, it is over."""
    feed.replace("recipes/feed/recipe.yml", "count(*) n", "nothing_of_that n")
    feed.commit()
    assert feed.cli("run", "-q").code == 1
    (told,) = hook.bodies
    assert (told["event"], told["node"], told["runbook"]) == (
        "node_failed",
        "total",
        "https://wiki.example/total",
    )
    assert "gitkitchen run feed --select total" in told["command"]
    lines = RECIPE.splitlines()
    feed.commit({"recipes/feed/recipe.yml": "\n".join(lines[:-1]) + "\n"})
    assert feed.cli("run", "-q").code == 0
    assert [b["kind"] for b in hook.bodies] == ["opened", "closed"]


def stormy(feed: Shop) -> None:
    """Forty tests of one node, and seven nodes of one test, all about the number of rows."""
    feed.replace("kitchen.yml", "severity: stop, consecutive: 2", "severity: stop, most: 3")
    tests = ", ".join(f"{{rows: {{min: 2, max: {90 + k}}}}}" for k in range(40))
    lines = [
        "version: 1",
        "recipe: feed",
        "nodes:",
        f"  orders: {{source: {{file: orders.csv}}, tests: [{tests}]}}",
    ]
    lines += [f"  n{k}: {{sql: select {k} as id, tests: [{{rows: {{min: 2}}}}]}}" for k in range(7)]
    feed.commit({"recipes/feed/recipe.yml": "\n".join(lines) + "\n"})


def test_a_storm_is_few_messages(feed: Shop, hook: Posts) -> None:
    """Forty failing tests of a node and seven failing nodes are 47 incidents; chat gets three messages and,
    when the run ends, one of the rest; another run that fails adds none; and all that is well again is as
    many messages."""

    def chat() -> list[str]:
        return [b["text"] for b in hook.bodies if "kind" not in b]

    stormy(feed)
    assert orders(feed, SHORT) == 1
    assert len(listed(feed)) == 47
    assert len(chat()) == 4
    assert [" more " in text for text in chat()] == [False, False, False, True]
    told = {i["told"]["chat"].get("with", i["incident"]) for i in listed(feed)}
    assert len(told) == 4
    assert "told: chat (opened with a-" in feed.cli("alerts").out
    assert feed.cli("run", "-q").code == 1
    assert len(chat()) == 4
    feed.replace("recipes/feed/recipe.yml", "min: 2}}]}", "min: 1}}]}")
    assert orders(feed, GOOD) == 0
    assert len(chat()) == 8
    assert all("recovered" in text for text in chat()[4:])
    assert listed(feed) == []


def test_a_sandbox_and_a_trial_are_nobodys_business(feed: Shop, hook: Posts) -> None:
    """A branch of one's own fails silently, and so does a run that publishes nothing."""
    feed.git("switch", "-q", "-c", "mine")
    assert orders(feed, SHORT) == 1
    feed.git("switch", "-q", "main")
    feed.write({"recipes/feed/orders.csv": SHORT})
    feed.cli("run", "-q", "--no-publish")
    assert listed(feed) == []
    assert hook.got == []


def test_no_row_and_no_secret_leaves(feed: Shop, hook: Posts) -> None:
    """What a row holds, and the channel's address, are in no message, no record, and nothing that is
    printed."""
    feed.replace(
        "recipes/feed/recipe.yml", "{rows: {min: 2}}", "{accepted_values: {column: who, values: [b]}}"
    )
    feed.commit()
    said = feed.cli("run", "-q")
    assert said.code == 1
    ledger = b"".join(p.read_bytes() for p in (feed.root / ".gitkitchen/ledger/alerts").rglob("*.json"))
    for text in (ledger, *(one.raw for one in hook.got)):
        assert b"eve@secret.example" not in text
        assert b"s3cr3tPath" not in text
    assert "s3cr3tPath" not in said.err + said.out
    assert kinds(hook)


@pytest.mark.parametrize(
    "trouble", some(["down", "refuses", "no-secret", "nonsense"], "refuses", "no-secret")
)
def test_no_verdict_is_changed(
    feed: Shop, hook: Posts, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Whatever is wrong with a channel, the run ends as it would, says so, and the message waits."""
    hook.script = {"down": ["drop"] * 8, "refuses": [403] * 4}.get(trouble, [])
    if trouble == "no-secret":
        monkeypatch.delenv("HOOK")
    if trouble == "nonsense":
        monkeypatch.setenv("HOOK", "ftp://nowhere")
    feed.commit({"recipes/feed/orders.csv": SHORT})
    said = feed.cli("run", "-q")
    assert said.code == 1
    assert "alerts.channels.hook" in said.err
    assert feed.cli("show", "last", "--json").code == 0
    monkeypatch.setenv("HOOK", hook.url)
    hook.script.clear()
    sent = feed.cli("alerts", "send")
    assert (sent.code, sent.out) == (0, "1 sent, 0 waiting\n")
    assert feed.cli("alerts", "send").out == "0 sent, 0 waiting\n"


def test_the_next_command_sends_what_waits(feed: Shop, hook: Posts) -> None:
    """A run that comes after sends what the one before could not, and its own."""
    hook.script = [403, 403]
    orders(feed, SHORT)
    assert hook.got == []
    assert feed.cli("run", "-q").code == 1
    assert kinds(hook) == ["opened orders/outputs/rows(min=2)"]


def test_a_ledger_that_cannot_be_read_loses_no_failure(feed: Shop, hook: Posts) -> None:
    """What failed while the incidents could not be read waits on the disk, and is told when they can."""
    mark = feed.root / ".gitkitchen/ledger/alerts/prod/@head"
    mark.parent.mkdir(parents=True)
    mark.write_text("5")
    feed.commit({"recipes/feed/orders.csv": SHORT})
    said = feed.cli("run", "-q")
    assert said.code == 1
    assert "alerts of 'prod' wait" in said.err
    assert hook.got == []
    mark.unlink()
    assert feed.cli("alerts", "send").out == "1 sent, 0 waiting\n"
    assert kinds(hook) == ["opened orders/outputs/rows(min=2)"]


def test_it_is_told_while_the_run_goes_on(feed: Shop, hook: Posts) -> None:
    """The message of a node that failed leaves while another still runs: that one waits for the message."""
    flag = feed.root.parent / "told"
    script = (
        "import pathlib, sys, time\n"
        "end = time.monotonic() + 60\n"
        "while not pathlib.Path(sys.argv[1]).exists():\n"
        "    assert time.monotonic() < end\n"
        "    time.sleep(0.02)\n"
    )

    def told() -> int:
        flag.touch()
        return 200

    hook.script = [told]
    with (feed.root / "recipes/feed/recipe.yml").open("a") as recipe:
        recipe.write(f"  slow: {{run: python wait.py {flag}, files: [wait.py]}}\n")
    feed.commit({"recipes/feed/wait.py": script})
    assert orders(feed, SHORT) == 1
    assert feed.states()["slow"] == "passed"


def test_a_run_by_the_clock_is_told_as_any_other(feed: Shop, hook: Posts) -> None:
    """Its failure, and its recovery with the next interval."""
    schedule = 'variations: {daily: {schedule: {cron: "0 6 * * *"}}}\nnodes:'
    feed.commit({"recipes/feed/recipe.yml": RECIPE.replace("nodes:", schedule)})

    def due(day: int) -> int:
        now = datetime(2026, 3, day, 12, tzinfo=UTC)
        with watching(feed.root, os.environ, lambda: now, print) as watch:
            return len(run_due(Work(Request(start=feed.root), Cancel(), lambda: now, watch=watch)))

    rows = "orders/outputs/rows(min=2)"
    assert due(1) == 0
    feed.commit({"recipes/feed/orders.csv": SHORT})
    assert due(2) == 1
    assert kinds(hook) == [f"opened {rows}"]
    feed.commit({"recipes/feed/orders.csv": GOOD})
    assert due(3) == 1
    assert kinds(hook) == [f"opened {rows}", f"closed {rows}"]


def test_the_end_waits_a_bounded_time(feed: Shop, hook: Posts) -> None:
    """A server that hangs holds the end of a block up for its bound and no longer; what waits is said."""
    free, said = threading.Event(), list[str]()

    def hang() -> int:
        free.wait(20)
        return 200

    hook.script = [hang]
    now = datetime(2026, 3, 2, tzinfo=UTC)
    begun = time.monotonic()
    with watching(
        feed.root, {"HOOK": hook.url}, lambda: now, lambda p: said.append(str(p)), bound=0.3
    ) as watch:
        watch.unable("prod", "feed", "the disk is full", now)
    free.set()
    assert time.monotonic() - begun < 15
    assert any("not sent in time" in text for text in said)


def test_a_channel_is_tested(feed: Shop, hook: Posts) -> None:
    """`alerts test` sends a marked message to each channel, or to one, and says what the server answered."""
    said = feed.cli("alerts", "test")
    assert (said.code, said.out) == (0, "hook: sent: 200 ok\nchat: sent: 200 ok\n")
    assert all("[TEST]" in json.dumps(b) for b in hook.bodies)
    hook.script = [404]
    said = feed.cli("alerts", "test", "chat")
    assert (said.code, said.out) == (3, "chat: refused: 404 no\n")
    said = feed.cli("alerts", "test", "chatt")
    assert said.code == 2
    assert "did you mean 'chat'?" in said.err


def test_without_rules_nothing_is_started(shop: Shop) -> None:
    """A project without alerts has no thread for them, and `alerts` says that nothing is open."""
    with watching(shop.root, {}, lambda: datetime.now(UTC), lambda _p: None) as watch:
        assert not watch.on
        watch.on_event(Event("finished", "n", result=NodeResult("n", "sql", State.FAILED)))
        assert watch.waiting.empty()
    assert shop.cli("alerts").out == "nothing is open\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [pytest.param(*m, marks=[] if n in QUICK else pytest.mark.long) for n, m in enumerate(MISTAKES)],
    ids=str,
)
def test_mistakes_are_found_where_they_stand(feed: Shop, old: str, new: str, said: str) -> None:
    """`validate` names file and line, what is wrong, and what was meant; never a secret."""
    file = "recipes/feed/recipe.yml" if "runbook" in old else "kitchen.yml"
    feed.replace(file, old, new)
    found = feed.cli("validate")
    assert found.code == 2
    line = next(
        n for n, text in enumerate((feed.root / file).read_text().splitlines(), 1) if new[:14] in text
    )
    assert f"{file}:{line}: " in found.out
    assert said in found.out
    assert "s3cr3t" not in found.out


def test_cancelled_is_told_at_once(feed: Shop, hook: Posts) -> None:
    """Where the run is asked to end, the end waits hardly at all."""
    cancel = Cancel()
    cancel.set(15)
    now = datetime(2026, 3, 2, tzinfo=UTC)
    with watching(
        feed.root, {"HOOK": hook.url}, lambda: now, lambda _p: None, hurried=lambda: cancel.is_set
    ) as watch:
        watch.unable("prod", "feed", "gone", now)
    assert [b["said"] for b in hook.bodies] == ["gone"]


@pytest.mark.long
def test_what_a_kill_leaves_is_sent(feed: Shop, hook: Posts, tmp_path: Path) -> None:
    """kill -9 of the command as a server takes its message: the next one sends what is left, and records
    all."""
    doomed: list[Any] = []

    def kill() -> str:
        doomed[0].kill()
        return "cut"

    hook.script = [kill]
    feed.commit({"recipes/feed/orders.csv": SHORT})
    doomed.append(feed.spawn("run", "-q"))
    doomed[0].communicate(timeout=60)
    assert feed.cli("run", "-q").code == 1
    (incident,) = listed(feed)
    assert incident["told"]["hook"]["message"] in ("opened", "updated")
    assert len({one.headers["idempotency-key"] for one in hook.got if b'"opened"' in one.raw}) == 1
