"""A device as data: one model, every number with where it comes from.

A profile is a device together with the software that runs on it. One that was calibrated has tables
of measured operator times; one from data sheets has peak rates only.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator, model_validator

from condsim.errors import unknown
from condsim.hardware.device_classes import DEVICE_CLASSES, DeviceClass
from condsim.hardware.gpu import Gpu
from condsim.hardware.quantity import (
    UNCERTAINTY,
    Model,
    NotNegative,
    Positive,
    Quantity,
    within,
)
from condsim.hardware.self_check import SelfCheck
from condsim.hardware.static import Companion, Graphs, Matrix
from condsim.hardware.tables import (
    Activations,
    Among,
    Cold,
    Curve,
    Grid,
    Looped,
    Residency,
    Scatter,
)
from condsim.hardware.text import validated, write
from condsim.untrusted import Name, Text

FORMAT = 3
"""Of the tables of a calibration; one of another format must be made again."""


MOST_THREADS = 1 << 16
MOST_PATHS = 500
"""So many paths are looked through for one that is near an unknown one; tables have more."""


class Level(Model):
    """A level of memory.

    bytes: capacity. bandwidth: bytes a second that one device reads from it; of a GPU the data
    sheet's, of which it reaches `gpu.dram_fraction`.
    """

    bytes: Quantity
    bandwidth: Quantity


class Host(Model):
    """Seconds of the host for one of each, timed alone.

    `Among` and `Cold` say what they cost more in a model. dispatch: of an operator. view: of an
    operator that makes no new storage. module_call: of one module. synchronise: of waiting for the
    device. instruction: of Python's bytecode between operators; None: not known, and every module
    call counts as module_call.
    """

    dispatch: Quantity
    view: Quantity
    module_call: Quantity
    synchronise: Quantity
    instruction: Quantity | None = None


class Power(Model):
    """What a device draws.

    idle_w: watts when nothing runs. limit_w: what it never exceeds. j_per_flop: by dtype.
    j_per_byte: by memory level.
    """

    idle_w: Quantity
    limit_w: Quantity | None = None
    j_per_flop: dict[Name, Quantity]
    j_per_byte: dict[Name, Quantity]


class HardwareProfile(Model):
    """A device with its software.

    kind: the name of its class (`condsim.hardware.device_classes`).
    dtype: what a simulation uses unless it is told another ("fp32", "bf16", ...).
    runtime: how operators become kernels ("eager", ...).
    threads: of the host.
    fingerprint: of the machine that was calibrated, else None.
    yardstick_s: of the calibration's yardstick when nothing disturbed it.
    peak_flops: a second, by dtype.
    matmul_efficiency: the share of peak_flops that a large matmul reaches.
    memory: by level.
    matrix, graphs, companion: of a device that runs prepared graphs (tpu, npu).
    weight_cache_bytes: of on-chip memory that keeps weights from one run to the next; None: weights
        are read from the largest memory in every run.
    format: of the tables of a calibration.
    operators, matmuls, extra_s: of a calibration: curves by operator, tables by matmul family,
        constant seconds of a variant ("linear.bias").
    residency, activations: of a calibration: what evicted weights and far activations cost.
    among, cold: of a calibration: what code costs after other operators and after other data.
    looped: of a calibration: how much of among is left where nothing runs between two steps, which
        counts instead of the share in among; None: it was not measured.
    self_check: how far off the calibration was on built-in modules; None: it was not checked.
    gpu: the block of its class.
    weight_dtypes: narrower than activations, which its kernels unpack → the source of such kernels.
    links: bytes a second one way, to another device and to the host.
    """

    name: Name
    kind: Name
    description: Text
    dtype: Name
    runtime: Name
    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    fingerprint: dict[Name, Text | int] | None = None
    yardstick_s: Positive | None = None
    peak_flops: dict[Name, Quantity] = Field(min_length=1)
    matmul_efficiency: Quantity
    memory: dict[Name, Level] = Field(min_length=1)
    host: Host
    power: Power
    matrix: Matrix | None = None
    graphs: Graphs | None = None
    companion: Companion | None = None
    weight_cache_bytes: Quantity | None = None
    format: int = FORMAT
    operators: dict[Name, Curve] = Field(default_factory=dict)
    matmuls: dict[Name, Grid | Scatter] = Field(default_factory=dict)
    extra_s: dict[Name, NotNegative] = Field(default_factory=dict)
    residency: Residency | None = None
    activations: Activations | None = None
    among: Among | None = None
    cold: Cold | None = None
    looped: Looped | None = None
    self_check: SelfCheck | None = None
    gpu: Gpu | None = None
    weight_dtypes: dict[Name, Text] = Field(default_factory=dict)
    links: dict[Name, Quantity] = Field(default_factory=dict)

    @field_validator("kind")
    @classmethod
    def _known_class(cls, kind: str) -> str:
        return DEVICE_CLASSES[kind].name

    @model_validator(mode="after")
    def _shares(self) -> HardwareProfile:
        within("matmul_efficiency", self.matmul_efficiency, 1e-12, 1.5)
        return self

    @model_validator(mode="after")
    def _fields_belong_together(self) -> HardwareProfile:
        if self.dtype not in self.peak_flops:
            dtypes = ", ".join(self.peak_flops)
            raise ValueError(f"dtype must be one of peak_flops ({dtypes}), got {self.dtype!r}")
        if self.format != FORMAT or (self.matmuls and "format" not in self.model_fields_set):
            raise ValueError(
                "it was calibrated by another version of condsim; "
                "`condsim calibrate` makes it again"
            )
        return self

    @model_validator(mode="after")
    def _blocks_of_its_class(self) -> HardwareProfile:
        for block in self.device_class.required_blocks:
            if getattr(self, block) is None:
                raise ValueError(f"a device of kind {self.kind} needs `{block}` in its profile")
        for other in DEVICE_CLASSES.values():
            for block in other.own_blocks:
                if other.name != self.kind and getattr(self, block) is not None:
                    raise ValueError(
                        f"the block {block} belongs to a profile of kind {other.name}, "
                        f"this one is of kind {self.kind}"
                    )
        return self

    @property
    def device_class(self) -> DeviceClass:
        """What is the same for all devices of its kind."""
        return DEVICE_CLASSES[self.kind]

    @cached_property
    def digest(self) -> str:
        """A number that stands for all that the profile says, as hexadecimal text."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def calibrated(self) -> bool:
        """Whether it has tables of measured operator times."""
        return bool(self.matmuls)

    @property
    def dram(self) -> Level:
        """The largest memory."""
        return max(self.memory.values(), key=_capacity_bytes)

    def uncertainty(self, family: str) -> float:
        """Relative uncertainty of an operator's or a matmul family's time."""
        table = self.matmuls.get(family) or self.operators.get(family)
        return UNCERTAINTY["estimated"] if table is None else table.uncertainty

    def replace(self, **dotted: Any) -> HardwareProfile:
        """What if: the profile with other values, `replace(**{"memory.dram.bandwidth": 1e11})`.

        dotted: paths of fields. A number put in place of a quantity counts as estimated with no
        uncertainty. Raises CondsimError for a path that does not exist or a bad value.
        """
        fields = self.model_dump()
        for path, value in dotted.items():
            block, name = _block_of(fields, path)
            is_number = value is not None and not isinstance(value, (dict, Quantity))
            if _is_quantity(block[name]) and is_number:
                block[name] = _what_if(value)
            elif isinstance(value, BaseModel):
                block[name] = value.model_dump()
            else:
                block[name] = value
        return validated(type(self), fields, f"profile {self.name}")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as YAML, under another name first so that a reader never sees half a file."""
        return write(self.model_dump(exclude_none=True), Path(path))


def _capacity_bytes(level: Level) -> float:
    return level.bytes.value


def _block_of(fields: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """(the mapping that a dotted path ends in, the last name of the path).

    Raises CondsimError for a path that does not exist.
    """
    *parents, name = path.split(".")
    block: Any = fields
    for parent in parents:
        block = block.get(parent) if isinstance(block, dict) else None
    if not isinstance(block, dict) or name not in block:
        raise unknown("profile field", path, _paths(fields))
    return block, name


def _is_quantity(value: Any) -> bool:
    return isinstance(value, dict) and "basis" in value


def _what_if(value: Any) -> dict[str, Any]:
    """The fields of a quantity that is put in place of another."""
    return {"value": value, "basis": "estimated", "source": "what if", "uncertainty": 0.0}


def _paths(fields: dict[str, Any], prefix: str = "") -> list[str]:
    """All dotted paths of nested mappings, quantities as leaves too."""
    paths = []
    for key, value in fields.items():
        paths.append(prefix + key)
        if isinstance(value, dict) and len(paths) < MOST_PATHS:
            paths += _paths(value, f"{prefix}{key}.")
    return paths
