"""How a step runs with weights of which some are not there.

None has guards: the sizes of its operators follow the weights that are there, by extents of the
step (`condsim.steps.patterns`).
"""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.strategies.strategy import STRATEGIES, WEIGHTS, Strategy

# Weights that are not there are zeros of a dense matrix, as most frameworks have them.
STRATEGIES.register("masked")(Strategy("masked", (WEIGHTS,)))

# Only rows and columns that hold a weight are multiplied, as a smaller dense matrix.
STRATEGIES.register("rows")(Strategy("rows", (WEIGHTS,), shapes="any"))

# Compressed sparse rows, by PyTorch's sparse products and their autograd.
STRATEGIES.register("csr")(
    Strategy(
        "csr",
        (WEIGHTS,),
        needs=(abilities.SPARSE_PRODUCTS,),
        shapes="any",
        tables=("csr_mm", "csc_mm", "csr_sparse_mask"),
    )
)

# The same, with gradients only of the weights that are there: a backward of its own.
STRATEGIES.register("csr_sampled")(
    Strategy(
        "csr_sampled",
        (WEIGHTS,),
        needs=(abilities.SPARSE_PRODUCTS,),
        shapes="any",
        tables=("csr_mm", "csr_sparse_sampled_addmm"),
    )
)
