"""What consumers of a warehouse keep: their grants, their views, the old data where the new is not good."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

import warehouse
from shop import KITCHEN_YML, Shop

Client = psycopg.Connection[Any]
RECIPE = """\
version: 1
recipe: numbers
nodes:
  seed:
    source: {file: seed.csv}
    key: [id]
    tests: [{range: {column: n, min: 0}}]
  totals:
    sql: totals.sql
    tests: [{rows: {min: 1}}]
"""
TOTALS = "select count(*) as many, sum(n) as total from seed\n"


def files(*values: int, totals: str = TOTALS) -> dict[str, str]:
    seed = "id,n\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values))
    folder = "recipes/numbers"
    return {
        f"{folder}/recipe.yml": RECIPE, f"{folder}/seed.csv": seed, f"{folder}/totals.sql": totals
    }  # fmt: skip


@pytest.fixture
def numbers(pg_shop: Shop) -> Shop:
    """A project whose environment has published once."""
    pg_shop.commit(files(1, 2, 3))
    assert pg_shop.cli("run", "--quiet").code == 0
    return pg_shop


def total(client: Client, schema: str = "prod") -> Any:
    row = client.execute(f"SELECT total FROM {schema}.totals").fetchone()
    return row[0] if row else None


def grants(client: Client) -> list[Any]:
    """Every privilege on every relation and column of the consumers' schema, with owner and comment."""
    select = "SELECT c.relname, {}, c.relowner::regrole::text, x.grantee::regrole::text, x.privilege_type, "
    select += (
        "x.is_grantable, obj_description(c.oid), c.reloptions FROM pg_class c{}, LATERAL aclexplode({}) x "
    )
    select += "WHERE c.relnamespace = 'prod'::regnamespace"
    of_columns = select.format("a.attname", " JOIN pg_attribute a ON a.attrelid = c.oid", "a.attacl")
    of_all = select.format("''::name", "", "coalesce(c.relacl, acldefault('r', c.relowner))")
    return client.execute(f"{of_columns} UNION ALL {of_all} ORDER BY 1, 2, 4, 5").fetchall()


def test_new_data_is_published_under_the_old_grants(numbers: Shop, boss: Client, consumer: Client) -> None:
    """Grants on views and columns, options and comments survive new data, columns and types."""
    boss.execute("ALTER DEFAULT PRIVILEGES FOR ROLE kitchen IN SCHEMA prod GRANT SELECT ON TABLES TO reader")
    boss.execute("CREATE ROLE boss_only; GRANT USAGE ON SCHEMA prod TO reader, boss_only")
    try:
        boss.execute("GRANT SELECT (total) ON prod.totals TO reader WITH GRANT OPTION")
        boss.execute("GRANT ALL ON prod.totals TO boss_only")  # MAINTAIN among it, from PostgreSQL 17 on
        boss.execute("COMMENT ON VIEW prod.totals IS 'it''s ours'")
        boss.execute("ALTER VIEW prod.totals SET (security_barrier = true)")
        if boss.info.server_version >= 150_000:
            boss.execute("ALTER VIEW prod.totals SET (security_invoker = false)")
        before = grants(boss)
        assert len(before) >= 4
        for change in (
            files(1, 2, 4),  # the same columns: replaced
            files(1, 2, 5, totals=TOTALS.replace(" from", ", 1 as more from")),  # one more: replaced
            files(1, 2, 6, totals="select sum(n)::text as total, count(*) as many from seed\n"),  # made anew
        ):
            numbers.commit(change)
            assert numbers.cli("run", "--quiet").code == 0
            assert grants(boss) == before
        assert total(consumer) == "9"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            consumer.execute("SELECT many FROM prod.totals")  # the defaults came later than this view
        # What the defaults give is for datasets that are new.
        numbers.commit({"recipes/numbers/recipe.yml": RECIPE + "  fresh: {sql: select 1 as x, key: [x]}\n"})
        assert numbers.cli("run", "--quiet").code == 0
        assert consumer.execute("SELECT x FROM prod.fresh").fetchall() == [(1,)]
    finally:
        boss.execute("DROP OWNED BY boss_only; DROP ROLE boss_only")


