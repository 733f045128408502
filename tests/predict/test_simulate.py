"""Predictions obey their laws: exact waterfall, engines agree, baselines sit where they must,
resources are monotone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, hardware
from condsim.predict.simulate import simulate
from condsim.predict.timeline import write_chrome_trace
from condsim.trace import Trace


class SkipNet(nn.Module):
    """Three gated layers."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(64, 2) for _ in range(3))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64)) for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i, (gate, layer) in enumerate(zip(self.gates, self.layers, strict=True)):
            condsim.route(f"skip{i}", "skip", lambda gate=gate, x=x: gate(x).argmax(-1), branches=2)
            with condsim.branch(f"skip{i}", 1) as rows:
                if rows:
                    x = rows.put(x, layer(rows.take(x)))
        return x


@pytest.fixture(scope="module")
def trace() -> Trace:
    torch.manual_seed(0)
    return condsim.capture(
        SkipNet(), [torch.randn(8, 64) for _ in range(6)], measure=False, name="skipnet"
    )


@pytest.fixture(scope="module")
def cpu() -> HardwareProfile:
    """Peak rates on one clock."""
    return hardware("nvidia-h100-sxm").replace(kind="cpu", gpu=None, name="one-clock")


@pytest.mark.parametrize("strategy", ["compacted", "wait", "masked"])
@pytest.mark.parametrize("baseline", ["same-params", "same-flops"])
def test_waterfall_product_is_the_speedup(
    trace: Trace, cpu: HardwareProfile, strategy: str, baseline: str
) -> None:
    p = simulate(trace, cpu, strategy, 4, baseline)
    assert p.waterfall["factor"].prod() == pytest.approx(p.speedup, rel=1e-12)
    assert p.speedup == pytest.approx(p.steps["baseline_s"].sum() / p.steps["conditional_s"].sum())
    assert p.speedup_interval[0] <= p.speedup <= p.speedup_interval[1]
    assert p.waterfall.set_index("world").loc[
        ["imbalance", "quantisation", "communication"], "factor"
    ].tolist() == [1.0, 1.0, 1.0]


def test_masked_executes_what_the_baseline_does(trace: Trace, cpu: HardwareProfile) -> None:
    p = simulate(trace, cpu, "masked", 4)
    executed = p.waterfall.set_index("world").loc["executed", "speedup"]
    assert executed == pytest.approx(1.0)
    assert p.flops_ratio > 1.2


@pytest.mark.parametrize("device", ["one-clock", "nvidia-h100-sxm"])
def test_engines_agree(trace: Trace, cpu: HardwareProfile, device: str) -> None:
    profile = cpu if device == "one-clock" else hardware(device)
    closed = simulate(trace, profile, batch=4, steps=[0, 1, 2])
    events = simulate(trace, profile, batch=4, steps=[0, 1, 2], engine="events")
    np.testing.assert_allclose(
        closed.steps["conditional_s"], events.steps["conditional_s"], rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        closed.steps["baseline_s"], events.steps["baseline_s"], rtol=1e-9, atol=1e-12
    )


def test_the_sum_is_the_sum_of_the_kernels(trace: Trace, cpu: HardwareProfile) -> None:
    """The priced-by-size path and the kernel-by-kernel path are one model."""
    p = simulate(trace, cpu, batch=4, steps=[0])
    table = p.timeline.groupby("side")["duration_s"].sum()
    assert table["conditional"] == pytest.approx(p.latency_s, rel=1e-9)
    assert table["baseline"] == pytest.approx(p.baseline_s, rel=1e-9)


def test_more_bandwidth_is_never_slower(trace: Trace, cpu: HardwareProfile) -> None:
    slow, fast = (
        simulate(trace, cpu.replace(**{"memory.hbm.bandwidth": b}), batch=8) for b in (1e10, 1e12)
    )
    assert fast.latency_s <= slow.latency_s
    assert fast.baseline_s <= slow.baseline_s


def test_dispatch_free_device_pays_the_flops(trace: Trace, cpu: HardwareProfile) -> None:
    """In the limit of no host time and endless bandwidth the speedup is the FLOP ratio, router
    included."""
    ideal = cpu.replace(
        **{f"host.{h}": 1e-15 for h in ("dispatch", "view", "module_call", "synchronise")},
        **{"memory.hbm.bandwidth": 1e20},
    )
    p = simulate(trace, ideal, batch=8)
    assert p.speedup == pytest.approx(
        p.waterfall.set_index("world").loc["router", "speedup"], rel=0.01
    )


def test_json_and_timeline(trace: Trace, cpu: HardwareProfile, tmp_path) -> None:
    p = simulate(trace, cpu, batch=4)
    assert json.loads(json.dumps(p.to_dict()))["speedup"] == p.speedup
    events = json.loads(write_chrome_trace(p, tmp_path / "t.json").read_text())["traceEvents"]
    assert {e["pid"] for e in events} == {0, 1}
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"batch": 0}, "batch"),
        ({"batch": 1000}, "batch"),
        ({"strategy": "looped"}, "looped"),
        ({"strategy": "compactd"}, "compacted"),
        ({"baseline": "dense"}, "baseline"),
        ({"dtype": "int4"}, "int4"),
        ({"runtime": "magic"}, "runtime"),
        ({"phase": "decode"}, "decode"),
        ({"threshold": 0.5}, "threshold"),
        ({"profile": "nvidia-h100"}, "nvidia-h100-sxm"),
        ({"engine": "guess"}, "engine"),
    ],
)
def test_bad_input_names_the_thing(
    trace: Trace, cpu: HardwareProfile, arguments: dict[str, object], word: str
) -> None:
    with pytest.raises(CondsimError, match=word) as e:
        simulate(trace, **{"profile": cpu, **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(e.value)
