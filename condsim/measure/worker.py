"""`python -m condsim.measure.worker JOB RESULT`: rebuild a model from its spec and time it, in a process of its own.

JOB: a JSON file (trace: folder; and the fields of `protocol.Plan`). RESULT: a Parquet file; beside it, ending in .json, what the yardsticks said.
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
    from condsim.specs import load_spec
    from condsim.store import load

    trace = load(str(job.pop("trace")))
    spec = trace.header.provenance.spec
    if spec is None:
        raise CondsimError(f"trace {trace.name!r} names no spec")
    example = load_spec(spec)

    from condsim.capture.inputs import as_batches
    from condsim.capture.live import LiveModel
    from condsim.measure.protocol import Plan, measure_cases

    plan = Plan(**job)  # type: ignore[arg-type]
    measured = measure_cases(trace, LiveModel.of(example.model), as_batches(example.inputs), plan, progress=_say)
    measured.table(0, 1.0).to_parquet(result, index=False)
    result.with_suffix(".json").write_text(json.dumps(measured.readings))


def _say(what: str, done: int, of: int) -> None:
    print(json.dumps([what, done, of]), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
