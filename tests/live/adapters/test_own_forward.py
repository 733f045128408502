"""Ways to write a conditional forward.

Each is read as what it is and gives its own bits; what cannot be read is said.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel


class Gated(nn.Module):
    """Rows [batch, 12]; subclasses say how the body is skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(12, 1)
        self.body = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 12))

    def enters(self, x: torch.Tensor) -> torch.Tensor:
        return self.gate(x).squeeze(-1) > 0


class ByMask(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep, out = self.enters(x), x.clone()
        out[keep] = x[keep] + self.body(x[keep])
        return out


class ByNumber(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.enters(x).nonzero(as_tuple=True)[0]
        return x.index_copy(0, rows, self.body(x.index_select(0, rows)))


class ByAddition(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.where(torch.sigmoid(self.gate(x)).view(-1) > 0.5)[0]
        return x.clone().index_add_(0, rows, self.body(x[rows]))


class ByWhere(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(self.enters(x)[:, None], self.body(x), x)


class ByProduct(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        m = self.enters(x).float().unsqueeze(1)
        return m * self.body(x) + (1 - m) * x


class ByResidual(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.enters(x).to(x.dtype)[:, None] * self.body(x)


class ByTwoLogits(Gated):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = self.gate(x).argmax(dim=-1) == 0
        out = x.clone()
        if not skip.all():
            out[~skip] = self.body(x[~skip])
        return out


class EitherOr(Gated):
    def __init__(self) -> None:
        super().__init__()
        self.light = nn.Linear(12, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hard, out = self.enters(x), torch.empty_like(x)
        out[hard], out[~hard] = self.body(x[hard]), self.light(x[~hard])
        return out


class Exits(nn.Module):
    """Rows [batch, 12] → logits [batch, 4]. What is unsure goes on by calling itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(12, 12) for _ in range(3))
        self.heads = nn.ModuleList(nn.Linear(12, 4) for _ in range(3))
        self.entropy_threshold = 1.34

    def forward(self, x: torch.Tensor, i: int = 0) -> torch.Tensor:
        x = torch.tanh(self.layers[i](x))
        logits: torch.Tensor = self.heads[i](x)
        if i == len(self.layers) - 1:
            return logits
        p = logits.softmax(-1)
        unsure = -(p * p.log()).sum(-1) > self.entropy_threshold
        if unsure.any():
            logits = logits.clone()
            logits[unsure] = self.forward(x[unsure], i + 1)
        return logits


WAYS: list[tuple[type[nn.Module], str, str]] = [
    (ByMask, "skip", "compacted"),
    (ByNumber, "skip", "compacted"),
    (ByAddition, "skip", "compacted"),
    (ByTwoLogits, "skip", "compacted"),
    (ByWhere, "skip", "masked"),
    (ByProduct, "skip", "masked"),
    (ByResidual, "skip", "masked"),
    (EitherOr, "multi_branch", "compacted"),
    (Exits, "early_exit", "compacted"),
]


def ready(kind: type[nn.Module]) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return kind().eval(), torch.randn(9, 12)


@pytest.mark.parametrize(
    ("kind", "mechanism", "strategy"), WAYS, ids=lambda v: getattr(v, "__name__", "")
)
def test_it_is_read(kind: type[nn.Module], mechanism: str, strategy: str) -> None:
    model, x = ready(kind)
    before = sorted(model.__dict__)
    live = LiveModel.of(model)
    with torch.no_grad():
        own = model(x)
    assert torch.equal(live.run(as_batches(x)[0]), own)
    assert live.captured == {mechanism: strategy}
    assert {"compacted", "masked", "wait"} == {way[mechanism] for way in live.assignments()[:3]}
    for name in ("compacted", "masked", "wait"):
        torch.testing.assert_close(live.run(as_batches(x)[0], Execution({mechanism: name})), own)
    assert sorted(model.__dict__) == before
    assert torch.equal(model(x), own)


def test_forced_decisions_are_taken() -> None:
    model, x = ready(ByMask)
    live = LiveModel.of(model)
    live.run(as_batches(x)[0])
    (site,) = live.infos
    nobody = live.run(
        as_batches(x)[0], Execution(forced={site: torch.zeros(9, dtype=torch.int64).numpy()})
    )
    everyone = live.run(
        as_batches(x)[0], Execution(forced={site: torch.ones(9, dtype=torch.int64).numpy()})
    )
    assert torch.equal(nobody, x)
    torch.testing.assert_close(everyone, x + model.get_submodule("body")(x))
    with condsim.force(model, "same-params"):
        torch.testing.assert_close(model(x), everyone)


class InPython(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [row + self.body(row) if self.gate(row).item() > 0 else row for row in x]
        )


class RowByRow(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep, out = self.enters(x), x.clone()
        for i in range(len(x)):
            if keep[i]:
                out[i] = self.body(x[i : i + 1])[0]
        return out


class Noisy(Gated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = self.gate(x + torch.rand_like(x)).squeeze(-1) > 0
        return torch.where(keep[:, None], self.body(x), x)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (InPython, "no routing found"),
        (RowByRow, "it decides in Python, by an `if`"),
        (Noisy, "it draws random numbers"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: type[nn.Module], why: str) -> None:
    model, x = ready(kind)
    with pytest.raises(CondsimError) as error:
        condsim.capture(model, x, measure=False)
    assert why in str(error.value)
    assert "condsim.route" in str(error.value) or kind is Noisy
    assert "\n" not in str(error.value)


def test_a_dense_model_is_not_mistaken() -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(12, 12) for _ in range(2))
            self.score = nn.Linear(12, 2)

        def forward(self, x: torch.Tensor) -> Any:
            for layer in self.layers:
                x = F.relu(layer(x))
            return self.score(x).argmax(-1)

    with pytest.raises(CondsimError, match=r"^no routing found in this model"):
        condsim.capture(Dense().eval(), torch.randn(4, 12), measure=False)
