"""One answer for the command line, the dashboard and a report."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

import condsim
from condsim.resources import resource
from condsim.strategies import BASELINES
from condsim.study.answer import Answer, answer, measured_beside
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "skip-fashion")


@pytest.fixture(scope="module")
def answered(trace: Trace) -> Answer:
    return answer(trace)


def test_speedups_are_over_every_baseline(trace: Trace) -> None:
    answered = answer(trace, GPU, baseline="same-flops", batch=8)
    assert set(answered.speedups) == set(BASELINES)
    assert answered.prediction.baseline == "same-flops"
    assert answered.speedups["same-flops"] == answered.prediction.speedup


def test_what_was_measured_stands_beside_it(trace: Trace, answered: Answer) -> None:
    measured = answered.measured
    assert measured is not None
    quotient = measured["predicted_speedup"] / measured["measured_speedup"]
    assert measured["error"] == pytest.approx(quotient - 1)
    assert measured["measured_low"] <= measured["measured_speedup"] <= measured["measured_high"]
    latencies = measured["measured_latency_s"], measured["measured_baseline_s"]
    assert latencies[1] / latencies[0] == pytest.approx(measured["measured_speedup"], rel=0.05)


def test_nothing_was_measured_on_another_device(trace: Trace) -> None:
    answered = answer(trace, GPU)
    assert answered.measured is None
    assert answered.to_dict()["measured"] is None


def test_nothing_was_measured_of_another_case(trace: Trace, answered: Answer) -> None:
    other = replace(answered.prediction, batch=answered.prediction.batch + 1)
    assert measured_beside(trace, trace.profile, other) is None


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0.5},
        {"steps": [40]},
        {"batch": 4},
        {"strategy": "wait", "batch": 7},
        {"capacity_factor": 2.0},
    ],
)
def test_a_measurement_stands_beside_its_own_scenario_only(options: dict[str, Any]) -> None:
    exits = condsim.load(resource("traces") / "exit-fashion")
    assert answer(exits, **options).measured is None


def test_the_captured_threshold_is_the_scenario_that_was_measured() -> None:
    exits = condsim.load(resource("traces") / "exit-fashion")
    (captured,) = exits.header.thresholds.values()
    assert answer(exits, threshold=captured).measured == answer(exits).measured is not None


def test_a_measurement_stands_beside_a_prediction_of_its_own_protocol(
    trace: Trace, answered: Answer
) -> None:
    """The trace was measured in pairs only; its default question is another one."""
    assert answered.measured is not None
    assert answered.prediction.protocol == "stream"
    assert answered.measured["protocol"] == "repeat"
    timed = trace.measurements
    both = replace(trace, measurements=pd.concat([timed, timed.assign(protocol="loop")]))
    asked = {"protocol": "loop"}
    looped = answer(both, **asked).measured
    assert looped is not None
    assert looped["protocol"] == "loop"
    assert looped["predicted_speedup"] != answered.measured["predicted_speedup"]


def test_a_measurement_in_another_dtype_is_of_another_scenario(
    trace: Trace, answered: Answer
) -> None:
    in_bf16 = replace(trace, measurements=trace.measurements.assign(dtype="bfloat16"))
    assert measured_beside(in_bf16, trace.profile, answered.prediction) is None
    assert not condsim.compare(in_bf16)["same_machine"].any()


def test_a_measurement_on_other_threads_is_of_another_machine(
    trace: Trace, answered: Answer
) -> None:
    fingerprints = trace.measurements["fingerprint"].str.replace('"threads": 1', '"threads": 2')
    other = replace(trace, measurements=trace.measurements.assign(fingerprint=fingerprints))
    assert measured_beside(other, trace.profile, answered.prediction) is None


def test_the_table_has_every_number_with_its_basis(answered: Answer) -> None:
    table = answered.table().set_index("number")
    p = answered.prediction
    assert table.loc["latency_s", "conditional"] == p.latency_s
    assert table.loc["latency_s", "baseline"] == p.baseline_s
    assert answered.measured is not None
    measured = answered.measured["measured_speedup"]
    assert table.loc["measured_speedup", "conditional"] == measured
    assert math.isnan(table.loc["flops_ratio", "baseline"])
    for baseline in BASELINES:
        row = table.loc[f"speedup over {baseline}"]
        assert row["conditional"] == answered.speedups[baseline]
    assert (table["basis"] != "").all()
    assert table.index.is_unique