def test_what_others_built_on_our_views_stops_the_publication(numbers: Shop, boss: Client) -> None:
    """A view, a materialized view or a table of a stranger on what must be dropped: refused by name, nothing
    is changed, and the same command works once they are gone."""
    boss.execute(
        "CREATE SCHEMA bi; CREATE VIEW bi.dashboard AS SELECT total FROM prod.totals; "
        "CREATE MATERIALIZED VIEW bi.cube AS SELECT many FROM prod.totals; "
        "CREATE TABLE bi.typed (t prod.totals)"
    )
    numbers.commit(files(1, 2, 4))
    assert numbers.cli("run", "--quiet").code == 0, "equal columns disturb nobody"
    assert total(boss) == 7
    numbers.commit(files(1, 2, 5, totals="select sum(n)::text as total from seed\n"))
    said = numbers.cli("run", "--quiet")
    assert said.code == 2
    for name in ("view bi.dashboard", "materialized view bi.cube", "table bi.typed"):
        assert name in said.err
    assert "prod.totals" in said.err
    assert total(boss) == 7
    assert numbers.rows("select total from totals") == [{"total": "7"}], "nothing was published"
    boss.execute("DROP SCHEMA bi CASCADE")
    assert numbers.cli("run", "--quiet").code == 0
    assert total(boss) == "8"


def test_a_dataset_that_is_gone_leaves_the_schema_unless_others_stand_on_it(
    numbers: Shop, boss: Client
) -> None:
    """A removed dataset's view is dropped with the publication; a stranger's view on it is named first."""
    boss.execute("CREATE VIEW public.theirs AS SELECT total FROM prod.totals")
    numbers.commit({"recipes/numbers/recipe.yml": RECIPE[: RECIPE.index("  totals")]})
    said = numbers.cli("run", "--quiet")
    assert said.code == 2
    assert "public.theirs" in said.err
    boss.execute("DROP VIEW public.theirs")
    assert numbers.cli("run", "--quiet").code == 0
    assert [r[0] for r in views(boss)] == ["seed"]


def views(client: Client, schema: str = "prod") -> list[Any]:
    return client.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'v' ORDER BY 1",
        [schema],
    ).fetchall()


def test_a_strangers_table_of_the_name_is_not_touched(numbers: Shop, boss: Client) -> None:
    """A kitchen touches only what it owns: a relation that it did not make is refused by name."""
    boss.execute("CREATE TABLE prod.fresh AS SELECT 'theirs' AS x; ALTER TABLE prod.fresh OWNER TO kitchen")
    numbers.commit({"recipes/numbers/recipe.yml": RECIPE + "  fresh: {sql: select 1 as x, key: [x]}\n"})
    said = numbers.cli("run", "--quiet")
    assert said.code == 2
    assert "prod.fresh is a table that GitKitchen did not make" in said.err
    assert boss.execute("SELECT x FROM prod.fresh").fetchall() == [("theirs",)]


def test_a_failing_test_keeps_the_old_data(numbers: Shop, boss: Client) -> None:
    """Consumers read the old data; the candidate can be queried."""
    numbers.commit(files(1, 2, -50))
    assert numbers.cli("run", "--quiet").code == 1
    assert total(boss) == 6
    assert numbers.rows("select min(n) as least from seed", "--candidate", "last") == [{"least": -50}]
    assert numbers.rows("select min(n) as least from seed") == [{"least": 1}]


def test_what_was_dropped_or_forgotten_is_repaired(numbers: Shop, boss: Client) -> None:
    """A view dropped by hand, or a schema that shows an older publication, is mended by the next command."""
    boss.execute("DROP VIEW prod.totals")
    assert numbers.cli("run", "--quiet").code == 0
    assert total(boss) == 6
    boss.execute("DROP SCHEMA prod CASCADE; DELETE FROM gitkitchen_store.kitchens")
    assert numbers.cli("open", "--path").code == 0
    assert total(boss) == 6


