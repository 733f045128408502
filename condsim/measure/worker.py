"""`python -m condsim.measure.worker JOB RESULT`: rebuild a model from its spec and time it, in a process of its own.

JOB: a JSON file (trace: folder; by: None or "segment"; and the fields of `protocol.Plan`). RESULT: a Parquet file; beside it, ending in .json, what the
yardsticks said.
Progress goes to standard output, a JSON list [what, done, of] a line. Exit code 2 and one line on standard error for what a user can put right.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from condsim.errors import CondsimError


def main(arguments: list[str]) -> int:
    job, result = Path(arguments[0]), Path(arguments[1])
    try:
        _work(json.loads(job.read_text()), result)
    except CondsimError as e:
        print(e, file=sys.stderr)
        return 2
    return 0


def _work(job: dict[str, object], result: Path) -> None:
    from condsim.trace.store import load
    from condsim.zoo.specs import load_spec

    trace, by = load(str(job.pop("trace"))), job.pop("by", None)
    spec = trace.header.provenance.spec
    if spec is None:
        raise CondsimError(f"trace {trace.name!r} names no spec")
    example = load_spec(spec)

    from condsim.live.inputs import as_batches
    from condsim.live.model import LiveModel
    from condsim.measure.protocol import Plan, measure_cases

    plan, live, batches = Plan(**job), LiveModel.of(example.model), as_batches(example.inputs)  # type: ignore[arg-type]
    if by == "segment":
        from condsim.measure.segments import time_segments

        table, readings = time_segments(trace, live, batches, plan, _say), list[dict[str, float]]()
    else:
        measured = measure_cases(trace, live, batches, plan, progress=_say)
        table, readings = measured.table(0, 1.0), measured.readings
    table.to_parquet(result, index=False)
    result.with_suffix(".json").write_text(json.dumps(readings))


def _say(what: str, done: int, of: int) -> None:
    print(json.dumps([what, done, of]), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
