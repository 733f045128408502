"""trace.json: which sites a model has, what was captured, and how the trace came to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS, Mechanism

SCHEMA_VERSION = 2

DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}
"""torch's names of dtypes → those of profiles."""


Count = TypeVar("Count", int, np.ndarray)


def file_name(site: str) -> str:
    """Return a site's name as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", site)


class UnitRows(BaseModel):
    """Rows that a unit has at a site: `a_position` for each of its positions, and `a_unit` more.

    A layer of experts in a language model sees (1, 0); one that comes after a class token, (1, 1).
    An exit for whole images sees (0, 1); a layer of experts on an image of 8 x 8 patches, (0, 64).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    a_position: int = Field(default=0, ge=0)
    a_unit: int = Field(default=1, ge=0)

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
    scope: what one decision is about: a row, a sequence or the whole batch.
    unit_rows: the rows that a unit has here where nothing was dropped before.
    parents: the guards that it stands behind.
    branch_flops: logical FLOPs that a row costs in each branch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    mechanism: str
    branches: int = Field(ge=1)
    top_k: int | None = None
    encoding: Literal["ids", "depth", "bits"] = "ids"
    stored: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    level: int = 0
    scope: Literal["row", "sequence", "batch"] = "row"
    unit_rows: UnitRows = ONE_A_UNIT
    parents: tuple[tuple[str, int], ...] = ()
    has_weights: bool = False
    has_scores: bool = False
    branch_flops: tuple[float, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, fields: Any) -> Any:
        """Read what older files say: whether rows are positions."""
        if not isinstance(fields, dict) or "per_position" not in fields:
            return fields
        known = dict(fields)
        per_position = known.pop("per_position")
        known.setdefault("unit_rows", ONE_A_POSITION if per_position else ONE_A_UNIT)
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

    @property
    def routing(self) -> Mechanism:
        """What the site's mechanism says of its decisions."""
        return MECHANISMS[self.mechanism]


class Provenance(BaseModel):
    """How a trace came to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    spec: str | None = None
    command: str | None = None
    taken: str
    versions: Mapping[str, str]
    machine: Mapping[str, Any] | None = None
    dtype: str = "float32"
    parameters: int = 0
    parameter_bytes: int = 0
    quality_name: str | None = None
    higher_is_better: bool = True


class Header(BaseModel):
    """What a trace says of itself.

    captured: mechanism → the strategy that the model itself runs.
    costliest: site → its branch of the most FLOPs, where rows take one of several.
    thresholds: those that decided.
    has_programs, has_decisions: a trace of recorded routing has no programs, and a model that was
        never run has no decisions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int = SCHEMA_VERSION
    name: str
    sites: tuple[Site, ...]
    captured: Mapping[str, str]
    costliest: Mapping[str, int] = {}
    thresholds: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()
    has_programs: bool = True
    has_decisions: bool = True
    provenance: Provenance

    @field_validator("sites")
    @classmethod
    def _files_apart(cls, sites: tuple[Site, ...]) -> tuple[Site, ...]:
        """Only the exits of one chain share a file of decisions."""
        name_of_file: dict[str, str] = {}
        for site in sites:
            other = name_of_file.setdefault(site.stored, site.name)
            if other != site.name and site.encoding != "depth":
                raise ValueError(
                    f"sites {other!r} and {site.name!r} are stored in one file, {site.stored!r}"
                )
        return sites
