"""The programs of a captured model with the routing that was recorded elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"


@pytest.fixture(scope="module")
def captured() -> Trace:
    """A measured trace of four layers of 8 experts, top 2."""
    return condsim.load(resource("traces") / "moe-bytes")


def recorded(folder: Path, shape: tuple[int, ...] = (64, 16, 4), k: int = 2, **asked: str) -> Trace:
    """Drawn routing. shape: [sequences, tokens, layers]."""
    order = np.argsort(np.random.default_rng(0).random((*shape, 8)), axis=-1)
    np.save(folder / "served.npy", order[..., :k])
    model = condsim.ModelShape(experts=8)
    return condsim.import_routing(folder / "served.npy", model=model, **asked)


def test_the_same_routing_gives_the_same_prediction(captured: Trace, tmp_path: Path) -> None:
    captured.export_routing(tmp_path / "a.npz")
    joined = captured.with_routing(condsim.import_routing(tmp_path / "a.npz"))
    one, other = condsim.simulate(captured, GPU), condsim.simulate(joined, GPU)
    assert one.speedup == other.speedup
    assert one.latency_s == other.latency_s


def test_other_routing_is_simulated_and_saved(captured: Trace, tmp_path: Path) -> None:
    served = recorded(tmp_path)
    joined = captured.with_routing(served)
    prediction = condsim.simulate(joined, GPU, batch=8)
    assert prediction.latency_s > 0
    again = condsim.load(joined.save(tmp_path / "t"))
    assert condsim.simulate(again, GPU, batch=8).latency_s == prediction.latency_s
    for ours, theirs in zip(again.sites, served.sites, strict=True):
        np.testing.assert_array_equal(
            again.decisions(ours.name).ids, served.decisions(theirs.name).ids
        )


def test_a_captured_trace_says_what_the_files_leave_unsaid(captured: Trace, tmp_path: Path) -> None:
    """The routing never takes the last expert."""
    ids = np.argsort(np.random.default_rng(0).random((64, 16, 4, 7)), axis=-1)[..., :2]
    np.save(tmp_path / "a.npy", ids)
    joined = condsim.import_routing(tmp_path / "a.npy", model=captured)
    assert {site.branches for site in joined.sites} == {8}
    assert joined.programs == captured.programs
    np.save(tmp_path / "a.npy", ids[:, :, :3])
    with pytest.raises(CondsimError, match="has 3 sites"):
        condsim.import_routing(tmp_path / "a.npy", model=captured)


def test_what_belongs_to_other_decisions_is_left_out(captured: Trace, tmp_path: Path) -> None:
    joined = captured.with_routing(recorded(tmp_path))
    assert not captured.measurements.empty
    assert joined.measurements.empty
    assert joined.segments.empty
    assert joined.quality.empty
    assert joined.profile is None
    assert joined.header.provenance.spec is None
    assert "programs of moe-bytes, routing of served" in joined.header.notes


def test_other_models_are_refused(captured: Trace, tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match="has 3 sites and trace 'moe-bytes' has 4"):
        captured.with_routing(recorded(tmp_path, (64, 16, 3)))
    with pytest.raises(CondsimError, match="has 3 experts a token"):
        captured.with_routing(recorded(tmp_path, k=3))
    served = recorded(tmp_path)
    skips = condsim.load(resource("traces") / "skip-fashion")
    experts = recorded(tmp_path, (64, 16, len(skips.sites)))
    with pytest.raises(
        CondsimError, match=r"is mixture of experts and .* is skip: they are of other"
    ):
        skips.with_routing(experts)
    with pytest.raises(CondsimError, match="recorded routing only"):
        served.with_routing(served)


def test_any_mechanism_takes_decisions_of_its_own_kind() -> None:
    exits = condsim.load(resource("traces") / "exit-fashion")
    one = condsim.simulate(exits, GPU, batch=8)
    assert condsim.simulate(exits.with_routing(exits), GPU, batch=8).latency_s == one.latency_s


def test_a_phase_without_a_program_is_refused(captured: Trace, tmp_path: Path) -> None:
    phases = set(captured.steps["phase"])
    other = ({"prefill", "decode"} - phases).pop()
    with pytest.raises(CondsimError, match=f"has {other} steps"):
        captured.with_routing(recorded(tmp_path, phase=other))
