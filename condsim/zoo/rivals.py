"""Dense rivals of the zoo's models: smaller networks of the same parts, trained the same way.

A rival is kept as a trace without decisions: what it executes, and how good it was on the inputs of
the model's own trace. Its weights are not kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

from condsim.capture.header import Labels
from condsim.capture.on_meta import capture_programs
from condsim.errors import CondsimError, unknown
from condsim.live.inputs import as_batches
from condsim.program.regime import PREFILL, Regime
from condsim.trace import Trace
from condsim.zoo.base import ZOO, ZooModel
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training, training_text, windows
from condsim.zoo.example import Example
from condsim.zoo.loading import load
from condsim.zoo.training import ShuffledBatches, bits, minimise

QUALITY = "dense"
"""The column of a rival's quality, as of a model in which nothing is conditional."""
REGIMES = (Regime(PREFILL, single=False), Regime(PREFILL, single=True))
PROBED_UNITS = 2


def train_rival(
    name: str, rival: str, folder: Path, steps: int | None = None, seed: int = 0
) -> Path:
    """Train a rival of the zoo model `name`; write it to a folder of its name in `folder`.

    steps: None for as many as the model had. seed: of everything random.
    Raises CondsimError for an unknown model or rival.
    """
    kind = ZOO[name]
    steps = kind.steps if steps is None else steps
    if steps < 1:
        raise CondsimError(f"steps must be at least 1, got {steps}")
    with Progress() as progress, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        known = kind.rivals()
        if rival not in known:
            raise unknown("rival", rival, known, f"dense networks beside {name}")
        model = known[rival].train()
        began = time.perf_counter()
        minimise(model.parameters(), _loss(kind, model), steps, progress, rival)
        took_s = time.perf_counter() - began
    note = f"trained {steps} steps, seed {seed}, {took_s:.0f} s"
    return rival_trace(name, rival, model.eval(), note).save(folder / rival)


def _loss(kind: type[ZooModel], model: nn.Module) -> Callable[[int], torch.Tensor]:
    """Step → cross entropy of a batch of the data that the zoo model was trained on."""
    return _of_text(kind, model) if kind.data == "text" else _of_images(kind, model)


def _of_images(kind: type[ZooModel], model: nn.Module) -> Callable[[int], torch.Tensor]:
    images, labels, _ = fashion_training()
    batches = ShuffledBatches(len(images) - VALIDATION_IMAGES, kind.batch)

    def loss(step: int) -> torch.Tensor:
        rows = batches(step)
        return F.cross_entropy(model(images[rows]), labels[rows])

    return loss


def _of_text(kind: type[ZooModel], model: nn.Module) -> Callable[[int], torch.Tensor]:
    text, _ = training_text()
    possible_starts = len(text) - kind.trained_seq - 1

    def loss(_: int) -> torch.Tensor:
        starts = torch.randint(possible_starts, (kind.batch,))
        ids, targets = windows(text, starts, kind.trained_seq)
        return bits(model(ids), targets).mean()

    return loss


def rival_trace(name: str, rival: str, model: nn.Module, note: str) -> Trace:
    """What a trained rival of the zoo model `name` executes, and its quality for each input."""
    example = load(name)
    labels = Labels(
        name=rival,
        command=f"python -m condsim.zoo rival {name} {rival}",
        quality_name=example.quality_name,
        higher_is_better=example.higher_is_better,
    )
    with torch.device("meta"):
        on_meta = ZOO[name].rivals()[rival].eval()
    (batch,) = as_batches(example.inputs[0][:PROBED_UNITS])
    trace = capture_programs(on_meta, batch, labels, regimes=REGIMES)
    return _with_quality(trace, quality_of(model, example), note)


def _with_quality(trace: Trace, quality: np.ndarray, note: str) -> Trace:
    header = trace.header.model_copy(update={"notes": (*trace.header.notes, note)})
    table = pd.DataFrame({QUALITY: quality})
    return Trace(header, trace.steps, trace.programs, trace.reader, table)


@torch.inference_mode()
def quality_of(model: nn.Module, example: Example) -> np.ndarray:
    """The quality of a model for each input of an example, float32 [units]."""
    assert example.quality is not None
    of_batches = []
    for number, batch in enumerate(example.inputs):
        of_batches.append(example.quality(model(batch), number))
    return np.concatenate(of_batches)
