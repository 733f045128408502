"""A GPU that computes in one dtype: what every effect needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Level
from condsim.hardware.gpu import Gpu


@dataclass(frozen=True, slots=True)
class Quantised:
    """A product whose activations are made narrow for it.

    row_itemsize: bytes of an element of its activations before that, and of its results.
    scaled_depth: elements of depth whose sum is scaled outside of the tensor cores; 0: none is.
    """

    row_itemsize: int
    scaled_depth: int


@dataclass(frozen=True, slots=True)
class GpuRates:
    """A GPU and the dtype of its arithmetic.

    itemsize: bytes of one element of that dtype. weight_itemsize: of what a product has as its
    second operand. quantised: what its activations and sums take, where they are not its dtype.
    fabric: that links it to other ranks; None for that of the device.
    by_tma: whether the kernel copies operands by TMA, where the device has it.
    """

    profile: HardwareProfile
    dtype: str
    itemsize: int
    weight_itemsize: float
    quantised: Quantised | None = None
    by_tma: bool = True
    fabric: str | None = None

    @property
    def result_itemsize(self) -> int:
        """Bytes of one element of a product's results."""
        return self.quantised.row_itemsize if self.quantised else self.itemsize

    @property
    def gpu(self) -> Gpu:
        """What makes it a GPU."""
        assert self.profile.gpu is not None
        return self.profile.gpu

    @property
    def l2(self) -> Level:
        """The L2 cache. Raises CondsimError where the profile has none."""
        return l2_of(self.profile)

    @property
    def dram_bytes_per_s(self) -> float:
        """What a long stream from DRAM reaches."""
        return self.profile.dram.bandwidth.value * self.gpu.dram_fraction.value

    @property
    def peak_flops_per_s(self) -> float:
        """The data sheet's rate of arithmetic."""
        return self.profile.peak_flops[self.dtype].value

    @property
    def reached_flops_per_s(self) -> float:
        """The rate of arithmetic that a large matmul reaches."""
        share = self.gpu.matmul_efficiencies.get(self.dtype, self.profile.matmul_efficiency)
        return self.peak_flops_per_s * share.value


def l2_of(profile: HardwareProfile) -> Level:
    """The L2 cache of a GPU. Raises CondsimError where the profile has none."""
    if "l2" not in profile.memory:
        raise CondsimError(f"profile {profile.name!r}: a GPU needs memory.l2 (bytes, bandwidth)")
    return profile.memory["l2"]