def test_lost_tables_are_built_again(numbers: Shop, boss: Client) -> None:
    """A store schema that is gone is a store that is gone: the next run builds and shows all again."""
    boss.execute("DROP SCHEMA gitkitchen_store CASCADE")
    said = numbers.cli("run", "--quiet")
    assert said.code == 0, said.err
    assert set(numbers.states().values()) == {"passed"}
    assert total(boss) == 6


def test_a_project_moves_to_a_warehouse_and_back(shop: Shop, database: str, boss: Client) -> None:
    """What one engine built is never taken for the other's: the first run on each builds all."""
    from tests.engines.conftest import CONNECTION

    for kitchen, states in (
        (KITCHEN_YML, {"passed"}), (KITCHEN_YML + CONNECTION, {"passed"}),
        (KITCHEN_YML, {"reused"}), (KITCHEN_YML + CONNECTION, {"reused"}),
    ):  # fmt: skip
        shop.commit({"kitchen.yml": kitchen, **files(1, 2, 3)})
        said = shop.cli("run", "--quiet")
        assert said.code == 0, said.err
        assert set(shop.states().values()) == states
        assert int(shop.rows("select total from totals")[0]["total"]) == 6
    assert total(boss) == 6


def test_a_table_that_somebody_changed_is_found(
    numbers: Shop, boss: Client, server: warehouse.Server
) -> None:
    """A version is what was written: rows added to its table are told by the digest."""
    from gitkitchen import holdings, workplace

    asked = workplace.Request(start=numbers.root, environ=dict(os.environ))
    place = workplace.enter(asked)
    version = holdings.tables(place)["seed"]
    assert place.store.verify(version) == []
    boss.execute(f"INSERT INTO gitkitchen_store.{version.relation} VALUES (99, 1)")
    (problem,) = place.store.verify(version)
    assert "holds other rows than were written" in problem.message
    place.close()


def test_commands_without_data_need_no_address(numbers: Shop) -> None:
    """The log, a report, settings and validation work where the secret is not set."""
    del os.environ["WAREHOUSE_DSN"]
    for words in (("log",), ("show",), ("settings",), ("validate",), ("report", "--output", "-")):
        said = numbers.cli(*words)
        assert said.code == 0, (words, said.err)
    said = numbers.cli("query", "seed")
    assert said.code == 2
    assert "the secret WAREHOUSE_DSN has no value" in said.err


def test_a_role_that_may_not_is_told_what_to_grant(pg_shop: Shop, database: str, boss: Client) -> None:
    """Without CREATE on the database nothing is made, and the error says what an administrator must do."""
    boss.execute(f"REVOKE CREATE ON DATABASE {database} FROM kitchen")
    pg_shop.commit(files(1))
    said = pg_shop.cli("run", "--quiet")
    assert said.code == 3
    assert "GRANT CREATE ON DATABASE" in " ".join((said.out + said.err).split())
    boss.execute(
        "CREATE SCHEMA gitkitchen_store AUTHORIZATION kitchen; CREATE SCHEMA prod AUTHORIZATION kitchen"
    )
    assert pg_shop.cli("run", "--quiet").code == 0
    assert total(boss) == 1


def test_the_owner_of_a_view_stays(numbers: Shop, boss: Client) -> None:
    """A view given to another role is that role's after new data and after new columns."""
    boss.execute(
        "CREATE ROLE owning; GRANT owning TO kitchen; GRANT ALL ON SCHEMA prod TO owning; "
        "GRANT USAGE ON SCHEMA gitkitchen_store TO owning; "
        "ALTER DEFAULT PRIVILEGES FOR ROLE kitchen IN SCHEMA gitkitchen_store "
        "GRANT SELECT ON TABLES TO owning; "
        "ALTER VIEW prod.totals OWNER TO owning"
    )
    try:
        for change in (files(1, 2, 4), files(1, 2, 5, totals="select sum(n)::text as total from seed\n")):
            numbers.commit(change)
            said = numbers.cli("run", "--quiet")
            assert said.code == 0, said.err
            owner = boss.execute("SELECT viewowner FROM pg_views WHERE viewname = 'totals'").fetchone()
            assert owner == ("owning",)
        assert total(boss) == "8"
    finally:
        boss.execute("REASSIGN OWNED BY owning TO kitchen; DROP OWNED BY owning; DROP ROLE owning")


