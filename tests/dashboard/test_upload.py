"""Uploads: what is in order is kept, what is not is refused in one line, and nothing is left behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import condsim
from condsim.dashboard.parts import library, upload
from condsim.resources import resource
from dashboard.bad_uploads import bad_uploads, files_of, packed
from dashboard.test_pages import APP, PAGES, TRACES

GOOD = resource("traces") / "exit-fashion"
BAD = bad_uploads(GOOD)


@pytest.fixture(autouse=True)
def none_stays() -> Iterator[None]:
    """What a page was given is not there for the tests that follow in this process."""
    yield
    library.uploads.clear()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a bomb of 24 MiB breaks."""
    monkeypatch.setattr(upload, "LIMIT_BYTES", 16 << 20)
    monkeypatch.setattr(upload, "LIMIT_PROGRAMS_BYTES", 12 << 20)
    monkeypatch.setattr(upload, "LIMIT_FILES", 50)


def test_a_zip_and_its_folder_are_the_same_trace(tmp_path: Path) -> None:
    files = files_of(GOOD)
    name = upload.keep_zip(packed(files), "mine.zip", tmp_path)
    assert name == upload.keep_zip(
        packed({f"some/where/{n}": d for n, d in files.items()}), "other.zip", tmp_path
    )
    listed = [
        *((f"exit/{n}", io.BytesIO(d)) for n, d in files.items()),
        ("exit/.DS_Store", io.BytesIO(b"x")),
    ]
    assert name == upload.keep_files(listed, "exit", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (
        condsim.simulate(condsim.load(tmp_path / name)).speedup
        == condsim.simulate(condsim.load(GOOD)).speedup
    )


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("case", BAD)
def test_what_is_not_a_trace_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    data, said = BAD[case]
    with pytest.raises(condsim.CondsimError) as caught:
        upload.keep_zip(data, "mine.zip", tmp_path)
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert not (tmp_path.parent / "evil.json").exists()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("trace", TRACES)
def test_every_page_says_so_and_keeps_the_old_trace(trace: str) -> None:
    """Every page meets every bad upload, over the traces: each trace meets every fifth of them on each page."""
    app = AppTest.from_file(APP, default_timeout=300)
    app.query_params["trace"] = trace
    app.run()
    for page in PAGES:
        app.switch_page(f"condsim/dashboard/{page}").run()
        before = shown(app)
        for case in list(BAD)[TRACES.index(trace) :: len(TRACES)]:
            data, said = BAD[case]
            app.file_uploader(key="zip").set_value((f"{case}.zip", data, "application/zip")).run()
            assert not app.exception, (page, case)
            assert any(said in e.value for e in app.error), (page, case)
            assert shown(app) == before, (page, case)


def test_a_good_upload_is_shown() -> None:
    app = AppTest.from_file(APP, default_timeout=300)
    app.query_params["trace"] = "moe-bytes"
    app.run()
    app.file_uploader(key="zip").set_value(
        ("good.zip", packed(files_of(GOOD)), "application/zip")
    ).run()
    assert not app.error
    assert app.selectbox(key="trace").value.startswith("exit-fashion-")
    app.run()
    assert not app.error
    assert app.metric


def shown(app: AppTest) -> list[str]:
    """What a page says."""
    return [
        e.value for e in (*app.main.markdown, *app.main.metric, *app.main.caption, *app.main.info)
    ]
