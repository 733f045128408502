"""Keys and values that are kept in another dtype than the arithmetic's: fewer bytes a position.

Attention unpacks them as it reads, so that the arithmetic is as before. Source: vLLM, option
`kv-cache-dtype`; TensorRT-LLM, `kv_cache_config.dtype`.
"""

from __future__ import annotations

from dataclasses import replace

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.program import Op, Program, Scope
from condsim.runtimes.runtime import SERVED, Runtime
from condsim.runtimes.served import ATTENTION, kept_storages

CACHE_DTYPES = {"fp8": "fp8", "int8": "int8", "bf16": "bfloat16", "fp16": "float16"}
"""Names → dtypes of tensors."""


NARROW = ("fp8", "int8")
"""Those that attention's kernels unpack, where a device has kernels that unpack them at all."""


def check_caches(dtype: str | None, runtime: Runtime, profile: HardwareProfile) -> None:
    """Raises CondsimError for a dtype that caches are not kept in, for a runtime that keeps them as
    the model does, and for a device without kernels that unpack them; None: not asked."""
    if dtype is None:
        return
    if dtype not in CACHE_DTYPES:
        known = ", ".join(CACHE_DTYPES)
        raise CondsimError(f"caches are kept in {known}, got {dtype!r}")
    if runtime.name != SERVED.name:
        raise CondsimError(
            f"caches={dtype!r} is for runtime {SERVED.name!r}: runtime {runtime.name!r} keeps keys "
            "and values as the model makes them"
        )
    if dtype in NARROW and dtype not in profile.weight_dtypes:
        raise CondsimError(
            f"profile {profile.name!r} has no kernels that unpack {dtype}, so none for caches in "
            "it; leave caches out"
        )


def cached(program: Program, dtype: str) -> Program:
    """Return a program, as it is served, whose caches are in a dtype of `CACHE_DTYPES`."""
    stored = CACHE_DTYPES[dtype]
    nodes = list(program.root.nodes)
    for place in kept_storages(program):
        op = nodes[place]
        assert isinstance(op, Op)
        outputs = tuple(replace(tensor, dtype=stored) for tensor in op.outputs)
        allocs = tuple((size, stored) for size, _ in op.allocs)
        nodes[place] = replace(op, outputs=outputs, allocs=allocs)
    for place, node in enumerate(nodes):
        if isinstance(node, Op) and node.name == ATTENTION:
            query, cache = node.inputs
            nodes[place] = replace(node, inputs=(query, replace(cache, dtype=stored)))
    return replace(program, root=Scope(tuple(nodes), program.root.frees))
