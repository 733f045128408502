"""Training steps: seconds and peak memory, predicted beside measured, on this machine.

    python -m benchmarks.training [RUN] [--models NAME ...] [--part calibrate|seconds|bytes]
                                  [--minutes 4] [--json]

The frozen list is `benchmarks/suite/training.csv`: zoo models and families of transformers, looped,
grouped and batched, 8 to 64 experts, batch 1 to 32. This machine is calibrated (RUN/profile.yaml),
then each case is measured in this process, in pairs with its dense model of the same parameters,
and kept in RUN (default benchmarks/runs/training-DATE) as soon as it is done: a run that was cut
short goes on, and `--minutes` cuts it short after the case that runs then. A finished run is judged
again by the cost model of today. Bytes need no quiet machine, seconds do.

Rivals, in the same run: three times the measured forward ("backward = 2 x forward"), and MemTracker
of `torch.distributed._tools`, which watches a real step. What really lived is what PyTorch's
allocator reports of a step.

Targets: speedup 5 / 12 % (median, 90th percentile), latency 8 / 20 %, the order of looped and
grouped always right; peaks of looped experts 0.5 %, others exact.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import condsim
from benchmarks.suite.run import Told
from benchmarks.suite.trained import Case, build, captured, read
from benchmarks.training_memory import allocated_peak, tracked_peak
from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.hardware import HardwareProfile
from condsim.live.execution import executing
from condsim.live.inputs import as_batches, with_targets
from condsim.live.model import LiveModel
from condsim.live.training import in_training
from condsim.measure import measure_live
from condsim.measure.agreement import learn_sites
from condsim.measure.cases import assignments
from condsim.measure.plan import Plan
from condsim.measure.replay import Captured, Replay, Step
from condsim.measure.sides import Side, installed
from condsim.timing.clock import CPU, WALL
from condsim.trace import Trace

RUNS = Path(__file__).with_name("runs")
COMPARED = (
    "predicted_speedup",
    "measured_speedup",
    "error",
    "noisy",
    "predicted_latency_s",
    "measured_latency_s",
    "predicted_baseline_s",
    "measured_baseline_s",
)
PAIRS, STEPS = 10, 2
FORWARDS = 5
CLEAR = 0.05
"""Looped and grouped that differ by less have no order."""


@dataclass(frozen=True)
class Model:
    """A model in training with its trace and inputs."""

    captured: Captured

    @classmethod
    def of(cls, name: str) -> Model:
        """The model that a name says."""
        example = build(name)
        assert example.training is not None
        live = LiveModel.of(example.model, example.training)
        inputs = with_targets(as_batches(example.inputs), example.training.targets)
        return cls(Captured(captured(name), live, inputs))

    @contextmanager
    def side(self, case: Case) -> Iterator[tuple[Side, Step]]:
        """The conditional side of a case and a step, ready to run."""
        trace, live = self.captured.trace, self.captured.live
        with in_training(live.model):
            learn_sites(self.captured)
            (strategies,) = assignments(trace, live, [case.strategy])
            replay = Replay(self.captured, case.batch, live.phase)
            side, step = Side(replay, strategies, Plan()), replay.step(0)
            with installed((side,), [step]):
                yield side, step


def seconds_of(model: Model, case: Case) -> dict[str, Any]:
    """What was measured of both sides, a column of each pair, and the seconds of a forward
    alone."""
    try:
        timed = timed_pairs(model.captured, case)
    except CondsimError as error:
        print(f"{case}: forced, since {error}", file=sys.stderr)
        timed = timed_pairs(model.captured, case, decisions="trace")
    with model.side(case) as (side, step):
        forward_s = forward_seconds(side, step)
    return {"pairs": timed.measurements.to_dict("list"), "forward_s": forward_s}


def timed_pairs(of: Captured, case: Case, decisions: str = "natural") -> Trace:
    """The trace with the pairs of a case. decisions: the model's own, or forced as in the trace."""
    return measure_live(
        of.trace,
        of.live,
        of.inputs,
        strategies=case.strategy,
        batch=case.batch,
        baselines=("same-params",),
        pairs=PAIRS,
        steps=STEPS,
        decisions=decisions,
    )


def forward_seconds(side: Side, step: Step) -> float:
    """Of a forward without autograd, the median."""
    taken = []
    with torch.no_grad(), executing(side.execution(step)):
        for _ in range(FORWARDS):
            began = CPU()
            step.call(side.model, side.strategies)
            taken.append(CPU() - began)
    return statistics.median(taken)


def bytes_of(model: Model, case: Case) -> dict[str, Any]:
    """Bytes at the peak of a step beside weights and state: of the allocator, and the rival's."""
    with model.side(case) as (side, step):
        run = partial(side.run, step, WALL)
        assert side.optimizer is not None
        return {
            "measured_bytes": allocated_peak(run),
            "memtracker_bytes": tracked_peak(side.replay.live.model, side.optimizer, run),
        }


PARTS = {"seconds": seconds_of, "bytes": bytes_of}


def place(folder: Path, case: Case, part: str) -> Path:
    """Where a part of a case is kept."""
    return folder / f"{case.model}-b{case.batch}-{case.strategy}.{part}.json"


