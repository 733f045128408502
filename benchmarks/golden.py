"""Every prediction of the shipped traces, kept in one table: what a change of the code must not change.

    python -m benchmarks.golden            # compare every prediction with the table
    python -m benchmarks.golden --write    # make the table anew, after an intended change

A row is one question (trace, device, strategy, runtime, baseline, batch, phase, protocol) and the
numbers of its answer. Numbers are compared relatively; `TOLERANCE` is what float sums in another
order may differ by.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim

TABLE = Path(__file__).parent / "golden.parquet"
TOLERANCE = 1e-9
QUESTION = ["trace", "device", "strategy", "runtime", "baseline", "batch", "phase", "protocol"]
BASELINES = ("same-params", "same-flops")
CAPTURED_PROFILE = "captured"
"""The calibrated profile that a trace carries."""
RUNTIMES = {"gpu": ("eager", "compiled", "cuda_graphs"), "cpu": ("eager",), "tpu": ("xla",)}
NPU_RUNTIMES = ("npu",)


def questions() -> Iterator[dict[str, Any]]:
    """Every question that the table has, as arguments of `answer`."""
    for folder in sorted(Path("traces").iterdir()):
        trace = condsim.load(folder)
        devices = [CAPTURED_PROFILE, *sorted(p.stem for p in Path("hwprofiles").glob("*.yaml"))]
        for device in devices:
            yield from _of_one_device(trace, folder.name, device)


def _of_one_device(trace: Any, name: str, device: str) -> Iterator[dict[str, Any]]:
    from condsim.strategies.choose import strategies_on

    profile = trace.profile if device == CAPTURED_PROFILE else condsim.hardware(device)
    for runtime in RUNTIMES.get(profile.kind, NPU_RUNTIMES):
        for strategy in strategies_on(trace, profile, runtime):
            for phase in dict.fromkeys(trace.steps["phase"]):
                for batch in (1, 0):
                    for baseline in BASELINES:
                        protocols = ("stream", "repeat") if profile.calibrated else ("stream",)
                        for protocol in protocols:
                            asked = (
                                name,
                                device,
                                strategy,
                                runtime,
                                baseline,
                                batch,
                                phase,
                                protocol,
                            )
                            yield dict(zip(QUESTION, asked, strict=True))


def answer(trace: Any, question: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one prediction; its error where it is refused. Batch 0 is the captured one."""
    device = question["device"]
    try:
        p = condsim.simulate(
            trace,
            trace.profile if device == CAPTURED_PROFILE else device,
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
    columns = [c for c in expected.columns if c not in QUESTION]
    for column in columns:
        before, after = expected[column], found[column]
        if column == "error":
            wrong = before != after
            relative = pd.Series(1.0, before.index)
        else:
            relative = (after - before).abs() / np.maximum(before.abs(), 1e-300)
            wrong = ~((relative <= TOLERANCE) | (before.isna() & after.isna()))
        for i in np.flatnonzero(wrong):
            asked = {name: expected[name].iloc[i] for name in QUESTION}
            values = {"column": column, "expected": before.iloc[i], "found": after.iloc[i]}
            rows.append(asked | values | {"relative": relative.iloc[i]})
    return pd.DataFrame(rows, columns=[*QUESTION, "column", "expected", "found", "relative"])


def main() -> None:
    if "--write" in sys.argv:
        answers(list(questions())).to_parquet(TABLE, index=False)
        return
    expected = pd.read_parquet(TABLE)
    found = answers(expected[QUESTION].to_dict("records"))
    found = found.reindex(columns=expected.columns)
    wrong = differences(expected, found)
    with pd.option_context(
        "display.width", 250, "display.max_columns", 20, "display.max_rows", 200
    ):
        print(wrong)
    print(f"{len(wrong)} of {found.notna().to_numpy().sum()} numbers differ")
    sys.exit(1 if len(wrong) else 0)


if __name__ == "__main__":
    main()
