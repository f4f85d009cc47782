"""Runs told to other tools, each read back by something that is not ours."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.shop import KITCHEN_YML, Shop

RECIPE = """\
version: 1
recipe: sales
nodes:
  orders: {source: {file: data/orders.csv}, tests: [{not_null: [id]}]}
  totals: {sql: totals.sql, tests: [{rows: {min: LEAST}}]}
"""
SPECIFICATION = os.environ.get("GITKITCHEN_OPENLINEAGE_SPEC", "")
SECRET = "s3cret-t0ken-value"
VALUE = "Zanzibar"


class Receiver:
    """A server on the loopback that keeps what is posted to it."""

    def __init__(self, *, status: int = 200, wait: float = 0) -> None:
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                time.sleep(wait)
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.posted.append((self.path, headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def sales(shop: Shop, exports: str, *, least: int = 1) -> Shop:
    """A shop whose runs are told as ``exports`` says; a loaded machine has time to load the libraries."""
    if "timeout" not in exports:
        exports = exports.removesuffix("}") + ", timeout: 60}"
    shop.commit(
        {
            "kitchen.yml": f"{KITCHEN_YML}exports:\n  {exports}\n",
            "recipes/sales/recipe.yml": RECIPE.replace("LEAST", str(least)),
            "recipes/sales/totals.sql": "select country, sum(amount) as total from orders group by country\n",
            "recipes/sales/data/orders.csv": f"id,country,amount\n1,{VALUE},5\n2,{VALUE},7\n",
        }
    )
    return shop


def events(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Events by job and type."""
    found = [json.loads(line) for line in text.splitlines()]
    return {(event["job"]["name"], event["eventType"]): event for event in found}


