"""Moving the masks of sparse weights: what a move costs, how often it may be, FLOPs of RigL.

A move is what `condsim.live.mask_updates.move_all` runs. What a strategy does once more with moved
masks (finding the places of compressed rows anew) is not in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.steps.patterns import ACTIVE, masks_of, patterns_of
from condsim.trace import Site, Trace

SET, RIGL = "set", "rigl"
PRODUCTS_OF_A_STEP = 3
"""Of a weight in a training step: forward, gradient of the inputs, gradient of the weight."""

Operator = tuple[str, list[tuple[int, ...]], list[tuple[int, ...]], bool]
"""(name, shapes of inputs, shapes of outputs, whether it is a view)."""


@dataclass(frozen=True)
class MaskMoves:
    """Moves of all masks of a trace on a device.

    growth: "set" or "rigl". moved: weights that a move brings, the mean of the history. seconds: of
    a move.
    """

    growth: str
    moved: float
    seconds: float

    def every(self, share: float, step_s: float) -> int:
        """Return how many steps lie at least between two moves that take no more than a share of
        the time. step_s: of a step."""
        return max(1, math.ceil(self.seconds / (share * step_s)))


def mask_moves(trace: Trace, profile: HardwareProfile, growth: str = RIGL) -> MaskMoves:
    """Return what the moves of a trace's masks cost.

    Raises CondsimError for a trace whose masks never move, and for a device that is no CPU.
    """
    if not profile.device_class.is_host:
        raise CondsimError(
            f"what moving masks costs is known of CPUs, and profile {profile.name!r} is a "
            f"{profile.kind}"
        )
    moved, seconds = 0.0, 0.0
    for site in trace.sites:
        of_site = moves_of(trace, site)
        mean = float(of_site.mean()) if len(of_site) else 0.0
        moved += mean
        if mean:
            rows, columns = site.unit_rows.a_step, site.branches
            operators = move_operators(rows, columns, max(1, round(mean)), growth)
            seconds += sum(_seconds(operator, profile) for operator in operators)
    if not moved:
        raise CondsimError(f"the masks of trace {trace.name!r} never move")
    return MaskMoves(growth, moved, seconds)


def has_moves(trace: Trace) -> bool:
    """Whether some mask of a trace moves."""
    sparse = [site for site in trace.sites if site.routing.prunes_weights]
    return any(moves_of(trace, site).any() for site in sparse)


def moves_of(trace: Trace, site: Site) -> np.ndarray:
    """Return how many weights came between each two entries of the history, int [entries - 1]."""

    def count() -> np.ndarray:
        came, before = [], None
        for mask in masks_of(trace, site):
            if before is not None:
                came.append(int((mask & ~before).sum()))
            before = mask
        return np.array(came, np.int64)

    return trace.results.remember(("moves", site.name), count)


def move_operators(rows: int, columns: int, moved: int, growth: str) -> list[Operator]:
    """Return what a move of one mask runs, in order.

    rows, columns: of the weight. moved: weights that go, and come. growth: "set" or "rigl".
    """
    matrix, vector, places = (rows, columns), (rows * columns,), (moved,)
    flat: Operator = ("view", [matrix], [vector], True)
    absolute: Operator = ("abs", [matrix], [matrix], False)
    scored = [("rand", [], [vector], False)] if growth == SET else [absolute, flat]
    chosen: list[Operator] = [
        ("gt", [vector], [vector], False),
        ("scalar_tensor", [], [()], False),
    ]
    placed: list[Operator] = [
        ("topk", [vector], [places, places], False),
        ("index_fill_", [vector, places], [vector], False),
    ]
    return [
        ("sum", [matrix], [()], False),
        ("_local_scalar_dense", [()], [], False),
        *scored,
        flat,
        ("detach", [matrix], [matrix], True),
        absolute,
        flat,
        *chosen,
        ("where", [vector, vector, ()], [vector], False),
        *placed,
        *chosen,
        ("where", [vector, (), vector], [vector], False),
        *placed,
        ("detach", [matrix], [matrix], True),
        flat,
        ("index_fill_", [vector, places], [vector], False),
    ]


def _seconds(operator: Operator, profile: HardwareProfile) -> float:
    name, inputs, outputs, view = operator
    sized = SizedOperator(name, list(inputs), list(outputs))
    return float(operator_time(sized, profile, view=view).seconds)


# FLOPs


def rigl_step_flops(sparse: float, dense: float, every: float) -> float:
    """FLOPs of a training step of RigL, the mean over a move and the `every` steps before it.

    sparse, dense: of a forward. Source: Evci et al., "Rigging the lottery", 2020, section 3:
    (3 f_S Delta T + 2 f_S + f_D) / (Delta T + 1).
    """
    of_steps = PRODUCTS_OF_A_STEP * sparse * every
    of_move = 2 * sparse + dense
    return (of_steps + of_move) / (every + 1)


def counted_step_flops(trace: Trace, dense_step: float, units: int, every: float) -> float:
    """FLOPs of a training step of RigL as they are counted of a trace, the mean as above.

    A step multiplies the weights that are there; one that moves masks has the gradient of all
    weights. dense_step: FLOPs of a step of the dense model, of so many units.
    """
    absent_step = absent_gradient = 0.0
    for site in trace.sites:
        weights = site.unit_rows.a_step * site.branches
        active = float(patterns_of(trace, site)[:, ACTIVE].mean())
        absent_step += units * site.branch_flops[0] * (weights - active)
        absent_gradient += units * 2 * (weights - active)
    step = dense_step - absent_step
    return (step * every + step + absent_gradient) / (every + 1)
