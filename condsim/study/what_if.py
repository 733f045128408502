"""What if a number of the device were another one: paths of a profile's numbers, and factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Quantity

TABLES = {
    "operators",
    "matmuls",
    "extra_s",
    "residency",
    "activations",
    "among",
    "cold",
    "looped",
    "self_check",
}
"""Fields of a profile that are measured times, which hold no number of the device."""


def paths_of_numbers(profile: HardwareProfile) -> list[str]:
    """Return the path of each number of a profile, "memory.dram.bandwidth" among them."""
    return list(_paths(profile.model_dump(exclude=TABLES)))


def number_at(profile: HardwareProfile, path: str) -> Quantity:
    """Return the number at a path. Raises CondsimError where the profile has none."""
    found: Any = profile
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
    if not isinstance(found, Quantity):
        raise CondsimError(f"profile {profile.name!r} has no number {path}")
    return found


def _paths(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in data.items():
        if not isinstance(value, Mapping):
            continue
        if "basis" in value and "value" in value:
            yield prefix + name
        else:
            yield from _paths(value, f"{prefix}{name}.")


def scaled(profile: HardwareProfile, factors: Mapping[str, float]) -> HardwareProfile:
    """Return the profile with some numbers multiplied.

    factors: path of a number → what it is multiplied by; 1 leaves it as it is. What is changed
    counts as estimated, and keeps its uncertainty. Raises CondsimError for a number that the
    profile does not have.
    """
    changed = {}
    for path, factor in factors.items():
        if factor != 1.0:
            changed[path] = _times(number_at(profile, path), factor)
    return profile.replace(**changed) if changed else profile


def _times(number: Quantity, factor: float) -> Quantity:
    """A number, `factor` times as large, as an estimate that is known as well as it was."""
    return Quantity(
        value=number.value * factor,
        basis="estimated",
        source=f"what if x{factor:g}",
        uncertainty=number.relative,
    )
