"""Captured sparse weights: programs against live steps, at masks that nothing was fitted to."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.live.sparse_weights import MECHANISM, sparse_weights
from condsim.live.train_step import record_step
from condsim.lower import lower
from condsim.predict.choose import strategies_on
from condsim.record.nest import guarded, tree
from condsim.record.recorder import Recorder
from condsim.steps.extents import Steps
from condsim.steps.patterns import BLOCK, masks_of, patterns_of
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")
WIDTHS = (24, 20, 18, 5)
UNITS = 19
DENSITIES = (0.4, 0.1, 1.0)
WAYS = ("masked", "rows", "csr", "csr_sampled", "same-params", "same-flops")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    first, second, third = itertools.starmap(nn.Linear, itertools.pairwise(WIDTHS))
    for layer in (first, second):
        prune.identity(layer, "weight")
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


def history() -> condsim.MaskHistory:
    rng = np.random.default_rng(7)
    masks = condsim.MaskHistory()
    for number, density in enumerate(DENSITIES):
        drawn = {}
        for name, (into, out) in {"0": WIDTHS[:2], "2": WIDTHS[1:3]}.items():
            drawn[name] = rng.random((out, into)) < density
        masks.put(drawn, 100 * number)
    return masks


def training() -> condsim.Training:
    def optimizer(weights: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(weights, lr=0.1, momentum=0.9)

    torch.manual_seed(1)
    classes = torch.randint(0, WIDTHS[-1], (UNITS,))
    return condsim.Training(nn.functional.cross_entropy, optimizer, classes)


def inputs() -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(UNITS, WIDTHS[0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    trace = condsim.capture(network(), inputs(), train=training(), masks=history())
    folder = tmp_path_factory.mktemp("traces") / "sparse"
    trace.save(folder)
    return condsim.load(folder)


def live_step(trace: Trace, way: str, entry: int) -> Recorder:
    """One training step with the masks of an entry, as PyTorch runs it."""
    model = network().train()
    live = LiveModel(model, training=training())
    sites = sparse_weights(model)
    cut = rebatch(trace)
    for site in sites:
        site.mask = history().masks(entry)[site.name]
        site.kept = cut.weights[site.name].kept
    live.sites = list(sites)
    batch = Batch((inputs(),), {}, UNITS, None, targets=training().targets)
    return record_step(live, batch, Execution({MECHANISM: way}))


def signature(op: Any, inputs: Any, outputs: Any) -> tuple[Any, ...]:
    return op.name, op.module, op.view, tuple(inputs), tuple(outputs)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entry", range(len(DENSITIES)))
def test_lowered_is_what_a_live_step_runs(trained: Trace, way: str, entry: int) -> None:
    """No tolerance: every operator, its sizes and how its operands lie, in number."""
    step = rebatch(trained).steps.step(entry)
    program = trained.programs[f"{way}/train-n"]
    lowered: Counter[Any] = Counter()
    for call in lower(program, site_rules(trained), {MECHANISM: way}, step).sequence():
        reads = [tensor.shape(call.bindings) for tensor in call.op.inputs]
        writes = [tensor.shape(call.bindings) for tensor in call.op.outputs]
        lowered[signature(call.op, reads, writes)] += 1
    recorded: Counter[Any] = Counter()
    for op, _ in guarded(tree(live_step(trained, way, entry), {})):
        reads = [tensor.shape for tensor in op.inputs]
        writes = [tensor.shape for tensor in op.outputs]
        recorded[signature(op, reads, writes)] += 1
    assert lowered == recorded
    assert not program.flagged


def test_the_history_is_kept(trained: Trace) -> None:
    assert trained.mechanisms == (MECHANISM,)
    assert trained.header.captured == {MECHANISM: "masked"}
    assert trained.steps["trained"].tolist() == [0, 100, 200]
    for site in trained.sites:
        for entry, mask in enumerate(masks_of(trained, site)):
            assert np.array_equal(mask, history().masks(entry)[site.name])


def test_a_step_has_the_mask_that_its_first_unit_met(trained: Trace) -> None:
    steps: Steps = rebatch(trained, batch=10).steps
    assert len(steps) == 5
    active = patterns_of(trained, trained.site("0"))[:, 0]
    met = [0, 0, 1, 1, 2]  # units 0, 10, 20, 30, 40 of 19 an entry
    assert steps.extents["active@0"].tolist() == active[met].tolist()


def test_all_weights_give_the_flops_of_the_dense_model(trained: Trace) -> None:
    full = condsim.simulate(trained, "raspberry-pi-5", "masked", steps=(2,))
    assert full.flops_ratio == 1.0
    assert full.executed_flops == full.baseline_flops


def test_logical_flops_are_those_of_the_weights_that_are_there(trained: Trace) -> None:
    """Three products a weight, two in the first layer: nobody asks for a gradient of the images."""
    answer = condsim.simulate(trained, "raspberry-pi-5", "masked", steps=(1,))
    active = [int(history().masks(1)[name].sum()) for name in ("0", "2")]
    products = 2 * active[0] + 3 * active[1] + 3 * WIDTHS[2] * WIDTHS[3]
    assert answer.baseline_flops / answer.flops_ratio == pytest.approx(2 * UNITS * products)


def test_rows_run_what_lives(trained: Trace) -> None:
    """A step of `rows` multiplies live rows by live columns, and no others."""
    steps = rebatch(trained).steps
    answer = condsim.simulate(trained, "raspberry-pi-5", "rows", steps=(1,))
    out, into = (steps.extents[f"{what}@0"][1] for what in ("out", "in"))
    second = steps.extents["out@2"][1] * steps.extents["in@2"][1]
    products = 2 * out * into + 3 * second + 3 * WIDTHS[2] * WIDTHS[3]
    assert answer.executed_flops == pytest.approx(2 * UNITS * products)


def test_sparse_products_are_refused_where_nobody_timed_them(trained: Trace) -> None:
    with pytest.raises(CondsimError, match=r"csr_mm is not calibrated\): run condsim calibrate"):
        condsim.simulate(trained, "raspberry-pi-5", "csr")
    with pytest.raises(CondsimError, match="strategy 'csr' is not for a gpu"):
        condsim.simulate(trained, "nvidia-h100-sxm", "csr")


def test_capturing_changes_nothing() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace = condsim.capture(model, inputs(), measure=False)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(weight.grad is None for weight in model.parameters())
    assert trace.steps["phase"].tolist() == ["prefill"]
    assert patterns_of(trace, trace.site("0")).tolist() == [
        [WIDTHS[0] * WIDTHS[1], WIDTHS[1], WIDTHS[0], 4 if BLOCK == 16 else -1]
    ]


def test_masks_of_another_model_are_refused() -> None:
    masks = condsim.MaskHistory()
    masks.put({"0": np.ones((3, 3), bool)}, 0)
    with pytest.raises(CondsimError, match=r"masks: they are of 0 \[3, 3\]"):
        condsim.capture(network(), inputs(), masks=masks)


def test_strategies_that_nobody_timed_are_not_offered(trained: Trace) -> None:
    profile = condsim.hardware("raspberry-pi-5")
    assert strategies_on(trained, profile) == ["masked", "rows"]
