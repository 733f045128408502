"""How long a person waits in the dashboard, in the real server and a real browser.

    python -m benchmarks.dashboard [--repeats N] [--only paint|change|open] [--traces NAME ...]

A page: from the click on a link to its first own words, less what an app that shows one word needs
for that word (Streamlit's shell, the same on every page). An input: from Enter to the new numbers.
A trace of a million rows: from the link to the verdict, less the shell; nothing of it was read
before. Each stands beside its target.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks.browser import CHART, RAN, answering, chromium, profile, served, settled
from condsim.resources import resource
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory

PAGES = ("", "waterfall", "accuracy", "routing", "timeline", "compare", "serving", "breakeven")
"""Paths in the address; the first is the verdict's."""
TRACES = sorted(p.parent.name for p in resource("traces").glob("*/trace.json"))
PAINT_S, CHANGE_S, OPEN_S = 1.0, 0.3, 3.0
"""Targets."""
GPU = "nvidia-h100-sxm"
BATCHES = (3, 5, 6, 7)
MILLION = 1_000_000
MAIN = '[data-testid="stMainBlockContainer"]'
WORDS = f'{MAIN} :is([data-testid="stMarkdownContainer"], [data-testid="stSelectbox"])'
NUMBER = "[data-testid=stMetricValue]"
VERDICT = f"{MAIN} h4"


def watch(words: str) -> str:
    """A script that notes when a page's first words, and when all of it, are there.

    words: selector of the words. The times are milliseconds since the link was followed.
    """
    return f"""
window.seen = {{}};
const look = () => {{
  const main = document.querySelector('{words}');
  if (!seen.words && main && main.innerText.trim()) seen.words = performance.now();
  const charts = [...document.querySelectorAll('{CHART}')];
  const drawn = charts.every(c => c.querySelector('canvas, svg'));
  const ran = document.querySelector('{RAN}');
  if (!seen.all && seen.words && ran && drawn) seen.all = performance.now();
  requestAnimationFrame(look);
}};
requestAnimationFrame(look);
"""


NOTE_CHANGE = f"""
addEventListener('keydown', e => {{
  if (e.key !== 'Enter') return;
  const began = performance.now(), old = document.querySelector('{VERDICT}').innerText;
  window.changed = null;
  const look = () => {{
    const now = document.querySelector('{VERDICT}');
    if (now && now.innerText !== old) window.changed = performance.now() - began;
    else requestAnimationFrame(look);
  }};
  look();
}}, true);
"""
"""Notes the milliseconds from Enter to another verdict (it names the batch)."""


@dataclass(frozen=True)
class Wait:
    """Seconds until a page's first words, and until all of it is there."""

    words_s: float
    all_s: float


@contextmanager
def empty_app(folder: Path) -> Iterator[str]:
    """A Streamlit app that shows one word. Gives its address."""
    (folder / "empty.py").write_text("import streamlit as st\n\nst.write('empty')\n")
    command = [
        *(sys.executable, "-m", "streamlit", "run", "empty.py"),
        "--server.headless=true",
        "--server.address=127.0.0.1",
        "--browser.gatherUsageStats=false",
        "--server.port",
    ]
    with answering(command, folder, folder / "empty.log") as address:
        yield address


def follow(context: Any, link: str) -> Wait:
    """Open a link in a profile."""
    page = context.new_page()
    page.add_init_script(watch(WORDS))
    page.goto(link)
    page.wait_for_function("window.seen.all")
    seen = page.evaluate("window.seen")
    page.close()
    return Wait(seen["words"] / 1e3, seen["all"] / 1e3)


def paints(
    browser: Any, address: str, empty: str, repeats: int
) -> tuple[list[float], dict[str, list[Wait]]]:
    """(the shell's seconds, page → waits), in turn, from a profile that has Streamlit's scripts.

    address: of the dashboard. empty: of `empty_app`.
    """
    context = profile(browser)
    follow(context, empty)
    follow(context, f"{address}/?trace=exit-fashion")
    shell_s: list[float] = []
    waits: dict[str, list[Wait]] = {page: [] for page in PAGES}
    for repeat in range(repeats):
        trace = TRACES[repeat % len(TRACES)]
        for page in PAGES:
            shell_s.append(follow(context, empty).words_s)
            waits[page].append(follow(context, f"{address}/{page}?trace={trace}"))
    context.close()
    return shell_s, waits


