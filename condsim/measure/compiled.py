"""A model under torch.compile.

Marks and adapters are not traced, so a graph ends before each site, and the next begins after it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch

from condsim.errors import CondsimError

UNTRACED = ("condsim.live", "condsim.mechanisms", "condsim.record", "condsim.registry")
"""What runs between the graphs: marks, adapters, and what they call."""
VERSIONS = 64
"""Of one function, how many compiled versions are kept: each special size makes one, and each
strategy."""


@functools.cache
def leave_sites_untraced() -> None:
    """Tell torch.compile, once in a process, not to trace what decides and what selects rows."""
    for name in UNTRACED:
        torch._dynamo.trace_rules.add(name)


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """What is compiled inside may have VERSIONS of each function; afterwards none is kept.

    Raises CondsimError where a model cannot be compiled.
    """
    import torch._dynamo
    from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException
    from torch._inductor import config

    leave_sites_untraced()
    many_versions = torch._dynamo.config.patch(
        recompile_limit=VERSIONS, accumulated_recompile_limit=VERSIONS**2
    )
    try:
        with many_versions, config.patch(compile_threads=1):
            yield
    except (BackendCompilerFailed, TorchDynamoException) as error:
        reason = str(error).strip().splitlines()[0]
        raise CondsimError(
            f"torch.compile failed: {reason}; measure without --runtime compiled"
        ) from error
    finally:
        torch._dynamo.reset()


def compiled(model: torch.nn.Module) -> torch.nn.Module:
    """The model, to be compiled when it is called."""
    return torch.compile(model)  # type: ignore[return-value]
