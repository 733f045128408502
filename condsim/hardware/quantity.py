"""A number with where it comes from, and what the other parts of a profile are made of."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Basis = Literal["measured", "calibrated", "sourced", "estimated"]
UNCERTAINTY: dict[Basis, float] = {
    "measured": 0.05,
    "calibrated": 0.05,
    "sourced": 0.10,
    "estimated": 0.30,
}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Floats = npt.NDArray[np.float64]


class Model(BaseModel):
    """Frozen, and knows all of its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Quantity(Model):
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


def rising(name: str, values: list[float]) -> None:
    """Raises ValueError unless each value is larger than the one before."""
    if any(b <= a for a, b in itertools.pairwise(values)):
        raise ValueError(f"{name} must rise")
