"""A model on an accelerator: moved there and back, and timed by a clock that waits for the device.

Tested on CPUs only so far.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch

from condsim.errors import CondsimError
from condsim.hardware import fingerprint
from condsim.timing.clock import Clock

CPU = "cpu"


def the_device(name: str) -> torch.device:
    """The torch device of a name.

    Raises CondsimError for a device that torch does not know, or does not find on this machine.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise CondsimError(f"torch knows no device {name!r}; for example cuda, cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CondsimError(
            f"torch {torch.__version__} finds no CUDA device here; "
            "without a device the CPU is measured"
        )
    return device


def identity(device: torch.device, threads: int = 1) -> dict[str, str | int]:
    """What identifies the device that a profile was calibrated on.

    For a CPU this is its fingerprint with so many threads.
    """
    if device.type == CPU:
        return fingerprint(threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"gpu": name, "torch": str(torch.__version__), "cuda": str(torch.version.cuda)}


def waiting_clock(device: torch.device) -> Clock:
    """The wall clock, read only after the device has finished the work it was given."""
    if device.type == CPU:
        return time.perf_counter

    def read() -> float:
        torch.accelerator.synchronize(device)
        return time.perf_counter()

    return read


@contextlib.contextmanager
def placed(model: torch.nn.Module | None, device: torch.device) -> Iterator[None]:
    """Move the model to a device, and afterwards back to where it was; None moves nothing."""
    if model is None:
        yield
        return
    before = next((parameter.device for parameter in model.parameters()), device)
    if before == device:
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.to(before)
