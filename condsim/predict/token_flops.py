"""FLOPs that decisions about tokens ask for: each unit by itself, on the tokens that it keeps.

Attention grows with the square of a unit's tokens, so that these FLOPs are no sum over rows. They
are those of the network of `same-flops`, whose units keep given numbers of tokens, without a
scorer, a gather or padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from condsim.lower import lower
from condsim.lowered import Lowered
from condsim.mechanisms.tokens import STAYS
from condsim.program import Program
from condsim.program.work import work
from condsim.steps.extents import SiteRule, Steps
from condsim.steps.sizes import first_of_each

SAME_FLOPS = "same-flops"


def flops_of_tokens(program: Program, rules: Mapping[str, SiteRule], steps: Steps) -> np.ndarray:
    """Return the FLOPs that each step's decisions ask for, float [steps].

    program: of `same-flops`. rules: of the sites, which decide about tokens, all of them.
    """
    first = next(iter(steps.lengths.values()))
    count, units = first.shape
    extents = {name: of_step for name, of_step in steps.extents.items() if name != "batch"}
    columns = [np.repeat(of_step, units) for of_step in extents.values()]
    columns += [steps.lengths[name].reshape(-1).astype(np.int64) for name in rules]
    numbered = {str(number): column for number, column in enumerate(columns)}
    unit, which = first_of_each(numbered)
    different = np.stack([column[unit] for column in columns], axis=1)
    names = tuple(extents)
    key = ("flops of units", tuple(rules.values()), names, different.tobytes())
    make = partial(_flops_of_units, program, rules, names, different)
    of_unit = program.results.remember(key, make)  # the same ones are in steps of any batch
    of_step: np.ndarray = of_unit[which.reshape(count, units)].sum(1)
    return of_step


def _flops_of_units(
    program: Program, rules: Mapping[str, SiteRule], names: Sequence[str], different: np.ndarray
) -> np.ndarray:
    """The FLOPs of each of the different units, float [n]. names, different: of their columns."""
    alone = _one_unit_each(different, names, rules)
    strategies = {rule.mechanism.name: SAME_FLOPS for rule in rules.values()}
    return executed_flops(lower(program, rules, strategies, alone))


def _one_unit_each(
    different: np.ndarray, names: Sequence[str], rules: Mapping[str, SiteRule]
) -> Steps:
    """Steps of one unit. different: extents and then tokens at each site, int [n, columns]."""
    extents = {"batch": np.ones(len(different), np.int64)}
    for column, name in enumerate(names):
        extents[name] = different[:, column]
    kept = {}
    for column, site in enumerate(rules, start=len(names)):
        tokens = np.zeros((len(different), 2), np.int64)
        tokens[:, STAYS] = different[:, column]
        kept[site] = tokens
    return Steps(extents, counts=kept, kept=kept)


def executed_flops(lowered: Lowered) -> np.ndarray:
    """Return the FLOPs of each step without those of routers, float [steps]."""
    flops = np.zeros(len(lowered.steps))
    for number, calls in enumerate(lowered.scopes):
        for _, op in calls.operators():
            if op.view or op.role:
                continue
            sizes = lowered.sizes(number, op.site)
            inputs = [tensor.shape(sizes) for tensor in op.inputs]
            outputs = [tensor.shape(sizes) for tensor in op.outputs]
            of_call = np.broadcast_to(work(op.name, inputs, outputs, op.params).flops, len(calls))
            flops += np.bincount(calls.step, of_call, len(flops))
    return flops
