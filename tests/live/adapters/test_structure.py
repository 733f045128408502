"""What a module's parts say of what it could decide."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import condsim
from condsim.live.adapters.structure import (
    alike,
    could_decide,
    expert_list,
    experts_in,
    gate_of,
    instead,
    marks_itself,
    width,
)


class Parts(nn.Module):
    """A module with the given children."""

    def __init__(self, **children: nn.Module) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


class Marked(Parts):
    def forward(self, x: torch.Tensor) -> Any:
        return condsim.route("gate", "skip", x)


class HasRoute(Parts):
    """Its own method is called like the mark."""

    def route(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.route(x)


class Renamed(Parts):
    def forward(self, x: torch.Tensor) -> Any:
        import condsim as marks

        return marks.route("gate", "skip", x)


@pytest.mark.parametrize(("kind", "marks"), [(Marked, True), (Renamed, True), (HasRoute, False)])
def test_a_method_called_route_is_no_mark(kind: type[Parts], marks: bool) -> None:
    assert marks_itself(kind()) is marks


def linears(*widths: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(8, outputs) for outputs in widths)


def gated() -> dict[str, nn.Module]:
    return {"gate": nn.Linear(8, 1), "body": nn.Linear(8, 8)}


def with_threshold() -> nn.Module:
    module = Parts(first=nn.Linear(8, 8), second=nn.Linear(8, 8))
    module.exit_threshold = 0.5  # type: ignore[assignment]
    return module


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (Parts(**gated()), True),
        (Parts(gate=nn.Linear(8, 3), branches=linears(8, 8, 8)), True),
        (Parts(body=nn.Linear(8, 8), heads=linears(5, 5)), True),
        (with_threshold(), True),
        (Parts(first=nn.Linear(8, 8), second=nn.Linear(8, 8)), False),
        (Parts(gate=nn.Linear(8, 1)), False),
        (Marked(**gated()), False),
        (nn.Sequential(nn.Linear(8, 1), nn.Linear(1, 8)), False),
    ],
    ids=["gate", "list", "heads", "threshold", "layers", "one part", "marked", "of torch"],
)
def test_what_could_decide(module: nn.Module, expected: bool) -> None:
    assert could_decide(module) == expected


@pytest.mark.parametrize(
    ("module", "outputs"),
    [
        (nn.Sequential(nn.Linear(8, 4), nn.ReLU()), 4),
        (nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)), 6),
        (nn.ReLU(), None),
    ],
)
def test_width_is_that_of_the_last_layer(module: nn.Module, outputs: int | None) -> None:
    assert width(module) == outputs


def test_alike_modules_have_one_class_and_one_shape() -> None:
    assert alike(list(linears(4, 4)))
    assert not alike(list(linears(4, 5)))
    assert not alike(list(linears(4)))
    assert not alike([nn.Linear(8, 8), nn.Bilinear(8, 8, 8)])


def test_what_has_no_parameters_is_no_expert() -> None:
    experts = linears(4, 4)
    experts.append(nn.Dropout())
    assert experts_in(experts) == list(experts)[:2]
    assert experts_in(nn.ModuleList([nn.ReLU(), nn.ReLU()])) == []


def test_a_list_of_experts_has_a_gate_beside_it() -> None:
    gate = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
    block = Parts(norm=nn.LayerNorm(8), gate=gate, experts=linears(8, 8, 8))
    assert gate_of(block, 3) is gate
    assert expert_list(block) == "experts"
    assert gate_of(block, 4) is None
    assert expert_list(Parts(gate=nn.Linear(8, 4), heads=linears(8, 8, 8))) is None


def test_a_list_by_the_name_of_experts_needs_no_gate() -> None:
    assert expert_list(Parts(gate=nn.Linear(8, 4), my_experts=linears(8, 8, 8))) == "my_experts"


def test_marks_are_seen_in_the_methods_of_a_class() -> None:
    assert marks_itself(Marked())
    assert not marks_itself(Parts())


@pytest.mark.parametrize("fails", [False, True])
def test_the_own_forward_comes_back(fails: bool) -> None:
    module = nn.Linear(2, 2)

    def doubled(own_forward: Any, x: torch.Tensor) -> Any:
        if fails:
            raise RuntimeError("broken layer")
        return 2 * own_forward(x)

    x = torch.randn(3, 2)
    own = module(x)
    with instead(module, doubled):
        if fails:
            with pytest.raises(RuntimeError, match="broken layer"):
                module(x)
        else:
            assert torch.equal(module(x), 2 * own)
    assert torch.equal(module(x), own)
    assert "forward" not in module.__dict__
