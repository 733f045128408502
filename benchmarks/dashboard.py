"""How long a person waits in the dashboard, in the real server and a real browser, against targets: `python -m benchmarks.dashboard`.

A page: from the click on a link to its first own words, less what an app that shows one word needs for that word (Streamlit's shell, the same on every
page). An input: from Enter to the new numbers. A trace of a million rows: from the link to the verdict, less the shell; nothing of it was read before.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks.browser import (
    CHART,
    RAN,
    chromium,
    free_port,
    profile,
    served,
    settled,
    until_it_answers,
)
from condsim.resources import resource
from condsim.trace import Decisions, Trace
from condsim.trace.store import in_memory

PAGES = ("", "waterfall", "accuracy", "routing", "timeline", "compare", "breakeven")
TRACES = sorted(p.parent.name for p in resource("traces").glob("*/trace.json"))
PAINT_S, CHANGE_S, OPEN_S = 1.0, 0.3, 3.0
GPU = "nvidia-h100-sxm"
WORDS = '[data-testid="stMainBlockContainer"] :is([data-testid="stMarkdownContainer"], [data-testid="stSelectbox"])'
WATCH = f"""
window.seen = {{}};
const look = () => {{
  const main = document.querySelector('{WORDS}');
  if (!seen.words && main && main.innerText.trim()) seen.words = performance.now();
  const charts = [...document.querySelectorAll('{CHART}')];
  if (!seen.all && seen.words && document.querySelector('{RAN}') && charts.every(c => c.querySelector('canvas, svg'))) seen.all = performance.now();
  requestAnimationFrame(look);
}};
requestAnimationFrame(look);
"""
"""When a page's first words, and when all of it, are there; milliseconds since the link was followed."""
VERDICT = '[data-testid="stMainBlockContainer"] h4'
TYPED = f"""
addEventListener('keydown', e => {{
  if (e.key !== 'Enter') return;
  const began = performance.now(), old = document.querySelector('{VERDICT}').innerText;
  window.changed = null;
  const look = () => {{
    const now = document.querySelector('{VERDICT}');
    if (now && now.innerText !== old) window.changed = performance.now() - began; else requestAnimationFrame(look);
  }};
  look();
}}, true);
"""
"""From Enter to another verdict (it names the batch), milliseconds."""