def test_a_view_that_may_not_be_changed_says_what_is_lacking(numbers: Shop, boss: Client) -> None:
    """Where the role has not all rights of a view's owner, nothing is published, and a GRANT is named that
    helps. From PostgreSQL 16 on a member may have the owner's rights and not its name."""
    grant = "GRANT owning TO kitchen"
    boss.execute(
        "CREATE ROLE owning; GRANT ALL ON SCHEMA prod TO owning; "
        "GRANT USAGE ON SCHEMA gitkitchen_store TO owning; "
        "GRANT SELECT ON ALL TABLES IN SCHEMA gitkitchen_store TO owning; "
        "ALTER VIEW prod.totals OWNER TO owning"
    )
    try:
        if boss.info.server_version >= 160_000:
            boss.execute(f"{grant} WITH INHERIT TRUE, SET FALSE".encode())
            grant += " WITH INHERIT TRUE, SET TRUE"
        numbers.commit(files(1, 2, 5, totals="select sum(n)::text as total from seed\n"))
        said = numbers.cli("run", "--quiet")
        assert said.code == 3
        assert "the views of schema 'prod' cannot be changed" in said.err
        assert "GRANT their owner TO the role" in said.err
        assert total(boss) == 6
        boss.execute(grant.encode())
        assert numbers.cli("run", "--quiet").code == 0
        owner = boss.execute("SELECT viewowner FROM pg_views WHERE viewname = 'totals'").fetchone()
        assert owner == ("owning",)
    finally:
        boss.execute("REASSIGN OWNED BY owning TO kitchen; DROP OWNED BY owning; DROP ROLE owning")


def test_another_machine_finds_what_was_built(numbers: Shop, tmp_path: Path, boss: Client) -> None:
    """Builds are kept in the warehouse too: a clone that has the ledger and not the store reuses them."""
    import shutil

    shutil.rmtree(numbers.root / ".gitkitchen/store")
    assert numbers.rows("select total from totals") == [{"total": "6"}]
    assert numbers.cli("run", "--quiet").code == 0
    assert set(numbers.states().values()) == {"reused"}


def test_a_sandbox_starts_complete_and_touches_only_itself(numbers: Shop, boss: Client) -> None:
    """A branch sees all of its base without a row being copied; what it publishes only it sees."""

    def stored() -> int:
        row = boss.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'gitkitchen_store'::regnamespace "
            "AND relname ~ '^v_'"
        ).fetchone()
        assert row is not None
        return int(row[0])

    before = stored()
    numbers.git("switch", "-q", "-c", "feature/x")
    assert numbers.cli("open", "--path").code == 0
    settings = json.loads(numbers.cli("settings", "--json").out)
    schema = settings["namespace"]
    assert [r[0] for r in views(boss, schema)] == ["seed", "totals"]
    assert (total(boss, schema), stored()) == (6, before)
    numbers.commit({"recipes/numbers/totals.sql": "select count(*) as many, -sum(n) as total from seed\n"})
    assert numbers.cli("run", "--quiet").code == 0
    assert numbers.states() == {"seed": "reused", "totals": "passed"}
    assert stored() == before + 1
    assert (total(boss, schema), total(boss)) == (-6, 6)


