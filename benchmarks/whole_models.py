"""Hold predictions of whole models on GPUs against what serving engines measured.

    python -m benchmarks.whole_models [SILICON_SAMPLE.csv] [--json FILE]
    python -m benchmarks.whole_models --tensor 120 [SILICON_SAMPLE.csv] [--json FILE]

The file is `aiconfigurator_core/systems/silicon_sample.csv` of `aiconfigurator-core==0.12.0`
(PyPI, Apache-2.0), which is fetched where none is named. Nothing is fitted to it. Rows are taken of
one device (no tensor or data parallelism), of models of the catalogue, in a dtype that condsim has;
what is left out, and why, is counted. Rows alike in all columns are taken once. --tensor takes so
many rows of several devices that share every layer, the first by the hash of their name.

The rows were made by InferenceMAX (github.com/SemiAnalysisAI/InferenceX, benchmarks/*.sh), whose
settings are taken over: prompts and answers of 0.8 to 1 times the length that is named (so 0.9 on
average), caches in fp8 but for gpt-oss on Hopper, nine tenths of the memory for the engine.

Measured is the time per output token of a batch that is always full: after every `osl` steps a
sequence ends and another one's prompt is processed in between. So predicted is a decode step at the
mean context, and the share of a prompt that falls on it: batch / osl prompts. Sequences whose
caches have no room wait, so the batch is the one that fits. The time to the first token is that of
one prompt alone, without a queue.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.engines.rows import DEVICES, MODELS, rows
from benchmarks.engines.steps import Serving, serving_of

BAR = 0.12
"""Of the median error of the time per output token."""


def compared(taken: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row a measurement."""
    known: dict[Serving, tuple[float, float, int]] = {}
    for row in taken.itertuples():
        asked = serving_of(row)
        if asked not in known:
            batch = asked.batch_that_fits()
            known[asked] = (asked.token_s(batch), asked.prompt_s, batch)
            print(asked, known[asked], file=sys.stderr, flush=True)
        token_s, prompt_s, batch = known[asked]
        measured_ms = float(row.silicon_tpot_ms)
        first_ms = float(row.silicon_ttft_ms)
        yield {
            "model": MODELS[row.model_path],
            "device": DEVICES[row.system],
            "engine": row.backend,
            "precision": row.precision,
            "batch": int(row.batch_size),
            "fits": batch,
            "ranks": asked.ranks,
            "isl": int(row.isl),
            "osl": int(row.osl),
            "measured_ms": measured_ms,
            "predicted_ms": 1e3 * token_s,
            "error": 1e3 * token_s / measured_ms - 1,
            "first_measured_ms": first_ms,
            "first_predicted_ms": 1e3 * prompt_s,
            "first_error": 1e3 * prompt_s / first_ms - 1,
        }


def show(table: pd.DataFrame, left_out: Counter[str]) -> None:
    """Print the rows, what is left out, and errors by what could cause them."""
    with pd.option_context("display.width", 250):
        print(table.round(3).to_string(index=False))
    print("\nleft out:", dict(left_out))
    off = table.assign(off=table["error"].abs())
    for by in (["model", "device", "engine"], ["ranks"], ["isl", "osl"], ["batch"]):
        groups = off.groupby(by)
        at = groups["off"].quantile([0.5, 0.9]).unstack()
        signed = groups["error"].median()
        print("\n", at.assign(signed=signed, rows=groups.size()).round(3).to_string(), sep="")
    for what, name in (("time per output token", "error"), ("to the first", "first_error")):
        errors = table[name]
        print(f"{what}, {len(table)} rows: median |error| {errors.abs().median():.1%}, ", end="")
        print(f"90th percentile {errors.abs().quantile(0.9):.1%}, median {np.median(errors):+.1%}")


def main(arguments: list[str]) -> int:
    """Returns 1 where the bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sample", type=Path, nargs="?")
    parser.add_argument("--tensor", type=int, help="rows of several devices, so many of them")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    taken, left_out = rows(asked.sample, tensor=asked.tensor is not None)
    if asked.tensor is not None:
        left_out["not among the first by hash"] = max(len(taken) - asked.tensor, 0)
        taken = taken.head(asked.tensor)
    table = pd.DataFrame(compared(taken))
    show(table, left_out)
    if asked.json is not None:
        asked.json.write_text(json.dumps(table.to_dict("records"), indent=1))
    missed = table["error"].abs().median() > BAR
    print(f"bar {BAR:.0%}:", "missed" if missed else "met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
