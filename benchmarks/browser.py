"""The real server and a real browser, for tests, benchmarks and screenshots.

Needs playwright, and a Chromium of the system.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START = "import sys; from condsim.cli import main; sys.exit(main())"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first has no window to draw, which saves half of the work."""
SIZE = {"width": 1400, "height": 900}
PATIENCE_MS = 120_000
"""How long anything may take on a busy machine before it counts as broken."""
RAN = '[data-testid="stApp"][data-test-script-state="notRunning"]'
"""Selector of the app once its script has run."""
CHART = '[data-testid="stVegaLiteChart"]'
SOMETHING = '[data-testid="stMainBlockContainer"] [data-testid]'
"""Selector of anything on the page."""
DRAWN = """([chart]) =>
    !document.querySelector('[data-testid=stSkeleton]') &&
    [...document.querySelectorAll(chart)].every(e => e.querySelector('canvas, svg'))
"""
"""Whether all charts are drawn."""


class Missing(Exception):
    """What the browser needs is not installed; the message says how to get it."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """`condsim app` on a free port, in `folder`. Gives its address once it answers."""
    command = [sys.executable, "-c", START, "app", *arguments, "--headless", "--port"]
    with answering(command, folder, folder / "server.log") as address:
        yield address


@contextmanager
def answering(command: Sequence[str], folder: Path, log: Path) -> Iterator[str]:
    """A Streamlit server. Gives its address once it answers, and ends it afterwards.

    command: what starts it, to its last word, which takes the port. folder: where it runs.
    """
    port = free_port()
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, str(port)], cwd=folder, stdout=output, stderr=output, env=environment
        )
    try:
        wait_until_it_answers(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a Streamlit server. Raises RuntimeError, with its log, where it does not come."""
    health = f"http://127.0.0.1:{port}/_stcore/health"
    end = time.monotonic() + PATIENCE_MS / 1e3
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(health, timeout=5) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text()}")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium of the system.

    Raises Missing where it, or playwright, is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Missing("needs playwright: pip install -c constraints.txt playwright") from None
    path = _installed_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--font-render-hinting=none"]
        )
        try:
            yield browser
        finally:
            browser.close()


def _installed_chromium() -> str:
    """Path of a Chromium. Raises Missing where none is installed."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    raise Missing("needs Chromium: apt-get install chromium-headless-shell, or chromium")


def profile(browser: Any, **options: Any) -> Any:
    """A fresh profile: nothing is remembered.

    options: of a browser context, color_scheme among them.
    """
    context = browser.new_context(viewport=SIZE, **options)
    context.set_default_timeout(PATIENCE_MS)
    return context


def settled(page: Any) -> None:
    """Wait until the script has run and everything that it asked for is drawn."""
    page.wait_for_selector(RAN)
    page.wait_for_selector(SOMETHING)
    page.wait_for_function(DRAWN, arg=[CHART])