def test_a_forged_manifest_leads_no_environment_to_a_sandboxs_table(numbers: Shop, boss: Client) -> None:
    """A manifest in the trusted zone that names a sandbox's table, or the wrong content, is no build: the
    environment builds its own."""
    numbers.git("switch", "-q", "-c", "feature/x")
    numbers.commit(files(1, 2, 3, totals="select 666 as many, sum(n) as total from seed\n"))
    assert numbers.cli("run", "--quiet").code == 0
    manifest = (
        "SELECT fingerprint, manifest FROM gitkitchen_store.builds WHERE zone {} AND manifest ~ 'totals'"
    )
    forged = boss.execute(manifest.format("~ '^sandbox'")).fetchone()
    honest = boss.execute(manifest.format("~ '^trusted'")).fetchone()
    assert forged is not None
    assert honest is not None
    (relation,) = {v["relation"] for v in json.loads(forged[1])["versions"].values()}
    body = json.loads(honest[1])
    for version in body["versions"].values():
        version["relation"] = relation
    boss.execute(
        "UPDATE gitkitchen_store.builds SET manifest = %s WHERE fingerprint = %s",
        [json.dumps(body), honest[0]],
    )
    for path in (numbers.root / ".gitkitchen/store/trusted/builds").rglob(f"{honest[0]}.json"):
        path.chmod(0o644)
        path.write_text(json.dumps(body))
    numbers.git("switch", "-q", "main")
    assert numbers.cli("run", "--quiet").code == 0
    assert numbers.states() == {"seed": "reused", "totals": "passed"}
    assert boss.execute("SELECT many FROM prod.totals").fetchall() == [(3,)]


def test_what_is_expected_of_a_change_is_judged(numbers: Shop) -> None:
    """Rows, columns and values are compared with what is published, and what moved too far fails."""
    node = (
        "  totals:\n    sql: totals.sql\n    key: [many]\n    expect: {}\n    tests: [{{rows: {{min: 1}}}}]\n"
    )
    text = RECIPE[: RECIPE.index("  totals")]
    within = "{rows: 0%, values: {sum(total): 50%}}"
    for expect, last, code in ((within, 4, 0), (within, 40, 1), ("{columns: {total: 5%}}", 5, 1)):
        numbers.commit({**files(1, 2, last), "recipes/numbers/recipe.yml": text + node.format(expect)})
        assert numbers.cli("run", "--quiet").code == code, expect
    tests = [t for n in numbers.outcome()["nodes"] for t in n["tests"] if t["state"] != "passed"]
    assert [(t["state"], t["metrics"]) for t in tests] == [("failed", {"total changed": 1.0})]
    assert numbers.rows("select total from totals") == [{"total": "7"}]


def test_a_dropped_sandbox_leaves_nothing_in_the_warehouse(numbers: Shop, boss: Client) -> None:
    """Its schema, its tables and its builds go; what the environment has stays."""
    numbers.git("switch", "-q", "-c", "feature/x")
    numbers.commit({"recipes/numbers/totals.sql": "select 5 as many, sum(n) as total from seed\n"})
    everything = "SELECT relname FROM pg_class WHERE oid > 16384 AND relkind IN ('r', 'v') ORDER BY 1"
    before = boss.execute(everything).fetchall()
    assert numbers.cli("run", "--quiet").code == 0
    assert len(boss.execute(everything).fetchall()) == len(before) + 3
    said = numbers.cli("diff", "--data")
    assert (said.code, "+1, -1 rows" in said.out) == (0, True), said.out + said.err
    numbers.git("switch", "-q", "main")
    assert numbers.cli("drop", "feature/x").code == 0
    assert boss.execute(everything).fetchall() == before
    assert boss.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^k_'").fetchone() == (0,)
    assert numbers.cli("run", "--quiet").code == 0
    assert set(numbers.states().values()) == {"reused"}


def test_two_projects_do_not_share_an_environments_schema(
    numbers: Shop, tmp_path: Path, boss: Client
) -> None:
    """`prod` belongs to the project that made it; another's run is refused and changes nothing."""
    other = Shop.begun(tmp_path / "other")
    text = (numbers.root / "kitchen.yml").read_text().replace("0123456789abcdef", "fedcba9876543210")
    other.commit({"kitchen.yml": text, ".gitignore": ".gitkitchen/\n", **files(100)})
    said = other.cli("run", "--quiet")
    assert said.code == 2
    assert "'prod' of this warehouse belongs to another project" in said.err
    assert total(boss) == 6


