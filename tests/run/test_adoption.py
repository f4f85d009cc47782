"""An environment takes what a sandbox built only where the ledger, the bytes and the tests all agree."""

from __future__ import annotations

import json
import shutil
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from gitkitchen.files import digest_bytes
from gitkitchen.kitchen.identity import namespace
from gitkitchen.ledger.folder import FolderLedger
from lengths import some
from shop import Shop

PROJECT = "0123456789abcdef"
FEATURE = namespace(PROJECT, "", "feature")
RECIPE = """\
version: 1
recipe: sales
nodes:
  orders: {source: {file: orders.csv}, key: [id]}
  totals:
    sql: "select country, sum(amount) as total from orders group by country"
    key: [country]
    tests: [{range: {column: total, min: 0, max: 1000}}]
  shares: {sql: "select total / 2 as half from totals", tests: [{rows: {min: 1}}]}
"""
FILES = {
    "recipes/sales/recipe.yml": RECIPE,
    "recipes/sales/orders.csv": "id,country,amount\n1,DE,10\n2,FR,30\n",
}
RIGHT = [{"country": "DE", "total": 20}, {"country": "FR", "total": 60}]


def prepare(root: Path) -> Shop:
    """Prod has run; a sandbox changed `totals` and ran; main was moved to its commit, and has not run."""
    made = Shop.begun(root)
    kitchen = (
        f"version: 1\nproject: {{name: shop, id: {PROJECT}}}\nenvironments: {{prod: {{branch: main}}}}\n"
    )
    made.commit({"kitchen.yml": kitchen, ".gitignore": ".gitkitchen/\n", **FILES})
    assert made.cli("run").code == 0
    made.git("switch", "-q", "-c", "feature")
    made.replace("recipes/sales/recipe.yml", "sum(amount)", "sum(2 * amount)")
    made.commit()
    said = made.cli("run")
    assert said.code == 0, said.out + said.err
    made.git("switch", "-q", "main")
    made.git("merge", "-q", "--ff-only", "feature")
    return made


@pytest.fixture(scope="module")
def merged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("merged") / "shop").root


@pytest.fixture
def merged(merged_once: Path, tmp_path: Path) -> Shop:
    """A copy of the prepared project, to be attacked."""
    shutil.copytree(merged_once, tmp_path / "shop", symlinks=True)
    return Shop(tmp_path / "shop")


def reasons(shop: Shop) -> dict[str, tuple[str, str]]:
    return {n["node"]: (n["state"], "; ".join(n["reasons"])) for n in shop.outcome()["nodes"]}


def store(shop: Shop) -> Path:
    return shop.root / ".gitkitchen" / "store"


def zone(shop: Shop) -> Path:
    return store(shop) / "sandbox" / FEATURE


def claim_of(shop: Shop, node: str = "totals") -> tuple[Path, dict[str, Any], Path]:
    """The sandbox's build of a node: its file, what it says, and its one file of data."""
    for path in zone(shop).glob("builds/*/*.json"):
        value = json.loads(path.read_bytes())
        if value["node"] == node:
            file = value["versions"][node]["files"][0]
            (data,) = zone(shop).glob(f"files/*/{file['digest']}*")
            return path, value, data
    raise AssertionError(f"the sandbox did not build {node}")


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def poison(shop: Shop) -> bytes:
    """Parquet of the right shape with wrong numbers, which pass every test."""
    from gitkitchen.data.engines.duckdb import duckdb

    path = shop.root / "poison.parquet"
    with duckdb.connect() as connection:
        select = "select * from (values ('DE', 666::hugeint), ('FR', 666::hugeint)) t(country, total)"
        connection.execute(f"copy ({select}) to '{path}' (format parquet)")
    data = path.read_bytes()
    path.unlink()
    return data


def keep_poison(shop: Shop, data: bytes) -> dict[str, Any]:
    """The poison under its true digest in the sandbox's zone; its entry in a manifest."""
    digest = digest_bytes(data)
    path = zone(shop) / "files" / digest[0] / f"{digest}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"digest": digest, "bytes": len(data), "rows": 2, "suffix": ".parquet"}


# --- what is adopted ------------------------------------------------------------------------------


def test_what_a_sandbox_built_is_adopted_and_tested_again(merged: Shop) -> None:
    """Nothing is built twice: prod takes the sandbox's bytes, judges the tests, and keeps its own copy."""
    assert merged.cli("run").code == 0
    said = reasons(merged)
    assert said["totals"] == ("reused", "adopted from feature, tested again")
    assert said["shares"] == ("reused", "adopted from feature, tested again")
    tests = [t for n in merged.outcome()["nodes"] for t in n["tests"] if n["node"] != "orders"]
    assert tests
    assert not any(t["reused"] for t in tests)
    shutil.rmtree(store(merged) / "sandbox")
    assert merged.rows("from totals order by country") == RIGHT
    assert set(reasons_after(merged).values()) == {"reused"}, "it is prod's own by now"


