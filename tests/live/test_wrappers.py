import pytest
import torch
from live.lift.in_python import WIDTH, WholeBatch, ready
from torch import nn

import condsim
from condsim.live.wrappers import takes_anything, unwrapped, with_signature


class Adapted(nn.Module):
    """PEFT's chain of wrappers: each takes anything and hands it on."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.base_model = inner

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base_model(*args, **kwargs)
        return result


def test_parallel_wrappers_are_taken_off() -> None:
    model = ready(WholeBatch)
    assert unwrapped(nn.DataParallel(nn.DataParallel(model))) is model
    assert unwrapped(model) is model


def test_the_signature_is_that_of_the_module_inside() -> None:
    model = ready(WholeBatch)
    assert takes_anything(Adapted(model))
    assert not takes_anything(model)
    assert with_signature(Adapted(nn.DataParallel(Adapted(model)))) is model


@pytest.mark.parametrize("wrap", [nn.DataParallel, Adapted])
def test_a_wrapped_model_is_captured_as_the_model_is(wrap: type[nn.Module]) -> None:
    model = ready(WholeBatch)
    batches = [torch.randn(4, WIDTH) for _ in range(2)]
    plain = condsim.capture(model, batches, measure=False)
    wrapped = condsim.capture(wrap(model), batches, measure=False)
    for site, other in zip(plain.sites, wrapped.sites, strict=True):
        assert (plain.decisions(site.name).ids == wrapped.decisions(other.name).ids).all()


def test_too_many_arguments_of_a_wrapped_model_are_one_line() -> None:
    model = Adapted(ready(WholeBatch))
    x = torch.randn(4, WIDTH)
    with pytest.raises(condsim.CondsimError, match="does not fit"):
        condsim.capture(model, (x, x), measure=False)
