"""A headless Chromium that opens a file, by the DevTools protocol: what it shows, its errors, and a mouse."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp  # which Ray brings

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE = 60.0  # seconds for an answer: a busy machine starts Chromium in ten


def chromium() -> str | None:
    """Return the program, or None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Page:
    """One page: `errors` of its console, and `asked`, the addresses that it asked for beside the file itself."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.errors: list[str] = []
        self.asked: list[str] = []

    async def listen(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
                continue
            about = told.get("params", {})
            match told["method"]:
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Runtime.exceptionThrown":
                    self.errors.append(str(about["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if about["type"] in ("error", "assert", "warning"):
                    self.errors.append(str(about["args"]))
                case "Log.entryAdded" if about["entry"]["level"] in ("error", "warning"):
                    self.errors.append(about["entry"]["text"])
                case "Network.requestWillBeSent" if not about["request"]["url"].startswith(("data:", "blob:")):
                    self.asked.append(about["request"]["url"])

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        told = await asyncio.wait_for(answer, _PATIENCE)
        assert "error" not in told, told
        return dict(told["result"])

    async def open(self, file: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Open a file, as wide and as light as said; return once it has loaded."""
        await self.size(width, height)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.ask("Emulation.setEmulatedMedia", features=scheme)
        self._loaded.clear()
        await self.ask("Page.navigate", url=file.as_uri())
        await asyncio.wait_for(self._loaded.wait(), _PATIENCE)

    async def size(self, width: int, height: int) -> None:
        shape = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.ask("Emulation.setDeviceMetricsOverride", **shape)

    async def run(self, script: str) -> Any:
        """Return what an expression of JavaScript gives; one that promises something is waited for."""
        told = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(_PATIENCE):
            while not await self.run(f"!!({script})"):
                await asyncio.sleep(0.05)

    async def point(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to a place in the window."""
        await self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def picture(self, target: Path) -> None:
        """Write what the whole page looks like as a png."""
        told = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(told["data"]))


@asynccontextmanager
async def page() -> AsyncIterator[Page]:
    """Yield a page of a Chromium that ends with the block."""
    program = chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="fer-tune-chromium-", ignore_cleanup_errors=True) as profile:
        words = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
        more = (f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank")
        quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
        process = await asyncio.create_subprocess_exec(program, *words, *more, **quiet)
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    [target] = [each for each in await answer.json() if each["type"] == "page"]
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    found = Page(socket)
                    listening = asyncio.create_task(found.listen())
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await found.ask(f"{domain}.enable")
                    yield found
                    await found.ask("Browser.close")
                    listening.cancel()
        finally:
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _port(file: Path) -> int:
    async with asyncio.timeout(_PATIENCE):
        while not (file.is_file() and (text := file.read_text())):
            await asyncio.sleep(0.05)
    return int(text.split()[0])
