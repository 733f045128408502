"""A trace of recorded routing in the app: the Routing page shows it, the others say what is
missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from importers.made import SHAPE, drawn
from streamlit.testing.v1 import AppTest

import condsim
from condsim.cli.browser import GIVEN
from condsim.resources import resource


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The app on routing that was imported."""
    np.save(tmp_path / "served.npy", drawn(40))
    trace = condsim.import_routing(tmp_path / "served.npy", model=SHAPE, phase="decode")
    trace.save(tmp_path / "served")
    monkeypatch.setenv(GIVEN, str(tmp_path / "served"))
    return AppTest.from_file(resource("app.py"), default_timeout=300).run()


def test_the_routing_page_shows_it_and_others_say_what_is_missing(app: AppTest) -> None:
    (error,) = app.error
    assert "recorded routing only" in error.value
    app.switch_page("condsim/dashboard/routing.py").run()
    assert not app.error
    assert not app.exception
    assert len(app.get("vega_lite_chart")) == 3
    assert "3 sites: mixture of experts, top 4, 16 branches" in app.markdown[0].value
    assert not [code.value for code in app.code if "condsim simulate" in code.value]
