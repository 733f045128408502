"""`python -m benchmarks.suite.worker RUN PROCESS FAST_S THREADS DTYPE RUNTIME DEVICE CASES`: measure what RUN has no part of, models in any order, each case in a fork."""

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
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.measure.plan import Plan
from condsim.measure.protocol import measure_cases
from condsim.trace import Trace
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
    """Time the cases of a model, each in a fork of its own, and write them."""
    trace = captured(model)
    assert trace.header.provenance.spec is not None
    example = load_spec(trace.header.provenance.spec)
    live, batches = LiveModel.of(example.model), as_batches(example.inputs)
    of_cases = []
    for number, case in enumerate(cases):
        plan = plan_of(case, process, fast_s, under)
        of_case = part.with_suffix(f".{number}")
        alone(partial(measure_case, trace, live, batches, plan, of_case))
        of_cases.append(of_case)
    found = pd.concat([pd.read_parquet(file) for file in of_cases], ignore_index=True)
    found["model"] = model
    found["read_64mb"] = found["read_64mb"].max()
    write_whole(part, found.to_parquet(index=False))
    for file in of_cases:
        file.unlink()


def measure_case(
    trace: Trace, live: LiveModel, batches: list[Batch], plan: Plan, file: Path
) -> None:
    """Time a case and write its rows. Its decisions are forced where the model's are others."""
    try:
        measured = measure_cases(trace, live, batches, plan)
    except CondsimError as e:
        print(f"{plan}: forced, since {e}", file=sys.stderr)
        forced = dataclasses.replace(plan, decisions="trace")
        measured = measure_cases(trace, live, batches, forced)
    table: pd.DataFrame = measured.table(plan.seed, 1.0)
    read_64mb = max(reading["read_64mb"] for reading in measured.readings)
    write_whole(file, table.assign(read_64mb=read_64mb).to_parquet(index=False))


def plan_of(case: Case, process: int, fast_s: float, under: Under) -> Plan:
    """What is measured of a case."""
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
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        float(sys.argv[3]),
        Under(int(sys.argv[4]), *sys.argv[5:9]),
    )
