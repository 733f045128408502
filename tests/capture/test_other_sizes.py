"""Code that follows the number of rows: right at the captured batch size, and refused at others."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.errors import CondsimError
from condsim.trace import Trace

WIDTH, EXPERTS = 16, 4
DEVICE = "raspberry-pi-5"


def expert() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))


class Mixture(nn.Module):
    """Top 2 of four experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(expert() for _ in range(EXPERTS))
        self.k = 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x).softmax(-1).topk(self.k)
        out = torch.zeros_like(x)
        for e, one in enumerate(self.experts):
            rows, slot = self.kept(*torch.where(ids == e))
            if len(rows):
                out.index_add_(0, rows, weights[rows, slot, None] * one(x[rows]))
        return out

    def kept(self, rows: torch.Tensor, slot: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return rows, slot


class FewerForFew(Mixture):
    """One expert a row where there are at most 8 rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.k = 1 if len(x) <= 8 else 2
        return super().forward(x)


class MoreForMany(Mixture):
    """Three experts a row where there are more than 20 rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.k = 3 if len(x) > 20 else 2
        return super().forward(x)


class InHalves(Mixture):
    """Large batches run in two parts, which changes nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) <= 32:
            return super().forward(x)
        return torch.cat([super(InHalves, self).forward(part) for part in x.chunk(2)])


class Room(Mixture):
    """An expert has room for a few rows, said by a minimum in Python."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.room = int(1.25 * len(x) * self.k / EXPERTS)
        return super().forward(x)

    def kept(self, rows: torch.Tensor, slot: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        most = min(len(rows), self.room)
        return rows[:most], slot[:most]


class OnlyReal(nn.Module):
    """Rows of padding, which a mask among the inputs says, are not routed."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mixture = nn.Embedding(32, WIDTH), Mixture()

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        rows, real = self.embed(ids).view(-1, WIDTH), mask.view(-1)
        out = rows.clone()
        out[real] = rows[real] + self.mixture(rows[real])
        return out.view(*ids.shape, WIDTH)


def model_of(block: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, WIDTH), block, nn.Linear(WIDTH, 4)).eval()


def batches(units: int, count: int = 2) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(units, 8) for _ in range(count)]


def counted(model: nn.Module, inputs: list[torch.Tensor]) -> float:
    """FLOPs of a batch."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for batch in inputs:
            model(batch)
    return counter.get_total_flops() / len(inputs)


def executed(trace: Trace, batch: int | None = None) -> float:
    return condsim.simulate(trace, DEVICE, batch=batch).executed_flops


@pytest.mark.parametrize(("block", "units", "other"), [(FewerForFew, 12, 4), (MoreForMany, 12, 1)])
def test_only_the_captured_batch_is_predicted(
    block: type[nn.Module], units: int, other: int
) -> None:
    model, inputs = model_of(block()), batches(units)
    trace = condsim.capture(model, inputs, measure=False)
    assert executed(trace) == counted(model, inputs)
    with pytest.raises(CondsimError, match=rf"only the captured batch \({units}\)"):
        executed(trace, other)
    (note,) = [note for note in trace.header.notes if "follows the number of rows" in note]
    assert note.startswith("1: at ")


def test_what_changes_nothing_stays_free() -> None:
    model, inputs = model_of(InHalves()), batches(24)
    trace = condsim.capture(model, inputs, measure=False)
    parts = [part for batch in inputs for part in batch.split(4)]
    assert executed(trace, 4) == counted(model, parts)
    assert executed(trace, 48) == counted(model, [torch.cat(inputs)])


def test_a_mixture_that_does_not_run_with_other_decisions_says_how_to_mark_it() -> None:
    with pytest.raises(CondsimError, match=r"at site '1' does not run with other .* 'moe', ids"):
        condsim.capture(model_of(Room()), batches(12), measure=False)


@pytest.mark.parametrize("padded", [slice(0, 2), slice(4, 6)])
def test_rows_that_a_mask_leaves_out(padded: slice) -> None:
    ids, mask = torch.randint(32, (3, 6)), torch.ones(3, 6, dtype=torch.bool)
    mask[0, padded] = False
    with pytest.raises(CondsimError, match=r"a mask among the inputs.* 'moe', ids"):
        condsim.capture(OnlyReal().eval(), [{"ids": ids, "mask": mask}], measure=False)


class IfMean(nn.Module):
    """The whole batch goes through a block, or nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.block = nn.Linear(8, 1), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x) if self.gate(x).mean() > 0 else x


def test_a_question_of_a_whole_batch_is_answered_for_such_batches_only() -> None:
    torch.manual_seed(0)
    model = IfMean().eval()
    inputs = [*batches(6, 5), *batches(3, 1)]
    trace = condsim.capture(model, inputs, measure=False)
    assert executed(trace) == counted(model, inputs[:5])
    with pytest.raises(CondsimError, match=r"only the captured batch \(6\)"):
        executed(trace, 1)
    assert "one question of a whole batch" in " ".join(trace.header.notes)
    alone = condsim.capture(model, list(batches(6, 1)[0].split(1)), measure=False)
    assert executed(alone, 2) > executed(alone, 1)


class ByLength(nn.Module):
    """Long sequences go through another mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.short, self.long = nn.Embedding(32, WIDTH), Mixture(), Mixture()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        mixture = self.long if ids.shape[1] > 7 else self.short
        return mixture(self.embed(ids).view(-1, WIDTH)).view(*ids.shape, WIDTH)


def test_a_site_that_only_other_lengths_have_is_none_of_the_captured_one() -> None:
    torch.manual_seed(0)
    model, inputs = ByLength().eval(), [torch.randint(32, (3, 6)) for _ in range(2)]
    trace = condsim.capture(model, inputs, measure=False)
    assert [site.name for site in trace.sites] == ["short"]
    assert executed(trace) == counted(model, inputs)


class Nested(Mixture):
    """Each expert is a mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Mixture() for _ in range(EXPERTS))


def test_a_mixture_in_an_expert_is_refused_by_its_name() -> None:
    with pytest.raises(CondsimError, match=r"site '1\.experts\.\d' does not run .* 'moe', ids"):
        condsim.capture(model_of(Nested()), batches(12), measure=False)


class Numbers(Mixture):
    """Decides in NumPy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best = self.gate(x).detach().numpy().argmax(-1)
        rows = [one(x[row : row + 1]) for row, one in enumerate(self.experts[e] for e in best)]
        return torch.cat(rows)


def test_experts_that_are_chosen_in_numpy_are_marked_as_a_mixture() -> None:
    with pytest.raises(CondsimError, match=r"takes numbers out of tensors .* 'moe', ids"):
        condsim.capture(model_of(Numbers()), batches(6), measure=False)
