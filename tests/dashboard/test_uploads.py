"""Uploads in the app: a bad one leaves the old trace on every page, a good one is shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from condsim.dashboard.parts import library
from condsim.dashboard.parts.shell import WITHOUT_SCENARIO
from condsim.resources import resource
from dashboard.bad_uploads import bad_uploads, files_of, packed
from dashboard.test_pages import PAGES, opened

GOOD = resource("traces") / "exit-fashion"
BAD = bad_uploads(GOOD)
KEPT = ("exit-fashion", "moe-bytes-train", "merge-fashion")
"""Traces that bad uploads are tried beside: measured, in training, of tokens."""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """What a page was given is not there for the tests that follow in this process."""
    yield
    library.uploads.clear()


def shown(app: AppTest) -> list[str]:
    """What a page says."""
    main = app.main
    return [element.value for element in (*main.markdown, *main.metric, *main.caption, *main.info)]


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize("trace", KEPT)
def test_every_page_refuses_a_bad_one_and_keeps_the_old_trace(trace: str) -> None:
    """Each of these traces meets bad uploads on every page, and every bad upload some page."""
    app = opened(trace=trace)
    pages = [page for page in PAGES if page.removesuffix(".py") not in WITHOUT_SCENARIO]
    for place, page in enumerate(pages, start=KEPT.index(trace) * len(pages)):
        cases = list(BAD)[place :: len(KEPT) * len(pages)]
        app.switch_page(f"condsim/dashboard/{page}").run()
        before = shown(app)
        for case in cases:
            data, said = BAD[case]
            uploader = app.file_uploader(key="zip")
            uploader.set_value((f"{case}.zip", data, "application/zip")).run()
            assert not app.exception, (page, case)
            assert any(said in error.value for error in app.error), (page, case)
            assert shown(app) == before, (page, case)


def test_a_good_one_is_shown() -> None:
    app = opened(trace="moe-bytes")
    data = packed(files_of(GOOD))
    app.file_uploader(key="zip").set_value(("good.zip", data, "application/zip")).run()
    assert not app.error
    assert app.selectbox(key="trace").value.startswith("exit-fashion-")
    app.run()
    assert not app.error
    assert app.metric


def listed(app: AppTest) -> list[str]:
    """Traces that can be chosen."""
    return list(app.selectbox(key="trace").options)


def test_an_upload_is_seen_by_its_session_and_by_who_has_its_address() -> None:
    app = opened(trace="moe-bytes")
    data = packed(files_of(GOOD))
    app.file_uploader(key="zip").set_value(("good.zip", data, "application/zip")).run()
    name = app.selectbox(key="trace").value
    assert name in listed(app)
    assert name not in listed(opened(trace="moe-bytes"))
    linked = opened(trace=name)
    assert linked.selectbox(key="trace").value == name
    linked.selectbox(key="trace").set_value("moe-bytes").run()
    assert name in listed(linked)
