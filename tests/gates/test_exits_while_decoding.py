"""The gates of a decoder whose tokens leave at exits of their own, step by step of its decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import condsim
from condsim.capture.probe import key
from condsim.live.decode import decode_step
from condsim.live.execution import Execution, executing
from condsim.live.inputs import as_batches
from condsim.lower import lower
from condsim.measure.replay import Captured, Replay
from condsim.steps.rebatch import rebatch, site_rules
from condsim.zoo.exit_bytes import ExitBytes
from gates.harness import assignments, forced_pairs, live, pair
from gates.models import DECODER, case, same

WAYS = ("projected", "copied", "recomputed", "wait", "masked")
LEAVE, GO_ON = 0, 1


def model() -> ExitBytes:
    found = case(DECODER).model
    assert isinstance(found, ExitBytes)
    return found


@torch.no_grad()
def dense(ids: torch.Tensor) -> torch.Tensor:
    """Logits of a plain decoder of the same weights: no cache, no exits, written anew."""
    of = model()
    x = of.embed.weight[ids]
    for layer in of.layers:
        h = F.layer_norm(x, x.shape[-1:], layer.attention_norm.weight, layer.attention_norm.bias)
        k, v = (h @ layer.pair.weight.T).chunk(2, -1)
        heads = [t.view(*t.shape[:2], layer.heads, -1) for t in (h @ layer.query.weight.T, k, v)]
        q, k, v = (t.transpose(1, 2) for t in heads)
        q, k = turned(q), turned(k)
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        mixed = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v
        x = x + mixed.transpose(1, 2).flatten(2) @ layer.out.weight.T
        h = F.layer_norm(x, x.shape[-1:], layer.ffn_norm.weight, layer.ffn_norm.bias)
        x = x + layer.down(layer.up(h).clamp(min=0))
    result: torch.Tensor = of.head(of.norm(x))
    return result


def turned(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions as complex numbers. x: [units, heads, positions, width]."""
    half = x.shape[-1] // 2
    pairs = torch.complex(*x.split(half, -1))
    frequency = 1000.0 ** (-torch.arange(half) / half)
    angle = torch.arange(x.shape[2])[:, None] * frequency
    result = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([result.real, result.imag], -1)


@torch.no_grad()
def run(strategy: str, decisions: list[list[int]] | None = None, steps: int = 4) -> Any:
    """(tokens [units, all], logits of every step). decisions: exits that each unit passes, a list a
    step; None for the model's own."""
    ids = case(DECODER).inputs[0]["input_ids"]
    out, logits = model()(ids), []
    for step in range(len(decisions) if decisions else steps):
        token = out.logits[:, -1:].argmax(-1)
        ids = torch.cat([ids, token], 1)
        forced = None if decisions is None else passing(decisions[step])
        with executing(Execution({"*": strategy}, forced=forced)):
            out = model()(token, out.past_key_values)
        logits.append(out.logits.clone())
    return ids, logits, out.past_key_values


def passing(exits: list[int]) -> dict[str, np.ndarray]:
    """Forced decisions of units that pass so many exits."""
    depth = np.array(exits)
    return {f"exit{number}": (depth > number).astype(np.int64) for number in range(2)}


def test_every_program_gives_the_recorded_stream() -> None:
    for strategy in assignments(DECODER):
        for one in forced_pairs(DECODER, strategy):
            one.assert_same_order()


def test_random_decisions() -> None:
    for strategy in assignments(DECODER):
        for one in forced_pairs(DECODER, strategy):
            one.assert_conforms()


def test_every_size_fits_a_form() -> None:
    assert not [p.flagged for p in case(DECODER).trace.programs.values() if p.flagged]
    assert case(DECODER).trace.header.notes == ()


