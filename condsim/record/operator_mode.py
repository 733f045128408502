"""A mode of PyTorch that hears every operator, without PyTorch's compiler."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class OperatorMode(TorchDispatchMode):
    """Hears every operator that runs inside it.

    PyTorch keeps its compiler away from what hears operators, and imports the compiler for that,
    which takes seconds. What runs here is eager.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell PyTorch that the compiler need not be kept away."""
        return False
