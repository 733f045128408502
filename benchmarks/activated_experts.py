"""Predict one mixture-of-experts block on a GPU by its tokens and *activated* experts.

    python -m benchmarks.activated_experts MOE.csv

MOE.csv has the columns tokens, activated_experts and latency_s. They are kernel seconds of the
block of Qwen3-30B-A3B-Instruct-2507 (bf16) on an RTX PRO 6000 Blackwell Server Edition under vLLM
0.19.0, with ids dealt round-robin over the activated experts. Source:
github.com/casys-kaist/LLMServingSim (MIT), profiler/perf/RTXPRO6000. The seconds are the sum of the
kernels' own times: nothing between kernels is in them, nor the router's softmax and top-k, whose
ids were given. Nothing is fitted to these rows.

Bars: median |error| 5 %, 90th percentile 15 %.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import condsim
from benchmarks.gpu.layer import ROWS, Layer, trace
from condsim.hardware import HardwareProfile
from condsim.program import Dim, Op, Scope, Tensor
from condsim.trace import Trace

LAYER = Layer(hidden=2048, inner=768, experts=128, top_k=8, here=128, gated=True)
DEVICE = "nvidia-rtx-pro-6000"
BARS = {0.5: 0.05, 0.9: 0.15}
EFFECTS = {
    "as it is": {},
    "without L2": {"memory.l2.bytes": 1.0},
    "without fixed time of a kernel": {"gpu.kernel_s": 1e-12},
    "without tiles": {"gpu.tile_s": 1e-15, "gpu.operand_bytes_per_clock": 1e20},
}


def measured(path: Path) -> pd.DataFrame:
    """What was measured, in rising order of tokens."""
    return pd.read_csv(path).sort_values(["tokens", "activated_experts"], ignore_index=True)


def block(rows: pd.DataFrame) -> Trace:
    """A step a row: the gate, and the experts with their rows dealt evenly over the activated."""
    draws = []
    for row in rows.itertuples():
        dealt = np.arange(row.tokens * LAYER.top_k) % row.activated_experts
        draws.append((int(row.tokens), np.bincount(dealt, minlength=LAYER.experts)))
    made = trace(LAYER, draws)
    fused = made.programs["fused/prefill-1"]
    _router, *experts = fused.root.nodes
    programs = {**made.programs, "fused/prefill-1": replace(fused, root=Scope((_gate(), *experts)))}
    return replace(made, programs=programs)


def _gate() -> Op:
    """The product that scores the experts."""
    weight = Tensor((Dim(LAYER.experts), Dim(LAYER.hidden)), "float", "gate")
    x = Tensor((ROWS, Dim(LAYER.hidden)), "float")
    return Op("linear", (x, weight), (Tensor((ROWS, Dim(LAYER.experts)), "float"),))


def predicted_s(of: Trace, profile: HardwareProfile) -> np.ndarray:
    """Kernel seconds of each step, float [steps]."""
    steps = list(range(len(of.steps)))
    prediction = condsim.simulate(of, profile, dtype="bf16", runtime="cuda_graphs", steps=steps)
    return prediction.steps["conditional_s"].to_numpy()


def main(arguments: list[str]) -> int:
    """Print each row and the errors, also without each effect. Returns 1 where a bar is missed."""
    path = Path(arguments[0]) if arguments else None
    if path is None or not path.is_file():
        print("skipped: name the file, see the top of benchmarks/activated_experts.py")
        return 0
    rows = measured(path)
    of = block(rows)
    device = condsim.hardware(DEVICE)
    errors = {}
    for effect, off in EFFECTS.items():
        errors[effect] = predicted_s(of, device.replace(**off)) / rows["latency_s"] - 1
    table = rows.assign(error=errors["as it is"])
    print(table.round({"error": 3}).to_string(index=False))
    for effect, error in errors.items():
        at = error.abs().quantile(list(BARS)).map("{:.1%}".format)
        print(f"{effect}: median {at[0.5]}, 90th percentile {at[0.9]}")
    missed = [q for q, bar in BARS.items() if errors["as it is"].abs().quantile(q) > bar]
    print("bars (5 %, 15 %):", "missed" if missed else "met")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
