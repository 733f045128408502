"""Half a trace: routing that was recorded without the model, and a model that was never run.

Each half is saved and read as it is. What needs only one half works, and what needs the other one
says in one line which it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import condsim
from condsim.cli import main
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.lower import lower
from condsim.measure import measure, measure_live, measure_segments
from condsim.steps.extents import Steps
from condsim.steps.rebatch import rebatch, site_rules
from condsim.steps.redraw import redrawn
from condsim.study.answer import answer
from condsim.study.breakeven import axes, grid
from condsim.study.ranking import predict_all
from condsim.study.routing import alike, touched
from condsim.study.routing import load as load_of_branches
from condsim.trace import Decisions, Trace

GPU = "nvidia-h100-sxm"
NO_PROGRAMS = "holds recorded routing only"
NO_DECISIONS = "holds programs only"


class Gated(nn.Module):
    """A layer that rows enter or not."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(16, 2)
        self.layer = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        condsim.route("gate", "skip", lambda: self.gate(x).argmax(-1))
        with condsim.branch("gate", 1) as rows:
            if rows:
                x = rows.put(x, self.layer(rows.take(x)))
        return x


@dataclass(frozen=True)
class Halves:
    """A model, and its trace as a whole and in two halves."""

    model: nn.Module
    inputs: list[torch.Tensor]
    whole: Trace
    decisions: Trace
    programs: Trace


def nothing(site: str) -> Iterator[Decisions]:
    """Read a site of which nothing is known."""
    raise AssertionError(f"the decisions of {site} were read")


def without_programs(trace: Trace) -> Trace:
    """The routing of a trace."""
    header = trace.header.model_copy(update={"has_programs": False})
    return dataclasses.replace(trace, header=header, programs={})


def without_decisions(trace: Trace) -> Trace:
    """The programs of a trace, as if the model had never been run."""
    header = trace.header.model_copy(update={"has_decisions": False})
    steps = trace.steps.iloc[:0]
    return dataclasses.replace(trace, header=header, steps=steps, reader=nothing)


@pytest.fixture(scope="module")
def halves() -> Halves:
    torch.manual_seed(0)
    model = Gated().eval()
    inputs = [torch.randn(6, 16) for _ in range(4)]
    whole = condsim.capture(model, inputs, measure=False, name="gated", spec="gated.py:made")
    return Halves(model, inputs, whole, without_programs(whole), without_decisions(whole))


def refused(call: Callable[[], object], half: str) -> None:
    """A call is refused with one line that names the missing half."""
    with pytest.raises(CondsimError, match=half) as error:
        call()
    assert "\n" not in str(error.value)
    assert "'gated'" in str(error.value)


# Files


@pytest.mark.parametrize("half", ["decisions", "programs"])
def test_a_folder_keeps_a_half(halves: Halves, half: str, tmp_path: Path) -> None:
    trace: Trace = getattr(halves, half)
    again = condsim.load(trace.save(tmp_path / "t"))
    assert again.header == trace.header
    assert again.programs == trace.programs
    pd.testing.assert_frame_equal(again.steps, trace.steps)
    if half == "decisions":
        read, kept = again.decisions("gate"), trace.decisions("gate")
        np.testing.assert_array_equal(read.ids, kept.ids)
        np.testing.assert_array_equal(again.unit_counts("gate"), trace.unit_counts("gate"))
    else:
        refused(lambda: again.decisions("gate"), NO_DECISIONS)
        refused(lambda: again.unit_counts("gate"), NO_DECISIONS)


@pytest.mark.parametrize("half", ["decisions", "programs"])
def test_a_half_takes_the_place_of_a_whole(halves: Halves, half: str, tmp_path: Path) -> None:
    folder = halves.whole.save(tmp_path / "t")
    trace: Trace = getattr(halves, half)
    trace.save(folder)
    assert condsim.load(folder).header == trace.header
    assert (folder / "programs.json.gz").exists() == (half == "programs")
    assert bool(list((folder / "decisions").glob("*"))) == (half == "decisions")


def test_a_whole_takes_the_place_of_a_half(halves: Halves, tmp_path: Path) -> None:
    folder = halves.programs.save(tmp_path / "t")
    halves.whole.save(folder)
    again = condsim.load(folder)
    assert again.programs == halves.whole.programs
    assert condsim.simulate(again, GPU).speedup == condsim.simulate(halves.whole, GPU).speedup


# Decisions without programs


def test_routing_is_studied_without_programs(halves: Halves) -> None:
    half, whole = halves.decisions, halves.whole
    pd.testing.assert_frame_equal(load_of_branches(half), load_of_branches(whole))
    pd.testing.assert_frame_equal(touched(half, [1, 2, 3]), touched(whole, [1, 2, 3]))
    pd.testing.assert_frame_equal(alike(half, 3), alike(whole, 3))
    one, other = rebatch(half, 4).steps, rebatch(whole, 4).steps
    np.testing.assert_array_equal(one.counts["gate"], other.counts["gate"])
    drawn = redrawn(half, share=0.5)
    assert not drawn.header.has_programs
    assert drawn.unit_counts("gate").sum() == half.unit_counts("gate").sum()