def reasons_after(shop: Shop) -> dict[str, str]:
    assert shop.cli("run").code == 0
    return shop.states()


def test_adopt_rebuild_builds_its_own(merged: Shop) -> None:
    """`adopt: rebuild` takes nothing from sandboxes."""
    merged.replace("kitchen.yml", "{branch: main}", "{branch: main, adopt: rebuild}")
    merged.commit()
    assert merged.cli("run").code == 0
    assert merged.states()["totals"] == "passed"
    assert merged.rows("from totals order by country") == RIGHT


def test_force_builds(merged: Shop) -> None:
    """Who forces a build gets one."""
    assert merged.cli("run", "--force").code == 0
    assert set(merged.states().values()) == {"passed"}


def test_a_node_with_secrets_is_never_adopted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it read with the sandbox's secret is not what it reads with the environment's."""
    monkeypatch.setenv("TOKEN", "x")
    text = """\
version: 1
recipe: r
nodes:
  one: {sql: select 1 as x, tests: [{rows: {min: 1}}]}
  made:
    run: cp a.txt "$GITKITCHEN_OUTPUT_MADE"
    outputs: {made: made.txt}
    secrets: [TOKEN]
    files: [a.txt]
"""
    shop.commit({"recipes/r/recipe.yml": text, "recipes/r/a.txt": "a"})
    shop.git("switch", "-q", "-c", "feature")
    said = shop.cli("run")
    assert said.code == 0, said.out + said.err
    shop.git("switch", "-q", "main")
    assert shop.cli("run").code == 0
    assert shop.states() == {"one": "reused", "made": "passed"}


def test_what_another_recipe_of_a_fork_says_is_not_believed(merged: Shop) -> None:
    """A record of a fork, of another recipe, or of a branch that is not the stream's, vouches for nothing."""
    ledger = FolderLedger(merged.root / ".gitkitchen" / "ledger")
    (record,) = ledger.read(f"runs/{FEATURE}/sales")
    shutil.rmtree(merged.root / ".gitkitchen" / "ledger" / "runs" / FEATURE)
    fork = dict(record.body) | {"kitchen": {"repository": "github.com/else/shop", "branch": "feature"}}
    ledger.append(f"runs/{namespace(PROJECT, 'github.com/else/shop', 'feature')}/sales", fork)
    ledger.append(f"runs/{FEATURE}/sales", fork)
    ledger.append(f"runs/{FEATURE}/other", record.body)
    ledger.append(f"runs/{namespace(PROJECT, '', 'x')}/sales", record.body)
    ledger.append(f"runs/{FEATURE}/sales", {"kitchen": 3, "built": [None]})
    assert merged.cli("run").code == 0
    assert merged.states()["totals"] == "passed"


# --- freshness --------------------------------------------------------------------------------------


@dataclass
class Feed:
    """A source on the web that changes every day."""

    url: str
    text: str = ""


@pytest.fixture
def feed() -> Iterator[Feed]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = made.text.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Answer) as server:
        made = Feed(f"http://127.0.0.1:{server.server_address[1]}/orders.csv")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def test_three_daily_loads_between_build_and_adoption_never_take_data_back(shop: Shop, feed: Feed) -> None:
    """The sandbox's version of day 1 is not adopted on day 4: what readers see is never older than before."""

    def load(day: int) -> None:
        feed.text = "id,day\n" + "".join(f"{n},{n}\n" for n in range(1, day + 1))
        said = shop.cli("run")
        assert said.code == 0, said.out + said.err
        seen.append(shop.rows("select max(last) as day from newest")[0]["day"])

    seen: list[int] = []
    recipe = f"""\
version: 1
recipe: daily
nodes:
  orders: {{source: {{url: "{feed.url}"}}, key: [id]}}
  newest: {{sql: "select max(day) as last from orders", tests: [{{rows: {{between: [1, 1]}}}}]}}
"""
    shop.commit({"recipes/daily/recipe.yml": recipe})
    load(1)
    shop.git("switch", "-q", "-c", "feature")
    shop.replace("recipes/daily/recipe.yml", "max(day) as last", "max(day) as last, count(*) as n")
    shop.commit()
    said = shop.cli("run")
    assert said.code == 0, said.out + said.err
    assert shop.states() == {"orders": "reused", "newest": "passed"}
    shop.git("switch", "-q", "main")
    for day in (2, 3, 4):
        load(day)
    shop.git("merge", "-q", "--ff-only", "feature")
    load(4)
    assert shop.states()["newest"] == "passed", "the stale version was not adopted"
    assert shop.rows("from newest") == [{"last": 4, "n": 4}]
    # The same sandbox again, on today's data: now its version is the one that is needed.
    shop.git("switch", "-q", "feature")
    shop.replace("recipes/daily/recipe.yml", "count(*) as n", "count(*) as rows_seen")
    shop.commit()
    assert shop.cli("run").code == 0
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--ff-only", "feature")
    load(4)
    assert shop.states()["newest"] == "reused"
    assert "adopted from feature" in reasons(shop)["newest"][1]
    assert seen == sorted(seen) == [1, 2, 3, 4, 4, 4]


