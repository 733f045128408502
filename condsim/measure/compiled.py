"""A model under torch.compile, with its sites: marks and adapters are not traced, so that a graph ends before each and the next begins after it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch

from condsim.errors import CondsimError

VERSIONS = 64
"""Of the code of one function: each size that is special, and each strategy, is another."""


@functools.cache
def _untraced() -> None:
    torch._dynamo.trace_rules.add("condsim.capture")


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """What is compiled inside may have VERSIONS of each function; afterwards none is kept. Raises CondsimError where a model cannot be compiled."""
    import torch._dynamo
    from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException
    from torch._inductor import config

    _untraced()
    many = torch._dynamo.config.patch(
        recompile_limit=VERSIONS, accumulated_recompile_limit=VERSIONS**2
    )
    try:
        with many, config.patch(compile_threads=1):
            yield
    except (BackendCompilerFailed, TorchDynamoException) as e:
        raise CondsimError(
            f"torch.compile failed: {str(e).strip().splitlines()[0]}; measure without --runtime compiled"
        ) from e
    finally:
        torch._dynamo.reset()


def compiled(model: torch.nn.Module) -> torch.nn.Module:
    """The model, to be compiled when it is called."""
    return torch.compile(model)  # type: ignore[return-value]
