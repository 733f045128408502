import torch

from condsim.live.adapters.host_call import Constants, HostCall, copied


def test_a_call_is_repeated_at_another_size() -> None:
    ids, mask, shared = torch.arange(6).view(2, 3), torch.ones(2, 3), torch.ones(5)
    call = HostCall(print, (ids,), {"mask": mask, "shared": shared, "scale": 2})
    assert call.has_sequences()
    assert call.is_plain()
    (longer,), kwargs = call.resized(5, more_positions=1)
    assert longer.tolist()[0] == [0, 1, 2, 0]
    assert (longer.shape, kwargs["mask"].shape, kwargs["shared"].shape) == ((5, 4), (5, 4), (5,))
    assert not HostCall(print, (object(), ids), {}).is_plain()


def test_constants_are_what_is_no_tensor() -> None:
    first, second = Constants.of((torch.ones(1), 2), {}), Constants.of((torch.zeros(3), 2), {})
    assert first == second
    assert first != Constants.of((torch.ones(1), 3), {})
    x = torch.ones(2)
    assert copied(x) is not x
    assert copied("x") == "x"
