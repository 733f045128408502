"""Trained zoo models with held-out inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from condsim.errors import CondsimError
from condsim.live.training import Training
from condsim.zoo.base import CHECKPOINTS, ZooModel, build, kind_of, read_checkpoint
from condsim.zoo.data import fashion_sample, spread_starts, text_sample, windows
from condsim.zoo.example import Example, Quality
from condsim.zoo.noise import NOISE, noisy
from condsim.zoo.training import bits
from condsim.zoo.verse_example import verse_example

SAME_TOKENS = "tokens that all layers give, too"
"""The quality of a decoder with exits, which capture finds out by itself."""


def load(
    name: str,
    batch: int | None = None,
    batches: int = 64,
    seq: int | None = None,
    folder: Path = CHECKPOINTS,
    settings: Mapping[str, float] | None = None,
) -> Example:
    """The trained model `name` with held-out inputs.

    batch: images or sequences a batch, None for the model's `example_batch`. batches: how many, at
    most (there are 2,048 images). seq: bytes a sequence, None for what the model's checkpoint is
    meant for; images have none. folder: where the checkpoints are. settings: of the model's knob,
    as {"threshold": 0.8}, or noise on its inputs, as {"gaussian": 0.5}.
    Raises CondsimError for an unknown name, a bad size or setting, or a missing checkpoint.
    """
    kind = kind_of(name)
    for what, value in (("batch", batch), ("batches", batches), ("seq", seq)):
        if value is not None and value < 1:
            raise CondsimError(f"{what} must be at least 1, got {value}")
    batch = batch or kind.example_batch
    given = settings or {}
    noise = {key: value for key, value in given.items() if key in NOISE}
    of_knob = {key: value for key, value in given.items() if key not in NOISE}
    model = build(name, read_checkpoint(name, folder), of_knob)
    if kind.data == "verses":
        _refuse_seq(name, "verses of two lengths", seq)
        example = verse_example(name, model, batch, batches)
    elif kind.data == "text":
        example = text_example(name, model, batch, batches, seq or kind.seq)
    else:
        _refuse_seq(name, "images, which have no seq", seq)
        example = image_example(name, model, batch, batches)
    return noisy(example, kind.data, noise)


def _refuse_seq(name: str, what: str, seq: int | None) -> None:
    """Raises CondsimError where `seq` is given. what: the inputs that the model takes."""
    if seq is not None:
        raise CondsimError(f"zoo model {name!r} takes {what}; leave seq out")


def image_example(name: str, model: ZooModel, batch: int, batches: int) -> Example:
    """Held-out images for a model that tells classes."""
    images, labels = fashion_sample()
    if batch > len(images):
        raise CondsimError(f"batch must be at most {len(images)}, got {batch}")
    count = min(batches, len(images) // batch)
    inputs = torch.split(images[: count * batch], batch)
    labels_of_batches = torch.split(labels, batch)
    return Example(
        name=name,
        mechanism=model.mechanism,
        model=model,
        inputs=list(inputs),
        quality=accuracy(labels_of_batches),
        quality_name="accuracy",
        higher_is_better=True,
        training=Training(cross_entropy, model.optimizer, targets=list(labels_of_batches)[:count]),
        masks=model.masks,
    )


def text_example(name: str, model: ZooModel, batch: int, batches: int, seq: int) -> Example:
    """Held-out sequences for a model of bytes."""
    max_seq = model.config["max_seq"]
    if seq + model.new_tokens > max_seq:
        most = max_seq - model.new_tokens
        raise CondsimError(f"seq must be at most {most}, got {seq}")
    text = text_sample()
    starts = spread_starts(text, batch * batches, seq)
    ids, targets = windows(text, starts, seq)
    inputs = torch.split(ids, batch)
    targets_of_batches = torch.split(targets, batch)
    decodes = model.new_tokens > 0
    return Example(
        name=name,
        mechanism=model.mechanism,
        model=model,
        inputs=list(inputs),
        quality=None if decodes else bits_a_byte(targets_of_batches),
        quality_name=SAME_TOKENS if decodes else "cross entropy (bits a byte)",
        higher_is_better=decodes,
        new_tokens=model.new_tokens,
        training=Training(cross_entropy, targets=list(targets_of_batches)),
    )


def cross_entropy(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy in nats. output: logits [..., classes]. targets: int64 [...]."""
    return F.cross_entropy(output.flatten(0, -2), targets.flatten())


def accuracy(labels: tuple[torch.Tensor, ...]) -> Quality:
    """Whether each image's class was told, 1 or 0. labels: int64 [batch] of each batch."""

    def correct(output: torch.Tensor, number: int) -> np.ndarray:
        predicted = output.argmax(-1)
        hits = predicted == labels[number]
        quality: np.ndarray = hits.float().numpy()
        return quality

    return correct


def bits_a_byte(targets: tuple[torch.Tensor, ...]) -> Quality:
    """Mean cross entropy of each sequence. targets: int64 [batch, seq] of each batch."""

    def entropy(output: torch.Tensor, number: int) -> np.ndarray:
        means = bits(output.float(), targets[number])
        quality: np.ndarray = means.numpy()
        return quality.astype(np.float32)

    return entropy
