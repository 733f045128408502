"""Served by vLLM and by condsim: time to first token, and time per output token.

    python -m benchmarks.serving.truth FOLDER

FOLDER has requests.csv (a row a request: its arrival, lengths, and the engine's own timestamps) and
runs.csv (a row a run: limits of the scheduler, blocks of KV memory). No constant is taken from
these runs: steps are priced from data sheets by the GPU model, with the runtime of serving engines.
The scheduler is planned ahead, as the runs show: requests are scheduled microseconds after they are
queued, while a step runs, and their first token comes a step later. Engines whose experts are
spread over devices step together: they gather all tokens before the experts, and scatter the sums
behind them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from condsim.catalogue import CATALOGUE
from condsim.hardware import hardware
from condsim.runtimes.runtime import SERVED
from condsim.serve.named import served_model
from condsim.serve.request_table import checked_requests

HERE = Path(__file__).parent
DEVICES = {"RTX4090": str(HERE / "nvidia-rtx-4090.yaml"), "RTXPRO6000": "nvidia-rtx-pro-6000"}
"""As the runs name them → profile: the second is a Server Edition by the simulator's own 1,597
GB/s."""
STEP_OVERHEAD_S = 0.9e-3
"""What a step of vLLM takes beside its kernels: whole steps of prompts of 1, 256 and 268 tokens are
1.2, 0.7 and 0.9 ms longer than their kernels together. Source: casys-kaist/LLMServingSim, its
profiles of this model on the RTX PRO 6000 (step.csv less dense.csv, attention.csv and
per_sequence.csv), which are not of the runs that are predicted."""
MODELS = {
    "meta-llama/Llama-3.1-8B": "llama-3.1-8b",
    "Qwen/Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b",
}


def predicted(run: Mapping[str, Any], requests: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return (time to first token, time per output token) of every request, and all that was
    said."""
    columns = {
        "arrival_s": requests["arrival_s"].cummax(),
        "prompt_tokens": requests["prompt_tokens"],
        "output_tokens": requests["output_tokens"],
        "cached_tokens": np.minimum(
            requests["shared_prefix_tokens"].fillna(0), requests["prompt_tokens"] - 1
        ),
    }
    blocks = run["kv_blocks"]
    trace = served_model(CATALOGUE[MODELS[run["model"]]])
    ranks = int(run["expert_parallel"])
    parallel = condsim.Parallel(expert=ranks, exchange="all-gather") if ranks > 1 else None
    served = condsim.serve(
        trace,
        hardware(DEVICES[run["gpu"]]),
        checked_requests(pd.DataFrame(columns)),
        scheduler="ahead",
        max_batch=int(run["max_num_seqs_per_engine"]),
        token_budget=int(run["max_batched_tokens_per_engine"]),
        kv_tokens=None if np.isnan(blocks) else int(blocks * run["kv_block_tokens"]),
        kv_block=int(run["kv_block_tokens"]),
        dispatch="least-loaded",
        replicas=int(run["data_parallel"]) // ranks,
        parallel=parallel,
        runtime=SERVED.name,
        overhead_s=STEP_OVERHEAD_S,
    )
    return served.ttft_s, served.time_per_output_token_s, served


def compared(run: Mapping[str, Any], requests: pd.DataFrame) -> dict[str, Any]:
    """A row: medians and means, predicted and measured, and the error a request.

    The engine's time to first token begins when it takes a request in, which it does between two
    steps; ours when the request arrives.
    """
    ttft, tpot, served = predicted(run, requests)
    timed = requests["first_token_s"].notna().to_numpy()
    tokens = np.maximum(requests["output_tokens"] - 1, 1)
    measured = {
        "ttft": (requests["first_token_s"] - requests["queued_s"]).to_numpy(),
        "ttft_since_arrival": (requests["first_token_s"] - requests["arrival_s"]).to_numpy(),
        "tpot": ((requests["last_token_s"] - requests["first_token_s"]) / tokens).to_numpy(),
    }
    row: dict[str, Any] = {
        "run": run["run"],
        "requests": int(timed.sum()),
        "devices": int(run["gpus"]),
    }
    for name, ours in (("ttft", ttft), ("ttft_since_arrival", ttft), ("tpot", tpot)):
        theirs = measured[name][timed]
        mine = ours[timed]
        row |= {
            f"{name}_measured_median_s": float(np.median(theirs)),
            f"{name}_predicted_median_s": float(np.median(mine)),
            f"{name}_error_median": float(np.median(mine) / np.median(theirs) - 1),
            f"{name}_error_mean": float(mine.mean() / theirs.mean() - 1),
            f"{name}_error_a_request": float(np.nanmedian(np.abs(mine / theirs - 1))),
        }
    return row | {
        "priced": served.conditional.priced,
        "pricing_error": served.conditional.pricing_error,
    }


def main() -> None:
    """Print a row a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", action="append", help="only this one; may be repeated")
    asked = parser.parse_args()
    runs = pd.read_csv(asked.folder / "runs.csv")
    requests = pd.read_csv(asked.folder / "requests.csv")
    rows = []
    for run in runs.to_dict("records"):
        if asked.run and run["run"] not in asked.run:
            continue
        rows.append(compared(run, requests[requests["run"] == run["run"]].reset_index(drop=True)))
        print(
            pd.Series(rows[-1]).to_string(float_format=lambda value: f"{value:.4g}"),
            "\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
