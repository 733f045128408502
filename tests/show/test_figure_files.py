"""Figures as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.predict.prediction import Prediction
from condsim.show.figure_files import rendered
from condsim.show.plots import save_waterfall, waterfall_figure


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_the_same_figure_gives_the_same_bytes(prediction: Prediction, kind: str) -> None:
    first = rendered(waterfall_figure(prediction), kind)
    again = rendered(waterfall_figure(prediction), kind)
    assert first == again


@pytest.mark.parametrize(
    ("name", "begin"), [("w.svg", b"<?xml"), ("w.pdf", b"%PDF"), ("W.PNG", b"\x89PNG")]
)
def test_a_file_is_of_the_kind_of_its_name(
    prediction: Prediction, tmp_path: Path, name: str, begin: bytes
) -> None:
    file = save_waterfall(prediction, tmp_path / name)
    assert file.read_bytes().startswith(begin)
    assert list(tmp_path.iterdir()) == [file]
