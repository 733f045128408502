"""How many hand-written forms of conditional models are captured, and whether the numbers are
right.

    python -m benchmarks.reach.forms [--more FILE] [--only WORDS]

Prints a line a form: right, refused (with what was said) or wrong, and the count of each. A
captured form is right if the FLOPs of every batch at its own size are those that torch's
FlopCounterMode counts in a live forward (attention as plain products), if the rows of each expert
are those that hooks on the experts count, and if its programs give the recorded streams at sizes
that they were not fitted at. FILE: a Python file with `ASKED`, name → function that returns (model,
batches), whose forms are tried beside those here.
"""

from __future__ import annotations

import argparse
import importlib.util
import textwrap
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import condsim
from benchmarks.reach import depths, images, mixtures, texts
from benchmarks.reach.expert_rows import unlike_rows
from condsim.trace import Trace

DEVICE = "nvidia-h100-sxm"
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Outcome:
    """What came of a form. outcome: right, refused or wrong. why: what was said, or differs."""

    outcome: str
    why: str


def counted(model: torch.nn.Module, batch: Any) -> int:
    """FLOPs of a live forward by torch's own count. Grouped products count their rows."""
    grouped = {torch.ops.aten._grouped_mm: _of_grouped}
    counter = FlopCounterMode(display=False, custom_mapping=grouped)
    with counter, sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        model(*batch) if isinstance(batch, tuple) else model(batch)
    flops: int = counter.get_total_flops()
    return flops


def _of_grouped(rows: Any, weights: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * rows[0] * rows[1] * weights[-1]


def outcome(form: Callable[[], tuple[torch.nn.Module, list[Any]]]) -> Outcome:
    """What comes of a form."""
    torch.manual_seed(0)
    model, batches = form()
    model.eval()
    try:
        trace = condsim.capture(model, batches, measure=False)
    except condsim.CondsimError as error:
        return Outcome("refused", str(error).strip())
    except Exception as error:
        return Outcome("wrong", f"a traceback: {type(error).__name__}: {error}")
    odd = list(departures(trace, model, batches))
    if odd:
        return Outcome("wrong", "; ".join(odd))
    kinds = Counter(site.mechanism for site in trace.sites)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return Outcome("right", f"{said}; {' '.join(trace.header.captured.values())}")


def departures(trace: Trace, model: torch.nn.Module, batches: list[Any]) -> Iterator[str]:
    """What differs from torch's own count, and what the trace itself says is off."""
    first = batches[0][0] if isinstance(batches[0], tuple) else batches[0]
    prediction = condsim.simulate(trace, DEVICE, batch=len(first), dtype="fp32", runtime="eager")
    expected = sum(counted(model, batch) for batch in batches) / len(batches)
    off = prediction.executed_flops / expected - 1
    if abs(off) > TOLERANCE:
        yield f"executed FLOPs {off:+.2%}"
    yield from unlike_rows(trace, model, batches)
    for note in trace.header.notes:
        if "is not what the model executes" in note:
            yield note


def forms(more: str | None) -> dict[str, Callable[[], Any]]:
    """All forms by name. more: a file of others."""
    every: dict[str, Callable[[], Any]] = {}
    if more is not None:
        spec = importlib.util.spec_from_file_location("more_forms", more)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        every |= module.ASKED
    return every | mixtures.FORMS | texts.FORMS | depths.FORMS | images.FORMS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--more")
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    totals: Counter[str] = Counter()
    for name, form in forms(asked.more).items():
        if asked.only and not any(word in name for word in asked.only):
            continue
        start = time.perf_counter()
        found = outcome(form)
        totals[found.outcome] += 1
        seconds = time.perf_counter() - start
        said = textwrap.shorten(found.why, 400)
        print(f"{found.outcome:8} {seconds:5.1f} s  {name}: {said}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in totals.items()))


if __name__ == "__main__":
    main()
