"""Published speedups of drafting with a part of the model, beside what condsim says a cycle
costs.

    python -m benchmarks.drafting [--table FILE]

FILE (default: ../shared/decoding/measured.csv) holds speedups of Qwen2.5-0.5B on an A40 at batch 1
(`economize` 0.3.2, METADATA). There is no profile of an A40: the A10G has the same chip, and only
ratios are compared. How many drafts are kept is not published, so a row is answered twice: which
kept drafts a cycle the published speedup means, and what speedup there would be if drafts were kept
as often as those of the exit of `traces/exit-bytes` that stands about as deep.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import pandas as pd

import condsim
from condsim.catalogue.parts.base import CatalogueModel
from condsim.catalogue.parts.programs import programs_of
from condsim.cost.device import Target
from condsim.decide.speculation.cycle import tokens_a_cycle
from condsim.hardware import hardware
from condsim.predict.dense import dense_step
from condsim.program.regime import DECODE, PREFILL, Regime
from condsim.resources import resource
from condsim.runtimes import choose_runtime

TABLE = Path(__file__).resolve().parents[2] / "shared" / "decoding" / "measured.csv"
DEVICE, DTYPE, RUNTIME, CONTEXT = "nvidia-a10g", "bf16", "cuda_graphs", 512
LAYERS, VOCABULARY, OF_DRAFTS = 24, 151_936, 32_768
"""Blocks of the model, its vocabulary, and the part of it that drafts are made of."""
DRAFTERS = {"early_exit": (3, "exit0"), "layer_skip": (14, "exit1")}
"""Drafter → blocks that a draft runs, and the exit of exit-bytes (8 layers) that is about as
deep."""
DRAFTS = (1, 2, 3, 4, 5, 6)


def qwen(layers: int, vocabulary: int) -> CatalogueModel:
    """Qwen2.5-0.5B with so many of its blocks, and of its tokens."""
    config = {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": layers,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
    }
    name = f"qwen2.5-0.5b-{layers}-{vocabulary}"
    return CatalogueModel(name, name, "qwen2", config, 0.5e9, "economize 0.3.2", "Apache-2.0")


@functools.cache
def seconds(layers: int, vocabulary: int, tokens: int = 1) -> float:
    """Of a decode step of one sequence; or of a pass over several tokens, which reads the
    weights once."""
    model = qwen(layers, vocabulary)
    regime = Regime(DECODE if tokens == 1 else PREFILL, single=True)
    programs = programs_of(model, regime)
    profile = hardware(DEVICE)
    parameters = programs.header.provenance.parameters
    target = Target(profile, DTYPE, choose_runtime(RUNTIME, profile), parameters)
    total = CONTEXT if tokens == 1 else tokens
    return dense_step(programs, target, 1, tokens, total).latency_s


def costs(drafter: str) -> dict[int, float]:
    """Drafts a cycle → what the cycle costs, in plain steps."""
    layers, _ = DRAFTERS[drafter]
    plain_s = seconds(LAYERS, VOCABULARY)
    draft_s = seconds(layers, OF_DRAFTS)
    return {n: (n * draft_s + seconds(LAYERS, VOCABULARY, n + 1)) / plain_s for n in DRAFTS}


def answers(published: pd.DataFrame) -> pd.DataFrame:
    """A row for each published one: the number of drafts that would be best with our acceptance,
    what the cycle costs, what the published speedup means for it, and what ours would give."""
    trace = condsim.load(resource("traces") / "exit-bytes")
    rows = []
    for row in published[published["drafter"].isin(DRAFTERS)].to_dict("records"):
        of_drafts = costs(row["drafter"])
        exit = DRAFTERS[row["drafter"]][1]
        ours = {n: tokens_a_cycle(trace, exit, n) / cost for n, cost in of_drafts.items()}
        best = max(ours, key=ours.__getitem__)
        rows.append(
            {
                "id": row["id"],
                "published": row["speedup"],
                "drafts": best,
                "cost": of_drafts[best],
                "kept_for_1x": of_drafts[best] - 1,
                "kept_as_published": row["speedup"] * of_drafts[best] - 1,
                "kept_here": ours[best] * of_drafts[best] - 1,
                "with_ours": ours[best],
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args()
    if not given.table.exists():
        print(f"no published speedups in {given.table}: skipped")
        return
    for drafter in DRAFTERS:
        of_drafts = ", ".join(f"{n}: {cost:.2f}" for n, cost in costs(drafter).items())
        print(f"{drafter}: plain steps that a cycle costs, by drafts: {of_drafts}")
    print(answers(pd.read_csv(given.table)).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
