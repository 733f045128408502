"""Fabrics: nodes and the links between their devices, as data; every figure with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile
from condsim.hardware.quantity import Model, Quantity
from condsim.hardware.text import read, validated
from condsim.resources import resource
from condsim.untrusted import Name, Text, check_path

MOST_DEVICES = 1 << 16


class Way(Model):
    """A way to send something: seconds of nothing, and bytes a second."""

    start: Quantity
    bandwidth: Quantity


class Large(Model):
    """How messages travel that are large enough for it: `start` seconds more, at another rate."""

    start: Quantity
    bandwidth: Quantity


class Link(Model):
    """What one device sends over, and takes in over, at once.

    start: seconds of an exchange of no bytes. bandwidth: bytes a second one way that an exchange
    among all reaches. hop: seconds of each message more where one waits for another, as in a ring.
    large: how large messages travel, where that is another way.
    """

    start: Quantity
    bandwidth: Quantity
    hop: Quantity | None = None
    large: Large | None = None

    def moving_s(self, moved: np.ndarray) -> np.ndarray:
        """Return the seconds that bytes take beyond `start`, float like `moved`."""
        seconds: np.ndarray = moved / self.bandwidth.value
        if self.large is None:
            return seconds
        at_once = self.large.start.value + moved / self.large.bandwidth.value
        fastest: np.ndarray = np.minimum(seconds, at_once)
        return fastest


class AllReduce(Model):
    """Ways in which serving engines add up the buffers of ranks.

    one_shot: each rank reads those of all others. two_shot: each adds up its part, and reads the
    others' sums. many: that of large buffers, through the switch.
    """

    one_shot: Way
    two_shot: Way
    many: Way


class Fabric(Model):
    """Devices and the links between them.

    devices: profiles that are linked so. node: devices of a node. inside: links in a node.
    between: links between nodes, of each device; None where there is one node only.
    all_reduce: of serving engines, in a node; None: a ring does it.
    exchanges: phase → how tokens are sent to their experts (`condsim.parallel.exchanges`).
    """

    name: Name
    description: Text
    devices: tuple[Name, ...] = ()
    node: int = Field(ge=1, le=MOST_DEVICES)
    inside: Link
    between: Link | None = None
    all_reduce: AllReduce | None = None
    exchanges: dict[Name, Name] = Field(default_factory=dict)

    def slowest(self, ranks: int) -> Link:
        """Return the link that a ring of so many ranks waits for."""
        if self.nodes(ranks) == 1 or self.between is None:
            return self.inside
        return self.between

    def nodes(self, ranks: int) -> int:
        """Return how many nodes so many ranks take. Raises CondsimError where there is no link
        between nodes, and where a node would be part full."""
        count = -(-ranks // self.node)
        if count == 1:
            return 1
        if self.between is None:
            raise CondsimError(
                f"parallel: fabric {self.name!r} links {self.node} devices, got {ranks} ranks; "
                "name a fabric that links nodes"
            )
        if ranks % self.node:
            raise CondsimError(
                f"parallel: {ranks} ranks fill no whole number of nodes of {self.node} devices "
                f"(fabric {self.name!r})"
            )
        return count


def fabrics() -> dict[str, Path]:
    """Return all fabrics that come with condsim, by name."""
    folder = resource("hwprofiles") / "fabrics"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def fabric(name_or_path: str) -> Fabric:
    """Return a fabric, by name or by the path of a YAML file.

    Raises CondsimError for an unknown name and for a file that breaks a rule.
    """
    known = fabrics()
    if name_or_path.endswith((".yaml", ".yml")):
        return _load(check_path(name_or_path, "a fabric"))
    if name_or_path not in known:
        raise unknown("fabric", name_or_path, known)
    return _load(known[name_or_path])


def fabric_of(profile: HardwareProfile, name: str | None) -> Fabric:
    """Return the fabric that links devices of a profile. name: None for the one that names them.

    Raises CondsimError for a device that no fabric links.
    """
    if name is not None:
        return fabric(name)
    for file in fabrics().values():
        found = _load(file)
        if profile.name in found.devices:
            return found
    listed = ", ".join(fabrics())
    raise CondsimError(
        f"parallel: no fabric links devices of profile {profile.name!r}; name one with fabric= "
        f"({listed})"
    )


def _load(file: Path) -> Fabric:
    fields: Any = read(file, "fabric")
    return validated(Fabric, fields, str(file))
