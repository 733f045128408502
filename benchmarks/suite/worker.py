"""`python -m benchmarks.suite.worker RUN PROCESS FAST_S THREADS DTYPE RUNTIME DEVICE CASES`: measure what RUN has no part of, models in any order, each in a fork."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import transformers  # noqa: F401 (once, not in each fork)

from benchmarks.suite.captured import captured
from benchmarks.suite.cases import Case, Under, by_model, listed
from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.measure.plan import Plan
from condsim.measure.protocol import Measured, measure_cases
from condsim.zoo.specs import load_spec

PAIRS = 4
STEPS = 4
PATIENCE_S = 1.5


def main(run: Path, process: int, fast_s: float, under: Under) -> None:
    """Write RUN/parts/PROCESS-MODEL.parquet for each model that has none. fast_s: the yardstick when nothing disturbs it."""
    models = list(by_model(listed(under)).items())
    random.Random(process).shuffle(models)
    for number, (model, cases) in enumerate(models):
        part = run / "parts" / f"{process}-{model}.parquet"
        if part.exists():
            continue
        print(
            f"process {process}: {model} ({number + 1} of {len(models)})",
            file=sys.stderr,
            flush=True,
        )
        alone(partial(measure_model, model, cases, process, fast_s, under, part))


def alone(work: Callable[[], None]) -> None:
    """Do it in a fork: a fresh process but for the imports. What was allocated before decides whether large results need new memory (`docs/new-memory.md`).
    Raises RuntimeError where the work did."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("measuring a model failed, see above")


def measure_model(
    model: str, cases: list[Case], process: int, fast_s: float, under: Under, part: Path
) -> None:
    """Time the cases of a model and write them."""
    trace = captured(model)
    assert trace.header.provenance.spec is not None
    example = load_spec(trace.header.provenance.spec)
    live, batches = LiveModel.of(example.model), as_batches(example.inputs)
    found = Measured()
    for case in cases:
        plan = Plan(
            [case.batch],
            [case.strategy],
            phase=case.phase,
            protocol=case.protocol,
            pairs=PAIRS,
            steps=STEPS,
            seed=process,
            where="fresh process",
            yardstick_s=fast_s or None,
            patience_s=PATIENCE_S,
            threads=under.threads,
            runtime=under.runtime,
            device=under.device,
        )
        try:
            measured = measure_cases(trace, live, batches, plan)
        except CondsimError as e:
            print(f"{case}: forced, since {e}", file=sys.stderr)
            measured = measure_cases(
                trace, live, batches, dataclasses.replace(plan, decisions="trace")
            )
        found.rows += measured.rows
        found.readings += measured.readings
    table: pd.DataFrame = found.table(process, 1.0).assign(
        model=model, read_64mb=max(r["read_64mb"] for r in found.readings)
    )
    write_whole(part, table.to_parquet(index=False))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        float(sys.argv[3]),
        Under(int(sys.argv[4]), *sys.argv[5:9]),
    )
