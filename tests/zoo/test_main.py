"""`python -m condsim.zoo train NAME`."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.zoo.__main__ import main


def test_missing_data_and_bad_names_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONDSIM_FASHION_MNIST", str(tmp_path))
    assert main(["train", "skip-fashion", "--steps", "1"]) == 2
    assert "dataset-fashion-mnist" in capsys.readouterr().err
    assert main(["train", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("unknown zoo model 'nothing'")


def test_the_checkpoint_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "moe-bytes", "--steps", "1", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "moe-bytes.pt"))
