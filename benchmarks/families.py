"""Families of mixtures in transformers: which are captured right from a small random model.

    python -m benchmarks.families [NAME ...] [--write docs/families.md]

Every type with routed experts in transformers 5.24 is built with its own configuration class, made
small, with random weights, and captured in prefill and in decode. Captured right means: every token
of every layer took its k experts in prefill and in decode steps, and the FLOPs of the prefill are
those that PyTorch's FlopCounterMode counts of the live model within 0.1 %. All else is refused by
one line, or wrong. Each type has a process of its own and 10 minutes. Most take a quarter of a
minute; two, whose linear attention takes one token after another, take some minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.reach.types import TYPES
from condsim.files import write_whole

SECONDS = 600
BAR = 70


def outcome(name: str) -> dict[str, Any]:
    """What came of a type: {"type", "outcome", "why"}."""
    command = [sys.executable, "-m", "benchmarks.reach.one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"type": name, "outcome": "too slow", "why": f"not done in {SECONDS} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"type": name, "outcome": "traceback", "why": last[:200]}
    found: dict[str, Any] = json.loads(lines[-1])
    return {"type": name, **found}


def table(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    lines = ["| type | outcome | |", "|---|---|---|"]
    for row in rows:
        why = row["why"].replace("|", "\\|")
        lines.append(f"| {row['type']} | {row['outcome']} | {why} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Print a line a type as it is known, and the counts. Returns 1 where the bar is missed."""
    to = arguments.index("--write") if "--write" in arguments else len(arguments)
    names = arguments[:to] or list(TYPES)
    rows = []
    for name in names:
        row = outcome(name)
        rows.append(row)
        print(f"{row['type']:24} {row['outcome']:12} {row['why']}", flush=True)
    counts = Counter(row["outcome"] for row in rows)
    print(f"{len(rows)} types: " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    if to < len(arguments):
        write_whole(Path(arguments[to + 1]), table(rows).encode())
    good = counts["right"] + counts["refused"]
    return int(len(names) == len(TYPES) and good < BAR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