def run(folder: Path, cases: Sequence[Case], part: str, minutes: float) -> None:
    """Measure what is not in the folder yet. minutes: after which no other case is begun."""
    torch.set_num_threads(1)
    began = time.monotonic()
    model, name = None, ""
    for case in cases:
        kept = place(folder, case, part)
        if kept.exists():
            continue
        if time.monotonic() - began > 60 * minutes:
            return
        if model is None or name != case.model:
            model, name = Model.of(case.model), case.model
        print(f"measuring {part} of {case.model}, batch {case.batch}, {case.strategy}", flush=True)
        write_whole(kept, json.dumps(PARTS[part](model, case), default=float))


def calibrated(folder: Path) -> HardwareProfile:
    """The profile of this machine that a run rests on, made now where there is none."""
    kept = folder / "profile.yaml"
    if not kept.exists():
        condsim.calibrate(save=False, progress=Told()).save(kept)
    return condsim.hardware(str(kept))


def table(folder: Path, cases: Sequence[Case]) -> pd.DataFrame:
    """A row a case that was measured, predicted today, with errors."""
    profile = calibrated(folder)
    rows = [
        row_of(folder, case, profile) for case in cases if place(folder, case, "seconds").exists()
    ]
    found = pd.DataFrame(rows)
    found["latency error"] = found["predicted_latency_s"] / found["measured_latency_s"] - 1
    found["dense error"] = found["predicted_baseline_s"] / found["measured_baseline_s"] - 1
    found["three forwards error"] = 3 * found["forward_s"] / found["measured_latency_s"] - 1
    for name in ("predicted", "memtracker"):
        found[f"{name} bytes error"] = found[f"{name}_bytes"] / found["measured_bytes"] - 1
    return found


def row_of(folder: Path, case: Case, profile: HardwareProfile) -> dict[str, Any]:
    """One case: what was measured, and what is predicted."""
    seconds = json.loads(place(folder, case, "seconds").read_text())
    trace = captured(case.model)
    timed = trace.with_measurements(pd.DataFrame(seconds["pairs"]), profile)
    (compared,) = condsim.compare(timed).to_dict("records")
    peak = condsim.simulate(trace, profile, case.strategy, case.batch, steps=[0]).memory.training
    assert peak is not None
    row = {**asdict(case), "forward_s": seconds["forward_s"], "predicted_bytes": peak.alive_bytes}
    row |= {name: compared[name] for name in COMPARED}
    row |= {"measured_bytes": float("nan"), "memtracker_bytes": float("nan")}
    of_bytes = place(folder, case, "bytes")
    if of_bytes.exists():
        row |= json.loads(of_bytes.read_text())
    return row


def wrong_orders(found: pd.DataFrame) -> list[str]:
    """Models and batches at which of looped and grouped the slower one is predicted to be
    faster."""
    wrong = []
    for (model, batch), rows in found.groupby(["model", "batch"]):
        of = rows.set_index("strategy")
        if not {"looped", "grouped"} <= set(of.index):
            continue
        measured_ratio = (
            of.at["looped", "measured_latency_s"] / of.at["grouped", "measured_latency_s"]
        )
        predicted = of.at["looped", "predicted_latency_s"] / of.at["grouped", "predicted_latency_s"]
        if abs(measured_ratio - 1) > CLEAR and (measured_ratio > 1) != (predicted > 1):
            wrong.append(f"{model}, batch {batch}")
    return wrong


def tell(found: pd.DataFrame, listed: int) -> None:
    """Print the cases and what they say."""
    shown = ["model", "batch", "strategy", "measured_speedup", "predicted_speedup", "error"]
    shown += ["measured_latency_s", "latency error", "dense error", "three forwards error"]
    shown += ["measured_bytes", "predicted bytes error", "memtracker bytes error", "noisy"]
    with pd.option_context("display.width", 260, "display.float_format", "{:.4g}".format):
        print(found[shown].to_string(index=False))
    print(
        f"{len(found)} of the list's {listed} cases were measured, "
        f"{int(found['noisy'].sum())} on a noisy machine"
    )
    for column in ("error", "latency error", "dense error", "three forwards error"):
        off = found[column].abs()
        title = "speedup error" if column == "error" else column
        print(f"{title}: median {off.median():.1%}, 90th percentile {off.quantile(0.9):.1%}")
    for column in ("predicted bytes error", "memtracker bytes error"):
        off = found[column].abs()
        exact = int((off == 0).sum())
        print(f"{column}: {exact} of {off.count()} exact, worst {off.max():.2%}")
    print(f"wrong order of looped and grouped: {wrong_orders(found) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    today = datetime.date.today().isoformat()
    parser.add_argument("run", nargs="?", type=Path, default=RUNS / f"training-{today}")
    parser.add_argument("--models", nargs="+", help="measure these only")
    parser.add_argument("--part", choices=("calibrate", *PARTS), help="take this only")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    listed = read()
    wanted = [case for case in listed if not options.models or case.model in options.models]
    options.run.mkdir(parents=True, exist_ok=True)
    calibrated(options.run)
    for part in PARTS:
        if options.part in (None, part):
            run(options.run, wanted, part, options.minutes)
    if options.part is not None:
        return
    found = table(options.run, listed)
    if options.json:
        print(json.dumps(found.to_dict(orient="records"), indent=1))
        return
    tell(found, len(listed))


if __name__ == "__main__":
    main()
