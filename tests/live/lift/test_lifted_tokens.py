"""Tokens that a model ranks by itself: captured as it is written, with the tokens that stay."""

from __future__ import annotations

import torch
from live.lift.nets import counted
from torch import nn

import condsim
from condsim.live.lift.ranked_tokens import find_ranked
from condsim.live.lift.tape import Unforced

WIDTH, TOKENS = 16, 12


class Mixer(nn.Module):
    """Tokens see each other by products, without attention of torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.qk, self.up = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k = self.qk(x).chunk(2, -1)
        return x + self.up((q @ k.transpose(-1, -2)).softmax(-1) @ x)


class Depths(nn.Module):
    """A third of the tokens enters the block, weighed by the router."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.block = nn.Linear(WIDTH, 1), Mixer()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.router(x).squeeze(-1)
        best, index = scores.topk(TOKENS // 3, dim=1)
        index, order = index.sort(1)
        where = index[..., None].expand(-1, -1, WIDTH)
        entered = self.block(x.gather(1, where)) * best.gather(1, order).sigmoid()[..., None]
        return x.scatter(1, where, entered)


class Pruned(nn.Module):
    """A class token in front, and the best half of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.first, self.last = nn.Linear(WIDTH, 1), Mixer(), Mixer()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        index = self.score(x[:, 1:]).squeeze(-1).argsort(1, descending=True)[:, : TOKENS // 2]
        rows = torch.arange(len(x)).unsqueeze(1)
        x = torch.cat([x[:, :1], x[:, 1:][rows, index]], 1)
        return self.last(x)[:, 0]


class Net(nn.Module):
    """The part, and a head."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.head = part, nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.part(x))


def test_tokens_that_enter_a_block_are_found() -> None:
    torch.manual_seed(0)
    net = Net(Depths()).eval()
    batch = torch.randn(5, TOKENS, WIDTH)
    trace = condsim.capture(net, batch, measure=False, sequence_axis=None)
    assert trace.header.captured == {"mixture_of_depths": "gathered"}
    answer = condsim.simulate(trace, "raspberry-pi-5", batch=5)
    assert answer.executed_flops == counted(net, batch)
    with torch.no_grad():
        best = net.part.router(batch).squeeze(-1).topk(TOKENS // 3, 1).indices
    enters = torch.zeros(5, TOKENS, dtype=torch.long).scatter(1, best, 1)
    (site,) = trace.sites
    assert trace.decisions(site.name).ids.tolist() == enters.flatten().tolist()
    everyone = condsim.simulate(trace, "raspberry-pi-5", batch=5, baseline="same-params")
    assert everyone.baseline_flops > 2 * answer.executed_flops


def test_tokens_that_are_pruned_are_found_behind_a_class_token() -> None:
    torch.manual_seed(0)
    net = Net(Pruned()).eval()
    batch = torch.randn(5, TOKENS + 1, WIDTH)
    trace = condsim.capture(net, batch, measure=False, sequence_axis=None)
    assert trace.header.captured == {"token_pruning": "gathered"}
    answer = condsim.simulate(trace, "raspberry-pi-5", batch=5)
    assert answer.executed_flops == counted(net, batch)
    (site,) = trace.sites
    stays = trace.decisions(site.name).ids.reshape(5, TOKENS + 1)
    assert stays[:, 0].tolist() == [1] * 5
    assert stays.sum(1).tolist() == [1 + TOKENS // 2] * 5


@torch.no_grad()
def test_where_tokens_are_taken_and_put_back() -> None:
    torch.manual_seed(0)
    part = Depths()
    tape = Unforced(part, lone=False).run(part.forward, (torch.randn(3, TOKENS, WIDTH),), {})
    (place,) = find_ranked(tape)
    assert tape.nodes[place.node].name == "topk"
    assert tape.nodes[place.taken.node].name == "gather"
    assert place.back is not None
    assert tape.nodes[place.back.result.node].name == "scatter"
    assert not place.back.adds
