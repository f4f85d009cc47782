"""The pages of a site: whole, linked, inert, and never greener than what is known."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkitchen.document import departures
from gitkitchen.page.health import histories, of_place, of_run, standings
from gitkitchen.page.machines import files, status
from gitkitchen.page.markdown import as_html
from gitkitchen.page.measures import delivery
from gitkitchen.page.rendering import POLICY, Page, render, slug
from gitkitchen.page.shapes import Run, Site
from gitkitchen.page.views import pages
from gitkitchen.page.views.parts import Studio
from gitkitchen.page.writing import write_site
from lengths import some
from page.looks import dead_links
from page.made_site import NOW, made_site
from strict import Reader

GOLDEN = Path(__file__).parent / "golden"
TAGS = {"p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "em", "strong", "code", "pre", "blockquote", "a", "hr"}
TAGS |= {"br", "table", "thead", "tbody", "tr", "th", "td"}
FIELDS = ["run", "started", "finished", "nodes", "at", "took", "tries", "rows", "metrics", "tests", "failing"]
FIELDS += ["failed", "kitchen", "subject", "publication", "interval", "url", "verdict"]
NAUGHTY = {
    "tags": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "template": "{{ 7*7 }}{% for x in y %}${{ 1 }}",
    "entities": "&lt;script&gt;&#x3c;b&#x3e;&amp;",
    "bidi": "\u202edetrevni\u2066\u200f\u061c",
    "controls": "\x00\x07\x1b[31m\x7f\r\n\u2028\u0085",
    "surrogate": "\ud800\udfff",
    "url": "javascript:alert(1)//../../../etc/passwd",
    "ending": "</title></style></script></svg>-->]]>",
    "markdown": "![x](javascript:alert(1)) [y](data:text/html,x) <b>z</b>",
    "quotes": "\\\"'`${x}\\u003c",
    "long": "a" * 3000,
}


def small(**more: object) -> Site:
    return made_site(runs=6, recipes=("delays", "fares"), nodes=6, **more)  # type: ignore[arg-type]


@cache
def rendered() -> dict[str, str]:
    return {p.path: render(p) for p in pages(small())}


def test_every_page_allows_itself_nothing_from_elsewhere() -> None:
    """Each page has the strict policy, no inline script or style, and loads only what lies beside it."""
    for path, text in rendered().items():
        assert POLICY in text.replace("&#39;", "'"), path
        reader = Reader(text)
        assert reader.tags["script"] == 1, path
        assert reader.tags["style"] == 0, path
        assert len(reader.ids) == len(set(reader.ids)), path
        root = "../" * path.count("/")
        assert {link for link in reader.links if link.endswith((".js", ".css"))} == {
            f"{root}page.js",
            f"{root}style.css",
        }


@pytest.mark.long
def test_every_link_leads_somewhere(tmp_path: Path) -> None:
    """Each link within the site names a file of it, and an anchor of that file where it names one."""
    write_site(small(), tmp_path)
    assert list(dead_links(tmp_path)) == []


@pytest.mark.parametrize("name", some(NAUGHTY, "tags"))
def test_naughty_strings_are_inert_on_every_page(name: str) -> None:
    """Whatever stands in names, messages, reasons and authors: the tags of the pages are those of the
    templates, nothing that a reader cannot see is in their texts, and programs can read their files."""
    naughty = NAUGHTY[name]
    plain, evil = small(), small(say=lambda text: f"{text} {naughty}")
    plain, evil = replace(plain, notes={}), replace(evil, notes={})
    wanted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for page in pages(plain):
        wanted += Reader(render(page)).tags
    paths = []
    for page in pages(evil):
        reader = Reader(render(page))
        found += reader.tags
        paths.append(page.path)
        assert all(link.partition(":")[0] in ("https", "http") for link in reader.links if ":" in link)
        assert all(line.isprintable() for text in reader.texts for line in text.split("\n")), page.path
    assert found == wanted
    assert all(re.fullmatch(r"[A-Za-z0-9_./-]+", p) and ".." not in p for p in paths)
    studio = Studio.of(evil)
    for path, text in files(studio):
        text.encode()
        if path.endswith((".svg", ".xml")):
            ElementTree.fromstring(text)
        if path == "status.json":
            assert departures(json.loads(text), "status") == []
        if path == "search.js":
            assert "<" not in text
            assert text.isascii()


@settings(max_examples=25)
@given(st.text(max_size=300))
def test_a_note_cannot_act(text: str) -> None:
    """Markdown of a note becomes known tags only, without images, and links to the web alone."""
    for note in (text, f"[x]({text})", f"<{text}>", f"# {text}\n\n- {text}\n> {text}"):
        reader = Reader(as_html(note))
        assert set(reader.tags) <= TAGS
        assert all(link.lower().startswith(("https://", "http://", "mailto:")) for link in reader.links)


def test_a_note_keeps_what_people_meant() -> None:
    """Headings stand below the page's own, lists and links stay, HTML is shown as text."""
    text = as_html("# What\n\n- *one*\n\n[x](https://example.com) [y](javascript:alert(1)) <b>z</b>")
    assert "<h3>What</h3>" in text
    assert "<em>one</em>" in text
    assert '<a href="https://example.com" rel="noopener noreferrer">x</a>' in text
    assert "javascript:alert" in text
    assert 'href="javascript' not in text
    assert "&lt;b&gt;" in text


