"""A real Chromium, driven by its own protocol over a pipe: what it loads, says, shows and lays out.

https://chromedevtools.github.io/devtools-protocol/, with ``--remote-debugging-pipe``: messages of JSON
ended by a zero byte, on file descriptors 3 and 4. No package between us and the browser, and no port.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phone import CHROMIUM, FLAGS

PATIENCE = 60.0
"""Seconds for one answer: only against hanging."""


@dataclass
class Browser:
    """One tab. ``said``: errors and warnings of its console; ``asked``: the addresses that pages asked
    for."""

    out: int
    into: int
    session: str = ""
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0
    _rest: bytes = b""

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._count:
                assert "error" not in found, (method, found["error"])
                result: dict[str, Any] = found["result"]
                return result
            self._note(found)

    def wait(self, event: str) -> dict[str, Any]:
        """The next event of a kind, also one that came meanwhile."""
        while True:
            for found in self.events:
                if found.get("method") == event:
                    self.events.remove(found)
                    return found
            self._note(self._next())

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.into], [], [], max(0, end - time.monotonic()))
            assert ready, "chromium does not answer"
            block = os.read(self.into, 1 << 20)
            assert block, "chromium has ended"
            self._rest += block
        raw, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(raw)
        return found

    def _note(self, found: dict[str, Any]) -> None:
        method, params = found.get("method", ""), found.get("params", {})
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.said.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.said.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        self.events.append(found)
        del self.events[:-500]

    def open(self, url: str) -> None:
        """Go to a page, and wait until it has loaded."""
        self.events.clear()
        self.tell("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is in the page; promises are waited for."""
        found = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def size(self, width: int, height: int, *, mobile: bool = False, scale: float = 1) -> None:
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=mobile,
        )

    def dark(self, dark: bool = True) -> None:
        value = "dark" if dark else "light"
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def script(self, on: bool) -> None:
        self.tell("Emulation.setScriptExecutionDisabled", value=not on)

    def offline(self) -> None:
        self.tell(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=0,
            uploadThroughput=0,
        )

    def picture(self, path: Path, *, whole: bool = False) -> None:
        found = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser with a profile in ``folder``, ended with the block."""
    assert CHROMIUM is not None, "GITKITCHEN_REQUIRE names chromium, and chromium is not installed"
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    argv = [
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--remote-debugging-pipe",
        "about:blank",
    ]

    def hand_over() -> None:
        os.dup2(to_read, 103)
        os.dup2(from_write, 104)
        os.dup2(103, 3)
        os.dup2(104, 4)

    process = subprocess.Popen(
        argv,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=hand_over,
        close_fds=False,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        tab = Browser(to_write, from_read)
        targets = tab.tell("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        tab.session = tab.tell("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.tell(f"{domain}.enable")
        yield tab
    finally:
        os.close(to_write)
        os.close(from_read)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
