"""A browser for pages of tests: one for each test process, since starting it takes longer than a
page does. It is spoken to in the DevTools Protocol, by a pipe.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_perfgate.machine.pipes import write_whole

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

_SECONDS = 120.0  # for an answer
_HEIGHT = 1000
_LOADED = 3000  # milliseconds of the page's own clock, for its timers and promises


def opened(page: str, folder: Path, width: int = 800) -> tuple[str, list[str]]:
    """The document once it is loaded in a window so wide, and the lines that its console got."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    return _browser().opened(file.as_uri(), width)


@functools.cache
def _browser() -> _Browser:
    return _Browser()


class _Browser:
    """A process that ends with this one, whose end closes its pipe."""

    def __init__(self) -> None:
        assert BROWSER
        profile = tempfile.mkdtemp(prefix="browser-")
        command_read, self._commands = _pipe()
        self._answers, answer_write = _pipe()

        def pipes() -> None:
            os.dup2(command_read, 3)  # where it reads and writes (--remote-debugging-pipe)
            os.dup2(answer_write, 4)

        self._process = subprocess.Popen(
            [
                BROWSER,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-pipe",
                f"--user-data-dir={profile}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=pipes,  # noqa: PLW1509 - no threads here
            pass_fds=(3, 4),
        )
        os.close(command_read)
        os.close(answer_write)
        atexit.register(self._end, profile)
        self._count = 0
        self._rest = b""
        self._session = ""
        self._events: list[dict[str, Any]] = []

    def _end(self, profile: str) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(profile, ignore_errors=True)

    def opened(self, address: str, width: int) -> tuple[str, list[str]]:
        """See `opened`."""
        self._events, self._session = [], ""
        # A context of its own, as a profile is: no page finds what another left behind.
        context = self._ask("Target.createBrowserContext")["browserContextId"]
        place = {"url": "about:blank", "browserContextId": context}
        target = self._ask("Target.createTarget", **place)["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self._ask(f"{domain}.enable")
        window = {"width": width, "height": _HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **window)
        self._ask("Page.navigate", url=address)
        self._await("Page.loadEventFired")
        policy = {"policy": "pauseIfNetworkFetchesPending", "budget": _LOADED}
        self._ask("Emulation.setVirtualTimePolicy", **policy)
        self._await("Emulation.virtualTimeBudgetExpired")
        text = "document.documentElement.outerHTML"
        document = self._ask("Runtime.evaluate", expression=text)["result"]["value"]
        self._session = ""
        self._ask("Target.disposeBrowserContext", browserContextId=context)
        return document, list(self._console())

    def _console(self) -> Iterator[str]:
        for event in self._events:
            if event["method"] == "Log.entryAdded":
                yield event["params"]["entry"]["text"]
            elif event["method"] == "Runtime.consoleAPICalled":
                yield str(event["params"]["args"])
            elif event["method"] == "Runtime.exceptionThrown":
                yield str(event["params"]["exceptionDetails"])

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        """What a command gives; events that come before its answer are kept."""
        self._count += 1
        command: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        write_whole(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._count:
                assert "result" in message, (method, message)
                result: dict[str, Any] = message["result"]
                return result
            if "method" in message:
                self._events.append(message)

    def _await(self, event: str) -> None:
        while not any(message["method"] == event for message in self._events):
            self._events.append(self._message())

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], _SECONDS)
            assert ready, "the browser gave no answer"
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


def _pipe() -> tuple[int, int]:
    """A pipe whose descriptors are none of those that a browser has its own at."""
    ends = []
    for fd in os.pipe():
        ends.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(fd)
    return ends[0], ends[1]
