"""No answer leaves that is not finite, or not above 0 where 0 means nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.predict.gate import answering, checked
from condsim.predict.memory import Memory
from condsim.predict.prediction import Later, Prediction
from condsim.resources import resource
from condsim.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "branch-fashion")


@pytest.fixture(scope="module")
def prediction(trace: Trace) -> Prediction:
    return condsim.simulate(trace, "raspberry-pi-5")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"speedup": float("nan")}, "speedup would be nan"),
        ({"latency_s": 0.0}, "latency_s would be 0"),
        ({"energy_j": float("inf")}, "energy_j would be inf"),
        ({"baseline_energy_j": -1.0}, "baseline_energy_j would be -1"),
        ({"flops_ratio": -0.16}, "flops_ratio would be -0.16"),
        ({"executed_flops": -1.0}, "executed_flops would be -1"),
        ({"speedup_interval": (0.0, 1.0)}, "low end of speedup_interval"),
        ({"latency_interval": (1.0, float("inf"))}, "high end of latency_interval"),
        ({"rivals": {"roofline": float("nan")}}, "rivals.roofline"),
        ({"estimated": {"measured": float("nan")}}, "share that is measured"),
    ],
)
def test_numbers(prediction: Prediction, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(CondsimError, match=words):
        checked(replace(prediction, **changed))


def test_zero_where_it_means_something(prediction: Prediction) -> None:
    nothing_executed = replace(prediction, executed_flops=0.0, prepare_s=0.0, graphs=0)
    assert checked(nothing_executed) is nothing_executed


def test_each_step(prediction: Prediction) -> None:
    seconds = prediction.of_steps.baseline.copy()
    seconds[1] = float("nan")
    of_steps = replace(prediction.of_steps, baseline=seconds)
    with pytest.raises(CondsimError, match="least baseline_s of a step would be nan"):
        checked(replace(prediction, of_steps=of_steps))


def test_what_is_computed_later(prediction: Prediction) -> None:
    def bad_waterfall() -> pd.DataFrame:
        return prediction.waterfall.assign(factor=-1.0)

    less_than_none = Memory(-1, 0, 0, 1.0)
    later = Later(memory=lambda: (less_than_none, less_than_none), waterfall=bad_waterfall)
    bad = replace(prediction, later=later)
    with pytest.raises(CondsimError, match="peak_bytes would be -1"):
        bad.memory  # noqa: B018
    with pytest.raises(CondsimError, match="factor of flops would be -1"):
        bad.waterfall  # noqa: B018


def test_arithmetic_without_a_result() -> None:
    with pytest.raises(CondsimError, match="trace 't' on 'p' has no answer"), answering("t", "p"):
        1 / 0  # noqa: B018


def test_flops_that_contradict_the_programs(tmp_path: Path) -> None:
    """A branch that is said to cost more than the whole model leaves fewer FLOPs than none."""
    folder = Path(shutil.copytree(resource("traces") / "branch-fashion", tmp_path / "t"))
    header = json.loads((folder / "trace.json").read_text())
    header["sites"][0]["branch_flops"] = [0.0, 0.0, 1e17]
    (folder / "trace.json").write_text(json.dumps(header))
    with pytest.raises(CondsimError, match="has no answer: flops_ratio would be"):
        condsim.simulate(condsim.load(folder), "raspberry-pi-5")


def test_knobs_that_change_nothing_are_said(trace: Trace) -> None:
    asked = condsim.simulate(trace, "raspberry-pi-5", capacity_factor=2, expert_cache=0.5)
    said = " ".join(asked.notes)
    assert "capacity_factor changes nothing: strategy compacted does not use it" in said
    assert "expert_cache changes nothing: strategy compacted does not use it" in said


@pytest.mark.parametrize("given", ["branch-fashion", None, 5])
def test_what_is_no_trace(given: Any) -> None:
    with pytest.raises(CondsimError, match=r"condsim\.load"):
        condsim.simulate(given, "raspberry-pi-5")


@pytest.mark.parametrize("given", [5, b"raspberry-pi-5", ["a"], "\0.yaml"])
def test_what_is_no_profile(trace: Trace, given: Any) -> None:
    with pytest.raises(CondsimError, match="profile"):
        condsim.simulate(trace, given)
