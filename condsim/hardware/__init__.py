"""A device as data: one YAML file, read by one model, every number with where it comes from."""

from condsim.hardware.find import (
    THIS_MACHINE,
    cache_folder,
    hardware,
    load_profile,
    profiles,
    readable,
    this_machine,
)
from condsim.hardware.gpu import Gpu, Tile
from condsim.hardware.machine import UNDISTURBED, fingerprint
from condsim.hardware.profile import FORMAT, HardwareProfile, Host, Level, Power
from condsim.hardware.quantity import UNCERTAINTY, Basis, Floats, NotNegative, Positive, Quantity
from condsim.hardware.self_check import CheckedCase, Errors, SelfCheck
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

__all__ = [
    "FORMAT",
    "THIS_MACHINE",
    "UNCERTAINTY",
    "UNDISTURBED",
    "Activations",
    "Among",
    "Basis",
    "CheckedCase",
    "Cold",
    "Companion",
    "Curve",
    "Errors",
    "Floats",
    "Gpu",
    "Graphs",
    "Grid",
    "HardwareProfile",
    "Host",
    "Level",
    "Looped",
    "Matrix",
    "NotNegative",
    "Positive",
    "Power",
    "Quantity",
    "Residency",
    "Scatter",
    "SelfCheck",
    "Tile",
    "cache_folder",
    "fingerprint",
    "hardware",
    "load_profile",
    "profiles",
    "readable",
    "this_machine",
]
