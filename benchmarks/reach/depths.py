"""Models whose depth follows the input, in the manner in which people publish them: small,
random.

`FORMS`: name → function that returns (model, batches). Each is written by hand after what such a
model does, not copied.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.reach.mixtures import HIDDEN, VOCABULARY, WIDTH, Form, mlp
from benchmarks.reach.texts import GptBlock, whole

LAYERS, CLASSES, RECURSIONS = 4, 5, 3


class Pabee(nn.Module):
    """PABEE: the batch leaves once its labels have stayed the same for `patience` layers."""

    def __init__(self, patience: int = 2) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(GptBlock(mlp()) for _ in range(LAYERS))
        self.classifiers = nn.ModuleList(nn.Linear(WIDTH, CLASSES) for _ in range(LAYERS))
        self.patience = patience

    def forward(self, input_ids):
        hidden = self.embeddings(input_ids)
        counter, before, logits = 0, None, None
        for layer, classifier in zip(self.layers, self.classifiers, strict=True):
            hidden = layer(hidden)
            logits = classifier(hidden[:, 0])
            labels = logits.detach().argmax(dim=1)
            if before is not None and torch.all(labels.eq(before)):
                counter += 1
            else:
                counter = 0
            before = labels
            if counter == self.patience:
                break
        return logits


class HighwayException(Exception):
    """DeeBERT's way out of its encoder."""

    def __init__(self, message: torch.Tensor) -> None:
        super().__init__()
        self.message = message


class DeeBert(nn.Module):
    """DeeBERT: an exit raises out of the encoder."""

    def __init__(self, threshold: float = 1.5) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.layer = nn.ModuleList(GptBlock(mlp()) for _ in range(LAYERS))
        self.highway = nn.ModuleList(nn.Linear(WIDTH, CLASSES) for _ in range(LAYERS))
        self.threshold = threshold

    def encode(self, input_ids):
        hidden = self.embeddings(input_ids)
        for layer, highway in zip(self.layer, self.highway, strict=True):
            hidden = layer(hidden)
            logits = highway(hidden[:, 0])
            entropy = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
            if entropy < self.threshold:
                raise HighwayException(logits)
        return logits

    def forward(self, input_ids):
        try:
            return self.encode(input_ids)
        except HighwayException as exit_:
            return exit_.message


class ActiveTokens(nn.Module):
    """CALM over feed-forwards: tokens that are sure keep their state, others go on by a mask."""

    def __init__(self, threshold: float = 0.045) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.layers = nn.ModuleList(mlp() for _ in range(LAYERS))
        self.threshold = threshold

    def forward(self, ids):
        h = self.embed(ids).reshape(-1, WIDTH)
        active = torch.ones(len(h), dtype=torch.bool)
        for layer in self.layers:
            h = h.clone()
            h[active] = h[active] + layer(h[active])
            confidence = self.head(h).softmax(-1).max(-1).values
            active = active & (confidence < self.threshold)
            if not active.any():
                break
        return self.head(h).view(*ids.shape, VOCABULARY)