# --- poison -----------------------------------------------------------------------------------------


def swapped(shop: Shop) -> None:
    """Other bytes of the same number under the same name."""
    data = claim_of(shop)[2]
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    overwrite(data, bytes(raw))


def cut(shop: Shop) -> None:
    """A file that ends too early."""
    data = claim_of(shop)[2]
    overwrite(data, data.read_bytes()[:-1])


def gone(shop: Shop) -> None:
    """No file at all."""
    claim_of(shop)[2].unlink()


def linked(shop: Shop) -> None:
    """A link in the file's place."""
    data = claim_of(shop)[2]
    shutil.move(data, shop.root / ".gitkitchen" / "elsewhere")
    data.symlink_to(shop.root / ".gitkitchen" / "elsewhere")


def another_file(shop: Shop) -> None:
    """A manifest that names poison, with its right digest and the content digest of the truth."""
    path, value, _ = claim_of(shop)
    value["versions"]["totals"]["files"] = [keep_poison(shop, poison(shop))]
    overwrite(path, json.dumps(value).encode())


def wrong_size(shop: Shop) -> None:
    """A manifest with another number of bytes."""
    path, value, _ = claim_of(shop)
    value["versions"]["totals"]["files"][0]["bytes"] += 1
    overwrite(path, json.dumps(value).encode())


def lying_figures(shop: Shop) -> None:
    """A manifest whose statistics would answer the tests."""
    path, value, _ = claim_of(shop)
    value["versions"]["totals"]["stats"] = {"total": [0, "1", "2"], "country": [0, "A", "B"]}
    overwrite(path, json.dumps(value).encode())


def another_dataset(shop: Shop) -> None:
    """The build of `shares` in the place of that of `totals`."""
    path, value, _ = claim_of(shop)
    other = claim_of(shop, "shares")[1]
    overwrite(path, json.dumps(other | {"fingerprint": value["fingerprint"]}).encode())


def forged_record(shop: Shop) -> None:
    """Poison, and a record about it that was written by hand: it follows nothing and has no seal."""
    another_file(shop)
    folder = shop.root / ".gitkitchen" / "ledger" / "runs" / FEATURE / "sales" / "@000000"
    record = json.loads((folder / "000000001.json").read_bytes())
    record |= {"sequence": 2}
    (folder / "000000002.json").write_text(json.dumps(record))


def record_of_something_else(shop: Shop) -> None:
    """Poison, and a well-formed record that seals another build of the same fingerprint."""
    ledger = FolderLedger(shop.root / ".gitkitchen" / "ledger")
    (record,) = ledger.read(f"runs/{FEATURE}/sales")
    body = json.loads(json.dumps(record.body))
    body["built"]["totals"]["build"] = "0" * 64
    another_file(shop)
    ledger.append(f"runs/{FEATURE}/sales", body)


def whole_forgery_that_fails_tests(shop: Shop) -> None:
    """Poison with a consistent manifest and record: the tests still see its rows."""
    from gitkitchen.data.engines.duckdb import duckdb
    from gitkitchen.data.engines.writing import content_of
    from gitkitchen.data.manifest import build_from_json
    from gitkitchen.run.sealing import build_seal

    path, value, _ = claim_of(shop)
    file = shop.root / "poison.parquet"
    with duckdb.connect() as connection:
        select = "select * from (values ('DE', 9999::hugeint), ('DE', 1::hugeint)) t(country, total)"
        connection.execute(f"copy ({select}) to '{file}' (format parquet)")
        version = value["versions"]["totals"]
        version["content"] = content_of(connection, [file])[2]
    version["files"] = [keep_poison(shop, file.read_bytes())]
    version["stats"] = {"total": [0, "1", "2"], "country": [0, "A", "B"]}
    file.unlink()
    overwrite(path, json.dumps(value).encode())
    ledger = FolderLedger(shop.root / ".gitkitchen" / "ledger")
    (record,) = ledger.read(f"runs/{FEATURE}/sales")
    body = json.loads(json.dumps(record.body))
    body["built"]["totals"]["build"] = build_seal(build_from_json(value))
    ledger.append(f"runs/{FEATURE}/sales", body)


