"""How sure the seconds of a GPU's products are."""

import condsim
from condsim.cost.gpu.device import UNCERTAINTY_OF_PRODUCTS
from condsim.hardware.quantity import UNCERTAINTY
from condsim.resources import resource


def test_products_are_as_sure_as_measured_ones_were() -> None:
    trace = condsim.load(resource("traces") / "moe-bytes")
    predicted = condsim.simulate(trace, "nvidia-h100-sxm", "fused")
    assert predicted.sources is not None
    uncertainty = predicted.sources.spread.uncertainty
    assert {name: uncertainty[name] for name in UNCERTAINTY_OF_PRODUCTS} == UNCERTAINTY_OF_PRODUCTS
    assert uncertainty["mul"] == UNCERTAINTY["estimated"]


def test_other_devices_keep_their_own() -> None:
    trace = condsim.load(resource("traces") / "moe-bytes")
    predicted = condsim.simulate(trace, "raspberry-pi-5")
    assert predicted.sources is not None
    assert predicted.sources.spread.uncertainty["linear"] == UNCERTAINTY["estimated"]
