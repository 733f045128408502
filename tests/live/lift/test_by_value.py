"""Mixtures that are found by what their tensors hold, whatever their index code does.

Each block is a way in which people send rows to a list of experts.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import condsim
from condsim.live.lift.by_value import find_mixture
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.tape import Tape
from condsim.predict.simulate import simulate

HIDDEN, EXPERTS, TOP_K = 16, 4, 2


def expert(width: int = 24) -> nn.Module:
    return nn.Sequential(nn.Linear(HIDDEN, width), nn.SiLU(), nn.Linear(width, HIDDEN))


class Block(nn.Module):
    """What all have: a gate and a list of experts."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(HIDDEN, EXPERTS, bias=False)
        self.experts = nn.ModuleList(expert() for _ in range(EXPERTS))

    def decide(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights, ids = self.gate(x).softmax(-1).topk(TOP_K, dim=-1)
        return weights, ids


class MasksOfSequences(Block):
    """Rows stay in sequences, and the weights are those of all experts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.gate(x)
        best, ids = scores.topk(TOP_K, -1)
        weights = torch.full_like(scores, -torch.inf).scatter(-1, ids, best).softmax(-1)
        out = torch.zeros_like(x)
        flat, flat_weights = x.view(-1, HIDDEN), weights.view(-1, EXPERTS)
        for number, each in enumerate(self.experts):
            mask = (ids == number).any(-1)
            flat_mask = mask.view(-1)
            if flat_mask.any():
                result = each(flat[flat_mask])
                out[mask] += result * flat_weights[flat_mask, number].unsqueeze(1)
        return out


class OneHot(Block):
    """A mask for each expert and slot, and an expert for all rows beside."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = expert()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, HIDDEN)
        weights, ids = self.decide(rows)
        out = torch.zeros_like(rows)
        masks = F.one_hot(ids, EXPERTS).permute(2, 1, 0)
        for number, each in enumerate(self.experts):
            slot, row = torch.where(masks[number])
            taken = rows[None, row].reshape(-1, HIDDEN)
            out.index_add_(0, row, each(taken) * weights[row, slot, None])
        shared = self.shared(x.view(-1, HIDDEN))
        return (out + shared).view(x.shape)


class Sorted(Block):
    """Rows are sorted by their expert, and counted in Python."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.view(-1, HIDDEN)
        weights, ids = self.decide(rows)
        order = ids.view(-1).argsort()
        counts = torch.bincount(ids.view(-1), minlength=EXPERTS).tolist()
        results, start = [], 0
        for each, count in zip(self.experts, counts, strict=True):
            if count:
                results.append(each(rows[order[start : start + count] // TOP_K]))
            start += count
        sorted_results = torch.cat(results)
        back = torch.empty_like(sorted_results)
        back[order] = sorted_results
        weighted = back.view(-1, TOP_K, HIDDEN) * weights.unsqueeze(-1)
        return weighted.sum(1).view(x.shape)


class Best(Block):
    """The best expert only, and no weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen = self.gate(x).argmax(-1)
        out = torch.zeros_like(x)
        for number, each in enumerate(self.experts):
            out[chosen == number] = each(x[chosen == number])
        return out


class Padded(Block):
    """Every expert runs two rows more, of zeros."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.view(-1, HIDDEN)
        chosen = self.gate(rows).argmax(-1)
        out = torch.zeros_like(rows)
        for number, each in enumerate(self.experts):
            mine = chosen == number
            padded = F.pad(rows[mine], (0, 0, 0, 2))
            out[mine] = each(padded)[:-2]
        return out.view(x.shape)


class Net(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.embed, self.moe = nn.Embedding(32, HIDDEN), block
        self.last = nn.Linear(HIDDEN, 32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        result: torch.Tensor = self.last(x + self.moe(x))
        return result


@pytest.mark.parametrize(
    ("kind", "beside"), [(MasksOfSequences, 0), (OneHot, 1), (Sorted, 0), (Best, 0)]
)
def test_it_is_captured(kind: type[Block], beside: int) -> None:
    torch.manual_seed(0)
    batches = [torch.randint(0, 32, (3, 7)) for _ in range(2)]
    net = Net(kind()).eval()
    trace = condsim.capture(net, batches, measure=False)
    top_k = 1 if kind is Best else TOP_K
    (site,) = trace.sites
    assert (site.mechanism, site.branches, site.top_k) == ("moe", EXPERTS, top_k)
    assert "found by their values" in " ".join(trace.header.notes)

    of_expert = 2 * 2 * HIDDEN * 24
    of_row = (top_k + beside) * of_expert + 2 * HIDDEN * (EXPERTS + 32)
    for strategy in ("looped", "grouped", "batched"):
        answer = simulate(trace, "raspberry-pi-5", strategy)
        assert answer.executed_flops == 3 * 7 * of_row

    with torch.inference_mode():
        scores = net.moe.gate(net.embed(batches[0])).view(-1, EXPERTS)
        expected = scores.topk(top_k, -1).indices
    got = torch.as_tensor(trace.decisions(site.name).ids[: 3 * 7]).view(-1, top_k)
    assert torch.equal(got.sort(1).values, expected.sort(1).values)


@torch.no_grad()
def test_each_part_is_found() -> None:
    torch.manual_seed(0)
    block = MasksOfSequences()
    tape = Tape(block, lone=False, ways=EXPERTS).run(
        block.forward, (torch.randn(5, 3, HIDDEN),), {}
    )
    found = find_mixture(tape, list(block.experts))
    assert (found.decision.name, found.slots) == ("topk", TOP_K)
    assert tape.nodes[found.rows.node].name == "view"
    assert found.weights is not None
    assert tape.nodes[found.weights.node].name == "softmax"
    assert found.weigh_all(tape)
    assert tape.nodes[found.result.node].name == "setitem"


@torch.no_grad()
def test_rows_that_nobody_sent_are_not_overlooked() -> None:
    torch.manual_seed(0)
    block = Padded()
    tape = Tape(block, lone=False, ways=EXPERTS).run(block.forward, (torch.randn(20, HIDDEN),), {})
    with pytest.raises(NotLiftable, match="do not run just the rows"):
        find_mixture(tape, list(block.experts))


@torch.no_grad()
def test_another_result_is_not_overlooked() -> None:
    torch.manual_seed(0)
    block = Best()
    x = torch.randn(20, HIDDEN)
    tape = Tape(block, lone=False, ways=EXPERTS).run(block.forward, (x,), {})
    for parameter in block.experts[0].parameters():
        parameter.add_(1.0)
    with pytest.raises(NotLiftable, match="no tensor holds"):
        find_mixture(tape, list(block.experts))
