"""The three gates for an encoder-decoder with experts that drop rows: transformers' own Switch.

Its source and its target have lengths of their own, and its experts' room is a number a sequence.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import condsim
from condsim.capture.observe import observe
from condsim.capture.probe import execution_for, rows_per_site
from condsim.live.decode import record_decode
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.program.regime import Regime
from condsim.steps.rebatch import rebatch
from condsim.strategies import name_of
from condsim.trace import Trace
from gates.harness import UNSEEN_SEQUENCES, Pair, pair, regimes, step_rows

EXPERTS = 4
NEW_TOKENS = 3
SOURCES = ((3, 14), (3, 9))
"""Units and positions of the batches."""


def switch() -> nn.Module:
    """One layer of experts on each side, which have room for 2 tokens of a sequence."""
    from transformers import SwitchTransformersConfig, SwitchTransformersForConditionalGeneration

    torch.manual_seed(0)
    config = SwitchTransformersConfig(
        vocab_size=40,
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_heads=2,
        num_layers=2,
        num_decoder_layers=2,
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
        num_experts=EXPERTS,
        expert_capacity=2,
        decoder_start_token_id=0,
    )
    return SwitchTransformersForConditionalGeneration(config).eval()


def sentences() -> list[dict[str, torch.Tensor]]:
    """Batches of random tokens with padding."""
    random = torch.Generator().manual_seed(1)
    batches = []
    for units, positions in SOURCES:
        ids = torch.randint(2, 40, (units, positions), generator=random)
        mask = torch.ones_like(ids)
        mask[0, positions - 4 :] = 0
        start = torch.zeros(units, 1, dtype=torch.long)
        batches.append({"input_ids": ids, "attention_mask": mask, "decoder_input_ids": start})
    return batches


@functools.cache
def model() -> nn.Module:
    return switch()


@functools.cache
def trace() -> Trace:
    return condsim.capture(model(), sentences(), measure=False, new_tokens=NEW_TOKENS)


@functools.cache
def live() -> LiveModel:
    found = LiveModel.of(model())
    observe(found, as_batches(sentences()[:1]))
    return found


def translated() -> list[torch.Tensor]:
    """Logits of every new token of all batches, as `generate()` gives them."""
    logits: list[torch.Tensor] = []
    for batch in sentences():
        out = model().generate(
            **batch,
            max_new_tokens=NEW_TOKENS + 1,
            eos_token_id=None,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        logits += out.logits
    return logits


def forced_pair(regime: Regime, assignment: dict[str, str], run: int) -> Pair:
    """Random decisions at lengths that nothing was fitted to."""
    units, source = UNSEEN_SEQUENCES[regime.single]
    batch = as_batches(sentences())[0].resized(units, source)
    seq, before = (1, 8) if regime.decodes else (source, 0)
    unit_rows = {site.name: site.unit_rows for site in trace().sites}
    rows = rows_per_site(live().infos, unit_rows, units, seq)
    costliest = dict(trace().header.costliest)
    execution = execution_for(assignment, live().infos, rows, 1000 + run, costliest, units)
    if regime.decodes:
        recorder = record_decode(live(), batch, execution, before)
        total = source + before + 1
    else:
        recorder = live().record(batch, execution)
        total = source
    step = step_rows(trace(), execution, units, seq, total)
    step = step.behind_encoder(np.array([source]))
    return pair("switch", assignment, step, recorder, regime, trace())


def test_streams_and_conformance_at_two_lengths() -> None:
    assert {regime.phase for regime in regimes(trace())} == {"prefill", "decode"}
    for assignment in live().assignments():
        for regime in regimes(trace()):
            for run in (2, 4):
                of_run = forced_pair(regime, assignment, run)
                of_run.assert_same_order()
                of_run.assert_conforms()


def test_every_size_fits_a_form_and_the_closing_check_finds_nothing() -> None:
    assert not any(program.flagged for program in trace().programs.values())
    assert not [note for note in trace().header.notes if "not what the model executes" in note]


def test_replay_gives_the_same_bits_with_dropped_rows() -> None:
    own = translated()
    with condsim.force(model(), trace()):
        forced = translated()
    assert len(own) == len(SOURCES) * (NEW_TOKENS + 1)
    assert all(torch.equal(a, b) for a, b in zip(own, forced, strict=True))


def test_the_dense_side_is_the_mean_of_all_experts() -> None:
    dense = switch()
    for module in dense.modules():
        if hasattr(module, "router"):
            module.forward = functools.partial(mean_of_experts, module.experts)
    batch = sentences()[0]
    with torch.inference_mode(), condsim.force(model(), "same-params"):
        forced = model()(**batch).logits
    with torch.inference_mode():
        expected = dense(**batch).logits
    assert torch.allclose(forced, expected, atol=1e-5)


def mean_of_experts(experts: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.stack([expert(x) for expert in experts.values()]).mean(0)


def test_decisions_of_a_saved_trace_conform_with_what_was_dropped(tmp_path: Path) -> None:
    saved = condsim.load(trace().save(tmp_path / "switch"))
    cut = rebatch(saved, 3, phase="prefill")
    step = cut.steps.step(0)
    forced, weights = {}, {}
    for site in saved.sites:
        rows = int(saved.rows_per_unit(site)[:3].sum())
        decided = saved.decisions(site.name)
        assert decided.weights is not None
        forced[site.name] = decided.ids[:rows].astype(np.int64)
        weights[site.name] = decided.weights[:rows]
    assert any((ids < 0).any() for ids in forced.values())
    assignment = dict(saved.header.captured)
    recorder = live().record(as_batches(sentences())[0], Execution(assignment, forced, weights))
    assert name_of(assignment) == "looped"
    pair("switch", assignment, step, recorder, cut.regime, saved).assert_conforms()


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.5, 2.0])
def test_dropped_rows_are_those_that_the_live_router_masks(factor: float) -> None:
    """Row by row, in every layer of the encoder and the decoder."""
    limited = switch()
    masks: dict[str, list[torch.Tensor]] = {}
    for name, module in limited.named_modules():
        if hasattr(module, "expert_capacity"):
            module.expert_capacity = int(np.ceil(factor * SOURCES[0][1] / EXPERTS))
            kept = masks.setdefault(name.removesuffix("router") + "experts", [])
            module.register_forward_hook(lambda _m, _a, out, kept=kept: kept.append(out[0]))
    batches = as_batches(sentences())
    found = LiveModel.of(limited)
    found.run(batches[0], Execution())
    for kept in masks.values():
        kept.clear()
    seen = observe(found, batches, unit_rows={s.name: s.unit_rows for s in trace().sites})
    for name, decisions in seen.joined().items():
        own = torch.cat([mask.flatten(0, 1) for mask in masks[name][-len(batches) :]])
        taken = own.sum(-1)
        expected = np.where(taken > 0, own.argmax(-1), -1)
        assert (decisions.ids[:, 0] == expected).all(), name
