"""Moving the mask of a sparse weight: the smallest weights go, others come.

Sources: Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse
connectivity inspired by network science", 2018 (SET); Evci et al., "Rigging the lottery: making all
tickets winners", 2020 (RigL), algorithm 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.live.masks import MASK, ORIGINAL
from condsim.registry import Registry

Scores = torch.Tensor
"""Of each weight of a layer, flat; those with the largest ones come."""


class Growth(ABC):
    """How new weights are chosen."""

    needs_gradients = False

    @abstractmethod
    def scores(self, weight: torch.Tensor) -> Scores:
        """How much each weight, [out, in], is wanted."""


GROWTH: Registry[type[Growth]] = Registry("way to grow")


@GROWTH.register("set")
class Randomly(Growth):
    """SET: any weight that is not there is as likely as any other."""

    def scores(self, weight: torch.Tensor) -> Scores:
        return torch.rand(weight.numel())


@GROWTH.register("rigl")
class ByGradient(Growth):
    """RigL: the weights whose loss has the largest gradients.

    They are those of the dense weight, which only a step on the dense weight makes.
    """

    needs_gradients = True

    def scores(self, weight: torch.Tensor) -> Scores:
        gradient = weight.grad
        if gradient is None:
            raise CondsimError("rigl: a weight has no gradient; update masks after the backward")
        return gradient.abs().flatten()


def move(weight: torch.Tensor, mask: torch.Tensor, count: int, scores: Scores) -> None:
    """Let `count` weights go, the smallest of those that are there, and as many others come.

    weight, mask: [out, in], both changed: weights that come begin at zero. scores: of each weight.
    A weight that went may come back.
    """
    there = mask.view(-1)
    sizes = weight.detach().abs().flatten()
    sizes = torch.where(there > 0, sizes, torch.inf)
    _, going = sizes.topk(count, largest=False, sorted=False)
    there.index_fill_(0, going, 0.0)
    wanted = torch.where(there > 0, -1.0, scores)
    _, coming = wanted.topk(count, sorted=False)
    there.index_fill_(0, coming, 1.0)
    weight.detach().view(-1).index_fill_(0, coming, 0.0)


def move_all(layers: Mapping[str, nn.Linear], share: float, growth: Growth) -> None:
    """Move the masks of layers. share: of the weights that are there, which go."""
    with torch.no_grad():
        for layer in layers.values():
            weight, mask = layer.get_parameter(ORIGINAL), layer.get_buffer(MASK)
            count = max(1, int(share * int(mask.sum())))
            move(weight, mask, count, growth.scores(weight))


def falling_share(step: int, steps: int, first: float = 0.3, end: float = 0.75) -> float:
    """The share of weights that move at a step: a cosine from `first` to 0.

    end: the part of the training after which nothing moves. Source: RigL, section 3 (alpha, T_end).
    """
    last = end * steps
    if step >= last:
        return 0.0
    return first / 2 * (1 + math.cos(math.pi * step / last))


def erdos_renyi(shapes: Mapping[str, tuple[int, int]], density: float) -> dict[str, float]:
    """The density of each layer in proportion to (out + in) / (out * in), `density` over all.

    A layer that would have more than all of its weights has all. Source: SET, equation 1, scaled as
    in RigL, section 3.
    """
    dense: set[str] = set()
    while True:
        left = density * sum(out * into for out, into in shapes.values())
        left -= sum(out * into for name, (out, into) in shapes.items() if name in dense)
        weights = {name: sum(shape) for name, shape in shapes.items() if name not in dense}
        scale = left / max(sum(weights.values()), 1)
        found = {}
        for name, (out, into) in shapes.items():
            found[name] = 1.0 if name in dense else scale * (out + into) / (out * into)
        full = {name for name, of_layer in found.items() if of_layer > 1}
        if not full:
            return found
        dense |= full
