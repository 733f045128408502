"""Strategy `switched` beside real static partitions: the zoo's early-exit and skip networks, cut
at their decisions and run by onnxruntime on one thread.

    python -m benchmarks.onnx_partitions [--fresh calibrate | --fresh measure] [--json]

Without --fresh the profile (`benchmarks/partitions/profile.yaml`) and the times (`measured.csv`
beside it) are those stored; `--fresh calibrate` and `--fresh measure` make them again, each within
three minutes of a quiet core. The profile knows graphs of one operator and chains of convolutions
alone. Errors are |predicted / measured - 1| in %.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

import condsim
from condsim.files import write_whole
from condsim.hardware import HardwareProfile
from condsim.resources import resource
from condsim.trace import Trace

FOLDER = Path(__file__).with_name("partitions")
PROFILE, MEASURED = FOLDER / "profile.yaml", FOLDER / "measured.csv"
WHAT_IF: dict[str, dict[str, Any]] = {
    "launch and switch": {"graphs.launch": 1e-12, "graphs.switch": 1e-12},
    "layout at a boundary": {"graphs.boundary": None},
    "evicted weights": {"residency": None},
}
"""Effect → the profile without it."""


@functools.cache
def trace(model: str, threshold: float) -> tuple[Trace, float | None]:
    """(trace, threshold to simulate it at).

    Exits are decided anew from the scores of the shipped trace; a skip changes what later gates
    see, so its routing is captured.
    """
    if model == "exit-fashion":
        return condsim.load(resource("traces") / model), threshold
    if threshold == 0:
        return condsim.load(resource("traces") / model), None
    from benchmarks.partitions.measure import STEPS, with_threshold
    from condsim.zoo import load

    example = load(model, batch=32, batches=-(-max(b * n for b, n in STEPS.items()) // 32))
    return condsim.capture(
        with_threshold(example.model, threshold), example.inputs, measure=False
    ), None  # type: ignore[arg-type]


def predicted(measured: pd.DataFrame, profile: HardwareProfile) -> pd.DataFrame:
    """A row a case: measured and predicted seconds of a step (their mean), speedup, and errors."""
    rows = []
    for (model, threshold, batch), group in measured.groupby(
        ["model", "threshold", "batch"], sort=False
    ):
        of, at = trace(str(model), float(threshold))
        p = condsim.simulate(
            of,
            profile,
            "switched",
            int(batch),
            threshold=at,
            protocol="repeat",
            steps=[int(s) for s in group["step"]],
        )
        switched, plain = group["switched_s"].mean(), group["plain_s"].mean()
        rows.append(
            {
                "model": model,
                "threshold": threshold,
                "batch": batch,
                "steps": len(group),
                "predicted_s": p.latency_s,
                "measured_s": switched,
                "predicted_plain_s": p.baseline_s,
                "measured_plain_s": plain,
                "predicted_speedup": p.speedup,
                "measured_speedup": plain / switched,
                "flop_ratio": p.flops_ratio,
                "low": p.speedup_interval[0],
                "high": p.speedup_interval[1],
            }
        )
    table = pd.DataFrame(rows)
    table["latency_error"] = table["predicted_s"] / table["measured_s"] - 1
    table["plain_error"] = table["predicted_plain_s"] / table["measured_plain_s"] - 1
    table["speedup_error"] = table["predicted_speedup"] / table["measured_speedup"] - 1
    table["flop_ratio_error"] = table["flop_ratio"] / table["measured_speedup"] - 1
    return table


def errors(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Median and 90th percentile of |error|, %."""
    names = ("latency", "plain", "speedup", "flop_ratio")
    return {
        n: (
            100 * float(table[f"{n}_error"].abs().median()),
            100 * float(table[f"{n}_error"].abs().quantile(0.9)),
        )
        for n in names
    }


def stored() -> tuple[pd.DataFrame, HardwareProfile]:
    """What was measured, and the profile. Lines that begin with # say when and how."""
    return pd.read_csv(MEASURED, comment="#"), condsim.hardware(PROFILE)


def measure_all() -> None:
    """Write the times of all cases."""
    import datetime

    import onnxruntime
    import torch

    from benchmarks.partitions.measure import cases, measure
    from condsim.hardware import fingerprint

    parts = []
    for case in cases():
        print(case, file=sys.stderr, flush=True)
        parts.append(measure(case))
    versions = f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}"
    how = f"{versions}; {fingerprint()['cpu']}, one thread, fp32"
    command = "python -m benchmarks.onnx_partitions --fresh measure"
    head = f"# {command}; {datetime.date.today()}; {how}\n"
    write_whole(MEASURED, head + pd.concat(parts).to_csv(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fresh",
        choices=["calibrate", "measure"],
        action="append",
        default=[],
        help="make what is stored again first",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if "calibrate" in options.fresh:
        from benchmarks.partitions.calibrate import calibrate

        calibrate().save(PROFILE)
    if "measure" in options.fresh:
        measure_all()
    measured, profile = stored()
    table = predicted(measured, profile)
    worth = {
        name: errors(predicted(measured, profile.replace(**without)))
        for name, without in WHAT_IF.items()
    }
    if options.json:
        print(
            json.dumps(
                {"cases": table.to_dict("records"), "errors": errors(table), "without": worth}
            )
        )
        return
    print(
        "model         threshold batch  measured ms  predicted   error   speedup  predicted   error"
    )
    for r in table.itertuples():
        measured_ms, predicted_ms = 1e3 * r.measured_s, 1e3 * r.predicted_s
        print(
            f"{r.model:14s}{r.threshold:9.2f}{r.batch:6d}"
            f"{measured_ms:13.3f}{predicted_ms:11.3f}{r.latency_error:8.1%}"
            f"{r.measured_speedup:9.2f}x{r.predicted_speedup:10.2f}x{r.speedup_error:8.1%}"
        )
    print(
        f"\n{len(table)} cases; |error| in %, median / 90th percentile: "
        "latency, plain latency, speedup, speedup by FLOPs"
    )
    for name, found in {
        "as predicted": errors(table),
        **{f"without {n}": e for n, e in worth.items()},
    }.items():
        print(f"{name:30s}" + "  ".join(f"{a:5.1f} /{b:6.1f}" for a, b in found.values()))


if __name__ == "__main__":
    main()
