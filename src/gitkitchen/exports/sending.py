"""Telling other tools of a run: after its record, within a stated time, without a say in its verdict."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from gitkitchen.errors import Infrastructure, Problem
from gitkitchen.exports.shapes import Told
from gitkitchen.model import Export, Project

_AGAIN = {"total": 2, "backoff_factor": 0.2, "status_forcelist": [502, 503, 504], "allowed_methods": ["POST"]}
LIBRARIES = {"openlineage": "openlineage", "opentelemetry": "otel"}
"""What is needed for each, by the name of the extra that installs it."""


def tell(project: Project, told: Told, environ: Mapping[str, str], say: Callable[[Problem], None]) -> None:
    """Tell all that ``exports:`` names; what cannot be told is said and raises nothing."""
    for export in project.exports:
        if told.outcome.kitchen.is_sandbox and not export.sandboxes:
            continue
        problem = _bounded(project, export, told, environ)
        if problem:
            say(Problem(f"exports: {export.kind}: {problem}", code="export", place=export.place))


def _bounded(project: Project, export: Export, told: Told, environ: Mapping[str, str]) -> str:
    """Tell one of them in a thread that is left behind when its time is over. What went wrong, or ""."""
    said: list[str] = []
    deadline = time.monotonic() + export.seconds

    def work() -> None:
        try:
            _SENDERS[export.kind](project, export, told, environ, deadline)
        except ModuleNotFoundError as error:
            extra = LIBRARIES[export.kind]
            said.append(f"it needs {error.name}: install gitkitchen[{extra}]")
        except Infrastructure as error:
            said.append(error.problems[0].message)
        except Exception as error:  # noqa: BLE001 (whatever a library or an address does)
            # A number and a class's name tell no token and no value.
            status = getattr(getattr(error, "response", None), "status_code", None)
            if isinstance(status, int):
                said.append(f"{_where(export)} answered {status}")
            elif isinstance(error, OSError):
                said.append(f"{_where(export)} could not be reached ({type(error).__name__})")
            else:
                said.append(f"it could not be told ({type(error).__name__})")

    thread = threading.Thread(target=work, name=f"export {export.kind}", daemon=True)
    thread.start()
    thread.join(export.seconds)
    if thread.is_alive():
        return f"no answer from {_where(export)} within {export.seconds:g} s; what was sent by then is there"
    return said[0] if said else ""


def _lineage(
    project: Project, export: Export, told: Told, environ: Mapping[str, str], deadline: float
) -> None:
    _quiet("openlineage", "urllib3")
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport

    from gitkitchen.exports.openlineage import run_events

    events = run_events(told)
    if export.file:
        path = (project.root / export.file).resolve()
        if not path.is_relative_to(project.root.resolve()):
            raise _failed(f"{export.file} is outside the repository")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = FileTransport(FileConfig(log_file_path=str(path), append=True))
            for event in events:
                file.emit(event)
        except OSError as error:
            raise _failed(f"{export.file} cannot be written: {error.strerror or error}") from error
        return
    parts = urlsplit(export.url)
    token = _token(export, environ)
    more = {"auth": ApiKeyTokenProvider({"apiKey": token})} if token else {}
    config = HttpConfig(
        url=f"{parts.scheme}://{parts.netloc}",
        endpoint=parts.path or "api/v1/lineage",
        timeout=export.seconds,
        retry={
            "total": 2,
            "backoff_factor": 0.2,
            "status_forcelist": [502, 503, 504],
            "allowed_methods": ["POST"],
        },
        **more,  # type: ignore[arg-type]
    )
    transport = HttpTransport(config)
    for number, event in enumerate(events):
        if time.monotonic() > deadline:
            raise _failed(f"{number} of {len(events)} events were sent within {export.seconds:g} s")
        answer = transport.emit(event)
        if not answer.ok:
            raise _failed(f"{_where(export)} answered {answer.status_code}")


def _traces(
    _project: Project, export: Export, told: Told, environ: Mapping[str, str], deadline: float
) -> None:
    _quiet("opentelemetry", "urllib3")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    from gitkitchen.exports.opentelemetry import spans

    found = spans(told, environ)
    if not found:
        return
    token = _token(export, environ)
    exporter = OTLPSpanExporter(
        endpoint=export.url,
        headers={"Authorization": f"Bearer {token}"} if token else None,
        timeout=max(deadline - time.monotonic(), 0.1),
    )
    result = exporter.export(found)
    exporter.shutdown()  # type: ignore[no-untyped-call]
    if result is not SpanExportResult.SUCCESS:
        raise _failed(f"{_where(export)} did not take the trace")


_SENDERS = {"openlineage": _lineage, "opentelemetry": _traces}


def _token(export: Export, environ: Mapping[str, str]) -> str:
    if not export.secret:
        return ""
    value = environ.get(export.secret, "")
    if not value:
        raise _failed(f"the secret {export.secret} is not set")
    return value


def _where(export: Export) -> str:
    """The server of an address, without what may stand before, in or behind it."""
    return export.file or urlsplit(export.url).hostname or "its address"


def _failed(message: str) -> Infrastructure:
    return Infrastructure(Problem(message, code="export"))


def _quiet(*names: str) -> None:
    """What a library would write to standard error is told once, in words of ours."""
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
