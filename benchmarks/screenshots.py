"""Pictures of the dashboard, from the real server in a real browser.

    python -m benchmarks.screenshots [--every FOLDER [--only NAME ...] [--scheme light|dark ...]
                                      [--width PIXELS ...]]

By default those in README.md and docs, written to docs/images; with --every, each page in light and
dark and at its full height, to look at.
"""

from __future__ import annotations

import argparse
import io
import itertools
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.browser import CHART, SIZE, chromium, profile, served, settled

IMAGES = Path(__file__).parents[1] / "docs" / "images"
IN_DOCS = {"verdict": "?trace=moe-bytes", "accuracy": "accuracy?trace=moe-bytes&cases=all+traces"}
"""File in docs/images → link."""
LINKS = {
    "welcome": "",
    "ask": "ask?about=moe-bytes&load=as+many+as+there+are",
    "ask-model": "ask?about=qwen3-30b-a3b&on=nvidia-h200-sxm",
    "ask-requests": "ask?about=exit-fashion&load=requests",
    "verdict": "?trace=moe-bytes",
    "verdict-model": "?trace=qwen3-30b-a3b+decode+16x4096&device=nvidia-h100-sxm",
    "verdict-gpu": "?trace=exit-fashion&device=nvidia-h100-sxm",
    "verdict-skip": "?trace=skip-fashion",
    "waterfall": "waterfall?trace=moe-bytes",
    "waterfall-two": "waterfall?trace=moe-bytes&second=true&device2=nvidia-h100-sxm",
    "waterfall-off": "waterfall?trace=exit-fashion&off=gather",
    "accuracy": "accuracy?trace=exit-fashion",
    "accuracy-all": "accuracy?trace=exit-fashion&cases=all+traces",
    "routing": "routing?trace=moe-bytes",
    "routing-exit": "routing?trace=exit-fashion",
    "routing-sparse": "routing?trace=sparse-bytes",
    "timeline": "timeline?trace=exit-fashion",
    "timeline-gpu": "timeline?trace=moe-bytes&device=nvidia-h100-sxm",
    "frontier": "frontier?trace=exit-fashion",
    "memory": "memory?trace=moe-bytes",
    "memory-train": "memory?trace=moe-bytes-train",
    "memory-model": "memory?trace=qwen3-30b-a3b+decode+16x4096&device=nvidia-h100-sxm",
    "compare": "compare?trace=moe-bytes",
    "breakeven": "breakeven?trace=exit-fashion&xs=1,4,16,64&ys=0.05,0.2,0.5,0.8",
    "serving": "serving?trace=exit-fashion",
    "breakeven-line": "breakeven?trace=skip-fashion&y=nothing",
    "advise": "advise?trace=moe-bytes",
    "advise-gpu": "advise?trace=exit-fashion&device=nvidia-h100-sxm",
    "advise-model": "advise?trace=qwen3-30b-a3b+decode+16x4096&device=nvidia-h100-sxm",
    "whatif": "whatif?trace=moe-bytes",
    "whatif-model": (
        "whatif?trace=qwen3-30b-a3b+decode+16x4096&device=nvidia-h100-sxm&memory.hbm.bandwidth=x2"
    ),
    "beside": "beside?trace=moe-bytes&device=nvidia-a100-sxm-80gb",
    "beside-model": "beside?trace=qwen3-30b-a3b+decode+16x4096&device=nvidia-h100-sxm",
    "sweep": "sweep?trace=moe-bytes",
    "sweep-strategies": "sweep?trace=exit-fashion&grid=batch%3D1:64:log2+strategy%3Dall",
    "coverage": "coverage?trace=moe-bytes&test_set=sets",
    "coverage-skip": "coverage?trace=skip-fashion&device=raspberry-pi-5",
    "drift": "drift?trace=moe-bytes",
    "drift-exit": "drift?trace=exit-fashion",
}
"""What --every shows: name → link."""
RUN_ON_DEMAND = ("breakeven", "advise", "sweep?trace=exit-fashion", "whatif?trace=qwen3")
"""Beginnings of links to pages that have a button Run."""
SCHEMES = ["light", "dark"]
FULL_HEIGHT = """() => {
    const parts = '[data-testid=stMain], [data-testid=stSidebarContent]';
    return Math.max(...[...document.querySelectorAll(parts)].map(e => e.scrollHeight));
}"""
"""Pixels that the page and its sidebar take."""


def shot(page: Any, whole: bool, width: int = SIZE["width"]) -> Image.Image:
    """A picture of a page. whole: as tall as it takes to see all of it. width: pixels."""
    if whole:
        height = max(int(page.evaluate(FULL_HEIGHT)), SIZE["height"])
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(1500)  # charts follow the size after a moment
    return Image.open(io.BytesIO(page.screenshot(animations="disabled")))


def show(page: Any, address: str, link: str) -> None:
    """Open a link and wait until all of it is there."""
    page.goto(f"{address}/{link}")
    settled(page)
    if link.startswith(RUN_ON_DEMAND):
        page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Run").click()
    if link:
        page.locator(CHART).first.wait_for()
    settled(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)


def take_those_in_docs(browser: Any, address: str) -> None:
    """Write the pictures of README.md and docs."""
    page = profile(browser, color_scheme="light").new_page()
    for name, link in IN_DOCS.items():
        show(page, address, link)
        picture = shot(page, whole=False).convert("RGB")
        picture.save(IMAGES / f"{name}.png", optimize=True)


def take_all(browser: Any, address: str, folder: Path, asked: argparse.Namespace) -> None:
    """Write pictures of whole pages to a folder. asked: only, scheme, width."""
    folder.mkdir(parents=True, exist_ok=True)
    for scheme, width in itertools.product(asked.scheme, asked.width):
        context = profile(browser, color_scheme=scheme)
        for name in asked.only:
            page = context.new_page()
            page.set_viewport_size({**SIZE, "width": width})
            show(page, address, LINKS[name])
            picture = shot(page, whole=True, width=width)
            picture.save(folder / f"{name}-{scheme}-{width}.png")
            page.close()
            print(name, scheme, width, flush=True)


def main() -> None:
    """Take the pictures that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--every", type=Path, metavar="FOLDER", help="each page, light and dark, at its full height"
    )
    parser.add_argument(
        "--only", nargs="*", default=list(LINKS), help="names of LINKS, with --every"
    )
    parser.add_argument(
        "--width", nargs="*", type=int, default=[SIZE["width"]], help="pixels: 1400, 800, 390"
    )
    parser.add_argument("--scheme", nargs="*", default=SCHEMES, choices=SCHEMES)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder)) as address,
        chromium() as browser,
    ):
        if asked.every is None:
            take_those_in_docs(browser, address)
        else:
            take_all(browser, address, asked.every, asked)


if __name__ == "__main__":
    main()
