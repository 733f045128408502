"""Logical FLOPs of tokens: each unit by itself, attention with its square."""

from __future__ import annotations

import numpy as np
import pytest
from gates.models import case

import condsim
from condsim.predict.choose import program_of
from condsim.predict.simulate import simulate
from condsim.predict.token_flops import flops_of_tokens
from condsim.steps.extents import Steps
from condsim.steps.rebatch import rebatch, site_rules

NAMES = ("prune-fashion", "merge-fashion")
PATCH, TOKENS, HIDDEN, BLOCKS = 7, 17, 16, 3
"""Of the small models of the gates."""


def of_blocks(attended: list[int], fed: list[int]) -> int:
    """FLOPs of a unit. attended, fed: tokens of each block in attention, and in its second half."""
    flops = 2 * 16 * PATCH**2 * HIDDEN + 2 * HIDDEN * 10
    for n, m in zip(attended, fed, strict=True):
        flops += 8 * n * HIDDEN**2 + 4 * n**2 * HIDDEN + 16 * m * HIDDEN**2
    return flops


def asked(name: str, kept: list[list[int]]) -> np.ndarray:
    """FLOPs of one step. kept: of each site, tokens that stay in each unit."""
    trace = case(name).trace
    strategies = dict.fromkeys(trace.mechanisms, "same-flops")
    program = program_of(trace, strategies, "prefill-n")
    units = len(kept[0])
    lengths = {}
    for site, tokens in zip(trace.sites, kept, strict=True):
        lengths[site.name] = np.array([tokens])
    extents = {"batch": np.array([units]), "seq": np.array([1]), "total": np.array([1])}
    return flops_of_tokens(program, site_rules(trace), Steps(extents, {}, lengths=lengths))


def test_a_unit_costs_what_its_own_tokens_cost() -> None:
    pruned = asked("prune-fashion", [[9, 4], [6, 2]])
    both = of_blocks([TOKENS, 9, 6], [TOKENS, 9, 6]) + of_blocks([TOKENS, 4, 2], [TOKENS, 4, 2])
    assert pruned.tolist() == [both]
    merged = asked("merge-fashion", [[11], [7]])
    assert merged.tolist() == [of_blocks([TOKENS, 11, 11], [11, 11, 7])]


@pytest.mark.parametrize("name", NAMES)
def test_all_tokens_ask_for_what_the_dense_network_runs(name: str) -> None:
    trace = case(name).trace
    sites = len(trace.sites)
    everything = asked(name, [[TOKENS] * 8] * sites)
    dense = simulate(trace, "nvidia-h100-sxm", batch=8).baseline_flops
    assert everything[0] == pytest.approx(dense)


@pytest.mark.parametrize("name", NAMES)
def test_strategies_run_at_least_what_was_asked_for(name: str) -> None:
    trace = case(name).trace
    cut = rebatch(trace, 4)
    assert len(cut) == 10
    at_batch_one = simulate(trace, "raspberry-pi-5", batch=1)
    for strategy in ("padded", "sorted"):
        p = simulate(trace, "raspberry-pi-5", strategy, batch=4)
        asked_for = p.baseline_flops / p.flops_ratio
        assert asked_for <= p.executed_flops * (1 + 1e-12)
        assert p.flops_ratio == pytest.approx(at_batch_one.flops_ratio)
    longer = simulate(trace, "raspberry-pi-5", "padded", batch=4).executed_flops / 4
    assert at_batch_one.executed_flops <= longer * (1 + 1e-12)


def test_another_strategy_than_the_models_own_says_that_it_changes_outputs() -> None:
    pruned, merged = case("prune-fashion").trace, case("merge-fashion").trace
    assert condsim.simulate(pruned, "raspberry-pi-5", "gathered").outputs == "changed by gathered"
    assert condsim.simulate(merged, "raspberry-pi-5", "merged").outputs == "as captured"