@pytest.mark.parametrize("name", ["public", "pg_x", "gitkitchen_store"])
def test_environments_with_names_that_schemas_cannot_have_are_refused(pg_shop: Shop, name: str) -> None:
    """An environment must not take the server's, or everybody's, schema."""
    pg_shop.replace("kitchen.yml", "prod: {branch", f"{name}: {{branch")
    pg_shop.replace("kitchen.yml", "{base: prod}", f"{{base: {name}}}")
    pg_shop.commit(files(1))
    said = pg_shop.cli("run", "--quiet")
    assert said.code == 2
    assert "cannot have a schema of its name" in said.err


def test_an_environment_with_a_hyphen_has_its_schema(pg_shop: Shop, boss: Client) -> None:
    """Names of environments are quoted wherever they become schemas."""
    pg_shop.replace("kitchen.yml", "prod: {branch", "prod-eu: {branch")
    pg_shop.replace("kitchen.yml", "{base: prod}", "{base: prod-eu}")
    pg_shop.commit(files(1, 2))
    assert pg_shop.cli("run", "--quiet").code == 0
    assert total(boss, '"prod-eu"') == 3


@pytest.mark.long
def test_a_reader_in_the_middle_of_a_transaction_delays_and_is_never_broken(
    numbers: Shop, server: warehouse.Server, database: str, boss: Client
) -> None:
    """A publication waits for a reader's locks a while at a time, and goes through when they are gone."""
    numbers.commit(files(1, 2, 4))
    with psycopg.connect(server.dsn(database, "boss")) as reader:
        assert total(reader) == 6
        ended = threading.Timer(1.0, reader.rollback)
        ended.start()
        assert numbers.cli("run", "--quiet").code == 0
        ended.join()
        assert total(reader) == 7


