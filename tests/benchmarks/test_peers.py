"""Other tools on the same rows: what is counted, and what is said where one cannot answer."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import peers
from benchmarks.peer_tools import environment
from benchmarks.peer_tools.environment import PEERS
from condsim.errors import CondsimError


def test_refusals_are_counted_and_errors_are_of_what_was_answered() -> None:
    answers = [
        {"token_s": 1.1, "seconds": 0.1},
        {"token_s": 0.7, "seconds": 0.3},
        {"refused": "no such model", "seconds": 0.2},
    ]
    line = peers.line("tool", answers, np.ones(3))
    assert (line["rows"], line["refused"], line["refuses most"]) == (2, 1, "no such model")
    assert line["median %"] == pytest.approx(20)
    assert line["signed %"] == pytest.approx(-10)
    assert line["seconds a row"] == pytest.approx(0.2)


def test_a_tool_that_refuses_everything_has_no_error() -> None:
    line = peers.line("tool", [{"refused": "not mine", "seconds": 0.0}], np.ones(1))
    assert line["rows"] == 0
    assert np.isnan(line["median %"])


def test_all_tools_are_asked_the_same() -> None:
    row = {
        "model_path": "openai/gpt-oss-120b",
        "system": "b200_sxm",
        "backend": "vllm",
        "precision": "fp4",
        "batch_size": 64,
        "tp_size": 1,
        "isl": 1024,
        "osl": 8192,
    }
    (asked,) = peers.asked_of(pd.DataFrame([row]))
    assert (asked["batch"], asked["prompt"], asked["new"]) == (64, 921, 7372)


@pytest.mark.parametrize("peer", PEERS, ids=[peer.name for peer in PEERS])
def test_an_environment_without_the_tool_is_one_line(
    peer: environment.Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "peers" / peer.name / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / "peers" / peer.name / peer.requirement).touch()
    monkeypatch.setattr(environment, "user_cache_dir", lambda _name: str(tmp_path))
    with pytest.raises(CondsimError, match="ended without an answer: ModuleNotFoundError"):
        peer.answers([])
