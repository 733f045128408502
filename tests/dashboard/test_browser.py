"""The real server in a real browser: every page, a shared link, the keyboard, an upload, Stop."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import CHART, SIZE, profile, settled
from condsim.resources import resource
from dashboard.bad_uploads import files_of, packed

PAGES = {
    "Waterfall": "waterfall",
    "Accuracy": "accuracy",
    "Routing": "routing",
    "Timeline": "timeline",
    "Compare": "compare",
    "Break-even": "breakeven",
}
TRACES = sorted(p.parent.name for p in resource("traces").glob("*/trace.json"))
PROBED = re.compile(r"/\w+/_stcore/(health|host-config)$")
"""Streamlit's front end asks below a page's path first, and gets 404 there."""
Open = Callable[..., Any]


@pytest.fixture
def visit(chromium: Any, used_profile: Any, address: str) -> Iterator[Open]:
    """Open a link, in a fresh profile if wanted. At the end: nothing was loaded from elsewhere, nothing was reported in the console."""
    fresh_ones: list[Any] = []
    pages: list[Any] = []
    wrong: list[str] = []

    def open_it(path: str, fresh: bool = False, **options: Any) -> Any:
        if fresh:
            fresh_ones.append(profile(chromium, **options))
        page = (fresh_ones[-1] if fresh else used_profile).new_page()
        pages.append(page)
        page.on(
            "request",
            lambda r: (
                r.url.startswith((address, "data:", "blob:")) or wrong.append(f"asked for {r.url}")
            ),
        )
        page.on(
            "response",
            lambda r: r.status < 400 or PROBED.search(r.url) or wrong.append(f"{r.status} {r.url}"),
        )
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on(
            "console",
            lambda m: m.type == "error" and "status of 404" not in m.text and wrong.append(m.text),
        )
        page.goto(path if path.startswith("http") else f"{address}/{path}")
        settled(page)
        return page

    yield open_it
    for opened in (*pages, *fresh_ones):
        opened.close()
    assert not wrong


def metrics(page: Any) -> list[str]:
    page.wait_for_selector('[data-testid="stMetricValue"]')
    return [str(t) for t in page.locator('[data-testid="stMetric"]').all_inner_texts()]


def drawn(page: Any) -> None:
    """Charts are there, and drawn; nothing went wrong."""
    page.locator(CHART).first.wait_for()
    settled(page)
    for chart in page.locator(CHART).all():
        chart.locator("canvas, svg.marks").first.wait_for()
        assert chart.bounding_box()["height"] > 50
    assert not page.locator(
        '[data-testid="stException"], [data-testid="stAlertContentError"]'
    ).count()


def test_every_page_draws_its_charts(visit: Open) -> None:
    page = visit("?trace=exit-fashion")
    drawn(page)
    for name, path in PAGES.items():
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/{path}?trace=exit-fashion*")
        if path == "breakeven":
            page.get_by_label("Its values").first.fill("1, 2")
            page.get_by_role(
                "button", name="Run"
            ).dblclick()  # values that were typed come with the press, and a second one does no harm
        drawn(page)


def test_the_verdict_fits_without_scrolling(visit: Open) -> None:
    for trace in TRACES:
        page = visit(f"?trace={trace}")
        metrics(page)
        drawn(page)
        assert (
            page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            <= SIZE["height"]
        ), trace


def test_a_shared_link_gives_the_same_numbers_in_a_fresh_profile(visit: Open) -> None:
    page = visit("?trace=moe-bytes")
    before = metrics(page)
    page.get_by_role("spinbutton", name="Batch").fill("5")
    page.keyboard.press("Enter")
    page.wait_for_url("**batch=5*")
    page.wait_for_function(
        "before => document.querySelector('[data-testid=stMetric]').innerText != before",
        arg=before[0],
    )
    settled(page)
    seen = metrics(page)
    assert seen != before
    assert metrics(visit(page.url, fresh=True, color_scheme="dark")) == seen


def test_the_keyboard_reaches_a_page(visit: Open) -> None:
    page = visit("?trace=exit-fashion")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip() == "Waterfall":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/waterfall?trace=exit-fashion")
    drawn(page)


def test_a_bad_upload_leaves_the_old_trace_and_a_good_one_is_shown(
    visit: Open, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    files = files_of(resource("traces") / "exit-fashion")
    good.write_bytes(packed(files))
    bad.write_bytes(packed({"../evil.json": b"{}"}))
    page = visit("?trace=moe-bytes")
    before = metrics(page)
    page.get_by_role("button", name="Open a trace").click()
    page.locator('[data-testid="stFileUploader"] input').first.set_input_files(bad)
    page.get_by_text("leads out of the folder").wait_for()
    settled(page)
    assert metrics(page) == before
    page.locator('[data-testid="stFileUploader"] input').first.set_input_files(good)
    page.wait_for_url("**trace=exit-fashion-*")
    settled(page)
    page.wait_for_function(
        "before => document.querySelector('[data-testid=stMetric]').innerText != before",
        arg=before[0],
    )
    settled(page)
    assert metrics(visit(page.url, fresh=True)) == metrics(page)


def press(main: Any, name: str, then: Any) -> None:
    """Press a button until what it does is seen: a press while the page is drawn anew meets a button that is gone."""
    from playwright.sync_api import TimeoutError as Late

    for _ in range(8):
        with contextlib.suppress(Late):
            main.get_by_role("button", name=name).click(timeout=10_000)
        with contextlib.suppress(Late):
            then.wait_for(timeout=10_000)
            return
    then.wait_for()


@pytest.mark.slow
def test_long_work_stops_and_goes_on(visit: Open) -> None:
    batches, shares = (
        ",".join(f"{v:g}" for v in values)
        for values in (range(1, 41), [n / 50 for n in range(1, 41)])
    )
    # so many points that no machine is through them before Stop is pressed
    page = visit(f"breakeven?trace=moe-bytes&device=nvidia-h100-sxm&xs={batches}&ys={shares}")
    main = page.get_by_test_id(
        "stMainBlockContainer"
    )  # Streamlit has a Stop of its own in the header
    begun, stopped = (
        main.get_by_text(re.compile("^[1-9].* of 1600, about")),
        main.get_by_role("button", name="Go on"),
    )
    press(main, "Run", begun)
    press(main, "Stop", stopped)
    press(main, "Go on", begun)
    press(main, "Stop", stopped)
