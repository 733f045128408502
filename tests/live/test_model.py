"""A live model: which ways there are to run it, and what a recording of it holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import Execution, current
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.record.recorder import RecordedOp


class Gated(nn.Module):
    """Rows [batch, 4]; a marked layer that is skipped where the gate is closed.

    uses_selector: whether the layer takes its rows from the selector, or gathers them itself.
    """

    def __init__(self, uses_selector: bool = True) -> None:
        super().__init__()
        self.gate, self.body = nn.Linear(4, 1), nn.Linear(4, 4)
        self.uses_selector = uses_selector

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        enters = (self.gate(x).squeeze(-1) > 0).long()
        ids = condsim.route("gate", "skip", enters)
        with condsim.branch("gate", 1) as rows:
            if self.uses_selector:
                x = rows.put(x, self.body(rows.take(x)))
            else:
                numbers = ids.nonzero().squeeze(-1)
                x = x.index_copy(0, numbers, self.body(x[numbers]))
        return x


class Upcast(nn.Module):
    """A model in bf16 that computes in fp32."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4).bfloat16())

    def forward(self, x: torch.Tensor) -> Any:
        return (x.float() * 2).to(x.dtype)


@pytest.mark.parametrize(
    ("uses_selector", "strategies"),
    [(True, ["compacted", "wait", "masked"]), (False, ["compacted"])],
)
def test_marked_sites_run_what_their_code_allows(
    uses_selector: bool, strategies: list[str]
) -> None:
    live = LiveModel.of(Gated(uses_selector))
    live.run(as_batches(torch.randn(6, 4))[0])
    ways = [*strategies, "same-params", "same-flops"]
    assert live.captured == {"skip": "compacted"}
    assert live.assignments() == [{"skip": strategy} for strategy in ways]


def test_sites_are_known_once_the_model_has_run() -> None:
    live = LiveModel.of(Gated())
    assert live.infos == {}
    live.run(as_batches(torch.randn(6, 4))[0])
    assert [(info.name, info.mechanism) for info in live.infos.values()] == [("gate", "skip")]


def test_nothing_is_in_force_after_a_run() -> None:
    live = LiveModel.of(Gated())
    before = current()
    out = live.run(as_batches(torch.randn(6, 4))[0], Execution({"skip": "masked"}))
    assert current() is before
    assert not out.requires_grad


def test_a_recording_holds_guards_and_names_weights() -> None:
    live = LiveModel.of(Gated())
    recorder = live.record(as_batches(torch.randn(6, 4))[0], Execution({"skip": "masked"}))
    ops = [event for event in recorder.events if isinstance(event, RecordedOp)]
    layers = [op.inputs[1].weight for op in ops if op.name == "linear"]
    assert layers == ["gate.weight", "body.weight"]


def test_fp32_tensors_of_a_bf16_model_are_recorded_as_such() -> None:
    live = LiveModel.of(Upcast())
    recorder = live.record(as_batches(torch.ones(4, 4).bfloat16())[0], Execution())
    ops = [event for event in recorder.events if isinstance(event, RecordedOp)]
    (product,) = (op for op in ops if op.name == "mul")
    assert [tensor.dtype for tensor in product.inputs] == ["float32"]


def test_weights_that_are_not_finite_are_refused() -> None:
    model = Gated()
    with torch.no_grad():
        model.body.bias[0] = float("inf")
    with pytest.raises(CondsimError, match=r"parameter 'body\.bias' holds NaN or infinite"):
        LiveModel.of(model)


def test_what_torch_compile_made_is_taken_as_it_was_written() -> None:
    model = Gated()
    assert LiveModel.of(torch.compile(model)).model is model  # type: ignore[arg-type]


@pytest.mark.parametrize("part", [False, True])
def test_scripts_are_refused(part: bool) -> None:
    script = torch.jit.trace(nn.Linear(4, 4), torch.ones(2, 4))
    model = nn.Sequential(nn.Linear(4, 4), script) if part else script
    where = "module '1' of the model" if part else "the model"
    with pytest.raises(CondsimError, match=f"^{where} is TorchScript"):
        LiveModel.of(model)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(CondsimError, match=r"^model: expected a torch\.nn\.Module, got dict"):
        LiveModel.of({})  # type: ignore[arg-type]


def test_a_model_that_fails_is_one_line() -> None:
    with pytest.raises(CondsimError, match=r"^gate: the forward of 6 units fails \(RuntimeError"):
        LiveModel.of(Gated()).run(as_batches(torch.randn(6, 5))[0])


def test_a_lazy_layer_is_refused_in_one_line() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(2))
    with pytest.raises(CondsimError, match=r"parameter '1.weight' has no size yet"):
        LiveModel.of(model)