def test_what_is_not_known_is_never_green() -> None:
    """No runs, runs that could not check, tested nothing or were cancelled, and empty records are unknown."""
    assert of_run(None).tone == "unknown"
    for verdict in ("could_not_check", "nothing_tested", "cancelled", "interrupted", "", "something new"):
        assert of_run(Run("r", "n", "delays", {"verdict": verdict})).tone == "unknown"
    empty = replace(made_site(runs=0), alerts=())
    studio = Studio.of(empty)
    assert all(of_place(p, studio.standings.values(), ()).tone != "good" for p in empty.places)
    document = status(studio)
    assert {r["state"] for r in document["recipes"]} == {"unknown"}
    assert departures(document, "status") == []
    for page in pages(empty):
        Reader(render(page))


@pytest.mark.long
@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from(FIELDS),
)
def test_any_record_is_shown(value: object, key: str) -> None:
    """Whatever stands in a field of a run's record, its page, its grid and the overview can be made."""
    site = made_site(runs=2, recipes=("delays",), nodes=3, environments=("prod",))
    body = {**site.runs[-1].body, key: value}
    odd = replace(site, runs=(site.runs[0], Run("x", site.runs[0].namespace, "delays", body)))
    for page in pages(odd):
        if page.path.startswith(("run/", "grid/", "index", "tests", "metrics")):
            Reader(render(page))


def test_old_records_are_read() -> None:
    """A record of a version that wrote no times, rows or messages is shown with what it has."""
    site = made_site(runs=3, recipes=("delays",), nodes=5, environments=("prod",))
    new = ("at", "took", "tries", "rows", "metrics", "failed", "url", "event")
    old = tuple(replace(r, body={k: v for k, v in r.body.items() if k not in new}) for r in site.runs)
    texts = {p.path: render(p) for p in pages(replace(site, runs=old))}
    run = next(text for path, text in texts.items() if path.startswith("run/"))
    assert "clean_flights" in run
    assert ">time<" not in run


def test_the_failing_node_stands_first_with_all_that_is_known() -> None:
    """A red run names what failed, observed and expected, the command that shows it, and what changed."""
    site = made_site(runs=40)
    red = [r for r in site.runs if r.verdict == "failed" and r.failing]
    assert red
    found = {p.path: p for p in pages(site) if p.path.startswith("run/")}
    text = " ".join("".join(Reader(render(found[f"run/{slug(red[-1].id)}.html"])).texts).split())
    order = [
        "What failed",
        "observed",
        "expected",
        "gitkitchen run",
        "Changed since the last green run",
        "Nodes",
    ]
    places = [text.index(word) for word in order]
    assert places == sorted(places)


def test_flaky_tests_are_ranked_by_flips_and_retries() -> None:
    """A test that changes its mind on the same tree, and one that passes only when tried again, are flaky;
    one that fails after a change of the files is not."""

    def run(number: int, tree: str, bad: bool, tries: int = 1) -> Run:
        failing = [{"id": "a/unique(x)", "state": "failed", "severity": "stop"}] if bad else []
        return Run(
            str(number),
            "k_prod_0123456789ab",
            "delays",
            {
                "run": str(number),
                "started": (NOW + timedelta(hours=number)).isoformat(),
                "failing": failing,
                "nodes": {"failed" if bad else "passed": ["a"]},
                "subject": {"tree": tree},
                "tries": {"a": tries} if tries > 1 else {},
            },
        )

    def ranked(*runs: Run) -> dict[str, float]:
        site = replace(made_site(runs=0, recipes=(), environments=("prod",)), runs=runs)
        (standing,) = standings(site).values()
        return {h.test: h.flakiness for h in histories(standing)}

    flaky = ranked(run(1, "t", False), run(2, "t", True), run(3, "t", False), run(4, "t", False))
    assert flaky == {"unique(x)": 0.5}
    changed = ranked(run(1, "t", False), run(2, "u", True), run(3, "u", True), run(4, "v", False))
    assert changed == {"unique(x)": 0.0}
    tried = ranked(run(1, "t", False, 3), run(2, "t", False))
    assert tried == {"": 0.5}