def test_lineage_in_a_file(shop: Shop) -> None:
    """Each job has a START and an end; datasets say schema, version, rows, and where columns come from."""
    sales(shop, "openlineage: {file: .gitkitchen/lineage.jsonl}")
    said = shop.cli("run")
    assert (said.code, said.err.count("exports: "), said.err) == (0, 0, said.err)
    text = (shop.root / ".gitkitchen/lineage.jsonl").read_text()
    found = events(text)
    jobs = {"sales", "sales.orders", "sales.orders.tests", "sales.totals", "sales.totals.tests"}
    assert set(found) == {(job, state) for job in jobs for state in ("START", "COMPLETE")}
    end = found["sales.totals", "COMPLETE"]
    (made,) = end["outputs"]
    assert (made["name"], [i["name"] for i in end["inputs"]]) == ("totals", ["orders"])
    assert [f["name"] for f in made["facets"]["schema"]["fields"]] == ["country", "total"]
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 1
    columns = made["facets"]["columnLineage"]["fields"]
    assert {name: [i["field"] for i in c["inputFields"]] for name, c in columns.items()} == {
        "country": ["country"],
        "total": ["amount"],
    }
    (tested,) = found["sales.totals.tests", "COMPLETE"]["inputs"]
    (assertion,) = tested["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (assertion["assertion"], assertion["success"], assertion["severity"]) == ("rows", True, "error")
    assert end["run"]["facets"]["parent"]["run"]["runId"] == found["sales", "START"]["run"]["runId"]
    assert all(e["eventTime"].endswith("Z") for e in found.values())
    assert VALUE not in text, "no value of a row leaves"


@pytest.mark.skipif(
    not SPECIFICATION, reason="GITKITCHEN_OPENLINEAGE_SPEC names no copy of OpenLineage's schemas"
)
def test_events_are_what_the_specification_says(shop: Shop) -> None:
    """Each is a RunEvent of OpenLineage's own JSON Schema."""
    from jsonschema import Draft202012Validator

    sales(shop, "openlineage: {file: .gitkitchen/lineage.jsonl}")
    assert shop.cli("run").code == 0
    whole = json.loads((Path(SPECIFICATION) / "OpenLineage.json").read_text())
    schema = {**whole, "$ref": "#/$defs/RunEvent"}
    schema.pop("oneOf", None)
    for line in (shop.root / ".gitkitchen/lineage.jsonl").read_text().splitlines():
        Draft202012Validator(schema).validate(json.loads(line))


def test_lineage_of_a_failed_run_over_http(shop: Shop, receiver: Receiver, monkeypatch: Any) -> None:
    """A failing test is a FAIL of its batch and of the run; the token goes in its header and nowhere else."""
    monkeypatch.setenv("LINEAGE_TOKEN", SECRET)
    sales(shop, f"openlineage: {{url: {receiver.url}, token: '${{{{ secrets.LINEAGE_TOKEN }}}}'}}", least=9)
    said = shop.cli("run")
    assert (said.code, said.err.count("exports: "), said.err) == (1, 0, said.err)
    assert {path for path, _, _ in receiver.posted} == {"/api/v1/lineage"}
    assert {headers["authorization"] for _, headers, _ in receiver.posted} == {f"Bearer {SECRET}"}
    bodies = b"\n".join(body for _, _, body in receiver.posted)
    found = events(bodies.decode())
    assert {("sales", "FAIL"), ("sales.totals", "FAIL"), ("sales.totals.tests", "FAIL")} <= set(found)
    (tested,) = found["sales.totals.tests", "FAIL"]["inputs"]
    assert tested["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"] is False
    assert SECRET.encode() not in bodies
    assert VALUE.encode() not in bodies


def test_a_trace_over_otlp(shop: Shop, receiver: Receiver, monkeypatch: Any) -> None:
    """One trace a run, of spans within each other; a caller's trace is the one that it is part of."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    monkeypatch.setenv("TRACEPARENT", f"00-{trace}-{parent}-01")
    sales(shop, f"opentelemetry: {{url: '{receiver.url}/v1/traces'}}", least=9)
    said = shop.cli("run")
    assert (said.code, said.err.count("exports: "), said.err) == (1, 0, said.err)
    ((path, headers, body),) = receiver.posted
    assert (path, headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
    request = ExportTraceServiceRequest.FromString(body)
    spans = {s.name: s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans}
    assert set(spans) == {"run sales", "node orders", "tests of orders", "node totals", "tests of totals"}
    assert {s.trace_id.hex() for s in spans.values()} == {trace}
    assert spans["run sales"].parent_span_id.hex() == parent
    for node in ("orders", "totals"):
        inner, outer = spans[f"tests of {node}"], spans[f"node {node}"]
        assert inner.parent_span_id == outer.span_id
        assert outer.parent_span_id == spans["run sales"].span_id
        assert outer.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano
    error = 2  # opentelemetry.proto.trace.v1.Status.STATUS_CODE_ERROR
    assert {name for name, s in spans.items() if s.status.code == error} == {
        "run sales", "node totals", "tests of totals",
    }  # fmt: skip
    about = {a.key: a.value.string_value for a in spans["run sales"].attributes}
    assert (about["gitkitchen.verdict"], about["gitkitchen.kitchen"]) == ("failed", "prod")
    assert VALUE.encode() not in body


def test_a_caller_that_records_nothing_gets_nothing(shop: Shop, receiver: Receiver, monkeypatch: Any) -> None:
    """The caller's decision not to record a trace is the run's, too."""
    monkeypatch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    sales(shop, f"opentelemetry: {{url: '{receiver.url}/v1/traces'}}")
    assert shop.cli("run").code == 0
    assert receiver.posted == []


@pytest.mark.parametrize("kind", ["openlineage", "opentelemetry"])
def test_who_does_not_answer_changes_no_verdict(shop: Shop, kind: str) -> None:
    """An address that hangs is waited for as long as `timeout` says and told once; the run is what it was."""
    hangs = Receiver(wait=30)
    sales(shop, f"{kind}: {{url: '{hangs.url}/x', timeout: 1}}")
    begun = time.monotonic()
    said = shop.cli("run")
    assert (said.code, said.err.count(f"exports: {kind}: ")) == (0, 1)
    assert time.monotonic() - begun < 25
    hangs.close()


def test_what_is_refused_or_missing_is_said(shop: Shop, monkeypatch: Any) -> None:
    """A server's refusal and a secret that is not set are said, and nothing of the secret."""
    refuses = Receiver(status=401)
    monkeypatch.setenv("LINEAGE_TOKEN", SECRET)
    sales(shop, f"openlineage: {{url: {refuses.url}, token: '${{{{ secrets.LINEAGE_TOKEN }}}}'}}")
    said = shop.cli("run")
    assert (said.code, "127.0.0.1 answered 401" in said.err, SECRET in said.err) == (0, True, False)
    monkeypatch.delenv("LINEAGE_TOKEN")
    said = shop.cli("run")
    assert (said.code, "the secret LINEAGE_TOKEN is not set" in said.err) == (0, True)
    refuses.close()


def test_sandboxes_are_told_where_asked(shop: Shop) -> None:
    """What somebody tries out is told to nobody, unless the file says so."""
    sales(shop, "openlineage: {file: .gitkitchen/lineage.jsonl}")
    shop.git("switch", "-qc", "fix")
    assert shop.cli("run").code == 0
    assert not (shop.root / ".gitkitchen/lineage.jsonl").exists()
    shop.replace("kitchen.yml", "jsonl,", "jsonl, sandboxes: true,")
    assert shop.cli("run").code == 0
    assert (shop.root / ".gitkitchen/lineage.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openlineage: {}", "neither `url` nor `file`"),
        ("openlineage: {url: 'https://a.example', file: x}", "both `url` and `file`"),
        ("openlineage: {file: ../x}", "a path below this folder"),
        ("opentelemetry: {url: 'https://user:pass@a.example/'}", "an address"),
        ("opentelemetry: {url: 'https://a.example/', token: abc}", "the name of a secret"),
        ("opentelemetry: {url: 'https://a.example/', timeout: 61}", "60"),
        ("datadog: {url: 'https://a.example/'}", "datadog"),
    ],
    ids=["nowhere", "both", "outside", "password", "token", "long", "unknown"],
)
def test_mistakes_in_the_file_are_told(shop: Shop, text: str, expected: str) -> None:
    """`validate` says what is wrong with `exports:`, and where."""
    shop.commit({"kitchen.yml": f"{KITCHEN_YML}exports:\n  {text}\n"})
    said = shop.cli("validate")
    assert said.code == 2
    assert expected in said.out
    assert "kitchen.yml:7" in said.out
