"""trace.json: which sites a model has, what was captured, and how the trace came to be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS, Mechanism
from condsim.program.accumulation import MOST_MICRO_BATCHES
from condsim.untrusted import Name, Text

SCHEMA_VERSION = 2

DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}
"""torch's names of dtypes → those of profiles."""

MOST_SITES = 4096
MOST_BRANCHES = 1 << 16
"""Of one site."""
MOST_NOTES = 200
MOST_WINDOWS = 100
MOST_PHASES = 8


Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Flops = Annotated[float, Field(strict=True, ge=0, le=1e18, allow_inf_nan=False)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Rows = Annotated[Whole, Field(ge=0, le=1 << 31)]
Parameters = Annotated[Whole, Field(ge=0, le=10**16)]

Count = TypeVar("Count", int, np.ndarray)


def file_name(site: str) -> str:
    """Return a site's name as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", site)


def drafts_column(exit: str) -> str:
    """Return the column of a trace's quality that says of each step of a sequence whether an exit
    gives the token that all layers give, 1 or 0."""
    return f"drafts@{exit}"


class UnitRows(BaseModel):
    """Rows that a unit has at a site: `a_position` for each of its positions, and `a_unit` more.

    a_step: rows that a step has, whatever its units are: the outputs of a weight that is pruned.
    They are kept with its first unit.
    A layer of experts in a language model sees (1, 0); one that comes after a class token, (1, 1).
    An exit for whole images sees (0, 1); a layer of experts on an image of 8 x 8 patches, (0, 64).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    a_position: Rows = 0
    a_unit: Rows = 1
    a_step: Rows = Field(default=0, exclude_if=lambda rows: rows == 0)

    @model_validator(mode="after")
    def _at_least_one(self) -> UnitRows:
        if self.a_position + self.a_unit + self.a_step < 1:
            raise ValueError("a unit or a step must have at least one row")
        return self

    def of(self, positions: Count) -> Count:
        """Return the rows of units with so many positions."""
        return self.a_position * positions + self.a_unit


ONE_A_UNIT = UnitRows(a_position=0, a_unit=1)
ONE_A_POSITION = UnitRows(a_position=1, a_unit=0)


class Site(BaseModel):
    """Where rows choose.

    encoding: how decisions are stored: "ids" (int [rows, k] or [rows]), "depth" (one number for a
        chain of nested exits; `level` is the place of this exit) or "bits" (packed).
    stored: the file of its decisions; its name where nothing else is said.
    scope: what one decision is about: a row, a sequence or the whole batch; or the weights of a
        step, whatever its batch is.
    unit_rows: the rows that a unit has here where nothing was dropped before.
    parents: the guards that it stands behind.
    drops: rows that reach it may be sent nowhere, for want of room: id -1.
    phases: those that it decides in, where it does not in all: an encoder does nothing while tokens
        are decoded.
    branch_flops: logical FLOPs that a row costs in each branch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Name
    mechanism: Name
    branches: Whole = Field(ge=1, le=MOST_BRANCHES)
    top_k: Whole | None = Field(default=None, ge=1)
    encoding: Literal["ids", "depth", "bits"] = "ids"
    stored: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$", max_length=200)
    level: Whole = Field(default=0, ge=0, le=MOST_SITES)
    scope: Literal["row", "sequence", "batch", "step"] = "row"
    unit_rows: UnitRows = ONE_A_UNIT
    parents: tuple[tuple[Name, Whole], ...] = Field(default=(), max_length=MOST_SITES)
    phases: tuple[Name, ...] = Field(
        default=(), max_length=MOST_PHASES, exclude_if=lambda phases: not phases
    )
    drops: Flag = Field(default=False, exclude_if=lambda drops: not drops)
    has_weights: Flag = False
    has_scores: Flag = False
    branch_flops: tuple[Flops, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, fields: Any) -> Any:
        """Read what older files say: whether rows are positions."""
        if not isinstance(fields, dict) or "per_position" not in fields:
            return fields
        known = dict(fields)
        per_position = known.pop("per_position")
        rows = ONE_A_POSITION if per_position else ONE_A_UNIT
        known.setdefault("unit_rows", rows)
        return known

    @model_validator(mode="before")
    @classmethod
    def _name_the_file(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and not fields.get("stored"):
            return fields | {"stored": file_name(str(fields.get("name", "")))}
        return fields

    @field_validator("mechanism")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            MECHANISMS[name]
        except CondsimError as error:
            raise ValueError(str(error)) from None
        return name

    @model_validator(mode="after")
    def _fields_belong_together(self) -> Site:
        routing = self.routing
        if self.top_k is not None and not routing.mixes_experts:
            raise ValueError(f"top_k belongs to a mixture of experts, not to {self.mechanism}")
        if self.top_k is not None and self.top_k > self.branches:
            raise ValueError(f"top_k {self.top_k} is more than the {self.branches} branches")
        if (self.encoding == "bits") != (routing.encoding == "bits"):
            raise ValueError(f"decisions of {self.mechanism} are not stored as {self.encoding}")
        if self.encoding == "depth" and not (routing.leaves and self.branches == 2):
            raise ValueError("depth is for exits, which have 2 branches")
        if len(self.branch_flops) not in (0, self.branches):
            raise ValueError(
                f"branch_flops must have {self.branches} numbers, one a branch, "
                f"got {len(self.branch_flops)}"
            )
        return self

    @property
    def routing(self) -> Mechanism:
        """What the site's mechanism says of its decisions."""
        return MECHANISMS[self.mechanism]

    def rows_of_units(self, phases: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the rows that a unit has here in some steps, int [steps]; 0 in a phase in which
        nothing is decided. phases, positions: of the steps, [steps]."""
        rows = self.unit_rows.of(positions)
        if not self.phases:
            return rows
        return np.where(np.isin(phases, self.phases), rows, 0)


class Provenance(BaseModel):
    """How a trace came to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: Name
    spec: Text | None = None
    command: Text | None = None
    taken: Name
    versions: Mapping[Name, Name]
    machine: Mapping[Name, Text | int | float] | None = None
    dtype: Name = "float32"
    parameters: Parameters = 0
    parameter_bytes: Parameters = 0
    quality_name: Text | None = None
    higher_is_better: Flag = True


class Header(BaseModel):
    """What a trace says of itself.

    captured: mechanism → the strategy that the model itself runs.
    costliest: site → its branch of the most FLOPs, where rows take one of several.
    thresholds: those that decided.
    windows: positions that layers see which attend to the last ones only, each number once.
    accumulate: micro-batches of a training step, each of which is a step of the table.
    has_programs, has_decisions: a trace of recorded routing has no programs, and a model that was
        never run has no decisions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: Whole = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    name: Name
    sites: tuple[Site, ...] = Field(max_length=MOST_SITES)
    captured: Mapping[Name, Name]
    costliest: Mapping[Name, Whole] = {}
    thresholds: Mapping[Name, Finite] = {}
    windows: tuple[Annotated[Whole, Field(ge=1, le=1 << 31)], ...] = Field(
        default=(), max_length=MOST_WINDOWS
    )
    notes: tuple[Text, ...] = Field(default=(), max_length=MOST_NOTES)
    accumulate: Annotated[
        Whole,
        Field(ge=1, le=MOST_MICRO_BATCHES, exclude_if=lambda micro_batches: micro_batches == 1),
    ] = 1
    has_programs: Flag = True
    has_decisions: Flag = True
    provenance: Provenance

    @field_validator("sites")
    @classmethod
    def _apart(cls, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        """Sites have names of their own, and only the exits of one chain share a file."""
        names: set[str] = set()
        in_file: dict[str, list[Site]] = {}
        for site in sites:
            if site.name in names:
                raise ValueError(f"two sites are called {site.name!r}")
            names.add(site.name)
            in_file.setdefault(site.stored, []).append(site)
        for stored, members in in_file.items():
            _check_chain(stored, members)
        return sites

    @model_validator(mode="after")
    def _references(self) -> Header:
        sites = {site.name: site for site in self.sites}
        for name, choice in self._named_choices():
            if name not in sites:
                raise ValueError(f"there is no site {name!r}")
            if not 0 <= choice < sites[name].branches:
                raise ValueError(f"site {name!r} has no branch {choice}")
        return self

    def _named_choices(self) -> Iterator[tuple[str, int]]:
        """(site, branch) wherever the header names one."""
        yield from self.costliest.items()
        for site in self.sites:
            yield from site.parents


def _check_chain(stored: str, members: list[Site]) -> None:
    """Raises ValueError unless sites that share a file are one chain of exits."""
    first, *others = members
    if others and any(site.encoding != "depth" for site in members):
        raise ValueError(
            f"sites {first.name!r} and {others[0].name!r} are stored in one file, {stored!r}"
        )
    if first.encoding != "depth":
        return
    if sorted(site.level for site in members) != list(range(len(members))):
        raise ValueError(f"the levels of the exits in {stored!r} must be 0, 1, 2, ..., each once")
    if any(site.unit_rows != first.unit_rows for site in others):
        raise ValueError(f"the exits in {stored!r} must have as many rows as each other")
