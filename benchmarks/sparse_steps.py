"""Networks of which some weights are there, and their steps as PyTorch runs them here."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune

import condsim
from condsim.live.execution import Execution
from condsim.live.masks import masked_layers
from condsim.live.model import LiveModel
from condsim.live.sparse_weights import MECHANISM, sparse_weights
from condsim.trace import Trace

STRATEGIES = ("masked", "rows", "csr", "csr_sampled")
DENSE = "same-params"
ROUNDS, CALLS = 3, 5
WARM = 2
CLASSES = 10


@dataclass(frozen=True)
class Mlp:
    """Layers as wide as this, of which all but the last have masks; the batch of a step."""

    widths: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        return "-".join(map(str, self.widths)) + f" x {self.batch}"

    def model(self) -> nn.Sequential:
        """The network, with masks that leave all weights."""
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(self.widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
        for layer in list(network)[:-1:2]:
            prune.identity(layer, "weight")
        return network

    def data(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and their classes."""
        torch.manual_seed(1)
        return torch.randn(self.batch, self.widths[0]), torch.randint(0, CLASSES, (self.batch,))


def optimizer(weights: Any) -> torch.optim.Optimizer:
    """SGD with momentum, as sparse training mostly has."""
    return torch.optim.SGD(weights, lr=0.0, momentum=0.9)


def history(model: nn.Module, densities: tuple[float, ...]) -> condsim.MaskHistory:
    """Random masks, an entry a density."""
    masks = condsim.MaskHistory()
    for number, density in enumerate(densities):
        rng = np.random.default_rng(number)
        drawn = {}
        for name, layer in masked_layers(model).items():
            drawn[name] = rng.random((layer.out_features, layer.in_features)) < density
        masks.put(drawn, number)
    return masks


def captured(mlp: Mlp, densities: tuple[float, ...], train: bool, folder: Path | None) -> Trace:
    """The trace of a network, kept in a folder where there is one."""
    kind = "train" if train else "forward"
    kept = None if folder is None else folder / f"{mlp.name} {kind}".replace(" ", "-")
    if kept is not None and kept.exists():
        return condsim.load(kept)
    inputs, classes = mlp.data()
    model = mlp.model()
    training = condsim.Training(nn.functional.cross_entropy, optimizer, classes)
    trace = condsim.capture(
        model,
        inputs,
        measure=False,
        train=training if train else None,
        masks=history(model, densities),
    )
    if kept is not None:
        trace.save(kept)
    return trace


# What is timed.


@dataclass(frozen=True)
class Step:
    """A step that is ready to be called over and over. forms: what holds its layers in their forms
    while it lives."""

    call: Callable[[], None]
    forms: contextlib.ExitStack


def steps(mlp: Mlp, masks: dict[str, np.ndarray], train: bool) -> dict[str, Step]:
    """A step of each strategy and of the dense network."""
    made = {}
    for strategy in (DENSE, *STRATEGIES):
        model = mlp.model()
        sites = sparse_weights(model)
        forms = contextlib.ExitStack()
        for site in sites:
            site.mask = masks[site.name]
            site.prepare(Execution({MECHANISM: strategy}))
            forms.enter_context(site.installed())
        live = LiveModel(model, list(sites))
        call = _training_step(live, mlp) if train else _forward(live, mlp)
        made[strategy] = Step(call, forms)
    return made


def _training_step(live: LiveModel, mlp: Mlp) -> Callable[[], None]:
    inputs, classes = mlp.data()
    replaced = set()
    weights = []
    for site in live.sites:
        tensors = site.made_tensors()
        for tensor in tensors.values():
            weights.append(tensor.requires_grad_(True))
        if tensors:
            replaced.add(f"{site.name}.weight_orig")
    for name, weight in live.model.named_parameters():
        if name not in replaced:
            weights.append(weight)
    updates = optimizer(weights)

    def step() -> None:
        loss = nn.functional.cross_entropy(live.model(inputs), classes)
        loss.backward()
        updates.step()
        updates.zero_grad(set_to_none=True)

    return step


def _forward(live: LiveModel, mlp: Mlp) -> Callable[[], None]:
    inputs, _ = mlp.data()

    def forward() -> None:
        with torch.inference_mode():
            live.model(inputs)

    return forward


def in_turn(calls: dict[str, Step]) -> dict[str, float]:
    """The median seconds of each step; each runs several times in a row, round after round."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, step in calls.items():
            for _ in range(WARM):
                step.call()
            for _ in range(CALLS):
                began = time.thread_time()
                step.call()
                taken[name].append(time.thread_time() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
