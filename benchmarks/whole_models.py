"""Whole models on one GPU, predicted beside what serving engines measured; nothing is fitted to it.

    python -m benchmarks.whole_models SILICON_SAMPLE.csv

The file is `aiconfigurator_core/systems/silicon_sample.csv` of `aiconfigurator-core==0.12.0`
(PyPI, Apache-2.0). Rows are taken of one device (no tensor or data parallelism), of models of the
catalogue, in a dtype that condsim has: what is left out, and why, is counted. Rows alike in all
columns are taken once.

Measured is the time per output token of a batch that is always full: after every `osl` steps a
sequence ends and another one's prompt is processed in between. So predicted is a decode step at the
mean context, and the share of a prompt that falls on it: batch / osl prompts.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim.catalogue import CATALOGUE
from condsim.catalogue.parts.programs import programs_of
from condsim.cost.device import Target
from condsim.hardware import hardware
from condsim.predict.dense import dense_step
from condsim.program.regime import DECODE, PREFILL, Regime
from condsim.runtimes import RUNTIMES

MODELS = {"meta-llama/Llama-3.1-70B": "llama-3.1-70b"}
"""Names of the file → of the catalogue; others are quantised to 4 bits or not in it."""
DEVICES = {
    "h100_sxm": "nvidia-h100-sxm",
    "h200_sxm": "nvidia-h200-sxm",
    "b200_sxm": "nvidia-b200",
}
DTYPES = {"fp8": "fp8", "bf16": "bf16"}


def rows(path: Path) -> tuple[pd.DataFrame, Counter[str]]:
    """(rows that can be predicted, reason → rows that are left out)."""
    table = pd.read_csv(path)
    names = [name for name in table if name not in ("id", "silicon_data_source")]
    table = table[table["mode"] == "agg"].drop_duplicates(names)
    single = table[(table["tp_size"] == 1) & (table["attention_dp_size"] <= 1)]
    left_out = Counter({"several devices": len(table) - len(single)})
    reasons = [_left_out(row) for row in single.itertuples()]
    left_out.update(reason for reason in reasons if reason)
    return single[[not reason for reason in reasons]], left_out


def _left_out(row: Any) -> str:
    if row.model_path not in MODELS:
        return f"model {row.model_path}"
    if row.system not in DEVICES:
        return f"device {row.system}"
    return "" if row.precision in DTYPES else f"weights in {row.precision}"


def predicted_s(row: Any) -> float:
    """Seconds per output token."""
    model = CATALOGUE[MODELS[row.model_path]]
    batch, prompt, new = int(row.batch_size), int(row.isl), int(row.osl)
    context = prompt + new // 2
    decode_s = _step_s(row, model.name, batch, 1, context)
    prompt_s = _step_s(row, model.name, 1, prompt, prompt)
    return decode_s + prompt_s * batch / new


def _step_s(row: Any, name: str, batch: int, seq: int, total: int) -> float:
    phase = PREFILL if seq == total else DECODE
    programs = programs_of(CATALOGUE[name], Regime.of_batch(phase, batch))
    parameters = programs.header.provenance.parameters
    device, dtype = hardware(DEVICES[row.system]), DTYPES[row.precision]
    target = Target(device, dtype, RUNTIMES["served"], parameters)
    return dense_step(programs, target, batch, seq, total).latency_s


def compared(path: Path) -> Iterator[dict[str, Any]]:
    """A row a measurement."""
    taken, _ = rows(path)
    for row in taken.itertuples():
        measured_s = float(row.silicon_tpot_ms) / 1e3
        predicted = predicted_s(row)
        yield {
            "model": MODELS[row.model_path],
            "device": DEVICES[row.system],
            "engine": row.backend,
            "batch": int(row.batch_size),
            "isl": int(row.isl),
            "osl": int(row.osl),
            "measured_ms": 1e3 * measured_s,
            "predicted_ms": 1e3 * predicted,
            "error": predicted / measured_s - 1,
        }


def main(arguments: list[str]) -> int:
    """Print the rows, what is left out, and errors by engine and device."""
    path = Path(arguments[0]) if arguments else None
    if path is None or not path.is_file():
        print("skipped: name the file of measurements, see the top of benchmarks/whole_models.py")
        return 0
    table = pd.DataFrame(compared(path))
    _, left_out = rows(path)
    with pd.option_context("display.width", 200):
        print(table.round(3).to_string(index=False))
    print("\nleft out:", dict(left_out))
    groups = table.assign(off=table["error"].abs()).groupby(["device", "engine"])
    print(groups["off"].quantile([0.5, 0.9]).unstack().round(3).to_string())
    errors = table["error"]
    print(f"\n{len(table)} rows: median |error| {errors.abs().median():.1%}, ", end="")
    print(f"90th percentile {errors.abs().quantile(0.9):.1%}, median {np.median(errors):+.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
