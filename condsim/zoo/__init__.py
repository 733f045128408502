"""Small models with conditional computation, trained for real, one file a model.

`load` gives a trained one with inputs it has not seen; `train` makes a checkpoint again, from data on this machine.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from condsim.errors import CondsimError
from condsim.zoo import branch_fashion, exit_fashion, moe_bytes, skip_fashion, sparse_bytes
from condsim.zoo.base import CHECKPOINTS, ZOO, build, read_checkpoint, save_checkpoint
from condsim.zoo.data import fashion_sample, spread_starts, text_sample, windows
from condsim.zoo.example import Example
from condsim.zoo.training import bits

__all__ = ["ZOO", "Example", "load", "train"]
_MODELS = (branch_fashion, exit_fashion, moe_bytes, skip_fashion, sparse_bytes)


def load(
    name: str,
    batch: int = 32,
    batches: int = 64,
    seq: int | None = None,
    folder: Path = CHECKPOINTS,
) -> Example:
    """The trained model `name` with held-out inputs.

    batch: images or sequences a batch. batches: how many, at most (there are 2,048 images). seq: bytes a sequence, None for what the model's
    checkpoint is meant for; images have none. folder: where the checkpoints are.
    Raises CondsimError for an unknown name, a bad size or a missing checkpoint.
    """
    kind = ZOO[name]
    for what, value in (("batch", batch), ("batches", batches), ("seq", seq)):
        if value is not None and value < 1:
            raise CondsimError(f"{what} must be at least 1, got {value}")
    model = build(name, read_checkpoint(name, folder))
    if kind.data == "images":
        if seq is not None:
            raise CondsimError(f"zoo model {name!r} takes images, which have no seq")
        images, labels = fashion_sample()
        if batch > len(images):
            raise CondsimError(f"batch must be at most {len(images)}, got {batch}")
        count = min(batches, len(images) // batch)

        def correct(output: torch.Tensor, number: int) -> np.ndarray:
            right: np.ndarray = (
                (output.argmax(-1) == labels[number * batch : (number + 1) * batch]).float().numpy()
            )
            return right

        return Example(
            name,
            kind.mechanism,
            model,
            list(torch.split(images[: count * batch], batch)),
            correct,
            "accuracy",
            True,
        )
    seq = seq or kind.seq
    if seq > model.config["max_seq"]:
        raise CondsimError(f"seq must be at most {model.config['max_seq']}, got {seq}")
    text = text_sample()
    ids, targets = windows(text, spread_starts(text, batch * batches, seq), seq)

    def bits_a_byte(output: torch.Tensor, number: int) -> np.ndarray:
        value: np.ndarray = (
            bits(output.float(), targets[number * batch : (number + 1) * batch])
            .numpy()
            .astype(np.float32)
        )
        return value

    return Example(
        name,
        kind.mechanism,
        model,
        list(torch.split(ids, batch)),
        bits_a_byte,
        "cross entropy (bits a byte)",
        False,
    )


def train(name: str, steps: int | None = None, seed: int = 0, folder: Path = CHECKPOINTS) -> Path:
    """Train the model `name` from scratch and write its checkpoint to `folder`. Shows progress.

    steps: None for as many as the shipped checkpoint had. seed: of everything random; the caller's generator is left as it was.
    """
    kind = ZOO[name]
    steps = kind.steps if steps is None else steps
    if steps < 1:
        raise CondsimError(f"steps must be at least 1, got {steps}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    began = time.perf_counter()
    with Progress(*columns) as progress, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, about = kind.fit(steps, progress)
    about |= {
        "steps": steps,
        "seed": seed,
        "training_s": round(time.perf_counter() - began, 1),
        "threads": torch.get_num_threads(),
    }
    about |= {"torch": torch.__version__, "python": platform.python_version()}
    path = folder / f"{name}.pt"
    save_checkpoint(model, {key: _plain(value) for key, value in about.items()}, path)
    return path


def _plain(value: Any) -> Any:
    """Strings stay str (torch.__version__ is a subclass, which a weights-only load refuses)."""
    return str(value) if isinstance(value, str) else value