@pytest.mark.parametrize("strategy", [*WAYS, "same-params", "same-flops"])
def test_decisions_of_the_trace_at_other_batch_sizes(strategy: str) -> None:
    """What the trace's sequences owe at each of their steps, too."""
    trace, assignment = case(DECODER).trace, assignments(DECODER)[strategy]
    captured = Captured(trace, live(DECODER), as_batches(case(DECODER).inputs))
    for batch in (1, 3, 4):
        replay, cut = Replay(captured, batch, "decode"), rebatch(trace, batch)
        for number in (0, len(cut) // 2, len(cut) - 1):
            step = replay.step(number)
            one = cut.steps.step(number)
            kept = {name: rows[0] for name, rows in one.kept.items()}
            forced = {name: ids.astype(np.int64) for name, ids in step.ids.items()}
            execution = Execution(assignment, forced, rows_kept=kept)
            cache = step.cache(assignment)
            recorder = live(DECODER).record(step.batch, execution, **cache)
            pair(DECODER, assignment, one, recorder, cut.regime, trace).assert_conforms()


def test_sequences_owe_at_some_steps() -> None:
    owed = rebatch(case(DECODER).trace, 4).steps.owed
    assert max(tokens.max() for tokens in owed.values()) > 1


def test_replay_gives_the_same_bits() -> None:
    assert same(*(replayed(forced) for forced in (False, True)))


@torch.no_grad()
def replayed(forced: bool) -> list[torch.Tensor]:
    """Logits of every decode step; with the decisions of the trace, or the model's own."""
    of, results = case(DECODER), []
    way = condsim.force(of.model, of.trace) if forced else executing(Execution())
    with way:
        for inputs in of.inputs:
            out = of.model(**inputs)
            for _ in range(of.new_tokens):
                out = of.model(out.logits[:, -1:].argmax(-1), out.past_key_values)
                results.append(out.logits.clone())
    return results


def test_same_params_is_the_dense_model() -> None:
    ids, logits, _ = run("same-params")
    expected = dense(ids)[:, -len(logits) :]
    torch.testing.assert_close(torch.cat(logits, 1), expected, rtol=1e-4, atol=1e-4)
    assert not same(logits, run("projected")[1])


@pytest.mark.parametrize("strategy", ["recomputed", "masked"])
def test_who_goes_on_sees_what_all_layers_would_have_made(strategy: str) -> None:
    """Sequences leave at different exits for some steps; then all go on, as if nobody had left."""
    ids, logits, _ = run(strategy, [[2, 0, 1, 0], [0, 0, 1, 2], [1, 0, 2, 0], [2, 2, 2, 2]])
    torch.testing.assert_close(logits[-1], dense(ids)[:, -1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strategy", ["projected", "copied"])
def test_what_is_paid_at_an_exit(strategy: str) -> None:
    """Who leaves at the second exit pays the layers after it with what is said, and no others."""
    depths, left, stayed = [[1, 2, 1, 2]], [0, 2], [1, 3]
    cache, whole = run(strategy, depths)[2], run("masked", depths)[2]
    state = run("recomputed", depths)[2].states[1]
    newest = cache.position - 1
    for layer in (2, 3):
        own, exact = cache.pairs[layer][:, newest], whole.pairs[layer][:, newest]
        assert torch.allclose(own[stayed], exact[stayed], atol=1e-5)
        owed = cache.pairs[1][left, newest]
        if strategy == "projected":
            with torch.no_grad():
                turn = model().cos[: state.shape[1]], model().sin[: state.shape[1]]
                owed = model().layers[layer].pairs(state[left], turn)[:, newest]
        assert torch.allclose(own[left], owed, atol=1e-5)
    assert not torch.allclose(own[left], exact[left], atol=1e-3)


def test_sites_show_themselves_in_a_decode_step() -> None:
    trace = case(DECODER).trace
    assert set(trace.steps["phase"]) == {"decode"}
    assert [site.name for site in trace.sites] == ["exit0", "exit1"]
    program = trace.programs[key({"token_exit": "masked"}, "decode-n")]
    step = rebatch(trace, 4).steps.step(0)
    calls = lower(program, site_rules(trace), {"token_exit": "masked"}, step).sequence()
    assert sum(call.op.name == "scaled_dot_product_attention" for call in calls) == 4


def test_one_step_is_what_generation_runs() -> None:
    batch = as_batches(case(DECODER).inputs)[0]
    step = decode_step(live(DECODER), batch, 2)
    assert step.cache["past_key_values"].position == 12
