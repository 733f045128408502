"""A live model → a trace."""

from __future__ import annotations

import torch
from gates.models import case

from condsim.capture import Labels, capture_trace
from condsim.capture.capture_trace import logical_program, one_thread
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel


def test_a_trace_of_a_live_model() -> None:
    of = case("stranger-skips")
    reports: list[tuple[str, int, int]] = []
    live = LiveModel.of(of.model)
    trace = capture_trace(
        live,
        as_batches(of.inputs[:2]),
        Labels("skips", spec="a-spec"),
        progress=lambda *report: reports.append(report),
    )
    assert trace.name == "skips"
    assert trace.header.provenance.spec == "a-spec"
    assert trace.measurements.empty
    assert reports[0] == ("observe", 1, 2)
    assert reports[-1] == ("probe", len(trace.programs), len(trace.programs))
    assert logical_program(live, trace.programs).strategy == "compacted"


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
