"""The real server in a real browser: pages, a shared link, the keyboard, an upload, Stop."""

from __future__ import annotations

import contextlib
import random
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
    "Serving": "serving",
    "Compare": "compare",
    "Break-even": "breakeven",
}
TRACES = sorted(p.parent.name for p in resource("traces").glob("*/trace.json"))
PROBED = re.compile(r"/\w+/_stcore/(health|host-config)$")
"""Streamlit's front end asks below a page's path first, and gets 404 there."""
METRIC = '[data-testid="stMetric"]'
PROBLEMS = '[data-testid="stException"], [data-testid="stAlertContentError"]'
FIRST_METRIC_CHANGED = (
    "before => document.querySelector('[data-testid=stMetric]').innerText != before"
)
HEIGHT = "document.querySelector('[data-testid=stMain]').scrollHeight"
Visit = Callable[..., Any]


class Watch:
    """What goes wrong on pages: problems is empty where nothing did."""

    def __init__(self, address: str) -> None:
        self.expected = (address, "data:", "blob:")
        self.problems: list[str] = []

    def listen(self, page: Any) -> None:
        """Watch a page."""
        page.on("request", self.requested)
        page.on("response", self.responded)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self.said)

    def requested(self, request: Any) -> None:
        """Nothing is loaded from elsewhere."""
        if not request.url.startswith(self.expected):
            self.problems.append(f"asked for {request.url}")

    def responded(self, response: Any) -> None:
        """Everything that is asked for is there."""
        if response.status >= 400 and not PROBED.search(response.url):
            self.problems.append(f"{response.status} {response.url}")

    def said(self, message: Any) -> None:
        """Nothing is reported in the console."""
        if message.type == "error" and "status of 404" not in message.text:
            self.problems.append(message.text)


@pytest.fixture
def visit(chromium: Any, used_profile: Any, address: str) -> Iterator[Visit]:
    """Open a link, in a fresh profile if wanted. At the end: nothing went wrong on any page."""
    opened: list[Any] = []
    watch = Watch(address)

    def open_link(link: str, fresh: bool = False, **options: Any) -> Any:
        context = profile(chromium, **options) if fresh else used_profile
        page = context.new_page()
        opened.append(page)
        if fresh:
            opened.append(context)
        watch.listen(page)
        page.goto(link if link.startswith("http") else f"{address}/{link}")
        settled(page)
        return page

    yield open_link
    for page_or_profile in opened:
        page_or_profile.close()
    assert not watch.problems


def metrics(page: Any) -> list[str]:
    """The texts of the cards."""
    page.wait_for_selector('[data-testid="stMetricValue"]')
    return [str(text) for text in page.locator(METRIC).all_inner_texts()]


def wait_for_other_metrics(page: Any, before: list[str]) -> None:
    """Wait until the first card says something else."""
    page.wait_for_function(FIRST_METRIC_CHANGED, arg=before[0])
    settled(page)


def assert_drawn(page: Any) -> None:
    """Charts are there, and drawn; nothing went wrong."""
    page.locator(CHART).first.wait_for()
    settled(page)
    for chart in page.locator(CHART).all():
        chart.locator("canvas, svg.marks").first.wait_for()
        assert chart.bounding_box()["height"] > 50
    assert not page.locator(PROBLEMS).count()


def test_every_page_draws_its_charts(visit: Visit) -> None:
    page = visit("?trace=exit-fashion")
    assert_drawn(page)
    for name, path in PAGES.items():
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/{path}?trace=exit-fashion*")
        if path == "breakeven":
            page.get_by_label("Its values").first.fill("1, 2")
            # Values that were typed come with the press, and a second press does no harm.
            page.get_by_role("button", name="Run").dblclick()
        assert_drawn(page)


def test_the_verdict_fits_without_scrolling(visit: Visit) -> None:
    for trace in TRACES:
        page = visit(f"?trace={trace}")
        metrics(page)
        assert_drawn(page)
        assert page.evaluate(HEIGHT) <= SIZE["height"], trace


