"""What each operator computes: shapes → sizes of the matmul inside, and FLOPs.

One registry, one short function an operator, in the files of `condsim.program.formulas`. The
functions take shapes whose entries are ints or int arrays [n] (n: rows of a table), and return
`Work` of the same form. FLOPs count a multiply and an add as two. An operator that is not
registered moves its inputs and outputs and computes nothing of note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.registry import Registry

Shape = tuple[Any, ...]
Params = tuple[int, ...]

GROUPED = ("_grouped_mm", "fused_moe_mm", "trtllm_gen_mm", "grouped_mm_fallback")
"""Operators that multiply the rows of all experts of a site at once."""
MATMULS = ("linear", "bmm", "grouped_mm", "conv2d", "attention")
"""Families of operators that are matmuls."""


@dataclass(frozen=True)
class Work:
    """The matmul inside an operator: `groups` products of [m, k] and [k, n].

    family: which matmul it is, one of `MATMULS`; of any other operator its own name.
    m, n, k: sizes of the product; 0 where there is none.
    groups: number of products; of a grouped matmul the number of weights, which share the m rows.
    flops: a multiply and an add count two.
    """

    family: str
    m: Any = 0
    n: Any = 0
    k: Any = 0
    groups: Any = 1
    flops: Any = 0

    def at(self, rows: slice | np.ndarray) -> Work:
        """Return the work of some rows of the table; a number is the same for all."""
        sizes = [self.m, self.n, self.k, self.groups, self.flops]
        chosen = [size[rows] if np.ndim(size) else size for size in sizes]
        return Work(self.family, *chosen)


Formula = Callable[[list[Shape], list[Shape], Params], Work]
OPERATORS: Registry[Formula] = Registry("operator")


def work(name: str, inputs: list[Shape], outputs: list[Shape], params: Params = ()) -> Work:
    """The work of one operator.

    name: as recorded. inputs, outputs: shapes. params: what else its formula needs, such as a
    stride; see `condsim.program.Op`.
    Raises CondsimError for tensors that the operator could not have.
    """
    known = name if name in OPERATORS else out_of_place(name)
    if known not in OPERATORS:
        return Work(known)
    try:
        return OPERATORS[known](inputs, outputs, params)
    except (IndexError, ValueError, TypeError, ArithmeticError) as error:
        dims = [len(shape) for shape in (*inputs, *outputs)]
        raise CondsimError(
            f"operator {name} cannot have {len(inputs)} inputs and {len(outputs)} outputs of "
            f"{dims} dimensions and these sizes ({error})"
        ) from error


WITHOUT_FORMULA = (
    *("_convolution", "_fft_", "_linalg_", "_weight_int4pack_mm", "cholesky", "convolution"),
    *("fft_", "istft", "linalg_", "lu_solve", "matrix_exp", "matrix_power", "stft"),
    *("triangular_solve",),
)
"""How the names of operators begin that multiply much, and that have no formula here."""


def has_formula(name: str) -> bool:
    """Whether FLOPs of an operator, or of the one that it is in place, are counted."""
    return name in OPERATORS or out_of_place(name) in OPERATORS


def is_uncounted(name: str) -> bool:
    """Whether an operator of PyTorch computes something of note that has no formula."""
    return name.startswith(WITHOUT_FORMULA) and not has_formula(name)


def out_of_place(name: str) -> str:
    """The name of the operator that does the same without overwriting its input: add_ → add.

    A name that begins with an underscore (`__and__`) is kept.
    """
    return name if name.startswith("_") else name.rstrip("_")


def even_rows(rows: Any, groups: int) -> np.ndarray:
    """Rows of each group where rows are spread as evenly as can be, int [groups] or [n, groups].

    rows: of all groups together, int or int array [n].
    """
    together = np.asarray(rows)[..., None]
    gets_one_more = np.arange(groups) < together % groups
    even: np.ndarray = together // groups + gets_one_more
    return even
