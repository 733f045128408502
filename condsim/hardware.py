"""A device as data: one YAML file, read by one model, every number with where it comes from.

A profile is a device together with the software that runs on it. One that was calibrated has tables of measured operator times; one from data sheets
has peak rates only. Errors name the file, the field, the value and the rule.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import yaml
from platformdirs import user_cache_dir
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from condsim.errors import CondsimError, unknown
from condsim.resources import resource

Basis = Literal["measured", "calibrated", "sourced", "estimated"]
UNCERTAINTY: dict[Basis, float] = {"measured": 0.05, "calibrated": 0.05, "sourced": 0.10, "estimated": 0.30}
THIS_MACHINE = "this-machine"
FORMAT = 2  # of the tables of a calibration; one of another format must be made again

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Floats = npt.NDArray[np.float64]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity(_Model):
    """A positive number in SI units. uncertainty: relative, one standard deviation; None: what the basis says (`UNCERTAINTY`)."""

    value: Positive
    basis: Basis
    source: str = ""
    uncertainty: NotNegative | None = None

    def __float__(self) -> float:
        return self.value

    @property
    def relative(self) -> float:
        """The relative uncertainty."""
        return UNCERTAINTY[self.basis] if self.uncertainty is None else self.uncertainty


class Level(_Model):
    """A level of memory. bytes: capacity; bandwidth: bytes a second that one device reads from it."""

    bytes: Quantity
    bandwidth: Quantity


class Host(_Model):
    """Seconds of the host for one of each, timed alone. `Among` says what they cost more in a model."""

    dispatch: Quantity
    view: Quantity
    module_call: Quantity
    synchronise: Quantity


class Power(_Model):
    """idle_w: watts when nothing runs; limit_w: what it never exceeds; j_per_flop by dtype; j_per_byte by memory level."""

    idle_w: Quantity
    limit_w: Quantity | None = None
    j_per_flop: dict[str, Quantity]
    j_per_byte: dict[str, Quantity]


class Curve(_Model):
    """Seconds of an operator by elements (sizes, rising) and, where it matters, by the length of a row (lengths, rising): seconds[length][size].

    Times are linear in the elements between two sizes.
    """

    sizes: list[NotNegative] = Field(min_length=1)
    lengths: list[Positive] = Field(default_factory=lambda: [1.0], min_length=1)
    seconds: list[list[Positive]]
    uncertainty: NotNegative = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Curve:
        _rising("sizes", self.sizes)
        _rising("lengths", self.lengths)
        if len(self.seconds) != len(self.lengths) or any(len(row) != len(self.sizes) for row in self.seconds):
            raise ValueError(f"seconds must be {len(self.lengths)} rows of {len(self.sizes)}")
        return self

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(map(min, self.seconds))

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """sizes [s], lengths [l], seconds [l, s]."""
        return np.array(self.sizes), np.array(self.lengths), np.array(self.seconds)


class Grid(_Model):
    """Seconds of a matmul on a full grid of m x n x k; seconds: flat, k fastest. reached: the largest FLOPs that were measured (larger cells are
    filled at constant efficiency)."""

    m: list[Positive] = Field(min_length=2)
    n: list[Positive] = Field(min_length=2)
    k: list[Positive] = Field(min_length=2)
    seconds: list[Positive]
    reached: Positive
    uncertainty: NotNegative = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Grid:
        for name in ("m", "n", "k"):
            _rising(name, getattr(self, name))
        if len(self.seconds) != len(self.m) * len(self.n) * len(self.k):
            raise ValueError(f"seconds must have {len(self.m) * len(self.n) * len(self.k)} numbers, one a cell, got {len(self.seconds)}")
        return self

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """m, n, k and seconds [m, n, k]."""
        m, n, k = np.array(self.m), np.array(self.n), np.array(self.k)
        return m, n, k, np.array(self.seconds).reshape(len(m), len(n), len(k))

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(self.seconds)

    @cached_property
    def columns(self) -> dict[tuple[float, float], Floats]:
        """Kept here by `condsim.cost.tables`: seconds by rows [m] at an n and a k, computed once."""
        return {}


class Scatter(_Model):
    """Seconds at points that lie anywhere. dims: names of the coordinates; points [p][dims]; scales: how far, in natural logarithms of each
    coordinate, a measured time tells about another; noise: relative, of one measurement. `condsim.cost.tables` makes a function of it."""

    dims: list[str]
    points: list[list[NotNegative]]
    seconds: list[Positive]
    scales: list[Positive]
    noise: Positive
    uncertainty: NotNegative = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Scatter:
        if len(self.points) != len(self.seconds) or not self.points:
            raise ValueError(f"there must be a point for each of the {len(self.seconds)} seconds, got {len(self.points)}")
        if any(len(p) != len(self.dims) for p in self.points) or len(self.scales) != len(self.dims):
            raise ValueError(f"points and scales must have {len(self.dims)} numbers ({', '.join(self.dims)})")
        return self

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(self.seconds)

    @cached_property
    def fitted(self) -> dict[str, Any]:
        """Kept here by `condsim.cost.tables`: what it computes once from the points."""
        return {}


class Residency(_Model):
    """Extra seconds per byte of a weight that was evicted, by the bytes touched since its last use.

    distance: bytes, rising; small: extra seconds per byte of a weight that fits the private cache; large: of one that does not;
    spread: standard deviation of either. limit_bytes: up to which a weight is small.
    """

    distance: list[Positive]
    small: list[NotNegative]
    large: list[NotNegative]
    spread: list[NotNegative]
    limit_bytes: Positive

    @model_validator(mode="after")
    def _shape(self) -> Residency:
        _rising("distance", self.distance)
        for name in ("small", "large", "spread"):
            if len(getattr(self, name)) != len(self.distance):
                raise ValueError(f"{name} must have {len(self.distance)} numbers, one a distance")
        return self


class Among(_Model):
    """What an operator costs more after other operators than when it is repeated: its code and its branches must be found again.

    extra_s: by operator (a view's name ends in ".view"; "module_call" too), seconds when all others ran in between. distinct: how many different
    operators ran since its last call, itself included, rising; share: of extra_s, 0 to 1 or little more. other_s: of an operator that was not timed.
    """

    extra_s: dict[str, NotNegative]
    other_s: NotNegative
    distinct: list[Positive]
    share: list[NotNegative]
    uncertainty: NotNegative = 0.25

    @model_validator(mode="after")
    def _shape(self) -> Among:
        _rising("distinct", self.distinct)
        if len(self.share) != len(self.distinct):
            raise ValueError(f"share must have {len(self.distinct)} numbers, one a distinct")
        return self


def _rising(name: str, values: list[float]) -> None:
    if any(b <= a for a, b in itertools.pairwise(values)):
        raise ValueError(f"{name} must rise")


class HardwareProfile(_Model):
    """A device with its software.

    dtype: what a simulation uses unless it is told another ("fp32", "bf16", ...). runtime: how operators become kernels ("eager", ...). threads: host
    threads. fingerprint: of the machine that was calibrated, else None. matmul_efficiency: the share of peak_flops that a large matmul reaches.
    operators: curves by operator; matmuls: tables by matmul family; extra_s: constant seconds of a variant ("linear.bias"); all empty without a
    calibration.
    """

    name: str = Field(min_length=1)
    kind: Literal["cpu", "gpu", "tpu", "npu"]
    description: str
    dtype: str
    runtime: str
    threads: int = Field(default=1, ge=1)
    fingerprint: dict[str, str | int] | None = None
    peak_flops: dict[str, Quantity] = Field(min_length=1)
    matmul_efficiency: Quantity
    memory: dict[str, Level] = Field(min_length=1)
    host: Host
    power: Power
    format: int = FORMAT
    operators: dict[str, Curve] = Field(default_factory=dict)
    matmuls: dict[str, Grid | Scatter] = Field(default_factory=dict)
    extra_s: dict[str, NotNegative] = Field(default_factory=dict)
    residency: Residency | None = None
    among: Among | None = None

    @model_validator(mode="after")
    def _dtypes(self) -> HardwareProfile:
        if self.dtype not in self.peak_flops:
            raise ValueError(f"dtype must be one of peak_flops ({', '.join(self.peak_flops)}), got {self.dtype!r}")
        if self.format != FORMAT or (self.matmuls and "format" not in self.model_fields_set):
            raise ValueError("it was calibrated by another version of condsim; `condsim calibrate` makes it again")
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
            if isinstance(place[last], dict) and "basis" in place[last] and not isinstance(value, (dict, Quantity)):
                value = {"value": value, "basis": "estimated", "source": "what if", "uncertainty": 0.0}
            place[last] = value.model_dump() if isinstance(value, BaseModel) else value
        return _validated(data, f"profile {self.name}")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as YAML, under a temporary name first so that a reader never sees half a file."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            partial.write_text(yaml.dump(_compact(self.model_dump(exclude_none=True)), Dumper=_Dumper, sort_keys=False, width=160, allow_unicode=True))
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target


def load_profile(path: str | os.PathLike[str]) -> HardwareProfile:
    """Read a profile from YAML. Raises CondsimError: no such file, not YAML, or a field that breaks a rule."""
    file = Path(path)
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as e:
        raise CondsimError(f"cannot read the profile {file}: {e.strerror or e}") from None
    except UnicodeDecodeError:
        raise CondsimError(f"{file}: not a text file") from None
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise CondsimError(f"{file}: not valid YAML{where}: {getattr(e, 'problem', None) or 'cannot be parsed'}") from None
    if not isinstance(data, dict):
        raise CondsimError(f"{file}: a profile must be a mapping of fields, got {type(data).__name__}")
    return _validated(data, str(file))


def profiles() -> dict[str, Path]:
    """All profiles by name: those that come with condsim, then this user's calibrations."""
    found = {p.stem: p for p in sorted(resource("hwprofiles").glob("*.yaml"))}
    return {**found, **{p.stem: p for p in sorted(cache_folder().glob("*.yaml"))}}


def hardware(name_or_path: str | os.PathLike[str]) -> HardwareProfile:
    """A profile by its name (`condsim profiles`), by the path of a YAML file, or "this-machine": the calibration of the machine this runs on.

    Raises CondsimError for an unknown name (with the nearest ones) and for a file that breaks a rule.
    """
    text = os.fspath(name_or_path)
    if text == THIS_MACHINE:
        own = this_machine()
        if own is None:
            raise CondsimError("this machine has no calibrated profile yet; `condsim calibrate` (or condsim.calibrate()) makes one")
        return own
    if not isinstance(name_or_path, str) or text.endswith((".yaml", ".yml")) or "/" in text or os.sep in text:
        return load_profile(text)
    known = profiles()
    if text not in known:
        raise unknown("profile", text, [*known, THIS_MACHINE], "condsim profiles lists all")
    return load_profile(known[text])


def this_machine(threads: int = 1) -> HardwareProfile | None:
    """The newest calibration of this machine with so many threads and this torch, or None."""
    own = fingerprint(threads)
    for path in sorted(cache_folder().glob("*.yaml"), key=lambda p: p.stat().st_mtime, reverse=True):
        try:
            profile = load_profile(path)
        except CondsimError:
            continue
        if profile.fingerprint == own:
            return profile
    return None


def cache_folder() -> Path:
    """Where calibrations of this user are kept (it may not exist yet)."""
    return Path(user_cache_dir("condsim")) / "profiles"


def fingerprint(threads: int = 1) -> dict[str, str | int]:
    """What makes this machine this machine: CPU model, caches (bytes), threads used, torch version."""
    found: dict[str, str | int] = {"cpu": _cpu_model(), "threads": threads}
    for level, size in _caches().items():
        found[level] = size
    try:
        found["torch"] = metadata.version("torch")
    except metadata.PackageNotFoundError:
        found["torch"] = "none"
    return found


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    fields = {}
    for line in text.split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    model = fields.get("model name") or fields.get("Processor")
    if not model:
        import platform

        model = platform.processor() or platform.machine()
    numbers = " ".join(f"{short} {fields[key]}" for key, short in (("cpu family", "family"), ("model", "model")) if key in fields)
    return f"{model} ({numbers})" if numbers else model


def _caches() -> dict[str, int]:
    """Level name ("l1", "l2", ...) → bytes of the data caches of the first CPU."""
    found: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((index / f).read_text().strip() for f in ("type", "level", "size"))
        except OSError:
            continue
        number = re.fullmatch(r"(\d+)([KMG]?)", size)
        if kind != "Instruction" and number:
            found[f"l{level}"] = int(number[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[number[2]]
    return found


def _validated(data: Mapping[str, Any], where: str) -> HardwareProfile:
    try:
        return HardwareProfile.model_validate(data)
    except ValidationError as e:
        errors = e.errors()
        first = min(errors, key=lambda x: -len(x["loc"])) if len(errors) > 1 else errors[0]
        field = ".".join(str(part) for part in first["loc"] if part not in ("Grid", "Scatter")) or "profile"
        value = first["input"]
        rule = first["msg"].removeprefix("Value error, ")
        shown = "" if first["type"] == "missing" or isinstance(value, (dict, list)) else f" got {value!r}: "
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise CondsimError(f"{where}: {field}:{shown or ' '}{rule}{more}") from None


def _paths(data: Any, prefix: str = "") -> list[str]:
    """All dotted paths of nested mappings, quantities as leaves too."""
    found = []
    for key, value in data.items():
        found.append(prefix + key)
        if isinstance(value, dict) and len(found) < 500:
            found += _paths(value, f"{prefix}{key}.")
    return found


class _Flow(list[Any]):
    """A list that YAML writes on one line."""


class _FlowDict(dict[str, Any]):
    """A mapping that YAML writes on one line."""


_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _ProfileDumper(_Dumper):  # type: ignore[misc]
    """Numbers as Python writes them, so that a profile reads back the same."""


def _represent_float(dumper: Any, value: float) -> Any:
    text = repr(value)
    return dumper.represent_scalar("tag:yaml.org,2002:float", text if "e" not in text or "." in text else text.replace("e", ".0e"))


_ProfileDumper.add_representer(float, _represent_float)
_ProfileDumper.add_representer(_Flow, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True))
_ProfileDumper.add_representer(_FlowDict, lambda d, v: d.represent_mapping("tag:yaml.org,2002:map", v, flow_style=True))
_Dumper = _ProfileDumper


def _compact(value: Any) -> Any:
    """Lists of numbers and quantities on one line; whole floats as they are."""
    if isinstance(value, dict):
        plain = {k: _compact(v) for k, v in value.items() if v != {}}
        return _FlowDict(plain) if "basis" in plain else plain
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (list, tuple)):
            return [_compact(v) for v in value]
        return _Flow(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 1e6:
        return int(value)
    return value
