import torch

from condsim.zoo.methods.moe_loss_free import RATE, BiasedGate


def test_a_bias_moves_towards_an_even_load() -> None:
    torch.manual_seed(0)
    gate = BiasedGate(8, 4, 2).train()
    rows = torch.randn(64, 8)
    _, weights, indices = gate(rows)
    loads = torch.bincount(indices.flatten(), minlength=4)
    gate.move()
    assert torch.equal(gate.bias.sign(), (32 - loads).float().sign())
    assert gate.bias.abs().max() == RATE
    assert torch.allclose(weights.sum(-1), torch.ones(64))


def test_the_bias_chooses_and_does_not_weigh() -> None:
    torch.manual_seed(0)
    gate = BiasedGate(8, 4, 2).eval()
    rows = torch.randn(16, 8)
    gate.bias += torch.tensor([10.0, 10.0, 0.0, 0.0])
    logits, weights, indices = gate(rows)
    assert set(indices.flatten().tolist()) == {0, 1}
    probabilities = logits.softmax(-1).gather(1, indices)
    assert torch.allclose(weights, probabilities / probabilities.sum(-1, keepdim=True))