def test_a_reader_that_never_ends_is_named_and_nothing_is_published(
    numbers: Shop, server: warehouse.Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publication does not wait for ever: it says whose transaction stands in the way, before anything is
    published, and the same command works when that has ended."""
    from gitkitchen.data.engines import postgres_views

    monkeypatch.setattr(postgres_views, "PATIENCE", 0.5)
    numbers.commit(files(1, 2, 4))
    with psycopg.connect(server.dsn(database, "boss"), application_name="nightly report") as reader:
        assert total(reader) == 6
        said = numbers.cli("run", "--quiet")
        assert said.code == 3
        assert f"boss (nightly report), pid {reader.info.backend_pid}" in said.err
        with psycopg.connect(server.dsn(database, "boss")) as other:
            assert total(other) == 6, "other readers go on"
    assert numbers.rows("select total from totals") == [{"total": "6"}]
    assert numbers.cli("run", "--quiet").code == 0
    assert numbers.rows("select total from totals") == [{"total": "7"}]


def test_readers_see_whole_publications_all_the_time(
    numbers: Shop, server: warehouse.Server, database: str
) -> None:
    """A reader that never stops asking finds one publication in every transaction, never an error."""
    seen: set[int] = set()
    troubles: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(server.dsn(database, "boss")) as client:
            while not stop.is_set():
                with client.transaction():
                    rows = client.execute(
                        "SELECT (SELECT sum(n) FROM prod.seed), (SELECT total FROM prod.totals)"
                    ).fetchone()
                if rows is None or rows[0] != rows[1]:
                    troubles.append(rows)
                else:
                    seen.add(int(rows[0]))
                time.sleep(0.005)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for last in (4, 5, 6):
            numbers.commit(files(1, 2, last))
            assert numbers.cli("run", "--quiet").code == 0
    finally:
        time.sleep(0.1)
        stop.set()
        thread.join()
    assert not troubles
    assert {7, 8, 9} <= seen


# --- secrets ---------------------------------------------------------------------------------------------


def test_the_address_is_seen_nowhere(numbers: Shop) -> None:
    """Neither the password nor the address is in any file, message, report or document."""
    for words in (
        ("run", "--force"), ("run", "--json"), ("show", "--json"), ("settings", "--json"), ("open", "--path"),
        ("plan", "--json"), ("report", "--output", "-"), ("query", "select nosuch from totals"),
    ):  # fmt: skip
        said = numbers.cli(*words)
        assert warehouse.SECRET not in said.out + said.err, words
    for path in numbers.root.rglob("*"):
        if path.is_file():
            assert warehouse.SECRET.encode() not in path.read_bytes(), path
    said = numbers.cli("open", "--path")
    assert said.out.startswith("PGOPTIONS='-c search_path=prod' psql '")
    assert "host=127.0.0.1" in said.out


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("", "the secret WAREHOUSE_DSN has no value"),
        ("nonsense hush-4711-hush", "cannot be read as an address"),
        ("postgresql://u:hush-4711-hush@127.0.0.1:1/db", "nothing listens at the address"),
        ("{wrong}", "the password or the role is wrong"),
        ("{nowhere}", "there is no such database"),
    ],
)
def test_a_warehouse_that_does_not_answer_is_told_without_its_address(
    pg_shop: Shop, server: warehouse.Server, dsn: str, says: str
) -> None:
    """What is wrong and what next, never the address or its password."""
    pg_shop.commit(files(1))
    good = os.environ["WAREHOUSE_DSN"]
    given = dsn.format(wrong=good.replace(warehouse.SECRET, "hush-4711-hush1"), nowhere=server.dsn("nosuch"))
    os.environ["WAREHOUSE_DSN"] = given
    for words in (("run", "--quiet"), ("query", "select 1 as a"), ("plan",)):
        said = pg_shop.cli(*words)
        assert said.code in (2, 3), said
        assert says in said.err
        assert "hush" not in said.err


def test_a_dsn_in_the_file_is_refused(pg_shop: Shop) -> None:
    """An address belongs into a secret: written into kitchen.yml it is refused, and not repeated."""
    pg_shop.commit(
        {
            "kitchen.yml": KITCHEN_YML
            + "connections: {warehouse: {type: postgres, dsn: 'host=h password=hush'}}\n"
        }
    )
    said = pg_shop.cli("validate")
    assert said.code == 2
    assert "secrets.WAREHOUSE_DSN" in said.err + said.out
    assert "hush" not in said.err + said.out
    pg_shop.commit({"kitchen.yml": KITCHEN_YML + "connections: {warehouse: {type: postgres}}\n"})
    assert "needs `dsn`" in pg_shop.cli("validate").out


@pytest.mark.long
def test_of_many_views_some_change_their_columns(pg_shop: Shop, boss: Client) -> None:
    """All views are replaced in one message; where columns of some no longer fit, those are made anew, and
    each of them shows the new data under the grants that it had."""
    names = [f"d{number}" for number in range(7)]
    nodes = "".join(f"  {name}: {{sql: {name}.sql, tests: [{{rows: {{min: 1}}}}]}}\n" for name in names)
    recipe = {"recipes/many/recipe.yml": f"version: 1\nrecipe: many\nnodes:\n{nodes}"}
    pg_shop.commit(recipe | {f"recipes/many/{name}.sql": "select 1 as n\n" for name in names})
    assert pg_shop.cli("run", "--quiet").code == 0
    boss.execute("GRANT USAGE ON SCHEMA prod TO reader")
    for name in names:
        boss.execute(f"GRANT SELECT ON prod.{name} TO reader".encode())
    changed = {name: "'two'" if name in ("d1", "d5", "d6") else "2" for name in names}
    pg_shop.commit({f"recipes/many/{name}.sql": f"select {value} as n\n" for name, value in changed.items()})
    said = pg_shop.cli("run", "--quiet")
    assert said.code == 0, said.out + said.err
    boss.execute("SET ROLE reader")
    shown = {name: boss.execute(f"SELECT n::text FROM prod.{name}".encode()).fetchall() for name in names}
    assert shown == {name: [(value.strip("'"),)] for name, value in changed.items()}
