"""`python -m benchmarks.suite.worker RUN PROCESS`: in one process, measure every case that RUN has no part of yet, a model at a time, in random order."""

from __future__ import annotations

import dataclasses
import random
import sys
from pathlib import Path

import pandas as pd

from benchmarks.suite.captured import captured
from benchmarks.suite.cases import by_model, read
from condsim.capture.inputs import as_batches
from condsim.capture.live import LiveModel
from condsim.errors import CondsimError
from condsim.hardware import load_profile
from condsim.measure.protocol import Measured, Plan, measure_cases
from condsim.specs import load_spec

PAIRS = 12
STEPS = 6
PATIENCE_S = 1.5


def main(run: Path, process: int) -> None:
    """Write RUN/parts/PROCESS-MODEL.parquet for each model that has none."""
    listed = list(by_model(read()).items())
    random.Random(process).shuffle(listed)
    fast_s = load_profile(run / "profile.yaml").yardstick_s
    for number, (model, cases) in enumerate(listed):
        part = run / "parts" / f"{process}-{model}.parquet"
        if part.exists():
            continue
        print(f"process {process}: {model} ({number + 1} of {len(listed)})", file=sys.stderr, flush=True)
        trace = captured(model)
        assert trace.header.provenance.spec is not None
        example = load_spec(trace.header.provenance.spec)
        live, batches = LiveModel.of(example.model), as_batches(example.inputs)
        found = Measured()
        for case in cases:
            plan = Plan(
                [case.batch], [case.strategy], phase=case.phase, protocol=case.protocol, pairs=PAIRS, steps=STEPS, seed=process, where="fresh process",
                yardstick_s=fast_s, patience_s=PATIENCE_S,
            )  # fmt: skip
            try:
                measured = measure_cases(trace, live, batches, plan)
            except CondsimError as e:
                print(f"{case}: forced, since {e}", file=sys.stderr)
                measured = measure_cases(trace, live, batches, dataclasses.replace(plan, decisions="trace"))
            found.rows += measured.rows
            found.readings += measured.readings
        table: pd.DataFrame = found.table(process, 1.0).assign(model=model, read_64mb=max(r["read_64mb"] for r in found.readings))
        half_written = part.with_suffix(".tmp")
        table.to_parquet(half_written, index=False)
        half_written.rename(part)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
