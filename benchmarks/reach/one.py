"""Capture a small model of one type and hold it against independent counts; prints a line of
JSON."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import condsim
from benchmarks.reach.small import model
from benchmarks.reach.types import READERS
from condsim.trace import Trace

UNITS, SEQ, NEW = 3, 12, 2
DEVICE = "nvidia-h100-sxm"
TOLERANCE = 1e-3


def outcome(name: str) -> dict[str, str]:
    """What came of a type."""
    warnings.filterwarnings("ignore")
    built = model(name)
    torch.manual_seed(1)
    ids = torch.randint(3, 100, (UNITS, SEQ))
    inputs = {"input_ids": ids}
    if built.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(3, 100, (UNITS, SEQ // 2))
    new_tokens = 0 if name in READERS else NEW
    try:
        trace = condsim.capture(built, inputs, measure=False, new_tokens=new_tokens)
    except condsim.CondsimError as error:
        return _refused(str(error))
    wrong = list(_wrong(trace, built, inputs, new_tokens))
    if wrong:
        return {"outcome": "wrong", "why": "; ".join(wrong)}
    sites = len(trace.sites)
    return {"outcome": "right", "why": f"{sites} layers, top {trace.sites[0].top_k}"}


def _refused(said: str) -> dict[str, str]:
    """One line of at most so many characters is a refusal, more is not."""
    clear = "\n" not in said.strip()
    return {"outcome": "refused" if clear else "unclear", "why": said.strip()[:300]}


def _wrong(
    trace: Trace, built: torch.nn.Module, inputs: dict[str, torch.Tensor], new_tokens: int
) -> Iterator[str]:
    """What differs from independent counts."""
    rows = {UNITS * (SEQ + max(new_tokens - 1, 0)), UNITS * (SEQ + new_tokens)}
    if built.config.is_encoder_decoder:
        rows.add(UNITS * (SEQ // 2))
    for site in trace.sites:
        decided = len(trace.decisions(site.name).ids)
        if decided not in rows:
            yield f"{site.name}: {decided} rows, {max(rows)} ran"
    counted = _counted(built, inputs)
    prediction = condsim.simulate(trace, DEVICE, dtype="fp32", phase="prefill", runtime="eager")
    off = prediction.executed_flops / counted - 1
    if abs(off) > TOLERANCE:
        yield f"prefill FLOPs {off:+.1%}"


def _counted(built: Any, inputs: dict[str, torch.Tensor]) -> int:
    """FLOPs of a live forward.

    Experts and attention run as plain products: the counter knows neither grouped products nor the
    CPU's kernel of attention.
    """
    built.requires_grad_(False)
    built.set_experts_implementation("eager")
    built.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        built(**inputs)
    flops: int = counter.get_total_flops()
    return flops


if __name__ == "__main__":
    print(json.dumps(outcome(sys.argv[1])))