class Recursions(nn.Module):
    """Mixture of recursions: a router says how often one block is applied to a token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.depth_router, self.block = nn.Linear(WIDTH, RECURSIONS), mlp()

    def forward(self, ids):
        x = self.embed(ids).reshape(-1, WIDTH)
        depth = self.depth_router(x).argmax(-1) + 1
        for r in range(RECURSIONS):
            active = depth > r
            x = x.clone()
            x[active] = x[active] + self.block(x[active])
        return self.head(x).view(*ids.shape, VOCABULARY)


class Act(nn.Module):
    """Adaptive computation time: one cell until the halting probabilities add up to one."""

    def __init__(self, steps: int = 4) -> None:
        super().__init__()
        self.cell, self.halt = nn.GRUCell(WIDTH, WIDTH), nn.Linear(WIDTH, 1)
        self.out, self.steps = nn.Linear(WIDTH, CLASSES), steps

    def forward(self, x):
        state, total = torch.zeros_like(x), torch.zeros(len(x))
        result = torch.zeros_like(x)
        for _ in range(self.steps):
            state = self.cell(x, state)
            p = torch.sigmoid(self.halt(state)).squeeze(-1)
            running = total < 0.99
            weight = torch.where(running, torch.minimum(p, 1 - total), torch.zeros_like(p))
            result = result + weight.unsqueeze(-1) * state
            total = total + weight
            if not (total < 0.99).any():
                break
        return self.out(result)


class LoopUntilStill(nn.Module):
    """A fixed point of one block: loops until the state hardly moves, for a batch of one."""

    def __init__(self, most: int = 5, tolerance: float = 0.36) -> None:
        super().__init__()
        self.f, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)
        self.most, self.tolerance = most, tolerance

    def forward(self, x):
        z = torch.zeros_like(x)
        for _ in range(self.most):
            new = torch.tanh(self.f(z) + x)
            moved = (new - z).norm() / new.norm()
            z = new
            if moved < self.tolerance:
                break
        return self.out(z)


class DepthBlock(nn.Module):
    """Mixture of depths: the best k tokens of a sequence enter the block, others pass it by."""

    def __init__(self, capacity: float = 0.5) -> None:
        super().__init__()
        self.router, self.block, self.capacity = nn.Linear(WIDTH, 1), GptBlock(mlp()), capacity

    def forward(self, x):
        _, positions, width = x.shape
        k = max(1, int(self.capacity * positions))
        weights = self.router(x).squeeze(-1)
        top = torch.topk(weights, k, dim=1, sorted=False).indices.sort(dim=1).values
        index = top.unsqueeze(-1).expand(-1, -1, width)
        chosen = torch.gather(x, 1, index)
        update = self.block(chosen) - chosen
        update = update * torch.gather(weights, 1, top).sigmoid().unsqueeze(-1)
        return x.scatter_add(1, index, update)


class DepthGpt(nn.Module):
    """A decoder, every second block of which is of depths."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.blocks = nn.ModuleList([GptBlock(mlp()), DepthBlock(), GptBlock(mlp()), DepthBlock()])

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class ReluDecode(nn.Module):
    """One token: the second product reads the weights of the neurons that are not zero."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 4 * HIDDEN), nn.Linear(4 * HIDDEN, WIDTH)

    def forward(self, x):
        h = F.relu(self.up(x))
        alive = torch.nonzero(h[0]).squeeze(-1)
        return F.linear(h[:, alive], self.down.weight[:, alive], self.down.bias)


class Cascade(nn.Module):
    """A small network answers; what it is not sure of goes to a large one."""

    def __init__(self, threshold: float = 0.3) -> None:
        super().__init__()
        self.small = nn.Linear(WIDTH, CLASSES)
        self.large = nn.Sequential(nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, CLASSES))
        self.threshold = threshold

    def forward(self, x):
        logits = self.small(x)
        hard = logits.softmax(-1).max(-1).values < self.threshold
        if hard.any():
            logits[hard] = self.large(x[hard])
        return logits


def _rows(model: type[nn.Module], units: int = 16, batches: int = 4) -> Form:
    return lambda: (model(), [torch.randn(units, WIDTH) for _ in range(batches)])


FORMS: dict[str, Form] = {
    "PABEE, patience of a batch": whole(Pabee, units=1, batches=8),
    "DeeBERT, exits by exception": whole(DeeBert, units=1, batches=4),
    "CALM over feed-forwards, active mask": whole(ActiveTokens),
    "mixture of recursions, depth of a token": whole(Recursions),
    "adaptive computation time, GRU cell": _rows(Act),
    "fixed point, loops until still": _rows(LoopUntilStill, units=1, batches=8),
    "mixture of depths, GPT blocks": whole(DepthGpt),
    "ReLU neurons of one token": _rows(ReluDecode, units=1, batches=8),
    "cascade of two networks": _rows(Cascade),
}