ATTACKS = [
    swapped, cut, gone, linked, another_file, wrong_size, lying_figures, another_dataset,
    forged_record, record_of_something_else, whole_forgery_that_fails_tests,
]  # fmt: skip


@pytest.mark.parametrize(
    "attack", some(ATTACKS, swapped, linked, forged_record, lying_figures), ids=lambda a: a.__name__
)
def test_poison_in_a_sandboxs_zone_is_never_read(merged: Shop, attack: Callable[[Shop], None]) -> None:
    """Whatever lies there, prod builds its own, publishes the truth, and its store verifies."""
    attack(merged)
    said = merged.cli("run")
    assert said.code == 0, said.out + said.err
    assert merged.states()["totals"] == "passed", "it was built, not adopted"
    assert merged.rows("from totals order by country") == RIGHT
    for path in (store(merged) / "trusted").glob("files/*/*"):
        assert digest_bytes(path.read_bytes()) == path.name.partition(".")[0]
        assert not path.is_symlink()


def test_a_node_that_writes_into_the_store_poisons_nobody(shop: Shop) -> None:
    """A program of a sandbox writes another node's version into its zone and links into trusted: the
    environment neither adopts it nor what was built from it."""
    evil = """\
version: 1
recipe: sales
nodes:
  orders: {source: {file: orders.csv}, key: [id]}
  evil: {needs: [orders], run: "PYTHON evil.py", files: [evil.py]}
  totals:
    needs: [evil]
    sql: "select country, sum(2 * amount) as total from orders group by country"
    key: [country]
  shares: {sql: "select total / 2 as half from totals", tests: [{rows: {min: 1}}]}
"""
    program = f"""\
import os, pathlib, duckdb
zone = pathlib.Path({str(shop.root)!r}) / ".gitkitchen/store/sandbox/{FEATURE}"
for path in zone.glob("files/*/*.parquet"):
    os.chmod(path, 0o644)
    size, lie = path.stat().st_size, str(path) + ".lie"
    if "amount" not in [row[0] for row in duckdb.sql(f"describe from '{{path}}'").fetchall()]:
        continue
    # Other numbers in as many bytes: the name and the size still fit.
    select = f"select id, country, if(amount = 30, 99, amount)::BIGINT as amount from '{{path}}'"
    for pad in range(100):
        more = f"kv_metadata {{{{p: '{{'x' * pad}}'}}}}"
        duckdb.sql(f"copy ({{select}}) to '{{lie}}' (format parquet, compression zstd, {{more}})")
        data = pathlib.Path(lie).read_bytes()
        if len(data) == size:
            break
    assert len(data) == size, (len(data), size)
    path.write_bytes(data)
    os.unlink(lie)
for a in "0123456789abcdef":
    folder = zone / "../../trusted/files" / a
    folder.mkdir(parents=True, exist_ok=True)
    (folder / (a * 64 + ".parquet")).symlink_to(zone / "files")
"""
    evil = evil.replace("PYTHON", sys.executable)
    # On main the same recipe without the program: its fingerprints are those of the sandbox.
    clean = "".join(line for line in evil.splitlines(True) if "evil" not in line)
    shop.commit({**FILES, "recipes/sales/recipe.yml": RECIPE})
    assert shop.cli("run").code == 0
    shop.git("switch", "-q", "-c", "feature")
    shop.write({"recipes/sales/orders.csv": "id,country,amount\n1,DE,10\n2,FR,30\n3,IT,1\n"})
    shop.commit({"recipes/sales/recipe.yml": evil, "recipes/sales/evil.py": program})
    assert shop.cli("run").code == 0
    assert {"country": "FR", "total": 198} in shop.rows("from totals"), "the sandbox itself is poisoned"
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--ff-only", "feature")
    shop.commit({"recipes/sales/recipe.yml": clean})
    said = shop.cli("run")
    assert said.code == 0, said.out + said.err
    assert set(shop.states().values()) <= {"passed", "reused"}
    rows = shop.rows("from totals order by country")
    assert rows == [*RIGHT, {"country": "IT", "total": 2}]
    adopted = [why for _, why in reasons(shop).values() if "adopted" in why]
    assert adopted == []


def test_a_link_in_a_trusted_files_place_is_no_file(merged: Shop) -> None:
    """What a program of the same user puts in the place of a trusted file is built again, not followed."""
    for path in (store(merged) / "trusted").glob("files/*/*"):
        target = merged.root / ".gitkitchen" / path.name
        shutil.move(path, target)
        path.symlink_to(target)
    assert merged.cli("run").code == 0
    assert merged.states()["orders"] == "passed", "it was there, and not as a file"
    assert merged.rows("from totals order by country") == RIGHT