def test_a_shared_link_gives_the_same_numbers_in_a_fresh_profile(visit: Visit) -> None:
    page = visit("?trace=moe-bytes")
    before = metrics(page)
    page.get_by_role("spinbutton", name="Batch").fill("5")
    page.keyboard.press("Enter")
    page.wait_for_url("**batch=5*")
    wait_for_other_metrics(page, before)
    seen = metrics(page)
    assert seen != before
    assert metrics(visit(page.url, fresh=True, color_scheme="dark")) == seen


def change_a_box(page: Any, chance: random.Random) -> None:
    """Choose some other option in one of the lists of the sidebar, or a batch, or a baseline."""
    sidebar = page.get_by_test_id("stSidebarContent")
    kind = chance.choice(["list", "list", "list", "batch", "baseline"])
    if kind == "batch":
        sidebar.get_by_role("spinbutton", name="Batch").fill(str(chance.choice([1, 2, 5, 8])))
        page.keyboard.press("Enter")
    elif kind == "baseline":
        name = chance.choice(["same-params", "same-flops"])
        sidebar.get_by_role("radio", name=name).click()
    else:
        label = chance.choice(["Trace", "Device", "Strategy"])
        sidebar.get_by_role("combobox", name=re.compile(label)).click()
        options = page.get_by_role("option").all()
        chance.choice(options).click()
    page.wait_for_timeout(300)  # the run of the page begins after the click
    settled(page)


@pytest.mark.slow
def test_after_random_clicks_a_fresh_tab_shows_the_same(visit: Visit) -> None:
    chance = random.Random(3)
    page = visit("?trace=moe-bytes")
    for click in range(30):
        change_a_box(page, chance)
        if click % 3 == 0:
            fresh = visit(page.url)
            assert metrics(fresh) == metrics(page), page.url
            assert fresh.url == page.url
            fresh.close()


def test_the_keyboard_reaches_a_page(visit: Visit) -> None:
    page = visit("?trace=exit-fashion")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip() == "Waterfall":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/waterfall?trace=exit-fashion")
    assert_drawn(page)


def test_a_bad_upload_leaves_the_old_trace_and_a_good_one_is_shown(
    visit: Visit, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(packed(files_of(resource("traces") / "exit-fashion")))
    bad.write_bytes(packed({"../evil.json": b"{}"}))
    page = visit("?trace=moe-bytes")
    before = metrics(page)
    page.get_by_role("button", name="Open a trace").click()
    chosen = page.locator('[data-testid="stFileUploader"] input').first
    chosen.set_input_files(bad)
    page.get_by_text("leads out of the folder").wait_for()
    settled(page)
    assert metrics(page) == before
    chosen.set_input_files(good)
    page.wait_for_url("**trace=exit-fashion-*")
    settled(page)
    wait_for_other_metrics(page, before)
    assert metrics(visit(page.url, fresh=True)) == metrics(page)


def press(main: Any, name: str, then: Any) -> None:
    """Press a button until what it does is seen.

    A press while the page is drawn anew meets a button that is gone.
    """
    from playwright.sync_api import TimeoutError as Late

    for _ in range(8):
        with contextlib.suppress(Late):
            main.get_by_role("button", name=name).click(timeout=10_000)
        with contextlib.suppress(Late):
            then.wait_for(timeout=10_000)
            return
    then.wait_for()


@pytest.mark.slow
def test_long_work_stops_and_goes_on(visit: Visit) -> None:
    # So many points that no machine is through them before Stop is pressed.
    batches = ",".join(str(batch) for batch in range(1, 41))
    shares = ",".join(f"{number / 50:g}" for number in range(1, 41))
    page = visit(f"breakeven?trace=moe-bytes&device=nvidia-h100-sxm&xs={batches}&ys={shares}")
    # Only the page's own buttons: Streamlit has a Stop in its header.
    main = page.get_by_test_id("stMainBlockContainer")
    begun = main.get_by_text(re.compile("^[1-9].* of 1600, about"))
    stopped = main.get_by_role("button", name="Go on")
    press(main, "Run", begun)
    press(main, "Stop", stopped)
    press(main, "Go on", begun)
    press(main, "Stop", stopped)
