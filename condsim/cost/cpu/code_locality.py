"""What an operator costs more because others ran since its last call.

    extra seconds = extra of the operator * share(different operators since its last call)

An operator that is repeated finds its code cached and its branches predicted; in a model it does not. Measured by running all operators in turn, and
few of them. On a CPU in eager PyTorch this is more than half of the time of small operators.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile

_NUMBER = re.compile(r"\d+")
_RENAMED = {
    "mm": "mm",
    "addmm": "linear.bias",
    "scaled_dot_product_attention": "attention",
    "_grouped_mm": "grouped_mm",
    "where1": "nonzero",
    "_local_scalar_dense": "item",
    "greater": "gt",
    "less": "lt",
    "_to_copy": "to",
    "new_ones": "new_zeros",
    "concat": "cat",
    "stack": "cat",
}


def among_seconds(
    name: str, distinct: Any, profile: HardwareProfile, *, view: bool = False, inputs: int = 0
) -> Any:
    """Extra seconds of one call.

    name: the operator as the recorder gives it, distinct: different operators since its last call, itself included
    (`distances`), int or int array [n]. view: it makes no new storage. inputs: number of tensors it reads (a linear layer with a
    bias has 3). Returns float or float
    array [n]; 0 without a calibration.
    """
    among = profile.among
    if among is None:
        return 0.0 * np.asarray(distinct) if np.ndim(distinct) else 0.0
    share = np.interp(distinct, among.distinct, among.share)
    return among.extra_s.get(key_of(among.extra_s, name, view, inputs), among.other_s) * share


def key_of(table: Container[str], name: str, view: bool, inputs: int) -> str:
    """Under which name a table of operators' code knows an operator; its own where it does not."""
    if name == "where" and inputs == 1:
        name = "nonzero"
    if name == "linear" and inputs > 2:
        name = "linear.bias"
    names = (
        [f"{name}.view"] if view else [name, name.rstrip("_"), f"{name}_", _RENAMED.get(name, name)]
    )
    return next((key for key in names if key in table), name)


def call_sites(names: Sequence[str], modules: Sequence[str], entered: Sequence[int]) -> list[str]:
    """A label for the place in the code that each operator is called from, for `distances`: alike for the layers of a stack, which run the same code.

    names: operators (with ".view" where they are views); modules: the module path each is called in; entered: module calls that began before it.
    Numbers in a path do not count; a second call of an operator in one module call is another place. What matters for the branches of a call is the code that
    ran since this place did, not since the operator did: by operators' names alone, times of small models came out a third too low.
    """
    found, seen, last = [], dict[str, int](), None
    for name, module, begins in zip(names, modules, entered, strict=True):
        if begins or module != last:
            seen, last = {}, module
        seen[name] = seen.get(name, 0) + 1
        found.append(f"{_NUMBER.sub('*', module)}:{name}:{seen[name]}")
    return found


def distances(names: Sequence[str], *, repeated: bool = True) -> list[int]:
    """Different operators since the last call of the same one, itself included, for each operator of a sequence in executed order.

    names: `call_sites`, or operators (with ".view" where they are views). repeated: the sequence runs again and again, so that a first call follows the
    calls of the round before; else a first call counts all different operators of the sequence.
    """
    total = len(set(names))
    recent: dict[str, None] = {}  # most recently used last
    if repeated:
        for name in names:
            recent.pop(name, None)
            recent[name] = None
    found = []
    for name in names:
        if name in recent:
            count = 0
            for other in reversed(recent):
                count += 1
                if other == name:
                    break
            found.append(count)
            del recent[name]
        else:
            found.append(total)
        recent[name] = None
    return found
