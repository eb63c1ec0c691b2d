"""Chromium without a window, driven over the DevTools protocol through two pipes: no port, no network, no driver."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip


def found() -> str | None:
    """The browser of this machine; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A page, and every event that the browser has told of it."""

    def __init__(self, browser: str, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        line = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser} >/dev/null 2>&1'  # it reads 3 and writes 4
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", line, browser, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """What the browser answers; events that come before the answer are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (told := self._next()).get("id") != self._number:
            self.events.append(told)
        assert "error" not in told, told["error"]
        return told["result"]

    def wait(self, event: str) -> None:
        """Until the browser has told of an event."""
        while not any(one.get("method") == event for one in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def open(self, path: Path) -> None:
        """Loads a file and waits until it is there; what was told before is forgotten."""
        self.events.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("Page.loadEventFired")

    def look(self, width: int, *, dark: bool = False, media: str = "screen") -> None:
        """Sets the width of the window, in pixels, and what the reader's device wishes."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def run(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def errors(self) -> list[str]:
        """What stands on the console as an error or a warning, what was thrown, and what the policy refused."""
        self.run("new Promise(done => setTimeout(done, 50))")
        said = [one["params"] for one in self.events if one.get("method") == "Runtime.consoleAPICalled"]
        logged = [one["params"]["entry"] for one in self.events if one.get("method") == "Log.entryAdded"]
        thrown = [one for one in self.events if one.get("method") == "Runtime.exceptionThrown"]
        return [
            *(str(one["args"]) for one in said if one["type"] in ("error", "warning", "assert")),
            *(str(one) for one in logged if one["level"] in ("error", "warning")),
            *map(str, thrown),
        ]

    def requests(self) -> list[str]:
        """The addresses of everything that was asked for."""
        return [
            one["params"]["request"]["url"] for one in self.events if one.get("method") == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        """Ends the browser."""
        try:
            self._session = ""
            self.send("Browser.close")
        except (AssertionError, OSError):
            self._process.kill()
        finally:
            self._process.wait(timeout=20)
            os.close(self._out)
            os.close(self._in)


@contextmanager
def opened(profile: Path) -> Iterator[Page]:
    """A block with a browser."""
    browser = found()
    assert browser is not None
    page = Page(browser, profile)
    try:
        yield page
    finally:
        page.close()
