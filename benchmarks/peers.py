"""condsim beside other tools that predict serving on GPUs, on the same measured rows, in one
run.

    python -m benchmarks.peers [--rows N] [--json FILE]

Rows are those of `benchmarks.whole_models`, the first N by hash: time per output token of whole
models on one GPU. GenZ (`genz-llm`) and AIConfigurator are installed into environments of their own
in this user's cache the first time. What a tool refuses counts as refused, with its reason. The
cost model of `economize` is about decoders that leave early; no row is one, so it refuses all.
Errors are |predicted / measured - 1|, in %; seconds are those of one row, the tool once started.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.engines.rows import rows
from benchmarks.engines.steps import serving_of
from benchmarks.peer_tools.environment import PEERS
from condsim.errors import CondsimError
from condsim.files import write_whole

ROWS = 40


def asked_of(taken: pd.DataFrame) -> list[dict[str, Any]]:
    """What every tool is asked."""
    found = []
    for row in taken.itertuples():
        serving = serving_of(row)
        found.append(
            {
                "model_path": row.model_path,
                "system": row.system,
                "backend": row.backend,
                "precision": row.precision,
                "batch": int(row.batch_size),
                "prompt": serving.prompt,
                "new": serving.new,
            }
        )
    return found


def ours(taken: pd.DataFrame) -> list[dict[str, Any]]:
    """What condsim answers, as `Peer.answers` gives it."""
    found = []
    for row in taken.itertuples():
        start = time.perf_counter()
        serving = serving_of(row)
        try:
            answer: dict[str, Any] = {"token_s": serving.token_s(serving.batch_that_fits())}
        except CondsimError as error:
            answer = {"refused": str(error)}
        found.append({**answer, "seconds": time.perf_counter() - start})
        print(f"condsim: {len(found)} of {len(taken)}", file=sys.stderr, flush=True)
    return found


def line(name: str, answers: list[dict[str, Any]], measured_s: np.ndarray) -> dict[str, Any]:
    """A tool's line of the table."""
    said = np.array([answer.get("token_s", np.nan) for answer in answers])
    off = said / measured_s - 1
    known = off[~np.isnan(off)]
    refused = Counter(answer["refused"][:60] for answer in answers if "refused" in answer)
    most = refused.most_common(1)
    return {
        "tool": name,
        "rows": len(known),
        "refused": len(off) - len(known),
        "median %": 100 * np.median(np.abs(known)) if len(known) else np.nan,
        "p90 %": 100 * np.quantile(np.abs(known), 0.9) if len(known) else np.nan,
        "signed %": 100 * np.median(known) if len(known) else np.nan,
        "seconds a row": np.median([answer["seconds"] for answer in answers]),
        "refuses most": most[0][0] if most else "",
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="the first so many by hash")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all answers")
    options = parser.parse_args()
    taken = rows(None)[0].iloc[: options.rows]
    asked = asked_of(taken)
    answers = {"condsim": ours(taken)}
    for peer in PEERS:
        try:
            answers[peer.requirement] = peer.answers(asked)
        except CondsimError as error:
            answers[peer.requirement] = [{"refused": str(error), "seconds": 0.0}] * len(asked)
    measured_s = taken["silicon_tpot_ms"].to_numpy(float) * 1e-3
    table = pd.DataFrame([line(name, said, measured_s) for name, said in answers.items()])
    rounded = table.round({"median %": 1, "p90 %": 1, "signed %": 1, "seconds a row": 3})
    print(rounded.to_string(index=False))
    if options.json:
        kept = {"asked": asked, "measured_s": measured_s.tolist(), "answers": answers}
        write_whole(options.json, json.dumps(kept, indent=1).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
