"""What serving came to, in words and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from condsim.show.tables import Column, table_of
from condsim.show.text import joules, number, percent, seconds

if TYPE_CHECKING:
    from condsim.serve.outcome import Outcome
    from condsim.serve.serving import Serving

LEAST_SHARE = 0.005
"""A smaller share of what requests wait for is not said."""
VERDICTS = {
    "pays": "It pays",
    "does not pay": "It does not pay",
    "makes no difference": "It makes no difference",
}
TITLES = {
    "throughput": "answers a second",
    "goodput": "answers a second within limits",
    "token_throughput": "tokens a second",
    "latency_s": "latency",
    "ttft_s": "time to first token",
    "time_per_output_token_s": "time per output token",
    "utilisation": "utilisation",
    "rows_a_step": "rows a step",
    "waiting_mean": "requests that wait, mean",
    "waiting_most": "requests that wait, most",
    "energy_a_request_j": "energy a request",
    "preemptions": "preemptions",
    "saturated": "answers a second at most",
    "experts": "experts",
}
"""Number → what a person calls it."""


def sentence(serving: Serving) -> str:
    """The verdict: does it pay, up to which load, and what waits for what."""
    ours, dense = serving.conditional, serving.dense
    return (
        f"{VERDICTS[serving.verdict]} at {number(serving.requests.rate)} requests/s: an answer "
        f"takes {_mean_and_tail(ours)}, of the {serving.baseline} dense model "
        f"{_mean_and_tail(dense)}. It serves up to {number(ours.saturated)}/s, the dense model "
        f"{number(dense.saturated)}/s. {_waits(ours)}."
    )


def _mean_and_tail(side: Outcome) -> str:
    mean_s, tail_s = side.numbers["latency_s mean"], side.numbers["latency_s p99"]
    return f"{seconds(mean_s)} (p99 {seconds(tail_s)})"


def _waits(side: Outcome) -> str:
    total = sum(side.waited_s.values())
    largest_first = sorted(side.waited_s.items(), key=lambda item: -item[1])
    parts = []
    for reason, waited_s in largest_first:
        if waited_s >= LEAST_SHARE * total:
            parts.append(f"{reason} {waited_s / total:.0%}")
    return "A request's time goes to: " + ", ".join(parts)


def serving_table(serving: Serving) -> Table:
    """A row a number, a column a side."""
    columns = [Column("", "number")]
    for name, side in serving.sides.items():
        header = f"{name} ({side.strategy})" if name == "conditional" else name
        columns.append(Column(header, name, right=True))
    return table_of(columns, rows(serving))


def rows(serving: Serving) -> Iterator[Mapping[str, str]]:
    """What the table says: the number in words, and its value of every side."""
    table = serving.table()
    limited = serving.conditional.limits != type(serving.conditional.limits)()
    for name, values in table.iterrows():
        key = str(name)
        is_wait = key.startswith("waits for ")
        if is_wait and not (values > 0).any():
            continue
        if (key == "goodput" and not limited) or (key == "preemptions" and not values.any()):
            continue
        show = _shown_as(key)
        yield {"number": _title(key), **{str(side): show(value) for side, value in values.items()}}


def _title(key: str) -> str:
    first, _, rest = key.partition(" ")
    if first in TITLES:
        return f"{TITLES[first]} {rest}".strip()
    return f"  {key}"


def _shown_as(key: str) -> Any:
    first = key.partition(" ")[0]
    if first.endswith("_s") or key.startswith("waits for "):
        return seconds
    if first.endswith("_j"):
        return joules
    is_share = first == "utilisation" or key.startswith("experts found")
    return percent_of_time if is_share else number


def percent_of_time(value: float) -> str:
    """A share without a sign."""
    return percent(value, sign=False)


def error_line(serving: Serving) -> str:
    """How steps were priced, and how far those are off that were not predicted themselves."""
    side = serving.conditional
    return (
        f"{side.priced} steps were predicted for {side.steps} that ran; a step that was not "
        f"predicted itself is off by {percent(side.pricing_error, sign=False)} (90th percentile)"
    )
