"""One step as kernels in time, both sides: a table, and a file that ui.perfetto.dev opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim.engine import closed_form
from condsim.files import write_whole
from condsim.kernel_cost import PARTS
from condsim.lowered import Call
from condsim.predict.side import Side

COLUMNS = (
    "side", "lane", "start_s", "duration_s", "operator", "part", "module", "guard", "basis",
)  # fmt: skip

DRAWN_PARTS = {"weights": "traffic", "quantisation": "matmul"}
"""Part of a kernel's seconds → the part that it is drawn as."""


def timeline(sides: Mapping[str, Side], step: int = 0) -> pd.DataFrame:
    """Return a row a slice of one step.

    Columns: side, lane ("host" or "device"), start_s and duration_s, operator, part (matmul,
    traffic or dispatch), module, guard, basis. A CPU has one lane, the host's; elsewhere a kernel
    has a slice on the host, its dispatch, and one on the device. Weights are taken as resident.
    sides: name → side.
    """
    tables = [_lanes(name, side, step) for name, side in sides.items()]
    return pd.concat(tables, ignore_index=True)


def _lanes(name: str, side: Side, step: int) -> pd.DataFrame:
    kernels = side.cost.kernels
    issued, calls = side.model.issued(kernels, step)
    issue, end, _ = closed_form.run(issued)
    rows = kernels.rows_of(calls)
    entries = kernels.entry[rows]
    slices = pd.DataFrame(
        {
            "operator": [call.op.name for call in calls],
            "part": _drawn_parts(side, calls, rows),
            "module": [call.op.module for call in calls],
            "guard": [_guards_text(call) for call in calls],
            "basis": [kernels.basis[entry] for entry in entries],
        }
    )
    on_device = issued.device_s > 0
    on_host = (issued.host_s > 0) | ~on_device
    host = _lane(slices, "host", issue, issued.host_s)[on_host]
    dispatches = on_device[on_host]
    host["part"] = host["part"].mask(dispatches, "dispatch")
    device = _lane(slices, "device", end, issued.device_s)[on_device]
    lanes = pd.concat([host, device], ignore_index=True)
    lanes["side"] = name
    ordered = lanes.reindex(columns=list(COLUMNS))
    return ordered.sort_values("start_s", kind="stable")


def _lane(
    slices: pd.DataFrame, lane: str, end_s: np.ndarray, duration_s: np.ndarray
) -> pd.DataFrame:
    return slices.assign(lane=lane, start_s=end_s - duration_s, duration_s=duration_s)


def _guards_text(call: Call) -> str:
    return " / ".join(f"{site}={choice}" for site, choice in call.guards)


def _drawn_parts(side: Side, calls: list[Call], rows: np.ndarray) -> list[str]:
    """The part that each call is drawn as: of a kernel the one beside dispatch that takes most."""
    kernels = side.cost.kernels
    names = [part for part in PARTS if part != "dispatch"]
    seconds = np.stack([kernels.column(part)[rows] for part in names])
    heaviest = seconds.argmax(0)
    drawn = []
    for number, call in enumerate(calls):
        part = names[heaviest[number]]
        if call.op.view or not seconds[:, number].any():
            part = "dispatch"
        drawn.append(DRAWN_PARTS.get(part, part))
    return drawn


def write_chrome_trace(prediction: Any, path: str | Path) -> Path:
    """Write a prediction's timeline in the Chrome trace event format.

    Both sides are processes of one file. Raises CondsimError where the path cannot be written.
    """
    events: list[dict[str, Any]] = []
    for number, (name, table) in enumerate(prediction.timeline.groupby("side", sort=False)):
        events += _process_events(prediction, number, name, table)
    content = {"traceEvents": events, "displayTimeUnit": "ms"}
    return write_whole(path, json.dumps(content))


def _process_events(
    prediction: Any, number: int, name: Any, table: pd.DataFrame
) -> list[dict[str, Any]]:
    """The events of one side. number: of its process."""
    runs_as = prediction.strategy if name == "conditional" else prediction.baseline
    label = f"{name}: {runs_as} on {prediction.profile}"
    process_name = {"ph": "M", "name": "process_name", "pid": number, "args": {"name": label}}
    events: list[dict[str, Any]] = [process_name]
    lanes = list(dict.fromkeys(table["lane"]))
    for lane_number, lane in enumerate(lanes):
        lane_name = {"ph": "M", "name": "thread_name", "args": {"name": lane}}
        events.append(lane_name | {"pid": number, "tid": lane_number})
    for row in table.itertuples():
        details = {"module": row.module, "guard": row.guard, "basis": row.basis}
        event = {"ph": "X", "name": row.operator, "cat": row.part, "args": details}
        where = {"pid": number, "tid": lanes.index(str(row.lane))}
        start_s = float(str(row.start_s))
        duration_s = float(str(row.duration_s))
        when = {"ts": start_s * 1e6, "dur": duration_s * 1e6}
        events.append(event | where | when)
    return events
