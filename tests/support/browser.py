"""A headless Chromium, driven over its DevTools protocol. Nothing of it leaves the machine or outlives the test."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_START_SECONDS = 120
_WAIT_SECONDS = 60


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Use a connection to the page's DevTools."""
        self._socket = socket
        self._numbers = count(1)
        self.requested: list[str] = []
        """Addresses that the page has asked for."""
        self.problems: list[str] = []
        """What the console and the page's policy have complained about."""

    async def send(self, method: str, **params: Any) -> Any:
        """Call a method and return its result; notes what the page asks for meanwhile."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = json.loads((await self._socket.receive(timeout=_WAIT_SECONDS)).data)
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:500])

    async def open(self, url: str) -> None:
        """Open an address."""
        await self.send("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """Evaluate an expression in the page; None while the page has no answer."""
        found = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return found["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true."""
        for _ in range(_WAIT_SECONDS * 5):
            found = await self.value(expression)
            if found:
                return found
            await asyncio.sleep(0.2)
        text = await self.value("document.body && document.body.innerText")
        raise AssertionError(f"never true: {expression}; the page shows: {text}")

    async def press(self, key: str) -> None:
        """Press a key, such as Tab or Enter."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the window's size and the preferred colors."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self) -> bytes:
        """Return a picture of the whole page as PNG."""
        found = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """Start a browser with a new profile, and stop it at the end."""
    assert CHROMIUM is not None, "no Chromium is installed"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *_OPTIONS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/json") as answer:
                pages = [item for item in await answer.json() if item["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "Network", "Log"):
                        await tab.send(f"{domain}.enable")
                    yield tab
        finally:
            process.terminate()
            await process.wait()


async def _port(file: Path) -> int:
    for _ in range(_START_SECONDS * 10):
        port = _written(file)
        if port is not None:
            return port
        await asyncio.sleep(0.1)
    raise AssertionError(f"Chromium has not started within {_START_SECONDS} s")


def _written(file: Path) -> int | None:
    lines = file.read_text().split() if file.exists() else []
    return int(lines[0]) if lines else None
