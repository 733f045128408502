"""A model on an accelerator: moved there and back, and timed by a clock that waits for it. Tested on CPUs only so far."""

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
    """Raises CondsimError for a device that torch does not know or does not find here."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise CondsimError(f"torch knows no device {name!r}; for example cuda, cuda:1") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CondsimError(
            f"torch {torch.__version__} finds no CUDA device here; without a device the CPU is measured"
        )
    return device


def identity(device: torch.device, threads: int = 1) -> dict[str, str | int]:
    """What makes an accelerator the one that a profile was calibrated on; of a CPU its fingerprint with so many threads."""
    if device.type == CPU:
        return fingerprint(threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"gpu": name, "torch": str(torch.__version__), "cuda": str(torch.version.cuda)}


def waiting_clock(device: torch.device) -> Clock:
    """The wall clock, read when the device has done what it was given."""

    def read() -> float:
        torch.accelerator.synchronize(device)
        return time.perf_counter()

    return time.perf_counter if device.type == CPU else read


@contextlib.contextmanager
def placed(model: torch.nn.Module | None, device: torch.device) -> Iterator[None]:
    """The model on a device, and back where it was afterwards."""
    before = next((p.device for p in model.parameters()), device) if model is not None else device
    if model is None or before == device:
        yield
        return
    model.to(device)
    try:
        yield
    finally:
        model.to(before)
