from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from condsim.live.lift.unmarked import unmarked

UNITS, TOKENS, WIDTH = 3, 5, 24


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score, self.up = nn.Linear(WIDTH, 1), nn.Linear(WIDTH, 40)
        self.down, self.gate = nn.Linear(40, WIDTH), nn.Linear(WIDTH, 4)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))


class Pruned(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best = self.score(x).squeeze(-1).topk(2, 1).indices
        return self.up(x.gather(1, best[..., None].expand(-1, -1, WIDTH)))


class Depths(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best = self.score(x).squeeze(-1).topk(2, 1).indices[..., None].expand(-1, -1, WIDTH)
        return x.scatter_add(1, best, self.experts[0](x.gather(1, best)))


class ExpertChoice(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, 1)
        weights, picked = self.gate(rows).softmax(-1).t().topk(2, -1)
        out = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            given = expert(rows[picked[number]]) * weights[number, :, None]
            out.index_add_(0, picked[number], given)
        return out


class OneHot(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sent = F.one_hot(self.gate(x).argmax(-1), 4).float()
        return self.experts[0](torch.einsum("ute,utd->ued", sent, x))


class Attends(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = x @ x.transpose(1, 2)
        least = scores.topk(2, -1).values[..., -1:]
        return scores.masked_fill(scores < least, -1e9).softmax(-1) @ x


class Dropped(Parts):
    """One policy for all blocks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        policy = (self.gate(x.mean(1)) > 0).float()
        for number, expert in enumerate(self.experts):
            x = x + policy[:, number].view(-1, 1, 1) * expert(x)
        return x


class Recursions(Parts):
    """A router says how often a block is applied."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, 1)
        depth = self.gate(rows).argmax(-1)
        for turn in range(4):
            active = depth > turn
            rows = rows.clone()
            rows[active] = self.experts[0](rows[active])
        return rows


class Thresholds(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.up(x)
        return self.down(torch.where(given > 0.1, given, torch.zeros_like(given)))


class Freezes(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        done = self.score(x).squeeze(-1) > 0
        return torch.where(done[..., None], x, self.experts[0](x))


class LooksUp(Parts):
    """Experts are rows of a table, as in product-key layers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best, rows = self.gate(x).topk(2, -1)
        taken = F.embedding(rows, self.up.weight)
        return x + (taken * best.softmax(-1)[..., None]).sum(-2)


class Masks(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = self.gate(x).argmax(-1) == 0
        return x + self.experts[0](x) * keep[..., None]


class Soft(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = torch.stack([expert(x) for expert in self.experts], -1)
        return (given * self.gate(x).softmax(-1)[..., None, :]).sum(-1)


@pytest.mark.parametrize(
    ("kind", "reason", "mark"),
    [
        (Pruned, "the best go on", "'token_pruning'"),
        (Depths, "the best k of a sequence's tokens", "'mixture_of_depths'"),
        (ExpertChoice, "each of its experts picks its rows", "'skip', picked"),
        (OneHot, "products with a one-hot tensor", "'moe'"),
        (Attends, "attention picks keys", "condsim.route"),
        (Thresholds, "neurons are chosen by their scores", "'sparse_activation'"),
        (Freezes, "torch.where keeps the state", "'early_exit'"),
        (LooksUp, "experts are rows of a table", "condsim.route"),
        (Masks, "tokens that are dropped are masked", "'token_pruning'"),
        (Dropped, "layers are multiplied by 0", "'skip'"),
        (Recursions, "how often rows go through a layer", "'early_exit'"),
        (Soft, "it decides nothing", "condsim.route"),
    ],
)
def test_what_is_not_captured_is_told(kind: type[nn.Module], reason: str, mark: str) -> None:
    torch.manual_seed(0)
    model, x = kind().eval(), torch.randn(UNITS, TOKENS, WIDTH)
    with torch.no_grad():
        found = unmarked(model, partial(model, x), UNITS)
    assert found is not None
    assert reason in found.reason
    assert mark in found.way_out


def test_rows_that_are_sent_by_their_ids_are_told() -> None:
    class Hash(Parts):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            out = torch.zeros(*ids.shape, WIDTH)
            for number, expert in enumerate(self.experts):
                mine = ids % 4 == number
                out[mine] = expert(out[mine])
            return out

    model, ids = Hash().eval(), torch.arange(12).view(3, 4)
    with torch.no_grad():
        found = unmarked(model, partial(model, ids), 3)
    assert found is not None
    assert "by the ids of the input" in found.reason
