"""Zoo models load, route as they should under every strategy, and can be trained again."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

import condsim
from condsim.live.execution import Execution, executing
from condsim.zoo import ZOO, Example, load, train
from condsim.zoo.__main__ import main
from condsim.zoo.base import CHECKPOINTS, read_checkpoint
from condsim.zoo.data import SAMPLES, fashion_sample, text_sample
from condsim.zoo.moe_bytes import Experts, Gate

NAMES = ("branch-fashion", "exit-fashion", "moe-bytes", "skip-fashion", "sparse-bytes")
IMAGES = ("branch-fashion", "exit-fashion", "skip-fashion")
QUALITY = {
    "branch-fashion": 0.911,
    "exit-fashion": 0.897,
    "moe-bytes": 1.69,
    "skip-fashion": 0.923,
    "sparse-bytes": 2.13,
}
"""Of the shipped traces: accuracy over 2,048 images, bits a byte over 512 and 2,048 sequences of 64."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def example(name: str) -> Example:
    return load(name)


def strategy(name: str, strategy: str) -> dict[str, str]:
    return {example(name).mechanism: strategy}


@torch.inference_mode()
def under(model: torch.nn.Module, inputs: torch.Tensor, strategies: dict[str, str]) -> torch.Tensor:
    with executing(Execution(strategies)):
        return model(inputs).clone()


@torch.inference_mode()
def decisions(name: str, units: int) -> dict[str, list[np.ndarray]]:
    """Site → decisions of the first `units` units, one array a batch (moe: from the gates, the others from the marks)."""
    model, inputs = example(name).model, example(name).inputs
    observed: dict[str, list[dict[str, torch.Tensor]]] = {}
    handles = []
    for path, module in model.named_modules():
        if isinstance(module, Gate):

            def keep(
                _module: object, _args: object, out: tuple[torch.Tensor, ...], path: str = path
            ) -> None:
                observed.setdefault(path, []).append({"ids": out[2]})

            handles.append(module.register_forward_hook(keep))
    with executing(Execution(observed=observed)):
        for batch in inputs[: units // len(inputs[0])]:
            model(batch)
    for handle in handles:
        handle.remove()
    return {site: [d["ids"].numpy() for d in kept] for site, kept in observed.items()}


def shares(name: str, units: int = 512) -> dict[str, np.ndarray]:
    """Site → share of the rows there that take each branch (sparse activation: each block)."""
    model_shares = {}
    for site, kept in decisions(name, units).items():
        ids = np.concatenate(kept)
        if ids.dtype == bool:
            model_shares[site] = ids.mean(0)
        else:
            model_shares[site] = np.bincount(ids.ravel()) / len(ids)
    return model_shares


def test_the_registry_names_the_five_models() -> None:
    assert tuple(sorted(ZOO)) == NAMES
    with pytest.raises(condsim.CondsimError, match="did you mean 'exit-fashion'"):
        load("exit-fasion")


@pytest.mark.parametrize("name", NAMES)
def test_every_model_runs_and_judges_its_output(name: str) -> None:
    e = example(name)
    first = e.inputs[0]
    assert not e.model.training
    assert all(p.dtype == torch.float32 for p in e.model.parameters())
    for inputs in (first[:1], first):
        output = under(e.model, inputs, {})
        assert output.shape[0] == len(inputs)
        assert torch.equal(output, under(e.model, inputs, {})), "two runs of one input differ"
    assert e.quality is not None
    quality = e.quality(output, 0)
    assert quality.shape == (len(first),)
    assert quality.dtype == np.float32
    assert np.isfinite(quality).all()


@pytest.mark.parametrize("name", NAMES)
def test_quality_of_the_shipped_weights(name: str) -> None:
    e = example(name)
    assert e.quality is not None
    quality = np.concatenate(
        [e.quality(under(e.model, batch, {}), number) for number, batch in enumerate(e.inputs[:16])]
    ).mean()
    expected = QUALITY[name]
    assert quality >= expected - 0.02 if e.higher_is_better else quality <= expected + 0.1, (
        quality,
        expected,
    )


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("name", IMAGES)
def test_strategies_of_the_image_models_agree(name: str, batch: int) -> None:
    e = example(name)
    inputs = e.inputs[1][:batch]
    expected = under(e.model, inputs, {})
    for other in ("compacted", "masked", "wait"):
        assert torch.allclose(under(e.model, inputs, strategy(name, other)), expected, atol=1e-5), (
            other
        )


@pytest.mark.parametrize("seq", [1, 17, 64])
@pytest.mark.parametrize("batch", [1, 7])
def test_strategies_of_the_sparse_model_agree(batch: int, seq: int) -> None:
    e = example("sparse-bytes")
    inputs = e.inputs[1][:batch, :seq]
    gathered, masked = (
        under(e.model, inputs, strategy("sparse-bytes", s)) for s in ("gathered", "masked")
    )
    assert torch.allclose(gathered, masked, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "moe-bytes"])
def test_the_dense_baseline_needs_no_decision(name: str) -> None:
    e = example(name)
    with (
        executing(Execution({"*": "same-params"}, observed={}, costliest={"path": 2})) as execution,
        torch.inference_mode(),
    ):
        output = e.model(e.inputs[0][:3])
        assert output.shape[0] == 3
        assert all(routed.ids is None for routed in execution.decisions.values())


