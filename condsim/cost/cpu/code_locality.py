"""What an operator costs more because other operators ran since its last call.

    extra seconds = extra of the operator * share(different operators since its last call)

An operator that is repeated finds its code cached and its branches predicted; in a model it does
not. Measured by running all operators in turn, and few of them. How many different ones ran counts,
not how often nor from where they were called: a sequence of 8 that comes in four other orders loses
no more than one order of them (10 and 12 % of the extra on a virtual EPYC, family 25 model 17).
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from condsim.hardware import Among, HardwareProfile
from condsim.program import Op
from condsim.program.operators import called, facts


def code_locality_seconds(
    ops: Sequence[Op], distinct: Sequence[int], profile: HardwareProfile
) -> np.ndarray:
    """Extra seconds of one call of each operator, float [ops]; 0 without a calibration.

    distinct: different operators since the last call of each, itself included (`distances`).
    """
    among = profile.among
    if among is None:
        return np.zeros(len(ops))
    curve = among if profile.looped is None else profile.looped
    share = np.interp(distinct, curve.distinct, curve.share)
    called_as = [(op.name, op.view, len(op.inputs)) for op in ops]
    extra_s = {call: _among_others(among, *call) for call in set(called_as)}
    return share * [extra_s[call] for call in called_as]


def _among_others(among: Among, name: str, view: bool, inputs: int) -> float:
    """What a call costs more among all different operators than when it is repeated, seconds."""
    code = code_key(among.extra_s, name, view, inputs)
    return among.extra_s.get(code, among.other_s)


def code_key(table: Container[str], name: str, view: bool, inputs: int) -> str:
    """The name under which a table of operators' code knows an operator.

    name: as the recorder gives it. view: it makes no new storage. inputs: number of tensors it
    reads (a linear layer with a bias has 3). Returns the operator's own name where the table lacks
    it.
    """
    name = called(name, inputs)
    if name == "linear" and inputs > 2:
        name = "linear.bias"
    if view:
        names = [f"{name}.view"]
    else:
        names = [name, name.rstrip("_"), f"{name}_"]
        if facts(name).code:
            names.append(facts(name).code)
    for key in names:
        if key in table:
            return key
    return name


def distances(names: Sequence[str], *, repeated: bool = True) -> list[int]:
    """Different operators since the last call of the same one, itself included, of each operator.

    names: operators, with ".view" where they are views, in executed order.
    repeated: the sequence runs again and again, so that a first call follows the calls of the round
    before; else a first call counts all different operators of the sequence.
    """
    recent: dict[str, None] = {}  # most recently used last
    if repeated:
        for name in names:
            _use(recent, name)
    different = len(set(names))
    counts = []
    for name in names:
        counts.append(_used_since(recent, name) if name in recent else different)
        _use(recent, name)
    return counts


def _use(recent: dict[str, None], name: str) -> None:
    """Make an operator the most recently used one."""
    recent.pop(name, None)
    recent[name] = None


def _used_since(recent: dict[str, None], name: str) -> int:
    """Operators used since a name was, itself included."""
    count = 0
    for other in reversed(recent):
        count += 1
        if other == name:
            break
    return count
