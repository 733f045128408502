"""A number with where it comes from, and what the other parts of a profile are made of."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from condsim.untrusted import Text

Basis = Literal["measured", "calibrated", "sourced", "estimated"]
UNCERTAINTY: dict[Basis, float] = {
    "measured": 0.05,
    "calibrated": 0.05,
    "sourced": 0.10,
    "estimated": 0.30,
}
"""Relative uncertainty of a figure by how it was found, one standard deviation."""

SMALLEST, LARGEST = 1e-18, 1e24
"""No figure of a device in SI units is outside, and no product of a few of them is infinite."""
MOST_UNCERTAINTY = 5.0

Positive = Annotated[float, Field(gt=SMALLEST, le=LARGEST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Uncertainty = Annotated[float, Field(ge=0, le=MOST_UNCERTAINTY, allow_inf_nan=False)]
Floats = npt.NDArray[np.float64]


class Model(BaseModel):
    """Frozen, and knows all of its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values. What was worked out of the old ones is left behind."""
        copied = super().model_copy(update=update, deep=deep)
        held = vars(copied)
        for name in held.keys() - type(self).model_fields.keys():
            del held[name]
        return copied


class Quantity(Model):
    """A positive number in SI units.

    basis: how it was found. source: where it is from, or why it is estimated so. uncertainty:
    relative, one standard deviation; None: what the basis says (`UNCERTAINTY`).
    """

    value: Positive
    basis: Basis
    source: Text = ""
    uncertainty: Uncertainty | None = None

    def __float__(self) -> float:
        return self.value

    @property
    def relative(self) -> float:
        """The relative uncertainty."""
        return UNCERTAINTY[self.basis] if self.uncertainty is None else self.uncertainty


def within(name: str, quantity: Quantity, least: float, most: float) -> None:
    """Raises ValueError for a value below `least` or above `most`."""
    if not least <= quantity.value <= most:
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {quantity.value:g}")


def rising(name: str, values: list[float]) -> None:
    """Raises ValueError unless each value is larger than the one before."""
    if any(b <= a for a, b in itertools.pairwise(values)):
        raise ValueError(f"{name} must rise")