def changes(
    browser: Any, address: str, trace: str, device: str | None, batches: Sequence[int]
) -> list[float]:
    """Seconds from each new batch to its verdict. No batch is asked for twice."""
    page = profile(browser).new_page()
    page.add_init_script(NOTE_CHANGE)
    link = f"{address}/?trace={trace}"
    page.goto(link if device is None else f"{link}&device={device}")
    page.wait_for_selector(VERDICT)
    seconds = []
    for batch in batches:
        settled(page)
        page.get_by_role("spinbutton", name="Batch").fill(str(batch))
        page.keyboard.press("Enter")
        page.wait_for_function("window.changed")
        seconds.append(page.evaluate("window.changed") / 1e3)
    page.context.close()
    return seconds


def repeated(trace: Trace, rows: int, name: str) -> Trace:
    """The same decisions again and again, until each site has so many rows."""
    fewest = min(int(trace.rows_per_unit(site).sum()) for site in trace.sites)
    copies = -(-rows // fewest)
    decisions = {}
    for site in trace.sites:
        once = trace.decisions(site.name)
        decisions[site.name] = Decisions(
            ids=np.concatenate([once.ids] * copies),
            weights=_tiled(once.weights, copies),
            scores=_tiled(once.scores, copies),
        )
    return replace(
        trace,
        header=trace.header.model_copy(update={"name": name}),
        steps=pd.concat([trace.steps] * copies, ignore_index=True),
        quality=pd.concat([trace.quality] * copies, ignore_index=True),
        reader=in_memory(decisions),
    )


def _tiled(rows: np.ndarray | None, copies: int) -> np.ndarray | None:
    return None if rows is None else np.concatenate([rows] * copies)


def opening(browser: Any, folder: Path, empty: str, trace: str) -> float:
    """Seconds from the link to the verdict of a million rows, over the shell."""
    name = f"million-{trace}"
    repeated(condsim.load(resource("traces") / trace), MILLION, name).save(folder / name)
    with served(folder, str(folder / name)) as address:
        context = profile(browser)
        follow(context, f"{address}/?trace={trace}")
        shell_s = min(follow(context, empty).words_s for _ in range(3))
        page = context.new_page()
        page.add_init_script(watch(NUMBER))
        page.goto(f"{address}/?trace={name}")
        page.wait_for_function("window.seen.words")
        verdict_s = float(page.evaluate("window.seen.words")) / 1e3
        context.close()
    return verdict_s - shell_s


def row(what: str, seconds: Sequence[float], target_s: float | None = None) -> None:
    """Print the median and the worst of some waits, and whether the median meets its target."""
    middle_s = statistics.median(seconds)
    verdict = ""
    if target_s is not None:
        verdict = f"{target_s:7g} s  {'met' if middle_s < target_s else 'MISSED'}"
    print(f"{what:64s}{middle_s:7.2f} s{max(seconds):7.2f} s{verdict}", flush=True)


def report_paints(browser: Any, address: str, empty: str, repeats: int) -> None:
    """Print how long each page takes to appear."""
    shell_s, waits = paints(browser, address, empty, repeats)
    row("an app that shows one word", shell_s)
    word_s = statistics.median(shell_s)
    for page, of_page in waits.items():
        first = [wait.words_s - word_s for wait in of_page]
        whole = [wait.all_s - word_s for wait in of_page]
        row(f"{page or 'verdict'}: first words, over that", first, PAINT_S)
        row("  all of it, over that", whole)


def report_changes(browser: Any, address: str, traces: Sequence[str]) -> None:
    """Print how long another batch takes, on a measured and on an estimated device."""
    for device in (None, GPU):
        for trace in traces:
            seconds = changes(browser, address, trace, device, BATCHES)
            row(f"{trace}, {device or 'as measured'}: another batch", seconds, CHANGE_S)


def report_openings(browser: Any, folder: Path, empty: str) -> None:
    """Print how long a large trace takes to open."""
    for trace in ("exit-fashion", "moe-bytes"):
        seconds = opening(browser, folder, empty, trace)
        row(f"{trace}, a million rows: verdict, over the shell", [seconds], OPEN_S)


def main() -> None:
    """Print a table of waits beside their targets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
                report_paints(browser, address, empty, asked.repeats)
            if asked.only in (None, "change"):
                report_changes(browser, address, asked.traces)
        if asked.only in (None, "open"):
            report_openings(browser, folder, empty)


if __name__ == "__main__":
    main()