@torch.no_grad()
def test_routing_is_replayed_without_programs(halves: Halves) -> None:
    turned = redrawn(halves.decisions, share=1.0)
    with condsim.force(halves.model, turned):
        forced = [halves.model(batch) for batch in halves.inputs]
    for batch, output in zip(halves.inputs, forced, strict=True):
        torch.testing.assert_close(output, halves.model.layer(batch))


def test_routing_is_measured_without_programs(halves: Halves) -> None:
    live, batches = LiveModel.of(halves.model), as_batches(halves.inputs)
    timed = measure_live(halves.decisions, live, batches, pairs=2)
    assert (timed.measurements["conditional_s"] > 0).all()
    assert not timed.header.has_programs
    refused(lambda: answer(timed, hardware(GPU)), NO_PROGRAMS)


@pytest.mark.parametrize("strategy", [None, "compacted", {"skip": "wait"}])
def test_nothing_is_simulated_without_programs(halves: Halves, strategy: str | None) -> None:
    half = halves.decisions
    refused(lambda: condsim.simulate(half, GPU, strategy), NO_PROGRAMS)
    refused(lambda: answer(half, hardware(GPU), strategy), NO_PROGRAMS)


def test_no_study_without_programs(halves: Halves) -> None:
    half = halves.decisions
    refused(lambda: list(grid(half, GPU, "batch", [1, 2])), NO_PROGRAMS)
    for strategies in (None, [None], ["wait"]):
        rows = list(predict_all(half, [hardware(GPU)], strategies))
        assert len(rows) == 1
        assert NO_PROGRAMS in rows[0]["error"]


# Programs without decisions


def test_programs_are_lowered_with_given_counts(halves: Halves) -> None:
    half, whole = halves.programs, halves.whole
    own = rebatch(whole, 3).steps
    given = Steps(extents=own.extents, counts={"gate": own.counts["gate"]})
    for strategy in ("compacted", "wait", "masked"):
        name = f"{strategy}/prefill-n"
        chosen = {"skip": strategy}
        one = lower(half.programs[name], site_rules(half), chosen, given)
        other = lower(whole.programs[name], site_rules(whole), chosen, own)
        for step in range(len(own)):
            signatures = [call.signature() for call in one.sequence(step)]
            assert signatures == [call.signature() for call in other.sequence(step)]
            assert len(signatures) > 2


def test_nothing_is_predicted_without_decisions(halves: Halves) -> None:
    half = halves.programs
    for strategy in (None, "wait", {"skip": "masked"}):
        refused(lambda strategy=strategy: condsim.simulate(half, GPU, strategy), NO_DECISIONS)
        refused(lambda strategy=strategy: answer(half, hardware(GPU), strategy), NO_DECISIONS)
    refused(lambda: rebatch(half), NO_DECISIONS)


def test_no_study_without_decisions(halves: Halves) -> None:
    half, profile = halves.programs, hardware(GPU)
    refused(lambda: axes(half, profile), NO_DECISIONS)
    refused(lambda: list(grid(half, profile, "batch", [1, 2])), NO_DECISIONS)
    refused(lambda: load_of_branches(half), NO_DECISIONS)
    refused(lambda: touched(half, [1, 2]), NO_DECISIONS)
    refused(lambda: alike(half), NO_DECISIONS)
    refused(lambda: redrawn(half, share=0.5), NO_DECISIONS)
    rows = list(predict_all(half, [profile]))
    assert rows
    assert all(NO_DECISIONS in row["error"] for row in rows)


def test_nothing_is_measured_or_replayed_without_decisions(halves: Halves) -> None:
    half = halves.programs
    live, batches = LiveModel.of(halves.model), as_batches(halves.inputs)
    refused(lambda: measure_live(half, live, batches), NO_DECISIONS)
    refused(lambda: measure(half), NO_DECISIONS)
    refused(lambda: measure_segments(half), NO_DECISIONS)
    refused(lambda: replay(halves.model, half), NO_DECISIONS)


def replay(model: nn.Module, trace: Trace) -> None:
    """Force a trace's decisions on a model."""
    with condsim.force(model, trace):
        raise AssertionError("there is nothing to force")


# The command line


@pytest.mark.parametrize(
    "options",
    [
        ("--device", GPU),
        ("--device", GPU, "--json"),
        ("--device", GPU, "--strategy", "wait"),
        ("--device", GPU, "--strategy", "all"),
        ("--device", "all"),
        ("--device", "all", "--strategy", "all"),
    ],
)
@pytest.mark.parametrize(
    ("half", "words"), [("decisions", NO_PROGRAMS), ("programs", NO_DECISIONS)]
)
def test_the_command_says_which_half_is_missing(
    halves: Halves,
    half: str,
    words: str,
    options: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trace: Trace = getattr(halves, half)
    folder = trace.save(tmp_path / "t")
    assert main(["simulate", str(folder), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1, printed.err
    assert words in printed.err
