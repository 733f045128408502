"""What a CPU takes under torch.compile: the arithmetic of what was joined, and what the host does for graphs, kernels and products."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.cost.compiled import beginnings, host_seconds, joined_seconds
from condsim.cost.hot import Hot, hot_seconds
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, load_profile
from condsim.lower import Call
from condsim.program import JOINED, Op

ROOT = Path(__file__).parents[2]
HOT = Hot(5e-6, 2e-6, "calibrated", "add")


@pytest.fixture(scope="module")
def profile() -> HardwareProfile:
    own = load_profile(ROOT / "benchmarks" / "runs" / "2026-11-28-c" / "profile.yaml")
    return own.model_copy(update={"extra_s": {**own.extra_s, "compiled.graph": 3e-5, "compiled.kernel": 1e-6, "compiled.product": 4e-6}})


@pytest.mark.parametrize(("name", "begins", "seconds"), [
    ("add", False, 1e-6), ("softmax", True, 3.1e-5), ("linear", False, 4e-6), ("linear", True, 3.4e-5), ("topk", False, 2e-6),
])  # fmt: skip
def test_the_host_pays_for_graphs_kernels_and_products(name: str, begins: bool, seconds: float, profile: HardwareProfile) -> None:
    assert host_seconds(Op(name, (), ()), HOT, begins, profile) == pytest.approx(seconds)
    assert host_seconds(Op(name, (), (), view=True), HOT, begins, profile) == 0


def test_what_joins_costs_its_arithmetic(profile: HardwareProfile) -> None:
    shape = (512, 1024)
    gelu, add, relu = (joined_seconds(Op(f"{name}{JOINED}", (), (), view=True), [shape], profile) for name in ("gelu", "add", "relu"))
    alone, copy = (hot_seconds(name, [shape], [shape], (), profile) for name in ("gelu", "clone"))
    assert gelu.seconds == pytest.approx(alone.seconds - alone.dispatch - copy.seconds + copy.dispatch)
    assert gelu.dispatch == add.dispatch == 0
    assert 0 <= relu.seconds < add.seconds < gelu.seconds  # an addition reads another tensor


def test_a_graph_begins_where_a_guard_does() -> None:
    def call(number: int, guards: tuple[tuple[str, int], ...] = (), view: bool = False, role: str = "") -> Call:
        return Call(Op("add", (), (), view=view, role=role), {}, guards, ((), number))

    calls = [call(0), call(1), call(2, role="router:a"), call(3, (("a", 1),), view=True), call(4, (("a", 1),)), call(5, (("a", 1),)), call(6)]
    assert beginnings(calls) == {((), 0), ((), 2), ((), 4), ((), 6)}


def test_a_profile_without_graphs_is_refused(profile: HardwareProfile) -> None:
    trace = condsim.load(ROOT / "traces" / "exit-fashion")
    with pytest.raises(CondsimError, match=r"says nothing of compiled graphs: `condsim calibrate --compiled`"):
        condsim.simulate(trace, load_profile(ROOT / "benchmarks" / "runs" / "2026-11-28-c" / "profile.yaml"), runtime="compiled")
    eager, graphs = (condsim.simulate(trace, profile, runtime=r, protocol="repeat") for r in ("eager", "compiled"))
    assert graphs.runtime == "compiled"
    assert graphs.estimated.keys() <= {"calibrated", "estimated", "extrapolated"}
    assert 0 < graphs.latency_s < 1.5 * eager.latency_s
