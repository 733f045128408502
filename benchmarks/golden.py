"""Every prediction of the shipped traces, kept in one table: what a change of the code must not
change.

    python -m benchmarks.golden            # compare every prediction with the table
    python -m benchmarks.golden --write    # make the table anew, after an intended change

A row is one question (trace, device, strategy, runtime, baseline, batch, phase, protocol) and the
numbers of its answer. Numbers are compared relatively; `TOLERANCE` is what float sums in another
order may differ by.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from condsim.predict.choose import strategies_on

TABLE = Path(__file__).parent / "golden.parquet"
TOLERANCE = 1e-9
AS_WRITTEN = argparse.RawDescriptionHelpFormatter
QUESTION = ["trace", "device", "strategy", "runtime", "baseline", "batch", "phase", "protocol"]
BASELINES = ("same-params", "same-flops")
BATCHES = (1, 0)
"""One unit a step, and as many as were captured (0)."""
CAPTURED_PROFILE = "captured"
"""The calibrated profile that a trace carries."""
RUNTIMES = {"gpu": ("eager", "compiled", "cuda_graphs"), "cpu": ("eager",), "tpu": ("xla",)}
NPU_RUNTIMES = ("npu",)


def questions() -> Iterator[dict[str, Any]]:
    """Every question that the table has, as arguments of `answer`."""
    for folder in sorted(Path("traces").iterdir()):
        trace = condsim.load(folder)
        devices = sorted(p.stem for p in Path("hwprofiles").glob("*.yaml"))
        if trace.profile is not None:
            devices = [CAPTURED_PROFILE, *devices]
        for device in devices:
            yield from _of_one_device(trace, folder.name, device)


def _of_one_device(trace: Any, name: str, device: str) -> Iterator[dict[str, Any]]:
    profile = trace.profile if device == CAPTURED_PROFILE else condsim.hardware(device)
    phases = dict.fromkeys(trace.steps["phase"])
    protocols = ("stream", "repeat") if profile.calibrated else ("stream",)
    for runtime in RUNTIMES.get(profile.kind, NPU_RUNTIMES):
        strategies = strategies_on(trace, profile, runtime)
        for strategy, phase, batch, baseline, protocol in itertools.product(
            strategies, phases, BATCHES, BASELINES, protocols
        ):
            yield {
                "trace": name,
                "device": device,
                "strategy": strategy,
                "runtime": runtime,
                "baseline": baseline,
                "batch": batch,
                "phase": phase,
                "protocol": protocol,
            }


def answer(trace: Any, question: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one prediction; its error where it is refused. Batch 0 is the captured one."""
    device = question["device"]
    profile = trace.profile if device == CAPTURED_PROFILE else device
    try:
        p = condsim.simulate(
            trace,
            profile,
            question["strategy"],
            question["batch"] or None,
            question["baseline"],
            runtime=question["runtime"],
            phase=question["phase"],
            protocol=question["protocol"],
        )
    except condsim.CondsimError as error:
        return {"error": str(error)}
    numbers: dict[str, Any] = {
        "error": "",
        "speedup": p.speedup,
        "speedup_low": p.speedup_interval[0],
        "speedup_high": p.speedup_interval[1],
        "latency_s": p.latency_s,
        "latency_low": p.latency_interval[0],
        "latency_high": p.latency_interval[1],
        "baseline_s": p.baseline_s,
        "energy_j": p.energy_j,
        "baseline_energy_j": p.baseline_energy_j,
        "peak_bytes": p.peak_bytes,
        "baseline_peak_bytes": p.baseline_peak_bytes,
        "flops_ratio": p.flops_ratio,
        "executed_flops": p.executed_flops,
        "baseline_flops": p.baseline_flops,
        "steps": len(p.steps),
        "graphs": p.graphs,
        "prepare_s": p.prepare_s,
    }
    for name, value in p.rivals.items():
        numbers[f"rival.{name}"] = value
    for row in p.waterfall.to_dict("records"):
        numbers[f"world.{row['world']}"] = row["factor"]
    return numbers


def answers(asked: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a question, in order."""
    traces: dict[str, Any] = {}
    rows = []
    for number, question in enumerate(asked):
        name = question["trace"]
        if name not in traces:
            traces = {name: condsim.load(Path("traces") / name)}
        rows.append(question | answer(traces[name], question))
        if number % 100 == 0:
            print(f"{number} of {len(asked)}", file=sys.stderr)
    return pd.DataFrame(rows)


def differences(expected: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """A row a number that differs: the question, column, expected, found, relative difference."""
    rows = []
    for column in expected.columns.difference(QUESTION, sort=False):
        relative = _relative_difference(expected[column], found[column])
        for i in np.flatnonzero(relative > TOLERANCE):
            asked = {name: expected[name].iloc[i] for name in QUESTION}
            values = {"expected": expected[column].iloc[i], "found": found[column].iloc[i]}
            rows.append(asked | {"column": column} | values | {"relative": relative.iloc[i]})
    return pd.DataFrame(rows, columns=[*QUESTION, "column", "expected", "found", "relative"])


def _relative_difference(before: pd.Series, after: pd.Series) -> pd.Series:
    """0 where both say the same or both say nothing, infinite where only one says something."""
    if before.name == "error":
        return (before != after).map({True: np.inf, False: 0.0})
    relative = (after - before).abs() / np.maximum(before.abs(), 1e-300)
    one_is_missing = before.isna() != after.isna()
    return relative.fillna(0.0).mask(one_is_missing, np.inf)


def sample(expected: pd.DataFrame, questions: int) -> pd.DataFrame:
    """About so many rows of the table, evenly spread over traces, devices and strategies."""
    return expected.iloc[:: max(1, len(expected) // questions)].reset_index(drop=True)


def compare(expected: pd.DataFrame) -> pd.DataFrame:
    """What today's answers to the questions of a table differ in."""
    found = answers(expected[QUESTION].to_dict("records"))
    return differences(expected, found.reindex(columns=expected.columns))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=AS_WRITTEN)
    arguments.add_argument("--write", action="store_true", help="make the table anew")
    if arguments.parse_args().write:
        answers(list(questions())).to_parquet(TABLE, index=False)
        return
    different = compare(pd.read_parquet(TABLE))
    with pd.option_context("display.width", 250, "display.max_columns", 20):
        print(different)
    print(f"{len(different)} numbers differ")
    sys.exit(1 if len(different) else 0)


if __name__ == "__main__":
    main()
