"""Which device has kernels for which dtype of weights and of caches, and one line where it has
not."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.predict.choose import check_weights
from condsim.runtimes import choose_runtime
from condsim.runtimes.caches import CACHE_DTYPES, check_caches
from condsim.runtimes.quantised import WEIGHT_DTYPES

UNPACKED = {"fp8", "int8", "int4", "mxfp4"}
WEIGHTS = {
    "nvidia-v100-sxm2": set(),
    "nvidia-a100-sxm-80gb": UNPACKED,
    "nvidia-a10g": UNPACKED,
    "nvidia-l40s": UNPACKED | {"fp8_block"},
    "nvidia-h100-sxm": UNPACKED | {"fp8_block"},
    "nvidia-h200-sxm": UNPACKED | {"fp8_block"},
    "nvidia-b200": UNPACKED | {"fp8_block", "mxfp4_mxfp8"},
    "google-tpu-v5e": set(),
    "google-edge-tpu": set(),
    "raspberry-pi-5": set(),
    "amd-epyc-9655": set(),
}
"""Device → the dtypes of weights that its runtimes have kernels for."""


@pytest.mark.parametrize("device", WEIGHTS)
@pytest.mark.parametrize("dtype", list(WEIGHT_DTYPES))
def test_weights_run_where_kernels_are(device: str, dtype: str) -> None:
    profile = hardware(device)
    if dtype in WEIGHTS[device]:
        check_weights(profile, dtype)
        return
    with pytest.raises(CondsimError) as refused:
        check_weights(profile, dtype)
    said = str(refused.value)
    assert device in said
    assert dtype in said
    assert "\n" not in said


@pytest.mark.parametrize("device", WEIGHTS)
@pytest.mark.parametrize("dtype", list(CACHE_DTYPES))
def test_caches_are_kept_where_kernels_unpack_them(device: str, dtype: str) -> None:
    profile = hardware(device)
    served = profile.kind == "gpu"
    runtime = choose_runtime("served" if served else None, profile)
    if served and (dtype in ("bf16", "fp16") or dtype in WEIGHTS[device]):
        check_caches(dtype, runtime, profile)
        return
    with pytest.raises(CondsimError, match="unpack" if served else "is for runtime"):
        check_caches(dtype, runtime, profile)
