"""What a class of devices is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from condsim.registry import Registry


@dataclass(frozen=True)
class DeviceClass:
    """A class of devices: what is the same for every device in it.

    name: what profiles say in `kind`.
    label: its name in a sentence ("GPU").
    priced_as: which device model (`condsim.cost`) prices its operators as they are issued; devices
        that run prepared graphs have one in common.
    offers: what its hardware and its software can do (`condsim.hardware.abilities`).
    is_host: whether it runs the code that issues its operators, so that there is one clock.
    required_blocks: of a profile, without which no device of the class can be priced.
    own_blocks: of a profile, which no other class has.
    torch_device: what `--device` of commands that time the device calls it; "": none can.
    """

    name: str
    label: str
    priced_as: str
    offers: frozenset[str] = frozenset()
    is_host: bool = False
    required_blocks: tuple[str, ...] = ()
    own_blocks: tuple[str, ...] = ()
    torch_device: str = ""

    def has_all(self, needs: Collection[str]) -> bool:
        """Return whether it offers all that a strategy or a runtime needs."""
        return self.offers.issuperset(needs)


DEVICE_CLASSES: Registry[DeviceClass] = Registry("class of devices")


def device_class(entry: DeviceClass) -> DeviceClass:
    """Register a class of devices by its name."""
    return DEVICE_CLASSES.register(entry.name)(entry)


def classes_with(needs: Collection[str]) -> list[str]:
    """Return the names of the classes that offer all of `needs`."""
    return [name for name, entry in DEVICE_CLASSES.items() if entry.has_all(needs)]
