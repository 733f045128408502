"""Measure the models that a run has no part of yet, as one of its processes.

    python -m benchmarks.suite.worker RUN PROCESS FAST_S THREADS DTYPE RUNTIME DEVICE CASES

`benchmarks.suite.run` starts it. Models come in an order that the number of the process draws, and
each is measured in a fork of its own.
"""

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
    """Write RUN/parts/PROCESS-MODEL.parquet for each model that has none.

    fast_s: seconds of the yardstick when nothing disturbs it, or 0 where nobody knows.
    """
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
    """Do some work in a fork, which is a fresh process but for its imports.

    What a process allocated before decides whether large results need new memory
    (`docs/new-memory.md`), so models must not share one. Raises RuntimeError where the work failed.
    """
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
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("measuring a model failed, see above")


def measure_model(
    model: str, cases: list[Case], process: int, fast_s: float, under: Under, part: Path
) -> None:
    """Time the cases of a model and write them into `part`.

    A model that does not decide as its trace says is timed with the trace's decisions forced.
    """
    trace = captured(model)
    assert trace.header.provenance.spec is not None
    example = load_spec(trace.header.provenance.spec)
    live, batches = LiveModel.of(example.model), as_batches(example.inputs)
    found = Measured()
    for case in cases:
        plan = plan_of(case, process, fast_s, under)
        try:
            measured = measure_cases(trace, live, batches, plan)
        except CondsimError as e:
            print(f"{case}: forced, since {e}", file=sys.stderr)
            forced = dataclasses.replace(plan, decisions="trace")
            measured = measure_cases(trace, live, batches, forced)
        found.rows += measured.rows
        found.readings += measured.readings
    slowest_read = max(reading["read_64mb"] for reading in found.readings)
    table: pd.DataFrame = found.table(process, 1.0)
    table = table.assign(model=model, read_64mb=slowest_read)
    write_whole(part, table.to_parquet(index=False))


def plan_of(case: Case, process: int, fast_s: float, under: Under) -> Plan:
    """Return how a case is measured."""
    return Plan(
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


if __name__ == "__main__":
    folder, number, fastest_s, threads = sys.argv[1:5]
    conditions = Under(int(threads), *sys.argv[5:9])
    main(Path(folder), int(number), float(fastest_s), conditions)