def test_delivery_follows_its_definitions() -> None:
    """Eleven landings and one rollback: ten changes, one of which failed and was mended three hours later."""
    site = made_site(runs=2)
    prod = delivery(site, site.places[-1])
    assert (prod.landings, prod.failed, prod.restored) == (10, 1, 1)
    assert prod.restore == 3 * 3600
    assert sum(prod.weekly) == 10
    assert prod.after == 1
    assert prod.fail_rate == 0.1
    staging = delivery(site, site.places[1])
    assert (staging.failed, staging.restore) == (0, None)


def test_the_golden_status(request: pytest.FixtureRequest) -> None:
    """status.json reads as its file in golden/ does, and keeps to its schema."""
    import os

    site = made_site(runs=6, recipes=("delays", "weather"), nodes=5)
    text = dict(files(Studio.of(site)))["status.json"]
    assert departures(json.loads(text), "status") == []
    path = GOLDEN / "status.json"
    if os.environ.get("REPORT_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_a_badge_and_the_feed_tell_their_date() -> None:
    """A badge says on which day it was true; the feed's ids stay when it is made again later."""
    site = small()
    first, later = Studio.of(site), Studio.of(replace(site, made=NOW + timedelta(days=2)))
    badge = dict(files(first))["badge/prod.svg"]
    assert "2026-11-20" in badge
    assert "2026-11-22" in dict(files(later))["badge/prod.svg"]
    atom = "{http://www.w3.org/2005/Atom}"
    ids = [
        [
            e.findtext(f"{atom}id")
            for e in ElementTree.fromstring(dict(files(s))["feed.xml"]).iter(f"{atom}entry")
        ]
        for s in (first, later)
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == len(set(ids[0])) > 5


def test_open_metrics_are_well_formed() -> None:
    """Every line is metadata or a sample of the family before it; families stand once; the end is marked."""
    text = dict(files(Studio.of(small())))["metrics.txt"]
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""]
    families = re.findall(r"(?m)^# TYPE (\S+)", text)
    assert len(families) == len(set(families)) > 4
    family = ""
    for line in lines[:-2]:
        if line.startswith("# TYPE"):
            family = line.split()[2]
        elif not line.startswith("#"):
            assert re.fullmatch(rf'{family}(\{{(\w+="([^"\\]|\\.)*",?)*\}})? \S+', line), line
            float(line.rpartition(" ")[2])


def test_a_site_is_written_once(tmp_path: Path) -> None:
    """Made again, nothing is written; one more run writes its page and those of the present, and no run's
    page again; what is gone from the site is gone from the folder, and nothing else is touched."""
    site = small()
    first = write_site(site, tmp_path)
    assert first.changed == len([p for p in tmp_path.rglob("*") if p.is_file()]) - 1
    assert write_site(site, tmp_path).changed == 0
    (tmp_path / "CNAME").write_text("status.example.com")
    more = small()
    newest = replace(
        more.runs[-1], record="y", body={**more.runs[-1].body, "run": "new", "started": NOW.isoformat()}
    )
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}
    changed = write_site(replace(more, runs=(*more.runs, newest)), tmp_path)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (tmp_path / "run/new.html").is_file()
    assert 0 < changed.changed < first.changed / 2
    gone = write_site(replace(site, runs=site.runs[:-2]), tmp_path)
    assert gone.removed >= 3
    assert not (tmp_path / "run/new.html").exists()
    assert (tmp_path / "CNAME").read_text() == "status.example.com"


@given(st.lists(st.text(max_size=30), min_size=1, max_size=3))
def test_names_of_files_are_safe_and_their_own(parts: list[str]) -> None:
    """Any name gives a plain file name, and other names another."""
    name = slug(*parts)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
    assert len(name) < 200
    assert slug(*parts, "x") != name


@pytest.mark.long
def test_the_first_view_is_small(tmp_path: Path) -> None:
    """Of a large site the overview with its style and script is at most 50 KB compressed."""
    import gzip

    site = made_site(runs=14, nodes=12)
    write_site(site, tmp_path)
    size = sum(
        len(gzip.compress((tmp_path / n).read_bytes())) for n in ("index.html", "style.css", "page.js")
    )
    assert size <= 50_000


@pytest.mark.long
def test_pages_render_the_same_twice() -> None:
    """What is lasting does not depend on when it is made."""
    site = small()
    later = replace(site, made=NOW + timedelta(days=3), stale=NOW + timedelta(days=4))

    def lasting(site: Site) -> dict[str, str]:
        found: dict[str, Page] = {p.path: p for p in pages(site) if p.lasting}
        return {path: render(page) for path, page in found.items()}

    assert lasting(site) == lasting(later)
