"""sparse-bytes: its strategies agree, and blocks that are removed leave the others as they were."""

from __future__ import annotations

import pytest
import torch

from condsim.zoo.sparse_bytes import SparseBytes
from zoo.conftest import example, strategy, under


@pytest.mark.parametrize("seq", [1, 17, 64])
@pytest.mark.parametrize("batch", [1, 7])
def test_strategies_agree(batch: int, seq: int) -> None:
    model = example("sparse-bytes").model
    inputs = example("sparse-bytes").inputs[1][:batch, :seq]
    gathered = under(model, inputs, strategy("sparse-bytes", "gathered"))
    masked = under(model, inputs, strategy("sparse-bytes", "masked"))
    assert torch.allclose(gathered, masked, atol=1e-4, rtol=1e-5)


def test_blocks_that_nobody_wants_can_be_removed() -> None:
    torch.manual_seed(0)
    model = SparseBytes(blocks=(6, 4)).eval()
    ids = torch.randint(256, (2, 8))
    keep = [torch.ones(6, dtype=torch.bool), torch.ones(4, dtype=torch.bool)]
    keep[0][2] = keep[0][5] = False
    with torch.no_grad():
        model.sparse_layers()[0].predictor[1].bias[~keep[0]] = -1e3
    pruned = model.pruned(keep).eval()
    assert [layer.blocks for layer in pruned.sparse_layers()] == [4, 4]
    assert torch.allclose(under(pruned, ids, {}), under(model, ids, {}), atol=1e-5)


def test_a_layer_keeps_all_blocks_where_none_is_wanted() -> None:
    model = SparseBytes(blocks=(6,))
    pruned = model.pruned([torch.zeros(6, dtype=torch.bool)])
    assert pruned.sparse_layers()[0].blocks == 6


def test_the_share_of_bytes_that_want_a_block() -> None:
    torch.manual_seed(0)
    model = SparseBytes(blocks=(3,)).eval()
    with torch.no_grad():
        model.sparse_layers()[0].predictor[1].bias.copy_(torch.tensor([1e3, -1e3, 1e3]))
    (shares,) = model.wanted(torch.randint(256, (40, 5)))
    assert shares.tolist() == [1.0, 0.0, 1.0]
