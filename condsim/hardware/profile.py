"""A device as data: one model, every number with where it comes from.

A profile is a device together with the software that runs on it. One that was calibrated has tables of measured operator times; one from data sheets
has peak rates only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from condsim.errors import unknown
from condsim.hardware.gpu import Gpu
from condsim.hardware.quantity import UNCERTAINTY, Model, NotNegative, Positive, Quantity
from condsim.hardware.static import Companion, Graphs, Matrix
from condsim.hardware.tables import Activations, Among, Cold, Curve, Grid, Residency, Scatter
from condsim.hardware.text import validated, write

FORMAT = 3  # of the tables of a calibration; one of another format must be made again


class Level(Model):
    """A level of memory. bytes: capacity; bandwidth: bytes a second that one device reads from it (of a GPU: the data sheet's,
    of which it reaches `gpu.dram_fraction`)."""

    bytes: Quantity
    bandwidth: Quantity


class Host(Model):
    """Seconds of the host for one of each, timed alone. `Among` and `Cold` say what they cost more in a model.

    instruction: of Python's bytecode between operators; None: not known, and every module call counts as module_call.
    """

    dispatch: Quantity
    view: Quantity
    module_call: Quantity
    synchronise: Quantity
    instruction: Quantity | None = None


class Power(Model):
    """idle_w: watts when nothing runs; limit_w: what it never exceeds; j_per_flop by dtype; j_per_byte by memory level."""

    idle_w: Quantity
    limit_w: Quantity | None = None
    j_per_flop: dict[str, Quantity]
    j_per_byte: dict[str, Quantity]


class HardwareProfile(Model):
    """A device with its software.

    dtype: what a simulation uses unless it is told another ("fp32", "bf16", ...). runtime: how operators become kernels ("eager", ...). threads: host
    threads. fingerprint: of the machine that was calibrated, else None.
    yardstick_s: of the calibration's yardstick when nothing disturbed it. matmul_efficiency: the share of peak_flops that a large matmul reaches.
    operators: curves by operator; matmuls: tables by matmul family; extra_s: constant seconds of a variant ("linear.bias"); all empty without a
    calibration. gpu: the block of its class. links: bytes a second one way, to another device and to the host.
    matrix, graphs, companion: of a device that runs prepared graphs (tpu, npu). weight_cache_bytes: of on-chip memory that keeps weights from one run to
    the next; None: weights are read from the largest memory in every run.
    """

    name: str = Field(min_length=1)
    kind: Literal["cpu", "gpu", "tpu", "npu"]
    description: str
    dtype: str
    runtime: str
    threads: int = Field(default=1, ge=1)
    fingerprint: dict[str, str | int] | None = None
    yardstick_s: Positive | None = None
    peak_flops: dict[str, Quantity] = Field(min_length=1)
    matmul_efficiency: Quantity
    memory: dict[str, Level] = Field(min_length=1)
    host: Host
    power: Power
    matrix: Matrix | None = None
    graphs: Graphs | None = None
    companion: Companion | None = None
    weight_cache_bytes: Quantity | None = None
    format: int = FORMAT
    operators: dict[str, Curve] = Field(default_factory=dict)
    matmuls: dict[str, Grid | Scatter] = Field(default_factory=dict)
    extra_s: dict[str, NotNegative] = Field(default_factory=dict)
    residency: Residency | None = None
    activations: Activations | None = None
    among: Among | None = None
    cold: Cold | None = None
    gpu: Gpu | None = None
    links: dict[str, Quantity] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _dtypes(self) -> HardwareProfile:
        if self.dtype not in self.peak_flops:
            raise ValueError(
                f"dtype must be one of peak_flops ({', '.join(self.peak_flops)}), got {self.dtype!r}"
            )
        if self.gpu is not None and self.kind != "gpu":
            raise ValueError(
                f"the block gpu belongs to a profile of kind gpu, this one is of kind {self.kind}"
            )
        if self.format != FORMAT or (self.matmuls and "format" not in self.model_fields_set):
            raise ValueError(
                "it was calibrated by another version of condsim; `condsim calibrate` makes it again"
            )
        if self.kind in ("tpu", "npu") and self.graphs is None:
            raise ValueError(
                f"a {self.kind} runs prepared graphs: it needs `graphs` (launch, switch, prepare)"
            )
        return self

    @property
    def calibrated(self) -> bool:
        """Whether it has tables of measured operator times."""
        return bool(self.matmuls)

    @property
    def dram(self) -> Level:
        """The largest memory."""
        return max(self.memory.values(), key=lambda level: level.bytes.value)

    def uncertainty(self, family: str) -> float:
        """Relative uncertainty of an operator's or a matmul family's time."""
        table = self.matmuls.get(family) or self.operators.get(family)
        return UNCERTAINTY["estimated"] if table is None else table.uncertainty

    def replace(self, **dotted: Any) -> HardwareProfile:
        """What if: the profile with other values at dotted paths, `replace(**{"memory.dram.bandwidth": 1e11})`.

        A number put in place of a quantity counts as estimated with no uncertainty. Raises CondsimError for a path that does not exist or a bad
        value.
        """
        data = self.model_dump()
        for path, value in dotted.items():
            *parents, last = path.split(".")
            place: Any = data
            for part in parents:
                if not isinstance(place, dict) or part not in place:
                    raise unknown("profile field", path, _paths(data))
                place = place[part]
            if not isinstance(place, dict) or last not in place:
                raise unknown("profile field", path, _paths(data))
            if (
                isinstance(place[last], dict)
                and "basis" in place[last]
                and value is not None
                and not isinstance(value, (dict, Quantity))
            ):
                value = {
                    "value": value,
                    "basis": "estimated",
                    "source": "what if",
                    "uncertainty": 0.0,
                }
            place[last] = value.model_dump() if isinstance(value, BaseModel) else value
        return validated(type(self), data, f"profile {self.name}")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as YAML, under a temporary name first so that a reader never sees half a file."""
        return write(self.model_dump(exclude_none=True), Path(path))


def _paths(data: Any, prefix: str = "") -> list[str]:
    """All dotted paths of nested mappings, quantities as leaves too."""
    found = []
    for key, value in data.items():
        found.append(prefix + key)
        if isinstance(value, dict) and len(found) < 500:
            found += _paths(value, f"{prefix}{key}.")
    return found