@contextmanager
def empty_app(folder: Path) -> Iterator[str]:
    """A Streamlit app that shows one word. Gives its address."""
    (folder / "empty.py").write_text("import streamlit as st\n\nst.write('empty')\n")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "empty.py",
        "--server.headless=true",
        f"--server.port={port}",
        "--server.address=127.0.0.1",
    ]
    with (folder / "empty.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--browser.gatherUsageStats=false"], cwd=folder, stdout=log, stderr=log
        )
    try:
        until_it_answers(port, process, folder / "empty.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def followed(context: Any, link: str) -> tuple[float, float]:
    """Seconds until the first words, and until all of a page is there."""
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(link)
    page.wait_for_function("window.seen.all")
    seen = page.evaluate("window.seen")
    page.close()
    return seen["words"] / 1e3, seen["all"] / 1e3


def paints(
    browser: Any, address: str, empty: str, repeats: int
) -> tuple[list[float], dict[str, list[tuple[float, float]]]]:
    """(the shell's seconds, page → seconds to the first words and to all of it), in turn, from a profile that has Streamlit's scripts."""
    context = profile(browser)
    followed(context, empty)
    followed(context, f"{address}/?trace=exit-fashion")
    shell: list[float] = []
    found: dict[str, list[tuple[float, float]]] = {p: [] for p in PAGES}
    for i in range(repeats):
        for page in PAGES:
            shell.append(followed(context, empty)[0])
            found[page].append(
                followed(context, f"{address}/{page}?trace={TRACES[i % len(TRACES)]}")
            )
    context.close()
    return shell, found


def changes(
    browser: Any, address: str, trace: str, device: str | None, batches: tuple[int, ...]
) -> list[float]:
    """Seconds from each new batch to its verdict. No batch is asked for twice."""
    page = profile(browser).new_page()
    page.add_init_script(TYPED)
    page.goto(f"{address}/?trace={trace}" + (f"&device={device}" if device else ""))
    page.wait_for_selector(VERDICT)
    found = []
    for batch in batches:
        settled(page)
        page.get_by_role("spinbutton", name="Batch").fill(str(batch))
        page.keyboard.press("Enter")
        page.wait_for_function("window.changed")
        found.append(page.evaluate("window.changed") / 1e3)
    page.context.close()
    return found


def times_over(trace: Trace, rows: int, name: str) -> Trace:
    """The same decisions again and again, until a site has so many rows."""
    copies = -(-rows // min(int(trace.rows_per_unit(s).sum()) for s in trace.sites))

    def again(d: Decisions) -> Decisions:
        parts = (
            None if a is None else np.concatenate([a] * copies)
            for a in (d.ids, d.weights, d.scores)
        )
        return Decisions(*parts)  # type: ignore[arg-type]

    steps, quality = (
        pd.concat([t] * copies, ignore_index=True) for t in (trace.steps, trace.quality)
    )
    reader = in_memory({s.name: again(trace.decisions(s.name)) for s in trace.sites})
    return replace(
        trace,
        header=trace.header.model_copy(update={"name": name}),
        steps=steps,
        quality=quality,
        reader=reader,
        _cache={},
    )


def opened(browser: Any, folder: Path, empty: str, trace: str) -> float:
    """Seconds from the link to the verdict of a million rows, over the shell."""
    big = folder / f"million-{trace}"
    times_over(condsim.load(resource("traces") / trace), 1_000_000, big.name).save(big)
    with served(folder, str(big)) as address:
        context = profile(browser)
        followed(context, f"{address}/?trace={trace}")
        shell = min(followed(context, empty)[0] for _ in range(3))
        page = context.new_page()
        page.add_init_script(WATCH.replace(WORDS, "[data-testid=stMetricValue]"))
        page.goto(f"{address}/?trace={big.name}")
        page.wait_for_function("window.seen.words")
        seen = float(page.evaluate("window.seen.words")) / 1e3
        context.close()
    return seen - shell


def row(what: str, seconds: list[float], target: float | None = None) -> None:
    middle = statistics.median(seconds)
    said = "" if target is None else f"{target:7g} s  {'met' if middle < target else 'MISSED'}"
    print(f"{what:64s}{middle:7.2f} s{max(seconds):7.2f} s{said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=("paint", "change", "open"))
    parser.add_argument("--traces", nargs="*", default=TRACES)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        chromium() as browser,
        empty_app(Path(name)) as empty,
    ):
        folder = Path(name)
        print(f"{'':64s}{'median':>9s}{'worst':>9s}{'target':>9s}")
        with served(folder) as address:
            if asked.only in (None, "paint"):
                shell, found = paints(browser, address, empty, asked.repeats)
                base = statistics.median(shell)
                row("an app that shows one word", shell)
                for page, seen in found.items():
                    row(
                        f"{page or 'verdict'}: first words, over that",
                        [words - base for words, _ in seen],
                        PAINT_S,
                    )
                    row("  all of it, over that", [whole - base for _, whole in seen])
            if asked.only in (None, "change"):
                for device in (None, GPU):
                    for trace in asked.traces:
                        row(
                            f"{trace}, {device or 'as measured'}: another batch",
                            changes(browser, address, trace, device, (3, 5, 6, 7)),
                            CHANGE_S,
                        )
        if asked.only in (None, "open"):
            for trace in ("exit-fashion", "moe-bytes"):
                row(
                    f"{trace}, a million rows: verdict, over the shell",
                    [opened(browser, folder, empty, trace)],
                    OPEN_S,
                )


if __name__ == "__main__":
    main()
