"""Selectors of weight blocks: all of them compute the layer with unwanted neurons at zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from condsim.errors import CondsimError
from condsim.live.block_selectors import BlockSelector, GatheredBlocks
from condsim.live.execution import Execution, Frame, Routed
from condsim.live.select import select
from condsim.mechanisms import MECHANISMS

BLOCKS, BLOCK_SIZE, WIDTH = 4, 3, 5
SPARSE = MECHANISMS["sparse_activation"]


def selector(run: Execution, asked: torch.Tensor | None, frame: Frame) -> BlockSelector:
    strategy = run.strategy("ffn", SPARSE.name)
    blocks = select(run, Routed("ffn", SPARSE, strategy, BLOCKS, asked), frame)
    assert isinstance(blocks, BlockSelector)
    return blocks


@pytest.mark.parametrize("strategy", SPARSE.marked)
def test_strategies_agree(strategy: str) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(6, WIDTH), torch.randn(BLOCKS * BLOCK_SIZE, WIDTH)
    asked = torch.rand(6, BLOCKS) < 0.4
    blocks = selector(Execution({"ffn": strategy}), asked, Frame("ffn", -1))
    hidden = blocks.mask(F.linear(x, blocks.weight(weight, 0)))
    out = F.linear(hidden, blocks.weight(weight.t(), 1))
    wanted = asked.repeat_interleave(BLOCK_SIZE, dim=1)
    torch.testing.assert_close(out, (x @ weight.t() * wanted) @ weight)


@pytest.mark.parametrize("size", [1, BLOCK_SIZE])
@pytest.mark.parametrize("strategy", SPARSE.marked)
def test_neurons_that_the_first_product_chose(strategy: str, size: int) -> None:
    torch.manual_seed(0)
    h, weight = torch.randn(6, BLOCKS * size).relu(), torch.randn(WIDTH, BLOCKS * size)
    asked = torch.rand(6, BLOCKS) < 0.4
    blocks = selector(Execution({"ffn": strategy}), asked, Frame("ffn", -1))
    out = F.linear(blocks.mask(blocks.take(h)), blocks.weight(weight, 1))
    wanted = asked.repeat_interleave(size, dim=1)
    torch.testing.assert_close(out, (h * wanted) @ weight.t())


def test_gathered_runs_the_union_of_the_blocks() -> None:
    asked = torch.tensor([[True, False, False], [True, False, True]])
    blocks = GatheredBlocks(asked)
    assert blocks.running == 2
    assert blocks.weight(torch.arange(6.0), 0).tolist() == [0.0, 1.0, 4.0, 5.0]


def test_rows_that_did_not_take_the_outer_guards_ask_for_nothing() -> None:
    asked = torch.eye(3, dtype=torch.bool)
    frame = Frame("ffn", -1, masks=(torch.tensor([True, False, False]),))
    assert selector(Execution(), asked, frame).running == 1


def test_same_params_runs_the_dense_layer() -> None:
    weight = torch.randn(BLOCKS * BLOCK_SIZE, WIDTH)
    blocks = selector(Execution({"*": "same-params"}), None, Frame("ffn", -1))
    assert blocks.weight(weight, 0) is weight


def test_same_flops_runs_the_first_blocks() -> None:
    run = Execution({"*": "same-flops"}, rows_kept={"ffn": np.array([1, 1, 0, 0])})
    weight = torch.randn(BLOCKS * BLOCK_SIZE, WIDTH)
    blocks = selector(run, None, Frame("ffn", -1))
    assert torch.equal(blocks.weight(weight, 0), weight[: 2 * BLOCK_SIZE])


def test_a_strategy_of_another_mechanism_is_an_error() -> None:
    message = r"'wait' cannot run a marked sparse_activation site \('ffn'\); gathered and masked"
    with pytest.raises(CondsimError, match=message):
        selector(Execution({"*": "wait"}), torch.ones(1, BLOCKS), Frame("ffn", -1))
