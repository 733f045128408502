"""Every form computes what the masked layer computes, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from condsim.live.execution import Execution
from condsim.live.sparse_forms import FORMS
from condsim.live.sparse_weights import MECHANISM, SparseWeight, sparse_weights

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")
CLOSE = 1e-5


def layer_with_dead_rows() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30))
    mask = torch.rand(30, 40) < 0.2
    mask[3], mask[:, 5] = False, False
    prune.custom_from_mask(model[0], "weight", mask)
    return model


def gradients(model: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    result = model(x)
    of_x, of_weight = torch.autograd.grad(result.square().sum(), (x, weight))
    return result, of_x, of_weight


@pytest.mark.parametrize("strategy", ["rows", "csr", "csr_sampled"])
def test_a_form_is_the_masked_layer(strategy: str) -> None:
    model = layer_with_dead_rows()
    x = torch.randn(7, 40, requires_grad=True)
    expected, of_x, of_weight = gradients(model, x, model[0].weight_orig)
    (site,) = sparse_weights(model)
    site.prepare(Execution({MECHANISM: strategy}))
    (made,) = site.made_tensors().values()
    made.requires_grad_(True)
    with site.installed():
        result, x_gradient, gradient = gradients(model, x, made)
    torch.testing.assert_close(result, expected, atol=CLOSE, rtol=CLOSE)
    torch.testing.assert_close(x_gradient, of_x, atol=CLOSE, rtol=CLOSE)
    mask = torch.from_numpy(site.mask)
    same = of_weight[mask]
    if strategy == "rows":
        same = of_weight[mask.any(1)][:, mask.any(0)]
    torch.testing.assert_close(gradient, same, atol=CLOSE, rtol=CLOSE)


def test_same_params_is_the_layer_without_its_mask() -> None:
    model = layer_with_dead_rows()
    (site,) = sparse_weights(model)
    site.prepare(Execution({MECHANISM: "same-params"}))
    x = torch.randn(3, 40)
    with site.installed():
        result = model(x)
    expected = nn.functional.linear(x, model[0].weight_orig, model[0].bias)
    assert torch.equal(result, expected)


def test_same_flops_has_the_columns_that_are_kept() -> None:
    model = layer_with_dead_rows()
    form = FORMS["same-flops"](model[0], np.ones((30, 40), bool), 8)
    x = torch.randn(3, 40)
    expected = x[:, :8] @ model[0].weight_orig[:, :8].t() + model[0].bias
    torch.testing.assert_close(form(x), expected, atol=CLOSE, rtol=CLOSE)


def test_the_layer_is_left_as_it_was() -> None:
    model = layer_with_dead_rows()
    x = torch.randn(3, 40)
    before, hooks = model(x), list(model[0]._forward_pre_hooks.values())
    (site,) = sparse_weights(model)
    site.prepare(Execution({MECHANISM: "csr"}))
    with site.installed():
        model(x)
    assert torch.equal(model(x), before)
    assert list(model[0]._forward_pre_hooks.values()) == hooks
    assert "forward" not in vars(model[0])


def test_a_form_stays_until_mask_or_strategy_change() -> None:
    (site,) = sparse_weights(layer_with_dead_rows())
    assert isinstance(site, SparseWeight)
    csr = Execution({MECHANISM: "csr"})
    site.prepare(csr)
    form = site.form
    site.prepare(csr)
    assert site.form is form
    site.mask = site.mask.copy()
    site.prepare(csr)
    assert site.form is not form
