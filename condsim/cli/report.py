"""report: the whole story of a trace as one self-contained file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import (
    all_devices,
    check_output_file,
    open_trace,
    profile_for,
)
from condsim.cli.commands import cli_command
from condsim.cli.output import command, print_json, progress, suggest
from condsim.cli.scenario import ON_ONE_DEVICE, OneDeviceOptions
from condsim.files import write_whole

if TYPE_CHECKING:
    from condsim.hardware import HardwareProfile
    from condsim.trace import Trace


@cli_command("report", "Write the whole story as one HTML file.", place=160)
def report(
    trace: str,
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    scenario: Annotated[OneDeviceOptions, Parameter(name="*")] = ON_ONE_DEVICE,
    json: bool = False,
) -> None:
    """Write the verdict, the waterfall, the advice, measurements and routing of a trace as HTML.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim.
    output
        The file to write, .html.
    json
        Print what the report says as JSON too.
    """
    scenario.check()
    check_output_file(output, (".html", ".htm"))
    opened = open_trace(trace)
    opened.require_programs()
    from condsim.decide.advise.advise import advise
    from condsim.show.report import report as report_html

    profile = profile_for(scenario.device, opened)
    with progress() as step:
        advice = advise(opened, profile, where=trace, progress=step, **scenario.given())
    answered = advice.answer
    others = _predict_others(opened, profile, scenario)
    rows = [answered.prediction.to_dict(), *others]
    asked = shlex.join(["condsim", *sys.argv[1:]])
    write_whole(output, report_html(opened, answered, rows, asked, advice))
    if json:
        about = {"command": "report", "trace": opened.name, "file": str(output)}
        print_json({**about, **answered.to_dict()})
        return
    suggest(f"open {output} in a browser", command("app", trace))


def _predict_others(
    trace: Trace, profile: HardwareProfile, scenario: OneDeviceOptions
) -> list[dict[str, Any]]:
    """The same scenario on every other device, each in the dtype and runtime that is usual there.

    profile: the device that is left out. Returns rows of `condsim.study.ranking.predict_all`.
    """
    from condsim.study.ranking import predict_all

    devices = [device for device in all_devices(trace) if device.name != profile.name]
    predictions = predict_all(
        trace,
        devices,
        [scenario.strategy],
        scenario.baseline,
        batch=scenario.batch,
        threshold=scenario.threshold,
        phase=scenario.phase,
        protocol=scenario.protocol,
    )
    rows = []
    with progress() as step:
        for row in predictions:
            rows.append(row)
            step("other devices", len(rows), len(devices))
    return rows
