"""What holds for every zoo model: it runs, judges itself, routes as it should, and is small."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import condsim
from condsim.live.execution import Execution, executing
from condsim.zoo import ZOO, load
from condsim.zoo.base import CHECKPOINTS, read_checkpoint
from condsim.zoo.moe_bytes import Gate
from zoo.conftest import IMAGES, NAMES, TEXT, TOKENS, example, strategy, under

QUALITY = {
    "branch-fashion": 0.911,
    "exit-fashion": 0.897,
    "merge-fashion": 0.865,
    "moe-bytes": 1.69,
    "prune-fashion": 0.852,
    "skip-fashion": 0.923,
    "sparse-bytes": 2.13,
}
"""Of the shipped traces: accuracy over 2,048 images, bits a byte over 512 and 2,048 sequences of
64."""


@torch.inference_mode()
def decisions(name: str, units: int) -> dict[str, list[np.ndarray]]:
    """Site → decisions of the first `units` units, one array a batch.

    Those of experts come from the gates, the others from the marks.
    """
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
            reached = ids.ravel()[ids.ravel() >= 0]
            model_shares[site] = np.bincount(reached) / len(reached)
    return model_shares


def test_the_registry_names_the_models() -> None:
    assert tuple(sorted(ZOO)) == NAMES
    with pytest.raises(condsim.CondsimError, match="did you mean 'exit-fashion'"):
        load("exit-fasion")


@pytest.mark.parametrize("name", NAMES)
def test_every_model_runs_and_judges_its_output(name: str) -> None:
    loaded = example(name)
    first = loaded.inputs[0]
    assert not loaded.model.training
    assert all(p.dtype == torch.float32 for p in loaded.model.parameters())
    for inputs in (first[:1], first):
        output = under(loaded.model, inputs, {})
        assert output.shape[0] == len(inputs)
        again = under(loaded.model, inputs, {})
        assert torch.equal(output, again), "two runs of one input differ"
    assert loaded.quality is not None
    quality = loaded.quality(output, 0)
    assert quality.shape == (len(first),)
    assert quality.dtype == np.float32
    assert np.isfinite(quality).all()


@pytest.mark.parametrize("name", NAMES)
def test_quality_of_the_shipped_weights(name: str) -> None:
    loaded = example(name)
    assert loaded.quality is not None
    of_batches = []
    for number, batch in enumerate(loaded.inputs[:16]):
        of_batches.append(loaded.quality(under(loaded.model, batch, {}), number))
    quality = float(np.concatenate(of_batches).mean())
    if loaded.higher_is_better:
        assert quality >= QUALITY[name] - 0.02
    else:
        assert quality <= QUALITY[name] + 0.1


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("name", IMAGES)
def test_strategies_of_the_image_models_agree(name: str, batch: int) -> None:
    model = example(name).model
    inputs = example(name).inputs[1][:batch]
    expected = under(model, inputs, {})
    for other in ("compacted", "masked", "wait"):
        output = under(model, inputs, strategy(name, other))
        assert torch.allclose(output, expected, atol=1e-5), other


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("name", TOKENS)
def test_strategies_of_tokens_agree(name: str, batch: int) -> None:
    """But for those that keep as many tokens in every image, where the model does not."""
    model = example(name).model
    inputs = example(name).inputs[1][:batch]
    expected = under(model, inputs, {})
    others = {"prune-fashion": ("sorted", "masked"), "merge-fashion": ("padded", "sorted")}
    for other in others[name]:
        output = under(model, inputs, strategy(name, other))
        assert torch.allclose(output, expected, atol=1e-4), other


@pytest.mark.parametrize("name", [name for name in NAMES if name != "moe-bytes"])
def test_the_dense_baseline_needs_no_decision(name: str) -> None:
    loaded = example(name)
    dense = Execution({"*": "same-params"}, observed={}, costliest={"path": 2})
    with executing(dense) as execution, torch.inference_mode():
        output = loaded.model(loaded.inputs[0][:3])
        assert output.shape[0] == 3
        assert all(routed.ids is None for routed in execution.decisions.values())


@pytest.mark.parametrize("name", NAMES)
def test_no_branch_takes_everything_or_nothing(name: str) -> None:
    """Over 90 % or under 1 % of the rows would make a trace that says little.

    A skip gate stays between 10 % and 90 %.
    """
    low = 0.10 if name == "skip-fashion" else 0.01
    for site, share in shares(name).items():
        assert share.max() <= 0.90, (site, share)
        assert share.min() >= low, (site, share)


def test_one_sequence_leaves_weight_blocks_untouched() -> None:
    """What a gathered FFN saves at batch 1.

    That is the union of the blocks that the bytes of one sequence want, in every sparse layer.
    """
    observed = decisions("sparse-bytes", 512)
    assert list(observed) == ["ffn1", "ffn2", "ffn3"]
    seq = example("sparse-bytes").inputs[0].shape[1]
    for site, kept in observed.items():
        blocks = kept[0].shape[1]
        sequences = np.stack(kept).reshape(-1, seq, blocks)
        assert sequences.mean() < 0.35, site
        assert sequences.any(1).mean() < 0.70, site


@pytest.mark.parametrize("name", TEXT)
def test_language_models_are_causal(name: str) -> None:
    loaded = example(name)
    ids = loaded.inputs[0][:2].clone()
    before = under(loaded.model, ids, {})
    ids[:, 40:] = 32
    assert torch.allclose(under(loaded.model, ids, {})[:, :40], before[:, :40], atol=1e-4)
    long = loaded.inputs[0][:1].repeat(1, 4)
    assert under(loaded.model, long, {}).shape == (1, 256, 256)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_small_half_precision_and_say_where_they_come_from(name: str) -> None:
    assert (CHECKPOINTS / f"{name}.pt").stat().st_size < 2_000_000
    checkpoint = read_checkpoint(name)
    assert len(checkpoint["about"]["data_sha256"]) == 64
    assert {"steps", "seed", "training_s", "torch"} <= set(checkpoint["about"])
    floats = [w for w in checkpoint["weights"].values() if w.is_floating_point()]
    assert all(weight.dtype == torch.float16 for weight in floats)
