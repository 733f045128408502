"""trace.json: which sites a model has, what was captured, and how the trace came to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS, Mechanism

SCHEMA_VERSION = 2

DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}
"""torch's names of dtypes → those of profiles."""


class Site(BaseModel):
    """Where rows choose.

    encoding: how decisions are stored: "ids" (int [rows, k] or [rows]), "depth" (one number for a
        chain of nested exits; `level` is the place of this exit) or "bits" (packed).
    stored: the file of its decisions.
    scope: what one decision is about: a row, a sequence or the whole batch.
    per_position: its rows are positions of sequences, not units.
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
    per_position: bool = False
    parents: tuple[tuple[str, int], ...] = ()
    has_weights: bool = False
    has_scores: bool = False
    branch_flops: tuple[float, ...] = ()

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