def test_the_baseline_of_the_exit_model_is_its_last_exit() -> None:
    e = example("exit-fashion")
    inputs = e.inputs[0][:5]
    with torch.inference_mode():
        last = e.model.every_exit(inputs)[-1]
    assert torch.allclose(under(e.model, inputs, {"*": "same-params"}), last, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_no_branch_takes_everything_or_nothing(name: str) -> None:
    """Over 90 % or under 1 % of the rows would make a trace that says little; a skip gate stays between 10 % and 90 %."""
    low = 0.10 if name == "skip-fashion" else 0.01
    for site, share in shares(name).items():
        assert share.max() <= 0.90, (site, share)
        assert share.min() >= low, (site, share)


def test_one_sequence_leaves_weight_blocks_untouched() -> None:
    """What a gathered FFN saves at batch 1: the union of the blocks that the bytes of one sequence want, in every sparse layer."""
    found = decisions("sparse-bytes", 512)
    assert list(found) == ["ffn1", "ffn2", "ffn3"]
    for site, kept in found.items():
        rows = np.stack(kept).reshape(
            -1, example("sparse-bytes").inputs[0].shape[1], kept[0].shape[1]
        )
        assert rows.mean() < 0.35, site
        assert rows.any(1).mean() < 0.70, site


def test_experts_are_called_as_transformers_calls_them() -> None:
    experts = [
        module for module in example("moe-bytes").model.modules() if isinstance(module, Experts)
    ]
    assert len(experts) == 4
    for e in experts:
        count, hidden, width = e.down_proj.shape
        assert e.num_experts == count
        assert e.gate_up_proj.shape == (count, 2 * width, hidden)


def test_experts_compute_the_weighted_sum_of_gated_ffns() -> None:
    torch.manual_seed(0)
    experts = Experts(hidden=6, width=5, experts=4)
    x = torch.randn(9, 6)
    _, weights, index = Gate(6, 4, 2)(x)
    expected = torch.zeros_like(x)
    for row in range(9):
        for slot in range(2):
            e = index[row, slot]
            gate, up = (experts.gate_up_proj[e] @ x[row]).chunk(2)
            expected[row] += weights[row, slot] * (
                experts.down_proj[e] @ (torch.nn.functional.silu(gate) * up)
            )
    assert torch.allclose(experts(x, index, weights), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["moe-bytes", "sparse-bytes"])
def test_language_models_are_causal(name: str) -> None:
    e = example(name)
    ids = e.inputs[0][:2].clone()
    before = under(e.model, ids, {})
    ids[:, 40:] = 32
    assert torch.allclose(under(e.model, ids, {})[:, :40], before[:, :40], atol=1e-4)
    assert under(e.model, e.inputs[0][:1].repeat(1, 4), {}).shape == (1, 256, 256)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_small_half_precision_and_say_where_they_come_from(name: str) -> None:
    assert (CHECKPOINTS / f"{name}.pt").stat().st_size < 2_000_000
    checkpoint = read_checkpoint(name)
    assert len(checkpoint["about"]["data_sha256"]) == 64
    assert {"steps", "seed", "training_s", "torch"} <= set(checkpoint["about"])
    assert all(
        t.dtype == torch.float16 for t in checkpoint["weights"].values() if t.is_floating_point()
    )


def test_samples_are_in_the_package() -> None:
    images, labels = fashion_sample()
    assert images.shape == (2048, 1, 28, 28)
    assert labels.bincount(minlength=10).min() > 150
    assert 150_000 < len(text_sample()) < 250_000
    assert (SAMPLES / "fashion-test.npz").stat().st_size < 1_200_000


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(condsim.CondsimError, match="batch must be at least 1, got 0"):
        load("skip-fashion", batch=0)
    with pytest.raises(condsim.CondsimError, match="seq must be at most 256, got 300"):
        load("sparse-bytes", seq=300)
    with pytest.raises(condsim.CondsimError, match="have no seq"):
        load("skip-fashion", seq=3)


@pytest.mark.parametrize("name", ["moe-bytes", "sparse-bytes"])
def test_language_models_can_be_trained_again(name: str, tmp_path: object) -> None:
    state = torch.get_rng_state()
    path = train(name, steps=2, folder=tmp_path)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), state)
    assert path.exists()
    assert load(name, folder=tmp_path).inputs  # type: ignore[arg-type]


@pytest.mark.parametrize("name", IMAGES)
def test_image_models_can_be_trained_again(
    name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = fashion_sample()
    module = __import__(f"condsim.zoo.{name.replace('-', '_')}", fromlist=["fashion_training"])
    monkeypatch.setattr(module, "fashion_training", lambda: (images, labels, "0" * 64))
    monkeypatch.setattr(module, "VALIDATION_IMAGES", 500)
    train(name, steps=2, folder=tmp_path)  # type: ignore[arg-type]
    assert load(name, folder=tmp_path).inputs  # type: ignore[arg-type]


def test_missing_data_and_bad_names_are_one_clear_line(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONDSIM_FASHION_MNIST", str(tmp_path))
    assert main(["train", "skip-fashion", "--steps", "1"]) == 2
    assert "dataset-fashion-mnist" in capsys.readouterr().err
    assert main(["train", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("unknown zoo model 'nothing'")
