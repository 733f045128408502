"""Steps that are no rectangles: sizes that were not fitted come out as they are recorded."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from gates.harness import Pair, flat
from steps.packed_models import Packed, Step, packed_models
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from condsim.capture.fit import Fitter, Run
from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.hardware import hardware
from condsim.lower import lower
from condsim.lowered import Lowered
from condsim.predict.peak_memory import peak_with_weights
from condsim.predict.side import Side
from condsim.program import Program
from condsim.program.model import VARIABLES
from condsim.record.nest import tree
from condsim.record.recorder import Recorder
from condsim.runtimes import choose_runtime
from condsim.steps.extents import Steps

NAMES = ("translator", "padded-vision", "packed-vision", "padded-ragged", "pairwise-ragged")


@functools.cache
def models() -> dict[str, Packed]:
    """Every model with its steps, made once."""
    return packed_models()


def record(packed: Packed, step: Step) -> Recorder:
    """Run the model on a step."""
    recorder = Recorder(packed.model)
    with torch.inference_mode(), recorder:
        result = packed.model(*step.inputs)
        recorder.stop()
    assert result is not None
    return recorder


@functools.cache
def program(name: str) -> Program:
    """The program of all fitted steps of a model."""
    packed = models()[name]
    runs = []
    for step in packed.fitted:
        recorder = record(packed, step)
        runs.append(Run(step.extents, tree(recorder, {}), recorder.calls))
    return Fitter().program("compacted", "prefill-n", runs)


def steps_of(steps: list[Step]) -> Steps:
    """Several steps in columns."""
    extents = {}
    for name in steps[0].extents:
        extents[name] = np.array([step.extents[name] for step in steps])
    return Steps(extents=extents, counts={})


def lowered(name: str, steps: list[Step]) -> Lowered:
    """A model's program on some steps."""
    return lower(program(name), {}, {}, steps_of(steps))


def priced(name: str, steps: list[Step], device: str) -> Side:
    """A model's program on some steps of a shipped device."""
    profile = hardware(device)
    runtime = choose_runtime(None, profile)
    parameters = sum(p.numel() for p in models()[name].model.parameters())
    target = Target(profile, profile.dtype, runtime, parameters)
    return Side(lowered(name, steps), device_model(target))


@pytest.mark.parametrize("name", NAMES)
def test_every_size_follows_the_named_extents(name: str) -> None:
    assert program(name).flagged == ()
    used = set()
    for scope in program(name).scopes:
        for op in scope.scope.nodes:
            for tensor in (*op.inputs, *op.outputs):
                for dim in tensor.dims:
                    for _, extents in dim.terms:
                        used |= set(extents)
    assert used == set(models()[name].fitted[0].extents)
    assert not used & (set(VARIABLES) - {"batch"})


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_that_are_tried_are_new(name: str) -> None:
    packed = models()[name]
    fitted = [step.extents for step in packed.fitted]
    for step in packed.unseen:
        assert step.extents not in fitted


@pytest.mark.parametrize("name", NAMES)
def test_new_sizes_give_the_recorded_stream(name: str) -> None:
    packed = models()[name]
    together = lowered(name, packed.unseen)
    for number, step in enumerate(packed.unseen):
        recorder = record(packed, step)
        calls = together.sequence(number)
        pair = Pair(f"{name} {step.extents}", recorder, flat(tree(recorder, {})), calls)
        pair.assert_same_order()
        pair.assert_conforms()


@pytest.mark.parametrize("name", NAMES)
def test_the_step_depends_on_each_of_its_extents(name: str) -> None:
    step = models()[name].unseen[0]
    stream = [call.signature() for call in lowered(name, [step]).sequence()]
    for extent, size in step.extents.items():
        larger = Step(step.inputs, {**step.extents, extent: size + 1})
        other = [call.signature() for call in lowered(name, [larger]).sequence()]
        assert other != stream, extent


@pytest.mark.parametrize("name", NAMES)
def test_flops_are_those_that_pytorch_counts(name: str) -> None:
    """Its counter knows attention by the two products that it consists of."""
    packed = models()[name]
    executed = priced(name, packed.unseen, "nvidia-h100-sxm").cost.flops
    for number, step in enumerate(packed.unseen):
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            packed.model(*step.inputs)
        assert executed[number] == counter.get_total_flops()


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_gpu_predicts_the_steps(name: str) -> None:
    packed = models()[name]
    together = priced(name, packed.unseen, "nvidia-h100-sxm")
    assert together.clocked_s.shape == (len(packed.unseen),)
    assert (together.clocked_s > 0).all()
    assert (together.work_j > 0).all()
    for number, step in enumerate(packed.unseen):
        alone = priced(name, [step], "nvidia-h100-sxm")
        assert alone.clocked_s[0] == pytest.approx(together.clocked_s[number], rel=1e-12)
        assert alone.seconds_by_events()[0] == pytest.approx(alone.clocked_s[0], rel=1e-9)
    assert peak_with_weights(together.lowered, together.model.target) > 0


@pytest.mark.parametrize("name", NAMES)
def test_longer_steps_take_longer(name: str) -> None:
    """At a thousand times every extent the device, not the host, is the limit."""
    step = models()[name].unseen[0]
    much = {extent: 1000 * size for extent, size in step.extents.items()}
    side = priced(name, [step, Step(step.inputs, much)], "nvidia-h100-sxm")
    short, long = side.clocked_s
    assert long > 4 * short
